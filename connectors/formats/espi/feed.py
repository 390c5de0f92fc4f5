"""An ESPI feed as it is read: its entries, its resources and the columns of its readings.

Belongs here: taking the document apart, record by record. Does not belong here: what belongs to what
(``links``), and what a reading is worth (``decoder``).

A record is an IntervalReading, a resource (UsagePoint, MeterReading, ReadingType, IntervalBlock,
LocalTimeParameters, a usage summary) wherever it stands, any other element directly in an entry's content,
and an entry without any of these. They are numbered in the order in which they begin.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from connectors.formats.base import RefusedFile
from connectors.formats.digits import parse_scaled
from connectors.formats.meter_xml.pending import (
    NONE,
    Pending,
    Qualities,
    Spans,
    as_spans,
    read_numbers,
    utc_microseconds,
)
from connectors.formats.meter_xml.rules import BAD_STRUCTURE, FINE, ORPHAN
from connectors.formats.meter_xml.runs import Run
from connectors.formats.meter_xml.stream import Attributes
from connectors.formats.text_lines import Bytes

_ATOM, _ESPI, _CUSTOMER = (
    "http://www.w3.org/2005/Atom",
    "http://naesb.org/espi",
    "http://naesb.org/espi/customer",
)
READING, BLOCK = "IntervalReading", "IntervalBlock"
USAGE_POINT, METER_READING, READING_TYPE = "UsagePoint", "MeterReading", "ReadingType"
LOCAL_TIME = "LocalTimeParameters"
SUMMARIES = ("ElectricPowerUsageSummary", "UsageSummary")
_RESOURCES = frozenset((BLOCK, USAGE_POINT, METER_READING, READING_TYPE, LOCAL_TIME, *SUMMARIES))
OTHER_RESOURCES = frozenset(
    ("ElectricPowerQualitySummary", "ApplicationInformation", "Authorization", "Subscription", "BatchList",
     "ServiceStatus")
)  # fmt: skip
"""Known resources that hold nothing for a table of reads; so are all of the retail customer's schema."""
_FIELDS = {"timePeriod/start": "time", "timePeriod/duration": "seconds", "value": "value", "cost": "cost",
           "currency": "currency", "ReadingQuality/quality": "quality"}  # fmt: skip
_NUMBERS = ("time", "seconds", "value", "cost", "currency")
_SLOW_ROWS = 8192
_MOST_FIELDS = 256
EMPTY_ENTRY = "empty_entry"


_HOST = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/]*")


def normal_link(text: str) -> str:
    """A link without host and trailing slash: custodians mix whole addresses with paths."""
    return _HOST.sub("", text.strip()).rstrip("/")


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
    """A resource, the entry and the resource it stands in, and its texts by path."""

    kind: str
    record_no: int
    offset: int
    entry: Entry | None
    within: Resource | None
    fields: dict[str, str] = field(default_factory=dict)
    is_broken: bool = False


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
    start: str = ""
    seconds: str = ""


