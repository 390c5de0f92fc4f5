"""Many records of one type at once: where their varying parts lie, and the columns they hold.

Belongs here: following counters through records and elements, level by level and never record by record, and
putting arrays together. Does not belong here: what the parts are (``layout``), single values (``values``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from connectors.formats.columns import BoolMask
from connectors.formats.copybook.layout import Choice, Column, Fixed, Layout, Varying
from connectors.formats.copybook.values import Bytes2D, Decoded, ValueOptions, decode_values

Ints = npt.NDArray[np.int64]
_SHORT = 1
_COUNTER = 2
"""Fault of a record: 0 none, 1 too short, 2 + n the counter of the n-th varying table found wanting."""


@dataclass
class _Table:
    """The elements of one table in all records: their places, and how many each record has."""

    counts: Ints
    elements: _Placed


@dataclass
class _Placed:
    """The parts of a layout in so many records: starts of fixed ones, elements of tables, choices."""

    parts: list[Ints | _Table | list[_Placed]] = field(default_factory=list)


@dataclass
class DecodedRows:
    """Arrays by column and, for each record, the index of its first bad column (−1 for none)."""

    arrays: list[pa.Array]
    first_bad: npt.NDArray[np.int32]

    @property
    def is_bad(self) -> BoolMask:
        """Mask of records with a bad value."""
        mask: BoolMask = self.first_bad >= 0
        return mask


@dataclass
class Faults:
    """Records that end too early, and those whose counter is none, with the table it counts."""

    code: npt.NDArray[np.int32]
    tables: list[Varying] = field(default_factory=list)

    def add(self, wrong: BoolMask, owner: Ints | None, table: Varying | None = None) -> None:
        """Note a fault of some elements against the records they are of; the first one counts."""
        if not wrong.any():
            return
        code = _SHORT
        if table is not None:
            if not any(t is table for t in self.tables):
                self.tables.append(table)
            code = _COUNTER + next(i for i, t in enumerate(self.tables) if t is table)
        rows = np.flatnonzero(wrong) if owner is None else np.unique(owner[wrong])
        self.code[rows[self.code[rows] == 0]] = code

    @property
    def is_short(self) -> BoolMask:
        """Records that end before their last field."""
        mask: BoolMask = self.code == _SHORT
        return mask

    def by_counter(self) -> list[tuple[Varying, BoolMask]]:
        """For each table the records whose counter is out of its bounds."""
        return [(table, self.code == _COUNTER + index) for index, table in enumerate(self.tables)]


def check_rows(
    layout: Layout, data: npt.NDArray[np.uint8], starts: Ints, ends: Ints, options: ValueOptions
) -> Faults:
    """Which records are too short for the layout or have a counter that is none."""
    faults = Faults(np.zeros(len(starts), dtype=np.int32))
    fixed = layout.fixed
    if fixed is not None:
        faults.add(starts + fixed.needed > ends, None)
    else:
        _Placer(data, options, faults).place(layout, starts, ends, None, {})
    return faults


def decode_rows(
    layout: Layout, data: npt.NDArray[np.uint8], starts: Ints, ends: Ints, options: ValueOptions
) -> DecodedRows:
    """Decode records that :func:`check_rows` found nothing wrong with."""
    fixed = layout.fixed
    if fixed is not None:
        placed = _Placed([starts])
    else:
        faults = Faults(np.zeros(len(starts), dtype=np.int32))
        placed, _ = _Placer(data, options, faults).place(layout, starts, ends, None, {})
    return _first_bad(_decode(layout, placed, data, options), len(starts))


class _Placer:
    def __init__(self, data: npt.NDArray[np.uint8], options: ValueOptions, faults: Faults) -> None:
        self.data = data
        self.options = options
        self.faults = faults

    def place(
        self, layout: Layout, at: Ints, ends: Ints, owner: Ints | None, known: dict[int, Ints]
    ) -> tuple[_Placed, Ints]:
        """Place the parts one behind the other from ``at``; returns them and where the last one ends.

        ``owner`` gives the record of each element (None where they are the records), ``known`` the values of
        counters by key.
        """
        placed = _Placed()
        for part in layout.parts:
            if isinstance(part, Fixed):
                self._fixed(part, at, ends, owner, known)
                placed.parts.append(at)
                at = at + part.size
            elif isinstance(part, Choice):
                members, end = [], at + part.least
                for member in part.members:
                    inside, its_end = self.place(member, at, ends, owner, known)
                    members.append(inside)
                    end = np.maximum(end, its_end)
                placed.parts.append(members)
                at = end
            else:
                table, at = self._table(part, at, ends, owner, known)
                placed.parts.append(table)
        return placed, at

    def _fixed(self, part: Fixed, at: Ints, ends: Ints, owner: Ints | None, known: dict[int, Ints]) -> None:
        short = at + part.needed > ends
        self.faults.add(short, owner)
        for counter in part.counters:
            column = counter.column
            values = np.full(len(at), -1, dtype=np.int64)
            there = np.flatnonzero(~short & (at + column.offset + column.size <= ends))
            matrix = gather(self.data, at[there] + column.offset, column.size)
            array, _ = decode_values(matrix, column.field, self.options)
            values[there] = array.fill_null(-1).to_numpy(zero_copy_only=False)
            known[counter.key] = values

    def _table(
        self, part: Varying, at: Ints, ends: Ints, owner: Ints | None, known: dict[int, Ints]
    ) -> tuple[_Table, Ints]:
        rows = len(at)
        if part.counter is None:
            counts = np.full(rows, part.maximum, dtype=np.int64)
        else:
            counts = known[part.counter.key]
            outside = (counts < part.minimum) | (counts > part.maximum)
            self.faults.add(outside, owner, part)
            counts = np.where(outside, 0, counts)
        fixed = part.element.fixed
        if fixed is None:
            return self._by_element(part, counts, at, ends, owner, known)
        spare = fixed.size - fixed.needed
        short = at + counts * fixed.size - spare * (counts > 0) > ends
        self.faults.add(short, owner)
        counts = np.where(short, 0, counts)
        of = np.repeat(np.arange(rows), counts)
        starts = at[of] + _within(counts) * fixed.size
        return _Table(counts, _Placed([starts])), at + counts * fixed.size

    def _by_element(
        self, part: Varying, counts: Ints, at: Ints, ends: Ints, owner: Ints | None, known: dict[int, Ints]
    ) -> tuple[_Table, Ints]:
        """Elements of differing size: the first of every record, then the second of those that have one …"""
        short = counts > np.maximum(ends - at, 0)  # an element takes a byte at least
        self.faults.add(short, owner)
        counts = np.where(short, 0, counts)
        firsts = np.concatenate([[0], np.cumsum(counts)])
        starts = np.zeros(firsts[-1], dtype=np.int64)
        at = at.copy()
        for index in range(int(counts.max(initial=0))):
            rows = np.flatnonzero(counts > index)
            starts[firsts[rows] + index] = at[rows]
            _, at[rows] = self.place(
                part.element, at[rows], ends[rows], rows if owner is None else owner[rows], _of(known, rows)
            )
            # What lies beyond its record is at fault already, and is followed no further.
            counts = np.where(at > ends, np.minimum(counts, index + 1), counts)
        kept = np.flatnonzero(_within(np.diff(firsts)) < np.repeat(counts, np.diff(firsts)))
        of = np.repeat(np.arange(len(at)), counts)
        placed, _ = self.place(
            part.element, starts[kept], ends[of], of if owner is None else owner[of], _of(known, of)
        )
        return _Table(counts, placed), at


def _within(counts: Ints) -> Ints:
    """0 … n − 1 for each n, one behind the other."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)


