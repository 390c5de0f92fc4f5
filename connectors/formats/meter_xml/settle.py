"""Which reading of a register counts where several speak of one time, and what a running dial has moved.

Belongs here: the series that readings belong to, exact scaling, duplicates, corrections, differences. Does
not belong here: how a format finds the series of a reading; rows (``emit``).

- Readings of one series that begin at one time: the newest counts and the others are superseded; equal ones
  count once; where several are newest and disagree, in value or duration, all of them go to quarantine.
- A cumulative series is a dial read at the end of each interval. The difference to the reading before is the
  interval's value where that one ends exactly where this one begins, and where the dial has not fallen (a net
  dial may). The first reading, one behind a gap, and one of a dial that was reset or exchanged have none.

Series whose readings come in order, each beginning where or after the last has ended, need neither: only keys
of the others are held in memory.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from connectors.formats.columns import BoolMask
from connectors.formats.meter_xml.pending import MICROSECONDS, NONE, Columns
from connectors.formats.meter_xml.rules import BAD_VALUE, FINE, UNKNOWN_QUALITY
from connectors.formats.reads import SCALE
from connectors.formats.text_lines import Ints

AS_IS, CUMULATIVE, DIAL, QUANTITY = range(4)
"""What a series holds: values of intervals; a dial at the end of intervals; a dial at times; quantities."""
KEPT, SUPERSEDED, CONFLICTING = range(3)
_LARGEST = 10**18 - 1
_AT_A_TIME = 1_000_000
_Codes = npt.NDArray[np.int8]


@dataclass
class Series:
    """One register of one service point, in one unit.

    ``exponent`` is the power of ten from the numbers in the file to ``unit``, ``quality`` the code that holds
    where a reading gives none.
    """

    service_point: str
    register: str
    meter: str | None
    direction: str
    unit: str
    exponent: int
    kind: int = AS_IS
    may_fall: bool = False
    quality: str = ""
    currency: str | None = None
    seconds: int = NONE


@dataclass(frozen=True)
class Resolved:
    """Readings with their series (-1: none); ``value`` is unscaled in the stored unit, ``NONE`` for null."""

    series: npt.NDArray[np.int32]
    start: Ints
    seconds: Ints
    value: Ints
    rule: _Codes


@dataclass
class Verdicts:
    """What became of the readings that had to be compared; sorted by record number when asked."""

    record_no: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    state: _Codes = field(default_factory=lambda: np.zeros(0, dtype=np.int8))
    moved: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def of(self, record_no: Ints) -> tuple[_Codes, Ints]:
        """State and difference of records; those that were not compared are kept and have no difference."""
        state = np.zeros(len(record_no), dtype=np.int8)
        moved = np.full(len(record_no), NONE, dtype=np.int64)
        if len(self.record_no):
            place = np.minimum(np.searchsorted(self.record_no, record_no), len(self.record_no) - 1)
            found = self.record_no[place] == record_no
            state[found], moved[found] = self.state[place[found]], self.moved[place[found]]
        return state, moved


def rescale(values: Ints, exponents: Ints) -> tuple[Ints, BoolMask]:
    """``values * 10**exponents``, exact; and which do not come out whole or within 18 digits."""
    result = np.zeros(len(values), dtype=np.int64)
    bad = np.zeros(len(values), dtype=bool)
    for exponent in np.unique(exponents):
        rows = slice(None) if (exponents == exponent).all() else np.flatnonzero(exponents == exponent)
        part = values[rows]
        power = 10 ** min(abs(int(exponent)), 18)
        if exponent >= 0:
            wrong = np.abs(part) > (_LARGEST // power if exponent <= 18 else 0)
            result[rows] = np.where(wrong, 0, part) * np.int64(power)
        else:
            whole, rest = np.divmod(part, power)
            wrong = (rest != 0) | ((part != 0) if exponent < -18 else np.zeros(len(part), dtype=bool))
            result[rows] = whole
        bad[rows] = wrong
    return result, bad


@dataclass(frozen=True)
class Holders:
    """What readings stand in, by number: their series (-1: none, and then the rule of their readings).

    And when it was last changed (``NONE``: not said).
    """

    series: npt.NDArray[np.int32]
    rule: _Codes
    updated: Ints


class Resolver(ABC):
    """Turns pending readings into resolved ones; a format says how it finds their times."""

    def __init__(self, series: list[Series], holders: Holders, known: BoolMask) -> None:
        """``known`` is whether a quality is known, by its number."""
        self.series = series
        self._holders = holders
        self._known = known
        self._exponent = np.array([one.exponent for one in series], dtype=np.int64)
        self.kind = np.array([one.kind for one in series], dtype=np.int8)
        self.may_fall = np.array([one.may_fall for one in series], dtype=bool)
        self.seconds = np.array([one.seconds for one in series], dtype=np.int64)

    @abstractmethod
    def times(self, columns: Columns, series: npt.NDArray[np.int32], rule: _Codes) -> tuple[Ints, Ints]:
        """Start and seconds of readings whose series are given; sets their rule where they have none."""

    def updated(self, columns: Columns, rows: Ints) -> Ints:
        """When readings were last changed: as they say, or what they stand in."""
        own = columns["updated"][rows]
        return np.where(own != NONE, own, self._holders.updated[columns["holder"][rows]])

    def resolve(self, columns: Columns) -> Resolved:
        """Series, times and values of one batch, each with the first rule it breaks."""
        rule = columns["rule"].astype(np.int8)
        holder = columns["holder"]
        series = np.full(len(rule), -1, dtype=np.int32)
        inside = holder >= 0
        series[inside] = self._holders.series[holder[inside]]
        lost = (series < 0) & inside
        rule[lost] = self._holders.rule[holder[lost]]
        start, seconds = np.zeros(len(rule), dtype=np.int64), np.zeros(len(rule), dtype=np.int64)
        value = np.full(len(rule), NONE, dtype=np.int64)
        rows = np.flatnonzero(series >= 0)
        if len(rows):
            chosen = {name: column[rows] for name, column in columns.items()}
            its_rule, its_series = rule[rows], series[rows]
            start[rows], seconds[rows] = self.times(chosen, its_series, its_rule)
            given = np.flatnonzero(chosen["value"] != NONE)
            exponent = self._exponent[its_series[given]] + SCALE - chosen["shift"][given]
            scaled, bad = rescale(chosen["value"][given].astype(np.int64), exponent)
            value[rows[given]] = scaled
            its_rule[given[bad]] = np.where(its_rule[given[bad]] == FINE, BAD_VALUE, its_rule[given[bad]])
            unknown = ~self._known[chosen["quality"]] & (its_rule == FINE)
            its_rule[unknown] = UNKNOWN_QUALITY
            rule[rows] = its_rule
        return Resolved(series, start, seconds, value, rule)


def settle(batches: Callable[[], Iterator[Columns]], resolver: Resolver) -> Verdicts:
    """Compare readings of series that need it, some series at a time so that memory stays bounded."""
    late, counts = _survey(batches, resolver)
    wanted = np.flatnonzero((late | (resolver.kind == CUMULATIVE)) & (counts > 0))
    if not len(wanted):
        return Verdicts()
    found = []
    shares = np.cumsum(counts[wanted]) // _AT_A_TIME
    for share in np.unique(shares):
        chosen = np.zeros(len(resolver.series), dtype=bool)
        chosen[wanted[shares == share]] = True
        found.append(_compare(resolver, *_gather(batches, resolver, chosen)))
    record_no = np.concatenate([one.record_no for one in found])
    order = np.argsort(record_no)
    state = np.concatenate([one.state for one in found])[order]
    return Verdicts(record_no[order], state, np.concatenate([one.moved for one in found])[order])


def _gather(
    batches: Callable[[], Iterator[Columns]], resolver: Resolver, chosen: BoolMask
) -> tuple[Ints, Ints, Ints, Ints, Ints, Ints]:
    """Record number, series, start, seconds, value and time of change of the readings of some series."""
    parts: list[tuple[Ints, ...]] = []
    for columns in batches():
        resolved = resolver.resolve(columns)
        rows = np.flatnonzero(resolved.rule == FINE)
        rows = rows[chosen[resolved.series[rows]]]
        parts.append((
            columns["record_no"][rows], resolved.series[rows].astype(np.int64), resolved.start[rows],
            resolved.seconds[rows], resolved.value[rows], resolver.updated(columns, rows),
        ))  # fmt: skip
    record_no, series, start, seconds, value, updated = (
        np.concatenate(part) for part in zip(*parts, strict=True)
    )
    return record_no, series, start, seconds, value, updated


def _survey(batches: Callable[[], Iterator[Columns]], resolver: Resolver) -> tuple[BoolMask, Ints]:
    """By series: whether a reading begins before the one before it has ended; and how many there are."""
    late = np.zeros(len(resolver.series), dtype=bool)
    counts = np.zeros(len(resolver.series), dtype=np.int64)
    ended = np.full(len(resolver.series), NONE, dtype=np.int64)
    for columns in batches():
        resolved = resolver.resolve(columns)
        rows = np.flatnonzero(resolved.rule == FINE)
        if not len(rows):
            continue
        rows = rows[np.argsort(resolved.series[rows], kind="stable")]
        series, start = resolved.series[rows], resolved.start[rows]
        counts += np.bincount(series, minlength=len(counts))
        end = start + np.maximum(resolved.seconds[rows] * MICROSECONDS, 1)
        is_first = np.concatenate([[True], series[1:] != series[:-1]])
        before = np.concatenate([[NONE], end[:-1]])
        before[is_first] = ended[series[is_first]]
        late[series[start < before]] = True
        is_last = np.concatenate([is_first[1:], [True]])
        ended[series[is_last]] = end[is_last]
    return late, counts


def _compare(
    resolver: Resolver, record_no: Ints, series: Ints, start: Ints, seconds: Ints, value: Ints, updated: Ints
) -> Verdicts:
    if not len(record_no):
        return Verdicts()
    order = np.lexsort((record_no, updated, start, series))
    record_no, series, start = record_no[order], series[order], start[order]
    seconds, value, updated = seconds[order], value[order], updated[order]
    is_first = np.concatenate([[True], (series[1:] != series[:-1]) | (start[1:] != start[:-1])])
    first = np.flatnonzero(is_first)
    group = np.cumsum(is_first) - 1
    last = np.concatenate([first[1:], [len(group)]]) - 1
    newest = updated == updated[last][group]
    # Within a group the newest are the last ones; the first of these is the one to keep.
    state = np.full(len(group), SUPERSEDED, dtype=np.int8)
    chosen = np.flatnonzero(newest & ~np.concatenate([[False], newest[:-1] & (group[1:] == group[:-1])]))
    state[chosen] = KEPT
    disagrees = newest & (value != value[chosen][group])
    disagrees |= seconds != seconds[chosen][group]
    state[np.isin(group, group[disagrees])] = CONFLICTING
    moved = np.full(len(group), NONE, dtype=np.int64)
    rows = np.flatnonzero((state == KEPT) & (resolver.kind[series] == CUMULATIVE) & (value != NONE))
    if len(rows) > 1:
        here, there = rows[1:], rows[:-1]
        difference = value[here] - value[there]
        meets = (series[here] == series[there]) & (
            start[there] + seconds[there] * MICROSECONDS == start[here]
        )
        meets &= (difference >= 0) | resolver.may_fall[series[here]]
        moved[here[meets]] = difference[meets]
    return Verdicts(record_no, state, moved)
