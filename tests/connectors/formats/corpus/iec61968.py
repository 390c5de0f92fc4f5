"""MeterReadings messages: values and dials in blocks, registers, events, with and without an envelope."""

from __future__ import annotations

from tests.connectors.formats import meter_xml as x
from tests.connectors.formats.corpus import Case

_RECORDS = ("MeterReading", "IntervalBlocks", "IntervalReadings", "Readings", "EndDeviceEvents")

WHOLE = x.message(
    x.group(
        x.interval_block(
            x.DELTA,
            x.interval("2024-01-01T00:15:00Z", "0.125", "1.0.0"),
            x.interval("2024-01-01T00:30:00.000+00:00", "0.25", "2.8.0", "5.4.260"),
            x.interval("2024-01-01T00:45:00Z", None, "2.5.259"),
        ),
        x.interval_block(x.DIAL, x.interval("2024-01-01T00:15:00Z", "6519.0955")),
        x.interval_block(x.DIAL, x.interval("2024-01-01T00:30:00Z", "6519.1396")),
        x.register(x.DIAL, "2024-01-01T00:30:00Z", "6519.1396"),
        x.register(x.DELTA, "2024-01-01T00:30:00Z", "1.5"),
        "<EndDeviceEvents><createdDateTime>2024-01-01T00:00:00Z</createdDateTime></EndDeviceEvents>",
    ),
    x.group(x.interval_block(x.DIAL, x.interval("2024-01-01T00:45:00Z", "6520"))),
)
SMALL = x.message(
    x.group(x.interval_block("kwh", x.interval("2024-01-01T00:15:00", "1")), point=""),
    "<ReadingType><mRID>kwh</mRID><Names><name>0.0.7.4.1.1.12.0.0.0.0.0.0.0.0.0.72.0</name></Names></ReadingType>",
    envelope=False,
    year=2009,
)


def count(data: bytes) -> int:
    """Records by a tree, in the namespaces that are the message's."""
    found = 0
    for element in x.whole_tree(data).iter():
        namespace, _, local = element.tag.rpartition("}")
        found += local in _RECORDS and (not namespace or "iec.ch/" in namespace.lower())
    return found


TOKENS = (
    b"<IntervalReadings>", b"</IntervalReadings>", b"<IntervalBlocks>", b"</IntervalBlocks>", b"<!-- ",
    b" -->",
    b"<value>1</value>", b"<value/>", b"Z", b"+01:00", b".5", b"<MeterReading>", b"</MeterReading>",
    b'xmlns="urn:x"', b"<Readings>", b"</Readings>", b"<Readings/>", b"<ReadingType/>",
    b"<!DOCTYPE a>", b"\xff",
    b"<timePeriod><start>2024-01-01T00:00:00Z</start><end>2024-01-01T00:15:00Z</end></timePeriod>",
    b"99999999999999", b"<EndDeviceEvents/>",
)  # fmt: skip
CASES = [
    Case("iec61968", {}, (WHOLE, SMALL), count=count, tokens=TOKENS),
    Case(
        "iec61968",
        {"service_point": "meter", "time_zone": "Europe/Berlin", "time_stamp": "start"},
        (WHOLE, SMALL),
        count=count,
        tokens=TOKENS,
        name="iec61968 by meter",
    ),
]
