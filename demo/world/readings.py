"""What the meter-data system reports of the true load: NEM12 files, with the faults that real ones have.

Belongs here: the faults of meters and communication, and NEM12 text at speed. Does not belong here: the
load itself. Source of the format: AEMO Meter Data File Format Specification NEM12 & NEM13 (records 100,
200, 300, 400, 900).
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from demo.world.config import Bools, Ints, Streams
from demo.world.identifiers import joined

Wh = NDArray[np.int32]
IMPORT, EXPORT = 0, 1
MAX_WH = 99_999
_MAX_NEGATIVE = 2_000
RANGES = ("S53,0,Communication fault", "F52,0,Check read", "E52,,", "A,0,Power outage")
"""What the 400 record of a range says: quality and method, reason code, reason (code 0 is free text)."""
POWER_OUTAGE = 3
_ROWS_AT_ONCE = 4_000

P_ESTIMATED = 0.01
P_MISSING = 0.004
P_SPIKE = 0.0006
P_DUPLICATE = 0.001
P_NEGATIVE = 0.00004
P_FROZEN = 0.0015
"""Probabilities per meter and day, except P_FROZEN, per meter."""


@dataclass
class Reads:
    """Rows of one NEM12 file: one register's day each."""

    meter: Ints
    register: Ints
    date: Ints
    """YYYYMMDD of the interval data."""
    wh: Wh
    low: Ints
    """1-based first interval of a range that differs from actual; 0 where the whole day is actual."""
    high: Ints
    kind: Ints
    """Index into ``RANGES``: quality and reason of that range."""

    def __len__(self) -> int:
        return len(self.meter)

    def take(self, index: Ints) -> Reads:
        """The rows at ``index``."""
        return Reads(
            self.meter[index],
            self.register[index],
            self.date[index],
            self.wh[index],
            self.low[index],
            self.high[index],
            self.kind[index],
        )


def actual(meters: Ints, register: int, day: int, wh: Wh) -> Reads:
    """Rows of actual reads of one day."""
    n = len(meters)
    zeros = np.zeros(n, np.int64)
    return Reads(meters, zeros + register, zeros + day, wh, zeros.copy(), zeros.copy(), zeros.copy())


def together(parts: list[Reads]) -> Reads:
    """Rows of several parts, in the order of meter, register and date."""
    full = [p for p in parts if len(p)]
    both = Reads(
        np.concatenate([p.meter for p in full]),
        np.concatenate([p.register for p in full]),
        np.concatenate([p.date for p in full]),
        np.concatenate([p.wh for p in full]),
        np.concatenate([p.low for p in full]),
        np.concatenate([p.high for p in full]),
        np.concatenate([p.kind for p in full]),
    )
    return both.take(np.lexsort((both.date, both.register, both.meter)))


