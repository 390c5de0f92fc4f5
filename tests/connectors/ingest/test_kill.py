"""kill -9 at 200 random moments: nothing lost, nothing doubled, by ledger and by content.

Two feeds run in a process that ends itself at a step drawn at random: while it downloads, decodes, publishes,
or recovers from the kill before. Meanwhile files come, change under their name, come broken and come mended.
"""

from __future__ import annotations

import io
import multiprocessing
import random
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from connectors.ingest import Ingest
from connectors.paths import Paths
from tests.support.ingest import calls_csv, gzipped, ledger_copy, make_connections, make_feed, raw_rows
from tests.support.ingest_process import BETWEEN, PRELOAD, run_feeds
from tests.support.sftp_server import PASSWORD, SftpTestServer

KILLS = 200
KILLS_A_DAY = 12
STEPS = {"download": 5, "decode": 7, "publish": 30, "recover": 12, BETWEEN: 120}
"""Phase → the latest of its steps that a kill is drawn from; about what is left of a day's work."""
READS = """
source: reads
description: Reads for tests.
owner: testers
connection: test_sftp
kind: file
schedule: "0 * * * *"
contract: freeze
file:
  directory: /out
  pattern: "NEM12#{business_date:%Y%m%d}*.zip"
  complete: none
  on_changed: keep
  format: nem12
tables:
  interval_reads: {description: One row a read.}
  register_reads: {description: One row a read of a register.}
"""


def nem12_zip(day: int, meters: int) -> bytes:
    """One member a two meters, 48 half-hours each; every third meter has a value that is no number."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for first in range(0, meters, 2):
            lines = ["100,NEM12,202611010000,MDP1,RETAIL"]
            for meter in range(first, min(first + 2, meters)):
                values = ["x" if meter % 3 == 2 and not n else str(meter + n) for n in range(48)]
                lines.append(f"200,NMI{meter:07d},E1,1,E1,N1,M{meter},KWH,30,")
                lines.append(f"300,202611{day:02d},{','.join(values)},A,,,2026110{1}120000,")
            lines.append("900")
            info = zipfile.ZipInfo(f"{first}.csv", (2026, 11, 1, 0, 0, 0))
            archive.writestr(info, "\n".join(lines) + "\n")
    return buffer.getvalue()


def labelled(data: bytes, label: str) -> bytes:
    """The calls with other numbers, so that each file of a day has its own."""
    return data.replace(b"\nD", f"\n{label}".encode())


@dataclass
class World:
    """What lies on the server, and what raw must therefore hold."""

    out: Path
    calls: dict[str, Counter[str]] = field(default_factory=dict)
    aside: Counter[str] = field(default_factory=Counter)
    broken: dict[str, bytes] = field(default_factory=dict)
    reads: int = 0

    def day(self, day: int) -> None:
        """A day's files; some of the day before change, one comes broken, and the broken one comes mended."""
        for name, data in self.broken.items():
            (self.out / name).write_bytes(data)
        self.broken.clear()
        self._calls(f"calls_202611{day:02d}.csv", day, 400, bad=day % 3)
        self._calls(f"calls_202611{day:02d}b.csv.gz", day, 300, label="B")
        for letter in "efgh":
            self._calls(f"calls_202611{day:02d}{letter}.csv", day, 300, label=letter.upper())
        if day > 1:
            self._calls(f"calls_202611{day - 1:02d}.csv", day - 1, 400 + day, bad=1)
        if day % 2:
            name, whole = f"calls_202611{day:02d}c.csv.gz", gzipped(labelled(calls_csv(day, 200), "C"))
            (self.out / name).write_bytes(whole[:-20])
            self.broken[name] = whole
            self.calls[name] = Counter()
        else:
            name = f"calls_202611{day - 1:02d}c.csv.gz"
            self.calls[name] = Counter(f"C{day - 1:02d}-{row}" for row in range(200))
        (self.out / f"NEM12#202611{day:02d}.zip").write_bytes(nem12_zip(day, 5))
        self.reads += 4 * 48  # the third of five meters is set aside

    def _calls(self, name: str, day: int, count: int, bad: int = 0, label: str = "D") -> None:
        data = labelled(calls_csv(day, count, bad=bad), label)
        (self.out / name).write_bytes(gzipped(data) if name.endswith(".gz") else data)
        self.calls[name] = Counter(f"{label}{day:02d}-{row}" for row in range(bad, count))
        self.aside[name] = bad


