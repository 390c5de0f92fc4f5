"""COBOL extracts by copybook: EBCDIC or ASCII, fixed or variable records, many record types in one file.

Belongs here: the flow of one file: blocks → record types → places → columns → batches and rejects. Does not
belong here: settings (``settings``, ``plan``), the copybook language, value formats, record framing.

A record is what the record format tells apart: a fixed length, what a descriptor word or length field covers,
a line. Numbers are decoded column by column over all records of a block; no Python runs per record. A record
with a byte that is no value of its field goes to quarantine with the field's name; a number of nothing but
blanks is null.
"""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from connectors.formats.base import (
    DecodeResult,
    Format,
    RefusedFile,
    Reject,
    Settings,
    TableSink,
    parse_settings,
)
from connectors.formats.columns import BoolMask
from connectors.formats.copybook.framing import Fixed
from connectors.formats.copybook.hierarchy import NOTHING, UNKNOWN, Hierarchy
from connectors.formats.copybook.layout import Column
from connectors.formats.copybook.parser import Usage
from connectors.formats.copybook.places import check_rows, decode_rows, gather
from connectors.formats.copybook.plan import Plan, RecordType, make_plan
from connectors.formats.copybook.records import Block, Surroundings, read_blocks
from connectors.formats.copybook.settings import ANY, CopybookSettings
from connectors.formats.copybook.totals import Totals
from connectors.formats.copybook.values import Bytes2D, decode_values

Rows = npt.NDArray[np.int64]


def schema(settings: Settings) -> dict[str, pa.Schema]:
    """The tables of these settings: one a record type."""
    return make_plan(parse_settings(CopybookSettings, "copybook", settings)).schemas


def decode(stream: BinaryIO, settings: Settings, sink: TableSink, name: str) -> DecodeResult:
    """Decode one extract; see :func:`connectors.formats.decode`."""
    plan = make_plan(parse_settings(CopybookSettings, "copybook", settings))
    run = _Run(plan, sink)
    longest = max(record_type.full_size for record_type in plan.types)
    around = Surroundings(
        plan.settings.file_header_bytes, plan.settings.file_footer_bytes, longest, plan.options.page.space
    )
    for block in read_blocks(stream, plan.framing, around, name):
        run.block(block)
    if not run.result.records_read:
        raise RefusedFile(f"{name}: holds no record")
    run.result.control_totals = run.totals.verify(name)
    return run.result


