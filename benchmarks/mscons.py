"""MSCONS: our whole decoding against pydifact's mere collection of segments, on the same 50 MB interchange.

Ours splits, checks the control totals, and makes canonical rows of every value; pydifact's figure is for
``RawSegmentCollection.from_str``, its collection of segments without any check. Each run must have read the
same number of segments, and ours every value once. A run of pydifact takes the better part of a minute.
"""

from __future__ import annotations

import io
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc
from pydifact.segmentcollection import RawSegmentCollection

from benchmarks.measure import Comparison, Measure, in_turn
from connectors.formats import DecodeResult, Reject, decode

MEGABYTES = 50
SEED = 20261125
_DAYS = 30


class _Rows:
    """Counts and sums what comes; keeps nothing."""

    def __init__(self) -> None:
        self.count, self.sum = 0, Decimal(0)

    def write(self, table: str, batch: pa.RecordBatch) -> None:
        self.count += batch.num_rows
        self.sum += pc.sum(batch.column("value")).as_py()

    def reject(self, reject: Reject) -> None:
        raise AssertionError(f"{reject.rule}: nothing is wrong with the generated interchange")


def interchange(megabytes: float) -> tuple[str, int, Decimal]:
    """An interchange of monthly load profiles, one message a metering point; its values, and their sum."""
    chance = random.Random(SEED)
    start = datetime(2026, 8, 31, 22, tzinfo=UTC)
    stamps = [f"{start + timedelta(minutes=15 * i):%Y%m%d%H%M}?+00:303'" for i in range(96 * _DAYS + 1)]
    frames = [f"'DTM+163:{a}DTM+164:{b}" for a, b in pairwise(stamps)]
    parts = ["UNA:+.? 'UNB+UNOC:3+9900001000001:500+9900002000002:500+261001:0400+REF1++TL'"]
    size, values, total, message = 0, 0, 0, 0
    while size < megabytes * 1_000_000:
        message += 1
        head = (
            f"UNH+{message}+MSCONS:D:04B:UN:2.4c'BGM+7+DOC{message}+9'DTM+137:202610010400?+00:303'"
            "RFF+Z13:13008'NAD+MS+9900001000001::293'NAD+MR+9900002000002::293'UNS+D'NAD+DP'"
            f"LOC+172+DE{message:031d}'DTM+163:{stamps[0]}DTM+164:{stamps[-1]}LIN+1'PIA+5+1-1?:1.29.0:SRW'"
        )
        numbers = [chance.randrange(5_000) for _ in frames]
        total += sum(numbers)
        body = "".join(
            [f"QTY+220:{n // 1000}.{n % 1000:03d}{f}" for n, f in zip(numbers, frames, strict=True)]
        )
        text = f"{head}{body}UNT+{14 + 3 * len(frames)}+{message}'"
        parts.append(text)
        values += len(numbers)
        size += len(text)
    parts.append(f"UNZ+{message}+REF1'")
    return "".join(parts), values, Decimal(total) / 1000


def ours(data: bytes) -> tuple[DecodeResult, _Rows]:
    """Decode into a sink that counts."""
    rows = _Rows()
    return decode(io.BytesIO(data), "mscons", {}, rows, name="interchange"), rows


def measure() -> Measure:
    """Megabytes a second of both; the targeted ratio is 5. What each timed run read is compared as well."""
    text, values, total = interchange(MEGABYTES)
    data = text.encode()
    segments: set[int] = set()

    def mine() -> None:
        result, rows = ours(data)
        segments.add(result.records_read)
        if (rows.count, rows.sum) != (values, total):
            raise AssertionError(f"wrote {values} values, sum {total}; read {rows.count}, sum {rows.sum}")

    def peer() -> None:
        segments.add(len(RawSegmentCollection.from_str(text).segments))

    ours_seconds, peer_seconds = in_turn(mine, peer, warm=False)
    if len(segments) != 1:
        raise AssertionError(f"the two read different numbers of segments: {sorted(segments)}")
    size = len(data) / 1e6
    return Measure(
        "mscons",
        [Comparison("mscons", size / ours_seconds, size / peer_seconds, "MB/s", target=5)],
        {
            "values": values,
            "segments": segments.pop(),
            "values_per_second": round(values / ours_seconds),
        },
    )
