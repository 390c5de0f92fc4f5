"""AEMO's meter data file format: NEM12 interval and NEM13 accumulation data.

Belongs here: the settings and the account of one file. Does not belong here: lines (``lines``), fields
(``structure``, ``accumulation``), values (``reads``).

What is taken and what is not:

- A file begins with its 100 and ends with its 900 record, each exactly once; otherwise it is refused, and
  so is one without meter data. These two are its control totals.
- A 300 record may wrap over several lines, may lack the fields behind its quality, and may carry commas
  that a spreadsheet left behind. Its number of values must be that of the interval length of its 200
  record.
- Quality V needs 400 records over 1…N without gap; a 400 or 500 record goes the way of its 300 record.
- A 300 record that is wrong goes to quarantine alone; a wrong 200 record takes its 300 records with it.
- Values are not negative, exact to six decimals of the stored unit, and may be empty only under quality N.
- ``register_id`` is the NMI suffix (the register id where there is none): register ids repeat between meters.
"""

from __future__ import annotations

import mmap
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from connectors.formats.base import (
    DecodeResult,
    Format,
    FormatSettings,
    Reject,
    Settings,
    TableSink,
    parse_settings,
    read_exactly,
)
from connectors.formats.nem12.accumulation import RegisterReads
from connectors.formats.nem12.lines import KNOWN, Source, check_envelope, read_source
from connectors.formats.nem12.reads import IntervalReads
from connectors.formats.nem12.structure import Structure, read_structure
from connectors.formats.nem12.times import parse_offset
from connectors.formats.reads import INTERVAL_READS, REGISTER_READS
from connectors.formats.text_lines import Ints

_IN_MEMORY = 32 * 1024 * 1024

_REASONS = {
    "orphan": "no record before it that it could belong to",
    "parent_quarantined": "the record it belongs to is in quarantine",
    "no_service_point": "the NMI is empty",
    "no_register": "neither NMI suffix nor register id is given",
    "bad_interval_length": "the interval length is not a whole part of a day",
    "unknown_unit": "the unit of measure is not known",
    "bad_date": "the date is not a day of the calendar",
    "bad_quality": "the quality is not one of A E F N S V with an optional two-digit method",
    "bad_reason_code": "the reason code is not a whole number",
    "bad_update_time": "the update time is not a time of 14 digits",
    "bad_time": "a read or update time is missing or not a time of 14 digits",
    "quality_ranges": "quality V, but its 400 records do not cover every interval once",
    "bad_range": "start and end are not intervals of the day",
    "range_without_v": "its 300 record does not have quality V",
    "unknown_record": "the line is no known record and continues none",
}


class Nem12Settings(FormatSettings):
    """``utc_offset`` is market time, which has no daylight saving: ``+10:00`` in Australia."""

    utc_offset: str = "+10:00"


def schema(settings: Settings) -> dict[str, pa.Schema]:
    """Interval reads (NEM12) and register reads (NEM13)."""
    parse_offset(parse_settings(Nem12Settings, "nem12", settings).utc_offset)
    return {"interval_reads": INTERVAL_READS, "register_reads": REGISTER_READS}


def decode(stream: BinaryIO, settings: Settings, sink: TableSink, name: str) -> DecodeResult:
    """Decode one file; see :func:`connectors.formats.decode`."""
    offset = parse_offset(parse_settings(Nem12Settings, "nem12", settings).utc_offset)
    with _whole(stream) as data:
        source = read_source(data)
        result = DecodeResult(control_totals=check_envelope(source, name))
        result.records_read = len(source.lines)
        for kind in KNOWN:
            result.add_type(str(kind), int((source.kind == kind).sum()))
        _Account(source, result, sink).settle(offset)
        del source
    return result


@contextmanager
def _whole(stream: BinaryIO) -> Iterator[bytes | mmap.mmap]:
    """The text of the file: in memory where it is small, else on disk and mapped."""
    head = read_exactly(stream, _IN_MEMORY)
    if len(head) < _IN_MEMORY:
        yield head
        return
    with tempfile.TemporaryFile() as spool:
        spool.write(head)
        shutil.copyfileobj(stream, spool, _IN_MEMORY)
        spool.flush()
        # Not closed here: arrays look into it, and it goes with the last of them.
        yield mmap.mmap(spool.fileno(), 0, access=mmap.ACCESS_READ)


