"""One buffer of segment text to arrays: where segments, elements and components start and end.

Belongs here: delimiters, the release character, spans. Does not belong here: where a buffer comes from
(``stream``), what a segment means.

A segment ends at a terminator that is not released. Blanks before its tag (line breaks, above all) belong to
nothing; a segment of blanks alone is none. Segments are numbered as they come in the file, from 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from connectors.formats.base import SettingsError
from connectors.formats.columns import BoolMask
from connectors.formats.text_lines import Bytes, Ints, strings

_BLANK = np.zeros(256, dtype=bool)
_BLANK[[0x00, 0x09, 0x0A, 0x0D, 0x1A, 0x20]] = True
BLANKS = bytes(np.flatnonzero(_BLANK).astype(np.uint8))
"""What may stand between two segments."""


@dataclass(frozen=True)
class Delimiters:
    """The bytes that divide one interchange; ``release`` takes a delimiter behind it for text.

    ``decimal_mark`` is null where the interchange does not declare one.
    """

    component: int
    element: int
    segment: int
    release: int | None = None
    decimal_mark: int | None = None


def check_encoding(name: str, format_name: str) -> None:
    """Raise :class:`SettingsError` unless ``name`` is an encoding in which ASCII is ASCII."""
    try:
        is_text = b"A+:'".decode(name) == "A+:'"
    except (LookupError, UnicodeDecodeError):
        is_text = False
    if not is_text:
        raise SettingsError(
            f"format {format_name}: setting 'encoding': '{name}' is not an encoding such as latin-1 or utf-8"
        )


class Segments:
    """The segments of one buffer: ``start`` and ``end`` (without terminator) in it, ``number`` in the file.

    Elements are counted from 1 (0 would be the tag), components from 0, as the standards' tables do less one.
    """

    def __init__(self, data: bytes, delimiters: Delimiters, number: int, file_offset: int) -> None:
        """``number`` is that of the first segment, ``file_offset`` where the buffer stands in the file.

        What stands behind the last terminator is the last segment; whoever calls cuts the buffer there.
        """
        self.data = data
        self.view: Bytes = np.frombuffer(data, dtype=np.uint8)
        self.delimiters = delimiters
        self.file_offset = file_offset
        marks, self._released = _find_marks(self.view, delimiters)
        kind = self.view[marks]
        is_end = kind == delimiters.segment
        if not len(marks) or not is_end[-1] or marks[-1] + 1 < len(data):
            # The end of the buffer ends what stands behind the last terminator.
            marks = np.append(marks, len(data))
            is_end = np.append(is_end, True)
            kind = np.append(kind, np.uint8(delimiters.segment))
        self.marks: Ints = marks
        self._elements = np.flatnonzero(kind == delimiters.element)
        last = np.flatnonzero(is_end)
        ends = marks[last]
        starts = np.concatenate([[0], ends[:-1] + 1])
        starts = _skip_blanks(self.view, starts, ends)
        first = np.concatenate([[0], last[:-1] + 1])
        kept = np.flatnonzero(ends > starts)
        self.start: Ints = starts[kept]
        self.end: Ints = ends[kept]
        self._first, self._last = first[kept], last[kept]
        # Elements of a segment stand together, so their numbers at its first and last mark bound them.
        before = np.cumsum(kind == delimiters.element) - (kind == delimiters.element)
        self._first_element, self._end_element = before[self._first], before[self._last]
        self.number: Ints = np.arange(number, number + len(kept), dtype=np.int64)
        self.tag_end: Ints = marks[self._first]
        self.kinds: dict[int, Ints] = {}  # by the identity of a list of tags

    def __len__(self) -> int:
        return len(self.start)

    def raw(self, row: int) -> bytes:
        """One segment without its terminator."""
        return self.data[int(self.start[row]) : int(self.end[row])]

    def offset(self, row: int) -> int:
        """Where one segment begins in the file."""
        return self.file_offset + int(self.start[row])

    def head(self, count: int) -> Segments:
        """The first ``count`` segments, over the same buffer."""
        part = object.__new__(Segments)
        part.__dict__.update(self.__dict__)
        part.__dict__["tag_codes"] = self.tag_codes
        for name in (
            "start", "end", "number", "tag_end", "tag_codes", "_first", "_last", "_first_element",
            "_end_element",
        ):  # fmt: skip
            setattr(part, name, getattr(self, name)[:count])
        part.kinds = {tags: kind[:count] for tags, kind in self.kinds.items()}
        return part

    def composite(self, rows: Ints, element: int) -> Composite:
        """One element of each of the rows."""
        first = self._first_element[rows] + (element - 1)
        bound = self._end_element[rows]
        last = self._last[rows]
        present: BoolMask = first < bound
        if not len(self._elements):
            return Composite(self, rows, last, last, present)
        most = len(self._elements) - 1
        at = self._elements[np.minimum(first, most)]
        behind = self._elements[np.minimum(first + 1, most)]
        np.copyto(at, last, where=~present)
        np.copyto(behind, last, where=first + 1 >= bound)
        return Composite(self, rows, at, behind, present)

    def span(self, rows: Ints, element: int, component: int = 0) -> tuple[Ints, Ints]:
        """Start and end of a component of each of the rows; empty where it is absent."""
        return self.composite(rows, element).span(component)

    def text(self, rows: Ints, element: int, component: int = 0, encoding: str = "ascii") -> pa.StringArray:
        """A component as text, release characters taken out; ``""`` where it is absent."""
        return self.texts(*self.span(rows, element, component), encoding)

    def element_text(self, rows: Ints, element: int, encoding: str = "ascii") -> pa.StringArray:
        """A whole element as text, its component separators included; ``""`` where it is absent."""
        return self.texts(*self.composite(rows, element).whole(), encoding)

    def texts(self, starts: Ints, ends: Ints, encoding: str = "ascii") -> pa.StringArray:
        """The given spans as text, trimmed of spaces behind, release characters taken out."""
        ends = _trim_end(self.view, starts, ends)
        has_release = np.zeros(len(starts), dtype=bool)
        if len(self._released):
            has_release = np.searchsorted(self._released, starts) < np.searchsorted(self._released, ends)
        is_plain = ~has_release
        if encoding != "ascii" and len(self._high):
            is_plain &= ~self._has_high_bytes(starts, ends)
        if is_plain.all():
            return strings(self.view, starts, ends)
        plain = strings(self.view, starts, np.where(is_plain, ends, starts))
        # Released or accented texts repeat themselves (an OBIS code on each line): one by one, but each once.
        odd = np.flatnonzero(~is_plain)
        raw = [self.data[a:b] for a, b in zip(starts[odd].tolist(), ends[odd].tolist(), strict=True)]
        known = {one: self._unreleased(one).decode(encoding, "replace") for one in set(raw)}
        replaced = pa.array([known[one] for one in raw], pa.string())
        index = np.arange(len(starts))
        index[odd] = len(starts) + np.arange(len(odd))
        return pa.concat_arrays([plain, replaced]).take(pa.array(index))

    def _has_high_bytes(self, starts: Ints, ends: Ints) -> BoolMask:
        found: BoolMask = np.searchsorted(self._high, starts) < np.searchsorted(self._high, ends)
        return found

    @cached_property
    def _high(self) -> Ints:
        """The places of all bytes that are not ASCII."""
        return np.flatnonzero(self.view >= 0x80)

    def _unreleased(self, text: bytes) -> bytes:
        release = self.delimiters.release
        if release is None:
            return text
        out, is_released = bytearray(), False
        for byte in text:
            if byte == release and not is_released:
                is_released = True
            else:
                out.append(byte)
                is_released = False
        return bytes(out)

    def equals(self, rows: Ints, words: Sequence[str], element: int, component: int = 0) -> Ints:
        """The index of each row's component in ``words`` (of at most 8 bytes each), −1 where it is none."""
        return self.composite(rows, element).equals(words, component)

    @cached_property
    def tag_codes(self) -> Ints:
        """Each segment's tag as a number of its up to three bytes; 0 for a longer one."""
        length = self.tag_end - self.start
        most = max(len(self.view) - 1, 0)
        code = np.zeros(len(self.start), dtype=np.int32)
        for at in range(3):
            byte = self.view[np.minimum(self.start + at, most)]
            code = np.where(at < length, code << 8 | byte, code)
        code[length > 3] = 0
        return code.astype(np.int64)


