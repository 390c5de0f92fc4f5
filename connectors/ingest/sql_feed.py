"""Tables of a live database: new versions of rows by cursor, late commits and deletes by comparing keys.

Belongs here: the run of a feed of kind ``sql``. Does not belong here: the database protocol, the comparison
(``versions``), publishing.

1. The rows with a cursor at or above the highest one in raw, less the overlap, are read again.
2. Versions (key and cursor) that raw has are dropped, so that a second run brings nothing.
3. All keys and cursors of the source are compared with raw in the same snapshot: a version raw lacks was
   committed late below the overlap and is fetched by key; a key the source lacks was deleted and gets a row
   with ``_is_deleted``.
4. The count at the source must then equal the live rows in raw, or nothing is published.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from connectors.errors import GridCRMError
from connectors.formats import Reject
from connectors.ingest.config import FeedConfig, SqlFeedConfig, TableConfig
from connectors.ingest.conform import conform, declared_type
from connectors.ingest.ledger import Ledger, now
from connectors.ingest.parquet import open_writer
from connectors.ingest.report import FeedReport, FileOutcome, PendingFile
from connectors.ingest.staging import Publisher, StagedTables, raw_schema
from connectors.ingest.versions import Versions, known_rejects
from connectors.paths import Paths
from connectors.transport import TransientTransportError, TransportError
from connectors.transport.sql import Snapshot, SqlTransport

DECODER_VERSION = "sql/1"
_KEYS_A_QUERY = 500
_LATE_BY_KEY = 20_000
_RULE = "type"


class SchemaContractError(GridCRMError):
    """The source's columns are not those the feed declares, and its contract does not allow that."""


class ReconciliationError(GridCRMError):
    """The rows at the source and the rows raw would have do not agree; nothing was published."""


@dataclass(frozen=True)
class SqlFeedRun:
    """What a run of a SQL feed works with."""

    paths: Paths
    ledger: Ledger
    feed: FeedConfig
    progress: Callable[[str], None]

    def run(self, sql: SqlTransport, report: FeedReport) -> None:
        """Pull every table at one moment of the database. Call under the feed's lock.

        A table that is refused leaves the others loaded.
        """
        with sql.snapshot() as snapshot:
            for table, config in self.feed.tables.items():
                try:
                    outcome = TablePull(self, snapshot, table, config).run()
                except TransientTransportError:
                    raise
                except (SchemaContractError, ReconciliationError, TransportError) as error:
                    outcome = FileOutcome(
                        source_name(self.feed, table, config), "", "refused", message=str(error)
                    )
                report.files.append(outcome)
                rows = sum(outcome.rows.values())
                self.progress(f"{self.feed.source}: {outcome.name}: {outcome.state}, {rows:,} rows")

    def pending(self, sql: SqlTransport) -> list[PendingFile]:
        """Tables with rows above the cursor of the last run, and how many."""
        found = []
        with sql.snapshot() as snapshot:
            for table, config in self.feed.tables.items():
                pull = TablePull(self, snapshot, table, config)
                if count := pull.changed():
                    found.append(PendingFile(pull.source_name, count, None))
        return found


@dataclass
class _Read:
    """What one pull read: rows, and those that do not fit their declared types."""

    rows: int = 0
    rejects: list[Reject] = field(default_factory=list)


