"""JSON lines: one object a line, a field of it says which table.

Belongs here: typing objects into declared columns and putting aside the lines that do not fit. Does not
belong here: what an event means.

Arrow's own JSON reader types whole blocks; where it refuses, the block is halved until the refused lines
stand alone. A number is not taken for a text, nor a text for a number; a field that is absent is null;
fields that are not declared are left out.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
from pydantic import Field as Setting

from connectors.formats.base import (
    RECORD_NO,
    DecodeResult,
    Format,
    FormatSettings,
    Settings,
    SettingsError,
    TableSink,
    parse_settings,
)
from connectors.formats.columns import BoolMask, arrow_fields, as_mask, check_time_zone, parse_text
from connectors.formats.text_blocks import LineBlock, read_lines
from connectors.formats.text_lines import Ints

_NO_OBJECT = "the line is not one JSON object"
_ALONE = 32  # below this many lines they are tried one by one


class TableSettings(FormatSettings):
    """One table."""

    columns: dict[str, str] = Setting(description="type by field of the object")
    values: list[str] | None = Setting(
        default=None, description="values of the discriminator that go to it; its own name by default"
    )


class JsonlSettings(FormatSettings):
    """Which objects go to which table."""

    tables: dict[str, TableSettings] = Setting(description="the tables; a feed gives its own")
    discriminator: str | None = Setting(
        default=None, description="the field that says which table; without one there is a single table"
    )
    time_zone: str = Setting(default="UTC", description="zone of timestamps that carry no offset")


def schema(settings: Settings) -> dict[str, pa.Schema]:
    """The declared tables."""
    return _schemas(_checked(settings))


def _checked(settings: Settings) -> JsonlSettings:
    checked = parse_settings(JsonlSettings, "jsonl", settings)
    check_time_zone(checked.time_zone, "jsonl")
    if checked.discriminator is None and len(checked.tables) != 1:
        raise SettingsError("format jsonl: setting 'discriminator': needed unless there is exactly one table")
    values = [value for name, table in checked.tables.items() for value in _values(name, table)]
    if len(set(values)) < len(values):
        raise SettingsError("format jsonl: setting 'tables': two tables claim the same value")
    return checked


def _values(name: str, table: TableSettings) -> list[str]:
    return [name] if table.values is None else table.values


def _schemas(settings: JsonlSettings) -> dict[str, pa.Schema]:
    return {
        name: pa.schema([RECORD_NO, *arrow_fields(table.columns, key=f"tables.{name}.columns")])
        for name, table in settings.tables.items()
    }


def decode(stream: BinaryIO, settings: Settings, sink: TableSink, name: str) -> DecodeResult:
    """Decode one file; see :func:`connectors.formats.decode`."""
    checked = _checked(settings)
    schemas = _schemas(checked)
    result = DecodeResult()
    for block in read_lines(stream, name):
        result.records_read += len(block.lines)
        for table, rows in _by_table(block, checked, result, sink):
            result.add_type(table, len(rows))
            _decode_table(block, rows, table, schemas[table], checked.time_zone, result, sink)
    return result


def _by_table(
    block: LineBlock, settings: JsonlSettings, result: DecodeResult, sink: TableSink
) -> Iterator[tuple[str, Ints]]:
    """The lines of each table; lines that are no object or of no table are rejected."""
    broken = block.undecodable("utf-8")
    for index in np.flatnonzero(broken):
        block.reject(result, sink, int(index), "bad_encoding", "the line is not UTF-8")
    # Arrow takes null for an empty object; a line is an object, so it begins like one.
    bare = ~broken & (block.view[block.lines.start] != ord("{"))
    for index in np.flatnonzero(bare):
        block.reject(result, sink, int(index), "bad_json", _NO_OBJECT)
    rows = np.flatnonzero(~broken & ~bare)
    if settings.discriminator is None:
        yield next(iter(settings.tables)), rows
        return
    wanted = pa.schema([(settings.discriminator, pa.string())])
    refused: list[int] = []
    for good, table in _read(block, rows, wanted, refused.append):
        found = table.column(0).combine_chunks()
        for name, entry in settings.tables.items():
            chosen = as_mask(pc.is_in(found, pa.array(_values(name, entry), pa.string())))
            if chosen.any():
                yield name, good[chosen]
        known = [value for name, entry in settings.tables.items() for value in _values(name, entry)]
        unknown = ~as_mask(pc.is_in(found, pa.array(known, pa.string())))
        for index in good[unknown]:
            reason = f"'{settings.discriminator}' is none of {', '.join(known)}"
            block.reject(result, sink, int(index), "unknown_record_type", reason)
    for line in refused:
        rule, reason, _ = _explain(block.raw(line), wanted)
        block.reject(result, sink, line, rule, reason)


def _decode_table(
    block: LineBlock,
    rows: Ints,
    name: str,
    target: pa.Schema,
    time_zone: str,
    result: DecodeResult,
    sink: TableSink,
) -> None:
    wanted = pa.schema([(f.name, _as_read(f.type)) for f in target if f.name != RECORD_NO.name])
    refused: list[int] = []
    for good, table in _read(block, rows, wanted, refused.append):
        bad = np.zeros(len(good), dtype=bool)
        arrays = [pa.array(block.lines.line_no[good])]
        for column in list(target)[1:]:
            values, wrong = _convert(table.column(column.name).combine_chunks(), column.type, time_zone)
            arrays.append(values)
            for index in good[wrong & ~bad]:
                reason = f"{name}.{column.name} is not a valid {column.type}"
                block.reject(result, sink, int(index), "bad_value", reason, table=name, column=column.name)
            bad |= wrong
        batch = pa.RecordBatch.from_arrays(arrays, schema=target)
        result.loaded += int((~bad).sum())
        result.write(sink, name, batch.filter(pa.array(~bad)) if bad.any() else batch)
    for line in refused:
        rule, reason, at = _explain(block.raw(line), wanted)
        block.reject(result, sink, line, rule, reason, table=name, column=at)


def _as_read(kind: pa.DataType) -> pa.DataType:
    """The type Arrow's JSON reader is told; the rest of the way is a checked cast."""
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return pa.string()
    return pa.int64() if pa.types.is_int32(kind) else kind


