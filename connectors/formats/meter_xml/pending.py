"""Readings that wait for what governs them: in these formats the unit of a reading may come behind it.

Belongs here: keeping columns of readings in bounded memory (on disk beyond it), and texts → integers. Does
not belong here: what becomes of a reading (``settle``, ``emit``).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from connectors.formats.columns import BoolMask
from connectors.formats.digits import parse_scaled
from connectors.formats.meter_xml.rules import BAD_COST, BAD_SECONDS, BAD_TIME, BAD_VALUE
from connectors.formats.text_lines import Bytes, Ints

NONE = int(np.iinfo(np.int64).min)
"""Stands for a number that is not given."""
MICROSECONDS = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = 253_402_300_799 * MICROSECONDS  # the end of the year 9999
MOST_SECONDS = 2**31 - 1
_BATCH_ROWS = 1 << 17
_IN_MEMORY = 32 * 1024 * 1024
_MOST_QUALITIES = 1000

PENDING: dict[str, npt.DTypeLike] = {
    "record_no": np.int64,
    "offset": np.int64,
    "holder": np.int32,
    "time": np.int64,
    "seconds": np.int64,
    "value": np.int64,
    "shift": np.int8,
    "cost": np.int64,
    "currency": np.int16,
    "quality": np.int32,
    "updated": np.int64,
    "rule": np.int8,
}
"""Columns of readings.