class _Run:
    """The decoding of one file."""

    def __init__(self, plan: Plan, sink: TableSink) -> None:
        self.plan = plan
        self.sink = sink
        self.result = DecodeResult()
        self.totals = Totals(plan.settings.control_totals, plan.schemas)
        self.hierarchy = Hierarchy(plan.types)
        self._index = {record_type.table: index for index, record_type in enumerate(plan.types)}
        self._longest_fixed = plan.framing.length if isinstance(plan.framing, Fixed) else 0

    def block(self, block: Block) -> None:
        """Decode the records of one block, type by type, parents before children."""
        kinds = self._kinds(block)
        self.hierarchy.begin(kinds, self.result.records_read + 1)
        for index, record_type in enumerate(self.plan.types):
            rows = np.flatnonzero(kinds == index)
            self.result.add_type(record_type.label, len(rows))
            self.totals.count(record_type.table, len(rows))
            if len(rows):
                self._decode(block, record_type, rows)
        self.hierarchy.end()
        self.result.records_read += len(block.starts)

    def _kinds(self, block: Block) -> Rows:
        """The place of each record's type in the plan; those of no type are rejected."""
        kinds = np.zeros(len(block.starts), dtype=np.int64)
        everything = np.arange(len(kinds), dtype=np.int64)
        empty = block.lengths == 0
        if empty.any():
            self._reject(block, everything[empty], "empty_record", "an empty line")
            kinds[empty] = NOTHING
        if not self.plan.discriminators:
            return kinds
        known = ", ".join(",".join(key) for key, _ in self.plan.keys)
        names = ",".join(column.name for column in self.plan.discriminators)
        first = self.plan.discriminators[0]
        needed = first.offset + first.size
        short = ~empty & (block.ends - block.starts < needed)
        if short.any():
            reason = f"shorter than the {needed} bytes of the record type"
            self._reject(block, everything[short], "record_too_short", reason)
            kinds[short] = UNKNOWN
        patterns = [self._patterns(block, column) for column in self.plan.discriminators]
        whole = everything[~short & ~empty]
        # Patterns are few; their combinations are told apart by one number.
        number = np.zeros(len(kinds), dtype=np.int64)
        for values, which in patterns:
            number = number * len(values) + which
        codes, inverse = np.unique(number[whole], return_inverse=True)
        found = np.empty(len(codes), dtype=np.int64)
        for index, code in enumerate(codes.tolist()):
            value: tuple[str, ...] = ()
            for values, _ in reversed(patterns):
                code, place = divmod(code, len(values))
                value = (values[place], *value)
            found[index] = self._kind_of(value)
        kinds[whole] = found[inverse]
        unknown = whole[kinds[whole] == UNKNOWN]
        self._reject(block, unknown, "unknown_record_type", f"{names} is none of {known}")
        return kinds

    def _kind_of(self, value: tuple[str, ...]) -> int:
        for key, record_type in self.plan.keys:
            if all(wanted in (ANY, found) for wanted, found in zip(key, value, strict=True)):
                return self._index[record_type.table]
        return UNKNOWN

    def _patterns(self, block: Block, column: Column) -> tuple[list[str], Rows]:
        """The values a discriminator has, and which one each record has, "" where it is too short."""
        which = np.zeros(len(block.starts), dtype=np.int64)
        there = np.flatnonzero(block.ends - block.starts >= column.offset + column.size)
        matrix = gather(block.data, block.starts[there] + column.offset, column.size)
        distinct, inverse = _unique_rows(matrix)
        which[there] = inverse + 1
        return ["", *self._discriminator_values(distinct, column)], which

    def _discriminator_values(self, distinct: Bytes2D, column: Column) -> list[str]:
        page = self.plan.options.page
        if column.field.usage is Usage.DISPLAY:
            return [p.tobytes().translate(page.ascii).decode("latin-1").strip(" \x00") for p in distinct]
        values, _ = decode_values(distinct, column.field, self.plan.options)
        return [str(value) for value in values.to_pylist()]

    def _decode(self, block: Block, record_type: RecordType, rows: Rows) -> None:
        rows = self._checked(block, record_type, rows)
        options, layout = self.plan.options, record_type.layout
        decoded = decode_rows(layout, block.data, block.starts[rows], block.ends[rows], options)
        columns = layout.columns
        arrays = {c.name: array for c, array in zip(columns, decoded.arrays, strict=True)}
        self.totals.add(record_type.table, arrays)
        good: BoolMask = ~decoded.is_bad
        if not good.all():
            for index in np.unique(decoded.first_bad[~good]):
                column = columns[index]
                reason = f"{record_type.table}.{column.name} {_complaint(column)}"
                self._reject(block, rows[decoded.first_bad == index], "bad_value", reason)
        inherited: list[pa.Array] = []
        if record_type.parent is not None:
            inherited, has_parent = self._inherited(block, record_type, record_type.parent, rows, good)
            good = good & has_parent
        numbers = pa.array(rows + self.result.records_read + 1)
        batch = pa.RecordBatch.from_arrays([numbers, *inherited, *decoded.arrays], schema=record_type.schema)
        if not good.all():
            batch = batch.filter(pa.array(good))
        self.hierarchy.loaded(record_type, rows[good], batch)
        self.result.loaded += batch.num_rows
        self.result.write(self.sink, record_type.table, batch)

    def _checked(self, block: Block, record_type: RecordType, rows: Rows) -> Rows:
        """Records that are as long as their fields and counters say; the others are rejected."""
        table = record_type.table
        too_long = block.lengths[rows] > max(record_type.full_size, self._longest_fixed)
        if too_long.any():
            reason = f"longer than the {record_type.full_size} bytes of a {table} record"
            self._reject(block, rows[too_long], "record_too_long", reason)
            rows = rows[~too_long]
        faults = check_rows(
            record_type.layout, block.data, block.starts[rows], block.ends[rows], self.plan.options
        )
        if not faults.code.any():
            return rows
        self._reject(
            block, rows[faults.is_short], "record_too_short", f"shorter than the fields of a {table} record"
        )
        for varying, wrong in faults.by_counter():
            name = varying.counter.column.name if varying.counter else ""
            reason = f"{table}.{name} is not a count from {varying.minimum} to {varying.maximum}"
            self._reject(block, rows[wrong], "bad_counter", reason)
        return rows[faults.code == 0]

    def _inherited(
        self, block: Block, child: RecordType, parent: RecordType, rows: Rows, good: BoolMask
    ) -> tuple[list[pa.Array], BoolMask]:
        """Number and columns of each record's parent; records without one are rejected."""
        owners = self.hierarchy.owners(parent, rows)
        orphan, lost = owners.is_orphan & good, owners.is_lost & good
        self._reject(
            block, rows[orphan], "orphan", f"no {parent.table} record before it that it could belong to"
        )
        self._reject(
            block,
            rows[lost],
            "parent_quarantined",
            f"the {parent.table} record it belongs to is in quarantine",
        )
        has_parent = ~(owners.is_orphan | owners.is_lost)
        picks = np.where(has_parent, owners.picks, 0)
        borrowed = [self.hierarchy.borrowed(parent, name, picks) for name in child.parent_columns]
        return [pa.array(owners.numbers), *borrowed], has_parent

    def _reject(self, block: Block, rows: Rows, rule: str, reason: str) -> None:
        for row in rows:
            offset = block.offset(int(row)) - self.plan.framing.prefix
            number = self.result.records_read + int(row) + 1
            self.result.reject(self.sink, Reject(number, offset, block.record(int(row)), rule, reason))