def check(world: World, paths: Paths) -> None:
    """Raw, quarantine and books hold exactly what the server's files say."""
    expected: Counter[str] = sum(world.calls.values(), Counter())
    assert Counter(raw_rows(paths, "calls", "call")["call_id"].to_pylist()) == expected
    reads = raw_rows(paths, "reads", "interval_reads")
    points, starts = (reads[name].to_pylist() for name in ("service_point_id", "interval_start_at"))
    places = Counter(zip(points, starts, strict=True))
    assert (len(places), set(places.values())) == (world.reads, {1})
    names = [row["file_name"] for row in raw_rows(paths, "gridcrm", "quarantine").to_pylist()]
    assert Counter(name for name in names if name.startswith("calls")) == +world.aside
    ledger = ledger_copy(paths)
    assert len({(row["source"], row["sha256"]) for row in ledger}) == len(ledger)
    for row in ledger:
        assert row["state"] in ("published", "superseded", "refused"), row["name"]
        assert row["records_read"] == row["loaded"] + row["superseded"] + row["quarantined"]
    published = {row["file_id"]: row["row_counts"] for row in ledger if row["state"] == "published"}
    rows = Counter(raw_rows(paths, "calls", "call")["_file_id"].to_pylist())
    rows.update(reads["_file_id"].to_pylist())
    assert rows == Counter({file_id: sum(counts.values()) for file_id, counts in published.items()})
    assert Counter(row["state"] for row in ledger if row["source"] == "calls")["refused"] == len(world.broken)
    assert not [path for path in (paths.state / "staging").rglob("*") if path.is_file()]
    strays = [path for path in paths.raw.rglob("*") if path.is_file() and path.suffix != ".parquet"]
    assert not strays


@pytest.mark.timeout(900)
def test_killed_runs_are_gone_on_from(
    server: SftpTestServer, out: Path, tmp_path: Path, paths: Paths
) -> None:
    feeds = [make_feed(tmp_path / "feeds", file__verify="listing"), make_feed(tmp_path / "feeds", READS)]
    connections = make_connections(tmp_path, server.connection())
    # A server that forks has imported everything once: a kill falls into the work, not into the imports.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)

    def was_killed(phase: str, last: int) -> bool:
        process = context.Process(
            target=run_feeds, args=(tmp_path, paths.root, {"TEST_SFTP_PASSWORD": PASSWORD}, phase, last)
        )
        process.start()
        process.join(60)
        assert process.exitcode in (0, -9)
        return process.exitcode == -9

    chance = random.Random(20261101)
    world = World(out)
    kills: Counter[str] = Counter()
    day = 0
    while kills.total() < KILLS:
        day += 1
        world.day(day)
        for _ in range(KILLS_A_DAY):
            phase = chance.choice(list(STEPS))
            if not was_killed(phase, chance.randint(1, STEPS[phase])):
                break  # the day's work was done before it came to that step
            kills[phase] += 1
        if day % 5 == 0 or kills.total() >= KILLS:
            ingest = Ingest(paths, connections)
            for feed in feeds:
                ingest.run(feed)
                assert ingest.run(feed).rows == {}
            ingest.close()
            check(world, paths)
    # The kills must have fallen into all of the work, or the test says nothing.
    assert min(kills[phase] for phase in STEPS) >= 20, kills
