"""D0010 files: MPANs, their meters, and the reads of their registers, one a line, each below its parent.

Belongs here: the settings, the fields of body records, and the account of one file. Does not belong here:
header, trailer and grouping (``groups``).

What is taken and what is not:

- A physical record is a line with something on it, header and trailer included. The trailer's counts of body
  records and MPAN groups and its file id must hold, or the file is refused; so is a test file.
- State is positional: a 028 belongs to the 026 before it, a 030 to the 028, a 032 or 033 to the 030. A record
  in quarantine takes its children along.
- Reads become ``register_reads`` with ``current_read`` and ``read_to_at``. The catalogue gives local time
  without an offset: in the repeated hour of autumn it is taken as the first pass. The reason code of a 032
  becomes the read's ``reason_code``; 027, 029 and 033 hold nothing of a read and are counted only.
- The quality is that of the reading type; a read of which validation failed (status F of its MPAN, or its own
  flag F) is questionable; a withdrawn one has no value. ``quality_method`` is reading type, status, flag and
  method as they came, with ``/`` between.
- A D0010 does not say what a register counts: ``unit`` and ``direction`` are settings. A register that is
  reset counts demand, in kW.
- Two reads of one register at one moment are both kept: their reading types tell them apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, BinaryIO, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator

from connectors.formats.base import (
    DecodeResult,
    Format,
    FormatSettings,
    RefusedFile,
    Reject,
    Settings,
    TableSink,
    parse_settings,
)
from connectors.formats.columns import BoolMask, as_mask, check_time_zone
from connectors.formats.d0010.groups import (
    BODY,
    DETAIL,
    HEADER,
    METER,
    MORE,
    MPAN,
    READ,
    REASON,
    SITE,
    TRAILER,
    Envelope,
    Part,
    kinds,
)
from connectors.formats.digits import decimal_array
from connectors.formats.local_time import minute_labels, second_parts, zone
from connectors.formats.reads import REGISTER_READS, UNITS, VALUE, Direction, QualityFlag, register_batch
from connectors.formats.text_lines import Fields, Ints, fixed_digits
from connectors.formats.words import decimals, padded

_FLOW = "D0010"
_VERSIONS = ("001", "002")
_FLOW_FIELD, _CREATED, _OPERATIONAL = 2, 7, 11
_WEIGHTS = np.array([3, 5, 7, 13, 17, 19, 23, 29, 31, 37, 41, 43], dtype=np.int64)
_DEMAND = ("kW", 0)
_REASONS = {
    "unknown_record": f"the line is none of {', '.join(BODY)}",
    "orphan": "no record before it that it could belong to",
    "parent_quarantined": "the record it belongs to is in quarantine",
    "bad_text": "a field holds characters beyond ASCII",
    "bad_mpan": "the MPAN core is not thirteen digits of which the last checks the others",
    "bad_status": "the BSC validation status is not V, U or F",
    "no_meter_serial": "the meter's serial number is empty",
    "bad_reading_type": "the reading type is not known; setting 'reading_types' can tell what it is",
    "no_register": "the register id is empty",
    "bad_time": "the reading's time is not one of 14 digits, or never was in the time zone",
    "bad_value": "the reading is missing, is negative, or is no plain number of at most six decimals",
    "bad_flag": "the reading's flag is not T or F",
    "bad_reason": "the reason code is not a number",
}
_RULES = ("", *_REASONS)
_CODE = {rule: code for code, rule in enumerate(_RULES)}


class D0010Settings(FormatSettings):
    """How the reads of one sender are understood."""

    time_zone: str = Field(default="Europe/London", description="zone of reading times, which have no offset")
    header_time_zone: str = Field(default="UTC", description="zone of the creation time in the ZHV header")
    unit: str = Field(default="KWH", description="unit of registers that are not reset")
    direction: Direction = Field(default="import", description="direction of registers that are not reset")
    reading_types: dict[Annotated[str, Field(min_length=1)], QualityFlag] = Field(
        default={"A": "A", "C": "A", "D": "E", "F": "A", "I": "A", "M": "A", "O": "E", "P": "A",
                 "Q": "S", "R": "A", "S": "A", "T": "A", "W": "N", "Z": "A"},
        description="canonical quality flag by reading type (J0171); N has no value",
    )  # fmt: skip
    test_files: Literal["refuse", "take"] = Field(
        default="refuse",
        description="what becomes of a file whose header does not say that it is operational",
    )

    @field_validator("unit")
    @classmethod
    def _known_unit(cls, value: str) -> str:
        if value.upper() not in UNITS:
            raise ValueError(f"'{value}' is not one of {', '.join(UNITS)}")
        return value.upper()


def schema(settings: Settings) -> dict[str, pa.Schema]:
    """Register reads."""
    _checked(settings)
    return {"register_reads": REGISTER_READS}


def _checked(settings: Settings) -> D0010Settings:
    found = parse_settings(D0010Settings, "d0010", settings)
    for name in (found.time_zone, found.header_time_zone):
        check_time_zone(name, "d0010")
    return found


def decode(stream: BinaryIO, settings: Settings, sink: TableSink, name: str) -> DecodeResult:
    """Decode one file; see :func:`connectors.formats.decode`.

    Raises RefusedFile for another flow, a test file, or an envelope that does not hold.
    """
    dialect = _checked(settings)
    result = DecodeResult()
    envelope = Envelope(stream, name)
    created: int | None = None
    for part in envelope.parts():
        created = created if created is not None else _created(envelope.header, dialect, name)
        _take(part, created, dialect, result, sink)
    _created(envelope.header, dialect, name)
    result.control_totals = envelope.totals
    result.records_read += 2
    result.loaded += 2
    result.add_type(HEADER, 1)
    result.add_type(TRAILER, 1)
    return result


def _created(header: list[str], settings: D0010Settings, name: str) -> int:
    """When the file was made, in UTC microseconds; raises RefusedFile for a file that is not to be read."""
    flow = header[_FLOW_FIELD]
    if not flow.startswith(_FLOW) or flow[len(_FLOW) :] not in _VERSIONS:
        raise RefusedFile(f"{name}: the {HEADER} header is not of flow {_FLOW} in version 001 or 002")
    if settings.test_files == "refuse" and header[_OPERATIONAL] not in ("", "OPER"):
        raise RefusedFile(f"{name}: the {HEADER} header marks a test file; see setting 'test_files'")
    text = header[_CREATED].encode("latin-1")
    data = padded(text + bytes(8))
    start, end = np.array([0]), np.array([len(text)])
    label, bad = minute_labels(data, start, end)
    moment, _, missing = zone(settings.header_time_zone).moments(label)
    if bad[0] or missing[0]:
        raise RefusedFile(f"{name}: the creation time in the {HEADER} header is not a time of 14 digits")
    return int(moment[0] * 60 + second_parts(data, start, end)[0]) * 1_000_000


@dataclass
class _Body:
    """Body records of whole groups, and the first rule each broke (0 for none)."""

    part: Part
    fields: Fields
    kind: Ints
    rule: npt.NDArray[np.int8]
    mpan: Ints  # the line of the parent of each level, −1 without one
    meter: Ints
    read: Ints

    def rows(self, kind: int) -> Ints:
        """Lines of one kind."""
        return np.flatnonzero(self.kind == kind)

    def fail(self, rows: Ints, bad: BoolMask, rule: str) -> None:
        """Mark lines; an earlier finding stays."""
        chosen = rows[bad]
        self.rule[chosen[self.rule[chosen] == 0]] = _CODE[rule]

    def text(self, rows: Ints, index: int) -> pa.StringArray:
        """A field as text, trimmed."""
        return self.fields.text(rows, index)


def _take(part: Part, created: int, settings: D0010Settings, result: DecodeResult, sink: TableSink) -> None:
    """Whole groups: rows to the sink, broken records to quarantine."""
    data = padded(part.data)
    kind = kinds(data, part.start, part.end)
    place = np.arange(len(kind))

    def latest(code: int) -> Ints:
        found: Ints = np.maximum.accumulate(np.where(kind == code, place, -1))
        return found

    mpan, meter, read = latest(MPAN), latest(METER), latest(READ)
    meter = np.where(meter > mpan, meter, -1)
    read = np.where((read > meter) & (meter >= 0), read, -1)
    fields = Fields(data, part.start, part.end, "|")
    body = _Body(part, fields, kind, np.zeros(len(kind), np.int8), mpan, meter, read)
    everything = place
    body.fail(everything, kind == 0, "unknown_record")
    high = np.flatnonzero(data >= 0x80)
    beyond = np.searchsorted(high, part.end) > np.searchsorted(high, part.start)
    body.fail(everything, beyond, "bad_text")
    _check_mpans(body)
    _check_meters(body, settings)
    _inherit(body, body.rows(METER), mpan)
    _inherit(body, body.rows(SITE), mpan)
    _inherit(body, body.rows(READ), meter)
    batch = _reads(body, created, settings)
    for code, parent in ((DETAIL, meter), (REASON, read), (MORE, read)):
        _inherit(body, body.rows(code), parent)
    reads = body.rows(READ)
    result.write(sink, "register_reads", batch.filter(pa.array(body.rule[reads] == 0)))
    result.records_read += len(kind)
    result.loaded += int((body.rule == 0).sum())
    for code, name in enumerate(BODY, start=1):
        result.add_type(name, int((kind == code).sum()))
    result.add_type("other", int((kind == 0).sum()))
    for row in np.flatnonzero(body.rule):
        rule = _RULES[body.rule[row]]
        number, offset = int(part.line_no[row]), int(part.offset[row])
        result.reject(sink, Reject(number, offset, part.raw(int(row)), rule, _REASONS[rule]))


def _inherit(body: _Body, rows: Ints, parent: Ints) -> None:
    """Children without a parent, and those whose parent is in quarantine."""
    owner = parent[rows]
    body.fail(rows, owner < 0, "orphan")
    body.fail(rows, (owner >= 0) & (body.rule[owner] != 0), "parent_quarantined")


def _check_mpans(body: _Body) -> None:
    rows = body.rows(MPAN)
    digits, bad = fixed_digits(body.fields.data, *body.fields.trimmed(rows, 1), 13)
    weighted = _WEIGHTS @ digits[:12].astype(np.int64)
    body.fail(rows, bad | (weighted % 11 % 10 != digits[12]), "bad_mpan")
    status = body.text(rows, 2)
    body.fail(rows, ~as_mask(pc.is_in(status, pa.array(["V", "U", "F"]))), "bad_status")


def _check_meters(body: _Body, settings: D0010Settings) -> None:
    rows = body.rows(METER)
    body.fail(rows, as_mask(pc.equal(body.text(rows, 1), "")), "no_meter_serial")
    known = pa.array(list(settings.reading_types), pa.string())
    body.fail(rows, ~as_mask(pc.is_in(body.text(rows, 2), known)), "bad_reading_type")


def _reads(body: _Body, created: int, settings: D0010Settings) -> pa.RecordBatch:
    """One row for each 030 record, right or wrong; wrong ones are marked."""
    rows, data = body.rows(READ), body.fields.data
    meter, mpan = np.maximum(body.meter[rows], 0), np.maximum(body.mpan[rows], 0)
    register = body.text(rows, 1)
    body.fail(rows, as_mask(pc.equal(register, "")), "no_register")
    start, end = body.fields.trimmed(rows, 2)
    label, bad_time = minute_labels(data, start, end)
    moment, _, missing = zone(settings.time_zone).moments(label)
    bad_time |= missing | (end - start != 14)
    body.fail(rows, bad_time, "bad_time")
    seconds = second_parts(data, np.where(bad_time, 0, start), np.where(bad_time, 0, end))
    reading_type = body.text(meter, 2)
    types = pa.array(list(settings.reading_types), pa.string())
    flags = pa.array(list(settings.reading_types.values()), pa.string())
    flag = pc.fill_null(pc.take(flags, pc.index_in(reading_type, types)), "N")
    is_none = as_mask(pc.equal(flag, "N"))
    start, end = body.fields.trimmed(rows, 3)
    is_reset = np.zeros(len(rows), dtype=bool)
    for index in (4, 5):
        low, high = body.fields.trimmed(rows, index)
        is_reset |= high > low
    unit, exponent = UNITS[settings.unit]
    value, bad = decimals(data, start, end, 6 + exponent)
    if is_reset.any() and exponent:
        value[is_reset], bad[is_reset] = decimals(data, start[is_reset], end[is_reset], 6 + _DEMAND[1])
    body.fail(rows, (bad | (value < 0)) & ~is_none, "bad_value")
    own, status = body.text(rows, 6), body.text(mpan, 2)
    body.fail(rows, ~as_mask(pc.is_in(own, pa.array(["T", "F", ""]))), "bad_flag")
    failed = as_mask(pc.or_(pc.equal(own, "F"), pc.equal(status, "F"))) & ~is_none
    method = pc.binary_join_element_wise(reading_type, status, own, body.text(rows, 7), "/")
    demand = pa.array(is_reset)
    micros = (moment * 60 + seconds) * 1_000_000
    return register_batch(
        {
            "_record_no": pa.array(body.part.line_no[rows]),
            "service_point_id": body.text(mpan, 1),
            "register_id": register,
            "meter_serial": body.text(meter, 1),
            "direction": pc.if_else(demand, "other", settings.direction),
            "unit": pc.if_else(demand, _DEMAND[0], unit),
            "read_to_at": _timestamps(micros),
            "current_read": decimal_array(value, VALUE, is_none),
            "quality_flag": pc.if_else(pa.array(failed), "Q", flag),
            "quality_method": method,
            "reason_code": _reason_codes(body, rows),
            "updated_at": _timestamps(np.full(len(rows), created)),
        }
    )


def _reason_codes(body: _Body, reads: Ints) -> pa.Array:
    """The code of the first 032 below each read."""
    codes = np.full(len(body.kind), -1, dtype=np.int64)
    rows = body.rows(REASON)
    value, bad = decimals(body.fields.data, *body.fields.trimmed(rows, 1), 0)
    bad |= (value < 0) | (value > 99)
    body.fail(rows, bad, "bad_reason")
    good = rows[~bad & (body.read[rows] >= 0)][::-1]
    codes[body.read[good]] = value[~bad & (body.read[rows] >= 0)][::-1]
    found = codes[reads]
    return pa.array(found, mask=found < 0).cast(pa.int32())


def _timestamps(micros: Ints) -> pa.Array:
    return pa.array(micros).view(pa.timestamp("us", tz="UTC"))


FORMAT = Format(
    name="d0010",
    version="1",
    description="D0010 meter readings of the UK data transfer catalogue",
    decode=decode,
    schema=schema,
    settings=D0010Settings,
)
