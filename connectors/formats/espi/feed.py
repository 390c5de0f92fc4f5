"""An ESPI feed as it is read: its entries and its resources; its readings go to ``columns``.

Belongs here: taking the document apart, record by record. Does not belong here: what belongs to what
(``links``), and what a reading is worth (``decoder``).

A record is an IntervalReading, a resource (UsagePoint, MeterReading, ReadingType, IntervalBlock,
LocalTimeParameters, a usage summary) wherever it stands, any other element directly in an entry's content,
and an entry without any of these. They are numbered in the order in which they begin.
"""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass, field

from connectors.formats.base import RefusedFile
from connectors.formats.espi.columns import BLOCK, INNER, LEAVES, READING, ReadingColumns
from connectors.formats.meter_xml.pending import NONE, Pending, Qualities, utc_microseconds
from connectors.formats.meter_xml.rules import BAD_STRUCTURE, FINE, ORPHAN
from connectors.formats.meter_xml.runs import Run
from connectors.formats.meter_xml.stream import Attributes, Where

_ATOM, _ESPI, _CUSTOMER = (
    "http://www.w3.org/2005/Atom",
    "http://naesb.org/espi",
    "http://naesb.org/espi/customer",
)
USAGE_POINT, METER_READING, READING_TYPE = "UsagePoint", "MeterReading", "ReadingType"
LOCAL_TIME = "LocalTimeParameters"
SUMMARIES = ("ElectricPowerUsageSummary", "UsageSummary")
_RESOURCES = frozenset((BLOCK, USAGE_POINT, METER_READING, READING_TYPE, LOCAL_TIME, *SUMMARIES))
OTHER_RESOURCES = frozenset(
    ("ElectricPowerQualitySummary", "ApplicationInformation", "Authorization", "Subscription", "BatchList",
     "ServiceStatus")
)  # fmt: skip
"""Known resources that hold nothing for a table of reads; so are all of the retail customer's schema."""
_MOST_FIELDS = 256
EMPTY_ENTRY = "empty_entry"


_HOST = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/]*")


def normal_link(text: str) -> str:
    """A link without host and trailing slash: custodians mix whole addresses with paths."""
    return _HOST.sub("", text.strip()).rstrip("/")


def _number(text: str | None) -> int:
    """A whole number of at most twelve digits; ``NONE`` for anything else."""
    digits = (text or "").strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 12 else NONE


def tag_of(namespace: str, local: str) -> str:
    """ESPI's elements by their local name, Atom's as ``atom:…``, the retail customer's as ``customer:…``."""
    if namespace == _ESPI:
        return local
    if namespace == _ATOM:
        return f"atom:{local}"
    return f"customer:{local}" if namespace == _CUSTOMER else f"{{{namespace}}}{local}"


@dataclass(slots=True)
class Entry:
    """An Atom entry: what its links say."""

    offset: int
    self_link: str = ""
    up_link: str = ""
    related: list[str] = field(default_factory=list)
    id: str = ""
    title: str = ""
    updated: str = ""
    records: int = 0
    resources: int = 0
    blocks: list[Block] = field(default_factory=list)


@dataclass(slots=True)
class Resource:
    """A resource, the entry and the resource it stands in, its texts by path, and which paths it repeats."""

    kind: str
    record_no: int
    offset: int
    entry: Entry | None
    within: Resource | None
    fields: dict[str, str] = field(default_factory=dict)
    repeated: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Block:
    """An IntervalBlock: as little as its readings need, since a file may hold a hundred thousand."""

    record_no: int
    offset: int
    within: Resource | None
    entry: Entry | None
    up_link: str = ""
    self_link: str = ""
    updated: int = NONE


