"""The settings a push YAML gives its destination, and the types of the columns it sends.

Belongs here: what may be written under ``destination`` and ``columns``. Does not belong here: keys, guards
and schedules, which are the push's own (``connectors.activation.config``).
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

_DECIMAL = re.compile(r"^decimal\((\d{1,2}),(\d{1,2})\)$")
_PLAIN = ("string", "phone", "int", "bigint", "double", "boolean", "date", "timestamp", "json")
NUMBER_TYPES = ("int", "bigint", "double", "decimal")


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Column(_Settings):
    """One column that is sent."""

    type: str = "string"
    description: str = ""
    # False: the column goes along when its row is sent, but its change alone sends nothing (dates of a run).
    compared: bool = True
    # True: never shown in a sample of a plan, not even as a key.
    personal: bool = False

    @field_validator("type")
    @classmethod
    def _known_type(cls, value: str) -> str:
        text = value.replace(" ", "")
        match = _DECIMAL.match(text)
        if match and not (1 <= int(match[1]) <= 38 and int(match[2]) <= int(match[1])):
            raise ValueError(
                f"decimal(precision,scale) needs 1 ≤ precision ≤ 38 and scale ≤ precision, not {value}"
            )
        if match or text in _PLAIN:
            return text
        raise ValueError(f"type {value!r} is not one of {', '.join(_PLAIN)}, decimal(p,s)")

    @property
    def family(self) -> str:
        """The type without its precision."""
        return self.type.split("(")[0]

    @property
    def is_number(self) -> bool:
        """Whether its text is a number that a formula check must not touch."""
        return self.family in NUMBER_TYPES


class SqlSettings(_Settings):
    """A table that rows are upserted into by the push's key."""

    kind: Literal["sql_upsert"]
    connection: str
    db_schema: str | None = Field(default=None, alias="schema")
    table: str
    # Set to the database's now() whenever a row is inserted or really changes.
    touch_column: str | None = None
    batch_size: int = Field(default=20_000, ge=1)

    @property
    def can_delete(self) -> bool:
        """Whether a row once sent can be taken back."""
        return True

    @property
    def target(self) -> str:
        """What is written to, for state and messages."""
        return f"{self.db_schema}.{self.table}" if self.db_schema else self.table


class CsvSettings(_Settings):
    """A CSV file dropped by SFTP, with a manifest that follows it."""

    kind: Literal["sftp_csv"]
    connection: str
    directory: str = Field(pattern=r"^/")
    # {as_of_date:%Y%m%d} and {batch} are filled in; {batch} is derived from the content and must be there.
    file_name: str
    # The file that recalls rows (key column only). Without it nothing can be recalled from this destination.
    recall_file_name: str | None = None
    batch_size: int = Field(default=200_000, ge=1)

    @field_validator("file_name", "recall_file_name")
    @classmethod
    def _safe_name(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if "/" in value or "\\" in value or value.startswith("."):
            raise ValueError("must be a plain file name without folders")
        if "{batch}" not in value:
            raise ValueError("must contain {batch}, so that two files never share a name")
        try:
            import datetime

            value.format(as_of_date=datetime.date(2026, 1, 1), batch="x")
        except (KeyError, IndexError, ValueError):
            raise ValueError("may only hold {as_of_date:…} and {batch}") from None
        return value

    @property
    def can_delete(self) -> bool:
        """Whether a row once sent can be taken back."""
        return self.recall_file_name is not None

    @property
    def target(self) -> str:
        """What is written to, for state and messages."""
        return self.directory


class Sender(_Settings):
    """Who a letter is from: the letterhead and the foot of every page."""

    name: str
    tagline: str = ""
    address_lines: tuple[str, ...] = Field(min_length=1, max_length=3)
    phone: str
    hours: str
    hours_es: str
    website: str
    # The one accent colour, as #rrggbb.
    color: str = Field(default="#0b5d7a", pattern=r"^#[0-9a-fA-F]{6}$")


class LettersSettings(_Settings):
    """Letters as PDF, dropped by SFTP in one folder a batch, the manifest last."""

    kind: Literal["sftp_letters"]
    connection: str
    directory: str = Field(pattern=r"^/")
    sender: Sender
    batch_size: int = Field(default=200, ge=1)

    @property
    def can_delete(self) -> bool:
        """A letter in the post cannot be taken back."""
        return False

    @property
    def target(self) -> str:
        """What is written to, for state and messages."""
        return self.directory


class HttpSettings(_Settings):
    """Members of an audience, posted in batches to the campaign tool."""

    kind: Literal["http_audience"]
    connection: str
    # {audience_id} is filled from the column of that name; one request holds one audience.
    path: str = "/api/v1/audiences/{audience_id}/members"
    group_column: str = "audience_id"
    batch_size: int = Field(default=500, ge=1)
    max_requests_per_second: float = Field(default=20.0, gt=0)

    @field_validator("path")
    @classmethod
    def _path(cls, value: str) -> str:
        if not value.startswith("/") or value.count("{audience_id}") != 1:
            raise ValueError("must start with / and contain {audience_id} once")
        return value

    @property
    def can_delete(self) -> bool:
        """Whether a row once sent can be taken back."""
        return True

    @property
    def target(self) -> str:
        """What is written to, for state and messages."""
        return self.path


DestinationSettings = Annotated[
    SqlSettings | CsvSettings | LettersSettings | HttpSettings, Field(discriminator="kind")
]


def shorthand(value: Any) -> Any:
    """``column: int`` is the short form of ``column: {type: int}``."""
    return {"type": value} if isinstance(value, str) else value
