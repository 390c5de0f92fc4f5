"""One stretch of a NEM12 file: every record to where it belongs, loaded, superseded or quarantined.

Belongs here: the account of a stretch. It needs nothing but its own bytes, the 200 record in force before
them and what the file says elsewhere about its days, so that stretches can be decoded side by side. Does not
belong here: what is said of a record (``structure``, ``reads``, ``accumulation``) or of the file (``survey``,
``decoder``).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from connectors.formats.base import Reject
from connectors.formats.columns import BoolMask
from connectors.formats.nem12.accumulation import NEVER, RegisterReads
from connectors.formats.nem12.corrections import Versions
from connectors.formats.nem12.lines import Source
from connectors.formats.nem12.reads import IntervalReads
from connectors.formats.nem12.rules import Rules, reason
from connectors.formats.nem12.structure import Days, Structure, child_owner, read_structure
from connectors.formats.text_lines import Ints

_LOADED, _SUPERSEDED, _QUARANTINED = np.int8(0), np.int8(1), np.int8(2)
States = npt.NDArray[np.int8]


@dataclass
class Account:
    """What became of the records of a stretch."""

    loaded: int = 0
    superseded: int = 0
    rejects: list[Reject] = field(default_factory=list)
    interval_reads: pa.RecordBatch | None = None
    register_reads: pa.RecordBatch | None = None


def decode_stretch(
    source: Source, offset_seconds: int, outdated_days: BoolMask, outdated_reads: BoolMask
) -> Account:
    """Rows, rejects and counts; the masks tell which 300 and 250 records another record replaces."""
    return _Settlement(source, offset_seconds).settle(outdated_days, outdated_reads)


def versions_in(
    source: Source,
    offset_seconds: int,
    twin_days: Ints,
    twin_reads: Ints,
    days_before: int,
    reads_before: int,
) -> tuple[Versions, Versions]:
    """Those of the 300 and 250 records at the given indexes that can be read, to be compared with twins."""
    structure = read_structure(source, offset_seconds)
    days, channels = structure.days, structure.channels
    wanted = np.zeros(len(days.rows), dtype=bool)
    wanted[twin_days] = True
    IntervalReads(source, structure, wanted & days.rules.is_ok)
    at = np.flatnonzero(wanted & days.rules.is_ok)
    owner = pa.array(days.owner[at])
    updated = np.where(days.has_updated[at], days.updated[at], NEVER)
    found = Versions(
        channels.service_point.take(owner), channels.register.take(owner), days.day[at], updated,
        at + days_before,
    )  # fmt: skip
    reads = RegisterReads(source, structure.fields, offset_seconds)
    at = twin_reads[reads.rules.is_ok[twin_reads]]
    index = pa.array(at)
    return found, Versions(
        reads.service_point.take(index), reads.register.take(index), reads.read_at[at], reads.updated[at],
        at + reads_before,
    )  # fmt: skip


class _Settlement:
    """Works out one account."""

    def __init__(self, source: Source, offset_seconds: int) -> None:
        self._source = source
        self._offset = offset_seconds
        self._account = Account()
        self._rejected: list[tuple[int, str, str]] = []

    def settle(self, outdated_days: BoolMask, outdated_reads: BoolMask) -> Account:
        kind, account = self._source.kind, self._account
        structure = read_structure(self._source, self._offset)
        account.loaded += int(((kind == 100) | (kind == 900)).sum())
        self._rejected += [
            (int(row), "unknown_record", reason("unknown_record")) for row in np.flatnonzero(kind == 0)
        ]
        self._settle_channels(structure)
        self._settle_days(structure, outdated_days)
        if ((kind == 250) | (kind == 550)).any():
            self._settle_reads(structure, outdated_reads)
        for row, rule, why in sorted(self._rejected):
            line, offset = int(self._source.lines.line_no[row]), int(self._source.offset[row])
            account.rejects.append(Reject(line, offset, self._source.raw(row), rule, why))
        return account

    def _settle_channels(self, structure: Structure) -> None:
        channels, inherited = structure.channels, self._source.inherited
        self._account.loaded += int(channels.rules.is_ok[inherited:].sum())
        self._rejected += [
            (int(channels.rows[index]), rule, reason(rule))
            for index, rule in channels.rules.broken()
            if index >= inherited
        ]

    def _settle_days(self, structure: Structure, outdated: BoolMask) -> None:
        days, ranges, account = structure.days, structure.ranges, self._account
        reads = IntervalReads(self._source, structure, days.rules.is_ok & ~outdated)
        if reads.day_count:
            account.interval_reads = reads.rows(self._offset)
        state = np.where(days.rules.is_ok, np.where(outdated, _SUPERSEDED, _LOADED), _QUARANTINED)
        account.loaded += reads.day_count
        account.superseded += int((state == _SUPERSEDED).sum())
        for index, rule in days.rules.broken():
            self._rejected.append((int(days.rows[index]), rule, _day_reason(days, reads, index, rule)))
        event_rules = Rules(len(structure.events))
        event_rules.fail(structure.event_owner < 0, "orphan")
        self._settle_children(ranges.rows, ranges.owner, state, ranges.rules)
        self._settle_children(structure.events, structure.event_owner, state, event_rules)

    def _settle_reads(self, structure: Structure, outdated: BoolMask) -> None:
        kind, account = self._source.kind, self._account
        reads = RegisterReads(self._source, structure.fields, self._offset)
        details = np.flatnonzero(kind == 550)
        kept = reads.rules.is_ok & ~outdated
        if kept.any():
            account.register_reads = reads.batch(kept)
        state = np.where(reads.rules.is_ok, np.where(outdated, _SUPERSEDED, _LOADED), _QUARANTINED)
        account.loaded += int(kept.sum())
        account.superseded += int((state == _SUPERSEDED).sum())
        self._rejected += [
            (int(reads.rows[index]), rule, reason(rule)) for index, rule in reads.rules.broken()
        ]
        owner = child_owner(reads.rows, np.flatnonzero((kind == 200) | (kind == 300)), details)
        rules = Rules(len(details))
        rules.fail(owner < 0, "orphan")
        self._settle_children(details, owner, state, rules)

    def _settle_children(self, rows: Ints, owner: Ints, state: States, rules: Rules) -> None:
        """Records that go the way of the one before them, unless they are wrong themselves."""
        of_owner = np.concatenate([state, [_QUARANTINED]])[owner]
        rules.fail((owner >= 0) & (of_owner == _QUARANTINED), "parent_quarantined")
        self._rejected += [(int(rows[index]), rule, reason(rule)) for index, rule in rules.broken()]
        self._account.superseded += int((rules.is_ok & (of_owner == _SUPERSEDED)).sum())
        self._account.loaded += int((rules.is_ok & (of_owner == _LOADED)).sum())


def _day_reason(days: Days, reads: IntervalReads, index: int, rule: str) -> str:
    count = int(days.count[index])
    if rule == "field_count":
        found = int(days.field_count[index])
        return f"{found} fields, where {count} intervals a day need {count + 3} to {count + 7}"
    if rule == "bad_value":
        place = int(reads.wrong_value[index])
        return f"value {place} of {count} is not a number of at least 0 with at most 6 decimals"
    return reason(rule)
