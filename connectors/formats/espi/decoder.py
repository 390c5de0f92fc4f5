"""Green Button usage data (NAESB REQ.21 ESPI, Atom XML): interval reads, their costs, usage summaries.

Belongs here: the account of one file. Does not belong here: elements (``feed``, ``columns``), what
belongs to what (``links``), codes (``codes``), values (``connectors.formats.meter_xml``).

What a record is, and what becomes of it:

- Records are each IntervalReading, each resource (UsagePoint, MeterReading, ReadingType, IntervalBlock,
  LocalTimeParameters, usage summary) wherever it stands, any other element directly in an entry's content,
  and an entry that holds none of these. A resource is loaded when it is understood; it makes rows only as a
  reading or as a summary. Known resources that say nothing of usage are loaded and counted by type.
- A resource that is broken or belongs to nothing goes to quarantine with all that hangs on it; a reading
  without a time, with a value that does not fit or an unknown quality goes alone.
- A reading's value is its number times ``10^powerOfTenMultiplier`` in ``uom``; without a number it is a read
  without a value (``N``). A reading without a time period is the n-th ``intervalLength`` of its block.
- ``accumulationBehaviour`` 1, 3 and 9 are dials: each reading is a row of ``register_reads``, and of
  ``interval_reads`` by its difference to the one before (``meter_xml.settle`` says when there is one). All
  others are values of their interval.
- Readings of a register that begin at one time are compared, never collapsed: the newer ``updated`` of their
  entries supersedes, equals count once, the rest is quarantined.
- A block's declared interval is no control total, since real custodians declare one that their readings do
  not fill, and nothing is lost by it; ``check_block_interval`` makes it one for those that do.
- Starts are UTC, so LocalTimeParameters are checked and counted, and shift nothing: many have the wrong sign.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from connectors.formats.base import (
    DecodeResult,
    Format,
    Reject,
    Settings,
    TableSink,
    parse_settings,
)
from connectors.formats.columns import BoolMask
from connectors.formats.espi.columns import BLOCK, READING, RUNS
from connectors.formats.espi.feed import (
    EMPTY_ENTRY,
    LOCAL_TIME,
    OTHER_RESOURCES,
    SUMMARIES,
    Block,
    Feed,
    Resource,
    tag_of,
)
from connectors.formats.espi.links import REASONS, Links
from connectors.formats.espi.settings import EspiSettings
from connectors.formats.espi.summaries import summary_batch
from connectors.formats.meter_xml.emit import INTERVAL_COSTS, Emitter, reject_of, worst_flag
from connectors.formats.meter_xml.pending import LATEST, MICROSECONDS, MOST_SECONDS, NONE, Columns, Pending
from connectors.formats.meter_xml.rules import BAD_SECONDS, BAD_TIME, FINE, FRACTIONAL, PARENT
from connectors.formats.meter_xml.settle import Holders, Resolver, Series
from connectors.formats.meter_xml.stream import Source, read_xml
from connectors.formats.reads import INTERVAL_READS, REGISTER_READS
from connectors.formats.text_lines import Ints

_MOST_OFFSET = 14 * 3600


def schema(settings: Settings) -> dict[str, pa.Schema]:
    """Interval reads, what they cost, and dials and summaries as register reads."""
    parse_settings(EspiSettings, "espi", settings)
    return {
        "interval_reads": INTERVAL_READS,
        "interval_costs": INTERVAL_COSTS,
        "register_reads": REGISTER_READS,
    }


def decode(stream: BinaryIO, settings: Settings, sink: TableSink, name: str) -> DecodeResult:
    """Decode one file; see :func:`connectors.formats.decode`."""
    chosen = parse_settings(EspiSettings, "espi", settings)
    with Source(stream) as source, Pending() as pending:
        feed = Feed(pending)
        read_xml(source, name, feed, tag_of, runs=RUNS)
        feed.finish(name)
        result = DecodeResult(records_read=feed.records)
        _Account(source, feed, pending, chosen, result, sink).settle()
        return result


class _Account:
    """Takes every record of a feed to where it belongs."""

    def __init__(
        self,
        source: Source,
        feed: Feed,
        pending: Pending,
        settings: EspiSettings,
        result: DecodeResult,
        sink: TableSink,
    ) -> None:
        self._source = source
        self._feed = feed
        self._pending = pending
        self._settings = settings
        self._result = result
        self._sink = sink

    def settle(self) -> None:
        """Write the rows and the rejects, and count everything."""
        feed = self._feed
        links = Links(feed, self._settings)
        block_series = links.block_series(feed.blocks)
        flags = [worst_flag(text, self._settings.flags().get) for text in feed.qualities.texts]
        known = np.array([flag is not None for flag in flags])
        updated = np.array([block.updated for block in feed.blocks], dtype=np.int64)
        holders = Holders(block_series, np.full(len(block_series), PARENT, dtype=np.int8), updated)
        resolver = _Resolver(links.series, holders, known, feed, self._settings)
        if self._settings.check_block_interval:
            for number in resolver.uneven(self._pending.batches):
                links.rules.setdefault(feed.blocks[number].record_no, "block_interval")
                block_series[number] = -1
        self._settle_resources(links)
        self._result.add_type(READING, feed.readings)
        own_flags = [flag or "" for flag in flags]
        emitter = Emitter(self._result, self._sink, resolver, own_flags, feed.qualities.texts)
        emitter.emit(self._pending.batches, self._reject_reading, costs=True)

    def _reject_reading(self, record_no: int, offset: int, rule: int) -> None:
        self._result.reject(self._sink, reject_of(self._source, record_no, offset, rule))

    def _settle_resources(self, links: Links) -> None:
        feed, result = self._feed, self._result
        summaries = []
        for resource in feed.resources:
            result.add_type(resource.kind, 1)
            if resource.kind == LOCAL_TIME and not _is_offset(resource):
                links.rules[resource.record_no] = "bad_offset"
            elif resource.kind in SUMMARIES:
                point, rule = links.service_point_of(resource)
                if rule:
                    links.rules[resource.record_no] = rule
                else:
                    summaries.append((resource, point))
        batch, wrong = summary_batch(summaries)
        result.write(self._sink, "register_reads", batch)
        links.rules |= dict.fromkeys(wrong, "bad_summary")
        result.add_type(BLOCK, len(feed.blocks))
        found: list[Resource | Block] = [*feed.resources, *feed.blocks]
        for one in found:
            self._settle_record(one.record_no, one.offset, links.rules.get(one.record_no, ""))
        for record_no, offset, tag in feed.unknown:
            is_known = tag in OTHER_RESOURCES or tag.startswith("customer:")
            rule = "" if is_known else tag if tag == EMPTY_ENTRY else "unknown_resource"
            result.add_type(tag.removeprefix("customer:") if is_known else rule, 1)
            self._settle_record(record_no, offset, rule)

    def _settle_record(self, record_no: int, offset: int, rule: str) -> None:
        if not rule:
            self._result.loaded += 1
            return
        raw = self._source.element(offset, READING.encode())
        self._result.reject(self._sink, Reject(record_no, offset, raw, rule, REASONS[rule]))


class _Resolver(Resolver):
    """Finds the time of a reading in its time period, or by its place in its block."""

    def __init__(
        self,
        series: list[Series],
        holders: Holders,
        known: BoolMask,
        feed: Feed,
        settings: EspiSettings,
    ) -> None:
        super().__init__(series, holders, known)
        self._feed = feed
        self._keeps_fractions = settings.fractional_seconds == "keep"
        self._declared: tuple[Ints, Ints, Ints] | None = None

    def times(
        self, columns: Columns, series: npt.NDArray[np.int32], rule: npt.NDArray[np.int8]
    ) -> tuple[Ints, Ints]:
        """See :class:`Resolver`."""
        start, seconds = columns["time"].astype(np.int64), columns["seconds"].astype(np.int64)
        missing = (rule == FINE) & (seconds == NONE)
        seconds[missing] = self.seconds[series[missing]]
        rule[missing & (seconds == NONE)] = BAD_SECONDS
        missing = np.flatnonzero((rule == FINE) & (start == NONE))
        if len(missing):
            begins, _, first = self._blocks()
            holder = columns["holder"][missing]
            place = columns["record_no"][missing] - first[holder] - 1
            start[missing] = np.where(
                begins[holder] == NONE, NONE, begins[holder] + place * seconds[missing] * MICROSECONDS
            )
            rule[missing[start[missing] == NONE]] = BAD_TIME
        if not self._keeps_fractions:
            rule[(rule == FINE) & (start % MICROSECONDS != 0)] = FRACTIONAL
        return start, seconds

    def uneven(self, batches: Callable[[], Iterator[Columns]]) -> list[int]:
        """Blocks that declare an interval which their readings do not begin, end or fill."""
        begins, ends, _ = self._blocks()
        first = np.full(len(begins), np.iinfo(np.int64).max)
        last = np.full(len(begins), NONE, dtype=np.int64)
        filled = np.zeros(len(begins), dtype=np.int64)
        for columns in batches():
            resolved = self.resolve(columns)
            rows = np.flatnonzero(resolved.rule == FINE)
            holder, start = columns["holder"][rows], resolved.start[rows]
            length = resolved.seconds[rows] * MICROSECONDS
            np.minimum.at(first, holder, start)
            np.maximum.at(last, holder, start + length)
            np.add.at(filled, holder, length)
        wrong = (begins != NONE) & (ends != NONE) & (filled > 0)
        wrong &= (first != begins) | (last != ends) | (filled != ends - begins)
        return [int(number) for number in np.flatnonzero(wrong)]

    def _blocks(self) -> tuple[Ints, Ints, Ints]:
        """Declared start and end of every block (``NONE``: none), and its record number."""
        if self._declared is None:
            start, seconds = np.array(self._feed.block_start), np.array(self._feed.block_seconds)
            unknown = (start == NONE) | (start > LATEST // MICROSECONDS)
            begins = np.where(unknown, NONE, np.where(unknown, 0, start) * MICROSECONDS)
            unknown |= (seconds == NONE) | (seconds > MOST_SECONDS)
            ends = np.where(unknown, NONE, begins + np.where(unknown, 0, seconds) * MICROSECONDS)
            numbers = np.array([one.record_no for one in self._feed.blocks], dtype=np.int64)
            self._declared = (begins, ends, numbers)
        return self._declared


def _is_offset(resource: Resource) -> bool:
    text = resource.fields.get("tzOffset", "0") or "0"
    try:
        return abs(int(text)) <= _MOST_OFFSET
    except ValueError:
        return False


FORMAT = Format(
    name="espi",
    version="1",
    description="Green Button usage data (NAESB ESPI)",
    decode=decode,
    schema=schema,
    settings=EspiSettings,
)
