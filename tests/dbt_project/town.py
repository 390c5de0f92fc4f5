"""A town of nine customers, each with one trouble: raw tables and scores as Parquet, as ingestion and scoring write them.

Belongs here: what the sources say. What the warehouse must make of it stands in the tests. Days run from 2026-10-12 to
2026-11-15; 2026-11-01 has 100 quarter-hours.

1 Ann Archer   solar, prompt, consents to everything; one day of her reads is corrected later
2 Bob Baker    a bill 40 days past due; two CRM contacts, one of which refuses marketing by e-mail; an hour of reads missing
3 Cleo Carter  medical priority, in arrears; a whole day of reads missing
4 Dan Dunn     disputes a bill, in arrears; a spike
5 Eve Ellis    moved out on 2026-10-31
6 Fay Foster   moved in after Eve, pays by plan; frozen reads, then zeros, then a negative one and estimates
7 Gus Grant    deceased
8 Hal Hart     bankrupt
9 Ivy Bakery   a business that must not be contacted
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

AS_OF = date(2026, 11, 15)
FIRST_DAY = date(2026, 10, 12)
LOADED = datetime(2026, 11, 16, 9, tzinfo=UTC)
UTC_TIMESTAMP = pa.timestamp("us", tz="UTC")

_TYPES: Mapping[str, pa.DataType] = {
    "t": pa.string(),
    "i": pa.int64(),
    "n": pa.int32(),
    "b": pa.bool_(),
    "d": pa.date32(),
    "ts": UTC_TIMESTAMP,
    "f": pa.float64(),
}


def _schema(text: str, **special: pa.DataType) -> pa.Schema:
    """A schema from ``name:type`` words; types are those of _TYPES, ``m8.2`` for decimals, or named in ``special``."""
    fields = []
    for word in text.split():
        name, kind = word.split(":")
        if kind.startswith("m"):
            precision, scale = kind[1:].split(".")
            fields.append(pa.field(name, pa.decimal128(int(precision), int(scale))))
        else:
            fields.append(pa.field(name, special.get(kind) or _TYPES[kind]))
    return pa.schema(fields)


_PHONES = pa.list_(pa.struct([("phone_kind", pa.string()), ("phone_no", pa.string())]))
_RATES = pa.list_(
    pa.struct(
        [
            ("period_name", pa.string()),
            ("from_hour", pa.int64()),
            ("to_hour", pa.int64()),
            ("usd_per_kwh", pa.decimal128(6, 5)),
        ]
    )
)

FILE_SCHEMAS: Mapping[str, pa.Schema] = {
    "cis/header": _schema("extract_id:t business_date:i created_at:i system_name:t"),
    "cis/customer": _schema(
        "customer_no:i name_kind:t title:t given_name:t surname:t business_name:t birth_date:i phone:phones email:t "
        "language:t priority_code:t since_date:i changed_at:i",
        phones=_PHONES,
    ),
    "cis/premise": _schema(
        "premise_no:i address_line:t city:t state_code:t postcode:t feeder:t weather_station:t time_zone:t dwelling:t "
        "latitude:m8.5 longitude:m8.5 changed_at:i"
    ),
    "cis/account": _schema(
        "account_no:i customer_no:i premise_no:i service_point:t meter_serial:t tariff_code:t opened_date:i "
        "closed_date:i close_reason:t contract_end_date:i balance:m9.2 payment_method:t is_paperless:t changed_at:i"
    ),
    "cis/tariff": _schema(
        "tariff_code:t tariff_name:t daily_charge:m7.4 rate_count:i rate:rates", rates=_RATES
    ),
    "cis/bill": _schema(
        "bill_no:i account_no:i period_start_date:i period_end_date:i issued_date:i due_date:i billed_kwh:m10.3 "
        "amount:m9.2 read_type:t is_reversed:t"
    ),
    "cis/payment": _schema(
        "payment_no:i account_no:i bill_no:i received_date:i amount:m9.2 method:t status:t"
    ),
    "cis/trailer": _schema(
        "customer_count:i premise_count:i account_count:i tariff_count:i bill_count:i payment_count:i "
        "bill_amount:m13.2 payment_amount:m13.2"
    ),
    "mdm/interval_reads": _schema(
        "service_point_id:t register_id:t meter_serial:t direction:t unit:t interval_start_at:ts interval_seconds:n "
        "value:m18.6 quality_flag:t quality_method:t reason_code:n reason_text:t updated_at:ts record_no:i"
    ),
    "mdm/register_reads": _schema(
        "service_point_id:t register_id:t meter_serial:t direction:t unit:t read_from_at:ts read_to_at:ts "
        "previous_read:m18.6 current_read:m18.6 quantity:m18.6 quality_flag:t quality_method:t reason_code:n "
        "reason_text:t updated_at:ts record_no:i"
    ),
    "han/appliance_use": _schema(
        "service_point_id:t appliance:t started_at:ts duration_seconds:n energy_wh:n"
    ),
    "han/appliance_event": _schema(
        "event:t service_point_id:t appliance:t occurred_at:ts timer_at_local:t weekdays:t"
    ),
    "oms/outage": _schema("outage_id:t feeder:t premise_no:t started_at:ts restored_at:ts cause:t"),
    "weather/observation": _schema("station:t observed_at:ts temperature_c:m5.2 humidity_pct:m5.2"),
    "dialer/call": _schema(
        "call_id:t list_id:t call_key:t customer_id:t account_no:t phone:t dialed_at:ts agent_id:t disposition:t "
        "talk_seconds:n attempt_no:n is_random_slot:b"
    ),
    "print/letter_status": _schema("letter_id:t status:t status_at:ts"),
    "campaign/event": _schema(
        "event_id:t audience_id:t member_key:t customer_id:t event:t occurred_at:ts value_usd:m12.2"
    ),
    "gridcrm/customer_xref": _schema(
        "customer_id:t record_id:t source:t source_key:t match_probability:f decided_by:t first_assigned_at:ts"
    ),
    "gridcrm/customer_alias": _schema("alias_customer_id:t customer_id:t merged_at:ts"),
}

SQL_SCHEMAS: Mapping[str, pa.Schema] = {
    "collections/invoice": _schema(
        "invoice_id:i account_no:t bill_no:t issued_date:d due_date:d amount_usd:m12.2 open_usd:m12.2 status:t updated_at:ts"
    ),
    "collections/payment": _schema(
        "payment_id:i account_no:t invoice_id:i received_at:ts amount_usd:m12.2 method:t status:t updated_at:ts"
    ),
    "collections/dispute": _schema(
        "dispute_id:i account_no:t invoice_id:i opened_at:ts closed_at:ts reason:t status:t updated_at:ts"
    ),
    "collections/payment_plan": _schema(
        "plan_id:i account_no:t started_date:d instalments:n instalment_usd:m12.2 status:t updated_at:ts"
    ),
    "collections/account_flag": _schema("account_no:t flag:t from_date:d to_date:d updated_at:ts"),
    "crm/contact": _schema(
        "contact_id:t full_name:t given_name:t surname:t email:t phone:t address_line:t city:t postcode:t account_no:t "
        "birth_date:d created_at:ts updated_at:ts"
    ),
    "crm/consent": _schema(
        "consent_id:i contact_id:t purpose:t channel:t granularity:t is_granted:b captured_at:ts source:t updated_at:ts"
    ),
    "crm/preference": _schema(
        "contact_id:t language:t preferred_channel:t preferred_slot:t is_do_not_call:b updated_at:ts"
    ),
    "crm/interaction": _schema(
        "interaction_id:i contact_id:t account_no:t started_at:ts channel:t topic:t duration_seconds:n agent_id:t "
        "is_resolved:b updated_at:ts"
    ),
    "crm/campaign": _schema(
        "campaign_id:t name:t offer_id:t channel:t purpose:t starts_date:d ends_date:d treatment_share:m5.4 updated_at:ts"
    ),
    "crm/campaign_assignment": _schema(
        "campaign_id:t contact_id:t arm:t assignment_probability:m5.4 assigned_at:ts responded_at:ts "
        "response_value_usd:m10.2 updated_at:ts"
    ),
}

_SCORE = (
    "subject_id:t as_of_at:ts model_version:t feature_cutoff_at:ts score:f score_lo:f score_hi:f decile:n eligible:b "
    "ineligible_reason:t lawful_basis:t consent_version:t reason_1:t reason_1_contribution:f reason_2:t "
    "reason_2_contribution:f reason_3:t reason_3_contribution:f "
)
SCORE_SCHEMAS: Mapping[str, pa.Schema] = {
    "customer_value": _schema(_SCORE + "value_band:t clv_12m_usd:f clv_60m_usd:f"),
    "non_payment": _schema(_SCORE + "p_30dpd:f payment_segment:t"),
    "decline": _schema(_SCORE + "lifecycle_stage:t"),
    "segments": _schema(_SCORE + "value_segment:t load_shape_segment:t"),
    "call_plan": _schema(
        _SCORE + "call_date:d slot:n window_start_local:t window_end_local:t p_contact:f purpose:t priority:n"
    ),
    "treatment": _schema(
        _SCORE
        + "action_id:t channel:t send_window:t tone:t content_id:t propensity:f suppressed_by:t purpose:t "
        "is_holdout:b offer_id:t"
    ),
    "inbound_card": _schema(_SCORE + "card:t"),
}


def customer_id(number: int) -> str:
    """The id identity resolution gave customer ``number`` of the town."""
    return f"C{number:012x}"


def account_no(number: int) -> str:
    """The account of customer ``number`` as twelve digits."""
    return f"{number:012d}"


def service_point(number: int) -> str:
    """The service point at premise ``number``."""
    return f"{6100000000 + number}"


def yyyymmdd(day: date) -> int:
    """A date as the mainframe writes it."""
    return int(day.strftime("%Y%m%d"))


def at(day: date, hour: int = 12, minute: int = 0) -> datetime:
    """An instant in UTC."""
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)


def _write(
    root: Path,
    table: str,
    schema: pa.Schema,
    rows: Sequence[Sequence[Any]],
    load_date: date,
    name: str = "part",
) -> None:
    """Rows as one raw file with the columns ingestion adds."""
    columns = list(zip(*rows, strict=True)) if rows else [[] for _ in schema]
    arrays = [pa.array(values, type=field.type) for values, field in zip(columns, schema, strict=True)]
    _write_arrays(root, table, schema, arrays, load_date, name)


def _write_arrays(
    root: Path, table: str, schema: pa.Schema, arrays: Sequence[pa.Array], load_date: date, name: str = "part"
) -> None:
    n = len(arrays[0])
    full = pa.table(
        [
            *arrays,
            pa.array([name] * n, pa.string()),
            pa.array(range(1, n + 1), pa.int64()),
            pa.array([LOADED] * n, UTC_TIMESTAMP),
            *([pa.array([False] * n)] if table in SQL_SCHEMAS else []),
        ],
        names=[
            *schema.names,
            "_file_id",
            "_record_no",
            "_loaded_at",
            *(["_is_deleted"] if table in SQL_SCHEMAS else []),
        ],
    )
    target = root / "raw" / table / f"load_date={load_date}" / f"{name}.parquet"
    target.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(full, target)


def write_town(root: Path) -> None:
    """Everything the warehouse reads, under the data root ``root``."""
    for table, schema in {**FILE_SCHEMAS, **SQL_SCHEMAS}.items():
        _write(root, table, schema, [], date(1970, 1, 1), "_empty")
    _write_cis(root)
    _write_collections(root)
    _write_crm(root)
    for day in days():
        write_reads(root, day)
    write_correction(root)
    _write_events(root)
    _write_identity(root)
    write_scores(root)


def days() -> list[date]:
    """Business days with a file of reads."""
    return [FIRST_DAY + timedelta(days=n) for n in range((AS_OF - FIRST_DAY).days + 1)]


_NAMES = {
    1: ("Ann", "Archer"),
    2: ("Bob", "Baker"),
    3: ("Cleo", "Carter"),
    4: ("Dan", "Dunn"),
    5: ("Eve", "Ellis"),
    6: ("Fay", "Foster"),
    7: ("Gus", "Grant"),
    8: ("Hal", "Hart"),
}
MOVED_OUT = date(2026, 10, 31)


def _premise_of(customer: int) -> int:
    """Fay lives where Eve did."""
    return 5 if customer == 6 else customer


def _write_cis(root: Path) -> None:
    changed = 20261015103000
    customers = [
        (n, "P", None, given, surname, None, 19700101, [("M", f"(608) 555-010{n}"), (" ", None)],
         f"{given}.{surname}@Example.com", "EN", "ME" if n == 3 else None, 20200101, changed)
        for n, (given, surname) in _NAMES.items()
    ]  # fmt: skip
    customers.append(
        (9, "B", None, None, None, "Ivy Bakery LLC", 0, [("W", "608-555-0109"), (" ", None)], None, "EN", None,
         20200101, changed)
    )  # fmt: skip
    phones = [[{"phone_kind": kind, "phone_no": number} for kind, number in row[7]] for row in customers]
    premises = [
        (n, f"{n} Mill St.", "Riverbend", "WI", "53999", f"F{n % 2}", "WX1", "America/Chicago", "H",
         Decimal("43.10000"), Decimal("-89.40000"), changed)
        for n in (1, 2, 3, 4, 5, 7, 8, 9)
    ]  # fmt: skip
    accounts = [
        (n, n, _premise_of(n), service_point(_premise_of(n)), f"M{_premise_of(n):07d}", "FLAT",
         yyyymmdd(MOVED_OUT + timedelta(days=1)) if n == 6 else 20200101,
         yyyymmdd(MOVED_OUT) if n == 5 else 0, "MO" if n == 5 else None, 20270115 if n == 1 else 0,
         Decimal("10.50"), "CA" if n == 2 else "DD", "Y" if n == 1 else "N", changed)
        for n in range(1, 10)
    ]  # fmt: skip
    tariffs = [
        ("FLAT", "One price", Decimal("0.5000"), 1, [("ALL", 0, 24, Decimal("0.15000"))]),
        ("TOU", "Night and day", Decimal("0.6000"), 2,
         [("DAY", 6, 22, Decimal("0.20000")), ("NIGHT", 22, 6, Decimal("0.08000"))]),
    ]  # fmt: skip
    keys = ("period_name", "from_hour", "to_hour", "usd_per_kwh")
    tariffs = [(*row[:4], [dict(zip(keys, rate, strict=True)) for rate in row[4]]) for row in tariffs]
    bills, payments = _bills_and_payments()
    day = FIRST_DAY
    rows: dict[str, list[tuple[Any, ...]]] = {
        "header": [("CISX", yyyymmdd(day), 20261012233000, "CIS")],
        "customer": [(*row[:7], phone, *row[8:]) for row, phone in zip(customers, phones, strict=True)],
        "premise": premises,
        "account": accounts,
        "tariff": tariffs,
        "bill": bills,
        "payment": payments,
    }
    rows["trailer"] = [
        (*(len(rows[t]) for t in ("customer", "premise", "account", "tariff", "bill", "payment")),
         sum(b[7] for b in bills), sum(p[4] for p in payments))
    ]  # fmt: skip
    for table, values in rows.items():
        _write(root, f"cis/{table}", FILE_SCHEMAS[f"cis/{table}"], values, day)
    # A later extract: Bob has a new number, bill 9 of Ann is reversed.
    later = [list(rows["customer"][1])]
    later[0][7] = [{"phone_kind": "M", "phone_no": "608.555.0199"}, {"phone_kind": " ", "phone_no": None}]
    reversed_bill = [(*next(b for b in bills if b[0] == 109)[:9], "Y")]
    changes: dict[str, list[Any]] = {
        "header": [("CISX", yyyymmdd(AS_OF), 20261115233000, "CIS")],
        "customer": later,
        "bill": reversed_bill,
        "trailer": [(1, 0, 0, 0, 1, 0, Decimal("100.00"), Decimal("0.00"))],
    }
    for table, values in changes.items():
        _write(root, f"cis/{table}", FILE_SCHEMAS[f"cis/{table}"], values, AS_OF, "later")


def due_date(month: int) -> date:
    """Due date of the bill of month ``month`` (1 is December 2025, 11 is October 2026)."""
    year, index = divmod(month + 10, 12)
    return date(2025 + year, index + 1, 6)


def _bills_and_payments() -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Eleven monthly bills of 100 USD an account (Fay: none yet), due on the 6th.

    Paid five days early, except: Bob pays ten days late and the bill due on 2026-10-06 not at all; Cleo and Dan have
    left the last two open; Ann's bill of September is paid in two parts, and once by a payment the bank returned.
    """
    bills: list[tuple[Any, ...]] = []
    payments: list[tuple[Any, ...]] = []
    for n in (1, 2, 3, 4, 5, 7, 8, 9):
        for month in range(1, 12):
            due = due_date(month)
            issued = due - timedelta(days=20)
            bill_no = n * 100 + month
            bills.append(
                (bill_no, n, yyyymmdd(issued - timedelta(days=31)), yyyymmdd(issued - timedelta(days=1)),
                 yyyymmdd(issued), yyyymmdd(due), Decimal("500.000"), Decimal("100.00"), "E" if month == 3 else "A", "N")
            )  # fmt: skip
            is_open = (n == 2 and month == 11) or (n in (3, 4) and month >= 10)
            if is_open:
                continue
            paid = due + timedelta(days=10 if n == 2 else -5)
            parts = [Decimal("60.00"), Decimal("40.00")] if (n, month) == (1, 10) else [Decimal("100.00")]
            for part, amount in enumerate(parts):
                received = paid + timedelta(days=8 * part)
                payments.append((bill_no * 10 + part, n, bill_no, yyyymmdd(received), amount, "CK", "P"))
    payments.append((11019, 1, 110, yyyymmdd(due_date(10) - timedelta(days=6)), Decimal("100.00"), "CK", "R"))
    return bills, payments


