"""Delimited text: CSV and its kin, one record a line.

Belongs here: cutting lines into declared columns, typing them, and putting aside the lines that do not fit.
Does not belong here: meter formats that merely use commas (``nem12``).

A line is a record: a quoted field may hold delimiters and doubled quotes, not a line break, so that one lost
quote costs one line and not the rest of the file.
"""

from __future__ import annotations

import codecs
import csv
import io
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pv
from pydantic import Field as Setting

from connectors.formats.base import (
    RECORD_NO,
    DecodeResult,
    Format,
    FormatSettings,
    RefusedFile,
    Settings,
    SettingsError,
    TableSink,
    parse_settings,
)
from connectors.formats.columns import BoolMask, arrow_fields, check_time_zone, parse_text
from connectors.formats.text_blocks import LineBlock, read_lines
from connectors.formats.text_lines import Ints

_BAD_LINE = "a quote or a carriage return stands where none belongs"


class DelimitedSettings(FormatSettings):
    """The dialect of one sender, and the columns its feed declares."""

    table: str = Setting(description="raw table of the rows; a feed gives its own")
    columns: dict[str, str] = Setting(description="type by column; a feed gives its table's")
    delimiter: str = Setting(default=",", min_length=1, max_length=1, description="what parts the fields")
    quote: str | None = Setting(
        default='"',
        min_length=1,
        max_length=1,
        description="what encloses a field that holds delimiters",
    )
    header: bool = Setting(
        default=True,
        description="the first line names the columns, in any order; else they come in the declared order",
    )
    encoding: str = Setting(default="utf-8", description="any encoding that holds ASCII")
    time_zone: str = Setting(default="UTC", description="zone of timestamps that carry no offset")
    allow_extra_columns: bool = Setting(
        default=False, description="columns of the header line that nobody declares are left out, not refused"
    )


def schema(settings: Settings) -> dict[str, pa.Schema]:
    """The one declared table."""
    checked = _checked(settings)
    return {checked.table: pa.schema([RECORD_NO, *arrow_fields(checked.columns, key="columns")])}


def _checked(settings: Settings) -> DelimitedSettings:
    checked = parse_settings(DelimitedSettings, "delimited", settings)
    check_time_zone(checked.time_zone, "delimited")
    for key in ("delimiter", "quote"):
        value = getattr(checked, key)
        if value is not None and not (value.isascii() and (value.isprintable() or value == "\t")):
            raise SettingsError(
                f"format delimited: setting '{key}': must be one printable ASCII character or a tab"
            )
    try:
        plain = 'a0,"\n'.encode(checked.encoding) == b'a0,"\n'
    except (LookupError, UnicodeError):
        plain = False
    if not plain:
        raise SettingsError(
            f"format delimited: setting 'encoding': '{checked.encoding}' is not a superset of ASCII"
        )
    if not checked.columns:
        raise SettingsError("format delimited: setting 'columns': at least one column is needed")
    return checked


def decode(stream: BinaryIO, settings: Settings, sink: TableSink, name: str) -> DecodeResult:
    """Decode one file; see :func:`connectors.formats.decode`."""
    checked = _checked(settings)
    target = schema(settings)[checked.table]
    result = DecodeResult()
    names = None if checked.header else list(checked.columns)
    for block in read_lines(stream, name):
        rows = np.arange(len(block.lines), dtype=np.int64)
        if names is None:
            names = _header(block, checked, name)
            rows = rows[1:]
        result.records_read += len(rows)
        result.add_type(checked.table, len(rows))
        rows = _well_formed(block, rows, len(names), checked, result, sink)
        if len(rows):
            _decode_rows(block, rows, names, checked, target, result, sink)
    if names is None:
        raise RefusedFile(f"{name}: is empty, not even a header line")
    return result


def _header(block: LineBlock, settings: DelimitedSettings, name: str) -> list[str]:
    """The column names of the first line.

    Raises :class:`RefusedFile` where they are not the declared ones.
    """
    try:
        line = block.raw(0).decode(settings.encoding)
    except UnicodeDecodeError:
        raise RefusedFile(f"{name}: the header line is not {settings.encoding}") from None
    quote = settings.quote
    reader = csv.reader(
        [line],
        delimiter=settings.delimiter,
        quotechar=quote,
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
    )
    try:
        names = [column.strip() for column in next(reader)]
    except csv.Error:
        raise RefusedFile(f"{name}: the header line cannot be cut into columns") from None
    missing = [column for column in settings.columns if column not in names]
    if missing:
        raise RefusedFile(
            f"{name}: column '{missing[0]}' is not in the header line; check the feed's columns"
        )
    if len(set(names)) < len(names):
        raise RefusedFile(f"{name}: the header line names a column twice")
    extra = [column for column in names if column not in settings.columns]
    if extra and not settings.allow_extra_columns:
        raise RefusedFile(
            f"{name}: column '{extra[0][:40]}' is in the header line but not declared; declare it or set "
            "allow_extra_columns"
        )
    return names


