"""New columns, new record types, values of another type: taken, set aside or refused, as the feed says."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from connectors.ingest import FeedError, Ingest
from connectors.paths import Paths
from tests.support.ingest import CALLS, ledger_copy, make_feed, raw_rows

HEADER = b"call_id,dialed_at,talk_seconds,Agent Name,_file_id\n"
LINES = b'1,2026-11-01T12:00:00Z,5,Ann,x\n2,2026-11-01T12:00:00Z,soon,"B, Bob",y\n'
EVENTS = """
source: events
description: Events for tests.
owner: testers
connection: test_sftp
kind: file
schedule: "0 * * * *"
contract: quarantine
file:
  directory: /out
  pattern: "events_{business_date:%Y%m%d}.jsonl"
  complete: none
  format: jsonl
  settings: {discriminator: kind}
tables:
  use:
    description: One row a use.
    columns:
      meter: {type: string, description: Meter}
      started_at: {type: timestamp, description: When}
"""


def undeclared(paths: Paths) -> Any:
    return json.loads(ledger_copy(paths)[0]["undeclared"])


@pytest.mark.parametrize("contract", ["evolve", {"columns": "evolve"}], ids=["word", "mapping"])
def test_a_new_column_of_text_is_taken_as_text(
    ingest: Ingest, tmp_path: Path, out: Path, paths: Paths, contract: Any
) -> None:
    (out / "calls_20261101.csv").write_bytes(HEADER + LINES)
    (out / "calls_20261102.csv").write_bytes(b"call_id,dialed_at,talk_seconds\n3,2026-11-02T12:00:00Z,5\n")
    first = ingest.run(make_feed(tmp_path / "feeds", contract=contract)).files[0]
    assert first.rows == {"call": 1}
    assert first.quarantined == 1, "a value of another type is set aside all the same"
    # A name that would hide one of ours is never taken.
    assert undeclared(paths) == {"call": {"Agent Name": "taken", "_file_id": "left out"}}
    rows = raw_rows(paths, "calls", "call").to_pylist()
    assert sorted((row["call_id"], row["Agent Name"]) for row in rows) == [("1", "Ann"), ("3", None)]


def test_a_new_column_in_quarantine_is_left_out_and_noted_and_comes_by_replay(
    ingest: Ingest, tmp_path: Path, out: Path, paths: Paths
) -> None:
    (out / "calls_20261101.csv").write_bytes(HEADER + LINES)
    report = ingest.run(make_feed(tmp_path / "feeds"))
    assert report.files[0].undeclared == {"call": {"Agent Name": "left out", "_file_id": "left out"}}
    assert "Agent Name" not in raw_rows(paths, "calls", "call").column_names
    taken = make_feed(tmp_path / "feeds", contract={"columns": "evolve", "types": "evolve"})
    (done,) = ingest.replay(taken)
    assert (done.healed, done.loaded) == (1, 2)
    names = ("call_id", "talk_seconds", "talk_seconds__text", "Agent Name")
    rows = [tuple(row[name] for name in names) for row in raw_rows(paths, "calls", "call").to_pylist()]
    assert sorted(rows) == [("1", 5, None, "Ann"), ("2", None, "soon", "B, Bob")]


def test_a_frozen_column_refuses_the_file_and_names_it(ingest: Ingest, tmp_path: Path, out: Path) -> None:
    (out / "calls_20261101.csv").write_bytes(HEADER + LINES)
    feed = make_feed(tmp_path / "feeds", tables__call__contract={"columns": "freeze"})
    (refused,) = ingest.run(feed).refused
    assert (
        "column 'Agent Name' is in the header line but not declared, which contract freeze" in refused.message
    )


@pytest.mark.parametrize("level", ["feed", "table", "column"])
def test_a_frozen_type_refuses_the_file_wherever_it_is_said(
    ingest: Ingest, tmp_path: Path, out: Path, level: str
) -> None:
    (out / "calls_20261101.csv").write_bytes(HEADER + LINES)
    changes: dict[str, Any] = {
        "feed": {"contract": {"types": "freeze"}},
        "table": {"tables__call__contract": {"types": "freeze"}},
        "column": {"tables__call__columns__talk_seconds__contract": "freeze"},
    }[level]
    (refused,) = ingest.run(make_feed(tmp_path / "feeds", **changes)).refused
    assert "record 3: call.talk_seconds is not a valid int32, which contract freeze" in refused.message
    assert "soon" not in refused.message


def test_the_nearest_word_counts(ingest: Ingest, tmp_path: Path, out: Path) -> None:
    (out / "calls_20261101.csv").write_bytes(HEADER + LINES)
    feed = make_feed(
        tmp_path / "feeds",
        contract={"types": "freeze", "columns": "freeze"},
        tables__call__contract={"columns": "quarantine"},
        tables__call__columns__talk_seconds__contract="evolve",
    )
    (outcome,) = ingest.run(feed).files
    assert (outcome.state, outcome.loaded) == ("loaded", 2)


def test_files_of_one_archive_may_have_other_columns(
    ingest: Ingest, tmp_path: Path, out: Path, paths: Paths
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.csv", b"call_id,dialed_at,talk_seconds,extra\n1,2026-11-01,5,x\n")
        archive.writestr("b.csv", b"talk_seconds,other,call_id,dialed_at\n5,y,2,2026-11-01\nbad,z,3,\n")
    (out / "calls_20261101.csv.zip").write_bytes(buffer.getvalue())
    feed = make_feed(tmp_path / "feeds", contract="evolve")
    ingest.run(feed)
    rows = {
        row["call_id"]: (row["extra"], row["other"]) for row in raw_rows(paths, "calls", "call").to_pylist()
    }
    assert rows == {"1": ("x", None), "2": (None, "y")}
    (aside,) = raw_rows(paths, "gridcrm", "quarantine").to_pylist()
    assert aside["member"].endswith("b.csv")
    assert aside["record_no"] == 3


def lines(*entries: Any) -> bytes:
    return b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)


GOOD = {"kind": "use", "meter": "M1", "started_at": "2026-11-01T00:00:00Z"}


def test_new_fields_of_events_are_taken_as_what_they_are(
    ingest: Ingest, tmp_path: Path, out: Path, paths: Paths
) -> None:
    (out / "events_20261101.jsonl").write_bytes(
        lines(
            {**GOOD, "watts": 3, "note": "2026-01-01", "is_on": True, "share": 1, "list": [1], "mixed": 1},
            {**GOOD, "watts": 4, "share": 0.5, "mixed": "one", "empty": None},
        )
    )
    ingest.run(make_feed(tmp_path / "feeds", EVENTS, contract="evolve"))
    assert undeclared(paths) == {
        "use": {"watts": "taken", "note": "taken", "is_on": "taken", "share": "taken", "list": "left out",
                "mixed": "left out"}
    }  # fmt: skip
    rows = raw_rows(paths, "events", "use").to_pylist()
    assert [(row["watts"], row["note"], row["is_on"], row["share"]) for row in rows] == [
        (3, "2026-01-01", True, 1.0),
        (4, None, None, 0.5),
    ]


def test_a_new_record_type_is_set_aside_becomes_a_table_or_refuses(
    ingest: Ingest, tmp_path: Path, out: Path, paths: Paths
) -> None:
    (out / "events_20261101.jsonl").write_bytes(lines(GOOD, {"kind": "tamper", "meter": "M1", "count": 2}))
    (outcome,) = ingest.run(make_feed(tmp_path / "feeds", EVENTS)).files
    assert (outcome.loaded, outcome.reasons) == (1, {"unknown_record_type": 1})
    assert outcome.undeclared == {"tamper": {"*": "left out"}}
    frozen = make_feed(tmp_path / "feeds", EVENTS, contract={"tables": "freeze"})
    (refused,) = ingest.replay(frozen)
    assert "record type 'tamper' is of no declared table" in refused.message
    (done,) = ingest.replay(make_feed(tmp_path / "feeds", EVENTS, contract={"tables": "evolve"}))
    assert (done.healed, done.loaded) == (1, 2)
    (row,) = raw_rows(paths, "events", "tamper").to_pylist()
    assert (row["meter"], row["count"], row["_record_no"]) == ("M1", 2, 2)


def test_a_frozen_field_refuses_and_bad_lines_do_not_hide_it(
    ingest: Ingest, tmp_path: Path, out: Path
) -> None:
    (out / "events_20261101.jsonl").write_bytes(b"{broken\n[1]\n" + lines(GOOD, {**GOOD, "watts": 1}))
    (refused,) = ingest.run(make_feed(tmp_path / "feeds", EVENTS, contract="freeze")).refused
    assert "field 'watts' is not declared" in refused.message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"contract": "evolv"}, "contract: must be one of evolve, freeze, quarantine"),
        ({"contract": {"column": "freeze"}}, "contract.column: unknown key; did you mean 'columns'?"),
        ({"tables__call__contract": {"types": "thaw"}}, "tables.call.contract.types: Input should be"),
    ],
)
def test_a_contract_that_means_nothing(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FeedError, match=r"^calls/defs.yaml:\d+: ") as caught:
        make_feed(tmp_path / "feeds", CALLS, **changes)
    assert message in str(caught.value)


def test_a_promise_that_a_format_cannot_keep_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match=r"events/defs.yaml:\d+: contract.types: types evolve in delimited"):
        make_feed(tmp_path / "feeds", EVENTS, contract={"types": "evolve"})
