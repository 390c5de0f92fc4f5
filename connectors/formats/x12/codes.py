"""The codes of X12 867, 814 and 997, mapped to the canonical reads and to the tables of this format.

Belongs here: code lists, table schemas, and the settings that extend them. Does not belong here: where in a
file they stand.
"""

from __future__ import annotations

import re
from typing import Literal

import pyarrow as pa
from pydantic import Field

from connectors.formats.base import RECORD_NO, FormatSettings, Settings, SettingsError, parse_settings
from connectors.formats.columns import TIMESTAMP
from connectors.formats.reads import GAS_UNITS, UNITS, QualityFlag
from connectors.formats.segments.scan import check_encoding
from connectors.formats.segments.times import TimeZone

RequestStatus = Literal["request", "accepted", "rejected", "completed"]

# Quantity qualifier (673): flow as the customer sees it, and quality.
QUALIFIERS: dict[str, tuple[str, QualityFlag]] = {
    "QD": ("import", "A"),  # quantity delivered
    "KA": ("import", "E"),  # estimated quantity delivered
    "87": ("export", "A"),  # actual quantity received
    "9H": ("export", "E"),  # estimated quantity received
    "20": ("import", "N"),  # unusable quantity
}
# Measurement reference (737): how the read at the begin and that at the end were got; the end counts.
READ_QUALITY: dict[str, QualityFlag] = {"AA": "A", "AE": "E", "EA": "A", "EE": "E", "AF": "A"}
# Unit (355) to the names of ``reads``.
UNIT_CODES = {
    "KH": "KWH", "K1": "KW", "K2": "KVAR", "K3": "KVARH", "K4": "KVA", "K5": "KVAR", "K7": "KW",
    "KV": "KV", "MH": "MWH", "TD": "THERM", "HH": "CCF", "TZ": "MCF", "GJ": "GJ",
}  # fmt: skip
STATUSES: dict[str, RequestStatus] = {
    "7": "request", "WQ": "accepted", "A": "accepted", "U": "rejected", "F": "completed",
}  # fmt: skip
ACTIONS = {
    "021": "enroll", "024": "drop", "001": "change", "002": "delete", "025": "reinstate", "029": "inquire",
}  # fmt: skip
OTHER_ACTION = "other"
ACKNOWLEDGED = {
    "A": "accepted", "E": "accepted_with_errors", "P": "partially_accepted",
    "R": "rejected", "M": "rejected", "W": "rejected", "X": "rejected",
}  # fmt: skip

SERVICE_REQUESTS = pa.schema(
    [
        RECORD_NO,
        ("transaction_id", pa.string()),
        ("original_transaction_id", pa.string()),
        ("purpose_code", pa.string()),
        ("line_no", pa.string()),
        ("services", pa.string()),
        ("action", pa.string()),
        ("action_code", pa.string()),
        ("status", pa.string()),
        ("status_code", pa.string()),
        ("service_point_id", pa.string()),
        ("account_id", pa.string()),
        ("customer_name", pa.string()),
        ("effective_at", TIMESTAMP),
        ("created_at", TIMESTAMP),
        ("reason_code", pa.string()),
        ("reason_text", pa.string()),
        ("sender_id", pa.string()),
        ("receiver_id", pa.string()),
        ("control_number", pa.string()),
    ]
)
"""One row a LIN of an 814: what is asked for or answered about one service at one service point."""

ACKNOWLEDGEMENTS = pa.schema(
    [
        RECORD_NO,
        ("level", pa.string()),
        ("status", pa.string()),
        ("status_code", pa.string()),
        ("error_codes", pa.string()),
        ("interchange_control_number", pa.string()),
        ("functional_code", pa.string()),
        ("group_control_number", pa.string()),
        ("transaction_set", pa.string()),
        ("transaction_control_number", pa.string()),
        ("segment_tag", pa.string()),
        ("segment_position", pa.int32()),
        ("element_position", pa.string()),
        ("declared_transactions", pa.int32()),
        ("received_transactions", pa.int32()),
        ("accepted_transactions", pa.int32()),
        ("sender_id", pa.string()),
        ("receiver_id", pa.string()),
        ("control_number", pa.string()),
    ]
)
"""One row an answer of a 997 (or TA1): ``level`` is interchange, group, transaction, segment or element."""


class X12Settings(FormatSettings):
    """What differs between markets and senders."""

    time_zone: str = Field(
        "America/Chicago", description="Zone of dates and of times without an offset: a name or -06:00."
    )
    service_point_qualifiers: tuple[str, ...] = Field(
        ("Q5", "12"), min_length=1, description="Qualifiers of REF with the service point; the first wins."
    )
    account_qualifiers: tuple[str, ...] = Field(
        ("12", "11"), description="Qualifiers of REF with the customer's account; the first wins."
    )
    serial_qualifiers: tuple[str, ...] = Field(
        ("MG",), description="Qualifiers of REF with the serial of the meter; the first wins."
    )
    interval_end_qualifiers: tuple[str, ...] = Field(
        ("582", "194"), description="Qualifiers of DTM that give the end of an interval behind its QTY."
    )
    interval_minutes: int | None = Field(
        None, gt=0, le=1440, description="Length of an interval where REF*MT does not end in its minutes."
    )
    day_ends_2359: bool = Field(
        False, description="The last interval of a day is labelled 23:59 and ends at midnight."
    )
    quantity_qualifiers: dict[str, tuple[Literal["import", "export", "net", "other"], QualityFlag]] = Field(
        default_factory=dict,
        description="Qualifiers of QTY beyond or instead of the known ones: direction and quality flag.",
    )
    status_codes: dict[str, RequestStatus] = Field(
        default_factory=dict,
        description="ASI01 codes beyond or instead of the known ones, each with its status.",
    )
    units: dict[str, str] = Field(
        default_factory=dict,
        description="Unit codes beyond or instead of the known ones, each with a unit such as KWH.",
    )
    encoding: str = Field("latin-1", description="Encoding of texts beyond ASCII.")


class Codes:
    """The code lists of one file under its settings; raises :class:`SettingsError`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = parse_settings(X12Settings, "x12", settings)
        self.time_zone = TimeZone(self.settings.time_zone, "x12")
        self.qualifiers: dict[str, tuple[str, str]] = {**QUALIFIERS, **self.settings.quantity_qualifiers}
        self.statuses: dict[str, str] = {**STATUSES, **self.settings.status_codes}
        for key, words in (
            ("service_point_qualifiers", self.settings.service_point_qualifiers),
            ("account_qualifiers", self.settings.account_qualifiers),
            ("serial_qualifiers", self.settings.serial_qualifiers),
            ("interval_end_qualifiers", self.settings.interval_end_qualifiers),
            ("quantity_qualifiers", self.qualifiers),
            ("status_codes", self.statuses),
        ):
            if any(not re.fullmatch(r"[A-Z0-9]{1,3}", word) for word in words):
                raise SettingsError(f"format x12: setting '{key}': a code is 1 to 3 capitals or digits")
        units = {**UNITS, **GAS_UNITS}
        self.units: dict[str, tuple[str, int]] = {}
        for code, unit in {**UNIT_CODES, **self.settings.units}.items():
            if unit not in units:
                raise SettingsError(f"format x12: setting 'units': '{unit}' of '{code}' is not a unit")
            self.units[code] = units[unit]
        check_encoding(self.settings.encoding, "x12")
