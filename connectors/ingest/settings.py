"""The sections of a feed: where files lie and when they are whole, how tables and events are pulled.

Belongs here: keys of the sections ``file``, ``sql``, ``http``, ``freshness`` and their checks. Does not
belong here: the feed as a whole (``config``), doing what it says.
"""

from __future__ import annotations

import re
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from connectors.formats import format_names
from connectors.ingest.patterns import NamePattern
from connectors.yaml_config import nearest

CRON = r"^(\S+\s+){4}\S+$"
_DURATION = re.compile(r"^\s*(\d+)\s*(s|m|h|d)\s*$")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _duration(value: Any) -> Any:
    if isinstance(value, str) and (match := _DURATION.match(value)):
        return timedelta(**{_UNITS[match[2]]: int(match[1])})
    if isinstance(value, timedelta):
        return value
    raise ValueError("must be a number with s, m, h or d, e.g. 2h")


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    WithJsonSchema({"type": "string", "pattern": r"^\s*\d+\s*[smhd]\s*$", "examples": ["90s", "2h", "1d"]}),
]


class Section(BaseModel):
    """Base of what a feed is made of: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid")


class DoneMarker(Section):
    """Complete when a marker lies beside it: the name with this suffix, added or instead of its own."""

    done_marker: str = Field(
        pattern=r"^\.[A-Za-z0-9_.]+$", description="suffix of the marker's name, e.g. .done"
    )


class Manifest(Section):
    """Complete when a manifest lists it with the size it has; its hash is compared after the download.

    A manifest is a text file in the same directory. Its lines are those of ``sha256sum`` or ``md5sum``
    (``<hash>  <name>``), or ``<name>,<size>`` and ``<name>,<size>,<hash>`` with comma, semicolon, tab or
    bar; a header line is passed over. Every manifest that matches is read.
    """

    manifest: str = Field(
        description="pattern of the manifest's name, e.g. 'MANIFEST_{business_date:%Y%m%d}.csv'"
    )

    @field_validator("manifest")
    @classmethod
    def _pattern_parses(cls, value: str) -> str:
        NamePattern(value)
        return value

    @cached_property
    def names(self) -> NamePattern:
        """The pattern, ready to match."""
        return NamePattern(self.manifest)


class Stable(Section):
    """Complete when its size stands still, and it is old enough by the server's own clock."""

    stable_size: Literal[True] = Field(default=True, description="the size did not change between two looks")
    min_age: Duration = Field(
        default=timedelta(0), description="how long ago the server must have written it last, e.g. 5m"
    )


class ArchiveLimits(Section):
    """How much a compressed or archived file may unpack to."""

    max_bytes: int | None = Field(default=None, ge=1, description="most bytes a payload may unpack to")
    max_ratio: int | None = Field(
        default=None, ge=1, description="most times a payload may be larger than its packed form"
    )
    max_members: int | None = Field(default=None, ge=1, description="most files in one archive")
    max_depth: int | None = Field(default=None, ge=0, description="most archives within each other")


class Decrypt(Section):
    """The keys of files that come encrypted by OpenPGP; secrets are named, not written, as in connections."""

    private_key_path: str | dict[str, str] = Field(
        description="our private key, armoured; {env: NAME} allowed"
    )
    passphrase: dict[str, str] | None = Field(default=None, description="{env: NAME} of its passphrase")
    signed_by: str | dict[str, str] | None = Field(
        default=None, description="file of the sender's public key; without its signature a file is refused"
    )


