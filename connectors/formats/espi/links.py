"""What belongs to what in an ESPI feed: by containment, by links, by the paths of links.

Belongs here: resources → series, and why a resource is no use. Does not belong here: readings.

A child is found, in this order: inside its parent's element; by a ``related`` link of the parent to the child
itself or to the collection it is in (its ``up``); by its path, which is that of its parent and more; in the
same entry. Where parents lead to different series the child is quarantined, not assigned.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from connectors.formats.espi.codes import ELECTRICITY
from connectors.formats.espi.feed import (
    METER_READING,
    READING_TYPE,
    USAGE_POINT,
    Block,
    Entry,
    Feed,
    Resource,
)
from connectors.formats.espi.settings import EspiSettings
from connectors.formats.meter_xml.codes import ACCUMULATIONS, NET, UNITS, direction_of
from connectors.formats.meter_xml.currencies import currency_of
from connectors.formats.meter_xml.pending import NONE
from connectors.formats.meter_xml.settle import Series

REASONS = {
    "orphan": "no element around it and no link says what it belongs to",
    "ambiguous_link": "its links lead to several things that differ",
    "parent_quarantined": "what it belongs to, or what gives its unit, is in quarantine",
    "no_service_point": "the setting 'service_point' finds no identifier in it",
    "no_unit": "it has no unit of measure (uom), and the settings give none",
    "unknown_unit": "its unit of measure (uom) is none that reads are stored in",
    "bad_reading_type": "a code of it is no number, or given twice, or its multiplier is beyond all measure",
    "unknown_accumulation": "its accumulationBehaviour is none that can be turned into reads",
    "no_reading_type": "no link leads to its ReadingType",
    "block_interval": "its readings do not fill the interval that it declares",
    "bad_offset": "its offset from UTC is no number of seconds within 14 hours",
    "bad_summary": "its period or its consumption is no number, or its unit is not known",
    "empty_entry": "the entry holds no resource",
    "unknown_resource": "the element is no resource of ESPI",
}
_CODES = (
    "uom",
    "powerOfTenMultiplier",
    "accumulationBehaviour",
    "flowDirection",
    "currency",
    "intervalLength",
)
_INTEGER = re.compile(r"[+-]?\d{1,9}")


@dataclass(frozen=True)
class ReadingType:
    """What a ReadingType says of its readings, in our words; ``rule`` where that is not enough."""

    rule: str = ""
    uom: int = 0
    unit: str = ""
    exponent: int = 0
    kind: int = 0
    flow: int = 0
    currency: str | None = None
    seconds: int = NONE
    quality: str = ""


class _Index:
    """Resources of one kind by their links."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self.by_self: dict[str, list[Resource]] = {}
        self.by_related: dict[str, list[Resource]] = {}
        self.by_entry: dict[int, list[Resource]] = {}
        for resource in resources:
            entry = resource.entry
            if entry is None:
                continue
            self.by_entry.setdefault(id(entry), []).append(resource)
            if entry.self_link:
                self.by_self.setdefault(entry.self_link, []).append(resource)
            for link in entry.related:
                self.by_related.setdefault(link, []).append(resource)

    def parents(
        self, kind: str, within: Resource | None, up_link: str, self_link: str, entry: Entry | None
    ) -> list[Resource]:
        """The candidates found by the first way that finds any."""
        while within is not None:
            if within.kind == kind:
                return [within]
            within = within.within
        related = [*self.by_related.get(up_link, ()), *self.by_related.get(self_link, ())]
        if related:
            return related
        for path in _above(up_link or self_link):
            if path in self.by_self:
                return self.by_self[path]
        return self.by_entry.get(id(entry), []) if entry is not None else []


