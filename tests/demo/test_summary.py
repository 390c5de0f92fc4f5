"""The closing summary says what the books say: counts, balance, what is new, what was withheld and why."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from connectors.activation.receipts import RECEIPT_SCHEMA
from connectors.ingest.ledger import LEDGER_SCHEMA
from connectors.paths import Paths
from demo.books import collect
from demo.summary import decimal, duration, headline, kinds_text, number, render
from orchestration.scoring.contract import MODEL_EVAL_SCHEMA

BEGAN = datetime(2026, 11, 16, 6, tzinfo=UTC)
EARLIER, NOW = BEGAN - timedelta(days=1), BEGAN + timedelta(minutes=1)


def write(file: Path, rows: list[dict], schema: pa.Schema | None = None) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if schema is not None:
        rows = [{name: row.get(name) for name in schema.names} for row in rows]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), file)


def entry(source: str, name: str, **changes) -> dict:
    return {
        "source": source,
        "name": name,
        "path": f"/{name}",
        "sha256": name,
        "file_id": name[:16],
        "state": "published",
        "records_read": 10,
        "loaded": 7,
        "superseded": 2,
        "quarantined": 1,
        "row_counts": '{"a": 4, "b": 3}',
        "control_totals": "[]",
        "reasons": "{}",
        "last_seen_at": NOW,
        "published_at": EARLIER,
        **changes,
    }


@pytest.fixture
def books(paths: Paths) -> Paths:
    """Two runs' worth of books in the schemas of their keepers."""
    totals = json.dumps([{"name": "count(bill)", "ok": True}, {"name": "sum(bill.amount)", "ok": True}])
    write(
        paths.raw / "gridcrm/ingestion_ledger/load_date=2026-11-16/part.parquet",
        [
            entry("mdm", "reads1"),
            entry("mdm", "reads2", published_at=NOW),
            entry("mdm", "broken", state="refused", reason="truncated", published_at=None),
            entry("cis", "extract", control_totals=totals),
            # An earlier export of the same file is not a second file.
            entry("cis", "extract", state="publishing", last_seen_at=EARLIER, published_at=None),
            entry("weather", "lost", loaded=6),
            entry("oms", "differs", control_totals='[{"name": "count", "ok": false}]'),
        ],
        LEDGER_SCHEMA,
    )
    write(
        paths.raw / "gridcrm/customer_xref/load_date=1970-01-01/all.parquet",
        [
            {"customer_id": f"C{n // 2}", "record_id": f"{'crm' if n % 3 else 'cis'}:{n}", "source": source}
            for n in range(12)
            for source in ["crm" if n % 3 else "cis"]
        ],
    )
    scored = paths.scores / "non_payment/as_of_date=2026-11-15/part.parquet"
    write(scored, [{"subject_id": f"C{n}", "eligible": n != 0} for n in range(6)])
    write(
        paths.scores / "non_payment/as_of_date=2026-11-14/part.parquet",
        [{"subject_id": "x", "eligible": True}],
    )
    evaluation = {"score": "non_payment", "as_of_date": date(2026, 11, 15), "n": 900}
    write(
        paths.scores / "model_eval/as_of_date=2026-11-15/non_payment.parquet",
        [
            {**evaluation, "metric": "calibration_error", "value": 0.021, "slice": "unseen"},
            {**evaluation, "metric": "auc", "value": 0.8149, "baseline": 0.702, "slice": "unseen"},
            {**evaluation, "metric": "auc", "value": 0.77, "baseline": 0.7, "slice": "segment A"},
            {**evaluation, "metric": "rank_correlation", "value": 0.66, "slice": "truth"},
            {**evaluation, "metric": "broken", "value": float("nan"), "slice": "truth"},
        ],
        MODEL_EVAL_SCHEMA,
    )
    reasons = [None] * 5 + ["no_consent"] * 3 + ["holdout"]
    write(
        paths.published / "push/push_campaign_audience.parquet",
        [{"member_key": f"m{n}", "withheld_reason": reason} for n, reason in enumerate(reasons)],
    )
    write(paths.published / "push/push_letters.parquet", [{"letter_id": "l", "withheld_reason": "disputed"}])

    def receipt(number: int, key: str, state: str, at: datetime, op: str = "create") -> dict:
        return {
            "receipt_id": number,
            "push": "campaign_audience",
            "key": key,
            "op": op,
            "state": state,
            "recorded_at": at,
        }

    write(
        paths.raw / "gridcrm/push_receipt/load_date=2026-11-16/receipts.parquet",
        [
            receipt(1, "m0", "sent", EARLIER),
            receipt(2, "m1", "rejected", EARLIER),
            receipt(3, "m1", "sent", NOW),  # rejected once, taken now
            receipt(4, "m2", "sent", NOW),
            receipt(5, "m2", "sent", NOW, "update"),
            receipt(6, "m3", "rejected", NOW),
            receipt(7, "m9", "sent", NOW, "delete"),
        ],
        RECEIPT_SCHEMA,
    )
    calls = [
        {
            "call_id": f"c{n}",
            "call_key": None if n < 3 else "k",
            "disposition": "busy" if n < 8 else "answered_rpc",
        }
        for n in range(10)
    ]
    write(paths.raw / "dialer/call/load_date=2026-11-16/f1.parquet", calls)
    write(paths.raw / "dialer/call/load_date=2026-11-16/f2.parquet", calls)  # the same calls in a later file
    return paths