def _write_collections(root: Path) -> None:
    then = at(date(2026, 11, 1))
    rows: dict[str, list[tuple[Any, ...]]] = {
        "invoice": [
            (211, account_no(2), f"{211:012d}", date(2026, 9, 16), date(2026, 10, 6), Decimal("100.00"),
             Decimal("100.00"), "open", then),
            (411, account_no(4), f"{411:012d}", date(2026, 9, 16), date(2026, 10, 6), Decimal("100.00"),
             Decimal("100.00"), "disputed", then),
        ],
        "payment": [(1, account_no(4), 411, then, Decimal("1.00"), "ON", "posted", then)],
        "dispute": [
            (1, account_no(4), 411, at(date(2026, 10, 20)), None, "amount", "open", then),
            (2, account_no(1), None, at(date(2026, 5, 1)), at(date(2026, 6, 1)), "amount", "rejected", then),
        ],
        "payment_plan": [(1, account_no(6), date(2026, 11, 5), 6, Decimal("20.00"), "active", then)],
        "account_flag": [
            (account_no(7), "deceased", date(2026, 9, 1), None, then),
            (account_no(8), "bankruptcy", date(2026, 9, 1), None, then),
            (account_no(9), "do_not_contact", date(2026, 9, 1), None, then),
            (account_no(1), "vulnerable", date(2025, 1, 1), date(2025, 6, 1), then),
        ],
    }  # fmt: skip
    for table, values in rows.items():
        _write(root, f"collections/{table}", SQL_SCHEMAS[f"collections/{table}"], values, date(2026, 11, 1))


