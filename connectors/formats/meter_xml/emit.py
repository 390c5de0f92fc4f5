"""Resolved readings to rows of the canonical tables, and the others to quarantine.

Belongs here: rows, rejects and their account. Does not belong here: deciding which is which (``settle``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from connectors.formats.base import RECORD_NO, DecodeResult, Reject, TableSink
from connectors.formats.columns import TIMESTAMP, BoolMask
from connectors.formats.digits import decimal_array, validity
from connectors.formats.meter_xml.currencies import currency_of
from connectors.formats.meter_xml.pending import MICROSECONDS, NONE, Columns
from connectors.formats.meter_xml.rules import CONFLICT, FINE, RULES
from connectors.formats.meter_xml.settle import (
    AS_IS,
    CONFLICTING,
    CUMULATIVE,
    KEPT,
    QUANTITY,
    SUPERSEDED,
    Resolved,
    Resolver,
    settle,
)
from connectors.formats.meter_xml.stream import Source
from connectors.formats.reads import VALUE, interval_batch, register_batch
from connectors.formats.text_lines import Ints

_WORST_FIRST = "NQESFA"
COST = pa.decimal128(18, 5)
INTERVAL_COSTS = pa.schema(
    [
        RECORD_NO,
        ("service_point_id", pa.string()),
        ("register_id", pa.string()),
        ("interval_start_at", TIMESTAMP),
        ("interval_seconds", pa.int32()),
        ("cost", COST),
        ("currency", pa.string()),
    ]
)
"""One row an interval that has a cost, in units of ``currency`` (ISO 4217; null where it is not said)."""


class Emitter:
    """Writes the readings of one file; rejects are handed to ``put_aside`` so that all come in file order."""

    def __init__(
        self,
        result: DecodeResult,
        sink: TableSink,
        resolver: Resolver,
        quality_flags: list[str],
        quality_texts: list[str],
    ) -> None:
        """``quality_flags`` and ``quality_texts`` are by number of the quality; "" is the series' own."""
        self._result = result
        self._sink = sink
        self._resolver = resolver
        self._flags = np.array(quality_flags, dtype=object)
        self._texts = np.array(quality_texts, dtype=object)
        series = resolver.series
        self._columns = {
            "service_point_id": pa.array([one.service_point for one in series], pa.string()),
            "register_id": pa.array([one.register for one in series], pa.string()),
            "meter_serial": pa.array([one.meter for one in series], pa.string()),
            "direction": pa.array([one.direction for one in series], pa.string()),
            "unit": pa.array([one.unit for one in series], pa.string()),
        }
        self._currency = pa.array([one.currency for one in series], pa.string())
        self._quality = np.array([one.quality for one in series], dtype=object)

    def emit(
        self,
        batches: Callable[[], Iterator[Columns]],
        put_aside: Callable[[int, int, int], None],
        costs: bool = False,
    ) -> None:
        """Settle and write everything; ``put_aside`` takes record number, byte offset and rule number."""
        verdicts = settle(batches, self._resolver)
        for columns in batches():
            resolved = self._resolver.resolve(columns)
            state, moved = verdicts.of(columns["record_no"])
            rule = np.where((resolved.rule == FINE) & (state == CONFLICTING), CONFLICT, resolved.rule)
            for row in np.flatnonzero(rule != FINE):
                put_aside(int(columns["record_no"][row]), int(columns["offset"][row]), int(rule[row]))
            self._result.superseded += int(((rule == FINE) & (state == SUPERSEDED)).sum())
            rows = np.flatnonzero((rule == FINE) & (state == KEPT))
            self._result.loaded += len(rows)
            if len(rows):
                self._write(columns, resolved, moved, rows, costs)

    def _write(self, columns: Columns, resolved: Resolved, moved: Ints, rows: Ints, costs: bool) -> None:
        kind = self._resolver.kind[resolved.series[rows]]
        is_interval = (kind == AS_IS) | ((kind == CUMULATIVE) & (moved[rows] != NONE))
        value = np.where(kind == CUMULATIVE, moved[rows], resolved.value[rows])
        intervals = rows[is_interval]
        if len(intervals):
            shared = self._shared(columns, resolved, intervals, value[is_interval])
            shared["interval_start_at"] = _timestamps(resolved.start[intervals])
            shared["interval_seconds"] = pa.array(resolved.seconds[intervals].astype(np.int32))
            shared["value"] = _decimals(value[is_interval])
            self._result.write(self._sink, "interval_reads", interval_batch(shared))
        dials = rows[kind != AS_IS]
        if len(dials):
            self._write_dials(columns, resolved, moved, dials)
        if costs and len(priced := rows[columns["cost"][rows] != NONE]):
            self._write_costs(columns, resolved, priced)

    def _write_dials(self, columns: Columns, resolved: Resolved, moved: Ints, rows: Ints) -> None:
        value, difference, seconds = resolved.value[rows], moved[rows], resolved.seconds[rows]
        is_quantity = self._resolver.kind[resolved.series[rows]] == QUANTITY
        shared = self._shared(columns, resolved, rows, value)
        shared["read_from_at"] = _timestamps(np.where(seconds == 0, NONE, resolved.start[rows]))
        shared["read_to_at"] = _timestamps(resolved.start[rows] + seconds * MICROSECONDS)
        has_moved = difference != NONE
        before = value - np.where(has_moved, difference, 0)
        shared["previous_read"] = _decimals(np.where(has_moved, before, NONE))
        shared["current_read"] = _decimals(np.where(is_quantity, NONE, value))
        shared["quantity"] = _decimals(np.where(is_quantity, value, difference))
        self._result.write(self._sink, "register_reads", register_batch(shared))

    def _write_costs(self, columns: Columns, resolved: Resolved, rows: Ints) -> None:
        series = pa.array(resolved.series[rows])
        cost = columns["cost"][rows].astype(np.int64)
        arrays = [
            pa.array(columns["record_no"][rows]),
            self._columns["service_point_id"].take(series),
            self._columns["register_id"].take(series),
            _timestamps(resolved.start[rows]),
            pa.array(resolved.seconds[rows].astype(np.int32)),
            decimal_array(cost, COST, np.zeros(len(cost), dtype=bool)),
            self._currency.take(series),
        ]
        own = columns["currency"][rows]
        if own.any():
            arrays[-1] = pc.if_else(pa.array(own != 0), _currencies(own), arrays[-1])
        batch = pa.RecordBatch.from_arrays(arrays, schema=INTERVAL_COSTS)
        self._result.write(self._sink, "interval_costs", batch)

    def _shared(self, columns: Columns, resolved: Resolved, rows: Ints, value: Ints) -> dict[str, Any]:
        """The columns that interval and register reads have in common."""
        series = resolved.series[rows]
        found: dict[str, Any] = {"_record_no": pa.array(columns["record_no"][rows])}
        index = pa.array(series)
        for name, texts in self._columns.items():
            found[name] = texts.take(index)
        flag, method = self._qualities(columns["quality"][rows], series, value == NONE)
        found["quality_flag"], found["quality_method"] = flag, method
        found["updated_at"] = _timestamps(self._resolver.updated(columns, rows))
        return found

    def _qualities(
        self, quality: npt.NDArray[np.signedinteger], series: npt.NDArray[np.int32], is_null: BoolMask
    ) -> tuple[pa.Array, pa.Array]:
        """Flag and method; a read without a value is ``N`` whatever its code."""
        pair = quality.astype(np.int64) * len(self._quality) + series
        pairs, inverse = np.unique(pair, return_inverse=True)
        numbers, owners = np.divmod(pairs, len(self._quality))
        flags = np.where(self._flags[numbers] == "", self._quality[owners], self._flags[numbers])
        codes = pa.array(inverse.astype(np.int32))
        flag = pa.array(flags, pa.string()).take(codes)
        if is_null.any():
            flag = pc.if_else(pa.array(is_null), "N", flag)
        texts = [text or None for text in self._texts[numbers]]
        return flag, pa.array(texts, pa.string()).take(codes)


def worst_flag(text: str, flag_of: Callable[[str], str | None]) -> str | None:
    """The worst flag of the codes in a text, "" for no code, None where one of them is not known."""
    found = [flag_of(code) for code in text.split()]
    if None in found:
        return None
    return min((flag for flag in found if flag), key=_WORST_FIRST.index, default="")


def _currencies(numbers: npt.NDArray[np.signedinteger]) -> pa.Array:
    """Numbers of currencies as their codes."""
    known, inverse = np.unique(numbers, return_inverse=True)
    names = pa.array([currency_of(int(number)) for number in known], pa.string())
    return names.take(pa.array(inverse.astype(np.int32)))


def reject_of(source: Source, record_no: int, offset: int, rule: int) -> Reject:
    """A reading for quarantine, with its bytes."""
    return Reject(record_no, offset, source.element(offset), RULES[rule].name, RULES[rule].reason)


def _timestamps(values: Ints) -> pa.Array:
    null = values == NONE
    return pa.Array.from_buffers(
        TIMESTAMP, len(values), [validity(null), pa.py_buffer(np.where(null, 0, values))]
    )


def _decimals(values: Ints) -> pa.Array:
    null = values == NONE
    return decimal_array(np.where(null, 0, values), VALUE, null)
