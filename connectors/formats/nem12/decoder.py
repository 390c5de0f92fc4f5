"""AEMO's meter data file format: NEM12 interval and NEM13 accumulation data.

Belongs here: the settings and the order of work on one file. Does not belong here: what holds for the file
as a whole (``survey``), for a part of it (``stretch``), and for a record (``structure``, ``reads``,
``accumulation``).

What is taken and what is not:

- A file begins with its 100 and ends with its 900 record, each exactly once; otherwise it is refused, and
  so is one without meter data. These two are its control totals.
- A 300 record may wrap over several lines, may lack the fields behind its quality, and may carry commas
  that a spreadsheet left behind. Its number of values must be that of the interval length of its 200
  record.
- Quality V needs 400 records over 1…N without gap; a 400 or 500 record goes the way of its 300 record.
- Lines end by LF, CRLF or CR; blank lines, a byte order mark and an end-of-file mark are passed over.
- A record counts once, however many lines it wraps over; its number is that of its first line.
- A 300 record that is wrong goes to quarantine alone; a wrong 200 record takes its 300 records with it.
- Values are exact to six decimals of the stored unit. Under quality N they may be empty, and are null
  whatever they are, since systems fill in zeros there; otherwise none may be empty.
- AEMO allows no negative values, since each direction has a register of its own; the exception is a net
  register (suffix N or X), whose values are the difference of both. An exponent, a sign ``+`` or quotes are
  no number.
- ``register_id`` is the NMI suffix (the register id where there is none): register ids repeat between meters.
"""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import BinaryIO, TypeVar, cast

import numpy as np
import pyarrow as pa
from pydantic import Field

from connectors.formats.base import (
    DecodeResult,
    Format,
    FormatSettings,
    RefusedFile,
    Settings,
    TableSink,
    parse_settings,
    read_exactly,
)
from connectors.formats.columns import BoolMask
from connectors.formats.nem12.corrections import Versions, outdated
from connectors.formats.nem12.lines import KNOWN, Source, read_source
from connectors.formats.nem12.stretch import Account, decode_stretch, versions_in
from connectors.formats.nem12.survey import Stretch, Survey, repeated, survey, with_line_ends
from connectors.formats.nem12.times import parse_offset
from connectors.formats.reads import INTERVAL_READS, REGISTER_READS

_IN_MEMORY = 16 * 1024 * 1024
_WORKERS = min(3, os.cpu_count() or 1)
T = TypeVar("T")


class Nem12Settings(FormatSettings):
    """The market the file comes from."""

    utc_offset: str = Field(
        default="+10:00", description="market time, which has no daylight saving: +10:00 in Australia"
    )


def schema(settings: Settings) -> dict[str, pa.Schema]:
    """Interval reads (NEM12) and register reads (NEM13)."""
    parse_offset(parse_settings(Nem12Settings, "nem12", settings).utc_offset)
    return {"interval_reads": INTERVAL_READS, "register_reads": REGISTER_READS}


def decode(stream: BinaryIO, settings: Settings, sink: TableSink, name: str) -> DecodeResult:
    """Decode one file; see :func:`connectors.formats.decode`."""
    offset = parse_offset(parse_settings(Nem12Settings, "nem12", settings).utc_offset)
    in_place = stream.seekable()
    begin = stream.tell() if in_place else 0
    # A file is read twice where it lies; what is unpacked on the way is read once, and kept aside.
    with nullcontext(stream) if in_place else _spool() as again:
        found = survey(stream, None if in_place else again, name)
        file = _File(again, begin, found, offset, name)
        result = DecodeResult(control_totals=found.control_totals)
        result.records_read = sum(found.records_by_type.values())
        for kind in KNOWN:
            result.add_type(str(kind), found.records_by_type[kind])
        for account in file.accounts():
            result.loaded += account.loaded
            result.superseded += account.superseded
            if account.interval_reads is not None:
                result.write(sink, "interval_reads", account.interval_reads)
            if account.register_reads is not None:
                result.write(sink, "register_reads", account.register_reads)
            for reject in account.rejects:
                result.reject(sink, reject)
    return result


