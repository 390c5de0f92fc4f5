"""ANSI X12: 867 usage, 814 service requests, 997 acknowledgements; the account of one file.

Belongs here: the walk through the blocks of a file and which reader takes which transaction set. Does not
belong here: delimiters and dates (``syntax``), codes and settings (``codes``), the sets themselves
(``usage``, ``services``, ``acknowledgements``).

A physical record is a segment. What is taken and what is not:

- Counts and control numbers of SE, GE and IEA are the control totals: one that is wrong refuses the file. A
  file may hold several interchanges, each with the delimiters of its own ISA.
- 867: a QTY with the end of an interval behind it (DTM*582) is an interval read, any other one a register
  read over the period of its loop, with the dial reads of its MEA segments; it stands or falls with what is
  behind it. Multipliers are never applied: QTY comes multiplied, dial reads do not. A cancelling 867 (BPT01
  of 01) withdraws values: its reads have flag N and no value.
- 814: one row of ``service_requests`` a LIN, with its action (ASI), status and reasons (REF*7G).
- 997, 999, TA1: one row of ``acknowledgements`` an answer.
- A transaction set that is none of these goes to quarantine whole, an unknown segment alone.
- ``updated_at`` is the time of the group (GS04, GS05). Dates are midnights of the setting ``time_zone``.
"""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.formats.base import DecodeResult, Format, Settings, TableSink
from connectors.formats.columns import TIMESTAMP
from connectors.formats.reads import INTERVAL_READS, REGISTER_READS
from connectors.formats.segments.account import Verdicts
from connectors.formats.segments.scan import Segments
from connectors.formats.segments.stream import read_segments
from connectors.formats.segments.times import timestamps
from connectors.formats.segments.trail import Trail
from connectors.formats.text_lines import Ints
from connectors.formats.x12.acknowledgements import read_acknowledgements, read_interchange_acknowledgements
from connectors.formats.x12.block import ENVELOPE, KNOWN, REASONS, TAGS, Block
from connectors.formats.x12.codes import ACKNOWLEDGEMENTS, SERVICE_REQUESTS, Codes, X12Settings
from connectors.formats.x12.services import Services
from connectors.formats.x12.syntax import X12Syntax, envelope, read_times
from connectors.formats.x12.usage import OPENERS, Usage

_SETS = ("", *KNOWN)
_KNOWN_TAGS = [np.array([TAGS[tag] for tag in KNOWN.get(name, ())]) for name in _SETS]
_ENVELOPE_TAGS = [TAGS[tag] for tag in ENVELOPE]
_USAGE_TAGS = [TAGS[tag] for tag in OPENERS]


def schema(settings: Settings) -> dict[str, pa.Schema]:
    """Interval and register reads (867), service requests (814), acknowledgements (997)."""
    Codes(settings)
    return {
        "interval_reads": INTERVAL_READS,
        "register_reads": REGISTER_READS,
        "service_requests": SERVICE_REQUESTS,
        "acknowledgements": ACKNOWLEDGEMENTS,
    }


def decode(stream: BinaryIO, settings: Settings, sink: TableSink, name: str) -> DecodeResult:
    """Decode one file; see :func:`connectors.formats.decode`."""
    codes, result, checks = Codes(settings), DecodeResult(), envelope(name)
    walk = _Walk(codes, result, sink)
    for segments in read_segments(stream, X12Syntax(), walk.whole, name):
        is_inside = checks.take(segments)
        walk.take(segments, np.flatnonzero(is_inside))
    result.control_totals = checks.finish()
    return result


class _Walk:
    """What holds along the file, carried from block to block."""

    def __init__(self, codes: Codes, result: DecodeResult, sink: TableSink) -> None:
        self.codes = codes
        self.result = result
        self.sink = sink
        self._set = Trail(pa.int64())
        self._last_set = -1
        self._sender, self._receiver, self._control_number = (Trail(pa.string()) for _ in range(3))
        self._sent_at = Trail(TIMESTAMP)
        self._usage, self._services = Usage(codes), Services(codes)

    def whole(self, segments: Segments) -> int:
        """Whole transactions, but of an 867 also part of one, up to a quantity, and any of an unknown one."""
        kind = TAGS.of(segments)
        edges = np.flatnonzero(np.isin(kind, _ENVELOPE_TAGS))
        count = int(edges[-1]) if len(edges) else 0
        heads = np.flatnonzero(kind == TAGS["ST"])
        current = self._sets_of(segments, heads[-1:])[0] if len(heads) else self._last_set
        if current == 0:
            return len(segments)
        if current == _SETS.index("867"):
            inner = np.flatnonzero(np.isin(kind, _USAGE_TAGS))
            count = int(inner[-1]) if len(inner) else 0
        return count

    def take(self, segments: Segments, inside: Ints) -> None:
        """Account for one block and write its rows."""
        block = self._block(segments)
        within = {name: inside[block.set[inside] == index] for index, name in enumerate(_SETS)}
        block.verdicts.fail(within[""], "unknown_set")
        for name, tags in zip(_SETS[1:], _KNOWN_TAGS[1:], strict=True):
            rows = within[name]
            block.verdicts.fail(rows[~np.isin(block.kind[rows], tags)], "unknown_segment")
        batches = read_interchange_acknowledgements(block, np.flatnonzero(block.kind == TAGS["TA1"]))
        batches += self._usage.read(block, within["867"])
        batches += self._services.read(block, within["814"])
        batches += read_acknowledgements(block, np.union1d(within["997"], within["999"]))
        for table, batch in batches:
            self.result.write(self.sink, table, batch)
        block.verdicts.settle(self.result, self.sink, segments, TAGS)

    def _block(self, segments: Segments) -> Block:
        count, kind = len(segments), TAGS.of(segments)
        every = np.arange(count)
        heads, groups = np.flatnonzero(kind == TAGS["ST"]), np.flatnonzero(kind == TAGS["GS"])
        begins = np.flatnonzero(kind == TAGS["ISA"])
        sets = self._sets_of(segments, heads)
        self._set.follow(heads, pa.array(sets), begins, count)
        self._last_set = int(sets[-1]) if len(sets) else self._last_set
        self._control_number.follow(heads, segments.element_text(heads, 2), begins, count)
        self._sender.follow(groups, segments.element_text(groups, 2), begins, count)
        self._receiver.follow(groups, segments.element_text(groups, 3), begins, count)
        # The eighth element stands where a time code would: it is none of this segment.
        utc, _, bad = read_times(segments, groups, self.codes.time_zone, (4, 5, 9))
        self._sent_at.follow(groups, timestamps(utc, bad), begins, count)
        verdicts = Verdicts(count, REASONS)
        verdicts.fail(groups[bad], "bad_time")
        return Block(
            segments, kind, pc.fill_null(self._set.at(every), -1).to_numpy(), verdicts,
            self._sender, self._receiver, self._sent_at, self._control_number,
        )  # fmt: skip

    def _sets_of(self, segments: Segments, heads: Ints) -> Ints:
        """Which transaction set each ST begins, 0 for an unknown one."""
        return np.maximum(segments.equals(heads, _SETS[1:], 1) + 1, 0)


FORMAT = Format(
    name="x12",
    version="1",
    description="ANSI X12 867 usage, 814 service requests and 997 acknowledgements",
    decode=decode,
    schema=schema,
    settings=X12Settings,
)
"""Registered as ``x12``."""