class Links:
    """The series of a feed, and the series of each of its blocks."""

    def __init__(self, feed: Feed, settings: EspiSettings) -> None:
        self._settings = settings
        self._flags = settings.flags()
        self.series: list[Series] = []
        self.rules: dict[int, str] = {}
        """The rule that a resource breaks, by its record number."""
        by_kind: dict[str, list[Resource]] = {}
        for resource in feed.resources:
            by_kind.setdefault(resource.kind, []).append(resource)
        self._points = _Index(by_kind.get(USAGE_POINT, ()))
        self._readings = _Index(by_kind.get(METER_READING, ()))
        self._types = _Index(by_kind.get(READING_TYPE, ()))
        self._point_ids = {id(point): self._point_id(point) for point in by_kind.get(USAGE_POINT, ())}
        self._read_types = {id(one): self._reading_type(one) for one in by_kind.get(READING_TYPE, ())}
        self._types_within: dict[int, list[Resource]] = {}
        for one in by_kind.get(READING_TYPE, ()):
            if one.within is not None:
                self._types_within.setdefault(id(one.within), []).append(one)
        self._numbers: dict[tuple[str, str, ReadingType], int] = {}
        self._series_of = {id(one): self._meter_reading(one) for one in by_kind.get(METER_READING, ())}

    def block_series(self, blocks: list[Block]) -> npt.NDArray[np.int32]:
        """The number of the series by block, -1 where there is none."""
        found = np.full(len(blocks), -1, dtype=np.int32)
        known: dict[tuple[int, str, str, int], int | str] = {}
        for number, block in enumerate(blocks):
            key = (id(block.within), block.up_link, block.self_link, id(block.entry))
            if key not in known:
                parents = self._readings.parents(
                    METER_READING, block.within, block.up_link, block.self_link, block.entry
                )
                known[key] = self._one_series(parents)
            series = known[key]
            if isinstance(series, str):
                self.rules[block.record_no] = series
            else:
                found[number] = series
        return found

    def service_point_of(self, resource: Resource) -> tuple[str, str]:
        """The identifier of the usage point that a resource belongs to, and the rule where it has none."""
        up_link, self_link = _links(resource.entry)
        points = self._points.parents(USAGE_POINT, resource.within, up_link, self_link, resource.entry)
        found = {self._point_ids[id(point)] for point in points}
        if len(found) != 1:
            return "", "ambiguous_link" if found else "orphan"
        (one,) = found
        return one, "" if one else "parent_quarantined"

    def _one_series(self, readings: list[Resource]) -> int | str:
        found = {self._series_of[id(reading)] for reading in readings}
        if len(found) != 1:
            return "ambiguous_link" if found else "orphan"
        (one,) = found
        return one if one >= 0 else "parent_quarantined"

    def _meter_reading(self, resource: Resource) -> int:
        point, rule = self.service_point_of(resource)
        read_type = self._type_of(resource)
        rule = rule or (read_type if isinstance(read_type, str) else read_type.rule and "parent_quarantined")
        if rule or isinstance(read_type, str):
            self.rules[resource.record_no] = rule
            return -1
        _, self_link = _links(resource.entry)
        match = re.search(self._settings.register_pattern, self_link)
        # A link of an entry that holds several resources names none of them.
        is_own = resource.entry is not None and resource.entry.resources == 1
        register = match[1] if match else self_link if is_own else ""
        register = register or f"{read_type.uom}.{read_type.flow}"
        key = (point, register, read_type)
        if key not in self._numbers:
            self._numbers[key] = len(self.series)
            self.series.append(self._make_series(resource, point, register, read_type))
        return self._numbers[key]

    def _make_series(self, resource: Resource, point: str, register: str, read_type: ReadingType) -> Series:
        default = self._settings.default_direction
        if self._service_kind(resource) not in ("", ELECTRICITY):
            default = "import"
        direction = direction_of(read_type.flow, read_type.uom, default)
        return Series(
            service_point=point,
            register=register,
            meter=None,
            direction=direction,
            unit=read_type.unit,
            exponent=read_type.exponent,
            kind=read_type.kind,
            may_fall=direction.endswith(NET),
            quality=read_type.quality or self._settings.default_quality,
            currency=read_type.currency,
            seconds=read_type.seconds,
        )

    def _service_kind(self, resource: Resource) -> str:
        up_link, self_link = _links(resource.entry)
        points = self._points.parents(USAGE_POINT, resource.within, up_link, self_link, resource.entry)
        return points[0].fields.get("ServiceCategory/kind", "") if points else ""

    def _type_of(self, reading: Resource) -> ReadingType | str:
        """The ReadingType of a MeterReading, or the rule it breaks by having none or several."""
        types = list(self._types_within.get(id(reading), ()))
        related = reading.entry.related if reading.entry is not None else []
        if not types:
            types = [one for link in related for one in self._types.by_self.get(link, ())]
        if not types and reading.entry is not None:
            types = self._types.by_entry.get(id(reading.entry), [])
        found = {self._read_types[id(one)] for one in types}
        if len(found) != 1:
            return "ambiguous_link" if found else "no_reading_type"
        return found.pop()

    def _reading_type(self, resource: Resource) -> ReadingType:
        read_type = self._parse_type(resource)
        if read_type.rule:
            self.rules[resource.record_no] = read_type.rule
        return read_type

    def _parse_type(self, resource: Resource) -> ReadingType:
        codes: dict[str, int] = {}
        texts = {**{key: str(code) for key, code in self._settings.reading_type_defaults.items()}}
        texts |= {key: text for key, text in resource.fields.items() if text}
        for key in _CODES:
            text = texts.get(key, "0")
            if _INTEGER.fullmatch(text) is None:
                return ReadingType(rule="bad_reading_type")
            codes[key] = int(text)
        uom, accumulation = codes["uom"], codes["accumulationBehaviour"]
        if resource.repeated.intersection(_CODES) or abs(codes["powerOfTenMultiplier"]) > 24:
            return ReadingType(rule="bad_reading_type")
        if uom not in UNITS:
            return ReadingType(rule="unknown_unit" if uom else "no_unit")
        if accumulation not in ACCUMULATIONS:
            return ReadingType(rule="unknown_accumulation")
        unit, exponent = UNITS[uom]
        return ReadingType(
            uom=uom,
            unit=unit,
            exponent=exponent + codes["powerOfTenMultiplier"],
            kind=ACCUMULATIONS[accumulation],
            flow=codes["flowDirection"],
            currency=currency_of(codes["currency"]),
            seconds=codes["intervalLength"] if codes["intervalLength"] > 0 else NONE,
            quality=self._flags.get(texts.get("defaultQuality", ""), ""),
        )

    def _point_id(self, point: Resource) -> str:
        entry = point.entry
        text = {
            "self": entry.self_link if entry else "",
            "id": entry.id if entry else "",
            "title": entry.title if entry else "",
            "mrid": point.fields.get("mRID", "") or point.fields.get("ServiceDeliveryPoint/mRID", ""),
        }[self._settings.service_point]
        match = re.search(self._settings.service_point_pattern, text)
        found = (match[1] or "").strip() if match else ""
        if not found:
            self.rules[point.record_no] = "no_service_point"
        return found


def _links(entry: Entry | None) -> tuple[str, str]:
    """``up`` and ``self`` of an entry."""
    return (entry.up_link, entry.self_link) if entry is not None else ("", "")


def _above(path: str) -> Iterator[str]:
    """A path and those above it, the nearest first; at most eight."""
    for _ in range(8):
        if not path:
            return
        yield path
        path = path.rpartition("/")[0]
