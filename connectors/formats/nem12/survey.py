"""The first pass over a NEM12 file: is it whole, where may it be cut, and which of its days come twice.

Belongs here: what can only be said of a file as a whole, found with a look at the few bytes of a line that
tell it. Does not belong here: values, and anything that is said of a single record; see ``stretch``.

A file is cut into stretches of a few hundred thousand fields, each beginning with a 200, 250 or 300 record.
With the 200 record in force before it, a stretch can be decoded on its own. What stays in memory of a file is
a :class:`Stretch` for each, eight bytes for each 250 and 300 record, and the text of its first stretches.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from connectors.formats.base import ControlTotal, RefusedFile, read_exactly
from connectors.formats.nem12.identity import Keys, day_keys, read_keys
from connectors.formats.nem12.lines import KNOWN, Source, opens_group, read_source

STRETCH_FIELDS = 600_000
"""Fields and lines that make a stretch: what a stretch takes of memory goes by them, not by its bytes."""
_READ_BYTES = 512 * 1024
KEPT_BYTES = 96 * 1024 * 1024
"""Bytes of a file whose stretches stay in memory as they were found; those behind them are read again."""
MOST_BYTES = 32 * 1024 * 1024
"""Most bytes that may follow a 200, 250 or 300 record before the next."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_FILE_HEAD = re.compile(rb"100,\s*\"?NEM1[23]\b", re.IGNORECASE)


@dataclass(frozen=True)
class Stretch:
    """A part of a file that can be decoded on its own: ``size`` bytes from ``offset`` on.

    ``channel`` is the 200 record in force before it, empty where there is none. ``days`` and ``reads`` are
    how many 300 and 250 records stand in the file before it.
    """

    offset: int
    size: int
    lines_before: int
    channel: bytes
    days: int
    reads: int


@dataclass
class Survey:
    """What is known of a file before any of it is decoded."""

    stretches: list[Stretch] = field(default_factory=list)
    kept: dict[int, Source] = field(default_factory=dict)
    """Stretches that need not be read again, by their offset."""
    records_by_type: dict[int, int] = field(default_factory=lambda: dict.fromkeys((0, *KNOWN), 0))
    control_totals: list[ControlTotal] = field(default_factory=list)
    has_old_line_ends: bool = False
    day_keys: list[Keys] = field(default_factory=list)
    read_keys: list[Keys] = field(default_factory=list)


def survey(stream: BinaryIO, spool: BinaryIO | None, name: str) -> Survey:
    """Read ``stream`` through, copying it to ``spool`` if given; raises :class:`RefusedFile`.

    One 100 record first and one 900 record last: a file without its 900 record was cut off; one with two of
    them is two files, each with its own header.
    """
    found = Survey()
    channel = b""
    last: tuple[int, int] = (0, 0)  # kind and line of the last record
    for offset, lines_before, text in _cut(stream, spool, found, name):
        source = read_source(text, offset, lines_before, channel)
        if len(source.lines) == source.inherited:
            continue
        if not found.stretches and _FILE_HEAD.match(source.raw(0)) is None:
            line = int(source.lines.line_no[0])
            raise RefusedFile(f"{name}: line {line}: the file must begin with a 100 record of NEM12 or NEM13")
        days, reads = (found.records_by_type[kind] for kind in (300, 250))
        found.stretches.append(Stretch(offset, len(text), lines_before, channel, days, reads))
        if offset + len(text) <= KEPT_BYTES:
            found.kept[offset] = source
        kinds, counts = np.unique(source.kind[source.inherited :], return_counts=True)
        for kind, count in zip(kinds.tolist(), counts.tolist(), strict=True):
            found.records_by_type[kind] += count
        found.day_keys.append(day_keys(source))
        found.read_keys.append(read_keys(source))
        channel = _last_channel(source, channel)
        last = (int(source.kind[-1]), int(source.lines.line_no[-1]))
    _check(found, last, name)
    return found


def _last_channel(source: Source, before: bytes) -> bytes:
    channels = np.flatnonzero(source.kind == 200)
    return source.raw(int(channels[-1])) if len(channels) else before


