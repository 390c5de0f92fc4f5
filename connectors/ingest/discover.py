"""What a file has that its feed does not declare, found before it is decoded, and what the contract says.

Belongs here: undeclared columns and record types of formats whose columns the feed declares (delimited text,
JSON lines), and the sink that keeps what evolves. Does not belong here: decoding.

New columns of delimited text are taken as text. Those of JSON lines are taken as the type that all their
values have; a field whose values differ in type, or are lists or objects, is left out and noted.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from connectors.formats import RECORD_NO, RefusedFile, Reject
from connectors.formats.base import TableSink
from connectors.formats.columns import arrow_type, parse_text
from connectors.formats.text_blocks import LineBlock, read_lines
from connectors.ingest.config import FeedConfig

Payloads = Callable[[], Iterator[tuple[str, BinaryIO]]]
TEXT_SUFFIX = "__text"
TAKEN, LEFT_OUT = "taken", "left out"
_LONGEST_HEADER = 4 * 1024 * 1024
_MOST_NAMES = 500
_TABLE_NAME = re.compile(r"^[a-z][a-z0-9_]{0,62}$")
_ADDED = {"load_date"}
_WRONG_TYPE = frozenset({"bad_value", "bad_type", "type"})


@dataclass
class Plan:
    """How one file is decoded: what each table looks like, and what was found that nobody declared."""

    schemas: dict[str, pa.Schema]
    settings: dict[str, Any]
    member_columns: dict[str, dict[str, str]] = field(default_factory=dict)
    undeclared: dict[str, dict[str, str]] = field(default_factory=dict)
    time_zone: str = "UTC"

    def settings_of(self, member: str) -> dict[str, Any]:
        """The decoder's settings for one file of the archive; their headers may differ."""
        columns = self.member_columns.get(member)
        return self.settings if columns is None else {**self.settings, "columns": columns}

    def note(self, table: str, column: str, became: str) -> None:
        """Remember an undeclared column; ``*`` stands for a whole record type."""
        found = self.undeclared.setdefault(table, {})
        if len(found) < _MOST_NAMES:
            found[column] = became


def plan(feed: FeedConfig, payloads: Payloads, declared: Mapping[str, pa.Schema]) -> Plan:
    """Look through a file of ``feed``.

    Raises RefusedFile where a contract freezes and something undeclared is there.
    """
    found = Plan(dict(declared), feed.decode_settings)
    if feed.format == "delimited":
        _delimited(feed, payloads, found)
    elif feed.format == "jsonl":
        _jsonl(feed, payloads, found)
    return found


def _may_be_taken(name: str, taken: Iterable[str]) -> bool:
    """Whether a name can stand beside the others; DuckDB does not tell them apart by case."""
    if not name or len(name) > 120 or name.startswith("_") or not name.isprintable():
        return False
    return name.lower() not in {other.lower() for other in taken} | _ADDED


def _refuse(feed: FeedConfig, member: str, what: str) -> RefusedFile:
    return RefusedFile(
        f"{member}: {what}, which contract freeze of feed {feed.source} does not allow: "
        "declare it, or let the contract evolve or quarantine"
    )


def _delimited(feed: FeedConfig, payloads: Payloads, found: Plan) -> None:
    ((table, declared),) = found.schemas.items()
    kinds: dict[str, str] = dict(found.settings["columns"])
    modes = {column: feed.type_mode(table, column) for column in kinds}
    variants = [c for c in kinds if modes[c] == "evolve" and arrow_type(kinds[c]) != pa.string()]
    as_read = {column: "string" if column in variants else kind for column, kind in kinds.items()}
    found.time_zone = str(found.settings.get("time_zone", "UTC"))
    new: dict[str, None] = {}
    mode = feed.contract_of(table).columns
    for member, stream in payloads():
        extra = [] if not found.settings.get("header", True) else _header(stream, found.settings)
        extra = [name for name in extra if name not in kinds]
        if extra and mode == "freeze":
            raise _refuse(feed, member, f"column '{extra[0][:40]}' is in the header line but not declared")
        taken: list[str] = []
        for name in extra:
            is_taken = mode == "evolve" and _may_be_taken(name, [*kinds, *taken])
            taken += [name] if is_taken else []
            found.note(table, name[:120], TAKEN if is_taken else LEFT_OUT)
        new |= dict.fromkeys(taken)
        if taken or variants:
            found.member_columns[member] = as_read | dict.fromkeys(taken, "string")
    fields = [pa.field(name, pa.string()) for name in new]
    fields += [pa.field(f"{column}{TEXT_SUFFIX}", pa.string()) for column in variants]
    found.schemas[table] = pa.schema([*declared, *fields])