``holder`` is the block they stand in (-1: none), ``value`` is scaled by ``10**shift``, ``currency`` is the
number of a currency that the reading itself gives (0: none), ``updated`` when it was changed, if it says so.
"""

Columns = dict[str, npt.NDArray[np.signedinteger]]
Spans = tuple[Ints, Ints]


class Qualities:
    """The codes of quality in a file, each with a number; texts beyond all measure count as one."""

    def __init__(self) -> None:
        self.texts: list[str] = [""]
        self._numbers: dict[str, int] = {"": 0}

    def number(self, text: str) -> int:
        """The number of a code; 0 for none."""
        found = self._numbers.get(text)
        if found is None:
            if len(text) > 64 or len(self.texts) >= _MOST_QUALITIES:
                text = "?"
            found = self._numbers.setdefault(text, len(self.texts))
            if found == len(self.texts):
                self.texts.append(text)
        return found


class Pending:
    """Batches of :data:`PENDING` columns, kept in memory up to a limit and on disk behind it."""

    def __init__(self) -> None:
        self._parts: list[Columns] = []
        self._rows = 0
        self._kept: list[pa.RecordBatch] = []
        self._bytes = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._writer: pa.RecordBatchStreamWriter | None = None

    def __enter__(self) -> Pending:
        return self

    def __exit__(self, *error: object) -> None:
        if self._writer is not None:
            self._writer.close()
        if self._folder is not None:
            self._folder.cleanup()

    def add(self, columns: Columns) -> None:
        """Keep rows; ``columns`` are all of :data:`PENDING`."""
        self._parts.append(columns)
        self._rows += len(columns["record_no"])
        if self._rows >= _BATCH_ROWS:
            self._flush()

    def batches(self) -> Iterator[Columns]:
        """All rows, in the order in which they were added; may be called again."""
        self._flush()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._folder is not None:
            with pa.OSFile(self._file(), "rb") as file, pa.ipc.open_stream(file) as reader:
                for batch in reader:
                    yield _as_columns(batch)
        for batch in self._kept:
            yield _as_columns(batch)

    def _file(self) -> str:
        assert self._folder is not None
        return str(Path(self._folder.name) / "readings.arrows")

    def _flush(self) -> None:
        if not self._parts:
            return
        arrays = {
            name: np.concatenate([part[name] for part in self._parts]).astype(kind, copy=False)
            for name, kind in PENDING.items()
        }
        self._parts, self._rows = [], 0
        batch = pa.record_batch(arrays)
        self._kept.append(batch)
        self._bytes += batch.nbytes
        if self._bytes > _IN_MEMORY:
            if self._writer is None:
                self._folder = tempfile.TemporaryDirectory(prefix="gridcrm-")
                self._writer = pa.ipc.new_stream(self._file(), batch.schema)
            for one in self._kept:
                self._writer.write_batch(one)
            self._kept, self._bytes = [], 0


def _as_columns(batch: pa.RecordBatch) -> Columns:
    return {name: batch.column(name).to_numpy() for name in batch.schema.names}


def as_spans(texts: Sequence[str | None]) -> tuple[Bytes, Spans]:
    """Texts as one buffer and where each begins and ends in it; none is an empty one."""
    parts = [(text or "").encode("ascii", "replace") for text in texts]
    ends = np.cumsum(np.fromiter((len(part) for part in parts), dtype=np.int64, count=len(parts)))
    starts = np.concatenate([np.zeros(1, dtype=np.int64), ends[:-1]]) if len(parts) else ends
    return np.frombuffer(b"".join(parts), dtype=np.uint8), (starts, ends)


def read_numbers(view: Bytes, spans: Mapping[str, Spans], count: int) -> Columns:
    """The columns ``time``, ``seconds``, ``value``, ``shift``, ``cost``, ``currency`` and ``rule``.

    ``spans`` says where the texts lie in ``view``. ``time`` is seconds since 1970 as microseconds, ``cost`` a
    whole number. An absent or empty text is ``NONE``.
    """
    rule = np.zeros(count, dtype=np.int8)
    time = _number(view, spans.get("time"), count, 6)
    seconds = _number(view, spans.get("seconds"), count, 0)
    value = _number(view, spans.get("value"), count, 0)
    cost = _number(view, spans.get("cost"), count, 0)
    currency = _number(view, spans.get("currency"), count, 0)
    no_currency = (currency[0] < 0) | (currency[0] > 999)
    shift = np.zeros(count, dtype=np.int8)
    if value[1].any():
        # Whole numbers are the rule; what has decimals is read again with six of them.
        rows = np.flatnonzero(value[1])
        starts, ends = spans["value"]
        value[0][rows], still = parse_scaled(view, starts[rows], ends[rows], 6)
        shift[rows] = 6
        value[1][rows] = still
    out_of_time = (time[0] != NONE) & ((time[0] < 0) | (time[0] > LATEST))
    out_of_seconds = (seconds[0] != NONE) & ((seconds[0] <= 0) | (seconds[0] > MOST_SECONDS))
    for bad, code in (
        (cost[1] | currency[1] | (no_currency & (currency[0] != NONE)), BAD_COST),
        (value[1], BAD_VALUE),
        (seconds[1] | out_of_seconds, BAD_SECONDS),
        (time[1] | out_of_time, BAD_TIME),
    ):
        rule[bad] = code
    return {
        "time": np.where(time[1] | out_of_time, NONE, time[0]),
        "seconds": np.where(seconds[1] | out_of_seconds, NONE, seconds[0]),
        "value": np.where(value[1], NONE, value[0]),
        "shift": shift,
        "cost": np.where(cost[1], NONE, cost[0]),
        "currency": np.where(no_currency, 0, currency[0]).astype(np.int16),
        "rule": rule,
    }


def _number(view: Bytes, span: Spans | None, count: int, scale: int) -> tuple[Ints, BoolMask]:
    """Integers scaled by ``10**scale``, ``NONE`` where the text is empty; and which are no such number."""
    if span is None:
        return np.full(count, NONE, dtype=np.int64), np.zeros(count, dtype=bool)
    starts, ends = span
    values, bad = parse_scaled(view, starts, ends, scale)
    empty = starts == ends
    values[empty] = NONE
    return values, bad & ~empty


def utc_microseconds(text: str) -> int:
    """An ISO 8601 time with its offset as microseconds since 1970; ``NONE`` for anything else."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return NONE
    if time.tzinfo is None:
        return NONE
    try:
        since = time - _EPOCH
    except OverflowError:
        return NONE
    return (since.days * 86_400 + since.seconds) * MICROSECONDS + since.microseconds
