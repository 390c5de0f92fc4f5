"""After a fix: what was set aside is decoded again from landing, and what changed is said."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from connectors.errors import GridCRMError
from connectors.ingest import Choice, Ingest
from connectors.paths import Paths
from tests.support.ingest import calls_csv, ledger_copy, make_connections, make_feed, raw_rows
from tests.support.postgres import PostgresTestServer


def lenient(tmp_path: Path):
    """The feed after its fix: talk times are text."""
    return make_feed(tmp_path / "feeds", tables__call__columns__talk_seconds__type="string")


def test_bad_records_are_kept_aside_and_heal_after_a_fix(
    ingest: Ingest, tmp_path: Path, out: Path, paths: Paths
) -> None:
    (out / "calls_20261101.csv").write_bytes(calls_csv(1, 10, bad=2))
    (out / "calls_20261102.csv").write_bytes(calls_csv(2, 5))
    report = ingest.run(make_feed(tmp_path / "feeds"))
    outcome = report.files[0]
    assert outcome.state == "quarantined_some"
    assert (outcome.records_read, outcome.loaded, outcome.quarantined) == (10, 8, 2)
    kept = raw_rows(paths, "gridcrm", "quarantine").to_pylist()
    assert len(kept) == 2
    assert kept[0]["raw"].rstrip() == b"D01-0,2026-11-01T12:00:00-06:00,soon"
    assert (kept[0]["source"], kept[0]["record_no"], kept[0]["file_id"]) == ("calls", 2, outcome.file_id)
    assert (kept[0]["column_name"], kept[0]["state"], kept[0]["replayed_at"]) == (
        "talk_seconds",
        "open",
        None,
    )
    assert "soon" not in kept[0]["reason"]

    (same,) = ingest.replay(make_feed(tmp_path / "feeds"))
    assert (same.name, same.healed, same.still_bad, same.newly_bad) == ("calls_20261101.csv", 0, 2, 0)
    assert not same.is_changed
    again = raw_rows(paths, "gridcrm", "quarantine").to_pylist()
    assert [row["quarantined_at"] for row in again] == [row["quarantined_at"] for row in kept]
    assert all(row["last_seen_at"] > row["quarantined_at"] for row in again)

    feed = lenient(tmp_path)
    (trial,) = ingest.replay(feed, dry_run=True)
    assert (trial.healed, trial.still_bad, trial.loaded_before, trial.loaded) == (2, 0, 8, 10)
    assert raw_rows(paths, "calls", "call").num_rows == 13, "a dry run writes nothing"
    assert {row["state"] for row in raw_rows(paths, "gridcrm", "quarantine").to_pylist()} == {"open"}
    assert not [path for path in (paths.state / "staging").rglob("*") if path.is_file()]

    (healed,) = ingest.replay(feed)
    assert (healed.healed, healed.still_bad, healed.loaded) == (2, 0, 10)
    assert raw_rows(paths, "calls", "call").num_rows == 15
    rows = raw_rows(paths, "gridcrm", "quarantine").to_pylist()
    assert [(row["state"], row["quarantined_at"]) for row in rows] == [
        ("healed", row["quarantined_at"]) for row in kept
    ]
    assert all(row["replayed_at"] > row["quarantined_at"] for row in rows)
    assert ingest.replay(feed) == [], "nothing is left to mend"

    strict = make_feed(tmp_path / "feeds")
    (worse,) = ingest.replay(strict, Choice(files=["calls_20261101.csv"]))
    assert (worse.healed, worse.newly_bad, worse.loaded) == (0, 2, 8)
    assert {row["state"] for row in raw_rows(paths, "gridcrm", "quarantine").to_pylist()} == {"open"}
    assert [d["loaded"] for d in ingest.ledger.decodings("calls", _sha(ingest, outcome.file_id))] == [
        8,
        8,
        10,
        8,
    ]


def _sha(ingest: Ingest, file_id: str) -> str:
    return next(row["sha256"] for row in ingest.ledger.rows("calls") if row["file_id"] == file_id)


def test_a_refused_file_is_decoded_again_from_landing_when_the_server_is_gone(
    ingest: Ingest, tmp_path: Path, out: Path, paths: Paths
) -> None:
    (out / "calls_20261101.csv").write_bytes(calls_csv(1, 3).replace(b",", b";"))
    assert ingest.run(make_feed(tmp_path / "feeds")).refused
    (out / "calls_20261101.csv").unlink()
    (mended,) = ingest.replay(make_feed(tmp_path / "feeds", file__settings={"delimiter": ";"}))
    assert (mended.state, mended.loaded) == ("published", 3)
    assert ledger_copy(paths)[0]["state"] == "published"


def test_what_is_then_refused_keeps_what_was_published(
    ingest: Ingest, tmp_path: Path, out: Path, paths: Paths
) -> None:
    (out / "calls_20261101.csv").write_bytes(calls_csv(1, 10))
    ingest.run(make_feed(tmp_path / "feeds"))
    wrong = make_feed(tmp_path / "feeds", file__settings={"delimiter": ";"})
    (refused,) = ingest.replay(wrong, Choice(everything=True))
    assert refused.state == "refused"
    assert "check the feed's columns" in refused.message
    assert raw_rows(paths, "calls", "call").num_rows == 10
    assert ledger_copy(paths)[0]["state"] == "published"


def test_files_are_chosen_by_rule_by_name_and_by_age_of_their_decoding(
    ingest: Ingest, tmp_path: Path, out: Path
) -> None:
    (out / "calls_20261101.csv").write_bytes(calls_csv(1, 3, bad=1))
    (out / "calls_20261102.csv").write_bytes(calls_csv(2, 3) + b"only,two\n")
    (out / "calls_20261103.csv").write_bytes(calls_csv(3, 3))
    feed = make_feed(tmp_path / "feeds")
    ingest.run(feed)

    def names(choice: Choice, feed=feed) -> list[str]:
        return [done.name for done in ingest.replay(feed, choice, dry_run=True)]

    assert names(Choice(rule="field_count")) == ["calls_20261102.csv"]
    assert names(Choice(files=["calls_20261103.csv"])) == ["calls_20261103.csv"]
    assert names(Choice(outdated=True)) == []
    changed = lenient(tmp_path)
    assert len(names(Choice(outdated=True), changed)) == 3
    ingest.replay(changed, Choice(outdated=True))
    assert names(Choice(outdated=True), changed) == []
    with pytest.raises(GridCRMError, match=r"never took a file 'calls_x\.csv'"):
        names(Choice(files=["calls_x.csv"]))


def test_a_newer_decoder_finds_what_an_older_one_decoded(
    ingest: Ingest, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from connectors.formats import delimited

    (out / "calls_20261101.csv").write_bytes(calls_csv(1, 3))
    feed = make_feed(tmp_path / "feeds")
    ingest.run(feed)
    monkeypatch.setattr(delimited, "FORMAT", replace(delimited.FORMAT, version="99"))
    assert [done.loaded for done in ingest.replay(feed, Choice(outdated=True))] == [3]
    history = ingest.ledger.decodings("calls", ingest.ledger.rows("calls")[0]["sha256"])
    assert [d["decoder_version"] for d in history] == ["delimited/1", "delimited/99"]
    assert ingest.replay(feed, Choice(outdated=True)) == []


BOOKS = """
source: books
description: A ledger for tests.
owner: testers
connection: test_sql
kind: sql
schedule: "0 * * * *"
contract: quarantine
sql: {schema: books}
tables:
  invoice:
    description: One row a version of an invoice.
    key: [invoice_id]
    cursor: updated_at
    columns:
      invoice_id: {type: bigint, description: Invoice}
      amount_usd: {type: "decimal(5,2)", description: Amount}
      updated_at: {type: timestamp, description: Last change}
