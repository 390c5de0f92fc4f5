"""IEC 61968-9 MeterReadings (CIM XML): interval reads, dials and quantities of meters.

Belongs here: the settings' effect and the account of one message. Does not belong here: elements
(``message``), codes (``codes``), values (``connectors.formats.meter_xml``).

What a record is, and what becomes of it:

- Records are each MeterReading, IntervalBlocks, IntervalReadings, Readings and EndDeviceEvents, wherever it
  stands, with or without a Header and a Payload around. Events are counted and loaded, and make no rows.
- A MeterReading that does not identify its service point, and a block whose reading type is missing or not
  understood, go to quarantine with all their readings; a reading with a wrong time, value or quality alone.
- Readings of a block are intervals: their timeStamp is the end (or, by setting, the start), their length is
  their timePeriod's, or the reading type's measuring period. Accumulation 1, 3 and 9 in a block are dials:
  each is a row of ``register_reads``, and of ``interval_reads`` by its difference to the one before, across
  blocks and MeterReadings (``meter_xml.settle``); they are never summed.
- Readings outside blocks are rows of ``register_reads``: a quantity where the accumulation is 4, else a dial.
- Readings of one register that begin at one time are compared: the later reportedDateTime (without it the
  Header's Timestamp) supersedes, equals count once, what disagrees is quarantined.
"""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from connectors.formats.base import (
    DecodeResult,
    Format,
    Reject,
    Settings,
    TableSink,
    parse_settings,
)
from connectors.formats.columns import BoolMask, check_time_zone
from connectors.formats.iec61968.codes import DELTA, ReadingType, quality_flag_of, reading_type_of
from connectors.formats.iec61968.message import BLOCK, READING, Message, tags
from connectors.formats.iec61968.settings import Iec61968Settings
from connectors.formats.meter_xml.codes import NET, direction_of
from connectors.formats.meter_xml.emit import Emitter, reject_of, worst_flag
from connectors.formats.meter_xml.pending import MICROSECONDS, NONE, Columns, Pending
from connectors.formats.meter_xml.rules import (
    BAD_SECONDS,
    BAD_TIME,
    FINE,
    FRACTIONAL,
    NO_READING_TYPE,
    ORPHAN,
    PARENT,
    RULES,
)
from connectors.formats.meter_xml.settle import DIAL, QUANTITY, Holders, Resolver, Series
from connectors.formats.meter_xml.stream import Source, read_xml
from connectors.formats.reads import INTERVAL_READS, REGISTER_READS
from connectors.formats.text_lines import Ints

_NO_SERVICE_POINT = (
    "no_service_point",
    "nothing identifies its service point by the settings 'service_point' and 'service_point_name_type'",
)


def _settings(settings: Settings) -> Iec61968Settings:
    chosen = parse_settings(Iec61968Settings, "iec61968", settings)
    if chosen.time_zone is not None:
        check_time_zone(chosen.time_zone, "iec61968")
    return chosen


def schema(settings: Settings) -> dict[str, pa.Schema]:
    """Interval reads, and dials and quantities as register reads."""
    _settings(settings)
    return {"interval_reads": INTERVAL_READS, "register_reads": REGISTER_READS}


def decode(stream: BinaryIO, settings: Settings, sink: TableSink, name: str) -> DecodeResult:
    """Decode one file; see :func:`connectors.formats.decode`."""
    chosen = _settings(settings)
    with Source(stream) as source, Pending() as pending:
        message = Message(pending, chosen)
        read_xml(source, name, message, tags(chosen))
        message.finish(name)
        result = DecodeResult(records_read=message.records)
        for kind, count in message.counts.items():
            result.add_type(kind, count)
        _Account(source, message, chosen, result, sink).settle(pending)
        return result