def contact_id(number: int) -> str:
    """The CRM contact ``number``."""
    return f"K{number:07d}"


def _write_crm(root: Path) -> None:
    then = at(date(2026, 10, 1))
    later = at(date(2026, 11, 1))
    people = {
        1: ("Ann Archer", "+1 608 555 0101", account_no(1)),
        2: ("Robert Baker", "608/555/0102 x12", "2"),
        3: ("BAKER, BOB", "555-0102", None),
        4: ("Cleo Carter", None, account_no(3)),
        5: ("Prudence Prospect", "608 555 0177", None),
    }
    consents = [
        *[(10 + i, contact_id(1), purpose, channel, granularity, True, then, "web", then)
          for i, (purpose, channel, granularity) in enumerate(
              [("marketing", "any", "billing"), ("collections", "phone", "billing"), ("profiling", "any", "interval")]
          )],
        (20, contact_id(2), "marketing", "email", "billing", True, later, "agent", later),
        (21, contact_id(3), "marketing", "email", "billing", False, then, "web", then),
        (22, contact_id(2), "collections", "phone", "billing", False, then, "web", then),
        (23, contact_id(2), "collections", "phone", "billing", True, later, "agent", later),
        (30, contact_id(4), "marketing", "email", "billing", True, at(date(2026, 11, 20)), "web", later),
        (31, contact_id(4), "collections", "any", "billing", True, then, "web", then),
    ]  # fmt: skip
    rows: dict[str, list[tuple[Any, ...]]] = {
        "contact": [
            (contact_id(k), name, None, None, None, phone, None, None, None, account, None, then, then)
            for k, (name, phone, account) in people.items()
        ],
        "consent": consents,
        "preference": [
            (contact_id(1), "es", "email", "evening", False, then),
            (contact_id(2), "en", "phone", "none", False, later),
            (contact_id(3), "en", "phone", "morning", False, then),
        ],
        "interaction": [
            (1, contact_id(2), account_no(2), at(date(2026, 11, 3)), "phone_in", "complaint", 300, "A1", False, later),
            (2, contact_id(3), None, at(date(2026, 7, 3)), "web", "billing", 0, None, True, then),
        ],
        "campaign": [
            ("CMP1", "Smart thermostat", "thermostat", "email", "marketing", date(2026, 9, 1), date(2026, 12, 31),
             Decimal("0.5000"), then)
        ],
        "campaign_assignment": [
            ("CMP1", contact_id(1), "treatment", Decimal("0.5000"), then, later, Decimal("20.00"), later),
            ("CMP1", contact_id(2), "control", Decimal("0.5000"), then, None, None, then),
            ("CMP1", contact_id(3), "treatment", Decimal("0.5000"), later, later, Decimal("5.00"), later),
        ],
    }  # fmt: skip
    for table, values in rows.items():
        _write(root, f"crm/{table}", SQL_SCHEMAS[f"crm/{table}"], values, date(2026, 11, 1))
    # The next pull found contact 6 gone: it was never anybody's.
    table = "crm/contact"
    schema = SQL_SCHEMAS[table]
    ghost = (contact_id(6), "Test Test", *[None] * 9, then, then)
    _write(root, table, schema, [ghost], date(2026, 11, 1), "ghost")
    deleted = root / "raw" / table / "load_date=2026-11-02" / "sweep.parquet"
    deleted.parent.mkdir(parents=True)
    first = pq.read_table(root / "raw" / table / "load_date=2026-11-01" / "ghost.parquet", partitioning=None)
    position = first.schema.get_field_index("_is_deleted")
    first = first.set_column(position, "_is_deleted", pa.array([True]))
    position = first.schema.get_field_index("_loaded_at")
    first = first.set_column(position, "_loaded_at", pa.array([LOADED + timedelta(days=1)], UTC_TIMESTAMP))
    pq.write_table(first, deleted)


