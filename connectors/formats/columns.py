"""Columns declared in YAML: their Arrow types, and text turned into them without losing the neighbours.

Belongs here: the type names of feeds and vectorised text → value casts that say which rows failed. Does not
belong here: how a format finds its fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from connectors.formats.base import SettingsError

BoolMask = npt.NDArray[np.bool_]

TIMESTAMP = pa.timestamp("us", tz="UTC")
_SIMPLE: dict[str, pa.DataType] = {
    "string": pa.string(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "date": pa.date32(),
    "timestamp": TIMESTAMP,
    "boolean": pa.bool_(),
    "double": pa.float64(),
}
_DECIMAL = re.compile(r"^decimal\(\s*(\d{1,2})\s*,\s*(\d{1,2})\s*\)$")
_BOOLEAN_WORDS = {"true": True, "t": True, "1": True, "y": True, "yes": True,
                  "false": False, "f": False, "0": False, "n": False, "no": False}  # fmt: skip
# What a value must look like before Arrow casts it: Arrow alone would take 'inf' or ' 7' for some types.
_SHAPES: dict[str, str] = {
    "int": r"^[+-]?\d{1,10}$",
    "bigint": r"^[+-]?\d{1,19}$",
    "double": r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$",
    "decimal": r"^[+-]?(\d+\.?\d*|\.\d+)$",
    "date": r"^\d{4}-\d{2}-\d{2}$",
    "timestamp": r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?)?(Z|[+-]\d{2}:?\d{2})?$",
}


def arrow_type(name: str, *, key: str = "columns") -> pa.DataType:
    """The Arrow type of a YAML type name; raises :class:`SettingsError` naming ``key`` for an unknown one."""
    plain = name.strip().lower()
    if plain in _SIMPLE:
        return _SIMPLE[plain]
    match = _DECIMAL.match(plain)
    if match and 1 <= int(match[1]) <= 38 and int(match[2]) <= int(match[1]):
        return pa.decimal128(int(match[1]), int(match[2]))
    known = ", ".join([*_SIMPLE, "decimal(p,s)"])
    raise SettingsError(f"setting '{key}': type '{name}' is not known; use one of {known}")


def check_time_zone(name: str, format_name: str) -> None:
    """Raise :class:`SettingsError` unless ``name`` is a known IANA time zone."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise SettingsError(
            f"format {format_name}: setting 'time_zone': '{name}' is not a time zone such as America/Chicago"
        ) from None


def arrow_fields(columns: Mapping[str, str], *, key: str) -> list[pa.Field]:
    """The Arrow fields of a ``{column: type}`` mapping, in its order."""
    return [pa.field(name, arrow_type(kind, key=f"{key}.{name}")) for name, kind in columns.items()]


def parse_text(
    text: pa.StringArray, target: pa.DataType, time_zone: str = "UTC"
) -> tuple[pa.Array, BoolMask]:
    """Cast text to ``target``; returns the values (null where it failed) and the mask of rows that failed.

    Empty text and null are null, not failures. A timestamp without an offset is local time of ``time_zone``.
    """
    text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    if pa.types.is_string(target):
        return text, np.zeros(len(text), dtype=bool)
    if pa.types.is_boolean(target):
        return _booleans(text)
    trimmed = pc.utf8_trim_whitespace(text)
    shaped = pc.match_substring_regex(trimmed, _SHAPES[_shape_name(target)])
    candidates = pc.if_else(shaped, trimmed, pa.scalar(None, pa.string()))
    values, failed = _cast_in_halves(candidates, _caster(target, time_zone), target)
    bad = failed | as_mask(pc.and_(text.is_valid(), pc.invert(pc.fill_null(shaped, False))))
    return values, bad


def as_mask(array: pa.Array | pa.ChunkedArray) -> BoolMask:
    """An Arrow boolean array as numpy, null as false."""
    return np.asarray(pc.fill_null(array, False).to_numpy(zero_copy_only=False), dtype=bool)


def _shape_name(target: pa.DataType) -> str:
    for name, kind in _SIMPLE.items():
        if kind == target:
            return name
    return "decimal"


def _booleans(text: pa.StringArray) -> tuple[pa.Array, BoolMask]:
    words = pc.utf8_lower(pc.utf8_trim_whitespace(text))
    position = pc.index_in(words, pa.array(list(_BOOLEAN_WORDS)))
    values = pc.take(pa.array(list(_BOOLEAN_WORDS.values())), position)
    return values, as_mask(pc.and_(text.is_valid(), position.is_null()))


def _caster(target: pa.DataType, time_zone: str) -> Callable[[pa.Array], pa.Array]:
    if not pa.types.is_timestamp(target):
        return lambda values: pc.cast(pc.replace_substring_regex(values, r"^\+", ""), target)

    def cast(values: pa.Array) -> pa.Array:
        zoned = pc.match_substring_regex(values, r"(Z|[+-]\d{2}:?\d{2})$")
        with_zone = pc.if_else(zoned, values, pa.scalar(None, pa.string()))
        without = pc.if_else(zoned, pa.scalar(None, pa.string()), values)
        local = pc.cast(without, pa.timestamp("us"))
        # The repeated autumn hour is read as its first pass; an hour that never was is a failure.
        utc = pc.cast(pc.assume_timezone(local, time_zone, ambiguous="earliest", nonexistent="raise"), target)
        return pc.coalesce(pc.cast(with_zone, target), utc)

    return cast


def _cast_in_halves(
    values: pa.Array, cast: Callable[[pa.Array], pa.Array], target: pa.DataType
) -> tuple[pa.Array, BoolMask]:
    """Cast all; where Arrow refuses, halve until the refused values stand alone."""
    try:
        return cast(values), np.zeros(len(values), dtype=bool)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        if len(values) == 1:
            return pa.nulls(1, target), np.ones(1, dtype=bool)
    middle = len(values) // 2
    left, left_bad = _cast_in_halves(values[:middle], cast, target)
    right, right_bad = _cast_in_halves(values[middle:], cast, target)
    return pa.concat_arrays([left, right]), np.concatenate([left_bad, right_bad])
