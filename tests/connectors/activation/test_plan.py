"""The difference, as a property: what is planned, done to the old, gives the new."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.activation.config import PushConfig
from connectors.activation.plan import ACKNOWLEDGED_SCHEMA, Plan, describe, difference, with_old_payloads
from connectors.activation.rows import canonical
from tests.connectors.activation.helpers import DAY, make_push, make_rows

KEYS = st.sampled_from([f"C{number}" for number in range(12)])
TABLES = st.dictionaries(KEYS, st.integers(0, 3), max_size=12)


def sendable(source: pa.Table) -> pa.Table:
    return source.filter(pa.compute.is_null(source.column("withheld_reason"))).select(
        ACKNOWLEDGED_SCHEMA.names
    )


def plan_of(push: PushConfig, old: pa.Table, new: pa.Table, *, can_delete: bool = True) -> Plan:
    acknowledged = sendable(canonical(old, push))
    source = canonical(new, push)
    changes, counts = difference(push, source, acknowledged, can_delete=can_delete)
    return describe(
        push,
        DAY,
        source,
        with_old_payloads(changes, acknowledged),
        counts,
        acknowledged=acknowledged.num_rows,
        unfinished_batches=0,
    )


def as_dict(rows: pa.Table) -> dict[str, Any]:
    return {row["key"]: json.loads(row["payload"]) for row in rows.to_pylist()}


def applied(plan: Plan, old: dict[str, Any]) -> dict[str, Any]:
    result = dict(old)
    for row in plan.changes.to_pylist():
        if row["op"] == "delete":
            assert row["key"] in result
            del result[row["key"]]
        else:
            assert (row["key"] in result) == (row["op"] == "update")
            result[row["key"]] = json.loads(row["payload"])
    return result


@settings(max_examples=40, deadline=None)
@given(old=TABLES, new=TABLES, withheld=st.sets(KEYS, max_size=6))
def test_the_plan_turns_the_old_into_the_new(
    old: dict[str, int], new: dict[str, int], withheld: set[str]
) -> None:
    push = make_push()
    before, after = make_rows(old), make_rows(new, dict.fromkeys(withheld, "no_consent"))
    plan = plan_of(push, before, after)
    wanted = as_dict(sendable(canonical(after, push)))
    held = as_dict(canonical(before, push))
    assert applied(plan, held) == wanted
    assert plan.n_creates == len(set(wanted) - set(held))
    assert plan.n_deletes == len(set(held) - set(wanted))
    assert plan.n_updates + plan.unchanged == len(set(wanted) & set(held))
    assert sum(plan.withheld.values()) == len(withheld & set(new))
    assert plan.field_changes.get("amount_usd", 0) == plan.n_updates
    # Every row of the model is in exactly one place.
    assert plan.n_creates + plan.n_updates + plan.unchanged + sum(plan.withheld.values()) == len(new)
    # Nothing withheld is ever among what is sent.
    sent = plan.changes.filter(pa.compute.not_equal(plan.changes.column("op"), "delete"))
    assert not withheld & set(sent.column("key").to_pylist())


@settings(max_examples=20, deadline=None)
@given(old=TABLES, new=TABLES, withheld=st.sets(KEYS, max_size=6))
def test_what_is_sent_once_is_never_sent_again(
    old: dict[str, int], new: dict[str, int], withheld: set[str]
) -> None:
    push = make_push(send_once=True, on_missing="keep")
    plan = plan_of(push, make_rows(old), make_rows(new, dict.fromkeys(withheld, "paid")), can_delete=False)
    ops = plan.changes.to_pylist()
    assert {row["op"] for row in ops} <= {"create"}
    assert {row["key"] for row in ops} == set(new) - withheld - set(old)
    assert plan.not_recallable == len(set(old) & set(new) & withheld)


@settings(max_examples=20, deadline=None)
@given(old=TABLES, new=TABLES, withheld=st.sets(KEYS, max_size=6))
def test_a_list_keeps_past_rows_and_recalls_withheld_ones(
    old: dict[str, int], new: dict[str, int], withheld: set[str]
) -> None:
    push = make_push(on_missing="keep")
    plan = plan_of(push, make_rows(old), make_rows(new, dict.fromkeys(withheld, "paid")))
    deletes = {row["key"] for row in plan.changes.to_pylist() if row["op"] == "delete"}
    assert deletes == set(old) & set(new) & withheld


def test_deletes_come_first() -> None:
    plan = plan_of(make_push(), make_rows({"C9": 1}), make_rows({"C1": 1}))
    assert plan.changes.column("op").to_pylist() == ["delete", "create"]


def test_a_sample_names_fields_and_shows_values_only_when_asked() -> None:
    plan = plan_of(make_push(), make_rows({"C1": 1, "C2": 1}), make_rows({"C1": 2, "C2": 1}))
    assert plan.sample() == [{"op": "update", "key": "C1", "fields": ["amount_usd"]}]
    (shown,) = plan.sample(with_values=True)
    assert shown["values"] == {"amount_usd": {"before": "1.00", "after": "2.00"}}


def test_a_personal_key_is_hidden_in_a_sample() -> None:
    columns = {"lookup_key": {"type": "string", "personal": True}, "amount_usd": "decimal(12,2)"}
    push = make_push(key="lookup_key", columns=columns)
    rows = make_rows({"phone:+16085550100": 1}).rename_columns(
        ["lookup_key", "full_name", "amount_usd", "as_of_date", "withheld_reason"]
    )
    plan = plan_of(push, rows.slice(0, 0), rows)
    assert "608" not in json.dumps(plan.sample()).replace(plan.sample()[0]["key"], "")
    assert plan.sample()[0]["key"] != "phone:+16085550100"
    assert plan.sample(with_values=True)[0]["key"] == "phone:+16085550100"
    assert "phone" not in repr(plan)
