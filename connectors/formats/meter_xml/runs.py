"""Elements that repeat in few shapes, read many at a time by what differs between them: their numbers.

Belongs here: proving that a stretch of bytes is plain elements one after the other, and where their numbers
lie. Does not belong here: what the numbers mean; the parser around them (``stream``).

The proof: a plain element has known tags of one prefix without attributes, blanks, comments, and numbers as
its only text. Take all characters of numbers out of the stretch and cut what is left behind every closing
tag; each of the few different pieces is checked once, tag by tag; and every number taken out must have
stood where its piece has a place, between an opening and its closing tag. Then the stretch is well-formed
XML and means what the parser would have said, at the speed of comparing bytes. Anything else is no run, and
the parser reads it.
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
COMMENT = rb"<!--(?:-?[\t\n\r -,.-~])*-->"
"""A comment in ASCII, which the parser could not but pass over."""
_COMMENT = re.compile(COMMENT)
_MAX_SHAPES = 256
_MOST_BLANKS = 256
_MAX_SHAPES_A_RUN = 32
_MAX_PIECE = 4096


@dataclass
class Run:
    """``count`` plain elements.

    ``offsets`` are the bytes of the file at which they begin; ``fields`` gives for each path inside the
    element (``timePeriod/start``) where its number begins and ends in ``view``, one each element; an empty
    stretch where the element has none.
    """

    count: int
    end: int
    view: Bytes
    offsets: Ints
    fields: dict[str, tuple[Ints, Ints]]


@dataclass(frozen=True)
class _Shape:
    """One plain element without its numbers: blanks before it, its length with them, where numbers go."""

    gap: int
    length: int
    slots: Ints
    paths: tuple[str, ...]


@dataclass(frozen=True)
class RunsOf:
    """Which elements may be taken as a run: ``element`` directly in ``holder``, numbers at paths ``leaves``.

    An element with anything else in it is left to the parser.
    """

    element: str
    holder: str
    leaves: frozenset[str]


class RunFinder:
    """Finds runs in one window after the other."""

    def __init__(self, wanted: RunsOf) -> None:
        self._element, self._holder = wanted.element.encode(), wanted.holder.encode()
        self._leaves = wanted.leaves
        self._branches = {path.rpartition("/")[0] for path in wanted.leaves} | {""}
        self._opening = re.compile(rb"<(?:[^\s<>/:!?]+:)?" + re.escape(self._element) + rb">")
        either = re.escape(self._element) + b"|" + re.escape(self._holder)
        self._closing = re.compile(rb"</(?:[^\s<>/:]+:)?(" + either + rb")\s*>")
        self._shapes: dict[bytes, _Shape | None] = {}
        self._data = b""
        self._view: Bytes = np.zeros(0, dtype=np.uint8)
        self._numbers: tuple[Ints, Ints] | None = None

    def look_at(self, data: bytes) -> None:
        """Go on to the next window."""
        if b"<!--" in data:
            # As many blanks, so that positions stay: inside a run nothing else can look like a comment.
            data = _COMMENT.sub(lambda found: b" " * len(found[0]), data)
        self._data = data
        self._view = np.frombuffer(data, dtype=np.uint8)
        self._numbers = None

    def next(self, at: int) -> int | None:
        """Where the next element begins, if it is one: the parser must say where it stands."""
        found = self._opening.search(self._data, at)
        return found.start() if found else None

    def behind(self, at: int, count: int) -> int:
        """Where ``count`` elements from ``at`` on have ended, or their holder, or the window."""
        for _ in range(count):
            found = self._closing.search(self._data, at)
            if found is None:
                return len(self._data)
            at = found.end()
            if found[1] == self._holder:
                break
        return at

    def run(self, at: int, prefix: bytes) -> Run | None:
        """The run that begins at ``at``, if one does; ``prefix`` (with its colon) is that of the holder."""
        data = self._data
        closing = b"</" + prefix + self._element + b">"
        holder = data.find(b"</" + prefix + self._holder + b">", at)
        last = data.rfind(closing, at, holder if holder >= 0 else len(data))
        if last < 0:
            return None
        stop = last + len(closing)
        # Blanks before the first element are taken as its own, so that it looks like those that follow it.
        before = data[max(at - _MOST_BLANKS, 0) : at]
        at -= len(before) - len(before.rstrip(_BLANKS))
        # The closing tag has no numeric character: it is the same in what is left.
        pieces = data[at:stop].translate(None, _NUMERIC).split(closing)[:-1]
        numbers: dict[bytes, int] = {}
        shapes: list[_Shape] = []
        for place, piece in enumerate(pieces):
            if piece in numbers:
                continue
            shape = self._shape(piece, prefix, closing)
            if shape is None or len(shapes) == _MAX_SHAPES_A_RUN:
                # The run ends before an element that is not plain.
                pieces = pieces[:place]
                stop = _end_of(data, closing, at, place)
                break
            numbers[piece] = len(shapes)
            shapes.append(shape)
        if not pieces:
            return None
        which = np.fromiter((numbers[piece] for piece in pieces), dtype=np.int64, count=len(pieces))
        return self._take(at, stop, which, shapes)

    def _take(self, at: int, stop: int, which: Ints, shapes: list[_Shape]) -> Run | None:
        """The numbers of the stretch, if each is where its piece has a place and none is missing."""
        if self._numbers is None:
            self._numbers = _find_numbers(self._view)
        low, high = np.searchsorted(self._numbers[0], (at, stop))
        starts, ends = self._numbers[0][low:high], self._numbers[1][low:high]
        if len(shapes) == 1:
            return self._take_even(at, stop, len(which), shapes[0], starts, ends)
        per = np.array([len(shape.slots) for shape in shapes])[which]
        if len(starts) != per.sum():
            return None
        lengths = ends - starts
        taken_before = np.cumsum(lengths) - lengths
        length = np.array([shape.length for shape in shapes])[which]
        begins, first = np.cumsum(length) - length, np.cumsum(per) - per
        place = starts - at - taken_before
        offsets = at + begins + np.array([shape.gap for shape in shapes])[which] + taken_before[first]
        fields: dict[str, tuple[Ints, Ints]] = {}
        for number, shape in enumerate(shapes):
            rows = np.flatnonzero(which == number)
            at_first = first[rows]
            for index, path in enumerate(shape.paths):
                here = at_first + index
                if not np.array_equal(place[here], begins[rows] + shape.slots[index]):
                    return None
                if path not in fields:
                    fields[path] = (np.zeros(len(which), np.int64), np.zeros(len(which), np.int64))
                fields[path][0][rows], fields[path][1][rows] = starts[here], ends[here]
        return Run(len(which), stop, self._view, offsets, fields)

    def _take_even(
        self, at: int, stop: int, count: int, shape: _Shape, starts: Ints, ends: Ints
    ) -> Run | None:
        """The same for elements that are all of one shape."""
        per = len(shape.slots)
        if len(starts) != count * per:
            return None
        lengths = ends - starts
        place = starts - at - (np.cumsum(lengths) - lengths)
        if not np.array_equal(place, (np.arange(count)[:, None] * shape.length + shape.slots).ravel()):
            return None
        fields = {path: (starts[i::per], ends[i::per]) for i, path in enumerate(shape.paths)}
        offsets = starts[::per] - int(shape.slots[0]) + shape.gap
        return Run(count, stop, self._view, offsets, fields)

    def _shape(self, piece: bytes, prefix: bytes, closing: bytes) -> _Shape | None:
        # The same bytes under another prefix would be another namespace.
        key = prefix + b" " + piece
        if key not in self._shapes:
            if len(self._shapes) >= _MAX_SHAPES:
                self._shapes.clear()
            self._shapes[key] = self._read_shape(piece, prefix, closing)
        return self._shapes[key]

    def _read_shape(self, piece: bytes, prefix: bytes, closing: bytes) -> _Shape | None:
        """The shape of one element without its numbers and its closing tag; None where it is not plain."""
        rest = piece.lstrip(_BLANKS)
        gap = len(piece) - len(rest)
        if len(piece) > _MAX_PIECE or not rest.startswith(b"<" + prefix + self._element + b">"):
            return None
        rest += closing
        at = last_opening = 0
        opened: list[str] = []
        slots: list[int] = []
        paths: list[str] = []
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
                opened.append(name)
                last_opening = at
                continue
            if not opened or opened[-1] != name:
                return None
            path = "/".join(opened[1:])
            opened.pop()
            if token.start() == last_opening:
                slots.append(gap + last_opening)
                paths.append(path)
            if path not in (self._leaves if token.start() == last_opening else self._branches):
                return None
            if not opened and at < len(rest):
                return None
        if opened or not slots or len(set(paths)) < len(paths):
            return None
        return _Shape(gap, gap + len(rest), np.array(slots, dtype=np.int64), tuple(paths))


def _end_of(data: bytes, closing: bytes, at: int, count: int) -> int:
    """Where ``count`` closing tags from ``at`` on have ended."""
    for _ in range(count):
        at = data.index(closing, at) + len(closing)
    return at


def _find_numbers(view: Bytes) -> tuple[Ints, Ints]:
    """Where runs of numeric characters begin and end."""
    inside = np.zeros(len(view) + 2, dtype=bool)
    inside[1:-1] = _IS_NUMERIC[view]
    edges = np.flatnonzero(inside[1:] != inside[:-1]).astype(np.int64)
    return edges[0::2], edges[1::2]