class _Account:
    """Takes every record of a file to where it belongs: loaded, superseded or quarantined."""

    def __init__(self, source: Source, result: DecodeResult, sink: TableSink) -> None:
        self.source = source
        self.result = result
        self.sink = sink
        self._rejects: list[tuple[int, str, str]] = []

    def settle(self, offset_seconds: int) -> None:
        """Write the rows and the rejects, and count everything."""
        kind = self.source.kind
        self.result.loaded += int(np.isin(kind, (100, 900)).sum())
        self._quarantine(np.flatnonzero(kind == 0), "unknown_record")
        structure = read_structure(self.source, offset_seconds)
        self._settle_intervals(structure, offset_seconds)
        self._settle_registers(offset_seconds)
        for row, rule, reason in sorted(self._rejects):
            line = int(self.source.lines.line_no[row])
            reject = Reject(line, int(self.source.offset[row]), self.source.raw(row), rule, reason)
            self.result.reject(self.sink, reject)

    def _settle_intervals(self, structure: Structure, offset_seconds: int) -> None:
        days, ranges, channels = structure.days, structure.ranges, structure.channels
        self._quarantine_broken(channels.rows, channels.rules.name)
        self.result.loaded += int(channels.rules.is_ok.sum())
        state = np.zeros(len(days.rows), dtype=np.int8)  # 0 loaded, 1 superseded, 2 quarantined
        if len(days.rows):
            reads = IntervalReads(self.source, structure, offset_seconds)
            superseded = reads.superseded()
            for batch, count in reads.batches(np.flatnonzero(days.rules.is_ok & ~superseded)):
                self.result.write(self.sink, "interval_reads", batch)
                self.result.loaded += count
            self.result.superseded += int(superseded.sum())
            state[superseded] = 1
            state[~days.rules.is_ok] = 2
            self._quarantine_days(structure, reads)
        ranges.rules.fail(
            np.flatnonzero((ranges.owner >= 0) & (_state_of(state, ranges.owner) == 2)), "parent_quarantined"
        )
        self._settle_children(ranges.rows, ranges.owner, state, ranges.rules.name)
        rules = np.full(len(structure.events), "", dtype=object)
        rules[structure.event_owner < 0] = "orphan"
        rules[(structure.event_owner >= 0) & (_state_of(state, structure.event_owner) == 2)] = (
            "parent_quarantined"
        )
        self._settle_children(structure.events, structure.event_owner, state, rules)

    def _settle_children(
        self, rows: Ints, owner: Ints, state: npt.NDArray[np.int8], rules: npt.NDArray[np.object_]
    ) -> None:
        self._quarantine_broken(rows, rules)
        fine = rules == ""
        gone = fine & (_state_of(state, owner) == 1)
        self.result.superseded += int(gone.sum())
        self.result.loaded += int((fine & ~gone).sum())

    def _settle_registers(self, offset_seconds: int) -> None:
        registers = RegisterReads(self.source, offset_seconds)
        superseded = registers.superseded()
        kept = registers.rules.is_ok & ~superseded
        self.result.write(self.sink, "register_reads", registers.batch(kept))
        self._quarantine_broken(registers.rows, registers.rules.name)
        state = np.where(superseded, 1, np.where(kept, 0, 2)).astype(np.int8)
        self.result.loaded += int(kept.sum())
        self.result.superseded += int(superseded.sum())
        details = np.flatnonzero(self.source.kind == 550)
        owner = np.searchsorted(registers.rows, details) - 1
        rules = np.full(len(details), "", dtype=object)
        rules[owner < 0] = "orphan"
        rules[(owner >= 0) & (_state_of(state, owner) == 2)] = "parent_quarantined"
        self._settle_children(details, owner, state, rules)

    def _quarantine_days(self, structure: Structure, reads: IntervalReads) -> None:
        days = structure.days
        for index in np.flatnonzero(~days.rules.is_ok):
            rule = str(days.rules.name[index])
            count = int(structure.channels.count[days.owner[index]]) if days.owner[index] >= 0 else 0
            if rule == "field_count":
                found = int(days.field_count[index])
                reason = f"{found} fields, where {count} intervals a day need {count + 3} to {count + 7}"
            elif rule == "bad_value":
                place = int(reads.wrong_value[index])
                reason = f"value {place} of {count} is not a number of at least 0 with at most 6 decimals"
            else:
                reason = _REASONS[rule]
            self._rejects.append((int(days.rows[index]), rule, reason))

    def _quarantine_broken(self, rows: Ints, rules: npt.NDArray[np.object_]) -> None:
        for index in np.flatnonzero(rules != ""):
            rule = str(rules[index])
            default = "the number of fields or one of the values is not that of the record"
            self._rejects.append((int(rows[index]), rule, _REASONS.get(rule, default)))

    def _quarantine(self, rows: Ints, rule: str) -> None:
        self._rejects += [(int(row), rule, _REASONS[rule]) for row in rows]


def _state_of(state: npt.NDArray[np.int8], owner: Ints) -> npt.NDArray[np.int8]:
    """The state of each child's owner; quarantined where it has none."""
    if not len(state):
        return np.full(len(owner), 2, dtype=np.int8)
    return np.where(owner >= 0, state[owner], np.int8(2))


FORMAT = Format(
    name="nem12",
    version="1",
    description="AEMO NEM12 interval and NEM13 accumulation meter data",
    decode=decode,
    schema=schema,
    settings=Nem12Settings,
)
