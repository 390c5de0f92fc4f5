"""Where the fields of one record type lie: offsets, columns and the decoding of a matrix of whole records.

Belongs here: REDEFINES, OCCURS and OCCURS DEPENDING ON turned into fixed positions, and column names. Does
not belong here: how records are found in a file (``records``), the value formats
(``values``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from connectors.formats.base import SettingsError
from connectors.formats.columns import BoolMask
from connectors.formats.copybook.parser import Field
from connectors.formats.copybook.values import Bytes2D, ValueOptions, decode_values, value_type


@dataclass(frozen=True)
class Column:
    """A leaf field, or a repeated group with columns of its own, at an offset in its record or element.

    ``is_alternative`` marks what lies in a REDEFINES of other bytes: where the bytes are no value of it, they
    are the other reading's, so the value is null and the record is not at fault.
    """

    name: str
    field: Field
    offset: int
    size: int
    repeats: int | None = None
    children: tuple[Column, ...] = ()
    is_alternative: bool = False

    @property
    def type(self) -> pa.DataType:
        """The Arrow type of the column."""
        item = (
            pa.struct([(c.name, c.type) for c in self.children]) if self.children else value_type(self.field)
        )
        return item if self.repeats is None else pa.list_(item)


@dataclass(frozen=True)
class TableCounter:
    """A field that says how often a table occurs."""

    column: Column
    minimum: int
    maximum: int


@dataclass
class Layout:
    """One record type under given counter values.

    ``needed`` is the end of the last column, ``size`` of all.
    """

    columns: list[Column] = field(default_factory=list)
    counters: dict[str, TableCounter] = field(default_factory=dict)
    needed: int = 0
    size: int = 0

    @property
    def fields(self) -> list[pa.Field]:
        """Arrow fields in record order."""
        return [pa.field(column.name, column.type) for column in self.columns]


@dataclass
class _Leaf:
    column: Column
    path: tuple[str, ...]


def lay_out(root: Field, branch: Field | None, counts: Mapping[str, int]) -> Layout:
    """Lay out ``root``; of the alternatives that hold ``branch`` only that one is kept.

    ``counts`` gives the counters known so far; tables of the others are laid out at their maximum, so that
    the first counter not in ``counts`` already lies where it will be found.
    """
    maker = _Maker(branch, counts)
    leaves, size = maker.group(root, 0, (), False, False)
    columns = _named(leaves)
    needed = max((c.offset + c.size * (1 if c.repeats is None else c.repeats) for c in columns), default=0)
    return Layout(columns, maker.counters, needed, size)


class _Maker:
    def __init__(self, branch: Field | None, counts: Mapping[str, int]) -> None:
        self.branch = branch
        self.counts = counts
        self.counters: dict[str, TableCounter] = {}
        self.seen: dict[str, Column] = {}

    def group(
        self, group: Field, at: int, path: tuple[str, ...], is_alternative: bool, is_inside_table: bool
    ) -> tuple[list[_Leaf], int]:
        """Leaves under a group that starts at ``at``, and the group's size."""
        leaves: list[_Leaf] = []
        starts: dict[str, int] = {}
        start, chosen = at, self._chosen(group)
        for child in group.children:
            here = at
            if child.redefines is not None:
                if child.redefines not in starts:
                    raise SettingsError(
                        f"copybook line {child.line}: {child.name} redefines {child.redefines}, "
                        "which is not a field before it in the same group"
                    )
                here = starts[child.redefines]
            starts[child.name] = here
            family = chosen.get(id(child))
            if family is None or family is child:
                alternative = is_alternative or (child.redefines is not None and family is None)
                found, size = self._entry(child, here, path, alternative, is_inside_table)
                leaves += found
            else:
                # Another record type's branch: it only takes room, and its counters are not of this record.
                _, size = self._aside()._entry(child, here, path, False, is_inside_table)
            at = max(at, here + size)
        return leaves, at - start

    def _aside(self) -> _Maker:
        """A maker for what is left out; it knows the fields so far and adds none."""
        other = _Maker(None, {})
        other.seen = dict(self.seen)
        return other

    def _chosen(self, group: Field) -> dict[int, Field]:
        """For every child that shares its bytes with the branch (or what holds it): the one to keep."""
        if self.branch is None:
            return {}
        kept = next((c for c in group.children if any(f is self.branch for f in c.walk())), None)
        if kept is None:
            return {}
        by_name = {c.name: c for c in group.children}

        def origin(child: Field) -> Field:
            while child.redefines is not None and by_name.get(child.redefines, child) is not child:
                child = by_name[child.redefines]
            return child

        return {id(c): kept for c in group.children if origin(c) is origin(kept)}

    def _entry(
        self, entry: Field, at: int, path: tuple[str, ...], is_alternative: bool, is_inside_table: bool
    ) -> tuple[list[_Leaf], int]:
        inside = is_inside_table or entry.is_repeated
        below = path if entry.is_filler else (*path, entry.column)
        offset = 0 if entry.is_repeated else at
        children: list[_Leaf] = []
        if entry.is_group:
            children, size = self.group(
                entry, offset, () if entry.is_repeated else below, is_alternative, inside
            )
        else:
            size = entry.element_size
        if not entry.is_repeated:
            if entry.is_group:
                return children, size
            column = Column(entry.column, entry, at, size, is_alternative=is_alternative)
            self.seen[entry.name] = column
            return ([] if entry.is_filler else [_Leaf(column, below)]), size
        count = self._count(entry, is_inside_table)
        named = tuple(_named(children))
        column = Column(entry.column, entry, at, size, count, named, is_alternative)
        is_empty = entry.is_filler and not named if entry.is_group else entry.is_filler
        if entry.is_group and not named:
            is_empty = True
        return ([] if is_empty else [_Leaf(column, below)]), size * count

    def _count(self, entry: Field, is_inside_table: bool) -> int:
        name = entry.depending_on
        if name is None:
            return entry.occurs_max
        where = f"copybook line {entry.line}: {entry.name} depends on {name}"
        if is_inside_table:
            raise SettingsError(f"{where} inside another table; elements of varying size are not supported")
        counter = self.seen.get(name)
        if counter is None or not pa.types.is_int64(counter.type):
            raise SettingsError(f"{where}, which is not a whole number before it in the record")
        self.counters.setdefault(name, TableCounter(counter, entry.occurs_min, entry.occurs_max))
        return self.counts.get(name, entry.occurs_max)


