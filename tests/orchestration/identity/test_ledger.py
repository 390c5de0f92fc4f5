"""Ids survive re-runs, new data, merges, unmerges and rebuilds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest

from connectors.errors import GridCRMError
from orchestration.identity import IdentityLedger, Resolution, resolve

from .silos import record, table

DAY_1 = datetime(2026, 11, 15, 6, tzinfo=UTC)
DAY_2 = DAY_1 + timedelta(days=1)
DAY_3 = DAY_1 + timedelta(days=2)

PERSON = {
    "given_name": "margaret",
    "surname": "okonkwo",
    "birth_date": date(1971, 3, 9),
    "phone_e164": "+16085559001",
    "email": "m.okonkwo@example.org",
    "address_line": "77 PRAIRIE ROAD",
    "postcode": "53077",
}
STRANGER = {
    "given_name": "lars",
    "surname": "vandermeer",
    "birth_date": date(1988, 12, 24),
    "phone_e164": "+16085551234",
    "address_line": "5 CEDAR LANE",
    "postcode": "53002",
}
A = record("cis:0000000001", "a", **PERSON)
A_CRM = record("crm:K0000001", "a", **PERSON)
A_LATE = record("cis:0000000000", "a", **PERSON)
B = record("cis:0000000002", "b", **STRANGER)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[IdentityLedger]:
    opened = IdentityLedger(tmp_path / "state" / "identity.db")
    yield opened
    opened.close()


def run(ledger: IdentityLedger, rows: list[dict[str, Any]], now: datetime) -> Resolution:
    resolution = resolve(table(rows), ledger.load(), now=now)
    ledger.save(resolution)
    return resolution


def ids(resolution: Resolution) -> dict[str, str]:
    xref = resolution.xref.to_pydict()
    return dict(zip(xref["record_id"], xref["customer_id"], strict=True))


def test_an_id_is_c_and_twelve_hexadecimal_digits(ledger: IdentityLedger) -> None:
    (customer_id,) = set(ids(run(ledger, [A, A_CRM], DAY_1)).values())
    assert len(customer_id) == 13
    assert customer_id[0] == "C"
    assert int(customer_id[1:], 16) >= 0


def test_a_second_run_changes_nothing(ledger: IdentityLedger) -> None:
    first = run(ledger, [A, A_CRM, B], DAY_1)
    second = run(ledger, [A, A_CRM, B], DAY_2)
    assert second.xref.equals(first.xref)
    assert second.aliases.num_rows == 0
    assert ledger.load().records.num_rows == 3


def test_a_record_that_sorts_first_does_not_rename_its_customer(ledger: IdentityLedger) -> None:
    before = ids(run(ledger, [A, A_CRM], DAY_1))
    after = run(ledger, [A_LATE, A, A_CRM], DAY_2)
    assert set(ids(after).values()) == set(before.values())
    dated = dict(
        zip(after.xref["record_id"].to_pylist(), after.xref["first_assigned_at"].to_pylist(), strict=True)
    )
    assert dated["cis:0000000001"] == DAY_1
    assert dated["cis:0000000000"] == DAY_2


def test_a_rebuild_from_nothing_finds_the_same_ids(tmp_path: Path, ledger: IdentityLedger) -> None:
    before = ids(run(ledger, [A, A_CRM, B], DAY_1))
    rebuilt = IdentityLedger(tmp_path / "rebuilt.db")
    assert ids(run(rebuilt, [B, A_CRM, A], DAY_3)) == before
    rebuilt.close()


def test_a_record_that_was_away_comes_back_to_its_customer(ledger: IdentityLedger) -> None:
    before = ids(run(ledger, [A, A_CRM, B], DAY_1))
    run(ledger, [B], DAY_2)
    assert ids(run(ledger, [A, A_CRM, B], DAY_3)) == before


def test_a_merge_keeps_the_oldest_id_and_the_other_still_resolves(ledger: IdentityLedger) -> None:
    unlike = record(
        "crm:K0000001", "a", **STRANGER | {"phone_e164": None, "birth_date": None, "given_name": "x"}
    )
    old = ids(run(ledger, [A, unlike], DAY_1))
    assert old["cis:0000000001"] != old["crm:K0000001"]
    merged = run(ledger, [A, A_CRM], DAY_2)
    survivor = old["cis:0000000001"]
    assert set(ids(merged).values()) == {survivor}
    assert merged.aliases.to_pylist() == [
        {"alias_customer_id": old["crm:K0000001"], "customer_id": survivor, "merged_at": DAY_2}
    ]
    assert ledger.current_id(old["crm:K0000001"]) == survivor
    assert ledger.current_id(survivor) == survivor
    assert run(ledger, [A, A_CRM], DAY_3).aliases.equals(merged.aliases)


def test_aliases_follow_when_their_customer_is_merged_too(ledger: IdentityLedger) -> None:
    olga = record("crm:K0000009", "c", given_name="olga", surname="petrov")
    first = ids(run(ledger, [A, B, olga], DAY_1))
    ledger.decide("cis:0000000002", "crm:K0000009", "together", decided_by="test")
    run(ledger, [A, B, olga], DAY_2)
    ledger.decide("cis:0000000001", "cis:0000000002", "together", decided_by="test")
    last = run(ledger, [A, B, olga], DAY_3)
    assert set(ids(last).values()) == {first["cis:0000000001"]}
    assert {row["customer_id"] for row in last.aliases.to_pylist()} == {first["cis:0000000001"]}
    assert {row["alias_customer_id"] for row in last.aliases.to_pylist()} == {
        first["cis:0000000002"],
        first["crm:K0000009"],
    }


def test_an_unmerge_is_remembered_and_gives_each_its_id(ledger: IdentityLedger) -> None:
    before = ids(run(ledger, [A, A_CRM], DAY_1))
    ledger.decide("crm:K0000001", "cis:0000000001", "apart", decided_by="test")
    for now in (DAY_2, DAY_3):
        after = run(ledger, [A, A_CRM], now)
        parted = ids(after)
        assert parted["cis:0000000001"] == before["cis:0000000001"]
        assert parted["crm:K0000001"] != before["cis:0000000001"]
        assert after.review.num_rows == 0


def test_a_decision_parts_records_that_others_connect(ledger: IdentityLedger) -> None:
    third = record("crm:K0000002", "a", **PERSON)
    ledger.decide("crm:K0000001", "crm:K0000002", "apart", decided_by="test")
    parted = ids(run(ledger, [A, A_CRM, third], DAY_1))
    assert parted["crm:K0000001"] != parted["crm:K0000002"]


def test_a_person_s_word_joins_what_no_probability_would(ledger: IdentityLedger) -> None:
    ledger.decide("cis:0000000002", "cis:0000000001", "apart", decided_by="test")
    ledger.decide("cis:0000000001", "cis:0000000002", "together", decided_by="test")
    joined = run(ledger, [A, B], DAY_1)
    assert len(set(ids(joined).values())) == 1
    assert set(joined.xref["decided_by"].to_pylist()) == {"manual"}


def test_an_id_that_is_taken_is_not_given_twice(ledger: IdentityLedger) -> None:
    """An id whose founder is gone lives on; the founder, when it returns alone, gets another."""
    before = ids(run(ledger, [A, A_CRM], DAY_1))
    state = ledger.load()
    taken = before["cis:0000000001"]
    kept = state.records.filter(pc.equal(state.records["record_id"], "crm:K0000001"))
    ledger.decide("crm:K0000001", "cis:0000000001", "apart", decided_by="test")
    state = type(state)(kept, state.aliases, ledger.load().decisions)
    after = ids(resolve(table([A, A_CRM]), state, now=DAY_2))
    assert after["crm:K0000001"] == taken
    assert after["cis:0000000001"] != taken


@pytest.mark.parametrize(
    ("left", "right", "verdict"), [("a", "b", "perhaps"), ("a", "a", "together")], ids=["verdict", "itself"]
)
def test_a_decision_that_says_nothing_is_refused(
    ledger: IdentityLedger, left: str, right: str, verdict: str
) -> None:
    with pytest.raises(GridCRMError, match="identity decision"):
        ledger.decide(left, right, verdict, decided_by="test")
