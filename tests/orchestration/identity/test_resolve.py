"""Who is merged, who stays apart, and who is left to a person, where the truth is known."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from orchestration.identity import IdentityConfig, IdentityError, IdentityState, Resolution, resolve

from .silos import background, pair_quality, record, table

NOW = datetime(2026, 11, 15, 6, tzinfo=UTC)
BIRTH = date(1971, 3, 9)


def outcome(cases: list[dict[str, Any]], **kwargs: Any) -> tuple[Resolution, dict[str, str]]:
    """Resolve the cases among the background; the result and the customer of each record."""
    resolution = resolve(table(background() + cases), now=NOW, **kwargs)
    xref = resolution.xref.to_pydict()
    return resolution, dict(zip(xref["record_id"], xref["customer_id"], strict=True))


def pairs_for_review(resolution: Resolution) -> set[frozenset[str]]:
    review = resolution.review.to_pydict()
    return {frozenset(pair) for pair in zip(review["record_id_l"], review["record_id_r"], strict=True)}


def somebody(number: int = 0) -> dict[str, Any]:
    """A person whom nobody in the background resembles, another for each number."""
    return {
        "given_name": "margaret",
        "surname": FAMILIES[number],
        "birth_date": BIRTH + timedelta(days=407 * number),
        "phone_e164": f"+1608555{9001 + 31 * number}",
        "email": f"m.{FAMILIES[number]}@example.org",
        "address_line": f"{177 + 10 * number} MEADOW ROAD",
        "postcode": f"{54_001 + 7 * number}",
        "account_no": f"{900_001 + number:012d}",
    }


FAMILIES = """
okonkwo lindqvist vandermeer abernathy kowalczyk fitzpatrick yamamoto delacroix oyelaran petrov szymanski
guthrie marchetti haraldsen bjornstad castellano dragomir ferreira halvorsen
""".split()  # noqa: SIM905 - words read best as words

UNSPLIT: dict[str, Any] = {"given_name": None, "surname": None, "account_no": None}

SAME: dict[str, dict[str, Any]] = {
    "a typing mistake": {"given_name": "margraet", "account_no": None},
    "a short form": {"given_name": "peggy", "account_no": None, "birth_date": None},
    "an initial": {"given_name": "m", "account_no": None, "email": None},
    "names exchanged": {"exchanged": True, "account_no": None, "email": None},
    "day and month exchanged": {"birth_date": "exchanged", "account_no": None, "email": None},
    "moved house": {"address_line": "4 LAKE STREET", "postcode": "53001", "account_no": None},
    "married": {"surname": "newname", "account_no": None},
    "only the account and the name": dict.fromkeys(
        ("birth_date", "phone_e164", "email", "address_line", "postcode")
    ),
    "an address abbreviated": {"abbreviated": True, "email": None, "phone_e164": None, "account_no": None},
    "a full name only": {
        "full_name": "{surname}, Margaret",
        "given_name": None,
        "surname": None,
        "account_no": None,
    },
    "the surname first and the other word misspelt": {"full_name": "{surname} Margraet", **UNSPLIT},
    "the surname first and misspelt": {"exchanged_in_full": True, **UNSPLIT},
    "the surname and an initial": {"full_name": "{surname} M", "birth_date": None, **UNSPLIT},
    "a title and an apostrophe": {
        "full_name": "Mrs. Margaret O'{surname}",
        "given_name": None,
        "surname": None,
        "email": None,
    },
}

HOUSEHOLD: dict[str, dict[str, Any]] = {
    "a spouse": {
        "given_name": "daniel",
        "birth_date": date(1969, 7, 21),
        "email": "d@example.org",
        "account_no": None,
    },
    "a spouse of unknown birth date": {
        "given_name": "daniel",
        "birth_date": None,
        "email": None,
        "account_no": None,
    },
    "a spouse on the same account": {"given_name": "daniel", "birth_date": None, "email": None},
    "a daughter": {"given_name": "karen", "birth_date": date(1999, 8, 17), "email": None, "account_no": None},
}


@pytest.fixture(scope="module")
def cases() -> tuple[Resolution, dict[str, str]]:
    """Every case of SAME and HOUSEHOLD at once, each about another person."""
    rows = []
    for number, change in enumerate((*SAME.values(), *HOUSEHOLD.values())):
        person = somebody(number)
        other = {**person, **change}
        if other.pop("exchanged", False):
            other |= {"given_name": person["surname"], "surname": person["given_name"]}
        if other.pop("exchanged_in_full", False):
            other["full_name"] = f"{person['surname'][:-1]}k Margaret"
        if other.pop("abbreviated", False):
            other["address_line"] = person["address_line"].title().replace("Road", "Rd.")
        if other["birth_date"] == "exchanged":
            person["birth_date"], other["birth_date"] = date(1971, 3, 9), date(1971, 9, 3)
        if other.get("full_name"):
            other["full_name"] = other["full_name"].format(surname=person["surname"].title())
        rows += [
            record(f"cis:90000{number:05d}", "x", **person),
            record(f"crm:K90000{number:02d}", "x", **other),
        ]
    return outcome(rows)


@pytest.mark.parametrize("name", SAME)
def test_the_same_person_is_one_customer(name: str, cases: tuple[Resolution, dict[str, str]]) -> None:
    number = list(SAME).index(name)
    customer = cases[1]
    assert customer[f"cis:90000{number:05d}"] == customer[f"crm:K90000{number:02d}"]


@pytest.mark.parametrize("name", HOUSEHOLD)
def test_another_member_of_the_household_is_another_customer(
    name: str, cases: tuple[Resolution, dict[str, str]]
) -> None:
    number = len(SAME) + list(HOUSEHOLD).index(name)
    pair = (f"cis:90000{number:05d}", f"crm:K90000{number:02d}")
    resolution, customer = cases
    assert customer[pair[0]] != customer[pair[1]]
    assert frozenset(pair) not in pairs_for_review(resolution)


def test_those_who_look_alike_are_never_merged() -> None:
    """Father and son share all but the birth date, twins all but the name, Senior and Junior all but that."""
    homes = [{**somebody(n), "email": None, "account_no": None} for n in range(3)]
    john = {**homes[2], "given_name": "john", "birth_date": None}
    _, customer = outcome(
        [
            record(
                "cis:9000000000", "x", **{**homes[0], "given_name": "john", "birth_date": date(1950, 2, 2)}
            ),
            record(
                "crm:K9000000", "y", **{**homes[0], "given_name": "john", "birth_date": date(1981, 11, 30)}
            ),
            record("cis:9000000001", "x", **{**homes[1], "given_name": "karen"}),
            record("crm:K9000001", "y", **{**homes[1], "given_name": "linda"}),
            record("cis:9000000002", "x", **john, full_name="john vandermeer sr"),
            record("crm:K9000002", "y", **john, full_name="john vandermeer jr"),
        ]
    )
    for number in range(3):
        assert customer[f"cis:900000000{number}"] != customer[f"crm:K900000{number}"]


def test_a_bridge_does_not_join_people_who_contradict_each_other() -> None:
    home = {k: somebody()[k] for k in ("surname", "phone_e164", "address_line", "postcode")}
    resolution, customer = outcome(
        [
            record("cis:9000000001", "x", **home, given_name="john", birth_date=date(1950, 2, 2)),
            record("cis:9000000002", "y", **home, given_name="james", birth_date=date(1981, 11, 30)),
            record("crm:K9000001", "?", **home, given_name="j"),
        ]
    )
    assert customer["cis:9000000001"] != customer["cis:9000000002"]
    assert any("crm:K9000001" in pair for pair in pairs_for_review(resolution))


def test_a_business_and_its_owner_are_two_customers() -> None:
    shop = {"name_kind": "B", "business_name": "Kangaroo Hardware LLC", "full_name": "kangaroo hardware llc"}
    place = {k: somebody()[k] for k in ("phone_e164", "email", "address_line", "postcode", "account_no")}
    _, customer = outcome(
        [
            record("cis:9000000001", "x", **somebody()),
            record("cis:9000000002", "shop", **place, **shop),
            record("crm:K9000001", "shop", **{**place, "full_name": "Kangaroo Hardware", "name_kind": None}),
        ]
    )
    assert customer["cis:9000000002"] == customer["crm:K9000001"] != customer["cis:9000000001"]


def test_a_name_that_another_silo_calls_a_business_is_one() -> None:
    place = {**{k: somebody()[k] for k in ("phone_e164", "address_line", "postcode")}, "surname": None}
    shop = {"name_kind": "B", "business_name": "kangaroo fitness inc", "full_name": "kangaroo fitness inc"}
    _, customer = outcome(
        [
            record("cis:9000000002", "shop", **place, **shop),
            record("crm:K9000001", "shop", **place, name_kind="P", full_name="kangaroo fitness"),
        ]
    )
    assert customer["cis:9000000002"] == customer["crm:K9000001"]


def test_a_telephone_under_many_surnames_is_nobody_s() -> None:
    rows = [
        record(f"crm:K900000{i}", f"h{i}", surname=FAMILIES[i], phone_e164="+16085550198") for i in range(6)
    ]
    resolution, _ = outcome(rows)
    assert resolution.stats["shared_phone_set_aside"] == 1


def test_a_junior_is_not_merged_with_a_namesake_unless_the_birth_date_agrees() -> None:
    """Twice the same home; the second time both records have the same date."""
    rows = []
    for number, birth in ((0, None), (1, BIRTH)):
        person = {**somebody(number), "account_no": None, "email": None}
        rows.append(record(f"cis:900000000{number}", "x", **{**person, "birth_date": BIRTH}))
        full = f"margaret {person['surname']} jr"
        rows.append(record(f"crm:K900000{number}", "y", **{**person, "birth_date": birth, "full_name": full}))
    resolution, customer = outcome(rows)
    assert customer["cis:9000000000"] != customer["crm:K9000000"]
    assert frozenset(("cis:9000000000", "crm:K9000000")) in pairs_for_review(resolution)
    assert customer["cis:9000000001"] == customer["crm:K9000001"]


def test_a_switchboard_number_joins_nobody() -> None:
    many = [
        record(f"crm:K90000{i:02d}", f"h{i}", full_name=f"front desk {i}", phone_e164="+16085550199")
        for i in range(30)
    ]
    resolution, customer = outcome(many)
    assert resolution.stats["shared_phone_set_aside"] == 1
    assert len({customer[row["record_id"]] for row in many}) == 30


def test_the_silos_come_together() -> None:
    rows = background()
    resolution = resolve(table(rows), now=NOW)
    person = {row["record_id"]: row["person"] for row in rows}
    xref = resolution.xref.to_pydict()
    precision, recall, _ = pair_quality(xref["customer_id"], [person[r] for r in xref["record_id"]])
    assert precision == 1.0
    assert recall >= 0.97
    assert resolution.stats["records"] == len(rows)
    assert set(xref["decided_by"]) <= {"account_key", "splink", "single"}
    assert all(0 <= p <= 1 for p in xref["match_probability"])


def test_two_runs_agree_in_every_value() -> None:
    rows = background(80)
    first = resolve(table(rows), now=NOW)
    second = resolve(table(rows[::-1]), now=NOW)
    assert first.xref.equals(second.xref)
    assert first.review.equals(second.review)
    assert first.params_json == second.params_json


def test_evidence_is_in_words_and_holds_no_value() -> None:
    twin = {**somebody(), "given_name": "karen", "email": None, "account_no": None}
    resolution, _ = outcome(
        [record("cis:9000000001", "x", **somebody()), record("crm:K9000001", "y", **twin)]
    )
    mine = [row for row in resolution.review.to_pylist() if "crm:K9000001" in row.values()]
    assert mine
    evidence = mine[0]["evidence"]
    assert "given name: different" in evidence
    assert "birth date: same" in evidence
    for value in ("okonkwo", "karen", "1971", "608", "meadow"):
        assert value not in evidence.lower()


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_a_handful_of_records_is_enough(count: int) -> None:
    rows = [record(f"cis:{i}", str(i), **{**somebody(), "account_no": None}) for i in range(count)]
    resolution = resolve(table(rows), now=NOW)
    assert resolution.xref.num_rows == count
    assert len(set(resolution.xref["customer_id"].to_pylist())) == min(count, 1)


def test_pandas_and_absent_columns_are_taken() -> None:
    frame = pd.DataFrame(
        {"record_id": ["a:1", "b:2"], "source": ["a", "b"], "source_key": ["1", "2"], "surname": ["x", "y"]}
    )
    assert resolve(frame, now=NOW).stats["customers"] == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop_columns(["record_id"]), "lack the column record_id"),
        (lambda t: pa.concat_tables([t, t]), "repeat a record_id"),
        (
            lambda t: t.set_column(1, "source", pa.nulls(t.num_rows, pa.string())),
            "lack record_id, source or source_key",
        ),
    ],
)
def test_records_that_break_their_contract_are_named(change: Any, message: str) -> None:
    with pytest.raises(IdentityError, match=message):
        resolve(change(table(background(3))), now=NOW)


def test_thresholds_out_of_order_are_refused() -> None:
    with pytest.raises(IdentityError, match="review_at"):
        replace(IdentityConfig(), review_at=0.99, merge_at=0.5)


def test_a_demo_sized_utility_takes_seconds() -> None:
    rows = background(1000)
    started = time.process_time()  # of all threads of this process alone, however busy the machine is
    resolution = resolve(table(rows), IdentityState(), now=NOW)
    assert resolution.stats["records"] == len(rows) > 2000
    assert time.process_time() - started < 20