def reading_kwh(day: date, slot: int, point: int) -> float:
    """What the meter at premise ``point`` counts in a quarter-hour of a market day."""
    return round(
        0.2 + 0.1 * np.sin(slot / 96 * 2 * np.pi) + 0.01 * point + 0.001 * ((day.day * 7 + slot) % 10), 3
    )


GAP_DAY, LOST_DAY, SPIKE_DAY = date(2026, 11, 5), date(2026, 11, 10), date(2026, 11, 8)
FROZEN_DAY, ZERO_DAY, ODD_DAY = date(2026, 11, 6), date(2026, 11, 7), date(2026, 11, 9)
CORRECTED_DAY, CORRECTION_DELIVERED = date(2026, 11, 3), date(2026, 11, 12)
#: What the correction adds to every quarter-hour of the day.
CORRECTION_KWH = 0.5


def write_reads(root: Path, day: date) -> None:
    """The nightly file of a market day (UTC-6 all year): one record a register, 96 values, with the town's troubles."""
    rows: list[tuple[Any, ...]] = []
    start = datetime(day.year, day.month, day.day, 6, tzinfo=UTC)
    registers = [(n, "E1", "import") for n in (1, 2, 3, 4, 5, 7)] + [(1, "B1", "export")]
    for record, (point, register, direction) in enumerate(registers, start=1):
        for slot in range(96):
            value, flag = reading_kwh(day, slot, point), "A"
            if direction == "export":
                value = 0.3 if 40 <= slot < 60 else 0.0
            if point == 2 and day == GAP_DAY and 40 <= slot < 44:
                continue
            if point == 3 and day == LOST_DAY:
                continue
            if point == 4 and day == SPIKE_DAY and slot == 48:
                value = 40.0
            if point == 5 and day == FROZEN_DAY:
                value = 0.123
            if point == 5 and day == ZERO_DAY:
                value = 0.0
            if point == 5 and day == ODD_DAY:
                value = -0.5 if slot == 0 else value
                flag = "E" if 5 <= slot < 9 else "N" if 40 <= slot < 44 else "A"
                value = 0.0 if flag == "N" else value
            rows.append(
                (service_point(point), register, f"M{point:07d}", direction, "kWh",
                 start + timedelta(minutes=15 * slot), 900, Decimal(str(value)).quantize(Decimal("0.000001")), flag,
                 None, None, None, start + timedelta(hours=26), record * 2)
            )  # fmt: skip
    _write(root, "mdm/interval_reads", FILE_SCHEMAS["mdm/interval_reads"], rows, day, f"reads{day:%Y%m%d}")


