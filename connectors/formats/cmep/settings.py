"""What a site may set about CMEP, and the codes of units, purposes and qualities as they come.

Belongs here: settings and vocabulary. Does not belong here: fields and values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field, field_validator

from connectors.formats.base import FormatSettings, Settings, SettingsError, parse_settings
from connectors.formats.columns import check_time_zone
from connectors.formats.reads import (
    GAS_UNITS,
    OTHER_DIRECTION,
    UNITS,
    WATER_UNITS,
    Direction,
    QualityFlag,
)

_REGISTER = "REG"
_KNOWN = {**UNITS, **GAS_UNITS, **WATER_UNITS, "CF": GAS_UNITS["FT3"], "THERMS": GAS_UNITS["THERM"]}
# A letter before the unit says which way it flows: generated, net, or the sum of both ways.
_PREFIXES = {"": "import", "G": "export", "N": "net", "S": OTHER_DIRECTION}
_FLOWLESS = frozenset({"V", "A", "pf"})


class UnitCode(FormatSettings):
    """One unit of a dialect."""

    unit: str = Field(description="the unit by its common name, as KWH, CCF or GAL")
    direction: Direction = Field(default="import", description="which way it flows, seen from the customer")
    is_register: bool = Field(default=False, description="values are reads of a dial, not amounts")

    @field_validator("unit")
    @classmethod
    def _known_unit(cls, value: str) -> str:
        if value.upper() not in _KNOWN:
            raise ValueError(f"'{value}' is not one of {', '.join(_KNOWN)}")
        return value.upper()


class CmepSettings(FormatSettings):
    """The dialect of one sender."""

    time_zone: str = Field(
        default="UTC",
        description="zone of the times of readings; the standard says UTC, many senders write local time",
    )
    time_label: Literal["end", "start"] = Field(
        default="end", description="whether the time of an amount is the end or the start of its interval"
    )
    service_point: Literal["meter", "receiver_customer", "sender_customer"] = Field(
        default="meter", description="which field names the service point: meter id (8), or field 6 or 4"
    )
    purposes: list[str] = Field(
        default=["OK", "RESEND", "SUMMARY", "HISTORY"],
        description="purposes (field 9) whose records are reads; others are put into quarantine",
    )
    units: dict[str, UnitCode] = Field(
        default={}, description="units of this dialect by their code, beside and before the known ones"
    )
    qualities: dict[str, QualityFlag] = Field(
        default={"": "A", "R": "A", "V": "A", "E": "E", "A": "S", "N": "N"},
        description="canonical quality flag by the letter of the data quality flag; N has no value",
    )
    apply_constant: bool = Field(
        default=True, description="values are multiplied by the calculation constant (field 12)"
    )
    final_line_end: Literal["required", "optional"] = Field(
        default="required",
        description="required: a last line without line end may have been cut and is put into quarantine",
    )

    @field_validator("qualities")
    @classmethod
    def _known_qualities(cls, value: dict[str, QualityFlag]) -> dict[str, QualityFlag]:
        for letter in value:
            if len(letter) > 1 or not (letter == "" or letter.isalpha()):
                raise ValueError(f"'{letter}' is not a letter")
        return {letter.upper(): flag for letter, flag in value.items()}


@dataclass(frozen=True)
class Unit:
    """A unit as it is stored; amounts are multiplied by ten to the ``exponent``."""

    name: str
    exponent: int
    direction: str
    is_register: bool
    base: str  # the code without the ending that marks reads of a dial


def checked(settings: Settings) -> CmepSettings:
    """The settings, or :class:`SettingsError` naming the wrong key."""
    found = parse_settings(CmepSettings, "cmep", settings)
    check_time_zone(found.time_zone, "cmep")
    if not found.purposes:
        raise SettingsError("format cmep: setting 'purposes': at least one purpose is needed")
    return found


def unit_named(code: str, settings: CmepSettings) -> Unit | None:
    """What a unit code in capitals means; ``None`` where nobody says."""
    for name, own in settings.units.items():
        if name.upper() == code:
            unit, exponent = _KNOWN[own.unit]
            base = code.removesuffix(_REGISTER) if own.is_register else code
            return Unit(unit, exponent, own.direction, own.is_register, base or code)
    base = code.removesuffix(_REGISTER) or code
    for prefix, direction in _PREFIXES.items():
        plain = base.removeprefix(prefix)
        if base.startswith(prefix) and plain in _KNOWN:
            unit, exponent = _KNOWN[plain]
            return Unit(unit, exponent, _directed(unit, direction), base != code, base)
    return None


def _directed(unit: str, direction: str) -> str:
    if unit in _FLOWLESS:
        return OTHER_DIRECTION
    is_reactive = unit in ("kvarh", "kvar") and direction != OTHER_DIRECTION
    return f"reactive_{direction}" if is_reactive else direction
