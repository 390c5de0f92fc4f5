"""Which record a child belongs to: the last one of its parent's type, unless something came in between.

Belongs here: parents across blocks, orphans, and what children borrow. Does not belong here: telling record
types, decoding.

A parent holds until the next one, or until a record of a type above it begins something else. A record of
unknown type may have been a parent, so it ends all of them: its children go to quarantine with it rather than
to the wrong parent.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from connectors.formats.columns import BoolMask
from connectors.formats.copybook.plan import RecordType

Ints = npt.NDArray[np.int64]

UNKNOWN = -1
"""Kind of a record whose type is not known."""
NOTHING = -2
"""Kind of an empty line, which cannot have been a parent."""
_NONE, _LOST, _HELD = 0, 1, 2


@dataclass
class _Carried:
    """The last parent of one type at the end of a block: none, in quarantine, or held with its values."""

    state: int = _NONE
    number: int = 0
    values: dict[str, pa.Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Owners:
    """Of some child records: which are orphans, which have a lost parent, and the parents of the others."""

    is_orphan: BoolMask
    is_lost: BoolMask
    numbers: Ints
    picks: Ints  # into (carried value, values of the block's loaded parents)


class Hierarchy:
    """The parents of one file: :meth:`begin` and :meth:`end` a block, :meth:`loaded` each type between."""

    def __init__(self, types: list[RecordType]) -> None:
        self._parents = {t.parent.table: t.parent for t in types if t.parent is not None}
        self._index = {t.table: index for index, t in enumerate(types)}
        self._carried = {table: _Carried() for table in self._parents}
        self._values: dict[str, dict[str, pa.Array]] = {}
        self._rows: dict[str, Ints] = {}
        self._last: dict[str, tuple[Ints, Ints]] = {}
        self._kinds: Ints = np.zeros(0, dtype=np.int64)
        self._first_number = 1

    def begin(self, kinds: Ints, first_number: int) -> None:
        """Take the kinds of a block's records: the place of their type in ``types``, or ``UNKNOWN``."""
        self._kinds, self._first_number = kinds, first_number
        at = np.arange(len(kinds), dtype=np.int64)
        for table, parent in self._parents.items():
            above = [self._index[t.table] for t in parent.ancestors]
            is_break = np.isin(kinds, [UNKNOWN, *above])
            is_parent = kinds == self._index[table]
            self._last[table] = (
                np.maximum.accumulate(np.where(is_parent, at, -1)),
                np.maximum.accumulate(np.where(is_break, at, -1)),
            )
            self._rows[table] = np.zeros(0, dtype=np.int64)
            self._values[table] = {}

    def loaded(self, record_type: RecordType, rows: Ints, batch: pa.RecordBatch) -> None:
        """Take the records of one type that were loaded, and of their columns those that children borrow."""
        if record_type.table in self._parents:
            self._rows[record_type.table] = rows
            self._values[record_type.table] = {name: batch.column(name) for name in record_type.lends}

    def owners(self, parent: RecordType, rows: Ints) -> Owners:
        """Find the parents of child records at ``rows`` of the block."""
        table, carried = parent.table, self._carried[parent.table]
        last, breaks = (one[rows] for one in self._last[table])
        held = self._rows[table]
        in_block = (last >= 0) & (last > breaks)
        from_before = (last < 0) & (breaks < 0)
        pick = np.searchsorted(held, last)
        is_held = np.zeros(len(rows), dtype=bool)
        if len(held):
            is_held = in_block & (held[np.minimum(pick, len(held) - 1)] == last)
        broken = ~in_block & ~from_before
        is_unknown = broken & (self._kinds[np.maximum(breaks, 0)] == UNKNOWN)
        lost = (in_block & ~is_held) | is_unknown | (from_before & (carried.state == _LOST))
        orphan = (broken & ~is_unknown) | (from_before & (carried.state == _NONE))
        numbers = np.where(from_before, carried.number, last + self._first_number)
        return Owners(orphan, lost, numbers, np.where(from_before, 0, pick + 1))

    def borrowed(self, parent: RecordType, name: str, picks: Ints) -> pa.Array:
        """One column of the parents that :meth:`owners` picked."""
        kind = parent.schema.field(name).type
        before = self._carried[parent.table].values.get(name, pa.nulls(1, kind))
        here = self._values[parent.table].get(name, pa.nulls(0, kind))
        return pc.take(pa.concat_arrays([before, here]), pa.array(picks))

    def end(self) -> None:
        """Carry the last parents over to the next block."""
        if not len(self._kinds):
            return
        for table, (last, breaks) in self._last.items():
            row, broken = int(last[-1]), int(breaks[-1])
            if row > broken:
                held = self._rows[table]
                at = int(np.searchsorted(held, row))
                if at == len(held) or held[at] != row:
                    self._carried[table] = _Carried(_LOST)
                    continue
                # A copy of the one value: a slice would keep the whole block in memory.
                one = {name: pc.take(array, pa.array([at])) for name, array in self._values[table].items()}
                self._carried[table] = _Carried(_HELD, row + self._first_number, one)
            elif broken >= 0:
                is_unknown = self._kinds[broken] == UNKNOWN
                self._carried[table] = _Carried(_LOST if is_unknown else _NONE)
