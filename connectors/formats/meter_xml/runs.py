"""Elements that repeat in one shape, read many at a time by what differs between them: their numbers.

Belongs here: proving that a stretch of bytes is the same element again and again, and where its numbers lie.
Does not belong here: what the numbers mean; the parser around them (``stream``).

The proof: the first element is plain (tags of one prefix without attributes, blanks, numbers as the only
text). Take all characters of numbers out of the stretch; what is left must be the first element's rest, n
times over; and every number taken out must have stood at one of its places between an opening and its closing
tag. Then the stretch is well-formed XML and means what the parser would have said, at the speed of comparing
bytes. Anything else is no run, and the parser reads it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from connectors.formats.text_lines import Bytes, Ints

_NUMERIC = b"0123456789.-"
_IS_NUMERIC = np.zeros(256, dtype=bool)
_IS_NUMERIC[list(_NUMERIC)] = True
_BLANKS = b" \t\r\n"
_TOKEN = re.compile(rb"<(/?)([A-Za-z_][A-Za-z_:]*)>|[ \t\r\n]+")
_MAX_SHAPES = 256
_MAX_UNIT = 4096


@dataclass
class Run:
    """``count`` elements of one shape.

    ``offsets`` are the bytes of the file at which they begin; ``fields`` gives for each path inside the
    element (``timePeriod/start``) where its number begins and ends in ``view``, one each element.
    """

    count: int
    end: int
    view: Bytes
    offsets: Ints
    fields: dict[str, tuple[Ints, Ints]]


@dataclass(frozen=True)
class _Shape:
    """One plain element without its numbers, and where they go."""

    slots: Ints
    paths: tuple[str, ...]


class RunFinder:
    """Finds runs of ``element`` directly inside ``holder`` (local names) in one window after the other."""

    def __init__(self, element: str, holder: str) -> None:
        self._element, self._holder = element.encode(), holder.encode()
        self._opening = re.compile(rb"<(?:[^\s<>/:!?]+:)?" + re.escape(self._element) + rb">")
        self._holder_end = re.compile(rb"</(?:[^\s<>/:]+:)?" + re.escape(self._holder) + rb"\s*>")
        self._shapes: dict[bytes, _Shape | None] = {}
        self._data = b""
        self._view: Bytes = np.zeros(0, dtype=np.uint8)
        self._numbers: tuple[Ints, Ints] | None = None

    def look_at(self, data: bytes) -> None:
        """Go on to the next window."""
        self._data = data
        self._view = np.frombuffer(data, dtype=np.uint8)
        self._numbers = None

    def next(self, at: int) -> int | None:
        """Where the next element begins, perhaps inside a comment."""
        found = self._opening.search(self._data, at)
        return found.start() if found else None

    def after_holder(self, at: int) -> int:
        """Where the holder of the element at ``at`` has ended, or the window."""
        found = self._holder_end.search(self._data, at)
        return found.end() if found else len(self._data)

    def run(self, at: int, prefix: bytes) -> Run | None:
        """The run that begins at ``at``, if one does; ``prefix`` (with its colon) is that of the holder."""
        data = self._data
        closing = b"</" + prefix + self._element + b">"
        first = data.find(closing, at)
        if first < 0 or first - at > _MAX_UNIT:
            return None
        first += len(closing)
        holder = data.find(b"</" + prefix + self._holder + b">", first)
        stop = data.rfind(closing, at, holder if holder >= 0 else len(data)) + len(closing)
        rest = data[at:first].translate(None, _NUMERIC)
        shape = self._shape(rest, prefix)
        if shape is None:
            return None
        behind = data.find(b"<", first, first + _MAX_UNIT)
        gap = data[first:behind] if first < stop and behind >= 0 else b""
        if gap.strip(_BLANKS):
            return None
        unit = rest + gap
        left = data[at:stop].translate(None, _NUMERIC) + gap
        count, uneven = divmod(len(left), len(unit))
        if uneven or left != unit * count:
            return None
        return self._take(at, stop, count, len(unit), shape)

    def _take(self, at: int, stop: int, count: int, unit: int, shape: _Shape) -> Run | None:
        """The numbers of the stretch, if each is where the shape has a place and none is missing."""
        if self._numbers is None:
            self._numbers = _find_numbers(self._view)
        low, high = np.searchsorted(self._numbers[0], (at, stop))
        starts, ends = self._numbers[0][low:high], self._numbers[1][low:high]
        per = len(shape.slots)
        if len(starts) != count * per:
            return None
        lengths = ends - starts
        place = starts - at - (np.cumsum(lengths) - lengths)
        wanted = (np.arange(count)[:, None] * unit + shape.slots).ravel()
        if not np.array_equal(place, wanted):
            return None
        fields = {path: (starts[i::per], ends[i::per]) for i, path in enumerate(shape.paths)}
        return Run(count, stop, self._view, starts[::per] - int(shape.slots[0]), fields)

    def _shape(self, rest: bytes, prefix: bytes) -> _Shape | None:
        if rest not in self._shapes:
            if len(self._shapes) >= _MAX_SHAPES:
                self._shapes.clear()
            self._shapes[rest] = _read_shape(rest, prefix)
        shape = self._shapes[rest]
        # The same bytes under another prefix would be another namespace.
        return shape if rest.startswith(b"<" + prefix + self._element + b">") else None


def _find_numbers(view: Bytes) -> tuple[Ints, Ints]:
    """Where runs of numeric characters begin and end."""
    inside = np.zeros(len(view) + 2, dtype=bool)
    inside[1:-1] = _IS_NUMERIC[view]
    edges = np.flatnonzero(inside[1:] != inside[:-1]).astype(np.int64)
    return edges[0::2], edges[1::2]


def _read_shape(rest: bytes, prefix: bytes) -> _Shape | None:
    """The shape of one element without its numbers; None where it is not plain."""
    at = 0
    opened: list[str] = []
    slots: list[int] = []
    paths: list[str] = []
    last_opening = -1
    while at < len(rest):
        token = _TOKEN.match(rest, at)
        if token is None:
            return None
        at = token.end()
        if token[2] is None:
            continue
        name = token[2].removeprefix(prefix).decode()
        if not token[2].startswith(prefix) or ":" in name:
            return None
        if not token[1]:
            if not opened and slots:
                return None
            opened.append(name)
            last_opening = at
            continue
        if not opened or opened[-1] != name:
            return None
        if token.start() == last_opening:
            slots.append(last_opening)
            paths.append("/".join(opened[1:]))
        opened.pop()
        if not opened and at < len(rest):
            return None
    if opened or not slots or len(set(paths)) < len(paths):
        return None
    return _Shape(np.array(slots, dtype=np.int64), tuple(paths))
