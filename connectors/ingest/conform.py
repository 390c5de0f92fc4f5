"""Rows as a driver gave them, turned into the types a feed declares, without losing the neighbours of a bad
one.

Belongs here: type conversion of Arrow batches. Does not belong here: reading them.

A value is taken when it is the same value in the declared type; one that would have to be rounded, cut or
guessed does not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from connectors.formats.columns import BoolMask, parse_text

_Cast = Callable[[pa.Array], pa.Array]


@dataclass(frozen=True)
class Rules:
    """What a feed says of values: the zone of times without one, and texts that stand for unknown."""

    time_zone: str = "UTC"
    null_values: Sequence[str] = ()
    keys: Sequence[str] = field(default=())
    """Columns in which null is no value; a row without its key cannot be told from another."""


@dataclass(frozen=True)
class Conformed:
    """Good rows in the declared schema; bad ones by position, each with the column that does not fit.

    ``bad_batch`` holds the bad rows with null where a value does not fit, in the order of ``bad``.
    """

    batch: pa.RecordBatch
    bad: dict[int, str]
    bad_batch: pa.RecordBatch


def conform(batch: pa.RecordBatch, schema: pa.Schema, rules: Rules | None = None) -> Conformed:
    """Rows of ``batch`` in ``schema``.

    A column that is missing becomes null, one that is undeclared is left out.
    """
    rules = rules or Rules()
    columns: list[pa.Array] = []
    bad: dict[int, str] = {}
    for wanted in schema:
        if wanted.name not in batch.schema.names:
            columns.append(pa.nulls(batch.num_rows, wanted.type))
            continue
        values, failed = _cast(batch.column(wanted.name), wanted.type, rules)
        if wanted.name in rules.keys and values.null_count:
            failed = failed | np.asarray(values.is_null().to_numpy(zero_copy_only=False), dtype=bool)
        columns.append(values)
        for position in np.flatnonzero(failed):
            bad.setdefault(int(position), wanted.name)
    whole = pa.RecordBatch.from_arrays(columns, schema=schema)
    if not bad:
        return Conformed(whole, bad, whole.slice(0, 0))
    good = np.ones(batch.num_rows, dtype=bool)
    good[list(bad)] = False
    return Conformed(whole.filter(pa.array(good)), dict(sorted(bad.items())), whole.filter(pa.array(~good)))


def _cast(values: pa.Array, target: pa.DataType, rules: Rules) -> tuple[pa.Array, BoolMask]:
    if values.type == target:
        return values, np.zeros(len(values), dtype=bool)
    cast = _exact(values.type, target, rules.time_zone)
    if cast is not None:
        return _in_halves(values, cast, target)
    text = as_text(values)
    if pa.types.is_string(target):
        return text, np.zeros(len(values), dtype=bool)
    parsed, failed = parse_text(text, target, rules.time_zone)
    if rules.null_values and failed.any():
        unknown = pc.is_in(pc.utf8_trim_whitespace(text), pa.array(list(rules.null_values), pa.string()))
        failed = failed & ~np.asarray(unknown.to_numpy(zero_copy_only=False), dtype=bool)
    return parsed, failed


def _exact(origin: pa.DataType, target: pa.DataType, time_zone: str) -> _Cast | None:
    """Arrow's own cast where it refuses whatever would change a value, None where text has to decide."""
    is_number = pa.types.is_integer(target) or pa.types.is_decimal(target)
    if pa.types.is_integer(origin) or pa.types.is_decimal(origin):
        fits = is_number or (pa.types.is_floating(target) and pa.types.is_integer(origin))
        return (lambda values: pc.cast(values, target)) if fits else None
    if pa.types.is_floating(origin) and (pa.types.is_floating(target) or pa.types.is_integer(target)):
        return lambda values: pc.cast(values, target)
    if pa.types.is_date(origin) and pa.types.is_timestamp(target):
        return lambda values: _at(pc.cast(values, pa.timestamp("us")), time_zone, target)
    if pa.types.is_timestamp(origin) and pa.types.is_timestamp(target):
        if origin.tz is None:
            return lambda values: _at(values, time_zone, target)
        return lambda values: pc.cast(values, target)
    if pa.types.is_timestamp(origin) and pa.types.is_date(target) and origin.tz is None:
        return lambda values: pc.cast(values, target)
    if pa.types.is_large_string(origin) and pa.types.is_string(target):
        return lambda values: pc.cast(values, target)
    return None


