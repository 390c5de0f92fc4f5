"""Settings and copybook brought together: record types, their layouts and tables, checked before any byte.

Belongs here: every mistake that can be told without a file. Does not belong here: decoding; see ``decoder``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from connectors.formats.base import RECORD_NO, SettingsError
from connectors.formats.copybook.code_page import CodePage, code_page
from connectors.formats.copybook.framing import Framing, Lengths, make_framing
from connectors.formats.copybook.layout import Choice, Column, Fixed, Layout, LayoutRules, lay_out
from connectors.formats.copybook.parser import Dialect, Field, Usage, parse_copybook
from connectors.formats.copybook.picture import Picture
from connectors.formats.copybook.settings import ANY, CopybookSettings, FieldSettings, RecordSettings
from connectors.formats.copybook.source import Source, text_or_file
from connectors.formats.copybook.text import NATIONAL, check_double_byte
from connectors.formats.copybook.totals import Totals
from connectors.formats.copybook.values import ValueOptions

PARENT_NO = pa.field("_parent_no", pa.int64())
"""On child rows: the number of the record they belong to."""


@dataclass
class RecordType:
    """One kind of record: its table and the part of the copybook it is laid out by.

    ``parent_columns`` are columns of the parent put on each row; ``lends`` are those children ask for.
    """

    table: str
    label: str
    layout: Layout
    full_size: int
    schema: pa.Schema
    parent: RecordType | None = None
    parent_columns: list[str] = field(default_factory=list)
    lends: list[str] = field(default_factory=list)

    @property
    def ancestors(self) -> list[RecordType]:
        """The parent, its parent, …"""
        return [] if self.parent is None else [self.parent, *self.parent.ancestors]


@dataclass(frozen=True)
class Plan:
    """Settings and copybook, ready to decode.

    ``keys`` are the discriminator values of each type in the order they are tried, parents of a type stand
    before it in ``types``.
    """

    settings: CopybookSettings
    types: list[RecordType]
    keys: list[tuple[tuple[str, ...], RecordType]]
    discriminators: list[Column]
    framing: Framing
    options: ValueOptions

    @property
    def schemas(self) -> dict[str, pa.Schema]:
        """Tables by name, in the order of the settings."""
        return {record_type.table: record_type.schema for _, record_type in self.keys}


def make_plan(settings: CopybookSettings) -> Plan:
    """Read the copybook and check every setting against it; raises :class:`SettingsError`."""
    roots = _parse(settings)
    rules = LayoutRules(settings.align_synchronized, settings.occurs_depending_on == "keeps_room")
    page = code_page(settings.code_page, settings.control_characters, overrides=settings.code_page_overrides)
    options = _options(settings, page)
    whole = {root.name: lay_out(root, (), rules) for root in roots}
    _check_fields(settings, roots, page)
    discriminators = [_fixed_column(whole.values(), n, "discriminator") for n in settings.discriminators]
    keys: list[tuple[tuple[str, ...], RecordType]] = []
    if settings.records:
        for value, record in settings.records.items():
            parts = value.split(",") if len(discriminators) > 1 else [value]
            wanted = tuple(part.strip() for part in parts)
            if len(wanted) != len(discriminators):
                raise SettingsError(
                    f"format copybook: setting 'records.{value}': needs one value for each "
                    "discriminator, with commas between"
                )
            keys.append((wanted, _record_type(roots, whole, record, value, rules)))
        keys.sort(key=lambda one: sum(part == ANY for part in one[0]))
        _link(settings.records, [record_type for _, record_type in keys])
    else:
        if len(roots) > 1:
            raise SettingsError(
                "format copybook: setting 'records': the copybook has several 01 levels; say which is which"
            )
        table = settings.record_table or roots[0].column
        keys.append(((), _make_type(table, table, whole[roots[0].name], whole[roots[0].name].size)))
    tables = [record_type.table for _, record_type in keys]
    if len(set(tables)) < len(tables):
        raise SettingsError("format copybook: setting 'records': two record types go to the same table")
    types = sorted((t for _, t in keys), key=lambda t: len(t.ancestors))
    longest = max(layout.size for layout in whole.values())
    framing = make_framing(settings, settings.record_length or longest, _lengths(settings, whole, options))
    plan = Plan(settings, types, keys, discriminators, framing, options)
    Totals(settings.control_totals, plan.schemas)
    return plan


def _parse(settings: CopybookSettings) -> list[Field]:
    text = text_or_file(settings.copybook, "copybook")
    source = Source(text, settings.is_free_form, settings.copies, settings.replacing)
    roots = parse_copybook(source, Dialect(settings.decimal_comma, settings.binary_size))
    entries = [entry for root in roots for entry in root.walk()]
    if settings.keep_fillers:
        fillers = (entry for entry in entries if entry.is_filler and not entry.is_group)
        for number, entry in enumerate(fillers, start=1):
            entry.name = f"FILLER-{number}"
    for name, rules in settings.fields.items():
        found = [entry for entry in entries if _same(entry.name, name)]
        if not found:
            raise SettingsError(f"format copybook: setting 'fields.{name}': no such field in the copybook")
        for entry in found:
            _apply(entry, rules)
    return roots


def _apply(entry: Field, rules: FieldSettings) -> None:
    entry.blank, entry.invalid = rules.blank, rules.invalid
    if rules.read_as == "text" and not entry.is_group:
        entry.picture, entry.usage = Picture(is_text=True, size=entry.size), Usage.DISPLAY


def _same(name: str, wanted: str) -> bool:
    return name.replace("_", "-") == wanted.upper().replace("_", "-")


def _options(settings: CopybookSettings, page: CodePage) -> ValueOptions:
    unfilled = np.zeros(256, dtype=bool)
    unfilled[page.space] = settings.blank_numeric == "null"
    unfilled[0x00] = settings.low_values_numeric == "null"
    unfilled[0xFF] = settings.high_values_numeric == "null"
    if settings.double_byte_code_page is not None:
        check_double_byte(settings.double_byte_code_page)
    return ValueOptions(
        page,
        unfilled,
        trim=settings.trim,
        is_ibm_float=settings.floating_point == "ibm",
        is_float_big_endian=settings.floating_point_big_endian,
        is_comp_big_endian=settings.comp_big_endian,
        is_comp5_big_endian=settings.comp5_big_endian,
        is_packed_unfilled_null=settings.unfilled_packed == "null",
        is_decimal_comma=settings.decimal_comma,
        double_byte_code_page=settings.double_byte_code_page,
    )


def _check_fields(settings: CopybookSettings, roots: list[Field], page: CodePage) -> None:
    for entry in (entry for root in roots for entry in root.walk() if not entry.is_group):
        picture = entry.picture
        if picture is not None and picture.double_byte == "G" and settings.double_byte_code_page is None:
            raise SettingsError(
                f"{entry.place}: {entry.name} is PIC G: name its codec in 'double_byte_code_page' "
                f"(such as {NATIONAL})"
            )
        if settings.record_format == "lines" and (entry.usage is not Usage.DISPLAY or page.is_ebcdic):
            what = "EBCDIC" if page.is_ebcdic else f"{entry.name}, which is binary or packed,"
            raise SettingsError(
                f"format copybook: setting 'record_format': {what} cannot lie in lines: "
                "its bytes may be line ends"
            )


def _record_type(
    roots: list[Field], whole: dict[str, Layout], record: RecordSettings, value: str, rules: LayoutRules
) -> RecordType:
    names = [record.group] if isinstance(record.group, str) else record.group
    found = [_find_group(roots, name, value) for name in names]
    root = found[0][0]
    if any(one is not root for one, _ in found):
        raise SettingsError(
            f"format copybook: setting 'records.{value}.group': the groups lie under different 01 levels"
        )
    layout = lay_out(root, [group for _, group in found if group is not root], rules)
    return _make_type(record.table, value, layout, max(whole[root.name].size, layout.size))


def _make_type(table: str, label: str, layout: Layout, full_size: int) -> RecordType:
    taken = {RECORD_NO.name, PARENT_NO.name} & {column.name for column in layout.columns}
    if taken:
        raise SettingsError(
            f"format copybook: setting 'copybook': the field name {taken.pop().upper()} is taken"
        )
    return RecordType(table, label, layout, full_size, pa.schema([RECORD_NO, *layout.fields]))


def _link(records: dict[str, RecordSettings], types: list[RecordType]) -> None:
    """Tie children to parents and give them the columns they borrow, ancestors first."""
    by_table = {record_type.table: record_type for record_type in types}
    settings = {record.table: (value, record) for value, record in records.items()}
    for child in types:
        value, record = settings[child.table]
        if record.parent is None:
            if record.parent_columns:
                raise SettingsError(
                    f"format copybook: setting 'records.{value}.parent_columns': needs a parent"
                )
            continue
        child.parent = by_table.get(record.parent)
        above, seen = child.parent, {child.table}
        while above is not None and above.table not in seen:
            seen.add(above.table)
            above = by_table.get(settings[above.table][1].parent or "")
        if child.parent is None or above is not None:
            why = "is no table of these records" if child.parent is None else "is its own ancestor"
            raise SettingsError(f"format copybook: setting 'records.{value}.parent': '{record.parent}' {why}")
    for child in sorted(types, key=lambda one: len(one.ancestors)):
        value, record = settings[child.table]
        if child.parent is not None:
            _borrow(child, child.parent, record.parent_columns, f"records.{value}.parent_columns")


def _borrow(child: RecordType, parent: RecordType, columns: list[str], key: str) -> None:
    fields = [PARENT_NO]
    for column in columns:
        if column not in parent.schema.names:
            raise SettingsError(
                f"format copybook: setting '{key}': table {parent.table} has no column '{column}'"
            )
        fields.append(parent.schema.field(column).with_name(f"{parent.table}_{column}"))
    child.parent_columns = columns
    parent.lends += [column for column in columns if column not in parent.lends]
    names = child.schema.names
    for one in fields:
        if one.name in names:
            raise SettingsError(f"format copybook: setting '{key}': the column '{one.name}' is there already")
    child.schema = pa.schema([child.schema.field(0), *fields, *list(child.schema)[1:]])


def _find_group(roots: list[Field], name: str, value: str) -> tuple[Field, Field]:
    for root in roots:
        for entry in root.walk():
            if _same(entry.name, name):
                return root, entry
    raise SettingsError(
        f"format copybook: setting 'records.{value}.group': no field '{name}' in the copybook"
    )


def _fixed_column(layouts: Iterable[Layout], name: str, key: str) -> Column:
    """The one place of a field that lies at the same offset in every record."""
    found: dict[tuple[int, int], Column] = {}
    for layout in layouts:
        for column, offset in _placed(layout, 0):
            if _same(column.field.name, name) and column.repeats is None:
                found.setdefault((offset, column.size), replace(column, offset=offset))
    if len(found) != 1:
        what = "lies at several places of" if found else "is not a field of a fixed place in"
        raise SettingsError(f"format copybook: setting '{key}': '{name}' {what} the copybook")
    return next(iter(found.values()))


def _placed(layout: Layout, base: int) -> Iterator[tuple[Column, int]]:
    """Columns before the first table of varying size, each with its offset in the record."""
    for part in layout.parts:
        if isinstance(part, Fixed):
            yield from ((column, base + column.offset) for column in part.columns)
            base += part.size
            continue
        if isinstance(part, Choice):
            for member in part.members:
                yield from _placed(member, base)
        return


def _lengths(settings: CopybookSettings, whole: dict[str, Layout], options: ValueOptions) -> Lengths | None:
    if settings.length_field is None:
        return None
    column = _fixed_column(whole.values(), settings.length_field, "length_field")
    if not pa.types.is_int64(column.type):
        raise SettingsError(
            f"format copybook: setting 'length_field': '{settings.length_field}' is not a whole number"
        )
    return Lengths(column, options, settings.length_adjustment)
