"""The codes of MSCONS: quantity qualifiers, units, OBIS numbers, mapped to the canonical reads.

Belongs here: code lists and the settings that extend them. Does not belong here: where in a file they stand.
"""

from __future__ import annotations

import re

from pydantic import Field

from connectors.formats.base import FormatSettings, Settings, SettingsError, parse_settings
from connectors.formats.reads import GAS_UNITS, OTHER_DIRECTION, UNITS, UNKNOWN_UNIT, QualityFlag
from connectors.formats.segments.scan import check_encoding
from connectors.formats.segments.times import TimeZone

# Qualifier of QTY (DE 6063) to quality flag.
QUALIFIERS: dict[str, QualityFlag] = {
    "220": "A",  # true value
    "136": "A",  # metered quantity (Nordic messages)
    "79": "A",  # sum of energy
    "67": "S",  # replacement value
    "201": "E",  # proposed value
    "Z18": "E",  # preliminary value
    "187": "E",  # forecast
    "20": "N",  # value that cannot be used
}

# Unit of measure (DE 6411, UN/ECE recommendation 20) to the names of ``reads``.
UNIT_CODES = {
    "KWH": "KWH", "WHR": "WH", "MWH": "MWH", "GWH": "GWH",
    "KWT": "KW", "WTT": "W", "MAW": "MW",
    "KVA": "KVA", "KVR": "KVAR", "K5": "KVAR", "K3": "KVARH", "KVH": "KVARH", "MTQ": "M3", "MQ": "M3",
}  # fmt: skip

# OBIS: medium-channel:quantity.mode.tariff*billing; the medium may be left out for electricity.
_OBIS = re.compile(r"^(?:(\d{1,2})-)?(?:(\w{1,3}):)?(\d{1,3})\.(\d{1,3})(?:\.\d{1,3})?(?:\*\d{1,3})?$")
_ELECTRIC = {
    1: ("import", "W"), 2: ("export", "W"), 16: ("net", "W"),
    3: ("reactive_import", "var"), 4: ("reactive_export", "var"),
    5: ("reactive_import", "var"), 6: ("reactive_import", "var"),
    7: ("reactive_export", "var"), 8: ("reactive_export", "var"),
    9: ("import", "VA"), 10: ("export", "VA"),
}  # fmt: skip
# Measuring mode: integrals over time are energy, means and maxima are power.
_ENERGY_MODES = frozenset({8, 9, 10, 17, 18, 19, 20, 29, 30})
_POWER_MODES = frozenset({2, 3, 4, 5, 6, 7, 14, 15, 16, 24, 25, 27})


class MsconsSettings(FormatSettings):
    """What differs between markets and senders."""

    time_zone: str = Field(
        "Europe/Berlin",
        description="Zone of times that carry no offset (formats 102, 203, 204): a name or +01:00.",
    )
    location_qualifiers: tuple[str, ...] = Field(
        ("172",), min_length=1, description="Qualifiers of LOC whose place is the metering point."
    )
    serial_qualifiers: tuple[str, ...] = Field(
        ("MG",), description="Qualifiers of RFF whose reference is the serial of the meter."
    )
    quantity_qualifiers: dict[str, QualityFlag] = Field(
        default_factory=dict,
        description="Qualifiers of QTY beyond or instead of the known ones, each with its quality flag.",
    )
    units: dict[str, str] = Field(
        default_factory=dict,
        description="Unit codes of QTY beyond or instead of the known ones, each with a unit such as KWH.",
    )
    interval_seconds: int | None = Field(
        None,
        gt=0,
        le=86_400,
        description="Length of an interval by agreement, for senders whose ends are not to be believed: the "
        "begin then counts, and an end must be given but is not looked at. Without: begin and end count.",
    )
    longest_interval_seconds: int = Field(
        90_000,
        gt=0,
        le=2_000_000_000,
        description="A quantity over a longer period is a register read, not an interval (25 hours).",
    )
    encoding: str = Field("latin-1", description="Encoding of texts beyond ASCII.")


class Codes:
    """The code lists of one file under its settings; raises :class:`SettingsError`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = parse_settings(MsconsSettings, "mscons", settings)
        self.time_zone = TimeZone(self.settings.time_zone, "mscons")
        self.qualifiers: dict[str, str] = {**QUALIFIERS, **self.settings.quantity_qualifiers}
        for key, words in (
            ("location_qualifiers", self.settings.location_qualifiers),
            ("serial_qualifiers", self.settings.serial_qualifiers),
            ("quantity_qualifiers", self.qualifiers),
        ):
            if any(not re.fullmatch(r"[A-Z0-9]{1,3}", word) for word in words):
                raise SettingsError(
                    f"format mscons: setting '{key}': a qualifier is 1 to 3 capitals or digits"
                )
        self._units = {**UNITS, **GAS_UNITS}
        self._unit_codes = {**UNIT_CODES, **self.settings.units}
        for code, unit in self._unit_codes.items():
            if unit not in self._units:
                raise SettingsError(f"format mscons: setting 'units': '{unit}' of '{code}' is not a unit")
        check_encoding(self.settings.encoding, "mscons")

    def unit(self, code: str) -> tuple[str, int] | None:
        """Stored unit and power of ten of a unit code, None for one that is not known."""
        return self._units[self._unit_codes[code]] if code in self._unit_codes else None


def obis(code: str) -> tuple[str, str]:
    """Direction and unit that an OBIS number implies; ``other`` and ``unknown`` for what it does not say.

    Energy is taken to be in thousands (kWh), as power is: what meters count in. Other media than electricity
    have a direction (they are delivered) and no implied unit.
    """
    match = _OBIS.match(code)
    if match is None:
        return OTHER_DIRECTION, UNKNOWN_UNIT
    medium, quantity, mode = match[1], int(match[3]), int(match[4])
    if medium in ("6", "7", "8", "9"):
        return "import", UNKNOWN_UNIT
    if medium not in (None, "1") or quantity not in _ELECTRIC:
        return OTHER_DIRECTION, UNKNOWN_UNIT
    direction, unit = _ELECTRIC[quantity]
    if mode in _ENERGY_MODES:
        return direction, f"k{unit}h"
    return direction, f"k{unit}" if mode in _POWER_MODES else UNKNOWN_UNIT
