"""The town that was taken over: its meters report to a head-end of their own, which sends CMEP.

Belongs here: which meters those are, and CMEP text at speed. Does not belong here: loads, and the faults of
meters, which are everybody's. Source of the format: California Metering Exchange Protocol, record MEPMD01.
"""

from __future__ import annotations

import gzip
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import BinaryIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from demo.world.clock import market_start_epoch
from demo.world.config import Bools, Ints
from demo.world.identifiers import joined
from demo.world.readings import EXPORT, MAX_WH, Reads, matrix, value_table

_EVERY = 16
_ROWS_AT_ONCE = 4_000
# The quality of a range as CMEP has it, by its index in readings.RANGES: an outage is no quality there.
_QUALITIES = ("A53", "A52", "E52", "R0")
_ACTUAL = len(_QUALITIES)


def is_taken_over(numbers: Ints) -> Bools:
    """Whether a premise lies in that town: one in sixteen."""
    return np.asarray(numbers % _EVERY == 5)


@cache
def _quality_table() -> NDArray[np.uint8]:
    return np.frombuffer(np.array([*_QUALITIES, "R0"], dtype="S3").tobytes(), np.uint8).reshape(-1, 3)


def write_cmep(stream: BinaryIO, day: date, reads: Reads, nmi: pa.Array, serial: pa.Array) -> None:
    """Write one gzipped CMEP file of ``day``; rows may be corrections of earlier days.

    Times are UTC and end their interval; all but the first of a record are left to be worked out.
    """
    made = day + timedelta(days=1)
    stamp = f"{made:%Y%m%d}1030"
    with gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=1, mtime=0, filename="") as out:
        for first in range(0, len(reads), _ROWS_AT_ONCE):
            part = reads.take(np.arange(first, min(first + _ROWS_AT_ONCE, len(reads))))
            meter = pa.array(part.meter)
            head = joined(
                "",
                "MEPMD01,19970819,RIVERB,,GRIDCRM,",
                nmi.take(meter),
                f",{stamp},",
                serial.take(meter),
                ",OK,E,",
                pa.array(np.where(part.register == EXPORT, "GKWH", "KWH")),
                ",1,00000015,96,",
                _first_end(part.date),
            )
            body = np.concatenate([matrix(head), _triplets(part), _line_ends(len(part))], axis=1).ravel()
            out.write(body[body != 0].tobytes())


def _first_end(days: Ints) -> pa.Array:
    """The end of the first quarter-hour of market days given as YYYYMMDD, in UTC."""
    different, which = np.unique(days, return_inverse=True)
    starts = [market_start_epoch(datetime.strptime(str(day), "%Y%m%d").date()) for day in different]
    texts = pa.array([f"{datetime.fromtimestamp(start + 900, UTC):%Y%m%d%H%M}" for start in starts])
    return texts.take(pa.array(which))


def _triplets(part: Reads) -> NDArray[np.uint8]:
    """`,,quality,value` of each interval; the first has its time before it already."""
    n = len(part)
    interval = np.arange(1, 97)
    inside = (interval >= part.low[:, None]) & (interval <= part.high[:, None])
    quality = np.where(inside & (part.low > 0)[:, None], part.kind[:, None], _ACTUAL)
    cells = np.empty((n, 96, 12), np.uint8)
    cells[:, :, (0, 1, 5)] = ord(",")
    cells[:, 0, 1] = 0
    cells[:, :, 2:5] = _quality_table()[quality]
    values = value_table()[np.where(part.wh >= 0, part.wh, MAX_WH - part.wh)][:, :, :6]
    cells[:, :, 6:] = np.where(values == ord(","), 0, values)
    return cells.reshape(n, -1)


def _line_ends(n: int) -> NDArray[np.uint8]:
    return np.tile(np.frombuffer(b"\r\n", np.uint8), (n, 1))
