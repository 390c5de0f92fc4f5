"""What a site says about its extract: every setting of the format, described for editors.

Belongs here: names, types, defaults and descriptions. Does not belong here: checking them against the
copybook; see ``plan``.
"""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field as Setting
from pydantic import field_validator, model_validator

from connectors.formats.base import FormatSettings
from connectors.formats.copybook.totals import TotalSettings

ANY = "*"
"""In a key of ``records``: any value of the discriminator."""


class RecordSettings(FormatSettings):
    """One record type: the part of the copybook that describes it, and the table its records go to."""

    group: str | list[str] = Setting(
        description="The 01 level, or the group whose REDEFINES branch holds; several for several branches."
    )
    table: str = Setting(description="Table the records go to.")
    parent: str | None = Setting(
        default=None,
        description="Table of the record type these records belong to: the last such record before them.",
    )
    parent_columns: list[str] = Setting(
        default_factory=list,
        description="Columns of the parent put on each child row, named <parent table>_<column>.",
    )


class FieldSettings(FormatSettings):
    """What holds for one field of the copybook alone."""

    read_as: Literal["declared", "text"] = Setting(
        default="declared", description="text: keep the characters of a number as they stand."
    )
    blank: Literal["null", "zero", "reject"] | None = Setting(
        default=None, description="What a number of nothing but unfilled bytes is here; else blank_numeric."
    )
    invalid: Literal["reject", "null"] = Setting(
        default="reject",
        description="null: bytes that are no value of this field are missing, and the record is loaded.",
    )