def _convert(values: pa.Array, kind: pa.DataType, time_zone: str) -> tuple[pa.Array, BoolMask]:
    if values.type == kind:
        return values, np.zeros(len(values), dtype=bool)
    if pa.types.is_int32(kind):
        outside = as_mask(pc.or_(pc.greater(values, 2**31 - 1), pc.less(values, -(2**31))))
        kept = pc.if_else(pa.array(outside), pa.scalar(None, pa.int64()), values)
        return pc.cast(kept, pa.int32()), outside
    return parse_text(values, kind, time_zone)


def _read(
    block: LineBlock, rows: Ints, wanted: pa.Schema, refuse: Callable[[int], None]
) -> Iterator[tuple[Ints, pa.Table]]:
    """Type lines into ``wanted``; lines Arrow refuses are told, one by one."""
    if not len(rows):
        return
    try:
        table = pj.read_json(
            io.BytesIO(block.text_of(rows)),
            pj.ReadOptions(use_threads=False, block_size=2**31 - 1),
            pj.ParseOptions(explicit_schema=wanted, unexpected_field_behavior="ignore"),
        )
    except pa.ArrowInvalid:
        table = None
    # Two objects on one line would make more rows than lines.
    if table is not None and table.num_rows == len(rows):
        yield rows, table
    elif len(rows) == 1:
        refuse(int(rows[0]))
    else:
        step = 1 if len(rows) <= _ALONE else -(-len(rows) // 2)
        for low in range(0, len(rows), step):
            yield from _read(block, rows[low : low + step], wanted, refuse)


def _explain(raw: bytes, wanted: pa.Schema) -> tuple[str, str, str | None]:
    """Why Arrow refused a line: the rule, a reason that holds no value, and the column where it is one's."""
    try:
        entry: dict[str, Any] = json.loads(raw)
    except (ValueError, RecursionError):
        return "bad_json", _NO_OBJECT, None
    for column in wanted:
        value = entry.get(column.name)
        if value is not None and not _fits(value, column.type):
            reason = f"'{column.name}' is not of JSON type {_json_type(column.type)}"
            return "bad_type", reason, column.name
    return "bad_json", "the line cannot be typed into the declared columns", None


def _fits(value: Any, kind: pa.DataType) -> bool:
    if pa.types.is_string(kind):
        return isinstance(value, str)
    if pa.types.is_boolean(kind):
        return isinstance(value, bool)
    if pa.types.is_integer(kind):
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    if pa.types.is_decimal(kind):
        return False  # a number, but with too many digits for the column, or no number at all
    return isinstance(value, int | float) and not isinstance(value, bool)


def _json_type(kind: pa.DataType) -> str:
    if pa.types.is_string(kind):
        return "string"
    if pa.types.is_boolean(kind):
        return "boolean"
    return f"number ({kind})"


FORMAT = Format(
    name="jsonl",
    version="1",
    description="JSON lines, one object a line",
    decode=decode,
    schema=schema,
    settings=JsonlSettings,
)
