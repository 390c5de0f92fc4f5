"""Values that hold from one segment on, until another sets or ends them: the state of a positional format.

Belongs here: carrying such values along columns and over block boundaries. Does not belong here: which
segments set what.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from connectors.formats.text_lines import Ints


class Trail:
    """The latest value along the file: some segments set it, others make it null again.

    One trail serves one value through all blocks: :meth:`follow` is called once a block, then :meth:`at`.
    """

    def __init__(self, kind: pa.DataType) -> None:
        self._kind = kind
        self._known = pa.nulls(2, kind)
        self._at_end = 0
        self._events, self._index_at = np.zeros(0, dtype=np.int64), np.zeros(1, dtype=np.int64)

    def follow(self, setters: Ints, values: pa.Array, resets: Ints, count: int) -> None:
        """Go through a block of ``count`` segments.

        ``setters`` (rows, ascending) set ``values`` from there on; ``resets`` (ascending) end what was set
        before.
        """
        carried = pa.array([self._known[self._at_end].as_py(), None], self._kind)
        self._known = pa.concat_arrays([carried, values.cast(self._kind)])
        # What holds changes at few rows only: 0 is what was carried in, 1 nothing, 2 + i the setter number i.
        self._events = np.union1d(setters, resets).astype(np.int64)
        last = np.searchsorted(setters, self._events, side="right")
        reset = np.searchsorted(resets, self._events, side="right")
        set_at = np.concatenate([[-1], setters])[last]
        reset_at = np.concatenate([[-1], resets])[reset]
        is_set = (set_at >= 0) & (set_at >= reset_at)
        self._index_at = np.concatenate([[0], np.where(is_set, last + 1, 1)])
        self._at_end = int(self._index_at[np.searchsorted(self._events, count, side="right")])

    def at(self, rows: Ints) -> pa.Array:
        """The value at each of the rows (ascending) of the block; a row that sets sees its own."""
        edges = np.concatenate([[0], np.searchsorted(rows, self._events), [len(rows)]])
        return self._known.take(pa.array(np.repeat(self._index_at, np.diff(edges))))


def count_before(few: Ints, rows: Ints) -> Ints:
    """How many of ``few`` are at or before each of the rows; both ascending."""
    steps = np.bincount(np.searchsorted(rows, few), minlength=len(rows) + 1)[: len(rows)]
    return np.cumsum(steps)