class _Account:
    """Takes every record of a message to where it belongs."""

    def __init__(
        self,
        source: Source,
        message: Message,
        settings: Iec61968Settings,
        result: DecodeResult,
        sink: TableSink,
    ) -> None:
        self._source = source
        self._message = message
        self._settings = settings
        self._result = result
        self._sink = sink

    def settle(self, pending: Pending) -> None:
        """Write the rows and the rejects, and count everything."""
        message, settings = self._message, self._settings
        series, holders = self._series()
        flags = [
            worst_flag(text, lambda code: quality_flag_of(code, settings.quality_flags))
            for text in message.qualities.texts
        ]
        known = np.array([flag is not None for flag in flags])
        self._settle_structure(holders)
        resolver = _Resolver(series, holders, known, settings)
        own_flags = [flag or "" for flag in flags]
        emitter = Emitter(self._result, self._sink, resolver, own_flags, message.qualities.texts)
        emitter.emit(pending.batches, self._reject_reading)

    def _series(self) -> tuple[list[Series], Holders]:
        """The series of the message, and of each block and register."""
        message = self._message
        types = [self._reading_type(reference) for reference in message.types.values]
        codes = [code for code, _ in types]
        groups = np.array(message.holder_group, dtype=np.int64)
        who = np.array(message.group_who, dtype=np.int64)
        whose = np.where(groups >= 0, who[groups], -1) if len(who) else np.full(len(groups), -1)
        kinds = np.array(message.holder_type, dtype=np.int64)
        type_rules = np.array([kind.rule for _, kind in types] + [NO_READING_TYPE], dtype=np.int8)
        rule = np.where(groups < 0, ORPHAN, np.where(whose < 0, PARENT, type_rules[kinds])).astype(np.int8)
        is_register = np.array(message.holder_is_register, dtype=np.int64)
        found = np.full(len(groups), -1, dtype=np.int32)
        series: list[Series] = []
        good = np.flatnonzero(rule == FINE)
        # References that mean one code are one register.
        numbers = np.array([codes.index(code) for code in codes], dtype=np.int64)
        chosen = numbers[kinds[good]] if len(good) else kinds[good]
        known, inverse = np.unique(
            np.stack([whose[good], chosen, is_register[good]]), axis=1, return_inverse=True
        )
        for who_number, kind, register in known.T.tolist():
            series.append(self._make_series(who_number, codes[kind], types[kind][1], bool(register)))
        found[good] = inverse.reshape(-1)
        return series, Holders(found, rule, np.array(message.holder_updated, dtype=np.int64))

    def _reading_type(self, reference: str) -> tuple[str, ReadingType]:
        """The code a reference means, and what it says."""
        code = self._settings.reading_types.get(reference) or self._message.definitions.get(
            reference, reference
        )
        return code, reading_type_of(code)

    def _make_series(self, who: int, code: str, kind: ReadingType, is_register: bool) -> Series:
        point, meter = self._message.who[who]
        direction = direction_of(kind.flow, kind.uom, self._settings.default_direction)
        register_kind = QUANTITY if kind.accumulation == DELTA else DIAL
        return Series(
            service_point=point,
            register=self._settings.registers.get(code, code),
            meter=meter or None,
            direction=direction,
            unit=kind.unit,
            exponent=kind.exponent,
            kind=register_kind if is_register else kind.kind,
            may_fall=direction.endswith(NET),
            quality=self._settings.default_quality,
            seconds=kind.seconds if kind.seconds != NONE else self._settings.interval_seconds or NONE,
        )

    def _settle_structure(self, holders: Holders) -> None:
        """MeterReadings, blocks and events."""
        message, result = self._message, self._result
        result.loaded += message.counts["EndDeviceEvents"]
        for record_no, offset, who, nested in zip(
            message.group_record, message.group_offset, message.group_who, message.group_nested, strict=True
        ):
            if who >= 0:
                result.loaded += 1
                continue
            rule, reason = ("orphan", RULES[ORPHAN].reason) if nested else _NO_SERVICE_POINT
            raw = self._source.element(offset, BLOCK.encode())
            result.reject(self._sink, Reject(record_no, offset, raw, rule, reason))
        for number, is_register in enumerate(message.holder_is_register):
            if is_register:
                continue
            rule_number = int(holders.rule[number])
            if rule_number == FINE:
                result.loaded += 1
                continue
            offset = message.holder_offset[number]
            raw = self._source.element(offset, READING.encode())
            name, reason = RULES[rule_number]
            result.reject(self._sink, Reject(message.holder_record[number], offset, raw, name, reason))
            holders.rule[number] = PARENT

    def _reject_reading(self, record_no: int, offset: int, rule: int) -> None:
        self._result.reject(self._sink, reject_of(self._source, record_no, offset, rule))


class _Resolver(Resolver):
    """Finds the interval of a reading from its time stamp and its length."""

    def __init__(
        self, series: list[Series], holders: Holders, known: BoolMask, settings: Iec61968Settings
    ) -> None:
        super().__init__(series, holders, known)
        self._by_end = settings.time_stamp == "end"

    def times(
        self, columns: Columns, series: npt.NDArray[np.int32], rule: npt.NDArray[np.int8]
    ) -> tuple[Ints, Ints]:
        """See :class:`Resolver`."""
        time, seconds = columns["time"].astype(np.int64), columns["seconds"].astype(np.int64)
        rule[(rule == FINE) & (time == NONE)] = BAD_TIME
        is_register = self.kind[series] >= DIAL
        rule[(rule == FINE) & ~is_register & (time % MICROSECONDS != 0)] = FRACTIONAL
        seconds = np.where(seconds == NONE, np.where(is_register, 0, self.seconds[series]), seconds)
        rule[(rule == FINE) & (seconds == NONE)] = BAD_SECONDS
        back = (rule == FINE) & (is_register | self._by_end)
        return np.where(back, time - seconds * MICROSECONDS, time), seconds


FORMAT = Format(
    name="iec61968",
    version="1",
    description="IEC 61968-9 MeterReadings messages (CIM XML)",
    decode=decode,
    schema=schema,
    settings=Iec61968Settings,
)