def _at(values: pa.Array, time_zone: str, target: pa.DataType) -> pa.Array:
    """Local times as moments; the repeated autumn hour is its first pass, one that never was is an error."""
    moments = pc.assume_timezone(values, time_zone, ambiguous="earliest", nonexistent="raise")
    return pc.cast(moments, target)


def as_text(values: pa.Array) -> pa.Array:
    """Text that says a value exactly: bytes in hexadecimal, decimals in full."""
    kind = values.type
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return pa.array([None if value is None else value.hex() for value in values.to_pylist()], pa.string())
    if pa.types.is_duration(kind) or pa.types.is_nested(kind) or pa.types.is_interval(kind):
        return pa.array([None if value is None else str(value) for value in values.to_pylist()], pa.string())
    return pc.cast(values, pa.string())


def _in_halves(values: pa.Array, cast: _Cast, target: pa.DataType) -> tuple[pa.Array, BoolMask]:
    """Cast all; where Arrow refuses, halve until the refused values stand alone."""
    try:
        return cast(values), np.zeros(len(values), dtype=bool)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        if len(values) == 1:
            return pa.nulls(1, target), np.ones(1, dtype=bool)
    middle = len(values) // 2
    left, left_bad = _in_halves(values[:middle], cast, target)
    right, right_bad = _in_halves(values[middle:], cast, target)
    return pa.concat_arrays([left, right]), np.concatenate([left_bad, right_bad])


def declared_type(column: sa.ColumnElement[Any]) -> pa.DataType:
    """The raw type of a source column that the feed does not declare (contract ``evolve``)."""
    kind = column.type
    if isinstance(kind, sa.Boolean):
        return pa.bool_()
    if isinstance(kind, sa.Integer):
        return pa.decimal128(20, 0) if getattr(kind, "unsigned", False) else pa.int64()
    if isinstance(kind, sa.Float):
        return pa.float64()
    if isinstance(kind, sa.Numeric):
        return pa.decimal128(38, kind.scale if kind.scale is not None else 9)
    if isinstance(kind, sa.DateTime):
        return pa.timestamp("us", tz="UTC")
    if isinstance(kind, sa.Date):
        return pa.date32()
    return pa.string()


def sql_types(declared: pa.Schema) -> dict[str, sa.types.TypeEngine[Any]]:
    """What a feed declares, as types of SQLAlchemy: a database does not say of what types a query is."""
    return {field.name: _sql_type(field.type) for field in declared}


def _sql_type(kind: pa.DataType) -> sa.types.TypeEngine[Any]:
    if pa.types.is_integer(kind):
        return sa.BigInteger()
    if pa.types.is_timestamp(kind):
        return sa.DateTime()
    return sa.Date() if pa.types.is_date(kind) else sa.types.NullType()


def can_hold(target: pa.DataType, column: sa.ColumnElement[Any]) -> bool:
    """Whether a source column may still be what the feed declares; a contract may freeze types.

    Databases without types of their own for truths and times keep them as numbers or text, so text may hold
    anything but what is stored as a number.
    """
    kind = column.type
    if pa.types.is_string(target) or isinstance(kind, sa.types.NullType):
        return True
    is_numeric = isinstance(kind, sa.Integer | sa.Numeric | sa.Float)
    if pa.types.is_boolean(target):
        return is_numeric or isinstance(kind, sa.Boolean | sa.String) or "BIT" in str(kind)
    if pa.types.is_temporal(target):
        return isinstance(kind, sa.Date | sa.DateTime)
    if pa.types.is_integer(target) and isinstance(kind, sa.Numeric):
        return not kind.scale
    return is_numeric or type(kind).__name__ in (
        "MONEY",
        "SMALLMONEY",
        "BIT",
        "YEAR",
        "TIMESTAMP",
        "ROWVERSION",
    )