def _header(stream: BinaryIO, settings: Mapping[str, Any]) -> list[str]:
    """The names of the first line; none where it cannot be read, which the decoder will say better."""
    line = stream.readline(_LONGEST_HEADER)
    while line and not line.strip():
        line = stream.readline(_LONGEST_HEADER)
    encoding = str(settings.get("encoding", "utf-8"))
    quote = settings.get("quote", '"')
    try:
        text = line.removeprefix(b"\xef\xbb\xbf").decode(encoding).rstrip("\r\n")
        rows = csv.reader(
            [text],
            delimiter=settings.get("delimiter", ","),
            quotechar=quote,
            quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
        )
        return [name.strip() for name in next(rows, [])]
    except (UnicodeDecodeError, csv.Error):
        return []


def _jsonl(feed: FeedConfig, payloads: Payloads, found: Plan) -> None:
    discriminator = found.settings.get("discriminator")
    tables: dict[str, Any] = found.settings["tables"]
    of_value = {value: name for name, table in tables.items() for value in table.get("values") or [name]}
    only = next(iter(tables)) if discriminator is None else None
    seen: dict[str, dict[str, str]] = {}
    for member, stream in payloads():
        for block in read_lines(stream, member):
            for value, columns in _fields(block, discriminator):
                table = only if only is not None else of_value.get(value or "")
                if table is None and value is None:
                    continue  # a record without a type: the decoder puts it aside
                mine = seen.setdefault(table or f"\0{value}", {})
                for name, kind in columns.items():
                    before = mine.get(name, kind)
                    is_number = {before, kind} == {"bigint", "double"}
                    mine[name] = before if before == kind else ("double" if is_number else "mixed")
        _judge(feed, member, seen, tables, discriminator)
    settings = {name: dict(table) for name, table in tables.items()}
    for key, columns in seen.items():
        if key.startswith("\0"):
            _new_table(feed, key[1:], columns, settings, found)
            continue
        mode = feed.contract_of(key).columns
        taken: dict[str, str] = {}
        for name, kind in columns.items():
            if name in tables[key]["columns"] or name == discriminator:
                continue
            names = [*tables[key]["columns"], *taken]
            if mode == "evolve" and kind not in ("mixed", "nested") and _may_be_taken(name, names):
                taken[name] = kind
            found.note(key, name[:120], TAKEN if name in taken else LEFT_OUT)
        settings[key]["columns"] = tables[key]["columns"] | taken
        fields = [pa.field(name, arrow_type(kind)) for name, kind in taken.items()]
        found.schemas[key] = pa.schema([*found.schemas[key], *fields])
    found.settings = {**found.settings, "tables": settings}


def _judge(
    feed: FeedConfig,
    member: str,
    seen: Mapping[str, Mapping[str, str]],
    tables: Mapping[str, Any],
    discriminator: str | None,
) -> None:
    """Refuse what a contract freezes."""
    for key, columns in seen.items():
        if key.startswith("\0"):
            if feed.contract_of(None).tables == "freeze":
                raise _refuse(feed, member, f"record type '{key[1:41]}' is of no declared table")
        elif feed.contract_of(key).columns == "freeze":
            for name in columns:
                if name not in tables[key]["columns"] and name != discriminator:
                    raise _refuse(feed, member, f"field '{name[:40]}' is not declared")


def _new_table(
    feed: FeedConfig, value: str, columns: Mapping[str, str], settings: dict[str, Any], found: Plan
) -> None:
    """A record type that no table declares becomes one where tables evolve."""
    taken: dict[str, str] = {}
    for name, kind in columns.items():
        if kind not in ("mixed", "nested") and _may_be_taken(name, taken):
            taken[name] = kind
    if feed.contract_of(None).tables != "evolve" or value in settings or not taken:
        found.note(value[:120], "*", LEFT_OUT)
        return
    if not _TABLE_NAME.match(value):
        found.note(value[:120], "*", LEFT_OUT)
        return
    settings[value] = {"columns": taken}
    found.note(value, "*", TAKEN)
    fields = [pa.field(name, arrow_type(kind)) for name, kind in taken.items()]
    found.schemas[value] = pa.schema([RECORD_NO, *fields])