def _check(found: Survey, last: tuple[int, int], name: str) -> None:
    if not found.stretches:
        raise RefusedFile(f"{name}: is empty")
    counts = found.records_by_type
    totals = [ControlTotal(f"records_{kind}", 1, counts[kind], counts[kind] == 1) for kind in (100, 900)]
    if last[0] != 900:
        raise RefusedFile(
            f"{name}: no 900 record at the end (last line {last[1]}): the file is truncated", totals
        )
    for total in totals:
        if not total.ok:
            kind = total.name.removeprefix("records_")
            raise RefusedFile(f"{name}: {total.found} records {kind} instead of exactly 1", totals)
    if not counts[200] + counts[250]:
        raise RefusedFile(f"{name}: holds no meter data between its 100 and 900 records", totals)
    found.control_totals = totals


def _cut(
    stream: BinaryIO, spool: BinaryIO | None, found: Survey, name: str
) -> Iterator[tuple[int, int, memoryview]]:
    """Whole groups of records: their offset, the lines before them, their text."""
    offset, lines_before, waiting = 0, 0, b""
    for parts, is_last in _parts(stream, spool):
        if not offset + len(waiting):
            found.has_old_line_ends = not any(b"\n" in part for part in parts) and b"\r" in parts[0]
            if parts[0].startswith(_BYTE_ORDER_MARK):
                offset, parts[0] = len(_BYTE_ORDER_MARK), parts[0][len(_BYTE_ORDER_MARK) :]
        text = b"".join([waiting, *(with_line_ends(part, found.has_old_line_ends) for part in parts)])
        cut = len(text) if is_last else _last_group(text, len(waiting))
        if len(text) - cut > MOST_BYTES:
            line = lines_before + _line_count(text, cut) + 1
            raise RefusedFile(
                f"{name}: line {line}: more than {MOST_BYTES} bytes before the next 200, 250 or 300 record"
            )
        if cut:
            yield offset, lines_before, memoryview(text)[:cut]
            lines_before += _line_count(text, cut)
            offset += cut
        waiting = text[cut:]
    if waiting:
        yield offset, lines_before, memoryview(waiting)


def _line_count(text: bytes, cut: int) -> int:
    return int(np.count_nonzero(np.frombuffer(text, dtype=np.uint8)[:cut] == ord("\n")))


def _parts(stream: BinaryIO, spool: BinaryIO | None) -> Iterator[tuple[list[bytes], bool]]:
    """The file in parts of about as many fields as make a stretch, and whether it is known to end there."""
    parts: list[bytes] = []
    fields = 0
    while part := read_exactly(stream, _READ_BYTES):
        if spool is not None:
            spool.write(part)
        parts.append(part)
        # Commas and line ends, and whatever else lies below them, which is rare.
        fields += int(np.count_nonzero(np.frombuffer(part, dtype=np.uint8) <= ord(",")))
        is_last = len(part) < _READ_BYTES
        if is_last or fields >= STRETCH_FIELDS:
            yield parts, is_last
            parts, fields = [], 0
    if parts:
        yield parts, True


def with_line_ends(part: bytes, has_old_line_ends: bool) -> bytes:
    """A file whose lines end by CR alone, as old systems write it, is read as if they ended by LF."""
    return part.replace(b"\r", b"\n") if has_old_line_ends else part


def _last_group(text: bytes, carried: int) -> int:
    """Where the last group of records begins; 0 where none does behind what is carried, itself a group."""
    at = len(text)
    while (at := text.rfind(b"\n", max(carried - 1, 0), at)) >= 0:
        if opens_group(text, at + 1):
            return at + 1
    return 0


def repeated(keys: list[Keys]) -> npt.NDArray[np.bool_]:
    """Which records may be the same day or read as another one of the file, by their keys; 0 is no key."""
    every = np.concatenate(keys) if keys else np.zeros(0, dtype=np.uint64)
    ordered = np.sort(every)
    twice = np.unique(ordered[1:][(ordered[1:] == ordered[:-1]) & (ordered[1:] != 0)])
    return np.isin(every, twice) if len(twice) else np.zeros(len(every), dtype=bool)
