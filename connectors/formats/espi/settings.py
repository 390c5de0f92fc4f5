"""The settings of Green Button files: what custodians do differently.

Belongs here: the settings and their defaults. Does not belong here: what is done with them.
"""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator

from connectors.formats.base import FormatSettings
from connectors.formats.espi.codes import QUALITY_FLAGS
from connectors.formats.reads import QualityFlag

_DEFAULTABLE = ("uom", "powerOfTenMultiplier", "accumulationBehaviour", "flowDirection", "currency",
                "intervalLength", "defaultQuality")  # fmt: skip


class EspiSettings(FormatSettings):
    """See each field's description."""

    service_point: Literal["self", "id", "title", "mrid"] = Field(
        default="self",
        description="Where a UsagePoint says who it is: its link 'self', the entry's id or title, its mRID",
    )
    service_point_pattern: str = Field(
        default=r"^(?:.*/resource/)?(.+)$",
        description="Regular expression whose first group, found in that text, is the service point's id",
    )
    register_pattern: str = Field(
        default=r"/MeterReading/(.+)$",
        description="Regular expression whose first group, found in a MeterReading's 'self', is the register",
    )
    default_direction: Literal["import", "export", "net", "other"] = Field(
        default="other",
        description="Direction of electricity whose ReadingType gives no flowDirection",
    )
    default_quality: QualityFlag = Field(
        default="A", description="Quality flag of readings that give no quality, nor does their ReadingType"
    )
    quality_flags: dict[str, QualityFlag] = Field(
        default_factory=dict,
        description="Quality flags by code of this custodian, over the standard's",
    )
    reading_type_defaults: dict[str, int] = Field(
        default_factory=dict,
        description=f"Codes for ReadingTypes that leave them out; any of {', '.join(_DEFAULTABLE)}",
    )
    fractional_seconds: Literal["quarantine", "keep"] = Field(
        default="quarantine",
        description="What to do with readings whose start is no whole second: quarantine, or keep as it is",
    )
    check_block_interval: bool = Field(
        default=False,
        description="Quarantine blocks whose readings do not fill the interval they declare; off because "
        "several custodians declare one interval and fill another",
    )

    @field_validator("service_point_pattern", "register_pattern")
    @classmethod
    def _has_a_group(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"is no regular expression ({error})") from None
        if groups < 1:
            raise ValueError("has no group")
        return pattern

    @field_validator("reading_type_defaults")
    @classmethod
    def _known_codes(cls, codes: dict[str, int]) -> dict[str, int]:
        if unknown := sorted(codes.keys() - set(_DEFAULTABLE)):
            raise ValueError(f"has '{unknown[0]}'; use one of {', '.join(_DEFAULTABLE)}")
        return codes

    def flags(self) -> dict[str, str]:
        """Quality flag by code."""
        return {**QUALITY_FLAGS, **self.quality_flags}
