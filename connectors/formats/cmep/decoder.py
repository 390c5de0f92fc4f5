"""CMEP files: one MEPMD01 record a line, each with its meter, its channel and any number of readings.

Belongs here: the account of one file. Does not belong here: leading fields (``heads``), readings
(``triplets``), corrections within the file (``overlaps``), the check against dials (``control``).

What is taken and what is not:

- A physical record is a line with something on it. It stands or falls as a whole: one wrong triplet puts its
  record into quarantine, as the number of fields that is not 14 + 3 × count does.
- Amounts of less than a day become ``interval_reads``; amounts of days and months, and reads of dials
  (units that end in ``REG``), become ``register_reads``.
- Values are multiplied by the calculation constant, which is 1 nearly everywhere, unless the site says that
  its sender has done so. What is then not exact to six decimals of the stored unit is a reject.
- Quality ``N`` has no value, whatever stands there. Times ascend within a record; an empty one is the one
  before and the interval. Where times are local, the second pass of autumn's repeated hour is told by order.
- Of two reads of one moment in a file the later time stamp wins, then the later line, but a read that failed
  never replaces one that did not. A record left without a read is superseded.
- ``register_id`` is commodity and unit (``E_KWH``), the same for a dial and its amounts of less than a day;
  longer amounts carry their interval (``E_KWH/00010000``). The agreement of dial and amounts is the control
  total ``register_delta``. It is told and does not refuse: an exchanged meter, a dial that passed
  zero and an estimate break it rightly, so a meter's day is judged by validation, which knows of these.
- CMEP has no trailer. A file cut between two lines looks whole; one cut within a line has a last line without
  line end, which goes to quarantine.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from connectors.formats.base import DecodeResult, Format, RefusedFile, Reject, Settings, TableSink
from connectors.formats.cmep.control import RegisterDeltas
from connectors.formats.cmep.heads import CODE, REASONS, RULES, Heads
from connectors.formats.cmep.index import (
    CHUNK_BYTES,
    Index,
    read_index,
    read_run,
    read_scattered,
    rereadable,
)
from connectors.formats.cmep.overlaps import resolve
from connectors.formats.cmep.settings import CmepSettings, checked
from connectors.formats.cmep.triplets import Triplets, read_triplets, rows_of
from connectors.formats.local_time import zone
from connectors.formats.reads import INTERVAL_READS, REGISTER_READS
from connectors.formats.text_lines import Ints


def schema(settings: Settings) -> dict[str, pa.Schema]:
    """Amounts of less than a day, and everything else."""
    checked(settings)
    return {"interval_reads": INTERVAL_READS, "register_reads": REGISTER_READS}


def decode(stream: BinaryIO, settings: Settings, sink: TableSink, name: str) -> DecodeResult:
    """Decode one file; see :func:`connectors.formats.decode`. Refused is only a file without a record."""
    dialect = checked(settings)
    result = DecodeResult()
    with rereadable(stream) as source:
        index = read_index(source, name, dialect, zone(dialect.time_zone))
        if not len(index):
            raise RefusedFile(f"{name}: is empty")
        account = _Account(source, index, dialect, result, sink)
        account.settle()
        account.close()
    return result


class _Account:
    """Takes every record of a file to where it belongs: loaded, superseded or quarantined."""

    def __init__(
        self, source: BinaryIO, index: Index, settings: CmepSettings, result: DecodeResult, sink: TableSink
    ) -> None:
        self.source, self.index, self.settings = source, index, settings
        self.result, self.sink = result, sink
        self.place = zone(settings.time_zone)
        self.deltas = RegisterDeltas()

    def settle(self) -> None:
        """Write the rows and the rejects, and count everything."""
        self.result.records_read = len(self.index)
        cluster, self.paired = self.index.overlapping()
        alone = cluster < 0
        if self.index.heads is not None and alone.all():
            low = 0
            for heads in self.index.heads:
                self._take(np.arange(low, low + len(heads.rule)), heads)
                low += len(heads.rule)
            return
        for lines in self.index.runs(alone):
            data, start, end = read_run(self.source, self.index, lines)
            # Those of a cluster wait for it.
            wanted = alone[lines]
            self._take(lines[wanted], Heads(data, start[wanted], end[wanted], self.settings))
        for lines in _clusters(cluster, self.index.length):
            data, start, end = read_scattered(self.source, self.index, lines)
            self._take_together(lines, Heads(data, start, end, self.settings))

    def close(self) -> None:
        """Compare what has been noted of dials and amounts."""
        if total := self.deltas.total():
            self.result.control_totals.append(total)

    def _take(self, lines: Ints, heads: Heads) -> None:
        """Records that overlap with no other."""
        self._mark_truncated(lines, heads)
        numbers = self.index.line_no[lines].astype(np.int64)
        for triplets in read_triplets(heads, self.settings, self.place):
            self._note(triplets, heads, lines, np.ones(len(triplets.rows), dtype=bool))
            self.result.write(self.sink, *rows_of(triplets, heads, self.settings, numbers))
        self._count(heads, lines, np.zeros(0, dtype=np.int64))

    def _take_together(self, lines: Ints, heads: Heads) -> None:
        """Whole clusters of records that overlap."""
        self._mark_truncated(lines, heads)
        numbers = self.index.line_no[lines].astype(np.int64)
        found = list(read_triplets(heads, self.settings, self.place))
        batches = [rows_of(triplets, heads, self.settings, numbers) for triplets in found]
        superseded = np.zeros(0, dtype=np.int64)
        if batches:
            resolved = resolve(batches)
            superseded = resolved.superseded
            for triplets, (table, batch), kept in zip(found, batches, resolved.kept, strict=True):
                by_record = kept.reshape(triplets.at.shape)
                # A record that lost some of its reads no longer has the sum of its interval.
                self._note(triplets, heads, lines, np.asarray(by_record.all(axis=1)))
                self.result.write(self.sink, table, batch.filter(pa.array(kept)))
        self._count(heads, lines, superseded)

    def _mark_truncated(self, lines: Ints, heads: Heads) -> None:
        if not self.index.is_ended and self.settings.final_line_end == "required":
            heads.rule[lines == len(self.index) - 1] = CODE["truncated"]

    def _note(self, triplets: Triplets, heads: Heads, lines: Ints, kept: npt.NDArray[np.bool_]) -> None:
        kept = kept & self.paired[lines[triplets.rows]]
        if kept.any():
            channel = heads.channel_keys()[triplets.rows]
            self.deltas.add(triplets, channel, heads.constant[triplets.rows], kept)

    def _count(self, heads: Heads, lines: Ints, superseded: Ints) -> None:
        self.result.add_type("MEPMD01", int((heads.rule != CODE["other_record"]).sum()))
        self.result.add_type("other", int((heads.rule == CODE["other_record"]).sum()))
        self.result.superseded += len(superseded)
        self.result.loaded += int((heads.rule == 0).sum()) - len(superseded)
        for row in np.flatnonzero(heads.rule):
            rule = RULES[heads.rule[row]]
            line = int(lines[row])
            raw = heads.data[int(heads.start[row]) : int(heads.end[row])].tobytes()
            number, offset = int(self.index.line_no[line]), int(self.index.offset[line])
            self.result.reject(self.sink, Reject(number, offset, raw, rule, REASONS[rule]))


def _clusters(cluster: npt.NDArray[np.int32], length: npt.NDArray[np.int32]) -> Iterator[Ints]:
    """Lines of clusters, each cluster whole and its lines in order, several clusters up to a bounded size."""
    lines = np.flatnonzero(cluster >= 0)
    lines = lines[np.argsort(cluster[lines], kind="stable")]
    if not len(lines):
        return
    edges = np.flatnonzero(np.diff(cluster[lines])) + 1
    volume = np.cumsum(length[lines], dtype=np.int64)
    low = 0
    while low < len(lines):
        limit = (int(volume[low - 1]) if low else 0) + CHUNK_BYTES
        reached = int(np.searchsorted(volume, limit, side="right"))
        fitting = edges[(edges > low) & (edges <= reached)]
        behind = edges[edges > low]
        high = int(fitting[-1]) if len(fitting) else int(behind[0]) if len(behind) else len(lines)
        yield lines[low:high]
        low = high


FORMAT = Format(
    name="cmep",
    version="1",
    description="California Metering Exchange Protocol, MEPMD01 records",
    decode=decode,
    schema=schema,
    settings=CmepSettings,
)