def write_correction(root: Path) -> None:
    """Ann's corrected day, delivered nine days later."""
    start = datetime(CORRECTED_DAY.year, CORRECTED_DAY.month, CORRECTED_DAY.day, 6, tzinfo=UTC)
    rows = [
        (service_point(1), "E1", "M0000001", "import", "kWh", start + timedelta(minutes=15 * slot), 900,
         Decimal(str(round(reading_kwh(CORRECTED_DAY, slot, 1) + CORRECTION_KWH, 3))), "A", None, None, None,
         at(CORRECTION_DELIVERED), 2)
        for slot in range(96)
    ]  # fmt: skip
    _write(
        root,
        "mdm/interval_reads",
        FILE_SCHEMAS["mdm/interval_reads"],
        rows,
        CORRECTION_DELIVERED,
        "correction",
    )


def _write_events(root: Path) -> None:
    weather = [
        ("WX1", at(FIRST_DAY, 0) + timedelta(hours=h), Decimal(h % 24) - 2, Decimal("60.00"))
        for h in range(24 * len(days()))
    ]
    rows: dict[str, list[tuple[Any, ...]]] = {
        "weather/observation": weather,
        "han/appliance_use": [(service_point(1), "dishwasher", at(date(2026, 11, 4), 2, 10), 3600, 1200)],
        "han/appliance_event": [
            ("timer_set", service_point(1), "ev_charger", at(date(2026, 11, 4), 23), "22:00", "1,2,3")
        ],
        "oms/outage": [
            ("O1", None, "5", at(date(2026, 10, 20)), at(date(2026, 10, 20), 13, 30), "tree"),
            ("O2", "F1", None, at(date(2026, 11, 14)), None, "equipment"),
        ],
        "dialer/call": [
            ("D1", None, None, None, account_no(2), "+16085550102", at(date(2026, 11, 11), 16, 5), "A1", "voicemail",
             20, 1, False),
            ("D2", None, None, None, account_no(2), "+16085550102", at(date(2026, 11, 14), 0, 40), "A1", "answered_rpc",
             90, 2, True),
            ("D3", "L1", f"{customer_id(255)}:2026-11-13", customer_id(255), account_no(1), "+16085550101",
             at(date(2026, 11, 13), 16), "A2", "answered_wrong", 9, 1, False),
        ],
        "print/letter_status": [(f"{customer_id(2)}-000000000211-letter_reminder", "mailed", at(date(2026, 11, 10)))],
        "campaign/event": [
            ("E1", "CMP1", f"CMP1:{customer_id(1)}", customer_id(1), "responded", at(date(2026, 11, 10)), Decimal("20.00"))
        ],
    }  # fmt: skip
    for table, values in rows.items():
        _write(root, table, FILE_SCHEMAS[table], values, AS_OF)


