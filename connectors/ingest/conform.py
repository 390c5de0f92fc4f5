"""Rows as a driver gave them, turned into the types a feed declares, without losing the neighbours of a bad
one.

Belongs here: type conversion of Arrow batches. Does not belong here: reading them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from connectors.formats.columns import BoolMask, parse_text


@dataclass(frozen=True)
class Conformed:
    """Good rows in the declared schema; bad ones by position, each with the column that does not fit.

    ``bad_batch`` holds the bad rows with null where a value does not fit, in the order of ``bad``.
    """

    batch: pa.RecordBatch
    bad: dict[int, str]
    bad_batch: pa.RecordBatch


def conform(batch: pa.RecordBatch, schema: pa.Schema) -> Conformed:
    """Rows of ``batch`` in ``schema``.

    A column that is missing becomes null, one that is undeclared is left out.
    """
    columns: list[pa.Array] = []
    bad: dict[int, str] = {}
    for field in schema:
        if field.name not in batch.schema.names:
            columns.append(pa.nulls(batch.num_rows, field.type))
            continue
        values, failed = _cast(batch.column(field.name), field.type)
        columns.append(values)
        for position in np.flatnonzero(failed):
            bad.setdefault(int(position), field.name)
    whole = pa.RecordBatch.from_arrays(columns, schema=schema)
    if not bad:
        return Conformed(whole, bad, whole.slice(0, 0))
    good = np.ones(batch.num_rows, dtype=bool)
    good[list(bad)] = False
    return Conformed(whole.filter(pa.array(good)), dict(sorted(bad.items())), whole.filter(pa.array(~good)))


def _cast(values: pa.Array, target: pa.DataType) -> tuple[pa.Array, BoolMask]:
    fits = np.zeros(len(values), dtype=bool)
    if values.type == target:
        return values, fits
    if pa.types.is_timestamp(target) and pa.types.is_timestamp(values.type) and values.type.tz is None:
        # A database column without a zone is taken as UTC, as the session is.
        values = pc.assume_timezone(values, "UTC")
    if not (pa.types.is_string(values.type) and not pa.types.is_decimal(target)):
        try:
            return pc.cast(values, target), fits
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            pass  # some rows do not fit, or only by way of text; the next lines tell which
    return parse_text(pc.cast(values, pa.string()), target)


def declared_type(column: sa.Column[object]) -> pa.DataType:
    """The raw type of a source column that the feed does not declare (contract ``evolve``)."""
    kind = column.type
    if isinstance(kind, sa.Boolean):
        return pa.bool_()
    if isinstance(kind, sa.Integer):
        return pa.int64()
    if isinstance(kind, sa.Float):
        return pa.float64()
    if isinstance(kind, sa.Numeric):
        return pa.decimal128(38, kind.scale if kind.scale is not None else 9)
    if isinstance(kind, sa.DateTime):
        return pa.timestamp("us", tz="UTC")
    if isinstance(kind, sa.Date):
        return pa.date32()
    return pa.string()
