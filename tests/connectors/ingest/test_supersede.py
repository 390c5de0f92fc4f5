"""The same name with other content: the newer takes the older's place in raw, and the books say so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connectors.ingest import FeedError, Ingest
from connectors.paths import Paths
from tests.support.ingest import calls_csv, ledger_copy, make_feed, raw_rows


@pytest.fixture
def feed(tmp_path: Path):
    return make_feed(tmp_path / "feeds")


def rows(paths: Paths) -> list[str]:
    return sorted(raw_rows(paths, "calls", "call")["call_id"].to_pylist())


def by_size(paths: Paths) -> list[dict[str, Any]]:
    return sorted(ledger_copy(paths), key=lambda row: row["size_bytes"])


def test_a_changed_file_takes_the_place_of_the_older(ingest: Ingest, feed, out: Path, paths: Paths) -> None:
    name = out / "calls_20261101.csv"
    name.write_bytes(calls_csv(1, 3, bad=1))
    ingest.run(feed)
    name.write_bytes(calls_csv(1, 5))
    (outcome,) = ingest.run(feed).files
    older, newer = by_size(paths)
    assert outcome.message == f"takes the place of {older['file_id']}"
    assert rows(paths) == [f"D01-{number}" for number in range(5)]
    assert raw_rows(paths, "gridcrm", "quarantine").num_rows == 0, "its quarantine goes with it"
    assert (older["state"], older["superseded_by"]) == ("superseded", newer["file_id"])
    assert (older["records_read"], older["loaded"], older["quarantined"]) == (3, 2, 1), "its account stays"
    landed = paths.landing / "calls" / older["file_id"] / name.name
    assert landed.read_bytes() == calls_csv(1, 3, bad=1), "and its bytes"
    assert ingest.run(feed).rows == {}


def test_the_older_content_sent_again_takes_its_place_back(
    ingest: Ingest, feed, out: Path, paths: Paths
) -> None:
    name = out / "calls_20261101.csv"
    for count in (3, 5, 3):
        name.write_bytes(calls_csv(1, count))
        ingest.run(feed)
        assert len(rows(paths)) == count
    older, newer = by_size(paths)
    assert (older["state"], older["superseded_by"], older["times_seen"]) == ("published", None, 2)
    assert (newer["state"], newer["superseded_by"]) == ("superseded", older["file_id"])


def test_content_that_another_name_still_has_stays(ingest: Ingest, feed, out: Path, paths: Paths) -> None:
    (out / "calls_20261101.csv").write_bytes(calls_csv(1, 3))
    (out / "calls_20261101_copy.csv").write_bytes(calls_csv(1, 3))
    ingest.run(feed)
    (out / "calls_20261101.csv").write_bytes(calls_csv(1, 1))
    ingest.run(feed)
    assert rows(paths) == ["D01-0", "D01-0", "D01-1", "D01-2"]
    (out / "calls_20261101_copy.csv").write_bytes(calls_csv(2, 1))
    ingest.run(feed)
    assert rows(paths) == ["D01-0", "D02-0"]
    assert ingest.ledger.names("calls", by_size(paths)[-1]["sha256"]) == [
        "/out/calls_20261101.csv",
        "/out/calls_20261101_copy.csv",
    ]


def test_a_refused_successor_takes_nothing_away(ingest: Ingest, feed, out: Path, paths: Paths) -> None:
    name = out / "calls_20261101.csv"
    name.write_bytes(calls_csv(1, 3))
    ingest.run(feed)
    name.write_bytes(b"nonsense\n")
    assert ingest.run(feed).refused
    assert len(rows(paths)) == 3
    name.write_bytes(calls_csv(1, 4))
    ingest.run(feed)
    assert len(rows(paths)) == 4
    assert [row["state"] for row in by_size(paths)] == ["superseded", "superseded", "published"]


def test_corrections_are_kept_beside_what_they_correct(
    ingest: Ingest, tmp_path: Path, out: Path, paths: Paths
) -> None:
    feed = make_feed(tmp_path / "feeds", file__on_changed="keep")
    for count in (3, 5):
        (out / "calls_20261101.csv").write_bytes(calls_csv(1, count))
        ingest.run(feed)
    assert len(rows(paths)) == 8
    assert {row["state"] for row in ledger_copy(paths)} == {"published"}


def test_days_that_are_restated_from_what_came_must_lose_nothing_that_went(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match=r"defs.yaml:\d+: partitioned: a partitioned feed keeps"):
        make_feed(tmp_path / "feeds", partitioned=True)
    assert make_feed(tmp_path / "feeds", partitioned=True, file__on_changed="keep").partitioned