class Composite:
    """One element of some segments, to be taken apart into its components."""

    def __init__(self, segments: Segments, rows: Ints, at: Ints, behind: Ints, present: BoolMask) -> None:
        """``at`` and ``behind``: the marks before and behind the element, where it is ``present``."""
        self._segments = segments
        self._end = segments.end[rows]
        self._at, self._behind, self._present = at, behind, present

    def span(self, component: int = 0) -> tuple[Ints, Ints]:
        """Start and end of a component; empty, at the end of its segment, where it is absent."""
        marks = self._segments.marks
        last = len(marks) - 1
        place = self._at + component
        absent = (place >= self._behind) | ~self._present
        if not absent.any():
            return marks[place] + 1, marks[place + 1]
        start, end = marks[np.minimum(place, last)] + 1, marks[np.minimum(place + 1, last)]
        np.copyto(start, self._end, where=absent)
        np.copyto(end, self._end, where=absent)
        return start, end

    def whole(self) -> tuple[Ints, Ints]:
        """Start and end of all of the element; empty, at the end of its segment, where it is absent."""
        marks = self._segments.marks
        start = np.where(self._present, marks[self._at] + 1, self._end)
        return start, np.where(self._present, marks[self._behind], self._end)

    def equals(self, words: Sequence[str], component: int = 0) -> Ints:
        """The index of the component in ``words``, −1 where it is none; see :func:`index_of`."""
        return index_of(self._segments.view, *self.span(component), words)