def _write_identity(root: Path) -> None:
    """Ann's contact came by an id that was merged into hers; Bob has two contacts; Prudence is nobody's customer."""
    records = {f"cis:{n:010d}": customer_id(n) for n in range(1, 10)}
    records |= {
        f"crm:{contact_id(1)}": customer_id(255),
        f"crm:{contact_id(2)}": customer_id(2),
        f"crm:{contact_id(3)}": customer_id(2),
        f"crm:{contact_id(4)}": customer_id(3),
        f"crm:{contact_id(5)}": customer_id(99),
    }
    rows = [
        (customer, record, record[:3], record[4:], 0.99, "splink", at(FIRST_DAY))
        for record, customer in records.items()
    ]
    epoch = date(1970, 1, 1)
    _write(root, "gridcrm/customer_xref", FILE_SCHEMAS["gridcrm/customer_xref"], rows, epoch, "xref")
    alias = [(customer_id(255), customer_id(1), at(FIRST_DAY))]
    _write(root, "gridcrm/customer_alias", FILE_SCHEMAS["gridcrm/customer_alias"], alias, epoch, "alias")


#: action, channel, purpose, offer of each customer's treatment.
ACTIONS: Mapping[int, tuple[str, str, str, str | None]] = {
    1: ("email_offer", "email", "marketing", "thermostat"),
    2: ("letter_reminder", "letter", "collections", None),
    3: ("letter_reminder", "letter", "collections", None),
    4: ("letter_reminder", "letter", "collections", None),
    5: ("none", "none", "none", None),
    6: ("letter_plan_offer", "letter", "payment_help", None),
    7: ("email_offer", "email", "marketing", "thermostat"),
    8: ("call_payment_help", "phone", "payment_help", None),
    9: ("call_retention", "phone", "marketing", None),
}