def _fields(block: LineBlock, discriminator: str | None) -> Iterator[tuple[str | None, dict[str, str]]]:
    """Names and types of the fields in a block, by record type: as a set; line by line where it will not."""
    try:
        table = pj.read_json(
            io.BytesIO(block.data),
            pj.ReadOptions(use_threads=False, block_size=2**31 - 1),
        )
    except pa.ArrowInvalid:
        yield from _fields_by_line(block, discriminator)
        return
    if discriminator is None:
        yield None, _kinds(table)
    elif discriminator in table.column_names and pa.types.is_string(table.schema.field(discriminator).type):
        column = table.column(discriminator)
        for value in pc.unique(column).to_pylist():
            if value is not None:
                yield value, _kinds(table.filter(pc.equal(column, value)))


def _kinds(table: pa.Table) -> dict[str, str]:
    return {
        item.name: _kind(item.type)
        for item, column in zip(table.schema, table.columns, strict=True)
        if column.null_count < len(column)
    }


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind):
        return "bigint"
    if pa.types.is_floating(kind):
        return "double"
    if pa.types.is_boolean(kind):
        return "boolean"
    # Arrow takes text that looks like a time for a time; here it stays what it is.
    is_text = pa.types.is_string(kind) or pa.types.is_timestamp(kind) or pa.types.is_date(kind)
    return "string" if is_text else "nested"


def _fields_by_line(
    block: LineBlock, discriminator: str | None
) -> Iterator[tuple[str | None, dict[str, str]]]:
    names = {bool: "boolean", int: "bigint", float: "double", str: "string"}
    for index in range(len(block.lines)):
        try:
            entry = json.loads(block.raw(index))
        except (ValueError, RecursionError):
            continue
        if not isinstance(entry, dict):
            continue
        value = entry.get(discriminator) if discriminator is not None else None
        if discriminator is not None and not isinstance(value, str):
            continue
        yield (
            value,
            {name: names.get(type(item), "nested") for name, item in entry.items() if item is not None},
        )


class ContractSink:
    """A decoder's sink that keeps the feed's word: rows in the planned columns, wrong types as agreed."""

    def __init__(self, feed: FeedConfig, sink: TableSink, found: Plan, member: str) -> None:
        self._feed, self._sink, self._plan, self._member = feed, sink, found, member

    def write(self, table: str, batch: pa.RecordBatch) -> None:
        """Pass rows on in the columns of the plan."""
        target = self._plan.schemas[table]
        self._sink.write(table, batch if batch.schema.equals(target) else self._fit(batch, target))

    def reject(self, reject: Reject) -> None:
        """Pass a record on to quarantine. Raises RefusedFile where a wrong type freezes the feed."""
        if reject.rule in _WRONG_TYPE:
            mode = self._feed.contract_of(reject.table).types
            if reject.column is not None and reject.table is not None:
                mode = self._feed.type_mode(reject.table, reject.column)
            if mode == "freeze":
                raise _refuse(self._feed, self._member, f"record {reject.record_no}: {reject.reason}")
        self._sink.reject(reject)

    def _fit(self, batch: pa.RecordBatch, target: pa.Schema) -> pa.RecordBatch:
        columns: dict[str, pa.Array] = {}
        for item in target:
            if item.name in columns:
                continue
            if item.name not in batch.schema.names:
                columns[item.name] = pa.nulls(batch.num_rows, item.type)
                continue
            values = batch.column(item.name)
            if values.type != item.type:
                text = values
                values, wrong = parse_text(text, item.type, self._plan.time_zone)
                kept = pc.if_else(pa.array(wrong), text, pa.scalar(None, pa.string()))
                columns[f"{item.name}{TEXT_SUFFIX}"] = kept
            columns[item.name] = values
        return pa.RecordBatch.from_arrays([columns[name] for name in target.names], schema=target)
