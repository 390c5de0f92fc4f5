"""A MeterReadings message as it is read: meters, blocks and the columns of their readings.

Belongs here: taking the document apart, record by record. Does not belong here: what a reading type or a
quality means (``codes``), and what a reading is worth (``decoder``).

A record is a MeterReading, an IntervalBlocks, an IntervalReadings, a Readings and an EndDeviceEvents element,
wherever it stands. They are numbered in the order in which they begin.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.formats.base import RefusedFile
from connectors.formats.columns import TIMESTAMP, BoolMask, parse_text
from connectors.formats.iec61968.settings import Iec61968Settings
from connectors.formats.meter_xml.pending import (
    LATEST,
    MICROSECONDS,
    MOST_SECONDS,
    NONE,
    Pending,
    Qualities,
    as_spans,
    read_numbers,
    utc_microseconds,
)
from connectors.formats.meter_xml.rules import BAD_SECONDS, BAD_STRUCTURE, BAD_TIME, FINE, ORPHAN
from connectors.formats.meter_xml.runs import Run
from connectors.formats.meter_xml.stream import Attributes, Where
from connectors.formats.text_lines import Ints

METER_READINGS, METER_READING, BLOCK = "MeterReadings", "MeterReading", "IntervalBlocks"
READING, REGISTER, EVENT = "IntervalReadings", "Readings", "EndDeviceEvents"
_FIELDS = {"timeStamp": "time", "value": "value", "reportedDateTime": "reported", "timePeriod/start": "from",
           "timePeriod/end": "to"}  # fmt: skip
_QUALITY = "ReadingQualities/ReadingQualityType"
_TIMES = ("time", "from", "to", "reported")
_ROWS = 8192
_MOST_NAMES = 64
_OFFSET = r"(Z|[+-]\d{2}:?\d{2})$"


def tags(settings: Iec61968Settings) -> Callable[[str, str], str]:
    """Names of elements: the local one in namespaces of the IEC, of the settings, and in none."""
    own = set(settings.namespaces)

    def tag_of(namespace: str, local: str) -> str:
        is_ours = not namespace or namespace in own or "iec.ch/" in namespace.lower()
        return local if is_ours else f"{{{namespace}}}{local}"

    return tag_of


@dataclass
class Thing:
    """A Meter or a UsagePoint: its identifiers."""

    mrid: str = ""
    serial: str = ""
    names: list[tuple[str, str]] = field(default_factory=list)

    def named(self, name_type: str | None) -> str:
        """The name of a type; without one the only name there is."""
        chosen = [name for name, kind in self.names if name_type is None or kind == name_type]
        return chosen[0] if len(set(chosen)) == 1 else ""


@dataclass
class Group:
    """The open MeterReading; its blocks and registers by number of holder."""

    number: int
    depth: int
    meter: Thing = field(default_factory=Thing)
    point: Thing = field(default_factory=Thing)
    registers: dict[str, int] = field(default_factory=dict)


class Interned:
    """Values, each with a number."""

    def __init__(self) -> None:
        self.values: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, value: str) -> int:
        """The number of a value."""
        found = self._numbers.setdefault(value, len(self.values))
        if found == len(self.values):
            self.values.append(value)
        return found


class Message:
    """The handler of one document. Columns of what it found are arrays, by number of group or holder."""

    def __init__(self, pending: Pending, settings: Iec61968Settings) -> None:
        self.records = 0
        self.counts = dict.fromkeys((METER_READING, BLOCK, READING, REGISTER, EVENT), 0)
        self.qualities = Qualities()
        self.types = Interned()
        self.definitions: dict[str, str] = {}
        self.who: list[tuple[str, str]] = []
        self.group_record, self.group_offset, self.group_who = array("q"), array("q"), array("q")
        self.group_nested = array("b")
        self.holder_record, self.holder_offset = array("q"), array("q")
        self.holder_group, self.holder_type = array("q"), array("q")
        self.holder_is_register = array("b")
        self.holder_updated = array("q")
        self._pending = pending
        self._settings = settings
        self.stack: list[str] = []
        self._seen = False
        self._group: Group | None = None
        self._block: tuple[int, int] | None = None
        self._reading: dict[str, str] | None = None
        self._reading_depth = 0
        self._rows: list[tuple[int, int, int, int, dict[str, str]]] = []
        self._who_numbers: dict[tuple[str, str], int] = {}
        self._created = NONE
        self._defined = ["", ""]

    def start(self, tag: str, attributes: Attributes, where: Where) -> None:
        """See :class:`XmlHandler`."""
        depth = len(self.stack) - 1
        parent = self.stack[-2] if depth else ""
        if tag in self.counts:
            self.records += 1
            self.counts[tag] += 1
            self._start_record(tag, where(), depth, parent)
        elif tag == METER_READINGS:
            self._seen = True
        elif tag == "ReadingType":
            self._type_reference(attributes.get("ref", "").strip(), parent)
        elif tag == "ReadingQualityType" and self._reading is not None and parent == "ReadingQualities":
            self._add_quality(attributes.get("ref", ""))

    def end(self, tag: str, text: str | None) -> None:
        """See :class:`XmlHandler`."""
        depth = len(self.stack)
        if self._reading is not None:
            if depth == self._reading_depth:
                self._end_reading()
            else:
                self._reading_field(tag, text)
        elif self._block is not None and depth == self._block[1]:
            self._block = None
        elif self._group is not None:
            if depth == self._group.depth:
                self._end_group()
            else:
                self._group_field(tag, (text or "").strip())
        elif tag == "Timestamp" and self.stack[-1:] == ["Header"]:
            self._created = utc_microseconds((text or "").strip())
        elif METER_READINGS in self.stack:
            self._definition_field(tag, (text or "").strip())

    def take(self, run: Run) -> None:
        """Never called: runs are not asked for."""
        raise AssertionError("a run of readings came, though none was asked for")

    def finish(self, name: str) -> None:
        """The document has ended; raises :class:`RefusedFile` where it held no MeterReadings."""
        if not self._seen:
            raise RefusedFile(f"{name}: holds no MeterReadings; is it an IEC 61968-9 message?")
        self._flush()

    def _start_record(self, tag: str, offset: int, depth: int, parent: str) -> None:
        if tag in (READING, REGISTER):
            self._start_reading(tag, offset, depth, parent)
            return
        if self._reading is not None and tag != EVENT:
            self._reading["structure"] = tag
        group = self._group
        if tag == METER_READING:
            self.group_record.append(self.records)
            self.group_offset.append(offset)
            self.group_who.append(-1)
            is_outermost = group is None and self._reading is None and self._block is None
            self.group_nested.append(not is_outermost)
            if is_outermost:
                self._group = Group(len(self.group_record) - 1, depth)
        elif tag == BLOCK:
            is_inside = self._is_in_group(depth) and self._block is None
            number = self._hold(offset, group.number if group is not None and is_inside else -1, 0)
            if self._block is None and self._reading is None:
                self._block = (number, depth)

    def _is_in_group(self, depth: int) -> bool:
        """Whether an element that begins at ``depth`` stands directly in the open MeterReading."""
        return self._group is not None and depth == self._group.depth + 1

    def _hold(self, offset: int, group: int, is_register: int) -> int:
        self.holder_record.append(self.records)
        self.holder_offset.append(offset)
        self.holder_group.append(group)
        self.holder_type.append(-1)
        self.holder_is_register.append(is_register)
        self.holder_updated.append(self._created)
        return len(self.holder_record) - 1

    def _start_reading(self, tag: str, offset: int, depth: int, parent: str) -> None:
        if self._reading is not None:
            self._reading["structure"] = tag
            self._rows.append((self.records, offset, -1, BAD_STRUCTURE, {}))
            return
        self._reading = {"offset": str(offset), "record_no": str(self.records), "tag": tag, "type": ""}
        self._reading_depth = depth
        holder = -1
        if tag == READING and self._block is not None and parent == BLOCK:
            holder = self._block[0]
        elif tag == REGISTER and self._is_in_group(depth):
            holder = -2  # known when its reading type is
        self._reading["holder"] = str(holder)

    def _type_reference(self, reference: str, parent: str) -> None:
        if self._reading is not None:
            if parent == REGISTER and self._reading["tag"] == REGISTER:
                self._reading["type"] = reference
        elif self._block is not None:
            if parent == BLOCK:
                self.holder_type[self._block[0]] = self.types.number(reference)
        elif parent == METER_READINGS:
            self._defined = ["", ""]

    def _add_quality(self, reference: str) -> None:
        assert self._reading is not None
        code = "_".join(reference.split()) or "?"
        self._reading["quality"] = f"{self._reading.get('quality', '')} {code}".strip()

    def _reading_field(self, tag: str, text: str | None) -> None:
        assert self._reading is not None
        name = _FIELDS.get("/".join([*self.stack[self._reading_depth + 1 :], tag]))
        if name is None:
            return
        if text is None or name in self._reading:
            self._reading["structure"] = name
        else:
            self._reading[name] = text.strip()

    def _end_reading(self) -> None:
        reading, self._reading = self._reading, None
        assert reading is not None
        holder = int(reading["holder"])
        if holder == -2:
            holder = self._register_holder(reading)
        rule = BAD_STRUCTURE if "structure" in reading else FINE if holder >= 0 else ORPHAN
        self._rows.append((int(reading["record_no"]), int(reading["offset"]), holder, rule, reading))
        if len(self._rows) >= _ROWS:
            self._flush()

    def _register_holder(self, reading: dict[str, str]) -> int:
        """One holder for all registers of a reading type in a MeterReading."""
        assert self._group is not None
        known = self._group.registers
        if reading["type"] not in known:
            known[reading["type"]] = self._hold(int(reading["offset"]), self._group.number, 1)
            self.holder_type[-1] = self.types.number(reading["type"])
        return known[reading["type"]]

    def _group_field(self, tag: str, text: str) -> None:
        assert self._group is not None
        path = self.stack[self._group.depth + 1 :]
        if not path or path[0] not in ("Meter", "UsagePoint") or not text:
            return
        thing = self._group.meter if path[0] == "Meter" else self._group.point
        where = "/".join([*path[1:], tag])
        if where == "mRID":
            thing.mrid = text
        elif where == "serialNumber":
            thing.serial = text
        elif where == "Names/name" and len(thing.names) < _MOST_NAMES:
            thing.names.append((text, ""))
        elif where == "Names/NameType/name" and thing.names:
            thing.names[-1] = (thing.names[-1][0], text)

    def _definition_field(self, tag: str, text: str) -> None:
        """A ReadingType of the message itself: what refers to its mRID means the code it is named by."""
        path = self.stack[self.stack.index(METER_READINGS) + 1 :]
        if path[:1] != ["ReadingType"]:
            if tag == "ReadingType" and all(self._defined) and len(self.definitions) < 10_000:
                self.definitions[self._defined[0]] = self._defined[1]
            return
        if path == ["ReadingType"] and tag == "mRID":
            self._defined[0] = text
        elif path == ["ReadingType", "Names"] and tag == "name":
            self._defined[1] = text

    def _end_group(self) -> None:
        group, self._group = self._group, None
        assert group is not None
        thing = group.point if self._settings.service_point == "usage_point" else group.meter
        wanted = self._settings.service_point_name_type
        point = thing.named(wanted) if wanted is not None else thing.mrid or thing.named(None)
        wanted = self._settings.meter_name_type
        meter = group.meter
        serial = (
            meter.named(wanted) if wanted is not None else meter.serial or meter.named(None) or meter.mrid
        )
        if point:
            number = self._who_numbers.setdefault((point, serial), len(self.who))
            if number == len(self.who):
                self.who.append((point, serial))
            self.group_who[group.number] = number

    def _flush(self) -> None:
        rows, self._rows = self._rows, []
        if not rows:
            return
        count = len(rows)
        view, spans = as_spans([row[4].get("value") for row in rows])
        found = read_numbers(view, {"value": spans}, count)
        texts = pa.array([row[4].get(name) or None for name in _TIMES for row in rows], pa.string())
        times, bad = _times(texts, self._settings.time_zone)
        stamp, begins, ends, found["updated"] = (times[i * count : (i + 1) * count] for i in range(4))
        is_interval = np.array([row[4].get("tag") == READING for row in rows])
        has_period = (begins != NONE) & (ends != NONE)
        by_end = ~is_interval | (self._settings.time_stamp == "end")
        found["time"] = np.where(has_period, np.where(by_end, ends, begins), stamp)
        length = np.where(has_period, ends - begins, 0)
        wrong = has_period & (
            (length <= 0) | (length % MICROSECONDS != 0) | (length > MOST_SECONDS * MICROSECONDS)
        )
        found["seconds"] = np.where(has_period & ~wrong, length // MICROSECONDS, NONE)
        found["rule"][wrong] = BAD_SECONDS
        found["rule"][bad.reshape(4, count).any(axis=0)] = BAD_TIME
        own = np.array([row[3] for row in rows], dtype=np.int8)
        found["rule"] = np.where(own != FINE, own, found["rule"])
        number = self.qualities.number
        found["quality"] = np.array([number(row[4].get("quality", "")) for row in rows], dtype=np.int32)
        for i, name in enumerate(("record_no", "offset", "holder")):
            found[name] = np.array([row[i] for row in rows], dtype=np.int64)
        self._pending.add(found)


def _times(texts: pa.StringArray, time_zone: str | None) -> tuple[Ints, BoolMask]:
    """ISO 8601 times as microseconds since 1970, ``NONE`` for none; and which are wrong or lack an offset."""
    # Some systems write seven decimals, the last of them 0.
    texts = pc.replace_substring_regex(texts, r"(\.\d{6})0+", r"\1")
    values, bad = parse_text(texts, TIMESTAMP, time_zone or "UTC")
    if time_zone is None:
        zoned = pc.fill_null(pc.match_substring_regex(texts, _OFFSET), True)
        bad = bad | ~np.asarray(zoned.to_numpy(zero_copy_only=False), dtype=bool)
    given = np.asarray(values.is_valid().to_numpy(zero_copy_only=False), dtype=bool) & ~bad
    numbers = pc.fill_null(values.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    beyond = given & ((numbers < 0) | (numbers > LATEST))
    return np.where(given & ~beyond, numbers, NONE), bad | beyond