def write_scores(root: Path) -> None:
    """Scores of the as-of date, and of the day before it with another value band, which must not be read."""
    for as_of in (AS_OF - timedelta(days=1), AS_OF):
        for score, schema in SCORE_SCHEMAS.items():
            rows = [{**_contract(n, as_of), **_own(score, n, as_of)} for n in range(1, 10)]
            if score == "call_plan":
                rows = [row for row in rows if row["subject_id"] in {customer_id(n) for n in (2, 3, 8, 9)}]
            target = root / "scores" / score / f"as_of_date={as_of}" / "part.parquet"
            target.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.Table.from_pylist(rows, schema=schema), target)


def _contract(number: int, as_of: date) -> dict[str, Any]:
    return {
        "subject_id": customer_id(number),
        "as_of_at": at(as_of),
        "model_version": "1",
        "feature_cutoff_at": at(as_of),
        "score": 0.5,
        "eligible": number != 5,
        "ineligible_reason": "account_ended" if number == 5 else None,
        "lawful_basis": "contract",
        "consent_version": "none",
        "reason_1": "arrears",
    }


def _own(score: str, number: int, as_of: date) -> dict[str, Any]:
    action, channel, purpose, offer = ACTIONS[number]
    is_today = as_of == AS_OF
    return {
        "customer_value": {
            "value_band": "B" if is_today else "Z",
            "clv_12m_usd": 100.004,
            "clv_60m_usd": 400.0,
        },
        "non_payment": {"p_30dpd": 0.1, "payment_segment": "forgot"},
        "decline": {"lifecycle_stage": "at_peak"},
        "segments": {"value_segment": "high", "load_shape_segment": "evening"},
        "call_plan": {
            "call_date": AS_OF + timedelta(days=1),
            "slot": 36,
            "window_start_local": "18:00",
            "window_end_local": "18:30",
            "p_contact": 0.4,
            "purpose": "marketing" if number == 9 else "payment_help",
            "priority": number,
        },
        "treatment": {
            "action_id": action,
            "channel": channel,
            "send_window": "evening",
            "tone": "friendly",
            "content_id": f"{action}.en",
            "propensity": 0.9,
            "suppressed_by": "",
            "purpose": purpose,
            "is_holdout": False,
            "offer_id": offer,
        },
        "inbound_card": {"card": '{"greeting_name": "there"}'},
    }[score]
