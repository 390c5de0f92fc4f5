"""What a feed is: the model behind ``orchestration/feeds/<source>/defs.yaml``.

Belongs here: keys of a feed and of its tables, their meaning and their checks. Does not belong here: its
sections (``settings``), reading a folder of feeds (``loading``), doing what a feed says.
"""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import ConfigDict, Field, GetJsonSchemaHandler, field_validator, model_validator
from pydantic_core import CoreSchema

from connectors.errors import GridCRMError
from connectors.formats import SettingsError, schema
from connectors.formats.columns import arrow_type
from connectors.ingest.contract import DEFAULT, Mode, SchemaContract
from connectors.ingest.settings import (
    CRON,
    Duration,
    FileConfig,
    Freshness,
    HttpFeedConfig,
    Section,
    SqlFeedConfig,
)

_NAME = r"^[a-z][a-z0-9_]*$"
# Formats that know their columns take them from the feed's tables; the others bring their own.
DECLARED_BY_FEED = frozenset({"delimited", "jsonl"})


class FeedError(GridCRMError):
    """A feed is badly described; the message starts with ``file:line: key``."""


class ColumnConfig(Section):
    """One column: what it means, and its type where the format does not bring one."""

    type: str | None = Field(
        default=None,
        description="string, int, bigint, decimal(p,s), double, boolean, date or timestamp",
    )
    description: str = Field(default="", description="what the column means")
    contract: Mode | None = Field(default=None, description="what becomes of a value that is not of its type")

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

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """A description alone, or a mapping, for editors."""
        return {"anyOf": [{"type": "string"}, {**handler.resolve_ref_schema(handler(core_schema))}]}


class TableConfig(Section):
    """One raw table of a feed."""

    description: str = Field(description="begins with the grain: One row a …")
    key: list[str] = Field(default=[], description="columns that tell one row (or its versions) from another")
    columns: dict[str, ColumnConfig] = Field(default={}, description="columns by name")
    contract: SchemaContract | None = Field(
        default=None, description="what becomes of new columns and wrong values of this table"
    )
    records: list[str] | None = Field(default=None, description="jsonl: discriminator values of this table")
    name: str | None = Field(default=None, description="sql: name at the source when it differs")
    cursor: str | None = Field(default=None, description="sql: column that grows with each change")
    overlap: Duration | int | None = Field(
        default=None,
        description="sql: as of the feed, for this table; a number in the unit of a cursor that is a number",
    )
    query: str | None = Field(
        default=None, description="sql: a select instead of a table, in the words of the database"
    )
    null_values: list[str] = Field(
        default=[],
        description="sql: what stands for unknown and fits no type, e.g. 0000-00-00 or infinity",
    )

    @model_validator(mode="after")
    def _cursor_fits(self) -> TableConfig:
        if self.query is not None and self.name is not None:
            raise ValueError("takes a 'name' at the source or a 'query', not both")
        cursor = self.columns.get(self.cursor or "")
        if self.overlap is not None and cursor is not None:
            is_time = (cursor.type or "string") in ("timestamp", "date")
            if is_time != isinstance(self.overlap, timedelta):
                unit = "a number with s, m, h or d" if is_time else "a number in the cursor's own unit"
                raise ValueError(f"the overlap of the cursor '{self.cursor}' must be {unit}")
        return self


class FeedConfig(Section):
    """Files, tables or events of one source system, taken once and with nothing lost."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, title="Feed")

    source: str = Field(pattern=_NAME, description="name of the source system, and of the feed's folder")
    description: str = Field(description="what it brings, in a sentence")
    owner: str = Field(description="team, or e-mail address, that answers for it")
    connection: str = Field(description="how it is reached: a name in connections.yaml")
    kind: Literal["file", "sql", "http"] = Field(description="files over SFTP, tables, or events over HTTP")
    schedule: str = Field(pattern=CRON, description="cron, in the utility's time zone")
    partitioned: bool = Field(default=False, description="one business date a file; loaded day by day")
    schema_contract: SchemaContract = Field(
        alias="contract",
        description="what becomes of what the feed does not declare: evolve, freeze or quarantine for new "
        "tables and columns, or a mapping of tables, columns and types",
    )
    on_refused: Literal["block", "warn"] = Field(
        default="block",
        description="block: what is behind waits until a refused file is mended; warn: it goes on",
    )
    freshness: Freshness | None = Field(default=None, description="when silence is a fault")
    file: FileConfig | None = Field(
        default=None, description="of kind file: where, when complete, how decoded"
    )
    sql: SqlFeedConfig | None = Field(default=None, description="of kind sql: how tables are pulled")
    http: HttpFeedConfig | None = Field(default=None, description="of kind http: how events are read")
    tables: dict[Annotated[str, Field(pattern=_NAME)], TableConfig] = Field(
        min_length=1, description="raw tables by name"
    )

    @property
    def name(self) -> str:
        """The feed is called as its source."""
        return self.source

    @property
    def format(self) -> str:
        """The decoder: of the file, or JSON lines for events over HTTP."""
        return self.file.format if self.file else "jsonl"

    @property
    def contract(self) -> Mode:
        """What becomes of columns that no table declares, unless a table says otherwise."""
        return self.contract_of(None).columns or "quarantine"

    def contract_of(self, table: str | None) -> SchemaContract:
        """The contract of a table, all three questions answered; of the feed for None or an unknown one."""
        whole = self.schema_contract.over(DEFAULT)
        own = self.tables[table].contract if table in self.tables else None
        return own.over(whole) if own else whole

    def type_mode(self, table: str, column: str) -> Mode:
        """What becomes of a value that does not fit ``column``."""
        declared = self.tables[table].columns.get(column) if table in self.tables else None
        if declared is not None and declared.contract is not None:
            return declared.contract
        return self.contract_of(table).types or "quarantine"

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
            # What the contract says of further columns is asked before the file is decoded: see discover.
            settings.setdefault("allow_extra_columns", True)
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

    @cached_property
    def settings_fingerprint(self) -> str:
        """Changes when the same bytes could decode to something else: format, settings, copybook text,
        contract.
        """
        settings = dict(self.decode_settings)
        if copybook := settings.get("copybook"):
            settings["copybook"] = Path(copybook).read_text(encoding="utf-8", errors="replace")
        if copies := settings.get("copies"):
            settings["copies"] = {
                name: value if "\n" in value else Path(value).read_text(encoding="utf-8", errors="replace")
                for name, value in copies.items()
            }
        contracts = {
            name: [
                self.contract_of(name).model_dump(),
                {column: config.contract for column, config in table.columns.items() if config.contract},
            ]
            for name, table in self.tables.items()
        }
        text = json.dumps([self.format, settings, contracts], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _types(table: TableConfig) -> dict[str, str]:
    return {name: column.type or "string" for name, column in table.columns.items()}
