"""Sending: only the difference, nothing withheld, nothing twice, and a receipt for every row."""

from __future__ import annotations

import datetime as dt
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.activation import (
    RECEIPT_SCHEMA,
    Activation,
    GuardError,
    PushConfig,
    PushReport,
    SendInProgressError,
)
from connectors.activation.locking import sole_sender
from connectors.destinations import Batch, DestinationRefusedError, DestinationUnavailableError
from connectors.paths import Paths
from tests.connectors.activation.conftest import Memory
from tests.connectors.activation.helpers import DAY, make_push, make_rows


class Killed(BaseException):
    """Ends a send as a kill would: nothing after it is run."""


def send(activation: Activation, rows: pa.Table, push: PushConfig | None = None) -> PushReport:
    chosen = push or make_push()
    report = activation.send(chosen, activation.plan(chosen, rows, DAY), dry_run=False)
    assert report.sent_rows + report.failed + report.withheld + report.unchanged == rows.num_rows
    return report


def amounts(memory: Memory) -> dict[str, str | None]:
    return {key: payload["amount_usd"] for key, payload in memory.held.items()}


def test_the_difference_goes_and_the_same_rows_again_send_nothing(
    activation: Activation, memory: Memory
) -> None:
    first = send(activation, make_rows({"C1": 1, "C2": 2, "C3": 3}))
    assert (first.sent, first.unchanged) == (3, 0)
    second = send(activation, make_rows({"C1": 1, "C2": 2.5, "C4": 4}))
    assert (second.sent_rows, second.sent, second.unchanged) == (2, 3, 1)
    assert amounts(memory) == {"C1": "1.00", "C2": "2.50", "C4": "4.00"}
    batches = len(memory.batches)
    third = send(activation, make_rows({"C1": 1, "C2": 2.5, "C4": 4}, day=dt.date(2026, 11, 16)))
    assert (third.sent, third.batches, third.unchanged) == (0, 0, 3)
    assert len(memory.batches) == batches


def test_a_dry_run_is_the_default_and_writes_nothing(activation: Activation, memory: Memory) -> None:
    push = make_push()
    plan = activation.plan(push, make_rows({"C1": 1}), DAY)
    report = activation.send(push, plan)
    assert report.is_dry_run
    assert (report.sent, report.failed) == (0, 0)
    assert memory.checked == 1
    assert memory.batches == []
    assert activation.receipts().num_rows == 0
    assert activation.plan(push, make_rows({"C1": 1}), DAY).n_creates == 1


def test_a_withheld_row_is_never_sent_and_a_sent_one_is_taken_back(
    activation: Activation, memory: Memory
) -> None:
    report = send(activation, make_rows({"C1": 1, "C2": 2}, {"C2": "no_consent"}))
    assert report.withheld_by_reason == {"no_consent": 1}
    assert set(memory.held) == {"C1"}
    plan = activation.plan(
        make_push(), make_rows({"C1": 1, "C2": 2}, {"C1": "open_dispute", "C2": "no_consent"}), DAY
    )
    assert plan.n_deletes == 1
    activation.send(make_push(), plan, dry_run=False)
    assert memory.held == {}
    sent = {row["key"] for row in activation.receipts().to_pylist()}
    assert sent == {"C1"}


def test_a_bad_row_stands_alone_keeps_its_words_and_is_sent_again(
    activation: Activation, memory: Memory
) -> None:
    memory.rejects = {"C2": "mailbox is full"}
    report = send(activation, make_rows({"C1": 1, "C2": 2, "C3": 3}))
    assert (report.sent, report.failed, report.ok) == (2, 1, False)
    assert report.messages == ("push customers: 1 rows were not taken: mailbox is full",)
    memory.rejects = {}
    again = send(activation, make_rows({"C1": 1, "C2": 2, "C3": 3}))
    assert (again.sent, again.unchanged, again.ok) == (1, 2, True)
    states = [(row["key"], row["state"], row["message"]) for row in activation.receipts().to_pylist()]
    assert states == [
        ("C1", "sent", None),
        ("C2", "rejected", "mailbox is full"),
        ("C3", "sent", None),
        ("C2", "sent", None),
    ]


def test_a_rejection_is_kept_without_the_customers_values(activation: Activation, memory: Memory) -> None:
    memory.rejects = {"C-1234": "'Name of C-1234' owes 77.25: refused by policy; full_name is odd"}
    report = send(activation, make_rows({"C-1234": "77.25"}))
    words = "'<full_name>' owes <amount_usd>: refused by policy; full_name is odd"
    assert activation.receipts().column("message").to_pylist() == [words]
    assert report.messages == (f"push customers: 1 rows were not taken: {words}",)


def test_a_rejected_batch_that_is_sent_again_is_another_batch(activation: Activation, memory: Memory) -> None:
    """The destination would otherwise answer from its memory of the idempotency key."""
    memory.rejects = {"C1": "not now"}
    send(activation, make_rows({"C1": 1}))
    send(activation, make_rows({"C1": 1}))
    assert memory.batches[0].batch_id != memory.batches[1].batch_id