class TablePull:
    """One pull of one table."""

    def __init__(self, run: SqlFeedRun, snapshot: Snapshot, table: str, config: TableConfig) -> None:
        if run.feed.sql is None or config.cursor is None:
            raise TypeError(f"feed {run.feed.source} is not of kind sql")
        self._run, self._snapshot, self._name, self._config = run, snapshot, table, config
        self._sql: SqlFeedConfig = run.feed.sql
        self.source_name = source_name(run.feed, table, config)
        self._table = snapshot.table(config.name or table, self._sql.schema_name)
        self._keys = config.key
        self._cursor: str = config.cursor
        self._work = run.paths.state / "staging" / run.feed.source / f"pull-{table}"

    def changed(self) -> int:
        """Rows above the cursor of the last run."""
        query = sa.select(sa.func.count()).select_from(self._table)
        if text := self._run.ledger.cursor(self._run.feed.source, self._name):
            column = self._table.c[self._cursor]
            query = query.where(column > _literal(column, _from_text(text)))
        return int(self._snapshot.scalar(query))

    def run(self) -> FileOutcome:
        """Read, compare, reconcile, publish."""
        declared = self._declared()
        feed, paths = self._run.feed, self._run.paths
        self._work.mkdir(parents=True, exist_ok=True)
        moment = now()
        pull_id = hashlib.sha256(f"{self.source_name} {moment} {uuid.uuid4()}".encode()).hexdigest()
        read = _Read()
        with Versions(paths.raw / feed.source / self._name, self._work, self._keys, self._cursor) as versions:
            total = self._compare(versions, declared, read)
            fresh, gone, _ = versions.counts()
            rejects = self._new_rejects(read.rejects)
            if not (fresh or gone or rejects):
                return FileOutcome(
                    self.source_name, "", "known", read.rows, 0, read.rows, control_totals=[total]
                )
            folder = Publisher(paths, self._run.ledger).staging(feed.source, pull_id[:16])
            schemas = {self._name: raw_schema(declared, with_deletes=True)}
            with StagedTables(folder, feed.source, pull_id[:16], self.source_name, schemas) as staged:
                for batch in versions.rows(declared):
                    staged.write(self._name, batch)
                for reject in rejects:
                    staged.reject(reject)
            cursor = versions.highest_cursor_then()
        row = {
            "source": feed.source,
            "sha256": pull_id,
            "file_id": pull_id[:16],
            "path": f"sql:{self.source_name}",
            "name": self.source_name,
            "size_bytes": sum(path.stat().st_size for path in folder.iterdir()),
            "business_date": moment.date(),
        }
        counts = {
            "records_read": read.rows,
            "loaded": fresh,
            "superseded": read.rows - fresh - len(rejects),
            "quarantined": len(rejects),
            "row_counts": dict(staged.rows),
            "control_totals": [total],
            "reasons": {_RULE: len(rejects)} if rejects else {},
            "decoder_version": DECODER_VERSION,
        }
        Publisher(paths, self._run.ledger).publish(
            feed.source, pull_id, staged.targets(paths, moment.date()), counts, new_row=row
        )
        if cursor is not None:
            self._run.ledger.set_cursor(feed.source, self._name, _to_text(cursor))
        return FileOutcome.from_ledger(
            {**row, **counts, "reason": None},
            "quarantined_some" if rejects else "loaded",
            f"{gone} deleted at the source" if gone else "",
        )

    def _declared(self) -> pa.Schema:
        """The columns to pull, after the feed's contract had its word."""
        feed = self._run.feed
        declared = feed.schemas()[self._name]
        there = {column.name for column in self._table.columns}
        missing = [column for column in declared.names if column not in there]
        extra = [column for column in self._table.columns if column.name not in declared.names]
        vital = [column for column in missing if column in (*self._keys, self._cursor)]
        if vital or (missing and feed.contract != "evolve") or (extra and feed.contract == "freeze"):
            said = [f"lacks {', '.join(missing)}"] if missing else []
            said += [f"has undeclared {', '.join(column.name for column in extra)}"] if extra else []
            raise SchemaContractError(
                f"feed {feed.source}: {self.source_name} {' and '.join(said)}, "
                f"which contract {feed.contract} does not allow; nothing of it was pulled"
            )
        if feed.contract == "evolve":
            declared = pa.schema([*declared, *(pa.field(item.name, declared_type(item)) for item in extra)])
        return declared

    def _compare(self, versions: Versions, declared: pa.Schema, read: _Read) -> dict[str, Any]:
        """Read what may be new, and what the keys say besides; returns the control total of the snapshot."""
        since = self._since(versions.highest_cursor())
        column = self._table.c[self._cursor]
        query = self._select(declared.names)
        if since is not None:
            query = query.where(sa.or_(column >= _literal(column, since), column.is_(None)))
        self._read("window", [query], declared, versions, read)
        at_source = int(self._snapshot.scalar(sa.select(sa.func.count()).select_from(self._table)))
        sweeps = self._sql.deletes == "sweep"
        if since is not None and (sweeps or versions.counts()[2] < at_source):
            self._sweep(versions, declared, since, read)
        found = versions.counts()[2]
        # Without a sweep, rows deleted at the source stay in raw by the feed's own wish.
        is_ok = found == at_source or (not sweeps and found > at_source)
        if not is_ok:
            raise ReconciliationError(
                f"feed {self._run.feed.source}: {self.source_name} has {at_source} rows and {found} "
                f"would be live in raw; is its key ({', '.join(self._keys)}) unique? Nothing was published"
            )
        return {"name": "rows at source", "declared": at_source, "found": found, "ok": is_ok}

    def _since(self, high: Any) -> Any:
        if isinstance(high, datetime | date):
            return high - (self._config.overlap or self._sql.overlap)
        return high

    def _sweep(self, versions: Versions, declared: pa.Schema, since: Any, read: _Read) -> None:
        """Compare all keys: fetch versions that were committed late, find what was deleted."""
        columns = [*self._keys, self._cursor]
        keys = self._work / "keys.parquet"
        schema = pa.schema([declared.field(column) for column in columns])
        with open_writer(keys, schema) as writer:
            for batch in self._snapshot.read(self._select(columns)):
                writer.write_batch(conform(batch, schema).batch)
        if self._sql.deletes == "sweep":
            versions.mark_gone(keys)
        late = versions.late(keys, since)
        if not late:
            return
        query = self._select(declared.names)
        if len(late) > _LATE_BY_KEY:
            column = self._table.c[self._cursor]
            queries = [query.where(column < _literal(column, since))]
        else:
            queries = [
                query.where(self._is_one_of(late[start : start + _KEYS_A_QUERY]))
                for start in range(0, len(late), _KEYS_A_QUERY)
            ]
        self._read("late", queries, declared, versions, read)

    def _is_one_of(self, rows: list[tuple[Any, ...]]) -> sa.ColumnElement[bool]:
        columns = [self._table.c[key] for key in self._keys]
        if len(columns) == 1:
            return columns[0].in_([row[0] for row in rows])
        # Row values are not portable; disjunctions are.
        return sa.or_(
            *(sa.and_(*(column == value for column, value in zip(columns, row, strict=True))) for row in rows)
        )

    def _select(self, columns: list[str]) -> sa.Select[Any]:
        there = {column.name for column in self._table.columns}
        return sa.select(*(self._table.c[column] for column in columns if column in there))

    def _read(
        self,
        part_name: str,
        queries: Iterable[sa.Select[Any]],
        schema: pa.Schema,
        versions: Versions,
        read: _Read,
    ) -> None:
        """The rows of the queries into a staged part; rows that do not fit become rejects."""
        part: Path = self._work / f"{part_name}.parquet"
        bad_batches = []
        with open_writer(part, schema) as writer:
            for query in queries:
                for batch in self._snapshot.read(query):
                    conformed = conform(batch, schema)
                    writer.write_batch(conformed.batch)
                    if conformed.bad:
                        bad_batches.append(conformed.bad_batch)
                        read.rejects.extend(
                            _reject(batch, position, column, read.rows)
                            for position, column in conformed.bad.items()
                        )
                    read.rows += batch.num_rows
        versions.add(part, bad_batches)

    def _new_rejects(self, rejects: list[Reject]) -> list[Reject]:
        """Rejects that are not in quarantine yet: a bad row is read again as long as the overlap holds it."""
        if not rejects:
            return []
        quarantine = self._run.paths.raw / "gridcrm" / "quarantine"
        known = known_rejects(quarantine, self._run.feed.source, self.source_name)
        return [reject for reject in rejects if reject.raw not in known]


def source_name(feed: FeedConfig, table: str, config: TableConfig) -> str:
    """The table as the source calls it."""
    schema = feed.sql.schema_name if feed.sql else None
    return f"{schema}.{config.name or table}" if schema else (config.name or table)


def _reject(batch: pa.RecordBatch, position: int, column: str, offset: int) -> Reject:
    (row,) = batch.slice(position, 1).to_pylist()
    raw = json.dumps(row, default=str, sort_keys=True, ensure_ascii=False).encode()
    return Reject(offset + position + 1, 0, raw, _RULE, f"column {column} does not fit its declared type")


def _literal(column: sa.Column[Any], value: Any) -> sa.ColumnElement[Any]:
    is_zoned = getattr(column.type, "timezone", False)
    if isinstance(value, datetime) and value.tzinfo is not None and not is_zoned:
        value = value.replace(tzinfo=None)
    return sa.literal(value, column.type)


def _to_text(value: Any) -> str:
    return json.dumps(value.isoformat() if isinstance(value, datetime | date) else value, default=str)


def _from_text(text: str) -> Any:
    value = json.loads(text)
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            return value
    return value
