"""Small silos with known truth: a background of ordinary people, and room for the hard cases of a test.

Each record carries ``person`` (the truth), which :func:`resolve` never reads.
"""

from __future__ import annotations

import itertools
from datetime import date, timedelta
from typing import Any

import pyarrow as pa

GIVEN = """
james mary robert patricia john jennifer michael linda david elizabeth william barbara richard susan
joseph jessica thomas sarah charles karen christopher lisa daniel nancy matthew betty anthony sandra
mark ashley
""".split()  # noqa: SIM905 - words read best as words
SURNAMES = """
smith johnson williams brown jones garcia miller davis rodriguez martinez hernandez lopez gonzalez
wilson anderson thomas taylor moore jackson martin lee perez thompson white harris sanchez clark
ramirez lewis robinson walker young allen king wright scott torres nguyen hill flores
""".split()  # noqa: SIM905 - words read best as words
STREETS = """
oak elm maple cedar pine river lake hill park church mill prairie
""".split()  # noqa: SIM905 - words read best as words

COLUMNS = {
    "record_id": pa.string(),
    "source": pa.string(),
    "source_key": pa.string(),
    "name_kind": pa.string(),
    "given_name": pa.string(),
    "surname": pa.string(),
    "full_name": pa.string(),
    "business_name": pa.string(),
    "birth_date": pa.date32(),
    "phone_e164": pa.string(),
    "phone2_e164": pa.string(),
    "email": pa.string(),
    "address_line": pa.string(),
    "postcode": pa.string(),
    "account_no": pa.string(),
    "person": pa.string(),
}


def record(record_id: str, person: str, **fields: Any) -> dict[str, Any]:
    """One silo record; what is not given is unknown."""
    source, key = record_id.split(":")
    name = " ".join(v for v in (fields.get("given_name"), fields.get("surname")) if v) or None
    row = {"record_id": record_id, "source": source, "source_key": key, "name_kind": "P", "full_name": name}
    return {**dict.fromkeys(COLUMNS), **row, **fields, "person": person}


def background(people: int = 160) -> list[dict[str, Any]]:
    """People in the billing system and in the CRM, where the spelling, the telephone or the date is lost.

    Every third has a spouse, who is another customer, in the CRM: same surname, home and telephone.
    """
    names = list(itertools.product(GIVEN, SURNAMES))
    rows = []
    for i in range(people):
        given, surname = names[(i * 37) % len(names)]
        birth = date(1945, 1, 1) + timedelta(days=(i * 7919) % 20_000)
        phone = f"+1608{5550000 + i * 13:07d}"
        email = f"{given}.{surname}{i}@example.org"
        address = f"{10 + i * 3} {STREETS[i % len(STREETS)].upper()} STREET"
        postcode = f"53{i % 40:03d}"
        account = f"{700_000 + i:012d}"
        common = {"given_name": given, "surname": surname, "address_line": address, "postcode": postcode}
        rows.append(
            record(
                f"cis:{i:010d}",
                f"p{i}",
                birth_date=birth,
                phone_e164=phone,
                email=email,
                account_no=account,
                **common,
            )
        )
        crm = dict(common)
        if i % 4 == 0:
            crm["surname"] = surname[:-2] + surname[-1] + surname[-2]
        crm |= {"phone_e164": phone} if i % 3 else {}
        crm |= {"email": email} if i % 5 else {}
        crm |= {"birth_date": birth} if i % 2 else {}
        crm |= {"account_no": account} if i % 6 == 0 else {}
        rows.append(record(f"crm:K{i:07d}", f"p{i}", **crm))
        if i % 3 == 0:
            spouse = {
                **common,
                "given_name": GIVEN[(GIVEN.index(given) + 11) % len(GIVEN)],
                "phone_e164": phone,
            }
            spouse |= {"birth_date": birth + timedelta(days=500 + i)} if i % 2 else {}
            rows.append(record(f"crm:S{i:07d}", f"s{i}", **spouse))
    return rows


def table(rows: list[dict[str, Any]]) -> pa.Table:
    """The rows as the table that dbt would publish, with the truth beside."""
    return pa.table(
        {name: pa.array([row[name] for row in rows], type=kind) for name, kind in COLUMNS.items()}
    )


def pair_quality(customer: list[str], person: list[str]) -> tuple[float, float, float]:
    """Precision, recall and F1 over pairs of records."""
    frame = pa.table({"c": customer, "p": person})

    def pairs(keys: list[str]) -> int:
        counts = frame.group_by(keys).aggregate([([], "count_all")])["count_all"].to_pylist()
        return sum(n * (n - 1) // 2 for n in counts)

    both = pairs(["c", "p"])
    precision, recall = both / max(pairs(["c"]), 1), both / max(pairs(["p"]), 1)
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-9)
