"""GridCRM's own books in the warehouse: they add up, say who was meant, and hold no personal value."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import duckdb
import pytest

from tests.dbt_project import town_books
from tests.dbt_project.conftest import Warehouse, run_dbt
from tests.dbt_project.raw_tables import contact_id, customer_id, write

BOOKS = {
    "staging.stg_gridcrm__ingestion_ledger",
    "staging.stg_gridcrm__quarantine",
    "staging.stg_gridcrm__push_receipt",
    "unified.ingestion_ledger",
    "unified.ingestion_quarantine",
    "unified.fct_push_receipt",
    "unified.identity_review_queue",
}


def test_ledger_says_what_became_of_each_file(warehouse: Warehouse) -> None:
    found = warehouse.rows(
        """
        select file_id, state, is_balanced, n_control_totals, n_control_totals_wrong, business_date is null
        from unified.ingestion_ledger order by file_id
        """
    )
    assert found == [
        (town_books.GOOD, "published", True, 2, 0, False),
        (town_books.TORN, "refused", None, 2, 1, False),
        (town_books.LANDED, "landed", None, 0, 0, False),
        (town_books.PULL, "published", True, 0, 0, True),
        (town_books.OLDER, "superseded", True, 2, 0, False),
    ]
    assert warehouse.rows(
        "select file_id, superseded_by_file_id from unified.ingestion_ledger where state = 'superseded'"
    ) == [(town_books.OLDER, town_books.GOOD)]


def test_quarantine_says_what_waits_for_a_fix_and_what_was_healed(warehouse: Warehouse) -> None:
    found = warehouse.rows(
        """
        select record_no, archive_member, rule, state, replayed_at is not null, business_date is not null
        from unified.ingestion_quarantine order by record_no
        """
    )
    assert found == [
        (3, "a.csv", "bad_value", "open", False, True),
        (7, "a.csv", "bad_value", "open", False, True),
        (8, "a.csv", "bad_value", "healed", True, True),
    ]


def test_receipt_names_the_customer_who_was_meant(warehouse: Warehouse) -> None:
    found = warehouse.rows(
        "select push, customer_id, state, message from unified.fct_push_receipt order by receipt_id"
    )
    assert found == [
        ("campaign_audience", customer_id(1), "sent", None),
        ("letters", customer_id(2), "rejected", "no such <postcode>"),
        ("crm_inbound_card", customer_id(3), "sent", None),
        ("crm_inbound_card", None, "sent", None),
        ("crm_account_alert", customer_id(4), "sent", None),
    ]


def test_queue_names_both_customers(warehouse: Warehouse) -> None:
    assert warehouse.rows(
        "select customer_id_l, record_id_r, customer_id_r from unified.identity_review_queue"
    ) == [(customer_id(1), f"crm:{contact_id(2)}", customer_id(2))]


@pytest.mark.parametrize("model", sorted(BOOKS))
def test_books_hold_no_personal_value(warehouse: Warehouse, model: str) -> None:
    rows = warehouse.rows(f"from {model}")
    assert rows
    text = repr(rows)
    assert town_books.SECRET_IN_BYTES not in text
    assert town_books.PHONE not in text
    assert not any(isinstance(value, bytes) for row in rows for value in row)


@pytest.mark.parametrize(
    ("counts", "record_nos"),
    [((10, 7, 2, 2), (3, 7)), ((10, 6, 2, 2), (3,))],
    ids=["records-do-not-add-up", "record-missing-from-quarantine"],
)
def test_file_that_does_not_balance_is_found(
    warehouse: Warehouse, tmp_path: Path, counts: tuple[int, ...], record_nos: tuple[int, ...]
) -> None:
    """The built town with one book falsified: the test that watches them fails."""
    for table in ("ingestion_ledger", "quarantine"):
        shutil.copytree(warehouse.data / "raw/gridcrm" / table, tmp_path / "raw/gridcrm" / table)
    ledger = tmp_path / "raw/gridcrm/ingestion_ledger/load_date=1970-01-01/ledger.parquet"
    row = duckdb.sql(
        f"select * exclude (load_date) from '{ledger}' where file_id = '{town_books.GOOD}'"
    ).fetchall()[0]
    ledger.unlink()
    write(tmp_path, "gridcrm/ingestion_ledger", [(*row[:9], *counts, *row[13:])], date(1970, 1, 1), "ledger")
    (quarantine,) = (tmp_path / "raw/gridcrm/quarantine").glob("*/mdm-*.parquet")
    rows = duckdb.sql(f"select * exclude (load_date) from '{quarantine}'").fetchall()
    load_date = date.fromisoformat(quarantine.parent.name.removeprefix("load_date="))
    kept = [row for row in rows if row[3] in record_nos]
    write(tmp_path, "gridcrm/quarantine", kept, load_date, quarantine.stem)
    models = "stg_gridcrm__ingestion_ledger ingestion_ledger stg_gridcrm__quarantine"
    watcher = "every_published_file_balances"
    only = ("--indirect-selection", "empty", "--select", *models.split(), watcher)
    result = run_dbt(tmp_path, "build", *only)
    assert result.returncode == 1
    assert "PASS=3 WARN=0 ERROR=1 SKIP=0" in result.stdout
    assert "Got 1 result" in result.stdout