def _of(known: dict[int, Ints], rows: Ints) -> dict[int, Ints]:
    return {key: values[rows] for key, values in known.items()}


def gather(data: npt.NDArray[np.uint8], starts: Ints, width: int) -> Bytes2D:
    """``width`` bytes from each start as a matrix; a view where they lie evenly."""
    if not len(starts):
        return np.empty((0, width), dtype=np.uint8)
    steps = np.diff(starts)
    if len(steps) == 0 or (steps == steps[0]).all():
        step = int(steps[0]) if len(steps) else width
        return np.lib.stride_tricks.as_strided(
            data[int(starts[0]) :], shape=(len(starts), width), strides=(step, 1), writeable=False
        )
    windows = np.lib.stride_tricks.sliding_window_view(data, width)
    gathered: Bytes2D = windows[starts]
    return gathered


def _decode(
    layout: Layout, placed: _Placed, data: npt.NDArray[np.uint8], options: ValueOptions
) -> list[Decoded]:
    found: list[Decoded] = []
    for part, where in zip(layout.parts, placed.parts, strict=True):
        if isinstance(part, Fixed):
            assert isinstance(where, np.ndarray)
            matrix = gather(data, where, part.needed)
            found += [_decode_column(matrix, column, options) for column in part.columns]
        elif isinstance(part, Choice):
            assert isinstance(where, list)
            for member, inside in zip(part.members, where, strict=True):
                found += _decode(member, inside, data, options)
        elif not part.is_hidden:
            assert isinstance(where, _Table)
            found.append(_decode_table(part, where, data, options))
    return found


