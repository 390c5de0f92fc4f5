"""COBOL extracts by copybook: EBCDIC or ASCII, fixed or variable records, many record types in one file.

Belongs here: the settings and the flow of one file: blocks → record types → matrices → batches and rejects.
Does not belong here: the copybook language, value formats, record framing; each has its own ``copybook_``
module.

Numbers are decoded column by column over all records of a block; no Python runs per record. A record with a
byte that is no value of its field goes to quarantine with the field's name; a number of nothing but blanks
is null.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field as Setting
from pydantic import field_validator

from connectors.formats.base import (
    RECORD_NO,
    DecodeResult,
    Format,
    FormatSettings,
    RefusedFile,
    Reject,
    Settings,
    SettingsError,
    TableSink,
    parse_settings,
)
from connectors.formats.copybook.layout import Column, Layout, TableCounter, decode_rows, lay_out
from connectors.formats.copybook.parser import Field, Usage, parse_copybook
from connectors.formats.copybook.records import RDW_BYTES, Block, read_blocks
from connectors.formats.copybook.totals import Totals, TotalSettings
from connectors.formats.copybook.values import Bytes2D, ValueOptions, code_page, decode_values

Rows = npt.NDArray[np.int64]


class RecordSettings(FormatSettings):
    """One record type: the group of the copybook that describes it, and the table its records go to."""

    group: str
    table: str


class CopybookSettings(FormatSettings):
    """How a site writes its extract.

    - ``copybook``: the text, or the path of a file that holds it; ``is_free_form`` without columns 1–6.
    - ``code_page``: any single-byte EBCDIC or ASCII code page; control characters become spaces unless
      ``keep_control_characters``; text is cut of blanks at ``trim`` (right, left, both, none).
    - ``floating_point`` of COMP-1 and COMP-2; ``comp5_big_endian`` is false for extracts of small machines.
    - ``record_format``: F with ``record_length`` (by default the copybook's), or V (also named RDW) with the
      ``rdw_`` settings; ``file_header_bytes`` and ``file_footer_bytes`` surround the records.
    - ``discriminator`` and ``records``: the field that tells record types apart, and for each of its values
      the group and table; or ``record_table`` for the one table of a file with one record type.
    - ``control_totals``: what the trailer declares, see :class:`TotalSettings`.
    """

    copybook: str
    is_free_form: bool = False
    code_page: str = "cp037"
    keep_control_characters: bool = False
    trim: Literal["right", "left", "both", "none"] = "right"
    floating_point: Literal["ibm", "ieee754"] = "ibm"
    comp5_big_endian: bool = True
    record_format: Literal["F", "V", "RDW"] = "F"
    record_length: int | None = Setting(default=None, gt=0)
    rdw_big_endian: bool = True
    rdw_inclusive: bool = True
    rdw_adjustment: int = 0
    file_header_bytes: int = Setting(default=0, ge=0)
    file_footer_bytes: int = Setting(default=0, ge=0)
    discriminator: str | None = None
    records: dict[str, RecordSettings] = Setting(default_factory=dict)
    record_table: str | None = None
    control_totals: list[TotalSettings] = Setting(default_factory=list)

    @field_validator("records", mode="before")
    @classmethod
    def _text_keys(cls, value: object) -> object:
        # YAML reads the record type 1 as a number.
        return {str(key): entry for key, entry in value.items()} if isinstance(value, dict) else value


@dataclass(frozen=True)
class RecordType:
    """One kind of record: its table and the part of the copybook it is laid out by."""

    table: str
    label: str
    root: Field
    branch: Field | None
    schema: pa.Schema
    full_size: int


@dataclass(frozen=True)
class Plan:
    """Settings and copybook, ready to decode."""

    settings: CopybookSettings
    types: dict[str, RecordType]  # by discriminator value; the only key is "" where there is no discriminator
    discriminator: Column | None
    record_length: int
    options: ValueOptions

    @property
    def schemas(self) -> dict[str, pa.Schema]:
        """Tables by name."""
        return {record_type.table: record_type.schema for record_type in self.types.values()}


def make_plan(settings: CopybookSettings) -> Plan:
    """Read the copybook and check every setting against it; raises :class:`SettingsError`."""
    roots = parse_copybook(_copybook_text(settings.copybook), is_free_form=settings.is_free_form)
    sizes = {root.name: lay_out(root, None, {}).size for root in roots}
    page = code_page(settings.code_page, settings.keep_control_characters)
    options = ValueOptions(page, settings.floating_point == "ibm", settings.comp5_big_endian, settings.trim)
    types: dict[str, RecordType] = {}
    discriminator = None
    if settings.records:
        if settings.discriminator is None:
            raise SettingsError("format copybook: setting 'discriminator': needed where 'records' is given")
        if settings.record_table is not None:
            raise SettingsError("format copybook: setting 'record_table': not together with 'records'")
        discriminator = _find_discriminator(roots, settings.discriminator)
        for value, record in settings.records.items():
            root, branch = _find_group(roots, record.group, value)
            types[value.strip()] = _record_type(root, branch, record.table, value, sizes)
    else:
        if settings.discriminator is not None:
            raise SettingsError("format copybook: setting 'records': needed where 'discriminator' is given")
        if len(roots) > 1:
            raise SettingsError(
                "format copybook: setting 'records': the copybook has several 01 levels; say which is which"
            )
        table = settings.record_table or roots[0].column
        types[""] = _record_type(roots[0], None, table, table, sizes)
    tables = [record_type.table for record_type in types.values()]
    if len(set(tables)) < len(tables):
        raise SettingsError("format copybook: setting 'records': two record types go to the same table")
    longest = max(sizes.values())
    length = settings.record_length or longest
    plan = Plan(settings, types, discriminator, length, options)
    Totals(settings.control_totals, plan.schemas)
    return plan


def _copybook_text(value: str) -> str:
    if "\n" in value:
        return value
    path = Path(value)
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise SettingsError(
            f"format copybook: setting 'copybook': cannot read '{value}': {error.strerror}"
        ) from None


def _record_type(
    root: Field, branch: Field | None, table: str, label: str, sizes: dict[str, int]
) -> RecordType:
    layout = lay_out(root, branch, {})
    if "_record_no" in [column.name for column in layout.columns]:
        raise SettingsError("format copybook: setting 'copybook': the field name _RECORD_NO is taken")
    schema = pa.schema([RECORD_NO, *layout.fields])
    return RecordType(table, label, root, branch, schema, max(sizes[root.name], layout.size))


def _find_group(roots: list[Field], name: str, value: str) -> tuple[Field, Field | None]:
    wanted = name.upper().replace("_", "-")
    for root in roots:
        for entry in root.walk():
            if entry.name.replace("_", "-") == wanted:
                return root, None if entry is root else entry
    raise SettingsError(
        f"format copybook: setting 'records.{value}.group': no field '{name}' in the copybook"
    )


def _find_discriminator(roots: list[Field], name: str) -> Column:
    wanted = name.lower().replace("-", "_")
    found: dict[tuple[int, int], Column] = {}
    for root in roots:
        for column in lay_out(root, None, {}).columns:
            if column.field.column == wanted and column.repeats is None:
                found.setdefault((column.offset, column.size), column)
    if len(found) != 1:
        what = "lies at several places of" if found else "is not a field of"
        raise SettingsError(f"format copybook: setting 'discriminator': '{name}' {what} the copybook")
    return next(iter(found.values()))


def schema(settings: Settings) -> dict[str, pa.Schema]:
    """The tables of these settings: one a record type."""
    return make_plan(parse_settings(CopybookSettings, "copybook", settings)).schemas


def decode(stream: BinaryIO, settings: Settings, sink: TableSink, name: str) -> DecodeResult:
    """Decode one extract; see :func:`connectors.formats.decode`."""
    plan = make_plan(parse_settings(CopybookSettings, "copybook", settings))
    run = _Run(plan, sink)
    for block in read_blocks(stream, plan.settings, plan.record_length, name):
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
        self._layouts: dict[tuple[str, tuple[tuple[str, int], ...]], Layout] = {}
        self._header = 0 if plan.settings.record_format == "F" else RDW_BYTES

    def block(self, block: Block) -> None:
        """Decode the records of one block, type by type."""
        for record_type, rows in self._by_type(block):
            self.result.add_type(record_type.label, len(rows))
            self.totals.count(record_type.table, len(rows))
            self._decode(block, record_type, rows, {})
        self.result.records_read += len(block.starts)

    def _by_type(self, block: Block) -> Iterator[tuple[RecordType, Rows]]:
        everything = np.arange(len(block.starts), dtype=np.int64)
        column = self.plan.discriminator
        if column is None:
            yield self.plan.types[""], everything
            return
        rows = self._long_enough(block, everything, column.offset + column.size, "the record type")
        if not len(rows):
            return
        matrix = _gather(block, rows, column.offset + column.size)[:, column.offset :]
        patterns, inverse = _unique_rows(matrix)
        unknown = np.zeros(len(rows), dtype=bool)
        for index, value in enumerate(self._discriminator_values(patterns, column)):
            chosen = inverse == index
            record_type = self.plan.types.get(value)
            if record_type is None:
                unknown |= chosen
            else:
                yield record_type, rows[chosen]
        known = ", ".join(self.plan.types)
        self._reject(block, rows[unknown], "unknown_record_type", f"{column.name} is none of {known}")

    def _discriminator_values(self, patterns: Bytes2D, column: Column) -> list[str]:
        page = self.plan.options.page
        if column.field.usage is Usage.DISPLAY:
            return [p.tobytes().translate(page.ascii).decode("latin-1").strip(" \x00") for p in patterns]
        values, _ = decode_values(patterns, column.field, self.plan.options)
        return [str(value) for value in values.to_pylist()]

    def _layout(self, record_type: RecordType, counts: dict[str, int]) -> Layout:
        key = (record_type.table, tuple(counts.items()))
        if key not in self._layouts:
            self._layouts[key] = lay_out(record_type.root, record_type.branch, counts)
        return self._layouts[key]

    def _decode(self, block: Block, record_type: RecordType, rows: Rows, counts: dict[str, int]) -> None:
        if not len(rows):
            return
        layout = self._layout(record_type, counts)
        pending = next((n for n in layout.counters if n not in counts), None)
        if pending is not None:
            self._by_counter(block, record_type, rows, counts, pending, layout.counters[pending])
            return
        rows = self._long_enough(block, rows, layout.needed, f"a {record_type.table} record")
        too_long = block.lengths[rows] > max(record_type.full_size, self._fixed_length)
        if too_long.any():
            reason = f"longer than the {record_type.full_size} bytes of a {record_type.table} record"
            self._reject(block, rows[too_long], "record_too_long", reason)
            rows = rows[~too_long]
        if not len(rows):
            return
        decoded = decode_rows(_gather(block, rows, layout.needed), layout.columns, self.plan.options)
        self.totals.add(
            record_type.table, {c.name: a for c, a in zip(layout.columns, decoded.arrays, strict=True)}
        )
        numbers = pa.array(rows + self.result.records_read + 1)
        batch = pa.RecordBatch.from_arrays([numbers, *decoded.arrays], schema=record_type.schema)
        bad = decoded.is_bad
        if bad.any():
            for index in np.unique(decoded.first_bad[bad]):
                column = layout.columns[index]
                chosen = rows[decoded.first_bad == index]
                self._reject(
                    block, chosen, "bad_value", f"{record_type.table}.{column.name} {_complaint(column)}"
                )
            batch = batch.filter(pa.array(~bad))
        self.result.loaded += batch.num_rows
        self.result.write(self.sink, record_type.table, batch)

    @property
    def _fixed_length(self) -> int:
        return self.plan.record_length if self.plan.settings.record_format == "F" else 0

    def _by_counter(
        self,
        block: Block,
        record_type: RecordType,
        rows: Rows,
        counts: dict[str, int],
        name: str,
        counter: TableCounter,
    ) -> None:
        """Records whose table occurs equally often have one layout: take them together."""
        column = counter.column
        rows = self._long_enough(block, rows, column.offset + column.size, f"a {record_type.table} record")
        if not len(rows):
            return
        decoded = decode_rows(_gather(block, rows, column.offset + column.size), [column], self.plan.options)
        values = decoded.arrays[0].fill_null(-1).to_numpy()
        outside = decoded.is_bad | (values < counter.minimum) | (values > counter.maximum)
        reason = (
            f"{record_type.table}.{column.name} is not a count from {counter.minimum} to {counter.maximum}"
        )
        self._reject(block, rows[outside], "bad_counter", reason)
        for value in np.unique(values[~outside]):
            chosen = rows[(values == value) & ~outside]
            self._decode(block, record_type, chosen, {**counts, name: int(value)})

    def _long_enough(self, block: Block, rows: Rows, needed: int, what: str) -> Rows:
        short = block.lengths[rows] < needed
        if short.any():
            self._reject(block, rows[short], "record_too_short", f"shorter than the {needed} bytes of {what}")
        return rows[~short]

    def _reject(self, block: Block, rows: Rows, rule: str, reason: str) -> None:
        for row in rows:
            offset = block.file_offset + int(block.starts[row]) - self._header
            number = self.result.records_read + int(row) + 1
            self.result.reject(self.sink, Reject(number, offset, block.record(int(row)), rule, reason))


def _complaint(column: Column) -> str:
    if column.repeats is not None:
        return "holds an element that is not valid"
    usage = column.field.usage
    kinds = {Usage.PACKED: "packed", Usage.BINARY: "binary", Usage.DISPLAY: "zoned"}
    return f"is not a valid {kinds.get(usage, 'floating')} number"


def _gather(block: Block, rows: Rows, width: int) -> Bytes2D:
    """The first ``width`` bytes of the given records as a matrix; a view where they lie evenly."""
    starts = block.starts[rows]
    steps = np.diff(starts)
    if len(starts) and (len(steps) == 0 or (steps == steps[0]).all()):
        step = int(steps[0]) if len(steps) else width
        return np.lib.stride_tricks.as_strided(
            block.data[int(starts[0]) :], shape=(len(starts), width), strides=(step, 1), writeable=False
        )
    windows = np.lib.stride_tricks.sliding_window_view(block.data, width)
    gathered: Bytes2D = windows[starts]
    return gathered


def _unique_rows(matrix: Bytes2D) -> tuple[Bytes2D, npt.NDArray[np.int64]]:
    """Distinct rows of a narrow matrix, and for each row which of them it is."""
    rows, width = matrix.shape
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
    version="1",
    description="COBOL extracts in EBCDIC or ASCII, laid out by a copybook",
    decode=decode,
    schema=schema,
    settings=CopybookSettings,
)
