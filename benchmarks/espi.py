"""Green Button: a year of quarter-hours in daily blocks, against greenbutton-objects on the same file.

Belongs here: the file, and proof that both read the same values from it. Does not belong here: the decoder.
Both begin at the file and end at values in units: ours with Arrow batches of interval reads and of costs,
theirs with every reading's start, value and cost read once from its objects. The note ``ratio_without_runs``
is the same for a file whose readings have attributes, so that our parser has to take them one by one.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from greenbutton_objects.parse import parse_feed

from benchmarks.measure import Comparison, Measure, in_turn
from connectors.formats import Reject, decode

DAYS, SECONDS, START = 365, 900, 1_704_067_200
PER_DAY = 86_400 // SECONDS
READINGS = DAYS * PER_DAY
TARGET = 5.0
_BASE = "/espi/1_1/resource"
_POINT = f"{_BASE}/RetailCustomer/9/UsagePoint/7"
_METER = f"{_POINT}/MeterReading/01"


class _Kept:
    """A sink that keeps the batches."""

    def __init__(self) -> None:
        self.batches: dict[str, list[pa.RecordBatch]] = {}
        self.rejects = 0

    def write(self, table: str, batch: pa.RecordBatch) -> None:
        self.batches.setdefault(table, []).append(batch)

    def reject(self, _: Reject) -> None:
        self.rejects += 1


def year(*, is_even: bool = True) -> bytes:
    """The file: 35,040 readings with value and cost, indented as data custodians do.

    Unless it ``is_even``, every fifth reading has a quality, and each an attribute.
    """
    service = "<ServiceCategory><kind>0</kind></ServiceCategory>"
    entries = [
        _entry(_POINT, [f"{_POINT}/MeterReading"], f"<UsagePoint {{}}>{service}</UsagePoint>"),
        _entry(_METER, [f"{_METER}/IntervalBlock", f"{_BASE}/ReadingType/07"], "<MeterReading {}/>"),
        _entry(
            f"{_BASE}/ReadingType/07", [],
            "<ReadingType {}><accumulationBehaviour>4</accumulationBehaviour><commodity>1</commodity>"
            "<currency>840</currency><flowDirection>1</flowDirection><intervalLength>900</intervalLength>"
            "<powerOfTenMultiplier>0</powerOfTenMultiplier><uom>72</uom></ReadingType>",
        ),
    ]  # fmt: skip
    entries += [_day(day, is_even) for day in range(DAYS)]
    body = "".join(entries)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom">\n{body}</feed>\n'.encode()


def _entry(link: str, related: list[str], content: str) -> str:
    links = "".join(f'\t\t<link rel="related" href="{one}"/>\n' for one in related)
    content = content.replace("{}", 'xmlns="http://naesb.org/espi"', 1)
    return (
        f'\t<entry>\n\t\t<id>urn:uuid:{link}</id>\n\t\t<link rel="self" href="{link}"/>\n'
        f'\t\t<link rel="up" href="{link.rpartition("/")[0]}"/>\n{links}\t\t<title>x</title>\n'
        f"\t\t<content>\n\t\t\t{content}\n\t\t</content>\n\t\t<published>2024-01-01T00:00:00Z</published>\n"
        f"\t\t<updated>2025-01-01T00:00:00Z</updated>\n\t</entry>\n"
    )


def _day(day: int, is_even: bool) -> str:
    quality = "\t\t\t\t\t<ReadingQuality>\n\t\t\t\t\t\t<quality>8</quality>\n\t\t\t\t\t</ReadingQuality>\n"
    start = START + day * 86_400
    mark = "" if is_even else f' id="{day}"'
    readings = "".join(
        f"\t\t\t\t<IntervalReading{mark}>\n"
        f"\t\t\t\t\t<cost>{(day * 31 + slot * 7) % 997}</cost>\n"
        f"{'' if is_even or slot % 5 else quality}"
        "\t\t\t\t\t<timePeriod>\n"
        f"\t\t\t\t\t\t<duration>{SECONDS}</duration>\n\t\t\t\t\t\t<start>{start + slot * SECONDS}</start>\n"
        "\t\t\t\t\t</timePeriod>\n"
        f"\t\t\t\t\t<value>{(day * 7919 + slot * 104_729) % 1999}</value>\n"
        "\t\t\t\t</IntervalReading>\n"
        for slot in range(PER_DAY)
    )
    interval = f"<interval><duration>86400</duration><start>{start}</start></interval>"
    content = f"<IntervalBlock {{}}>\n\t\t\t\t{interval}\n{readings}\t\t\t</IntervalBlock>"
    return _entry(f"{_METER}/IntervalBlock/{day}", [], content)


def _ours(path: Path) -> _Kept:
    sink = _Kept()
    with path.open("rb") as stream:
        decode(stream, "espi", {}, sink, name=path.name)
    return sink


def _theirs(path: Path) -> list[tuple[float, float, float]]:
    return [
        (reading.timePeriod.start.timestamp(), reading.value, reading.cost)
        for point in parse_feed(str(path))
        for meter in point.meterReadings
        for reading in meter.intervalReadings
    ]


def _check(path: Path) -> None:
    """Both have read the same readings: count, values, costs, starts."""
    sink, theirs = _ours(path), _theirs(path)
    reads = pa.Table.from_batches(sink.batches["interval_reads"])
    costs = pa.Table.from_batches(sink.batches["interval_costs"])
    starts = pc.cast(reads["interval_start_at"], pa.int64()).to_pylist()
    found = (reads.num_rows, costs.num_rows, sink.rejects, round(pc.sum(reads["value"]).as_py() * 1000))
    wanted = (READINGS, READINGS, 0, sum(value for _, value, _ in theirs))
    same_costs = round(pc.sum(costs["cost"]).as_py() * 100_000) == round(
        sum(cost for *_, cost in theirs) * 100_000
    )
    if (
        found != wanted
        or not same_costs
        or sorted(starts) != sorted(int(at) * 1_000_000 for at, *_ in theirs)
    ):
        raise AssertionError(f"ours and the peer did not read the same: {found} against {wanted}")


def measure() -> Measure:
    """Readings a second, ours and theirs."""
    with tempfile.TemporaryDirectory() as folder:
        even, uneven = Path(folder) / "even.xml", Path(folder) / "uneven.xml"
        even.write_bytes(year())
        uneven.write_bytes(year(is_even=False))
        _check(even)
        _check(uneven)
        ours, peer = in_turn(lambda: _ours(even), lambda: _theirs(even))
        rates = Comparison("espi", READINGS / ours, READINGS / peer, "readings/s", TARGET)
        slow, slow_peer = in_turn(lambda: _ours(uneven), lambda: _theirs(uneven), runs=3)
        notes = {"readings": READINGS, "bytes": even.stat().st_size}
        return Measure("espi", [rates], {**notes, "ratio_without_runs": round(slow_peer / slow, 2)})
