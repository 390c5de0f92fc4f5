"""The codes of IEC 61968-9 in our words: reading types (Annex C) and reading qualities (Annex D).

Belongs here: taking a code apart. Does not belong here: which reading has it; units and directions, which
ESPI shares (``connectors.formats.meter_xml.codes``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from connectors.formats.meter_xml.codes import ACCUMULATIONS, UNITS
from connectors.formats.meter_xml.pending import NONE
from connectors.formats.meter_xml.rules import (
    BAD_READING_TYPE,
    FINE,
    NO_READING_TYPE,
    UNKNOWN_ACCUMULATION,
    UNKNOWN_UNIT,
)

PARTS = 18
PERIODS = {
    1: 600, 2: 900, 3: 60, 4: 86_400, 5: 1800, 6: 300, 7: 3600, 10: 120, 14: 180, 31: 1200,
    50: 3600, 51: 1800, 52: 1200, 53: 900, 54: 600, 55: 300, 56: 60,
}  # fmt: skip
"""Part 3, the measuring period, in seconds; 50 to 56 are fixed blocks. Others do not give a length."""
DELTA = 4

_CATEGORIES = {
    "0": "A", "1": "A", "2": "A", "3": "Q", "4": "A", "5": "Q", "6": "Q", "7": "S", "8": "E", "10": "Q",
    "11": "S", "12": "E",
}  # fmt: skip
"""0 valid; 1 diagnostics and 2 power quality speak of device and supply, not of the value; 3 tampering; 4
data collection; 5 failed reasonability; 6 failed validation; 7 edited; 8 estimated; 10 questionable; 11
derived; 12 projected."""
_SINGLE = {"4.2": "Q", "4.4": "Q", "5.259": "N"}
"""Category and index: a partial interval, a skipped interval, a read known to be missing."""
_CODE = re.compile(r"(?:\d{1,3}\.)(?:-?\d{1,4}\.){16}-?\d{1,4}")
_QUALITY = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,5})")


@dataclass(frozen=True)
class ReadingType:
    """What a reading type says, in our words; ``rule`` is its number where that is not enough."""

    rule: int = FINE
    uom: int = 0
    unit: str = ""
    exponent: int = 0
    accumulation: int = 0
    kind: int = 0
    flow: int = 0
    seconds: int = NONE


def reading_type_of(code: str) -> ReadingType:
    """Take an 18-part dotted code apart."""
    if not code:
        return ReadingType(rule=NO_READING_TYPE)
    if _CODE.fullmatch(code) is None:
        return ReadingType(rule=BAD_READING_TYPE)
    parts = [int(part) for part in code.split(".")]
    period, accumulation, flow, multiplier, uom = parts[2], parts[3], parts[4], parts[15], parts[16]
    if abs(multiplier) > 24:
        return ReadingType(rule=BAD_READING_TYPE)
    if uom not in UNITS:
        return ReadingType(rule=UNKNOWN_UNIT)
    if accumulation not in ACCUMULATIONS:
        return ReadingType(rule=UNKNOWN_ACCUMULATION)
    unit, exponent = UNITS[uom]
    return ReadingType(
        uom=uom,
        unit=unit,
        exponent=exponent + multiplier,
        accumulation=accumulation,
        kind=ACCUMULATIONS[accumulation],
        flow=flow,
        seconds=PERIODS.get(period, NONE),
    )


def quality_flag_of(code: str, own: Mapping[str, str]) -> str | None:
    """The flag of a code ``system.category.index``, by the code, then the category; None for no such code."""
    if code in own:
        return own[code]
    match = _QUALITY.fullmatch(code)
    if match is None:
        return None
    category, single = match[2], f"{match[2]}.{match[3]}"
    return own.get(category) or _SINGLE.get(single) or _CATEGORIES.get(category)