@dataclass
class Faults:
    """The faults of a block's meters and what they still owe: late days and corrections by file."""

    streams: Streams
    meters: int
    first_day: int
    days: int
    owed: dict[int, list[Reads]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        draw = self.streams.get("frozen")
        self.frozen = np.flatnonzero(draw.random(self.meters) < P_FROZEN)
        if len(self.frozen) == 0 and self.streams.block == 0:
            self.frozen = draw.integers(0, self.meters, 1)
        self.frozen_from = self.first_day + (self.days * draw.uniform(0.3, 0.7, len(self.frozen))).astype(
            np.int64
        )
        self.frozen_to = self.frozen_from + draw.integers(4, 15, len(self.frozen))

    def apply(self, day: int, stamp: int, true: Wh, outages: list[tuple[Ints, int, int]]) -> list[Reads]:
        """Import rows that the file of ``day`` holds, given the true Wh; remembers what comes later.

        ``outages`` are rows with their first and last interval (1-based) without power; the load is zero
        there already.
        """
        draw = self.streams.get("faults", day)
        n = self.meters
        reads = actual(np.arange(n), IMPORT, stamp, true.copy())
        stuck = self.frozen[(self.frozen_from <= day) & (day < self.frozen_to)]
        if len(stuck):
            reads.wh[stuck] = 40 + stuck[:, None] % 90
        u = draw.random(n)
        spiky = np.flatnonzero(u < P_SPIKE)
        at = draw.integers(0, 96, len(spiky))
        reads.wh[spiky, at] = np.clip(
            reads.wh[spiky, at] * draw.integers(20, 50, len(spiky)) + 9_000, 0, MAX_WH
        )
        negative = np.flatnonzero((u >= 0.5) & (u < 0.5 + P_NEGATIVE))
        if day == self.first_day + self.days // 2 and self.streams.block == 0:
            negative = np.union1d(negative, [n // 2])
        reads.wh[negative, 40] = -draw.integers(50, _MAX_NEGATIVE, len(negative))

        estimated = np.flatnonzero((u >= 0.1) & (u < 0.1 + P_ESTIMATED))
        estimated = estimated[~np.isin(estimated, negative)]
        self._estimate(reads, estimated, true, day, stamp, draw)
        for rows, first, last in outages:
            reads.low[rows], reads.high[rows], reads.kind[rows] = first, last, POWER_OUTAGE
        missing = np.flatnonzero((u >= 0.2) & (u < 0.2 + P_MISSING))
        self._owe(day, missing[draw.random(len(missing)) < 0.6], stamp, true, int(draw.integers(2, 6)))
        present = np.setdiff1d(np.arange(n), missing)
        twice = np.flatnonzero((u >= 0.3) & (u < 0.3 + P_DUPLICATE))
        here = reads.take(np.concatenate([present, twice]))
        return [here, *self.owed.pop(day, [])]

    def _estimate(
        self, reads: Reads, rows: Ints, true: Wh, day: int, stamp: int, draw: np.random.Generator
    ) -> None:
        low = draw.integers(2, 80, len(rows))
        high = np.minimum(low + draw.integers(0, 30, len(rows)), 95)
        interval = np.arange(1, 97)
        inside = (interval >= low[:, None]) & (interval <= high[:, None])
        guess = (true[rows] * draw.lognormal(0, 0.3, (len(rows), 96))).astype(np.int32)
        reads.wh[rows] = np.where(inside, np.minimum(guess, MAX_WH), reads.wh[rows])
        reads.low[rows], reads.high[rows] = low, high
        reads.kind[rows] = draw.integers(0, POWER_OUTAGE, len(rows))
        self._owe(day, rows[draw.random(len(rows)) < 0.55], stamp, true, int(draw.integers(3, 8)))

    def _owe(self, day: int, rows: Ints, stamp: int, true: Wh, later: int) -> None:
        if len(rows):
            self.owed.setdefault(day + later, []).append(actual(rows, IMPORT, stamp, true[rows].copy()))


@cache
def value_table() -> NDArray[np.uint8]:
    """Text of every Wh as kWh, three decimals and a comma, padded with NUL; negatives follow positives."""
    wh = np.concatenate([np.arange(MAX_WH + 1), -np.arange(1, _MAX_NEGATIVE + 1)])
    size = np.abs(wh)
    whole = pa.array(size // 1000).cast(pa.string())
    text = joined(
        "",
        pa.array(np.where(wh < 0, "-", "")),
        whole,
        ".",
        pc.utf8_lpad(pa.array(size % 1000).cast(pa.string()), 3, "0"),
        ",",
    )
    return np.frombuffer(np.array(text.to_pylist(), dtype="S7").tobytes(), np.uint8).reshape(-1, 7)


def matrix(texts: pa.Array) -> NDArray[np.uint8]:
    """Texts as rows of bytes padded with NUL, which never occurs in a file and is dropped at the end."""
    lengths = pc.max(pc.binary_length(texts)).as_py() or 1
    padded = pc.ascii_rpad(texts, width=lengths, padding="\0")
    padded = pa.concat_arrays([padded])
    buffer = padded.buffers()[2]
    return np.frombuffer(buffer, np.uint8, count=lengths * len(texts)).reshape(len(texts), lengths)


def _tails(reads: Reads, update: str) -> pa.Array:
    """What follows the values of each 300 record, with the 400 records where a range differs."""
    low, high = pa.array(reads.low), pa.array(reads.high)
    plain = f"A,,,{update},\r\n"
    if not reads.low.any():
        return pa.array([plain]).take(pa.array(np.zeros(len(reads), np.int64)))
    ranged = joined(
        "",
        f"V,,,{update},\r\n400,1,",
        pc.subtract(low, 1).cast(pa.string()),
        ",A,,\r\n400,",
        low.cast(pa.string()),
        ",",
        high.cast(pa.string()),
        ",",
        pa.array(RANGES).take(pa.array(reads.kind)),
        "\r\n400,",
        pc.add(high, 1).cast(pa.string()),
        ",96,A,,\r\n",
    )
    return pc.if_else(pc.greater(low, 0), ranged, plain)


def write_nem12(
    stream: BinaryIO, name: str, day: date, reads: Reads, nmi: pa.Array, serial: pa.Array, has_export: Bools
) -> None:
    """Write one zipped NEM12 file of ``day``; rows may be corrections of earlier days."""
    made = day + timedelta(days=1)
    update = f"{made:%Y%m%d}043000"
    info = zipfile.ZipInfo(name, (made.year, made.month, made.day, 4, 30, 0))
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    configuration = pa.array(np.where(has_export, "E1B1", "E1"))
    with (
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(info, "w") as out,
    ):
        archive_header = f"100,NEM12,{made:%Y%m%d}0430,RIVERB,GRIDCRM\r\n"
        out.write(archive_header.encode())
        for first in range(0, len(reads), _ROWS_AT_ONCE):
            part = reads.take(np.arange(first, min(first + _ROWS_AT_ONCE, len(reads))))
            meter = pa.array(part.meter)
            suffix = pa.array(np.where(part.register == EXPORT, "B1", "E1"))
            head = joined(
                "",
                "200,",
                nmi.take(meter),
                ",",
                configuration.take(meter),
                ",",
                suffix,
                ",",
                suffix,
                ",N1,",
                serial.take(meter),
                ",KWH,15,\r\n300,",
                pa.array(part.date).cast(pa.string()),
                ",",
            )
            index = np.where(part.wh >= 0, part.wh, MAX_WH - part.wh)
            values = value_table()[index].reshape(len(part), -1)
            body = np.concatenate([matrix(head), values, matrix(_tails(part, update))], axis=1).ravel()
            out.write(body[body != 0].tobytes())
        out.write(b"900\r\n")