def _named(leaves: Sequence[_Leaf]) -> list[Column]:
    """Columns with unique names: the field's own, with its group's before it where two would be the same."""
    names = [leaf.column.name for leaf in leaves]
    for depth in (2, 3, 99):
        counts = Counter(names)
        names = [
            "_".join(leaf.path[-depth:]) if counts[n] > 1 else n
            for n, leaf in zip(names, leaves, strict=True)
        ]
    counts, used = Counter(names), Counter[str]()
    columns = []
    for name, leaf in zip(names, leaves, strict=True):
        used[name] += 1
        unique = f"{name}_{used[name]}" if counts[name] > 1 else name
        old = leaf.column
        columns.append(
            Column(unique, old.field, old.offset, old.size, old.repeats, old.children, old.is_alternative)
        )
    return columns


@dataclass
class DecodedRows:
    """Arrays by column and, for each record, the index of its first bad column (−1 for none)."""

    arrays: list[pa.Array]
    first_bad: np.ndarray

    @property
    def is_bad(self) -> BoolMask:
        """Mask of records with a bad value."""
        mask: BoolMask = self.first_bad >= 0
        return mask


def decode_rows(matrix: Bytes2D, columns: Sequence[Column], options: ValueOptions) -> DecodedRows:
    """Decode a matrix of records (rows as wide as the layout needs, or wider)."""
    first_bad = np.full(len(matrix), -1, dtype=np.int32)
    arrays = []
    for index, column in enumerate(columns):
        array, bad = _decode_column(matrix, column, options)
        arrays.append(array)
        if bad is not None:
            first_bad[bad & (first_bad < 0)] = index
    return DecodedRows(arrays, first_bad)


def _decode_column(
    matrix: Bytes2D, column: Column, options: ValueOptions
) -> tuple[pa.Array, BoolMask | None]:
    rows = len(matrix)
    if column.repeats is None:
        array, bad = decode_values(
            matrix[:, column.offset : column.offset + column.size], column.field, options
        )
        return array, None if column.is_alternative else bad
    width = column.size * column.repeats
    elements = np.ascontiguousarray(matrix[:, column.offset : column.offset + width]).reshape(-1, column.size)
    bad = None
    if column.children:
        inner = decode_rows(elements, column.children, options)
        items: pa.Array = pa.StructArray.from_arrays(inner.arrays, fields=list(column.type.value_type))
        bad = inner.is_bad if inner.is_bad.any() else None
    else:
        items, bad = decode_values(elements, column.field, options)
    offsets = np.arange(0, (rows + 1) * column.repeats, column.repeats or 1, dtype=np.int32)
    if not column.repeats:
        offsets = np.zeros(rows + 1, dtype=np.int32)
    array = pa.ListArray.from_arrays(pa.array(offsets), items)
    if bad is None or column.is_alternative:
        return array, None
    return array, np.asarray(bad.reshape(rows, column.repeats).any(axis=1))
