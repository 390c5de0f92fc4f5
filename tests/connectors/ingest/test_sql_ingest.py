"""Rows of a live database: once a version, late commits found, deletes found, counts reconciled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from connectors.ingest import FeedConfig, FeedReport, Ingest
from connectors.paths import Paths
from connectors.transport import TransportError
from tests.support.ingest import ledger_copy, make_connections, make_feed, raw_rows
from tests.support.postgres import PostgresTestServer

LEDGER = """
source: books
description: A ledger for tests.
owner: testers
connection: test_sql
kind: sql
schedule: "0 * * * *"
contract: quarantine
sql: {schema: books, overlap: 1h, deletes: sweep}
tables:
  invoice:
    description: One row a version of an invoice.
    key: [invoice_id]
    cursor: updated_at
    columns:
      invoice_id: {type: bigint, description: Invoice}
      amount_usd: {type: "decimal(8,2)", description: Amount}
      due_date: {type: date, description: Due}
      is_paid: {type: boolean, description: Paid}
      updated_at: {type: timestamp, description: Last change}
  flag:
    description: One row a version of a flag.
    key: [account_no, flag]
    cursor: updated_at
    columns:
      account_no: {type: string, description: Account}
      flag: {type: string, description: Flag}
      updated_at: {type: timestamp, description: Last change}
"""
DDL = """
create schema books;
create table books.invoice(invoice_id bigint, amount_usd numeric(12,2), due_date date, is_paid boolean,
                           updated_at timestamptz);
