"""What a feed is: the model of ``orchestration/feeds/<source>.yaml``, and reading a folder of them.

Belongs here: keys of a feed, their meaning and their checks. Does not belong here: doing what a feed says.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from connectors.errors import GridCRMError
from connectors.formats import SettingsError, format_names, schema
from connectors.formats.columns import arrow_type
from connectors.ingest.patterns import NamePattern
from connectors.yaml_config import YamlFile, nearest, read_yaml, validate

Contract = Literal["evolve", "freeze", "quarantine"]
_NAME = r"^[a-z][a-z0-9_]*$"
_DURATION = re.compile(r"^\s*(\d+)\s*(s|m|h|d)\s*$")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
# Formats that know their columns take them from the feed's tables; the others bring their own.
_DECLARED_BY_FEED = frozenset({"delimited", "jsonl"})


class FeedError(GridCRMError):
    """A feed is badly described; the message starts with ``file:line: key``."""


def _duration(value: Any) -> Any:
    if isinstance(value, str) and (match := _DURATION.match(value)):
        return timedelta(**{_UNITS[match[2]]: int(match[1])})
    if isinstance(value, timedelta):
        return value
    raise ValueError("must be a number with s, m, h or d, e.g. 2h")


Duration = Annotated[timedelta, BeforeValidator(_duration)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ColumnConfig(_Model):
    """One column: what it means, and its type where the format does not bring one."""

    type: str | None = None
    description: str = ""

    @model_validator(mode="before")
    @classmethod
    def _text_is_description(cls, value: Any) -> Any:
        return {"description": value} if isinstance(value, str) else value

    @field_validator("type")
    @classmethod
    def _known_type(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                arrow_type(value)
            except SettingsError as error:
                # The place is given by file and line; the decoder's own naming of it would be a second one.
                raise ValueError(str(error).split(": ", 1)[-1]) from None
        return value


class TableConfig(_Model):
    """One raw table of a feed."""

    description: str
    key: list[str] = []
    columns: dict[str, ColumnConfig] = {}
    records: list[str] | None = Field(default=None, description="jsonl: discriminator values of this table")
    name: str | None = Field(default=None, description="sql: name at the source when it differs")
    cursor: str | None = Field(default=None, description="sql: column that grows with each change")
    overlap: Duration | None = None


class DoneMarker(_Model):
    """Complete when a marker lies beside it: the name with this suffix, added or instead of its own."""

    done_marker: str = Field(pattern=r"^\.[A-Za-z0-9_.]+$")


class FileConfig(_Model):
    """Where files are found, when they are complete, and how they are decoded."""

    directory: str = Field(pattern=r"^/")
    pattern: str
    complete: Literal["stable_size", "none"] | DoneMarker
    stable_seconds: float = Field(default=1.0, ge=0, description="how long a size must not change")
    format: str
    settings: dict[str, Any] = {}
    verify: Literal["content", "listing"] = Field(
        default="content",
        description="content: read again and compare the hash; listing: trust path, size and time once taken",
    )

    @field_validator("pattern")
    @classmethod
    def _pattern_parses(cls, value: str) -> str:
        NamePattern(value)
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


class SqlFeedConfig(_Model):
    """How tables of a database are pulled."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    schema_name: str | None = Field(default=None, alias="schema")
    overlap: Duration = timedelta(hours=1)
    deletes: Literal["sweep", "none"] = Field(
        default="sweep", description="sweep: compare all keys each time, which finds deletes and late commits"
    )


class HttpFeedConfig(_Model):
    """How events are read, page by page, from a cursor that the service hands out."""

    path: str = Field(pattern=r"^/")
    cursor_parameter: str = "after"
    limit_parameter: str = "limit"
    page_size: int = Field(default=1000, ge=1, le=100_000)
    records: str = "events"
    next_cursor: str = "next_cursor"


