"""kill -9 at any moment: nothing lost, nothing doubled, by ledger and by content."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path

from connectors.ingest import Ingest
from connectors.paths import Paths
from tests.support.ingest import calls_csv, ledger_copy, make_connections, make_feed, raw_rows
from tests.support.ingest_process import PRELOAD, run_feed
from tests.support.sftp_server import PASSWORD, SftpTestServer

KILLS = 15
FILES = 24
ROWS = 2000


def test_a_killed_run_is_gone_on_from(
    server: SftpTestServer, out: Path, tmp_path: Path, paths: Paths
) -> None:
    for number in range(FILES):
        (out / f"calls_202611{number + 1:02d}.csv").write_bytes(calls_csv(number + 1, ROWS, bad=number % 3))
    feed = make_feed(tmp_path / "feeds")
    connections = make_connections(tmp_path, server.connection())
    # A server that forks has imported everything once: a kill falls into the work, not into the imports.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)

    def start(data: Path) -> multiprocessing.process.BaseProcess:
        here, there = context.Pipe()
        process = context.Process(
            target=run_feed, args=(tmp_path, data, {"TEST_SFTP_PASSWORD": PASSWORD}, there)
        )
        process.start()
        assert isinstance(here, Connection)
        assert here.recv() == "ready"
        return process

    def written() -> int:
        return sum(1 for folder in (paths.landing, paths.raw) for file in folder.rglob("*") if file.is_file())

    chance = random.Random(7)
    killed = 0
    for _ in range(KILLS):
        # By what it has done, not by the clock: so the kills fall into the work on a busy machine too.
        enough = written() + chance.randrange(5)
        process = start(paths.root)
        while process.is_alive() and written() < enough:
            time.sleep(0.002)
        time.sleep(chance.uniform(0.0, 0.03))
        process.kill()
        process.join(10)
        killed += process.exitcode != 0
    before = len(list((paths.raw / "calls" / "call").glob("*/*.parquet")))

    ingest = Ingest(paths, connections)
    ingest.run(feed)
    assert ingest.run(feed).rows == {}
    ingest.close()

    expected = Counter(
        f"D{number + 1:02d}-{row}" for number in range(FILES) for row in range(number % 3, ROWS)
    )
    assert Counter(raw_rows(paths, "calls", "call")["call_id"].to_pylist()) == expected
    quarantined = Counter(raw_rows(paths, "gridcrm", "quarantine")["file_name"].to_pylist())
    assert quarantined == Counter(
        {f"calls_202611{number + 1:02d}.csv": number % 3 for number in range(FILES) if number % 3}
    )
    ledger = ledger_copy(paths)
    assert len(ledger) == FILES
    assert {row["state"] for row in ledger} == {"published"}
    assert all(row["records_read"] == row["loaded"] + row["quarantined"] == ROWS for row in ledger)
    assert not [path for path in (paths.state / "staging").rglob("*") if path.is_file()]
    assert not [path for path in paths.raw.rglob("*") if path.is_file() and path.suffix != ".parquet"]
    # The kills must have fallen into the work, or the test says nothing.
    assert killed > KILLS // 2
    assert before > 1