def text_of(books: Paths, seconds: float = 125.0, width: int = 120) -> str:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(render(collect(books, BEGAN), books, seconds))
    return out.getvalue()


def test_feeds_are_counted_once_in_the_order_of_the_flow(books):
    feeds = {feed["source"]: feed for feed in collect(books, BEGAN).feeds}
    assert list(feeds) == ["cis", "mdm", "oms", "weather"]
    mdm, cis = feeds["mdm"], feeds["cis"]
    assert (mdm["files"], mdm["new_files"], mdm["refused"]) == (2, 1, 1)
    assert (mdm["read"], mdm["loaded"], mdm["superseded"], mdm["quarantined"]) == (20, 14, 4, 2)
    assert mdm["rows"] == 14
    assert (cis["files"], cis["new_files"], cis["totals"], cis["totals_ok"]) == (1, 0, 2, 2)


def test_an_account_that_does_not_balance_is_not_shown_as_one(books):
    lines = {line.split()[0]: line for line in text_of(books).splitlines() if line.strip()}
    assert "✓ 7 loaded, 2 superseded, 1 quarantined; 2 control totals met" in lines["cis"]
    assert "✓ 14 loaded, 4 superseded, 2 quarantined; 1 file refused" in lines["mdm"]
    assert "✗ 1 control total not met" in lines["oms"]
    assert "✗ records are missing: 6 loaded" in lines["weather"]


def test_receipts_say_what_was_sent_what_is_new_and_what_is_still_rejected(books):
    pushes = {push["push"]: push for push in collect(books, BEGAN).pushes}
    audience = pushes["campaign_audience"]
    assert (audience["rows"], audience["withheld"]) == (9, 4)
    assert audience["reasons"] == {"no_consent": 3, "holdout": 1}
    assert (audience["sent"], audience["new_sent"], audience["recalled"], audience["rejected"]) == (
        3,
        2,
        1,
        1,
    )
    assert (pushes["letters"]["sent"], pushes["letters"]["rows"]) == (0, 1)


def test_outcomes_are_those_of_pushed_rows_each_once(books):
    assert collect(books, BEGAN).outcomes == [
        {"source": "calls", "total": 7, "kinds": {"busy": 5, "answered_rpc": 2}}
    ]


def test_scores_show_the_truth_first_then_unseen_rows_with_their_baseline(books):
    found = collect(books, BEGAN)
    assert found.as_of_date == date(2026, 11, 15)
    assert found.scores == [{"score": "non_payment", "subjects": 6, "eligible": 5}]
    assert [row["metric"] for row in headline(found.evaluation)] == ["rank_correlation", "auc"]
    assert "rank correlation 0.660 (truth); auc 0.815 against 0.702" in text_of(books)


def test_the_whole_fits_two_screens_and_names_the_next_step(books):
    shown = text_of(books)
    assert "6 customers from 12 records (8 crm, 4 cis)" in shown
    assert "2 min 05 s" in shown
    assert "no consent 3, holdout 1" in shown
    assert "make ui" in shown
    assert len(shown.splitlines()) < 60
    assert max(map(len, shown.splitlines())) <= 120


def test_on_a_narrow_terminal_texts_wrap_and_nothing_is_cut(books, monkeypatch):
    monkeypatch.chdir(books.root.parent)  # as make demo does: short names of folders
    wide, narrow = text_of(books, width=160), text_of(books, width=80)
    assert sorted(narrow.split()) == sorted(wide.split())


def test_an_empty_data_root_has_an_empty_summary(paths):
    shown = text_of(paths)
    assert "no date yet" in shown
    assert "Scored" not in shown


def test_numbers_are_for_people():
    assert [number(n) for n in (0, 7, 12_345, 9_999_999, 14_400_000)] == [
        "–",
        "7",
        "12,345",
        "9,999,999",
        "14.4 M",
    ]
    assert [decimal(x) for x in (0, 0.8149, -3.456, 1234.5)] == ["0", "0.815", "-3.46", "1,234"]
    assert [duration(s) for s in (0.4, 59.4, 60, 125)] == ["0 s", "59 s", "1 min 00 s", "2 min 05 s"]
    assert kinds_text({"a_b": 1, "c": 5, "d": 2, "e": 1}, 2) == "c 5, d 2, other 2"
    assert kinds_text({}, 3) == ""
