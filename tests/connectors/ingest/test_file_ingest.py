"""A file is taken once by content, whole or not at all, whatever the server does."""

from __future__ import annotations

import os
import threading
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest

from connectors.ingest import FeedReport, Ingest
from connectors.paths import Paths
from connectors.transport import TransportError
from tests.support.ingest import (
    calls_csv,
    gzipped,
    ledger_copy,
    make_connections,
    make_feed,
    raw_rows,
)
from tests.support.sftp_server import SftpTestServer


@pytest.fixture
def feed(tmp_path: Path):
    return make_feed(tmp_path / "feeds")


def states(report: FeedReport) -> dict[str, str]:
    return {outcome.name: outcome.state for outcome in report.files}


def test_a_second_run_brings_nothing(ingest: Ingest, feed, out: Path, paths: Paths) -> None:
    (out / "calls_20261101.csv").write_bytes(calls_csv(1, 30))
    (out / "calls_20261102.csv.gz").write_bytes(gzipped(calls_csv(2, 20)))
    (out / "other.csv").write_bytes(b"not ours")

    first = ingest.run(feed)
    assert states(first) == {"calls_20261101.csv": "loaded", "calls_20261102.csv.gz": "loaded"}
    assert first.rows == {"call": 50}
    assert first.balance_ok
    assert first.business_dates == [date(2026, 11, 1), date(2026, 11, 2)]

    os.utime(out / "calls_20261101.csv", (1, 1))  # another time is not another file
    second = ingest.run(feed)
    assert set(states(second).values()) == {"known"}
    assert second.rows == {}
    assert second.business_dates == []
    assert ingest.pending(feed) == []

    rows = raw_rows(paths, "calls", "call")
    assert rows.num_rows == 50
    assert set(rows.column_names) >= {"_file_id", "_record_no", "_loaded_at", "load_date", "call_id"}
    assert {str(day) for day in rows["load_date"].to_pylist()} == {"2026-11-01", "2026-11-02"}
    landed = sorted(path.name for path in (paths.landing / "calls").glob("*/*") if path.is_file())
    assert landed == ["calls_20261101.csv", "calls_20261102.csv.gz"]
    assert not list(paths.root.rglob("*.tmp*"))
    assert not list((paths.state / "staging").rglob("*.parquet"))


def test_the_same_content_by_another_name_is_known_and_other_content_by_the_same_name_is_not(
    ingest: Ingest, feed, out: Path, paths: Paths
) -> None:
    (out / "calls_20261101.csv").write_bytes(calls_csv(1, 3))
    ingest.run(feed)
    (out / "calls_20261101_resent.csv").write_bytes(calls_csv(1, 3))
    (out / "calls_20261101.csv").write_bytes(calls_csv(1, 4))

    report = ingest.run(feed)
    # The content left its first name and is then found under its second: it stays, the other comes beside it.
    assert [outcome.state for outcome in report.files] == ["loaded", "loaded"]
    assert raw_rows(paths, "calls", "call").num_rows == 7
    (resent,) = [row for row in ledger_copy(paths) if row["row_counts"] == {"call": 3}]
    assert resent["times_seen"] == 2


def test_two_new_files_of_one_content_are_one(ingest: Ingest, feed, out: Path, paths: Paths) -> None:
    (out / "calls_20261101.csv").write_bytes(calls_csv(1, 3))
    (out / "calls_20261101a.csv").write_bytes(calls_csv(1, 3))
    assert ingest.run(feed).rows == {"call": 3}
    assert raw_rows(paths, "calls", "call").num_rows == 3
    assert ingest.run(feed).rows == {}


def test_only_the_window_is_taken(ingest: Ingest, feed, out: Path) -> None:
    for day in (1, 2, 3):
        (out / f"calls_202611{day:02d}.csv").write_bytes(calls_csv(day, day))
    assert [item.business_date for item in ingest.pending(feed)] == [date(2026, 11, day) for day in (1, 2, 3)]
    report = ingest.run(feed, start=date(2026, 11, 2), end=date(2026, 11, 2))
    assert report.rows == {"call": 2}
    assert [item.name for item in ingest.pending(feed)] == ["calls_20261101.csv", "calls_20261103.csv"]