def _complaint(column: Column) -> str:
    if column.repeats is not None:
        return "holds an element that is not valid"
    kinds = {
        Usage.PACKED: "packed",
        Usage.UNSIGNED_PACKED: "packed",
        Usage.BINARY: "binary",
        Usage.DISPLAY: "zoned",
    }
    return f"is not a valid {kinds.get(column.field.usage, 'floating')} number"


def _unique_rows(matrix: Bytes2D) -> tuple[Bytes2D, Rows]:
    """Distinct rows of a narrow matrix, and for each row which of them it is."""
    rows, width = matrix.shape
    if width <= 2:
        key = matrix[:, 0].astype(np.int64) if width == 1 else matrix[:, 0] * np.int64(256) + matrix[:, 1]
        seen = np.flatnonzero(np.bincount(key, minlength=1))
        place = np.zeros(int(seen[-1]) + 1 if len(seen) else 0, dtype=np.int64)
        place[seen] = np.arange(len(seen))
        distinct = np.stack([seen >> 8, seen & 255], axis=1) if width == 2 else seen[:, None]
        return distinct.astype(np.uint8), place[key]
    padded = np.zeros((rows, -(-width // 8) * 8), dtype=np.uint8)
    padded[:, :width] = matrix
    words = padded.view(np.uint64)
    if words.shape[1] == 1:
        _, first, inverse = np.unique(words[:, 0], return_index=True, return_inverse=True)
    else:
        _, first, inverse = np.unique(words, axis=0, return_index=True, return_inverse=True)
    return matrix[first], inverse.reshape(-1)


FORMAT = Format(
    name="copybook",
    version="2",
    description="COBOL extracts in EBCDIC or ASCII, laid out by a copybook",
    decode=decode,
    schema=schema,
    settings=CopybookSettings,
)
