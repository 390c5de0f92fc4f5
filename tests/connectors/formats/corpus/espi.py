"""Green Button: every kind of resource, prefixed and not, in order and not, dials and values."""

from __future__ import annotations

from tests.connectors.formats import meter_xml as x
from tests.connectors.formats.corpus import Case

_ATOM, _ESPI = "{http://www.w3.org/2005/Atom}", "{http://naesb.org/espi}"
_RECORDS = {
    _ESPI + name
    for name in ("IntervalReading", "UsagePoint", "MeterReading", "ReadingType", "IntervalBlock",
                 "UsageSummary", "LocalTimeParameters", "ElectricPowerUsageSummary")
}  # fmt: skip

SUMMARY = x.espi(
    "UsageSummary",
    "<billingPeriod><duration>86400</duration><start>1704067200</start></billingPeriod>"
    "<overallConsumptionLastPeriod><powerOfTenMultiplier>0</powerOfTenMultiplier><uom>72</uom>"
    "<value>1200</value></overallConsumptionLastPeriod><qualityOfReading>14</qualityOfReading>",
)
OFFSETS = x.espi("LocalTimeParameters", "<dstOffset>3600</dstOffset><tzOffset>-18000</tzOffset>")
SMALL = x.simple(x.block(x.readings([1, 2, 3, 4])))
COMMENTED = x.simple(
    x.block(
        "<!-- 1 - a --> " + x.readings([1, 2]).replace("<value>", "<!-- 5:00:00 AM --><value>") + "<!---->"
    )
)
WHOLE = x.feed(
    x.block(x.readings([100, 200, 300], quality="8"), updated="2024-01-02T00:00:00Z"),
    x.block(x.reading(x.START + 2700, 400, cost=974) + x.reading(x.START + 3600, None), number=2),
    x.usage_point(),
    x.entry(OFFSETS, self=f"{x.BASE}/LocalTimeParameters/01"),
    x.meter_reading(),
    x.reading_type(),
    x.meter_reading("02", "08"),
    x.block(x.readings([5000, 5100, 5300]), register="02"),
    x.reading_type("08", accumulationBehaviour=9, flowDirection=19),
    x.entry(SUMMARY, self=f"{x.POINT}/UsageSummary/1", up=f"{x.POINT}/UsageSummary"),
    x.entry(x.espi("ElectricPowerQualitySummary")),
)


def _prefixed() -> bytes:
    text = x.simple(x.block(x.readings([1, 2, 3]))).decode()
    for tag in ("UsagePoint", "MeterReading", "ReadingType", "IntervalBlock"):
        text = text.replace(f'<{tag} xmlns="http://naesb.org/espi">', f"<{tag}>")
    text = text.replace(' xmlns="http://www.w3.org/2005/Atom"', "")
    for tag in ("feed", "entry", "link", "content", "id", "title"):
        text = text.replace(f"<{tag}", f"<a:{tag}").replace(f"</{tag}>", f"</a:{tag}>")
    for tag in ("UsagePoint", "MeterReading", "ReadingType", "IntervalBlock", "IntervalReading", "timePeriod",
                "duration", "start", "value", "uom", "ServiceCategory", "kind", "flowDirection", "currency",
                "accumulationBehaviour", "intervalLength", "powerOfTenMultiplier"):  # fmt: skip
        text = text.replace(f"<{tag}>", f"<e:{tag}>").replace(f"</{tag}>", f"</e:{tag}>")
    return text.replace(
        "<a:feed", '<a:feed xmlns:a="http://www.w3.org/2005/Atom" xmlns:e="http://naesb.org/espi"'
    ).encode()


PREFIXED = _prefixed()


def count(data: bytes) -> int:
    """Records by a tree: readings and resources, other content of entries, and entries without these."""
    root = x.whole_tree(data)
    contents = {child for content in root.iter(f"{_ATOM}content") for child in content}
    contents = {child for child in contents if child.tag not in (f"{_ATOM}feed", f"{_ATOM}entry")}
    records = {element for element in root.iter() if element.tag in _RECORDS} | contents
    found = len(records)
    # From the innermost outwards: an entry that holds an empty one is not empty.
    for entry in reversed(list(root.iter(f"{_ATOM}entry"))):
        if not any(element in records for element in entry.iter() if element is not entry):
            records.add(entry)
            found += 1
    return found


TOKENS = (
    b"<IntervalReading>", b"</IntervalReading>", b"</IntervalBlock>", b"<!-- ", b" -->", b"<![CDATA[", b"]]>",
    b"&lt;", b"<value>", b"<value/>", b"-", b".5", b"<entry>", b"</entry>", b'xmlns="urn:x"',
    b"<uom>42</uom>", b"<IntervalBlock>", b"<UsagePoint/>", b"<content/>", b"<!DOCTYPE a>", b"\xff", b"\x00",
    b"99999999999999",
)  # fmt: skip
CASES = [
    Case("espi", {}, (SMALL, WHOLE, PREFIXED, COMMENTED), count=count, tokens=TOKENS),
    Case(
        "espi",
        {"check_block_interval": True, "fractional_seconds": "keep", "service_point": "title",
         "reading_type_defaults": {"uom": 169}, "service_point_pattern": "(.*)"},
        (SMALL, WHOLE),
        count=count,
        tokens=TOKENS,
        name="espi by title",
    ),
]  # fmt: skip
