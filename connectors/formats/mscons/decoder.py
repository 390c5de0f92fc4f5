"""EDIFACT MSCONS: the settings' effect and the account of one file.

Belongs here: the walk through the blocks of a file, what belongs to what, what goes to quarantine. Does not
belong here: delimiters and times (``syntax``), codes (``codes``), the rows themselves (``quantities``).

A physical record is a segment, UNA included. What is taken and what is not:

- The counts and references of UNT, UNE and UNZ are control totals: one that is wrong refuses the file, as
  does a segment outside of the envelopes. A file may hold several interchanges, each with its own UNA.
- A message that is not MSCONS goes to quarantine whole, an unknown segment alone.
- A QTY stands or falls with the DTM and STS segments behind it, and falls with its LOC. With a begin and an
  end (DTM+163 and 164, or DTM+324) of at most ``longest_interval_seconds`` it is an interval read, over more
  it is a quantity of ``register_reads``; with one time alone (DTM+9, 7 or 163) it is the read of a dial.
- ``register_id`` is the product of PIA+5 (an OBIS number), or that of LIN where there is no PIA.
- The unit is that of QTY, else the one its OBIS number implies; power is not made into energy.
- The decimal mark is the one that UNA declares, and no other; point or comma where there is no UNA.
- A cancelling message (BGM with function 1) withdraws values: its reads have flag N and no value.
- ``quality_method`` is the qualifier of QTY, ``reason_text`` what STS says (category:reason), ``updated_at``
  the time of the message (DTM+137).
- A local time without offset that the clock shows twice is the first pass; the second one where it is said a
  second time under the same LIN and qualifier.
"""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.formats.base import DecodeResult, Format, Settings, TableSink
from connectors.formats.columns import TIMESTAMP, BoolMask, as_mask
from connectors.formats.mscons.codes import Codes, MsconsSettings
from connectors.formats.mscons.quantities import Quantities
from connectors.formats.mscons.syntax import EdifactSyntax, envelope, read_times
from connectors.formats.reads import INTERVAL_READS, REGISTER_READS
from connectors.formats.segments.account import Verdicts
from connectors.formats.segments.scan import Segments, Tags
from connectors.formats.segments.stream import read_segments
from connectors.formats.segments.times import timestamps
from connectors.formats.segments.trail import Trail
from connectors.formats.text_lines import Ints

TAGS = Tags(
    ["UNA", "UNB", "UNG", "UNH", "BGM", "DTM", "RFF", "NAD", "CTA", "COM", "UNS", "LOC", "CCI", "CAV", "LIN",
     "PIA", "IMD", "QTY", "STS", "MEA", "FTX", "PRI", "CUX", "ALI", "EQD", "CNT", "UNT", "UNE", "UNZ"]
)  # fmt: skip
_CHILDREN = ("DTM", "STS")

_REASONS = {
    "unknown_message": "the message is not an MSCONS",
    "unknown_segment": "the tag is not one of an MSCONS message",
    "parent_quarantined": "the segment it belongs to is in quarantine",
    "no_service_point": "no metering point is given, or an empty one",
    "no_register": "neither PIA nor LIN says what was measured",
    "unknown_qualifier": "the qualifier of the quantity is not known; see the setting quantity_qualifiers",
    "bad_value": "the value is not a number with the declared decimal mark and at most 6 decimals",
    "unknown_unit": "the unit is not known; see the setting units",
    "bad_time": "a time is not one of its format, or does not exist in the time zone",
    "no_time": "neither begin and end nor a time of reading is given",
    "duplicate_time": "a time is given twice",
    "bad_interval": "the interval does not end after it begins; see the setting interval_seconds",
}


def schema(settings: Settings) -> dict[str, pa.Schema]:
    """Interval reads and register reads."""
    Codes(settings)
    return {"interval_reads": INTERVAL_READS, "register_reads": REGISTER_READS}


def decode(stream: BinaryIO, settings: Settings, sink: TableSink, name: str) -> DecodeResult:
    """Decode one file; see :func:`connectors.formats.decode`."""
    codes, result, checks = Codes(settings), DecodeResult(), envelope(name)
    walk = _Walk(codes, result, sink)
    for segments in read_segments(stream, EdifactSyntax(), _whole_groups, name):
        is_inside = checks.take(segments)
        walk.take(segments, np.flatnonzero(is_inside))
    result.control_totals = checks.finish()
    return result


def _whole_groups(segments: Segments) -> int:
    """All but the last group: what follows it may belong to it."""
    openers = np.flatnonzero(~_is_child(TAGS.of(segments)))
    return int(openers[-1]) if len(openers) else 0


def _is_child(kind: Ints) -> BoolMask:
    found: BoolMask = np.isin(kind, [TAGS[tag] for tag in _CHILDREN])
    return found


