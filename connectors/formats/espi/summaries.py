"""Usage summaries of ESPI to rows of ``register_reads``: what was used in a billing period.

Belongs here: the elements of UsageSummary and ElectricPowerUsageSummary. Does not belong here: bills; the
amounts of a summary are the billing system's to say.
"""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa

from connectors.formats.columns import TIMESTAMP
from connectors.formats.digits import decimal_array
from connectors.formats.espi.codes import QUALITY_FLAGS
from connectors.formats.espi.feed import Resource
from connectors.formats.meter_xml.codes import UNITS
from connectors.formats.meter_xml.pending import MICROSECONDS, as_spans, read_numbers
from connectors.formats.meter_xml.rules import FINE
from connectors.formats.meter_xml.settle import rescale
from connectors.formats.reads import REGISTER_READS, SCALE, VALUE, register_batch

REGISTER = "usage_summary"
"""``register_id`` of their rows: the total of a service point, whatever registers it has."""
_TOTAL = "overallConsumptionLastPeriod"
_NEEDED = ("billingPeriod/start", "billingPeriod/duration", f"{_TOTAL}/value", f"{_TOTAL}/uom")
_EXPONENT = re.compile(r"[+-]?\d{1,2}")


def summary_batch(summaries: list[tuple[Resource, str]]) -> tuple[pa.RecordBatch, list[int]]:
    """Rows of summaries and their service points; and the numbers of those that are wrong.

    A summary without a billing period or without a total for it has no row, and is not wrong.
    """
    rows = [(one, point) for one, point in summaries if all(one.fields.get(path) for path in _NEEDED)]
    units = [UNITS.get(_code(one, f"{_TOTAL}/uom")) for one, _ in rows]
    shifts = [_code(one, f"{_TOTAL}/powerOfTenMultiplier", "0") for one, _ in rows]
    count = len(rows)
    view, (starts, ends) = as_spans([one.fields[path] for path in _NEEDED[:3] for one, _ in rows])
    spans = {
        name: (starts[i * count : (i + 1) * count], ends[i * count : (i + 1) * count])
        for i, name in enumerate(("time", "seconds", "value"))
    }
    found = read_numbers(view, spans, count)
    bad = found["rule"] != FINE
    bad |= np.array([unit is None for unit in units], dtype=bool)
    beyond = [abs(shift) > 24 for shift in shifts]
    repeats = [bool(one.repeated.intersection(_NEEDED)) for one, _ in rows]
    bad |= np.array(beyond, dtype=bool) | np.array(repeats, dtype=bool)
    exponent = np.array(
        [(unit or ("", 0))[1] + shift for unit, shift in zip(units, shifts, strict=True)], dtype=np.int64
    )
    value, misfit = rescale(np.where(bad, 0, found["value"]), exponent + SCALE - found["shift"])
    bad |= misfit
    kept = np.flatnonzero(~bad)
    wrong = [rows[i][0].record_no for i in np.flatnonzero(bad)]
    if not len(kept):
        return pa.RecordBatch.from_pylist([], REGISTER_READS), wrong
    start = found["time"][kept].astype(np.int64)
    flags = [_flag(rows[i][0].fields.get("qualityOfReading", "")) for i in kept]
    return (
        register_batch(
            {
                "_record_no": pa.array([rows[i][0].record_no for i in kept], pa.int64()),
                "service_point_id": pa.array([rows[i][1] for i in kept]),
                "register_id": pa.array([REGISTER] * len(kept)),
                "direction": pa.array(["import"] * len(kept)),
                "unit": pa.array([(units[i] or ("", 0))[0] for i in kept]),
                "read_from_at": pa.array(start, TIMESTAMP),
                "read_to_at": pa.array(start + found["seconds"][kept] * MICROSECONDS, TIMESTAMP),
                "quantity": decimal_array(value[kept], VALUE, np.zeros(len(kept), dtype=bool)),
                "quality_flag": pa.array([flag for flag, _ in flags]),
                "quality_method": pa.array([method for _, method in flags], pa.string()),
            }
        ),
        wrong,
    )


def _code(resource: Resource, path: str, default: str = "") -> int:
    """A small number; one that is none is beyond all measure."""
    text = resource.fields.get(path) or default
    return int(text) if _EXPONENT.fullmatch(text) or (text.isdecimal() and len(text) < 6) else 999_999


def _flag(code: str) -> tuple[str, str | None]:
    """Flag and method; a code that is not known is kept, and questionable."""
    return (QUALITY_FLAGS.get(code, "Q"), code) if code else ("A", None)
