"""Raw tables and scores as Parquet, typed as ingestion and scoring write them; and the ids of the town.

Belongs here: columns, types, names, how a file is written. What stands in the files is in town*.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

UTC_TIMESTAMP = pa.timestamp("us", tz="UTC")
AS_OF = date(2026, 11, 15)
FIRST_DAY = date(2026, 10, 12)
LOADED = datetime(2026, 11, 16, 9, tzinfo=UTC)

_TYPES: Mapping[str, pa.DataType] = {
    "t": pa.string(),
    "i": pa.int64(),
    "n": pa.int32(),
    "b": pa.bool_(),
    "d": pa.date32(),
    "ts": UTC_TIMESTAMP,
    "f": pa.float64(),
    "x": pa.binary(),
}


def _schema(text: str, **special: pa.DataType) -> pa.Schema:
    """A schema from ``name:type`` words: types of _TYPES, ``m8.2`` for decimals, or named in ``special``."""
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

# Every source of meter reads has the canonical tables.
_INTERVAL_READS = (
    "service_point_id:t register_id:t meter_serial:t direction:t unit:t interval_start_at:ts "
    "interval_seconds:n value:m18.6 quality_flag:t quality_method:t reason_code:n reason_text:t "
    "updated_at:ts record_no:i"
)
_REGISTER_READS = (
    "service_point_id:t register_id:t meter_serial:t direction:t unit:t read_from_at:ts read_to_at:ts "
    "previous_read:m18.6 current_read:m18.6 quantity:m18.6 quality_flag:t quality_method:t reason_code:n "
    "reason_text:t updated_at:ts record_no:i"
)

FILE_SCHEMAS: Mapping[str, pa.Schema] = {
    "cis/header": _schema("extract_id:t business_date:i created_at:i system_name:t"),
    "cis/customer": _schema(
        "customer_no:i name_kind:t title:t given_name:t surname:t business_name:t birth_date:i "
        "phone:phones email:t "
        "language:t priority_code:t since_date:i changed_at:i",
        phones=_PHONES,
    ),
    "cis/premise": _schema(
        "premise_no:i address_line:t city:t state_code:t postcode:t feeder:t weather_station:t "
        "time_zone:t dwelling:t "
        "latitude:m8.5 longitude:m8.5 changed_at:i"
    ),
    "cis/account": _schema(
        "account_no:i customer_no:i premise_no:i service_point:t meter_serial:t tariff_code:t opened_date:i "
        "closed_date:i close_reason:t contract_end_date:i balance:m9.2 payment_method:t "
        "is_paperless:t changed_at:i"
    ),
    "cis/tariff": _schema(
        "tariff_code:t tariff_name:t daily_charge:m7.4 rate_count:i rate:rates", rates=_RATES
    ),
    "cis/bill": _schema(
        "bill_no:i account_no:i period_start_date:i period_end_date:i issued_date:i due_date:i "
        "billed_kwh:m10.3 "
        "amount:m9.2 read_type:t is_reversed:t"
    ),
    "cis/payment": _schema(
        "payment_no:i account_no:i bill_no:i received_date:i amount:m9.2 method:t status:t"
    ),
    "cis/trailer": _schema(
        "customer_count:i premise_count:i account_count:i tariff_count:i bill_count:i payment_count:i "
        "bill_amount:m13.2 payment_amount:m13.2"
    ),
    "mdm/interval_reads": _schema(_INTERVAL_READS),
    "mdm/register_reads": _schema(_REGISTER_READS),
    "ami/interval_reads": _schema(_INTERVAL_READS),
    "ami/register_reads": _schema(_REGISTER_READS),
    "han/appliance_use": _schema(
        "service_point_id:t appliance:t started_at:ts duration_seconds:n energy_wh:n"
    ),
    "han/appliance_event": _schema(
        "event:t service_point_id:t appliance:t occurred_at:ts timer_at_local:t weekdays:t"
    ),
    "oms/outage": _schema("outage_id:t feeder:t premise_no:t started_at:ts restored_at:ts cause:t"),
    "weather/observation": _schema("station:t observed_at:ts temperature_c:m5.2 humidity_pct:m5.2"),
    "dialer/call": _schema(
        "call_id:t list_id:t call_key:t customer_id:t account_no:t phone:t dialed_at:ts agent_id:t "
        "disposition:t "
        "talk_seconds:n attempt_no:n is_random_slot:b"
    ),
    "print/letter_status": _schema("letter_id:t status:t status_at:ts"),
    "campaign/event": _schema(
        "event_id:t audience_id:t member_key:t customer_id:t event:t occurred_at:ts value_usd:m12.2"
    ),
}

#: GridCRM's own books and identities: as they are, without the columns ingestion adds.
OWN_SCHEMAS: Mapping[str, pa.Schema] = {
    "gridcrm/customer_xref": _schema(
        "customer_id:t record_id:t source:t source_key:t match_probability:f decided_by:t "
        "first_assigned_at:ts"
    ),
    "gridcrm/customer_alias": _schema("alias_customer_id:t customer_id:t merged_at:ts"),
    "gridcrm/identity_review": _schema("record_id_l:t record_id_r:t match_probability:f evidence:t"),
    "gridcrm/ingestion_ledger": _schema(
        "source:t file_id:t sha256:t path:t name:t size_bytes:i business_date:d state:t reason:t "
        "records_read:i loaded:i superseded:i quarantined:i records_by_type:t row_counts:t control_totals:t "
        "reasons:t decoder_version:t times_seen:i first_seen_at:ts last_seen_at:ts published_at:ts "
        "superseded_by:t undeclared:t times_decoded:i"
    ),
    "gridcrm/quarantine": _schema(
        "source:t file_id:t file_name:t record_no:i byte_offset:i raw:x rule:t reason:t quarantined_at:ts "
        "member:t column_name:t state:t last_seen_at:ts replayed_at:ts"
    ),
    "gridcrm/push_receipt": _schema(
        "receipt_id:i push:t destination:t key:t op:t state:t message:t payload_hash:t batch_id:t attempt:i "
        "as_of_date:d recorded_at:ts"
    ),
}

SQL_SCHEMAS: Mapping[str, pa.Schema] = {
    "collections/invoice": _schema(
        "invoice_id:i account_no:t bill_no:t issued_date:d due_date:d amount_usd:m12.2 "
        "open_usd:m12.2 status:t updated_at:ts"
    ),
    "collections/payment": _schema(
        "payment_id:i account_no:t invoice_id:i received_at:ts amount_usd:m12.2 method:t status:t "
        "updated_at:ts"
    ),
    "collections/dispute": _schema(
        "dispute_id:i account_no:t invoice_id:i opened_at:ts closed_at:ts reason:t status:t updated_at:ts"
    ),
    "collections/payment_plan": _schema(
        "plan_id:i account_no:t started_date:d instalments:n instalment_usd:m12.2 status:t updated_at:ts"
    ),
    "collections/account_flag": _schema("account_no:t flag:t from_date:d to_date:d updated_at:ts"),
    "crm/contact": _schema(
        "contact_id:t full_name:t given_name:t surname:t email:t phone:t address_line:t city:t "
        "postcode:t account_no:t "
        "birth_date:d created_at:ts updated_at:ts"
    ),
    "crm/consent": _schema(
        "consent_id:i contact_id:t purpose:t channel:t granularity:t is_granted:b captured_at:ts "
        "source:t updated_at:ts"
    ),
    "crm/preference": _schema(
        "contact_id:t language:t preferred_channel:t preferred_slot:t is_do_not_call:b updated_at:ts"
    ),
    "crm/interaction": _schema(
        "interaction_id:i contact_id:t account_no:t started_at:ts channel:t topic:t "
        "duration_seconds:n agent_id:t "
        "is_resolved:b updated_at:ts"
    ),
    "crm/campaign": _schema(
        "campaign_id:t name:t offer_id:t channel:t purpose:t starts_date:d ends_date:d "
        "treatment_share:m5.4 updated_at:ts"
    ),
    "crm/campaign_assignment": _schema(
        "campaign_id:t contact_id:t arm:t assignment_probability:m5.4 assigned_at:ts responded_at:ts "
        "response_value_usd:m10.2 updated_at:ts"
    ),
}

RAW_SCHEMAS: Mapping[str, pa.Schema] = {**FILE_SCHEMAS, **SQL_SCHEMAS, **OWN_SCHEMAS}

_SCORE = (
    "subject_id:t as_of_at:ts model_version:t feature_cutoff_at:ts score:f score_lo:f score_hi:f "
    "decile:n eligible:b "
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


def contact_id(number: int) -> str:
    """The CRM contact ``number``."""
    return f"K{number:07d}"


def write(
    root: Path,
    table: str,
    rows: Sequence[Sequence[Any]],
    load_date: date,
    name: str = "part",
    is_deleted: bool = False,
    loaded_at: datetime = LOADED,
) -> None:
    """Rows of ``table`` (source/table) as one raw file; what was taken in has what ingestion adds."""
    schema = RAW_SCHEMAS[table]
    n = len(rows)
    columns = list(zip(*rows, strict=True)) if rows else [[] for _ in schema]
    arrays = [pa.array(values, type=field.type) for values, field in zip(columns, schema, strict=True)]
    added: dict[str, pa.Array] = {}
    if table not in OWN_SCHEMAS:
        added = {
            "_file_id": pa.array([name] * n, pa.string()),
            "_record_no": pa.array(range(1, n + 1), pa.int64()),
            "_loaded_at": pa.array([loaded_at] * n, UTC_TIMESTAMP),
        }
    if table in SQL_SCHEMAS:
        added["_is_deleted"] = pa.array([is_deleted] * n, pa.bool_())
    target = root / "raw" / table / f"load_date={load_date}" / f"{name}.parquet"
    target.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table([*arrays, *added.values()], names=[*schema.names, *added]), target)