class Feed:
    """The handler of one document."""

    def __init__(self, pending: Pending) -> None:
        self.qualities = Qualities()
        self.resources: list[Resource] = []
        self.blocks: list[Block] = []
        self.block_start, self.block_seconds = array("q"), array("q")
        self.unknown: list[tuple[int, int, str]] = []
        self.records = 0
        self.readings = 0
        self._columns = ReadingColumns(pending, self.qualities)
        self.stack: list[str] = []
        self._entries: list[Entry] = []
        self._open: list[tuple[int, Resource, int]] = []
        self._reading: dict[str, str] | None = None
        self._reading_depth = 0
        self._reading_at = (0, 0)
        self._links: dict[str, str] = {}

    def start(self, tag: str, attributes: Attributes, where: Where) -> None:
        """See :class:`XmlHandler`."""
        if tag == READING:
            self._start_reading(where())
        elif tag in _RESOURCES:
            self._start_resource(tag, where())
        elif tag == "atom:entry":
            self._entries.append(Entry(where()))
        elif len(self.stack) > 1:
            parent = self.stack[-2]
            if tag == "atom:link" and parent == "atom:entry":
                self._link(attributes)
            elif parent == "atom:content" and tag != "atom:feed":
                self._count()
                self.unknown.append((self.records, where(), tag))

    def end(self, tag: str, text: str | None) -> None:
        """See :class:`XmlHandler`."""
        depth = len(self.stack)
        if self._open and depth == self._open[-1][0]:
            self._open.pop()
        elif tag == "atom:entry":
            self._end_entry(self._entries.pop())
        elif self._reading is not None:
            if depth == self._reading_depth:
                self._end_reading()
            else:
                self._reading_field(tag, text)
        elif self._open:
            self._resource_field(tag, text)
        elif self._entries and text and self.stack[-1] == "atom:entry":
            self._entry_field(tag, text.strip())

    def take(self, run: Run) -> None:
        """See :class:`XmlHandler`."""
        self._columns.add_run(self.records + 1, self._holder(), run)
        self._count(run.count)
        self.readings += run.count

    def finish(self, name: str) -> None:
        """The document has ended; raises :class:`RefusedFile` where it held no record."""
        if not self.records:
            raise RefusedFile(f"{name}: holds no Green Button resource; is it an ESPI file?")
        self._columns.flush()

    def _count(self, records: int = 1) -> None:
        self.records += records
        for entry in self._entries:
            entry.records += records

    def _holder(self) -> int:
        """The block that is open innermost, by number; -1 for none."""
        if self._open and self._open[-1][1].kind == BLOCK:
            return self._open[-1][2]
        return -1

    def _start_resource(self, tag: str, offset: int) -> None:
        self._count()
        if self._reading is not None:
            self._reading["structure"] = "holds a resource"
        entry = self._entries[-1] if self._entries else None
        within = self._open[-1][1] if self._open else None
        resource = Resource(tag, self.records, offset, entry, within)
        place = len(self.resources)
        if tag == BLOCK:
            place = len(self.blocks)
            block = Block(self.records, offset, within, entry)
            self.blocks.append(block)
            self.block_start.append(NONE)
            self.block_seconds.append(NONE)
            if entry is not None:
                entry.blocks.append(block)
        else:
            self.resources.append(resource)
            if entry is not None:
                entry.resources += 1
        self._open.append((len(self.stack) - 1, resource, place))

    def _resource_field(self, tag: str, text: str | None) -> None:
        depth, resource, place = self._open[-1]
        path = "/".join([*self.stack[depth + 1 :], tag])
        if resource.kind == BLOCK:
            if path == "interval/start":
                self.block_start[place] = _number(text)
            elif path == "interval/duration":
                self.block_seconds[place] = _number(text)
            return
        if path in resource.fields:
            resource.repeated.add(path)
        elif text is not None and len(resource.fields) < _MOST_FIELDS:
            resource.fields[path] = text.strip()

    def _link(self, attributes: Attributes) -> None:
        entry, relation = self._entries[-1], attributes.get("rel", "").strip().lower()
        link = normal_link(attributes.get("href", ""))
        # Blocks share the link upwards; one text for all of them.
        link = self._links.setdefault(link, link) if relation == "up" and len(self._links) < 100_000 else link
        if relation == "self":
            entry.self_link = link
        elif relation == "up":
            entry.up_link = link
        elif relation == "related" and link:
            entry.related.append(link)

    def _entry_field(self, tag: str, text: str) -> None:
        entry = self._entries[-1]
        if tag == "atom:id":
            entry.id = text
        elif tag == "atom:title":
            entry.title = text
        elif tag == "atom:updated":
            entry.updated = text

    def _end_entry(self, entry: Entry) -> None:
        if not entry.records:
            self._count()
            self.unknown.append((self.records, entry.offset, EMPTY_ENTRY))
        changed = utc_microseconds(entry.updated)
        for block in entry.blocks:
            block.up_link, block.updated = entry.up_link, changed
            # A block's own link says more than the one upwards only where it does not lie below it.
            if not entry.up_link or not entry.self_link.startswith(f"{entry.up_link}/"):
                block.self_link = entry.self_link
            block.entry = entry if entry.resources else None
        entry.blocks = []

    def _start_reading(self, offset: int) -> None:
        self._count()
        self.readings += 1
        if self._reading is not None:
            self._reading["structure"] = "holds a reading"
            self._columns.add(self.records, offset, -1, BAD_STRUCTURE, {})
            return
        self._reading = {}
        self._reading_at = (self.records, offset)
        self._reading_depth = len(self.stack) - 1

    def _reading_field(self, tag: str, text: str | None) -> None:
        assert self._reading is not None
        level = len(self.stack) - self._reading_depth
        name = LEAVES.get(tag) if level == 1 else None
        if level == 2:
            name = INNER.get((self.stack[-1], tag))
        if name is None:
            return
        if text is None or (name in self._reading and name != "quality"):
            self._reading["structure"] = name
        elif name in self._reading:
            self._reading[name] += f" {text.strip()}"
        else:
            self._reading[name] = text.strip()

    def _end_reading(self) -> None:
        reading, self._reading = self._reading, None
        assert reading is not None
        holder = self._holder()
        rule = BAD_STRUCTURE if "structure" in reading else FINE if holder >= 0 else ORPHAN
        self._columns.add(*self._reading_at, holder, rule, reading)