create table books.flag(account_no text, flag text, updated_at timestamptz, primary key (account_no, flag));
insert into books.invoice
select n, n / 4.0, date '2026-01-01' + n, n % 2 = 0, timestamptz '2026-01-01Z' + n * interval '1 min'
from generate_series(1, 3000) n;
insert into books.flag
select lpad(n::text, 12, '0'), 'medical', timestamptz '2026-01-01Z' + n * interval '1 h'
from generate_series(1, 20) n;
"""


@dataclass
class Books:
    engine: sa.Engine
    ingest: Ingest
    paths: Paths
    feed: FeedConfig

    def do(self, statement: str) -> None:
        with self.engine.begin() as session:
            session.execute(sa.text(statement))

    def run(self) -> dict[str, Any]:
        report = self.ingest.run(self.feed)
        assert report.balance_ok
        return {outcome.name.removeprefix("books."): outcome for outcome in report.files}

    def invoices(self, *ids: int) -> list[tuple[Any, ...]]:
        rows = raw_rows(self.paths, "books", "invoice").to_pylist()
        rows.sort(key=lambda row: (row["invoice_id"], row["_loaded_at"]))
        return [
            (row["invoice_id"], row["amount_usd"], row["_is_deleted"])
            for row in rows
            if row["invoice_id"] in ids
        ]


@pytest.fixture
def books(postgres: PostgresTestServer, tmp_path: Path, paths: Paths) -> Iterator[Books]:
    database = postgres.create_database()
    engine = postgres.engine(database)
    with engine.begin() as session:
        session.execute(sa.text(DDL))
    ingest = Ingest(paths, make_connections(tmp_path, postgres.connection(database)))
    yield Books(engine, ingest, paths, make_feed(tmp_path / "feeds", LEDGER))
    ingest.close()


def test_a_second_run_brings_nothing(books: Books) -> None:
    first = books.run()
    assert (first["invoice"].state, first["invoice"].rows) == ("loaded", {"invoice": 3000})
    assert first["invoice"].control_totals == [
        {"name": "rows at source", "declared": 3000, "found": 3000, "ok": True, "state": "holds"}
    ]
    second = books.run()
    assert {outcome.state for outcome in second.values()} == {"known"}
    assert second["invoice"].superseded == second["invoice"].records_read > 0, "the overlap is read again"
    assert raw_rows(books.paths, "books", "invoice").num_rows == 3000
    assert raw_rows(books.paths, "books", "flag").num_rows == 20
    assert len(ledger_copy(books.paths)) == 2


def test_changes_are_new_versions(books: Books) -> None:
    books.run()
    books.do("update books.invoice set amount_usd = 99.99, updated_at = now() where invoice_id = 7")
    assert [(item.name, item.size) for item in books.ingest.pending(books.feed)] == [("books.invoice", 1)]
    assert books.run()["invoice"].rows == {"invoice": 1}
    assert [(key, str(amount)) for key, amount, _ in books.invoices(7)] == [(7, "1.75"), (7, "99.99")]
    assert books.ingest.pending(books.feed) == []
    assert books.run()["invoice"].rows == {}


def test_a_row_committed_late_below_the_watermark_is_not_lost(books: Books) -> None:
    books.run()
    with books.engine.connect() as slow, slow.begin() as transaction:
        # Stamped long before the overlap begins, still open while others commit and we pull.
        slow.execute(
            sa.text("insert into books.invoice values (9001, 5, '2026-01-01', false, '2026-01-01 00:30Z')")
        )
        slow.execute(
            sa.text(
                "update books.flag set updated_at = '2026-01-01 00:45Z' where account_no = '000000000003'"
            )
        )
        books.do("insert into books.invoice values (9002, 6, '2026-01-01', false, now())")
        assert books.run()["invoice"].rows == {"invoice": 1}
        transaction.commit()
    late = books.run()
    assert late["invoice"].rows == {"invoice": 1}
    assert late["flag"].rows == {"flag": 1}
    assert [key for key, *_ in books.invoices(9001, 9002)] == [9001, 9002]
    assert books.run()["invoice"].rows == {}


def test_many_rows_committed_late_are_read_in_one_go(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.ingest.sql_pull._LATE_BY_KEY", 10)
    books.run()
    books.do(
        "insert into books.invoice select n, 1, null, null, timestamptz '2026-01-01Z' "
        "from generate_series(5001, 5050) n"
    )
    outcome = books.run()["invoice"]
    assert outcome.loaded == 50
    assert outcome.control_totals[0]["ok"]


def test_deletes_are_found_and_may_come_back(books: Books) -> None:
    books.run()
    books.do("delete from books.invoice where invoice_id in (7, 8)")
    outcome = books.run()["invoice"]
    assert outcome.rows == {"invoice": 2}
    assert outcome.message == "2 deleted at the source"
    assert [(key, deleted) for key, _, deleted in books.invoices(7)] == [(7, False), (7, True)]
    assert books.run()["invoice"].rows == {}
    # The very same version again, as after a restore.
    books.do(
        "insert into books.invoice values (7, 1.75, '2026-01-08', false, timestamptz '2026-01-01 00:07Z')"
    )
    assert books.run()["invoice"].rows == {"invoice": 1}
    assert [deleted for _, _, deleted in books.invoices(7)] == [False, True, False]
    assert books.run()["invoice"].rows == {}


def test_without_a_sweep_a_wrong_count_still_finds_what_is_missing(books: Books, tmp_path: Path) -> None:
    books.feed = make_feed(tmp_path / "feeds", LEDGER, sql__deletes="none")
    books.run()
    books.do("delete from books.invoice where invoice_id = 8")
    assert books.run()["invoice"].rows == {}
    books.do(
        "insert into books.invoice select n, 5, null, null, '2026-01-01 00:30Z' "
        "from generate_series(9001, 9002) n"
    )
    assert books.run()["invoice"].rows == {"invoice": 2}


def test_rows_that_do_not_fit_go_aside_once(books: Books) -> None:
    books.run()
    books.do(
        "insert into books.invoice values (9001, 1234567890.12, null, null, now()), "
        "(9002, 5, null, null, now())"
    )
    outcome = books.run()["invoice"]
    assert (outcome.state, outcome.loaded, outcome.quarantined) == ("quarantined_some", 1, 1)
    (kept,) = raw_rows(books.paths, "gridcrm", "quarantine").to_pylist()
    assert b"1234567890.12" in kept["raw"]
    assert kept["reason"] == "column amount_usd does not fit its declared type"
    again = books.run()["invoice"]
    assert (again.state, again.rows) == ("known", {})
    assert raw_rows(books.paths, "gridcrm", "quarantine").num_rows == 1


def test_a_key_that_is_not_unique_is_refused_and_the_other_table_loads(books: Books) -> None:
    books.do("insert into books.invoice select * from books.invoice where invoice_id = 1")
    outcome = books.run()
    assert outcome["invoice"].state == "refused"
    assert "is its key (invoice_id) unique?" in outcome["invoice"].message
    assert outcome["flag"].rows == {"flag": 20}
    assert raw_rows(books.paths, "books", "invoice").num_rows == 0


@pytest.mark.parametrize(
    ("contract", "change", "refused"),
    [
        ("freeze", "add column note text", "has undeclared note"),
        ("quarantine", "add column note text", None),
        ("evolve", "add column note text", None),
        ("quarantine", "drop column due_date", "lacks due_date"),
        ("evolve", "drop column due_date", None),
        ("evolve", "drop column updated_at", "lacks updated_at"),
    ],
)
def test_the_contract_decides_about_columns(
    books: Books, tmp_path: Path, contract: str, change: str, refused: str | None
) -> None:
    books.feed = make_feed(tmp_path / "feeds", LEDGER, contract=contract)
    books.run()
    books.do(f"alter table books.invoice {change}")
    books.do("insert into books.invoice(invoice_id) values (9001)")
    if "updated_at" not in change:
        books.do("update books.invoice set updated_at = now() where invoice_id = 9001")
    outcome = books.run()["invoice"]
    assert (outcome.state == "refused") == (refused is not None)
    assert (refused or "") in outcome.message
    if refused is None:
        assert len(books.invoices(9001)) == 1
        (path,) = (books.paths.raw / "books" / "invoice").glob(f"*/{outcome.file_id}.parquet")
        assert ("note" in pq.read_schema(path).names) == (contract == "evolve" and change.startswith("add"))


def test_a_table_that_is_not_there_is_named(books: Books) -> None:
    books.do("drop table books.flag")
    outcome = books.run()
    assert outcome["invoice"].state == "loaded"
    assert outcome["flag"].state == "refused"
    assert "there is no table flag" in outcome["flag"].message


def test_a_wrong_password_is_one_line(
    postgres: PostgresTestServer, books: Books, tmp_path: Path, paths: Paths
) -> None:
    wrong = make_connections(tmp_path, postgres.connection("postgres", password="wrong-horse"))
    with pytest.raises(TransportError) as caught:
        Ingest(paths, wrong).run(books.feed)
    assert "connection test_sql" in str(caught.value)
    assert "wrong-horse" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_kill_between_publishing_and_noting_is_finished(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    from connectors.ingest.staging import Publisher

    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Publisher, "_finish", killed)
        with pytest.raises(KeyboardInterrupt):
            books.ingest.run(books.feed)
    report: FeedReport = books.ingest.run(books.feed)
    assert report.messages == ["books.invoice: a run that was killed while publishing was finished"]
    assert report.rows == {"flag": 20}, "the invoices were staged and are published, not pulled again"
    assert raw_rows(books.paths, "books", "invoice").num_rows == 3000