class Tags:
    """Which of a list of tags each segment has: their places in the list from 1, 0 for none of them."""

    def __init__(self, tags: Sequence[str]) -> None:
        self.names = ("", *tags)
        codes = [int.from_bytes(tag.encode(), "big") for tag in tags]
        self._codes = np.array([-1, *codes], dtype=np.int64)
        self._places = np.zeros(1 << 15, dtype=np.int16)
        for place, fold in enumerate(_fold(self._codes[1:]).tolist(), 1):
            if self._places[fold]:
                raise ValueError(f"tag {tags[place - 1]} cannot be told from another by its letters")
            self._places[fold] = place

    def __getitem__(self, tag: str) -> int:
        return self.names.index(tag)

    def of(self, segments: Segments) -> Ints:
        """The place of each segment's tag; worked out once for a buffer, not to be written to."""
        if id(self) not in segments.kinds:
            code = segments.tag_codes
            place = self._places[_fold(code)]
            place[self._codes[place] != code] = 0
            segments.kinds[id(self)] = place.astype(np.int64)
        return segments.kinds[id(self)]


def index_of(view: Bytes, starts: Ints, ends: Ints, words: Sequence[str]) -> Ints:
    """The index of each span in ``words`` (of at most 7 bytes each), −1 where it is none of them."""
    lengths = ends - starts
    found = np.full(len(starts), -1, dtype=np.int64)
    if not len(starts):
        return found
    width = max((len(word) for word in words), default=0)
    most = len(view) - 1
    code = np.zeros(len(starts), dtype=np.int64)
    for at in range(width):
        byte = view[np.minimum(starts + at, most)]
        code = np.where(at < lengths, code << 8 | byte, code)
    code[lengths > width] = -1
    for index, word in enumerate(words):
        found[(code == int.from_bytes(word.encode(), "big")) & (lengths == len(word))] = index
    return found


def _fold(code: Ints) -> Ints:
    """Five bits of each of three letters: small enough for a table; who looks up compares the whole code."""
    folded: Ints = (code >> 16 & 31) << 10 | (code >> 8 & 31) << 5 | code & 31
    return folded


def _find_marks(view: Bytes, delimiters: Delimiters) -> tuple[Ints, Ints]:
    """The places of all delimiters that are not released, and of the release characters that act."""
    is_special = (view == delimiters.segment) | (view == delimiters.element)
    is_special |= view == delimiters.component
    none = np.zeros(0, dtype=np.int64)
    if delimiters.release is None:
        return np.flatnonzero(is_special), none
    is_special |= view == delimiters.release
    special = np.flatnonzero(is_special)
    is_release = view[special] == delimiters.release
    acting = np.flatnonzero(is_release)
    if not len(acting):
        return special, none
    places = special[acting]
    adjacent = places[1:] == places[:-1] + 1
    if adjacent.any():
        # In a run of release characters every second one is text.
        begins = np.concatenate([[True], ~adjacent])
        index = np.arange(len(places))
        within = index - np.maximum.accumulate(np.where(begins, index, 0))
        acting = acting[within % 2 == 0]
        places = special[acting]
    is_mark = ~is_release
    behind = acting + 1
    behind = behind[behind < len(special)]
    follows = special[behind] == special[behind - 1] + 1
    is_mark[behind[follows]] = False
    return special[is_mark], places


def _skip_blanks(view: Bytes, starts: Ints, ends: Ints) -> Ints:
    moving = np.flatnonzero(ends > starts)
    while len(moving):
        moving = moving[_BLANK[view[starts[moving]]]]
        starts[moving] += 1
        moving = moving[ends[moving] > starts[moving]]
    return starts


def _trim_end(view: Bytes, starts: Ints, ends: Ints) -> Ints:
    moving = np.flatnonzero(ends > starts)
    if not len(moving):
        return ends
    moving = moving[view[ends[moving] - 1] == 0x20]
    if not len(moving):
        return ends
    ends = ends.copy()
    while len(moving):
        ends[moving] -= 1
        moving = moving[ends[moving] > starts[moving]]
        moving = moving[view[ends[moving] - 1] == 0x20]
    return ends
