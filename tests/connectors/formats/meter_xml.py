"""Writers of Green Button feeds and MeterReadings messages, independent of the decoders."""

from __future__ import annotations

import xml.etree.ElementTree as ET
import zlib
from collections.abc import Iterable, Mapping


def whole_tree(data: bytes) -> ET.Element:
    """The document as a tree. ElementTree itself takes no namespace with a brace in it, which XML allows."""
    return ET.fromstring(data.replace(b"}", b")"))


BASE = "https://utility.example/espi/1_1/resource"
POINT = f"{BASE}/RetailCustomer/9/UsagePoint/7"
START = 1_704_067_200  # 2024-01-01T00:00:00Z


def entry(
    content: str, *, self: str = "", up: str = "", related: Iterable[str] = (), updated: str = ""
) -> str:
    """An Atom entry."""
    links = "".join(
        f'<link rel="{rel}" href="{href}"/>'
        for rel, href in [("self", self), ("up", up), *(("related", one) for one in related)]
        if href
    )
    when = f"<updated>{updated}</updated>" if updated else ""
    name = f"<id>urn:uuid:{zlib.crc32(self.encode())}</id>"
    return f"<entry>{name}{links}<title/><content>{content}</content>{when}</entry>"


def espi(tag: str, content: str = "") -> str:
    """An element in ESPI's namespace, which what is in it inherits."""
    return f'<{tag} xmlns="http://naesb.org/espi">{content}</{tag}>'


def usage_point(kind: int = 0, number: str = "7") -> str:
    point = f"{BASE}/RetailCustomer/9/UsagePoint/{number}"
    content = espi("UsagePoint", f"<ServiceCategory><kind>{kind}</kind></ServiceCategory>")
    return entry(
        content, self=point, up=f"{BASE}/RetailCustomer/9/UsagePoint", related=[f"{point}/MeterReading"]
    )


def meter_reading(register: str = "01", reading_type: str = "07") -> str:
    own = f"{POINT}/MeterReading/{register}"
    related = [f"{own}/IntervalBlock", f"{BASE}/ReadingType/{reading_type}"]
    return entry(espi("MeterReading"), self=own, up=f"{POINT}/MeterReading", related=related)


def reading_type(number: str = "07", **codes: int | str | None) -> str:
    """A ReadingType: delivered Wh per quarter of an hour unless said otherwise; None leaves a code out."""
    given: Mapping[str, int | str | None] = {
        "accumulationBehaviour": 4, "currency": 840, "flowDirection": 1, "intervalLength": 900,
        "powerOfTenMultiplier": 0, "uom": 72,
    } | codes  # fmt: skip
    content = "".join(f"<{key}>{code}</{key}>" for key, code in given.items() if code is not None)
    return entry(espi("ReadingType", content), self=f"{BASE}/ReadingType/{number}", up=f"{BASE}/ReadingType")


def reading(
    start: int | str | None, value: int | str | None, *, seconds: int | str | None = 900,
    cost: int | str | None = None, quality: str = "",
) -> str:  # fmt: skip
    """An IntervalReading; ``quality`` is codes with blanks between."""
    parts = [f"<cost>{cost}</cost>"] if cost is not None else []
    parts += [f"<ReadingQuality><quality>{code}</quality></ReadingQuality>" for code in quality.split()]
    period = f"<duration>{seconds}</duration>" if seconds is not None else ""
    period += f"<start>{start}</start>" if start is not None else ""
    parts += [f"<timePeriod>{period}</timePeriod>"] if period else []
    parts += [f"<value>{value}</value>"] if value is not None else []
    return f"<IntervalReading>{''.join(parts)}</IntervalReading>"


def readings(values: Iterable[int], *, start: int = START, seconds: int = 900, quality: str = "") -> str:
    """Readings that follow each other."""
    return "".join(
        reading(start + i * seconds, value, seconds=seconds, quality=quality)
        for i, value in enumerate(values)
    )


def block(
    content: str, *, register: str = "01", number: int = 1, updated: str = "", interval: str = ""
) -> str:
    own = f"{POINT}/MeterReading/{register}/IntervalBlock"
    declared = f"<interval>{interval}</interval>" if interval else ""
    return entry(espi("IntervalBlock", declared + content), self=f"{own}/{number}", up=own, updated=updated)


def feed(*entries: str) -> bytes:
    """A whole feed."""
    body = "\n".join(entries)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom">\n{body}\n</feed>\n'.encode()


def simple(*blocks: str, **codes: int | str | None) -> bytes:
    """A feed of one register with these blocks and codes of its ReadingType."""
    return feed(usage_point(), meter_reading(), reading_type(**codes), *blocks)


DELTA = "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0"
DIAL = "0.0.2.9.1.1.12.0.0.0.0.0.0.0.0.3.72.0"


def interval(time: str | None, value: str | None, *qualities: str, more: str = "") -> str:
    """An IntervalReadings element."""
    stamp = f"<timeStamp>{time}</timeStamp>" if time is not None else ""
    text = f"<value>{value}</value>" if value is not None else ""
    found = "".join(
        f'<ReadingQualities><source>HES</source><ReadingQualityType ref="{code}"/></ReadingQualities>'
        for code in qualities
    )
    return f"<IntervalReadings>{stamp}{text}{more}{found}</IntervalReadings>"


def interval_block(code: str, *intervals: str) -> str:
    reference = f'<ReadingType ref="{code}"/>' if code else ""
    return f"<IntervalBlocks>{''.join(intervals)}{reference}</IntervalBlocks>"


def register(code: str, time: str, value: str, *, more: str = "") -> str:
    """A Readings element."""
    content = f'<timeStamp>{time}</timeStamp><value>{value}</value>{more}<ReadingType ref="{code}"/>'
    return f"<Readings>{content}</Readings>"


def names(tag: str, mrid: str = "", **by_type: str) -> str:
    """A Meter or a UsagePoint with an mRID and names by their type."""
    content = f"<mRID>{mrid}</mRID>" if mrid else ""
    content += "".join(
        f"<Names><name>{name}</name><NameType><name>{kind}</name></NameType></Names>"
        for kind, name in by_type.items()
    )
    return f"<{tag}>{content}</{tag}>"


def group(*content: str, point: str = "SP-1", meter: str = "M-1") -> str:
    """A MeterReading of a meter at a usage point."""
    things = [names("Meter", meter)] if meter else []
    things += [names("UsagePoint", point)] if point else []
    return f"<MeterReading>{''.join([*content, *things])}</MeterReading>"


def message(
    *groups: str, envelope: bool = True, year: int = 2011, created: str = "2024-01-02T00:00:00Z"
) -> bytes:
    """A message, with its Header and Payload or without."""
    body = "\n".join(groups)
    body = f'<MeterReadings xmlns="http://iec.ch/TC57/{year}/MeterReadings#">\n{body}\n</MeterReadings>'
    if envelope:
        header = f"<m:Header><m:Noun>MeterReadings</m:Noun><m:Timestamp>{created}</m:Timestamp></m:Header>"
        body = (
            f'<m:EventMessage xmlns:m="http://iec.ch/TC57/{year}/schema/message">{header}'
            f"<m:Payload>{body}</m:Payload></m:EventMessage>"
        )
    return f'<?xml version="1.0"?>\n{body}\n'.encode()
