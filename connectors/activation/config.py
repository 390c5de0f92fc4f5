"""A push, as its YAML declares it.

Belongs here: the model of ``orchestration/pushes/*.yaml`` and its loading. Does not belong here: the
settings of each kind of destination (``connectors.destinations.settings``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from connectors.destinations.settings import (
    Column,
    DestinationSettings,
    HttpSettings,
    LettersSettings,
    shorthand,
)
from connectors.errors import GridCRMError
from connectors.yaml_config import read_yaml, validate

WITHHELD = "withheld_reason"


class PushError(GridCRMError):
    """A push is declared wrongly; the message names file, line and key."""


class Guards(BaseModel):
    """Limits beyond which a plan is not sent without somebody saying so.

    Shares are of the rows last acknowledged, and are judged only from ``share_from_rows`` of those on: two
    deletes out of three rows are no alarm.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_delete_share: float = Field(default=0.1, ge=0, le=1)
    max_delete_count: int | None = Field(default=None, ge=0)
    # Creates and updates together; above 1 where the table may more than double.
    max_change_share: float = Field(default=0.5, ge=0)
    max_change_count: int | None = Field(default=None, ge=0)
    # The first run has nothing to compare with: this is its own limit.
    max_first_run_count: int | None = Field(default=None, ge=0)
    allow_empty: bool = False
    share_from_rows: int = Field(default=50, ge=1)


class PushConfig(BaseModel):
    """One push: a dbt model, where it goes, and under which limits."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    description: str = Field(min_length=1)
    owner: str = Field(min_length=1)
    model: str = Field(pattern=r"^push_[a-z0-9_]+$")
    key: str
    purpose: Literal["service", "collections", "marketing"]
    schedule: str | None = None
    destination: DestinationSettings
    columns: Mapping[str, Column] = Field(min_length=1)
    guards: Guards = Guards()
    # An acknowledged key that the model no longer has: take it back, or leave it (lists of past days).
    on_missing: Literal["delete", "keep"] = "delete"
    # A key once acknowledged is never sent again, whatever its row says now (a letter is in the post).
    send_once: bool = False

    @field_validator("columns", mode="before")
    @classmethod
    def _short_columns(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {name: shorthand(column) for name, column in value.items()}

    @field_validator("schedule")
    @classmethod
    def _cron(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"(\S+ ){4}\S+", value):
            raise ValueError("must be a cron expression of five fields")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> PushConfig:
        if self.key not in self.columns:
            raise ValueError(f"key '{self.key}' is not among the columns")
        if not self.columns[self.key].compared:
            raise ValueError(f"key '{self.key}' must be compared")
        if WITHHELD in self.columns:
            raise ValueError(f"'{WITHHELD}' decides what is sent and is never a column of its own")
        if any("p_home" in name for name in self.columns):
            raise ValueError("occupancy never leaves: a push has no p_home column")
        if isinstance(self.destination, HttpSettings) and self.destination.group_column not in self.columns:
            raise ValueError(
                f"destination.group_column '{self.destination.group_column}' is not among the columns"
            )
        if isinstance(self.destination, LettersSettings) and not (
            self.send_once and self.on_missing == "keep"
        ):
            raise ValueError("letters cannot be recalled: set send_once: true and on_missing: keep")
        return self

    @property
    def destination_id(self) -> str:
        """What acknowledged rows are remembered under: another target begins from nothing.

        Except what goes once: a letter sent through one vendor is not sent again through the next.
        """
        if self.send_once:
            return self.name
        return f"{self.name}>{self.destination.connection}:{self.destination.target}"


def load_pushes(folder: Path) -> dict[str, PushConfig]:
    """Every push in ``folder``, by name.

    Raises:
        PushError: file, line and key of the first mistake; a file not named as its push; no file at all.
    """
    pushes: dict[str, PushConfig] = {}
    for path in sorted(folder.glob("*.yaml")):
        file = read_yaml(path, PushError)
        push = validate(PushConfig, file, error=PushError)
        if push.name != path.stem:
            raise file.error(("name",), f"must be the file's own name, '{path.stem}'", PushError)
        pushes[push.name] = push
    if not pushes:
        raise PushError(f"no push is declared: folder {folder.name}/ has no .yaml file")
    return pushes
