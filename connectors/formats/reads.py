"""The canonical reads: what every meter format decodes to, whatever it calls things.

Belongs here: the two tables of reads, their vocabulary (units, directions, quality flags) and how columns
become batches of them. Does not belong here: any format's own codes; each maps its codes to these and keeps
them as ``quality_method``.

- ``direction``: seen from the customer: ``import`` (delivered to), ``export`` (received from), ``net``, their
  ``reactive_`` forms, ``other``
- ``unit``: the stored unit after scaling, one of ``STORED_UNITS`` or ``unknown``
- ``quality_flag``: ``A`` actual, ``E`` estimated, ``F`` final substitute, ``S`` substitute, ``Q``
  questionable, ``N`` none: an ``N`` read has no value
- ``quality_method``: the source's own code behind the flag, as it came
- ``updated_at``: when the source last changed the read, null where it does not say
- ``record_no``: the record that holds the read: several reads of one record stand or fall together
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import pyarrow as pa

from connectors.formats.base import RECORD_NO
from connectors.formats.columns import TIMESTAMP

SCALE = 6
VALUE = pa.decimal128(18, SCALE)
"""Exact to a millionth of the stored unit; a value that does not fit is a reject, never rounded."""

INTERVAL_READS = pa.schema(
    [
        RECORD_NO,
        ("service_point_id", pa.string()),
        ("register_id", pa.string()),
        ("meter_serial", pa.string()),
        ("direction", pa.string()),
        ("unit", pa.string()),
        ("interval_start_at", TIMESTAMP),
        ("interval_seconds", pa.int32()),
        ("value", VALUE),
        ("quality_flag", pa.string()),
        ("quality_method", pa.string()),
        ("reason_code", pa.int32()),
        ("reason_text", pa.string()),
        ("updated_at", TIMESTAMP),
        ("record_no", pa.int64()),
    ]
)
"""One row an interval: the energy between ``interval_start_at`` and that many seconds later."""

REGISTER_READS = pa.schema(
    [
        RECORD_NO,
        ("service_point_id", pa.string()),
        ("register_id", pa.string()),
        ("meter_serial", pa.string()),
        ("direction", pa.string()),
        ("unit", pa.string()),
        ("read_from_at", TIMESTAMP),
        ("read_to_at", TIMESTAMP),
        ("previous_read", VALUE),
        ("current_read", VALUE),
        ("quantity", VALUE),
        ("quality_flag", pa.string()),
        ("quality_method", pa.string()),
        ("reason_code", pa.int32()),
        ("reason_text", pa.string()),
        ("updated_at", TIMESTAMP),
        ("record_no", pa.int64()),
    ]
)
"""One row a read of a dial, or a quantity between two of them; the quality is that of the current read."""

Direction = Literal["import", "export", "net", "reactive_import", "reactive_export", "reactive_net", "other"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
OTHER_DIRECTION = "other"
UNKNOWN_UNIT = "unknown"
QualityFlag = Literal["A", "E", "F", "S", "Q", "N"]

# Unit as it is stored, and the power of ten from the unit as it is declared.
UNITS: dict[str, tuple[str, int]] = {
    "WH": ("kWh", -3), "KWH": ("kWh", 0), "MWH": ("kWh", 3), "GWH": ("kWh", 6),
    "VARH": ("kvarh", -3), "KVARH": ("kvarh", 0), "MVARH": ("kvarh", 3),
    "VAH": ("kVAh", -3), "KVAH": ("kVAh", 0), "MVAH": ("kVAh", 3),
    "W": ("kW", -3), "KW": ("kW", 0), "MW": ("kW", 3),
    "VAR": ("kvar", -3), "KVAR": ("kvar", 0), "MVAR": ("kvar", 3),
    "VA": ("kVA", -3), "KVA": ("kVA", 0), "MVA": ("kVA", 3),
    "V": ("V", 0), "KV": ("V", 3), "A": ("A", 0), "KA": ("A", 3), "PF": ("pf", 0),
}  # fmt: skip
"""Electric units by their names in capitals; a format with codes of its own maps them to these first."""

GAS_UNITS: dict[str, tuple[str, int]] = {
    "THERM": ("therm", 0), "M3": ("m3", 0), "FT3": ("ft3", 0), "CCF": ("ft3", 2), "MCF": ("ft3", 3),
    "MJ": ("MJ", 0), "GJ": ("MJ", 3),
}  # fmt: skip

WATER_UNITS: dict[str, tuple[str, int]] = {"GAL": ("gal", 0), "KGAL": ("gal", 3)}

STORED_UNITS = tuple(
    dict.fromkeys(unit for unit, _ in [*UNITS.values(), *GAS_UNITS.values(), *WATER_UNITS.values()])
)


def interval_batch(columns: Mapping[str, pa.Array]) -> pa.RecordBatch:
    """A batch of ``INTERVAL_READS``: columns not given are null (``record_no``: as ``_record_no``)."""
    return _batch(columns, INTERVAL_READS)


def register_batch(columns: Mapping[str, pa.Array]) -> pa.RecordBatch:
    """A batch of ``REGISTER_READS``: columns not given are null (``record_no``: as ``_record_no``)."""
    return _batch(columns, REGISTER_READS)


def _batch(columns: Mapping[str, pa.Array], schema: pa.Schema) -> pa.RecordBatch:
    numbers = columns[RECORD_NO.name]
    given = {"record_no": numbers, **columns}
    if unknown := given.keys() - set(schema.names):
        raise ValueError(f"no columns of the canonical reads: {', '.join(sorted(unknown))}")
    arrays = [
        given[field.name] if field.name in given else pa.nulls(len(numbers), field.type) for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