class _Walk:
    """What holds along the file, carried from block to block."""

    def __init__(self, codes: Codes, result: DecodeResult, sink: TableSink) -> None:
        self.codes = codes
        self.result = result
        self.sink = sink
        self._is_foreign = Trail(pa.bool_())
        self._is_cancelling = Trail(pa.bool_())
        self._updated = Trail(TIMESTAMP)
        self._point, self._serial, self._register = (Trail(pa.string()) for _ in range(3))
        self._line = Trail(pa.int64())
        self._quantities = Quantities(codes)

    def take(self, segments: Segments, inside: Ints) -> None:
        """Account for one block and write its rows."""
        count, kind = len(segments), TAGS.of(segments)
        verdicts = Verdicts(count, _REASONS)
        rows = {tag: np.flatnonzero(kind == TAGS[tag]) for tag in TAGS.names if tag}
        self._judge_messages(segments, inside, rows["UNH"], verdicts)
        verdicts.fail(inside[kind[inside] == 0], "unknown_segment")
        opener = np.maximum.accumulate(np.where(_is_child(kind), -1, np.arange(count)))
        owned = opener >= 0
        is_of_quantity = owned & (kind[np.maximum(opener, 0)] == TAGS["QTY"])
        self._follow_header(segments, rows, rows["DTM"][~is_of_quantity[rows["DTM"]]], verdicts)
        self._follow_points(segments, rows, verdicts)
        quantities = rows["QTY"]
        points, register = self._point.at(quantities), self._register.at(quantities)
        verdicts.fail(quantities[as_mask(pc.equal(points, ""))], "parent_quarantined")
        verdicts.fail(quantities[as_mask(points.is_null())], "no_service_point")
        verdicts.fail(quantities[as_mask(pc.equal(pc.fill_null(register, ""), ""))], "no_register")
        texts = {
            "service_point_id": points,
            "register_id": register,
            "meter_serial": self._serial.at(quantities),
            "updated_at": self._updated.at(quantities),
        }
        children = {tag: rows[tag][is_of_quantity[rows[tag]]] for tag in _CHILDREN}
        batches = self._quantities.read(
            segments, quantities, texts, children, opener,
            as_mask(self._is_cancelling.at(quantities)), self._line.at(quantities), verdicts,
        )  # fmt: skip
        for table, batch in batches:
            self.result.write(self.sink, table, batch)
        child = np.flatnonzero(owned & _is_child(kind))
        parent = opener[child]
        is_lost = verdicts.is_bad(parent) & ((kind[parent] == TAGS["QTY"]) | (kind[parent] == 0))
        verdicts.fail(child[is_lost], "parent_quarantined")
        verdicts.settle(self.result, self.sink, segments, TAGS)

    def _judge_messages(self, segments: Segments, inside: Ints, heads: Ints, verdicts: Verdicts) -> None:
        foreign = pc.not_equal(segments.text(heads, 2), "MSCONS")
        self._is_foreign.follow(heads, foreign, heads, len(segments))
        verdicts.fail(inside[as_mask(self._is_foreign.at(inside))], "unknown_message")

    def _follow_header(
        self, segments: Segments, rows: dict[str, Ints], times: Ints, verdicts: Verdicts
    ) -> None:
        """The function and the time of a message."""
        count, heads = len(segments), rows["UNH"]
        cancels = pc.equal(segments.text(rows["BGM"], 3), "1")
        self._is_cancelling.follow(rows["BGM"], cancels, heads, count)
        made = times[segments.equals(times, ("137",), 1) >= 0]
        utc, _, bad = read_times(segments, made, self.codes.time_zone)
        verdicts.fail(made[bad], "bad_time")
        self._updated.follow(made, timestamps(utc, bad), heads, count)

    def _follow_points(self, segments: Segments, rows: dict[str, Ints], verdicts: Verdicts) -> None:
        """The metering point, its meter, the line and what is measured: each until the next of its kind."""
        settings, count, encoding = self.codes.settings, len(segments), self.codes.settings.encoding
        places = rows["LOC"]
        is_point = segments.equals(places, settings.location_qualifiers, 1) >= 0
        heads = np.union1d(rows["UNH"], rows["NAD"])
        points, others = places[is_point], places[~is_point]
        above = np.union1d(heads, points)
        self._line.follow(rows["LIN"], pa.array(segments.number[rows["LIN"]]), above, count)
        # Another place behind a line begins a group of its own, that of no metering point.
        others = others[as_mask(self._line.at(others).is_valid())]
        above = np.union1d(above, others)
        ids = segments.text(points, 2, 0, encoding)
        verdicts.fail(points[as_mask(pc.equal(ids, ""))], "no_service_point")
        self._point.follow(points, ids, np.union1d(heads, others), count)
        references = rows["RFF"]
        references = references[segments.equals(references, settings.serial_qualifiers, 1) >= 0]
        self._serial.follow(references, segments.text(references, 1, 1, encoding), above, count)
        products = rows["PIA"][segments.equals(rows["PIA"], ("5",), 1) >= 0]
        setters = np.concatenate([rows["LIN"], products])
        order = np.argsort(setters)
        codes = pa.concat_arrays([segments.text(rows["LIN"], 3, 0), segments.text(products, 2, 0)])
        self._register.follow(setters[order], codes.take(pa.array(order)), above, count)
        if pc.any(pc.equal(self._point.at(np.arange(count)), "")).as_py():
            parts = [rows[tag] for tag in ("LIN", "PIA", "RFF", "CCI", "CAV", "IMD")]
            children = np.sort(np.concatenate(parts))
            children = children[as_mask(pc.equal(self._point.at(children), ""))]
            verdicts.fail(children, "parent_quarantined")


FORMAT = Format(
    name="mscons",
    version="1",
    description="EDIFACT MSCONS interval values, quantities and dial reads",
    decode=decode,
    schema=schema,
    settings=MsconsSettings,
)
"""Registered as ``mscons``."""