def _spool() -> AbstractContextManager[BinaryIO]:
    return cast(AbstractContextManager[BinaryIO], tempfile.SpooledTemporaryFile(_IN_MEMORY))


class _File:
    """A surveyed file: its stretches are decoded side by side, and given in their order."""

    def __init__(self, stream: BinaryIO, begin: int, found: Survey, offset_seconds: int, name: str) -> None:
        self._stream, self._begin, self._name = stream, begin, name
        self._survey = found
        self._offset = offset_seconds

    def accounts(self) -> Iterator[Account]:
        """The account of each stretch."""
        days, reads = self._outdated()

        def work(stretch: Stretch, source: Source) -> Account:
            of_days = _part(days, stretch.days, int((source.kind == 300).sum()))
            of_reads = _part(reads, stretch.reads, int((source.kind == 250).sum()))
            return decode_stretch(source, self._offset, of_days, of_reads)

        return self._each(self._survey.stretches, work)

    def _outdated(self) -> tuple[BoolMask, BoolMask]:
        """The 300 and 250 records replaced by others of the file: only what looks repeated is looked into."""
        days, reads = repeated(self._survey.day_keys), repeated(self._survey.read_keys)
        day_places, read_places = np.flatnonzero(days), np.flatnonzero(reads)

        def work(stretch: Stretch, source: Source) -> tuple[Versions, Versions]:
            of_days = _part(days, stretch.days, int((source.kind == 300).sum()))
            of_reads = _part(reads, stretch.reads, int((source.kind == 250).sum()))
            places = np.flatnonzero(of_days), np.flatnonzero(of_reads)
            return versions_in(source, self._offset, *places, stretch.days, stretch.reads)

        stretches = self._survey.stretches
        concerned = sorted(
            set(np.searchsorted([one.days for one in stretches], day_places, side="right") - 1)
            | set(np.searchsorted([one.reads for one in stretches], read_places, side="right") - 1)
        )
        found = list(self._each([stretches[index] for index in concerned], work))
        return (
            outdated([of_days for of_days, _ in found], len(days)),
            outdated([of_reads for _, of_reads in found], len(reads)),
        )

    def _each(self, stretches: list[Stretch], work: Callable[[Stretch, Source], T]) -> Iterator[T]:
        """The result of ``work`` for each stretch, in order; a few at a time are in memory."""
        if len(stretches) <= 1:
            for stretch in stretches:
                yield work(stretch, self._kept(stretch) or self._source(stretch, self._text(stretch)))
            return

        def one(stretch: Stretch, found: Source | bytes) -> T:
            return work(stretch, self._source(stretch, found) if isinstance(found, bytes) else found)

        with _workers() as pool:
            waiting: deque[Future[T]] = deque()
            for stretch in stretches:
                waiting.append(pool.submit(one, stretch, self._kept(stretch) or self._text(stretch)))
                if len(waiting) > _WORKERS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _kept(self, stretch: Stretch) -> Source | None:
        return self._survey.kept.get(stretch.offset)

    def _text(self, stretch: Stretch) -> bytes:
        self._stream.seek(self._begin + stretch.offset)
        text = read_exactly(self._stream, stretch.size)
        if len(text) < stretch.size:
            raise RefusedFile(f"{self._name}: became shorter while it was read; take it when it is complete")
        return text

    def _source(self, stretch: Stretch, text: bytes) -> Source:
        text = with_line_ends(text, self._survey.has_old_line_ends)
        return read_source(text, stretch.offset, stretch.lines_before, stretch.channel)


@contextmanager
def _workers() -> Iterator[ThreadPoolExecutor]:
    """Threads serve, since nearly all of the work is numpy's and Arrow's own code, which lets others run."""
    pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="nem12")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _part(mask: BoolMask, first: int, count: int) -> BoolMask:
    return mask[first : first + count]


FORMAT = Format(
    name="nem12",
    version="2",
    description="AEMO NEM12 interval and NEM13 accumulation meter data",
    decode=decode,
    schema=schema,
    settings=Nem12Settings,
)