def test_a_file_waits_for_its_marker(ingest: Ingest, tmp_path: Path, out: Path) -> None:
    feed = make_feed(tmp_path / "feeds", file__complete={"done_marker": ".done"})
    (out / "calls_20261101.csv").write_bytes(calls_csv(1, 1))
    (out / "calls_20261102.csv").write_bytes(calls_csv(2, 2))
    (out / "calls_20261103.csv").write_bytes(calls_csv(3, 3))
    (out / "calls_20261102.done").touch()
    (out / "calls_20261103.csv.done").touch()
    assert [item.size for item in ingest.pending(feed)] == [len(calls_csv(2, 2)), len(calls_csv(3, 3))]
    report = ingest.run(feed)
    assert report.rows == {"call": 5}
    assert report.waiting == ["calls_20261101.csv: no .done beside it yet"]


def test_a_file_that_grows_is_left_until_it_stands_still(
    ingest: Ingest, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = make_feed(tmp_path / "feeds", file__complete="stable_size")
    whole = calls_csv(1, 5000)
    growing = out / "calls_20261101.csv"
    growing.write_bytes(whole[:1000])
    (out / "calls_20261102.csv").write_bytes(calls_csv(2, 2))
    waited: list[float] = []

    def grow(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 1:
            growing.write_bytes(whole[:2000])

    monkeypatch.setattr("connectors.ingest.complete.time", SimpleNamespace(sleep=grow))
    report = ingest.run(feed)
    assert report.rows == {"call": 2}
    assert report.waiting == ["calls_20261101.csv: its size still changes"]
    growing.write_bytes(whole)
    assert ingest.run(feed).rows == {"call": 5000}
    assert waited == [1.0, 1.0]


def test_a_refused_file_leaves_the_others_loaded_and_loses_nothing(
    ingest: Ingest, feed, out: Path, paths: Paths
) -> None:
    broken = gzipped(calls_csv(1, 5000))[:-20]
    (out / "calls_20261101.csv.gz").write_bytes(broken)
    (out / "calls_20261102.csv").write_bytes(b"call_id;dialed_at\n")
    (out / "calls_20261103.csv").write_bytes(calls_csv(3, 3))
    for _ in range(2):  # a refusal stays one until its cause is mended
        report = ingest.run(feed)
        assert [outcome.name for outcome in report.refused] == ["calls_20261101.csv.gz", "calls_20261102.csv"]
        assert "damaged archive" in report.refused[0].message
        assert "\n" not in report.refused[1].message
    assert raw_rows(paths, "calls", "call").num_rows == 3
    rows = {row["name"]: row for row in ledger_copy(paths)}
    assert rows["calls_20261101.csv.gz"]["state"] == "refused"
    assert rows["calls_20261101.csv.gz"]["row_counts"] == {}
    landed = paths.landing / "calls" / rows["calls_20261101.csv.gz"]["file_id"] / "calls_20261101.csv.gz"
    assert landed.read_bytes() == broken


def test_a_refused_file_loads_once_the_setting_is_mended(
    ingest: Ingest, tmp_path: Path, out: Path, paths: Paths
) -> None:
    (out / "calls_20261101.csv").write_bytes(calls_csv(1, 3).replace(b",", b";"))
    assert ingest.run(make_feed(tmp_path / "feeds")).refused
    mended = make_feed(tmp_path / "feeds", file__settings={"delimiter": ";"})
    assert ingest.run(mended).rows == {"call": 3}
    assert ledger_copy(paths)[0]["reason"] is None


def test_names_and_links_that_lead_elsewhere_are_refused(
    ingest: Ingest, feed, server: SftpTestServer, out: Path, paths: Paths, tmp_path: Path
) -> None:
    (out / "calls_20261101.csv").write_bytes(calls_csv(1, 1))
    os.symlink("/etc/passwd", out / "calls_20261102.csv")
    server.extra_names = [b"../../calls_20261103.csv", b"calls_20261104\x1b[2J.csv"]
    report = ingest.run(feed)
    assert report.rows == {"call": 1}
    assert len(report.refused) == 3
    assert not any("\x1b" in outcome.name + outcome.message for outcome in report.refused)
    landed = [path for path in paths.root.rglob("*calls_2026*") if path.is_file()]
    assert [path.name for path in landed] == ["calls_20261101.csv"]
    assert not list(tmp_path.glob("*.csv"))


def test_a_connection_cut_in_the_middle_is_gone_on_from(
    ingest: Ingest, feed, server: SftpTestServer, out: Path, paths: Paths
) -> None:
    (out / "calls_20261101.csv").write_bytes(calls_csv(1, 40_000))
    server.cut_after_bytes = 700_000
    assert ingest.run(feed).rows == {"call": 40_000}
    assert server.cut_after_bytes is None
    assert not list((paths.landing / "calls" / ".part").iterdir())


def test_trusting_the_listing_reads_nothing_again(
    ingest: Ingest, tmp_path: Path, server: SftpTestServer, out: Path
) -> None:
    feed = make_feed(tmp_path / "feeds", file__verify="listing")
    (out / "calls_20261101.csv").write_bytes(calls_csv(1, 100))
    ingest.run(feed)
    server.bytes_read = 0
    assert states(ingest.run(feed)) == {"calls_20261101.csv": "known"}
    assert server.bytes_read == 0


def test_two_runs_at_once_double_nothing(
    ingest: Ingest, feed, out: Path, paths: Paths, tmp_path: Path, server: SftpTestServer
) -> None:
    for day in range(1, 9):
        (out / f"calls_202611{day:02d}.csv").write_bytes(calls_csv(day, 100))
    other = Ingest(paths, make_connections(tmp_path, server.connection()))
    reports: list[FeedReport] = []
    threads = [
        threading.Thread(target=lambda one=one: reports.append(one.run(feed))) for one in (ingest, other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert sorted(sum(report.rows.values()) for report in reports) == [0, 800]
    assert raw_rows(paths, "calls", "call").num_rows == 800


def test_a_file_without_a_date_lies_at_the_day_it_was_seen(
    ingest: Ingest, tmp_path: Path, out: Path, paths: Paths
) -> None:
    feed = make_feed(tmp_path / "feeds", file__pattern="*.csv")
    (out / "whatever.csv").write_bytes(calls_csv(1, 2))
    assert ingest.run(feed, start=date(2026, 1, 1)).files == []
    assert ingest.run(feed).rows == {"call": 2}
    seen = ledger_copy(paths)[0]["first_seen_at"].date()
    assert [path.parent.name for path in (paths.raw / "calls" / "call").glob("*/[0-9a-f]*.parquet")] == [
        f"load_date={seen}"
    ]


def test_every_table_can_be_read_before_anything_came(ingest: Ingest, feed, paths: Paths) -> None:
    ingest.ensure_tables(feed)
    rows = raw_rows(paths, "calls", "call")
    assert rows.num_rows == 0
    assert [name for name in rows.column_names if name != "load_date"] == [
        "call_id", "dialed_at", "talk_seconds", "_file_id", "_record_no", "_loaded_at",
    ]  # fmt: skip
    assert raw_rows(paths, "gridcrm", "quarantine").num_rows == 0
    assert raw_rows(paths, "gridcrm", "ingestion_ledger").num_rows == 0


def test_a_wrong_password_and_a_changed_host_key_are_one_line_each(
    feed, paths: Paths, tmp_path: Path, server: SftpTestServer, out: Path
) -> None:
    (out / "calls_20261101.csv").write_bytes(calls_csv(1, 2))
    wrong = Ingest(paths, make_connections(tmp_path, server.connection(password="wrong-horse")))
    with pytest.raises(
        TransportError, match=r"^connection test_sftp: \S+ does not let user gridcrm in"
    ) as caught:
        wrong.run(feed)
    assert "wrong-horse" not in str(caught.value)
    right = make_connections(tmp_path, server.connection())
    server.change_host_key()
    with pytest.raises(TransportError, match="is not the pinned one"):
        Ingest(paths, right).run(feed)
    assert Ingest(paths, make_connections(tmp_path, server.connection())).run(feed).rows == {"call": 2}