def test_there_and_back_is_sent_each_time(activation: Activation, memory: Memory) -> None:
    for amount in (1, 2, 1):
        send(activation, make_rows({"C1": amount}))
    assert len({batch.batch_id for batch in memory.batches}) == 3
    assert amounts(memory) == {"C1": "1.00"}


def test_a_transient_failure_is_repeated_under_the_same_name(activation: Activation, memory: Memory) -> None:
    seen: list[str] = []
    memory.before = lambda batch: seen.append(batch.batch_id)
    memory.failures = [
        DestinationUnavailableError("busy"),
        DestinationUnavailableError("busy", retry_after_seconds=0.01),
    ]
    report = send(activation, make_rows({"C1": 1}))
    assert (report.sent, report.ok) == (1, True)
    assert len(seen) == 3
    assert len(set(seen)) == 1
    assert activation.receipts().column("attempt").to_pylist() == [3]


def test_a_destination_that_stays_away_fails_the_rows_and_is_settled_next_time(
    activation: Activation, memory: Memory
) -> None:
    memory.batch_size = 2
    memory.failures = [DestinationUnavailableError("no route")] * 3
    rows = make_rows({f"C{number}": number for number in range(6)})
    report = send(activation, rows)
    assert (report.sent, report.failed) == (0, 6)
    assert "6 rows are still to be sent: no route" in report.messages[0]
    assert activation.plan(make_push(), rows, DAY).unfinished_batches == 1
    again = send(activation, rows)
    assert (again.settled, again.sent, again.unchanged) == (2, 4, 2)
    assert len(memory.held) == 6
    assert sorted(activation.receipts().column("key").to_pylist()) == sorted(memory.held)


def test_a_refusal_raises_and_leaves_nothing_in_doubt(activation: Activation, memory: Memory) -> None:
    memory.failures = [DestinationRefusedError("wrong password")]
    push, rows = make_push(), make_rows({"C1": 1})
    with pytest.raises(DestinationRefusedError, match="wrong password"):
        activation.send(push, activation.plan(push, rows, DAY), dry_run=False)
    plan = activation.plan(push, rows, DAY)
    assert (plan.n_creates, plan.unfinished_batches) == (1, 0)


def interrupted(activation: Activation, memory: Memory, rows: pa.Table, *, arrived: bool) -> None:
    """A send that is killed around the delivery of its only batch."""

    def kill(batch: Batch) -> None:
        memory.before = lambda _: None
        if arrived:
            memory.deliver(batch)
        raise Killed

    memory.before = kill
    with pytest.raises(Killed):
        send(activation, rows)


def test_an_unfinished_batch_is_sent_again_unchanged_and_first(
    activation: Activation, memory: Memory
) -> None:
    interrupted(activation, memory, make_rows({"C1": 1}), arrived=True)
    report = send(activation, make_rows({"C1": 1, "C2": 2}))
    assert (report.settled, report.sent, report.unchanged) == (1, 1, 1)
    assert memory.batches[0].batch_id == memory.batches[1].batch_id
    assert "sent again" in report.messages[0]
    assert amounts(memory) == {"C1": "1.00", "C2": "2.00"}


@pytest.mark.parametrize("arrived", [True, False])
@pytest.mark.parametrize("knows", [True, False])
def test_consent_withdrawn_during_an_interruption_is_honoured(
    activation: Activation, memory: Memory, arrived: bool, knows: bool
) -> None:
    """C1 was on its way when the process died; by now it must not be there, whether it arrived or not."""
    interrupted(activation, memory, make_rows({"C1": 1, "C2": 2}), arrived=arrived)
    memory.knows = arrived if knows else None
    report = send(activation, make_rows({"C1": 1, "C2": 2}, {"C1": "no_consent"}))
    assert set(memory.held) == {"C2"}
    sent_later = [batch for batch in memory.batches[int(arrived) :] if batch.op == "upsert"]
    assert all("C1" not in batch.rows.column("key").to_pylist() for batch in sent_later)
    assert bool(memory.withdrawn) == (knows and not arrived)
    assert report.ok
    plan = activation.plan(make_push(), make_rows({"C1": 1, "C2": 2}, {"C1": "no_consent"}), DAY)
    assert plan.is_empty
    assert plan.unfinished_batches == 0


def test_guards_stop_a_send_until_somebody_overrides(activation: Activation, memory: Memory) -> None:
    push = make_push(guards={"share_from_rows": 1, "max_delete_share": 0.1})
    many = {f"C{number}": number for number in range(10)}
    send(activation, make_rows(many), push)
    plan = activation.plan(push, make_rows({"C1": 1, "C2": 2}), DAY)
    assert plan.guard_violations
    with pytest.raises(GuardError, match=r"8 deletes are 80\.0% of 10 rows"):
        activation.send(push, plan, dry_run=False)
    assert len(memory.held) == 10
    assert activation.send(push, plan).is_dry_run
    activation.send(push, plan, dry_run=False, override_guards=True)
    assert set(memory.held) == {"C1", "C2"}


