"""The three nested envelopes of an interchange and their control totals, EDIFACT and X12 alike.

Belongs here: that what is opened is closed, in order, with the same reference and the counts it declares; all
else refuses the file. Does not belong here: what is inside a message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.formats.base import ControlTotal, RefusedFile
from connectors.formats.columns import BoolMask, as_mask
from connectors.formats.digits import parse_scaled
from connectors.formats.segments.scan import Segments, Tags
from connectors.formats.segments.trail import count_before
from connectors.formats.text_lines import Ints


@dataclass(frozen=True)
class Level:
    """One envelope: the tags that open and close it, and the element of the opening one with its reference.

    The closing segment has the count in its first element and the reference in its second.
    """

    opens: str
    closes: str
    reference: int


# What may follow what: interchange, group and message opened (0 1 2), message, group and interchange closed.
_OPEN_INTERCHANGE, _OPEN_GROUP, _OPEN, _CLOSE, _CLOSE_GROUP, _CLOSE_INTERCHANGE = range(6)
_FOLLOWS = {
    _OPEN_INTERCHANGE: (_OPEN_GROUP, _OPEN, _CLOSE_INTERCHANGE),
    _OPEN_GROUP: (_OPEN, _CLOSE_GROUP),
    _OPEN: (_CLOSE,),
    _CLOSE: (_OPEN, _CLOSE_GROUP, _CLOSE_INTERCHANGE),
    _CLOSE_GROUP: (_OPEN_GROUP, _CLOSE_INTERCHANGE),
    _CLOSE_INTERCHANGE: (_OPEN_INTERCHANGE,),
}
_MAY_FOLLOW = np.array([[step in following for step in range(6)] for following in _FOLLOWS.values()])


class Envelope:
    """Checks blocks of segments as they come; :meth:`finish` when there are no more."""

    def __init__(
        self,
        levels: tuple[Level, Level, Level],
        name: str,
        *,
        between: Sequence[str] = (),
        beside: Sequence[str] = (),
        needs_groups: bool = False,
    ) -> None:
        """What else may stand outside of messages: ``between`` two interchanges, ``beside`` messages in one.

        ``needs_groups``: a message stands in a group always (X12), or may do without (EDIFACT).
        """
        self._levels = levels
        self._name = name
        self._needs_groups = needs_groups
        opens, closes = [level.opens for level in levels], [level.closes for level in reversed(levels)]
        self._tags = Tags([*opens, *closes])
        self._between, self._beside = Tags(between), Tags(beside)
        self._state = _CLOSE_INTERCHANGE
        self._is_in_group = False
        self._references = ["", "", ""]  # of the interchange, group and message that are open
        self._message_number = 0  # of the segment that opened the message
        self._messages = 0  # closed so far
        self._first_message = [0, 0]  # how many were closed when the interchange, the group was opened
        self._groups = 0  # of the interchange that is open
        self._interchanges = 0
        self._declared, self._found = [0, 0, 0], [0, 0, 0]

    def take(self, segments: Segments) -> BoolMask:
        """Check a block; returns which segments are inside a message, those that open and close it included.

        Raises :class:`RefusedFile`.
        """
        kind = self._tags.of(segments) - 1
        rows = np.flatnonzero(kind >= 0)
        steps = kind[rows]
        self._check_order(segments, rows, steps)
        latest = count_before(rows, np.arange(len(segments)))
        state = np.concatenate([[self._state], steps])[latest]
        is_inside = state == _OPEN
        is_between = state == _CLOSE_INTERCHANGE
        allowed = np.where(is_between, self._between.of(segments), self._beside.of(segments)) > 0
        stray = np.flatnonzero(~is_inside & (kind < 0) & ~allowed)
        if len(stray):
            self._refuse(segments, int(stray[0]), "stands outside of any message")
        closes = rows[steps == _CLOSE]
        is_inside[closes] = True
        self._check_messages(segments, rows[steps == _OPEN], closes)
        for row, step in zip(rows.tolist(), steps.tolist(), strict=True):
            if step not in (_OPEN, _CLOSE):
                self._check_outer(segments, row, step, int(np.searchsorted(closes, row)))
        self._messages += len(closes)
        if len(steps):
            self._state = int(steps[-1])
        return is_inside

    def finish(self) -> list[ControlTotal]:
        """The control totals of the whole file; raises :class:`RefusedFile` where something is still open."""
        if self._state != _CLOSE_INTERCHANGE:
            raise RefusedFile(
                f"{self._name}: the file ends inside an interchange, without its {self._levels[0].closes}: "
                "it is truncated; have it sent again",
                self._control_totals(),
            )
        if not self._interchanges:
            raise RefusedFile(f"{self._name}: holds no interchange: it is empty")
        return self._control_totals()

    def _control_totals(self) -> list[ControlTotal]:
        """The counts so far: of what is in interchanges, of messages in groups, of segments in messages."""
        return [
            ControlTotal(f"counted_by_{level.closes.lower()}", declared, found, declared == found)
            for level, declared, found in zip(self._levels, self._declared, self._found, strict=True)
            if declared or found or level.opens != self._levels[1].opens
        ]

    def _check_order(self, segments: Segments, rows: Ints, steps: Ints) -> None:
        before = np.concatenate([[self._state], steps[:-1]])[: len(rows)]
        in_group = np.where(steps == _OPEN_GROUP, 1, 0) - np.where(steps == _CLOSE_GROUP, 1, 0)
        # Whether a group is open before each step.
        depth = int(self._is_in_group) + np.cumsum(in_group) - in_group
        allowed = _MAY_FOLLOW[before, steps]
        allowed &= (steps != _CLOSE_GROUP) | (depth == 1)
        allowed &= (before != _CLOSE) | (steps != _CLOSE_INTERCHANGE) | (depth == 0)
        if self._needs_groups:
            allowed &= (steps != _OPEN) | (depth == 1)
        if not allowed.all():
            self._refuse(segments, int(rows[np.argmin(allowed)]), "does not follow what is open before it")
        self._is_in_group = bool(int(self._is_in_group) + int(in_group.sum()))

    def _check_messages(self, segments: Segments, opens: Ints, closes: Ints) -> None:
        """Each message closes with its count of segments and its reference."""
        level = self._levels[2]
        numbers = np.concatenate([[self._message_number], segments.number[opens]])
        references = pa.concat_arrays(
            [pa.array([self._references[2]]), segments.text(opens, level.reference)]
        )
        # In the order checked before, each message that closes is the one opened last.
        mine = np.searchsorted(opens, closes)
        found = segments.number[closes] - numbers[mine] + 1
        declared, bad = self._counts(segments, closes)
        wrong = np.flatnonzero(bad | (declared != found))
        self._declared[2] += int(declared.sum())
        self._found[2] += int(found.sum())
        if len(wrong):
            row, number = int(closes[wrong[0]]), int(found[wrong[0]])
            self._refuse(segments, row, f"does not count the {number} segments of its message")
        same = as_mask(pc.equal(references.take(pa.array(mine)), segments.text(closes, 2)))
        if not same.all():
            row = int(closes[np.argmin(same)])
            self._refuse(segments, row, f"does not have the reference of its {level.opens}")
        if len(opens):
            self._message_number = int(numbers[-1])
            self._references[2] = references[-1].as_py()

    def _check_outer(self, segments: Segments, row: int, step: int, closed_here: int) -> None:
        """Open or close an interchange or a group."""
        at, messages = np.array([row]), self._messages + closed_here
        which = 0 if step in (_OPEN_INTERCHANGE, _CLOSE_INTERCHANGE) else 1
        level = self._levels[which]
        if step in (_OPEN_INTERCHANGE, _OPEN_GROUP):
            self._references[which] = segments.text(at, level.reference)[0].as_py()
            self._first_message[which] = messages
            self._groups = 0 if step == _OPEN_INTERCHANGE else self._groups + 1
            self._interchanges += int(step == _OPEN_INTERCHANGE)
            return
        found, what = messages - self._first_message[which], "messages"
        if which == 0 and (self._groups or self._needs_groups):
            found, what = self._groups, "groups"
        declared, bad = self._counts(segments, at)
        self._declared[which] += int(declared[0])
        self._found[which] += found
        if bad[0] or int(declared[0]) != found:
            self._refuse(segments, row, f"does not count the {found} {what} before it")
        if segments.text(at, 2)[0].as_py() != self._references[which]:
            self._refuse(segments, row, f"does not have the reference of its {level.opens}")

    def _counts(self, segments: Segments, rows: Ints) -> tuple[Ints, BoolMask]:
        return parse_scaled(segments.view, *segments.span(rows, 1), 0)

    def _refuse(self, segments: Segments, row: int, what: str) -> None:
        tag = segments.raw(row)[: int(segments.tag_end[row] - segments.start[row])][:3]
        shown = tag.decode("ascii", "replace") if tag.isalnum() else "a segment without a tag"
        raise RefusedFile(
            f"{self._name}: segment {segments.number[row]}: {shown} {what}", self._control_totals()
        )