"""


def test_rows_of_a_database_are_read_again_by_key(
    tmp_path: Path, paths: Paths, postgres: PostgresTestServer
) -> None:
    database = postgres.create_database()
    engine = postgres.engine(database)
    with engine.begin() as session:
        session.execute(sa.text("create schema books"))
        session.execute(
            sa.text(
                "create table books.invoice(invoice_id bigint, amount_usd numeric, updated_at timestamptz)"
            )
        )
        session.execute(
            sa.text(
                "insert into books.invoice select n, case when n in (3, 9) then 12345.5 else n end, "
                "timestamptz '2026-01-01Z' + n * interval '1 day' from generate_series(1, 20) n"
            )
        )
    ingest = Ingest(paths, make_connections(tmp_path, postgres.connection(database)))
    ingest.run(make_feed(tmp_path / "feeds", BOOKS))
    assert raw_rows(paths, "books", "invoice").num_rows == 18
    (same,) = ingest.replay(make_feed(tmp_path / "feeds", BOOKS))
    assert (same.state, same.healed, same.still_bad) == ("open", 0, 2)

    wide = make_feed(tmp_path / "feeds", BOOKS, tables__invoice__columns__amount_usd__type="decimal(9,2)")
    with pytest.raises(GridCRMError, match="which a dry run cannot do"):
        ingest.replay(wide, dry_run=True)
    (healed,) = ingest.replay(wide)
    assert (healed.state, healed.healed, healed.still_bad) == ("healed", 2, 0)
    assert raw_rows(paths, "books", "invoice").num_rows == 20
    assert {row["state"] for row in raw_rows(paths, "gridcrm", "quarantine").to_pylist()} == {"healed"}
    for row in ledger_copy(paths):
        assert row["records_read"] == row["loaded"] + row["superseded"] + row["quarantined"]
        assert row["quarantined"] == 0
    ingest.close()
    engine.dispose()