class FileConfig(Section):
    """Where files are found, when they are complete, and how they are decoded."""

    directory: str = Field(pattern=r"^/", description="directory on the server")
    pattern: str = Field(
        description="names that belong to the feed: a glob or, from ^ on, a regular expression; "
        "{business_date:%Y%m%d} stands for the date in the name"
    )
    complete: Literal["stable_size", "none"] | DoneMarker | Manifest | Stable = Field(
        description="when a file is whole: stable_size, none, {done_marker: .done}, {manifest: PATTERN}, or "
        "{stable_size: true, min_age: 5m}"
    )
    stable_seconds: float = Field(default=1.0, ge=0, description="how long a size must not change")
    format: str = Field(description="the decoder")
    settings: dict[str, Any] = Field(default={}, description="settings of the format, by which sites differ")
    verify: Literal["content", "listing"] = Field(
        default="content",
        description="content: read again and compare the hash; listing: trust path, size and time once taken",
    )
    on_changed: Literal["supersede", "keep"] = Field(
        default="supersede",
        description="other content under the same name: supersede: its rows replace those of the older "
        "content, which stays in landing; keep: both stay in raw, as corrections of meter reads do",
    )
    archive: ArchiveLimits | None = Field(default=None, description="limits of archives")
    decrypt: Decrypt | None = Field(default=None, description="keys of files encrypted by OpenPGP")

    @field_validator("pattern")
    @classmethod
    def _pattern_parses(cls, value: str) -> str:
        NamePattern(value)
        return value

    @field_validator("complete", mode="before")
    @classmethod
    def _rule_is_named(cls, value: Any) -> Any:
        """One clear word where a union would complain of each of its branches."""
        rules: dict[str, type[Section]] = {
            "done_marker": DoneMarker,
            "manifest": Manifest,
            "stable_size": Stable,
            "min_age": Stable,
        }
        if isinstance(value, str) and value not in ("stable_size", "none"):
            raise ValueError(
                f"'{value}' is no rule{nearest(value, ['stable_size', 'none', 'done_marker', 'manifest'])}"
            )
        if isinstance(value, dict):
            unknown = [key for key in value if key not in rules]
            if unknown or not value:
                key = str(unknown[0]) if unknown else ""
                raise ValueError(f"'{key}' is no rule{nearest(key, rules)}")
            return rules[next(iter(value))].model_validate(value)
        return value

    @field_validator("format")
    @classmethod
    def _format_exists(cls, value: str) -> str:
        if value not in format_names():
            raise ValueError(f"unknown format '{value}'{nearest(value, format_names())}")
        return value

    @cached_property
    def names(self) -> NamePattern:
        """The pattern, ready to match."""
        return NamePattern(self.pattern)

    @property
    def copybook(self) -> Path | None:
        """The file of a layout that the settings name, if they do."""
        found = self.settings.get("copybook")
        return Path(found) if isinstance(found, str) else None


class SqlFeedConfig(Section):
    """How tables of a database are pulled."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    schema_name: str | None = Field(default=None, alias="schema", description="schema of the tables")
    overlap: Duration = Field(
        default=timedelta(hours=1),
        description="how far below the highest cursor is read again, for rows that were committed late",
    )
    deletes: Literal["sweep", "counts", "none"] = Field(
        default="sweep",
        description="sweep: compare all keys, which finds deletes and late commits; counts: only when the "
        "number of rows does not agree; none: what is deleted at the source stays",
    )
    sweep_every: Duration | None = Field(
        default=None, description="sweep at most so often, e.g. 1d, besides when the counts do not agree"
    )
    consistency: Literal["snapshot", "committed"] = Field(
        default="snapshot",
        description="snapshot: all tables at one moment; committed: each read as it comes, where the "
        "database has no snapshot to give",
    )
    time_zone: str = Field(
        default="UTC", description="zone of columns that hold times without one, e.g. America/Chicago"
    )
    readers: int = Field(
        default=2, ge=1, le=8, description="connections that read a large table together (PostgreSQL)"
    )

    @field_validator("time_zone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"'{value}' is not a time zone such as America/Chicago") from None
        return value


class HttpFeedConfig(Section):
    """How events are read, page by page, from a cursor that the service hands out."""

    path: str = Field(pattern=r"^/", description="path behind the connection's base_url")
    cursor_parameter: str = Field(default="after", description="query parameter that takes the cursor")
    limit_parameter: str = Field(default="limit", description="query parameter that takes the page size")
    page_size: int = Field(default=1000, ge=1, le=100_000, description="events asked for at once")
    records: str = Field(default="events", description="key of the answer that holds the events")
    next_cursor: str = Field(
        default="next_cursor", description="key of the answer that holds the next cursor"
    )


class Freshness(Section):
    """When silence is a fault: a span since the last delivery, or a time of day by which it must be there."""

    fail_after: Duration | None = Field(
        default=None, description="nothing taken for so long is a failure, e.g. 26h"
    )
    warn_after: Duration | None = Field(default=None, description="nothing taken for so long is a warning")
    deadline: str | None = Field(
        default=None, pattern=CRON, description="cron, in the utility's time zone, of when it must be there"
    )
    within: Duration | None = Field(
        default=None, description="with deadline: how long before it a delivery counts for it, e.g. 5h"
    )

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> Freshness:
        if (self.fail_after is None) == (self.deadline is None):
            raise ValueError("needs fail_after, or deadline with within")
        if (self.deadline is None) != (self.within is None):
            raise ValueError("deadline and within are given together")
        if self.warn_after is not None and (self.fail_after is None or self.warn_after >= self.fail_after):
            raise ValueError("warn_after must be shorter than fail_after")
        spans = [s for s in (self.fail_after, self.warn_after, self.within) if s is not None]
        if min(spans) < timedelta(minutes=1):
            raise ValueError("a span must be a minute or more")
        return self