class Feed:
    """The handler of one document."""

    def __init__(self, pending: Pending) -> None:
        self.qualities = Qualities()
        self.resources: list[Resource] = []
        self.blocks: list[Block] = []
        self.unknown: list[tuple[int, int, str]] = []
        self.records = 0
        self.readings = 0
        self._pending = pending
        self._stack: list[str] = []
        self._entries: list[Entry] = []
        self._open: list[tuple[int, Resource, int]] = []
        self._reading: dict[str, str] | None = None
        self._reading_depth = 0
        self._slow: list[tuple[int, int, int, int, dict[str, str]]] = []
        self._runs: list[tuple[int, int, Run]] = []
        self._links: dict[str, str] = {}

    def start(self, tag: str, attributes: Attributes, offset: int) -> None:
        """See :class:`XmlHandler`."""
        parent = self._stack[-1] if self._stack else ""
        self._stack.append(tag)
        if tag == READING:
            self._start_reading(offset)
        elif tag in _RESOURCES:
            self._start_resource(tag, offset)
        elif tag == "atom:entry":
            self._entries.append(Entry(offset))
        elif tag == "atom:link" and parent == "atom:entry":
            self._link(attributes)
        elif parent == "atom:content" and tag not in ("atom:feed", "atom:entry"):
            self._count()
            self.unknown.append((self.records, offset, tag))

    def end(self, tag: str, text: str | None) -> None:
        """See :class:`XmlHandler`."""
        self._stack.pop()
        depth = len(self._stack)
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
        elif self._entries and text and self._stack[-1] == "atom:entry":
            self._entry_field(tag, text.strip())

    def take(self, run: Run) -> None:
        """See :class:`XmlHandler`."""
        self._flush_slow()
        if self._runs and self._runs[-1][2].view is not run.view:
            self._flush_runs()
        self._runs.append((self.records + 1, self._holder(), run))
        self._count(run.count)
        self.readings += run.count

    def finish(self, name: str) -> None:
        """The document has ended; raises :class:`RefusedFile` where it held no record."""
        if not self.records:
            raise RefusedFile(f"{name}: holds no Green Button resource; is it an ESPI file?")
        self._flush_slow()
        self._flush_runs()

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
            if entry is not None:
                entry.blocks.append(block)
        else:
            self.resources.append(resource)
            if entry is not None:
                entry.resources += 1
        self._open.append((len(self._stack) - 1, resource, place))

    def _resource_field(self, tag: str, text: str | None) -> None:
        depth, resource, place = self._open[-1]
        path = "/".join([*self._stack[depth + 1 :], tag])
        if resource.kind == BLOCK:
            block = self.blocks[place]
            if path == "interval/start":
                block.start = (text or "").strip()
            elif path == "interval/duration":
                block.seconds = (text or "").strip()
            return
        if path in resource.fields:
            resource.is_broken = True
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
            self._slow.append((self.records, offset, -1, BAD_STRUCTURE, {}))
            return
        self._reading = {"offset": str(offset), "record_no": str(self.records)}
        self._reading_depth = len(self._stack) - 1

    def _reading_field(self, tag: str, text: str | None) -> None:
        assert self._reading is not None
        name = _FIELDS.get("/".join([*self._stack[self._reading_depth + 1 :], tag]))
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
        if not self._slow:
            self._flush_runs()
        self._slow.append((int(reading["record_no"]), int(reading["offset"]), holder, rule, reading))
        if len(self._slow) >= _SLOW_ROWS:
            self._flush_slow()

    def _flush_slow(self) -> None:
        rows, self._slow = self._slow, []
        if not rows:
            return
        spans = {}
        texts: list[str | None] = []
        for name in _NUMBERS:
            texts += [row[4].get(name) for row in rows]
        view, (starts, ends) = as_spans(texts)
        for i, name in enumerate(_NUMBERS):
            part = slice(i * len(rows), (i + 1) * len(rows))
            spans[name] = (starts[part], ends[part])
        found = read_numbers(view, spans, len(rows))
        found["updated"] = np.full(len(rows), NONE, dtype=np.int64)
        number = self.qualities.number
        found["quality"] = np.array([number(row[4].get("quality", "")) for row in rows], dtype=np.int32)
        for i, name in enumerate(("record_no", "offset", "holder")):
            found[name] = np.array([row[i] for row in rows], dtype=np.int64)
        own = np.array([row[3] for row in rows], dtype=np.int8)
        found["rule"] = np.where(own != FINE, own, found["rule"])
        self._pending.add(found)

    def _flush_runs(self) -> None:
        runs, self._runs = self._runs, []
        if not runs:
            return
        view = runs[0][2].view
        counts = [run.count for _, _, run in runs]
        count = sum(counts)
        spans = {}
        for path, name in _FIELDS.items():
            if any(path in run.fields for _, _, run in runs):
                given = [run.fields.get(path) or _absent(run.count) for _, _, run in runs]
                spans[name] = (
                    np.concatenate([starts for starts, _ in given]),
                    np.concatenate([ends for _, ends in given]),
                )
        found = read_numbers(view, spans, count)
        found["updated"] = np.full(count, NONE, dtype=np.int64)
        found["record_no"] = np.concatenate([np.arange(run.count) + first for first, _, run in runs])
        found["offset"] = np.concatenate([run.offsets for _, _, run in runs])
        found["holder"] = np.repeat(np.array([holder for _, holder, _ in runs]), counts)
        found["quality"] = self._run_qualities(view, spans, count)
        self._pending.add(found)

    def _run_qualities(self, view: Bytes, spans: Mapping[str, Spans], count: int) -> npt.NDArray[np.int32]:
        """Numbers of the qualities of a run, whose codes are whole numbers."""
        if "quality" not in spans:
            return np.zeros(count, dtype=np.int32)
        starts, ends = spans["quality"]
        codes, bad = parse_scaled(view, starts, ends, 0)
        codes = np.where(bad, np.where(starts == ends, -1, -2), codes)
        known, inverse = np.unique(codes, return_inverse=True)
        number = self.qualities.number
        numbers = [number("" if code == -1 else "?" if code < 0 else str(code)) for code in known.tolist()]
        return np.array(numbers, dtype=np.int32)[inverse]


def _absent(count: int) -> Spans:
    """Empty texts."""
    none = np.zeros(count, dtype=np.int64)
    return none, none