def _decode_table(
    part: Varying, where: _Table, data: npt.NDArray[np.uint8], options: ValueOptions
) -> Decoded:
    elements = int(where.counts.sum())
    decoded = _decode(part.element, where.elements, data, options)
    items, bad = _items(part.column, decoded, elements)
    offsets = np.concatenate([[0], np.cumsum(where.counts)]).astype(np.int32)
    array = pa.ListArray.from_arrays(pa.array(offsets), items)
    if bad is None or part.column.is_alternative:
        return array, None
    owner = np.repeat(np.arange(len(where.counts)), where.counts)
    mask = np.zeros(len(where.counts), dtype=bool)
    mask[owner[bad]] = True
    return array, mask


def _decode_column(matrix: Bytes2D, column: Column, options: ValueOptions) -> Decoded:
    rows = len(matrix)
    if column.repeats is None:
        values = matrix[:, column.offset : column.offset + column.size]
        array, bad = decode_values(values, column.field, options)
        return array, None if column.is_alternative else bad
    width = column.size * column.repeats
    elements = np.ascontiguousarray(matrix[:, column.offset : column.offset + width]).reshape(-1, column.size)
    if column.children:
        inner = [_decode_column(elements, child, options) for child in column.children]
    else:
        inner = [decode_values(elements, column.field, options)]
    items, bad = _items(column, inner, len(elements))
    offsets = np.arange(0, (rows + 1) * column.repeats, column.repeats, dtype=np.int32)
    array = pa.ListArray.from_arrays(pa.array(offsets), items)
    if bad is None or column.is_alternative:
        return array, None
    return array, np.asarray(bad.reshape(rows, column.repeats).any(axis=1))


def _items(column: Column, decoded: Sequence[Decoded], elements: int) -> tuple[pa.Array, BoolMask | None]:
    """The elements of a table as one array: structs of its columns, or the values of its only one."""
    if not column.children:
        return decoded[0]
    inner = _first_bad(decoded, elements)
    items = pa.StructArray.from_arrays(inner.arrays, fields=list(column.type.value_type))
    return items, inner.is_bad if inner.is_bad.any() else None


def _first_bad(decoded: Sequence[Decoded], rows: int) -> DecodedRows:
    first_bad = np.full(rows, -1, dtype=np.int32)
    for index, (_, bad) in enumerate(decoded):
        if bad is not None:
            first_bad[bad & (first_bad < 0)] = index
    return DecodedRows([array for array, _ in decoded], first_bad)