def _well_formed(
    block: LineBlock,
    rows: Ints,
    width: int,
    settings: DelimitedSettings,
    result: DecodeResult,
    sink: TableSink,
) -> Ints:
    """Lines with balanced quotes, the right number of fields, and readable; the others are rejected."""
    start, end = block.lines.start[rows], block.lines.end[rows]
    is_delimiter = block.view == ord(settings.delimiter)
    odd = np.zeros(len(rows), dtype=bool)
    if settings.quote is not None:
        is_quote = block.view == ord(settings.quote)
        if is_quote.any():
            before = np.concatenate([[0], np.cumsum(is_quote)])
            odd = (before[end] - before[start]) % 2 == 1
            # Inside or outside of quotes is counted from the start of each line.
            line_of = np.repeat(before[start], end - start)
            within = np.zeros(len(block.view), dtype=bool)
            position = np.repeat(start - np.cumsum(end - start) + (end - start), end - start) + np.arange(
                int((end - start).sum())
            )
            within[position] = (before[position] - line_of) % 2 == 1
            is_delimiter = is_delimiter & ~within
    count = np.concatenate([[0], np.cumsum(is_delimiter)])
    fields = count[end] - count[start] + 1
    undecodable = block.undecodable(settings.encoding)[rows]
    bad: BoolMask = odd | (fields != width) | undecodable
    for index in np.flatnonzero(bad):
        rule, reason = "field_count", f"{fields[index]} fields, where the table has {width}"
        if undecodable[index]:
            rule, reason = "bad_encoding", f"the line is not {settings.encoding}"
        elif odd[index]:
            rule, reason = "open_quote", "a quote is opened and not closed on the line"
        block.reject(result, sink, int(rows[index]), rule, reason)
    return rows[~bad]


def _decode_rows(
    block: LineBlock,
    rows: Ints,
    names: list[str],
    settings: DelimitedSettings,
    target: pa.Schema,
    result: DecodeResult,
    sink: TableSink,
) -> None:
    table = _cut(block.text_of(rows), names, settings)
    if table is None or table.num_rows != len(rows):
        # A quote or a return within an unquoted field is read otherwise there: halve until it stands alone.
        middle = len(rows) // 2
        if not middle:
            block.reject(result, sink, int(rows[0]), "bad_line", _BAD_LINE)
            return
        for part in (rows[:middle], rows[middle:]):
            _decode_rows(block, part, names, settings, target, result, sink)
        return
    bad = np.zeros(len(rows), dtype=bool)
    arrays = [pa.array(block.lines.line_no[rows])]
    for column in list(target)[1:]:
        text = table.column(column.name).combine_chunks()
        values, wrong = parse_text(text, column.type, settings.time_zone)
        arrays.append(values)
        for index in rows[wrong & ~bad]:
            reason = f"{settings.table}.{column.name} is not a valid {column.type}"
            block.reject(
                result, sink, int(index), "bad_value", reason, table=settings.table, column=column.name
            )
        bad |= wrong
    batch = pa.RecordBatch.from_arrays(arrays, schema=target)
    result.loaded += int((~bad).sum())
    result.write(sink, settings.table, batch.filter(pa.array(~bad)) if bad.any() else batch)


def _cut(text: bytes, names: list[str], settings: DelimitedSettings) -> pa.Table | None:
    """The fields of lines as text; None where Arrow finds another number of fields in one of them."""
    if codecs.lookup(settings.encoding).name not in ("utf-8", "ascii"):
        text = text.decode(settings.encoding).encode("utf-8")
    try:
        return pv.read_csv(
            io.BytesIO(text),
            pv.ReadOptions(column_names=names, use_threads=False, block_size=max(len(text), 1)),
            pv.ParseOptions(
                delimiter=settings.delimiter,
                quote_char=settings.quote or False,
                double_quote=True,
                newlines_in_values=False,
                ignore_empty_lines=False,
            ),
            pv.ConvertOptions(
                column_types={name: pa.string() for name in names},
                include_columns=list(settings.columns),
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid:
        return None


FORMAT = Format(
    name="delimited",
    version="1",
    description="Delimited text such as CSV",
    decode=decode,
    schema=schema,
    settings=DelimitedSettings,
)
