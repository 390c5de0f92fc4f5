"""The settings of MeterReadings messages: what head-end and meter data systems do differently.

Belongs here: the settings and their defaults. Does not belong here: what is done with them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from connectors.formats.base import FormatSettings
from connectors.formats.reads import QualityFlag


class Iec61968Settings(FormatSettings):
    """See each field's description."""

    service_point: Literal["usage_point", "meter"] = Field(
        default="usage_point",
        description="Whose identifier is the service point's: the UsagePoint's, or the Meter's for systems "
        "that send no UsagePoint",
    )
    service_point_name_type: str | None = Field(
        default=None,
        description="NameType of the name that identifies the service point; without it the mRID does, or, "
        "where there is none, the only name",
    )
    meter_name_type: str | None = Field(
        default=None,
        description="NameType of the meter's serial number; without it its serialNumber, only name or mRID",
    )
    time_stamp: Literal["end", "start"] = Field(
        default="end",
        description="What the timeStamp of an interval reading is; the standard says its end",
    )
    time_zone: str | None = Field(
        default=None,
        description="IANA time zone of time stamps without an offset; without it such readings are rejected",
    )
    interval_seconds: int | None = Field(
        default=None,
        gt=0,
        le=2**31 - 1,
        description="Length of intervals whose reading type gives no measuring period, nor they a timePeriod",
    )
    default_direction: Literal["import", "export", "net", "other"] = Field(
        default="other", description="Direction of reading types whose flow is 0"
    )
    reading_types: dict[str, str] = Field(
        default_factory=dict,
        description="18-part reading types for references of this system that are none",
    )
    registers: dict[str, str] = Field(
        default_factory=dict,
        description="Names of registers by reading type; without one the reading type is the register",
    )
    quality_flags: dict[str, QualityFlag] = Field(
        default_factory=dict,
        description="Quality flags by code (1.4.9) or by category (4), over those of the standard",
    )
    default_quality: QualityFlag = Field(
        default="A", description="Quality flag of readings that give no quality"
    )
    namespaces: list[str] = Field(
        default_factory=list,
        description="Namespaces of MeterReadings besides those of the IEC and none",
    )