class FeedConfig(_Model):
    """One source system's feed."""

    source: str = Field(pattern=_NAME)
    description: str
    owner: str
    connection: str
    kind: Literal["file", "sql", "http"]
    schedule: str = Field(pattern=r"^(\S+\s+){4}\S+$", description="cron, in the utility's time zone")
    partitioned: bool = Field(default=False, description="one business date a file; loaded day by day")
    contract: Contract = Field(
        description="columns the feed does not declare: evolve takes them (sql) or leaves them out (files), "
        "quarantine leaves them out, freeze refuses"
    )
    on_refused: Literal["block", "warn"] = Field(
        default="block",
        description="block: what is behind waits until a refused file is mended; warn: it goes on",
    )
    file: FileConfig | None = None
    sql: SqlFeedConfig | None = None
    http: HttpFeedConfig | None = None
    tables: dict[Annotated[str, Field(pattern=_NAME)], TableConfig] = Field(min_length=1)

    @property
    def name(self) -> str:
        """The feed is called as its source."""
        return self.source

    @property
    def format(self) -> str:
        """The decoder: of the file, or JSON lines for events over HTTP."""
        return self.file.format if self.file else "jsonl"

    @model_validator(mode="after")
    def _one_kind(self) -> FeedConfig:
        for kind in ("file", "sql", "http"):
            if (getattr(self, kind) is not None) != (kind == self.kind):
                verb = "needs" if kind == self.kind else "takes no"
                raise ValueError(f"a feed of kind {self.kind} {verb} section '{kind}'")
        return self

    @property
    def decode_settings(self) -> dict[str, Any]:
        """The settings of the decoder, with the feed's columns where the format needs to be told them."""
        settings = dict(self.file.settings) if self.file else {}
        if self.format == "delimited":
            (name, table) = next(iter(self.tables.items()))
            settings |= {"table": name, "columns": _types(table)}
            # Columns the feed does not declare are left out, unless the contract freezes what may come.
            settings.setdefault("allow_extra_columns", self.contract != "freeze")
        elif self.format == "jsonl":
            settings["tables"] = {
                name: {"columns": _types(table)} | ({"values": table.records} if table.records else {})
                for name, table in self.tables.items()
            }
        return settings

    def schemas(self) -> dict[str, pa.Schema]:
        """The columns of each raw table as its source declares them, without the columns ingestion adds."""
        if self.kind == "sql":
            return {
                name: pa.schema(
                    [pa.field(column, arrow_type(kind)) for column, kind in _types(table).items()]
                )
                for name, table in self.tables.items()
            }
        return schema(self.format, self.decode_settings)

    def fingerprint(self) -> str:
        """Changes when the same bytes could decode to something else: format, settings, copybook text."""
        settings = dict(self.decode_settings)
        if copybook := settings.get("copybook"):
            settings["copybook"] = Path(copybook).read_text(encoding="utf-8", errors="replace")
        if copies := settings.get("copies"):
            settings["copies"] = {
                name: value if "\n" in value else Path(value).read_text(encoding="utf-8", errors="replace")
                for name, value in copies.items()
            }
        text = json.dumps([self.format, settings], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _types(table: TableConfig) -> dict[str, str]:
    return {name: column.type or "string" for name, column in table.columns.items()}


def load_feed(path: Path) -> FeedConfig:
    """The feed described in ``path``; raises FeedError naming file, line and key of the first mistake."""
    file = read_yaml(path, FeedError)
    feed = validate(FeedConfig, file, _with_paths(file), error=FeedError)
    if feed.source != path.stem:
        raise file.error(("source",), f"must be '{path.stem}', as the file is named", FeedError)
    needs_types = feed.kind != "file" or feed.format in _DECLARED_BY_FEED
    for name, table in feed.tables.items():
        for column, config in table.columns.items():
            if needs_types and config.type is None:
                raise file.error(("tables", name, "columns", column), "needs a type", FeedError)
            if not needs_types and config.type is not None:
                place = ("tables", name, "columns", column, "type")
                raise file.error(place, f"format {feed.format} brings its own types", FeedError)
    _check_keys(feed, file)
    try:
        decoded = feed.schemas()
    except GridCRMError as error:
        raise file.error(("file", "settings"), str(error), FeedError) from None
    for name, table in feed.tables.items():
        if name not in decoded:
            raise file.error(
                ("tables", name),
                f"format {feed.format} makes no such table{nearest(name, decoded)}",
                FeedError,
            )
        for column in table.columns:
            if column not in decoded[name].names:
                hint = nearest(column, decoded[name].names)
                raise file.error(("tables", name, "columns", column), f"is not decoded{hint}", FeedError)
    for name in decoded:
        if name not in feed.tables:
            raise file.error(("tables",), f"table '{name}' is decoded but not described here", FeedError)
    return feed


def _check_keys(feed: FeedConfig, file: YamlFile) -> None:
    for name, table in feed.tables.items():
        for key in ("key", "cursor"):
            if feed.kind == "sql" and not getattr(table, key):
                raise file.error(("tables", name), f"a table of a sql feed needs '{key}'", FeedError)
        columns = [("key", column) for column in table.key]
        columns += [("cursor", table.cursor)] if table.cursor else []
        for key, column in columns:
            if column not in table.columns:
                hint = nearest(column, table.columns)
                raise file.error(("tables", name, key), f"'{column}' is no column{hint}", FeedError)


def _with_paths(file: YamlFile) -> Mapping[str, Any]:
    """A copybook, and what it copies, is named relative to the feed file."""
    section = file.data.get("file")
    if not isinstance(section, dict) or not isinstance(settings := section.get("settings"), dict):
        return file.data
    if not isinstance(settings.get("copybook"), str):
        return file.data

    def beside(value: str, *key: str) -> str:
        found = (file.path.parent / value).resolve()
        if not found.is_file():
            raise file.error(
                ("file", "settings", *key), "this file does not exist beside the feed", FeedError
            )
        return str(found)

    settings = {**settings, "copybook": beside(settings["copybook"], "copybook")}
    if isinstance(copies := settings.get("copies"), dict):
        settings["copies"] = {
            name: beside(value, "copies", name) if isinstance(value, str) and "\n" not in value else value
            for name, value in copies.items()
        }
    return {**file.data, "file": {**section, "settings": settings}}


def load_feeds(folder: Path) -> dict[str, FeedConfig]:
    """Every feed of ``folder`` by source, in the order of their names.

    Raises FeedError for the first mistake.
    """
    if not folder.is_dir():
        raise FeedError(f"the folder of feeds {folder.name}/ does not exist")
    feeds = [load_feed(path) for path in sorted(folder.glob("*.yaml"))]
    return {feed.source: feed for feed in feeds}