class CopybookSettings(FormatSettings):
    """How a site writes its extract; a new dialect is these settings and no code."""

    copybook: str = Setting(description="The copybook: its text, or the path of a file that holds it.")
    is_free_form: bool = Setting(
        default=False, description="The copybook has no columns 1–7 and 73–80 to leave out."
    )
    copies: dict[str, str] = Setting(
        default_factory=dict, description="Texts (or paths) of what COPY statements name, by member name."
    )
    replacing: dict[str, str] = Setting(
        default_factory=dict,
        description="Replaced in the copybook before it is read, such as {':TAG:': CUST}.",
    )
    keep_fillers: bool = Setting(
        default=False,
        description="Unnamed fields become columns filler_1, filler_2 … as they stand in the text.",
    )
    decimal_comma: bool = Setting(
        default=False,
        description="DECIMAL-POINT IS COMMA: the comma is the decimal mark in pictures and data.",
    )
    binary_size: Literal["2-4-8", "1-2-4-8", "1--8"] = Setting(
        default="2-4-8",
        description="Bytes of a COMP number: 2-4-8 IBM, 1-2-4-8 GnuCOBOL, 1--8 the fewest (Micro Focus).",
    )
    align_synchronized: bool = Setting(
        default=True,
        description="SYNCHRONIZED fields stand on 2-, 4- or 8-byte bounds, with slack before them.",
    )
    occurs_depending_on: Literal["moves_up", "keeps_room"] = Setting(
        default="moves_up",
        description="keeps_room: a table takes the room of its maximum, however many elements are in use.",
    )

    code_page: str = Setting(
        default="cp037",
        description="Single-byte EBCDIC or ASCII code page, such as cp037, cp273, cp1141, ascii.",
    )
    code_page_overrides: dict[str, str] = Setting(
        default_factory=dict, description="Characters a site has changed, by byte in hex: {'4A': Ä}."
    )
    control_characters: Literal["space", "keep", "drop"] = Setting(
        default="space", description="What a control character in text becomes: a space, itself or nothing."
    )
    double_byte_code_page: str | None = Setting(
        default=None,
        description="Codec of PIC G, and of PIC N unless it is UTF-16 big-endian: two bytes a character.",
    )
    trim: Literal["right", "left", "both", "none"] = Setting(
        default="right", description="Where blanks are cut off text; a JUSTIFIED field is cut on both sides."
    )
    floating_point: Literal["ibm", "ieee754"] = Setting(
        default="ibm", description="COMP-1 and COMP-2: IBM hexadecimal or IEEE 754."
    )
    floating_point_big_endian: bool = Setting(default=True, description="Byte order of COMP-1 and COMP-2.")
    comp_big_endian: bool = Setting(default=True, description="Byte order of COMP, COMP-4 and BINARY.")
    comp5_big_endian: bool = Setting(
        default=True, description="Byte order of COMP-5; false for extracts of small machines."
    )
    blank_numeric: Literal["null", "reject"] = Setting(
        default="null", description="A zoned or edited number of nothing but spaces."
    )
    low_values_numeric: Literal["null", "reject"] = Setting(
        default="null", description="A zoned or edited number of nothing but low-values (X'00')."
    )
    high_values_numeric: Literal["null", "reject"] = Setting(
        default="reject", description="A zoned or edited number of nothing but high-values (X'FF')."
    )
    unfilled_packed: Literal["null", "reject"] = Setting(
        default="reject", description="A packed number of nothing but spaces, low-values or high-values."
    )
    fields: dict[str, FieldSettings] = Setting(
        default_factory=dict, description="What holds for single fields, by their name in the copybook."
    )

    record_format: Literal["F", "V", "RDW", "VB", "length_field", "lines"] = Setting(
        default="F",
        description="F fixed; V (or RDW) each record behind a descriptor word; VB in blocks that have one "
        "too; length_field a field of the record says its length; lines of text.",
    )
    record_length: int | None = Setting(
        default=None, gt=0, description="Bytes of a fixed record, where it is longer than the copybook says."
    )
    rdw_big_endian: bool = Setting(default=True, description="Byte order of the record descriptor word.")
    rdw_inclusive: bool = Setting(
        default=True, description="The length in a record descriptor word counts the four bytes of the word."
    )
    rdw_adjustment: int = Setting(default=0, description="Added to the length in a record descriptor word.")
    bdw_big_endian: bool = Setting(default=True, description="Byte order of the block descriptor word.")
    bdw_inclusive: bool = Setting(
        default=True, description="The length in a block descriptor word counts the four bytes of the word."
    )
    bdw_adjustment: int = Setting(default=0, description="Added to the length in a block descriptor word.")
    length_field: str | None = Setting(
        default=None, description="The field that holds the record's length, for record_format: length_field."
    )
    length_adjustment: int = Setting(
        default=0, description="Added to what length_field holds to give the length of the whole record."
    )
    file_header_bytes: int = Setting(default=0, ge=0, description="Bytes before the first record.")
    file_footer_bytes: int = Setting(default=0, ge=0, description="Bytes behind the last record.")

    discriminator: str | list[str] | None = Setting(
        default=None,
        description="The field that tells record types apart; several where one is not enough.",
    )
    records: dict[str, RecordSettings] = Setting(
        default_factory=dict,
        description="Record types by discriminator value ('B'; 'B,01' with two fields; * is any value).",
    )
    record_table: str | None = Setting(
        default=None, description="The one table of a file with one record type; else the 01 level's name."
    )
    control_totals: list[TotalSettings] = Setting(
        default_factory=list,
        description="Counts and sums the file declares, verified before it is published.",
    )

    @field_validator("records", mode="before")
    @classmethod
    def _text_keys(cls, value: object) -> object:
        # YAML reads the record type 1 as a number.
        return {str(key): entry for key, entry in value.items()} if isinstance(value, dict) else value

    @field_validator("code_page_overrides", mode="before")
    @classmethod
    def _hex_keys(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        keys = {str(key).upper().removeprefix("0X").rjust(2, "0"): one for key, one in value.items()}
        for key, one in keys.items():
            if not re.fullmatch(r"[0-9A-F]{2}", key) or not isinstance(one, str) or len(one) != 1:
                raise ValueError("a byte in hex and one character, such as {'4A': 'Ä'}")
        return keys

    @model_validator(mode="after")
    def _together(self) -> CopybookSettings:
        if (self.length_field is None) == (self.record_format == "length_field"):
            raise ValueError("length_field and record_format: length_field belong together")
        if self.records and self.discriminator is None:
            raise ValueError("setting 'discriminator': needed where 'records' is given")
        if self.discriminator is not None and not self.records:
            raise ValueError("setting 'records': needed where 'discriminator' is given")
        if self.records and self.record_table is not None:
            raise ValueError("setting 'record_table': not together with 'records'")
        return self

    @property
    def discriminators(self) -> list[str]:
        """The discriminator fields, none where there is one record type."""
        if self.discriminator is None:
            return []
        return [self.discriminator] if isinstance(self.discriminator, str) else self.discriminator