def test_an_empty_model_is_an_alarm(activation: Activation, memory: Memory) -> None:
    push = make_push(guards={})
    send(activation, make_rows({"C1": 1}), push)
    with pytest.raises(GuardError, match="the model is empty"):
        activation.send(push, activation.plan(push, make_rows({}), DAY), dry_run=False)
    assert set(memory.held) == {"C1"}


def test_a_plan_made_before_another_send_sends_nothing_twice(activation: Activation, memory: Memory) -> None:
    push, rows = make_push(), make_rows({"C1": 1})
    stale = activation.plan(push, rows, DAY)
    send(activation, rows)
    report = activation.send(push, stale, dry_run=False)
    assert (report.sent, report.unchanged) == (0, 1)
    assert len(memory.batches) == 1


def test_a_baseline_is_taken_over_without_sending(activation: Activation, memory: Memory) -> None:
    push = make_push()
    assert activation.adopt_baseline(push, make_rows({"C1": 1, "C2": 2}, {"C2": "no_consent"})) == 1
    assert activation.adopt_baseline(push, make_rows({"C1": 1})) == 1
    report = send(activation, make_rows({"C1": 1, "C3": 3}))
    assert (report.sent, report.unchanged) == (1, 1)
    assert set(memory.held) == {"C3"}


def test_what_goes_once_never_goes_again_and_is_not_kept(
    activation: Activation, memory: Memory, paths: Paths
) -> None:
    push = make_push(send_once=True, on_missing="keep")
    send(activation, make_rows({"C1": 1}), push)
    send(activation, make_rows({"C1": 99}), push)
    send(activation, make_rows({"C2": 2}), push)
    assert [batch.rows.column("key").to_pylist() for batch in memory.batches] == [["C1"], ["C2"]]
    activation.close()
    assert b"Name of C1" not in (paths.state / "activation.db").read_bytes()


def test_another_target_begins_from_nothing(activation: Activation, memory: Memory) -> None:
    send(activation, make_rows({"C1": 1}))
    elsewhere = make_push(
        destination={"kind": "sql_upsert", "connection": "test_sql", "table": "customers_2"}
    )
    assert activation.plan(elsewhere, make_rows({"C1": 1}), DAY).n_creates == 1


def test_what_goes_once_does_not_go_again_through_another_target(
    activation: Activation, memory: Memory
) -> None:
    once = {"send_once": True, "on_missing": "keep"}
    send(activation, make_rows({"C1": 1}), make_push(**once))
    elsewhere = make_push(
        destination={"kind": "sql_upsert", "connection": "test_sql", "table": "customers_2"}, **once
    )
    assert activation.plan(elsewhere, make_rows({"C1": 1}), DAY).is_empty


def test_groups_never_share_a_batch_and_deletes_know_theirs(activation: Activation, memory: Memory) -> None:
    memory.group_column, memory.batch_size = "full_name", 1
    send(activation, make_rows({"C1": 1, "C2": 2}))
    memory.batch_size = 100
    send(activation, make_rows({"C2": 3}))
    ops = [(batch.op, batch.rows.column("key").to_pylist()) for batch in memory.batches]
    assert ops == [("upsert", ["C1"]), ("upsert", ["C2"]), ("delete", ["C1"]), ("upsert", ["C2"])]
    assert "Name of C1" in memory.batches[2].rows.column("payload")[0].as_py()


def test_one_sender_at_a_time(activation: Activation, memory: Memory, paths: Paths) -> None:
    push, rows = make_push(), make_rows({"C1": 1})
    plan = activation.plan(push, rows, DAY)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with sole_sender(activation._state.engine, paths.state, push.destination_id, 1):
            held.set()
            done.wait(10)

    other = threading.Thread(target=hold)
    other.start()
    held.wait(10)
    try:
        with pytest.raises(SendInProgressError, match="another process is sending to customers"):
            activation.send(push, plan, dry_run=False)
    finally:
        done.set()
        other.join()
    assert activation.send(push, plan, dry_run=False).sent == 1


def test_receipts_are_written_for_the_warehouse_once(
    activation: Activation, memory: Memory, tmp_path: Path
) -> None:
    folder = tmp_path / "push_receipt"
    assert activation.export_receipts(folder) == 1
    (empty,) = folder.rglob("*.parquet")
    assert pq.read_schema(empty).equals(RECEIPT_SCHEMA)
    assert pq.read_metadata(empty).num_rows == 0
    send(activation, make_rows({"C1": 1, "C2": 2}))
    assert activation.export_receipts(folder) == 1
    assert activation.export_receipts(folder) == 0
    (written,) = folder.glob("load_date=2*/receipts.parquet")
    assert pq.ParquetFile(written).read().equals(activation.receipts())
    assert not list(folder.rglob("*.tmp"))
    receipt = activation.receipts().to_pylist()[0]
    assert receipt["push"] == "customers"
    assert receipt["op"] == "create"
    assert receipt["as_of_date"] == DAY
    assert abs(dt.datetime.now(dt.UTC) - receipt["recorded_at"]) < dt.timedelta(minutes=1)
