"""One pull of one table: new versions of rows by cursor, late commits and deletes by comparing keys.

Belongs here: what is asked of the source and in which order. Does not belong here: the database protocol, the
comparison (``versions``), publishing.

A table that raw does not have yet is read whole, straight into the files that are published. From then on:

1. The rows with a cursor at or above the highest one in raw, less the overlap, are read again, and those
   without a cursor. The bound is included, so equal cursors need no second column to tell them apart.
2. Versions (key and cursor) that raw shows are dropped, so that a second run brings nothing.
3. Where the feed sweeps, all keys and cursors of the source are compared with raw in the same snapshot: a
   version raw does not show was committed late below the overlap and is fetched by key; a key the source does
   not show was deleted and gets a row with ``_is_deleted``.
4. The count at the source must then equal the rows raw knows of, or the keys are swept, or nothing is
   published.
"""

from __future__ import annotations

import hashlib
import json
import operator
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from connectors.errors import GridCRMError
from connectors.formats import Reject
from connectors.ingest.config import FeedConfig, TableConfig
from connectors.ingest.conform import Rules, as_text, conform, sql_types
from connectors.ingest.ledger import Ledger, now
from connectors.ingest.parquet import open_writer
from connectors.ingest.pull_memory import Memory
from connectors.ingest.report import FileOutcome
from connectors.ingest.sql_contract import SchemaContractError, allowed
from connectors.ingest.staging import IS_DELETED, RECORD_NO, Publisher, StagedTables, raw_schema
from connectors.ingest.versions import Versions, first_look, known_rejects
from connectors.paths import Paths
from connectors.transport.sql import Snapshot

DECODER_VERSION = "sql/2"
_KEYS_A_QUERY = 500
_LATE_BY_KEY = 20_000
_TYPE, _KEY = "type", "key"


class ReconciliationError(GridCRMError):
    """The rows at the source and the rows raw would have do not agree; nothing was published."""


@dataclass
class _Read:
    """What one pull read from the source, and what of it did not fit."""

    rows: int = 0
    bad: int = 0
    aside: int = 0
    """Of the bad rows, those that were not in quarantine yet."""


@dataclass
class _Result:
    """How the table stands after a pull: changes, and the rows the source has and raw knows of."""

    at_source: int
    found: int
    fresh: int = 0
    gone: int = 0
    cursor: Any = None
    is_swept: bool = False


class TablePull:
    """One pull of one table."""

    def __init__(
        self, paths: Paths, ledger: Ledger, feed: FeedConfig, snapshot: Snapshot, table: str
    ) -> None:
        config = feed.tables[table]
        if feed.sql is None or config.cursor is None:
            raise TypeError(f"feed {feed.source} is not of kind sql")
        self._paths, self._ledger, self._feed, self._snapshot = paths, ledger, feed, snapshot
        self._name, self._config, self._sql = table, config, feed.sql
        self.source_name = source_name(feed, table, config)
        self._declared = feed.schemas()[table]
        self._table = (
            snapshot.query(config.query, sql_types(self._declared))
            if config.query
            else snapshot.table(config.name or table, feed.sql.schema_name)
        )
        self._keys, self._cursor = config.key, config.cursor
        self._rules = Rules(feed.sql.time_zone, config.null_values, config.key)
        self._work = paths.state / "staging" / feed.source / f"pull-{table}"
        self._raw = paths.raw / feed.source / table
        self._memory = Memory(ledger, feed.source, table, self._raw)
        self._known: set[bytes] | None = None
        self._reasons: dict[str, int] = {}

    def changed(self) -> int:
        """Rows above the cursor of the last run."""
        query = sa.select(sa.func.count()).select_from(self._table)
        if self._memory.cursor is not None:
            query = query.where(self._bound(self._memory.cursor, operator.gt))
        return int(self._snapshot.scalar(query))

    def run(self) -> FileOutcome:
        """Read, compare, reconcile, publish.

        Raises SchemaContractError, ReconciliationError, TransportError; nothing is published then.
        """
        declared = allowed(self._feed, self._name, self.source_name, self._table, self._declared)
        self._work.mkdir(parents=True, exist_ok=True)
        moment, read = now(), _Read()
        pull_id = hashlib.sha256(f"{self.source_name} {moment} {uuid.uuid4()}".encode()).hexdigest()
        publisher = Publisher(self._paths, self._ledger)
        folder = publisher.staging(self._feed.source, pull_id[:16])
        schemas = {self._name: raw_schema(declared, with_deletes=True)}
        try:
            pull = self._next if self._memory.raw_files else self._first
            with StagedTables(folder, self._feed.source, pull_id[:16], self.source_name, schemas) as staged:
                result = pull(declared, staged, read)
            if not self._memory.raw_files and staged.rows:
                keys, result.cursor = first_look(
                    folder / f"{self._name}.parquet",
                    self._keys,
                    self._cursor,
                    is_unique=self._snapshot.is_unique(self._table, self._keys),
                )
                result.found = keys + read.bad
            total = self._reconciled(result)
        except GridCRMError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        if not (staged.rows or staged.rejects):
            shutil.rmtree(folder, ignore_errors=True)
            self._memory.keep(result.cursor, result.found, is_swept=result.is_swept)
            return FileOutcome(self.source_name, "", "known", read.rows, 0, read.rows, control_totals=[total])
        row = {
            "source": self._feed.source,
            "sha256": pull_id,
            "file_id": pull_id[:16],
            "path": f"sql:{self.source_name}",
            "name": self.source_name,
            "size_bytes": sum(path.stat().st_size for path in folder.iterdir()),
            "business_date": moment.date(),
        }
        counts = {
            "records_read": read.rows,
            "loaded": result.fresh,
            "superseded": read.rows - result.fresh - read.aside,
            "quarantined": read.aside,
            "row_counts": dict(staged.rows),
            "control_totals": [total],
            "reasons": self._reasons,
            "decoder_version": DECODER_VERSION,
        }
        publisher.publish(
            self._feed.source, pull_id, staged.targets(self._paths, moment.date()), counts, new_row=row
        )
        self._memory.keep(result.cursor, result.found, is_swept=result.is_swept)
        return FileOutcome.from_ledger(
            {**row, **counts, "reason": None},
            "quarantined_some" if read.aside else "loaded",
            f"{result.gone} deleted at the source" if result.gone else "",
        )

    def _first(self, declared: pa.Schema, staged: StagedTables, read: _Read) -> _Result:
        """The whole table straight into what will be published."""
        at_source = self._count()
        loaded = 0
        for batch in self._read([self._select(declared)], declared, staged, read, whole=True):
            numbers = np.arange(loaded + 1, loaded + batch.num_rows + 1, dtype=np.int64)
            added = [pa.array(numbers), pa.repeat(False, batch.num_rows)]
            schema = pa.schema([*declared, RECORD_NO, IS_DELETED])
            staged.write(self._name, pa.RecordBatch.from_arrays([*batch.columns, *added], schema=schema))
            loaded += batch.num_rows
        return _Result(at_source, read.bad, fresh=loaded, is_swept=True)

    def _next(self, declared: pa.Schema, staged: StagedTables, read: _Read) -> _Result:
        """What has changed since raw was last brought up to date."""
        at_source = self._count()
        with Versions(self._raw, self._work, self._keys, self._cursor) as versions:
            since = self._since(versions.highest_cursor())
            sweeps = self._sql.deletes == "sweep" and not self._memory.is_swept_within(self._sql.sweep_every)
            rows_before = self._memory.rows
            if sweeps or since is None or rows_before is None:
                versions.look_at_all()
            else:
                versions.look_from(since)
            query = self._select(declared)
            if since is not None:
                bound = self._bound(since, operator.ge)
                cursor = self._table.c[self._cursor]
                query = query.where(sa.or_(bound, cursor.is_(None)) if _may_be_null(cursor) else bound)
            self._stage("window", [query], declared, versions, staged, read)
            found = versions.rows_then(rows_before) + versions.keyless(None)
            if sweeps or not self._agree(found, at_source):
                sweeps = True
                versions.look_at_all()
                keys = self._sweep(versions, declared, since, staged, read)
                found = versions.rows_then(None) + versions.keyless(keys)
            fresh, gone = versions.changes()
            if fresh or gone:
                for batch in versions.rows(declared):
                    staged.write(self._name, batch)
            return _Result(at_source, found, fresh, gone, versions.highest_cursor_then(), sweeps)

    def _sweep(
        self, versions: Versions, declared: pa.Schema, since: Any, staged: StagedTables, read: _Read
    ) -> Path:
        """Compare all keys: fetch versions that were committed late, find what was deleted.

        Returns the list of the source's keys.
        """
        schema = pa.schema([declared.field(column) for column in dict.fromkeys([*self._keys, self._cursor])])
        keys: Path = self._work / "keys.parquet"
        rules = replace(self._rules, keys=())
        with open_writer(keys, schema) as writer:
            for batch in self._snapshot.read(self._select(schema), whole=self._table):
                conformed = conform(batch, schema, rules)
                writer.write_batch(conformed.batch)
                # A row whose cursor does not fit is there all the same, and must not pass for deleted.
                if conformed.bad:
                    writer.write_batch(conformed.bad_batch)
        if self._sql.deletes != "none":
            versions.mark_gone(keys)
        late = versions.late(keys, since)
        query = self._select(declared)
        if len(late) > _LATE_BY_KEY and since is not None:
            cursor = self._table.c[self._cursor]
            # Those at or above were read already; raw is asked which of the others it has.
            queries = [query.where(sa.not_(self._bound(since, operator.ge)), cursor.is_not(None))]
        else:
            queries = [
                query.where(self._is_one_of(late[start : start + _KEYS_A_QUERY]))
                for start in range(0, len(late), _KEYS_A_QUERY)
            ]
        if late:
            self._stage("late", queries, declared, versions, staged, read)
        return keys

    def _stage(
        self,
        name: str,
        queries: list[sa.Select[Any]],
        declared: pa.Schema,
        versions: Versions,
        staged: StagedTables,
        read: _Read,
    ) -> None:
        """The rows of the queries into a part that ``versions`` compares."""
        part, bad = self._work / f"{name}.parquet", list[pa.RecordBatch]()
        with open_writer(part, declared) as writer:
            for batch in self._read(queries, declared, staged, read, bad=bad):
                writer.write_batch(batch)
        versions.add(part, bad)

    def _read(
        self,
        queries: list[sa.Select[Any]],
        declared: pa.Schema,
        staged: StagedTables,
        read: _Read,
        *,
        whole: bool = False,
        bad: list[pa.RecordBatch] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Rows that fit; the others go to quarantine, and their keys to ``bad``."""
        for query in queries:
            for batch in self._snapshot.read(query, whole=self._table if whole else None):
                conformed = conform(batch, declared, self._rules)
                if conformed.bad:
                    self._put_aside(batch, conformed.bad, staged, read)
                    if bad is not None:
                        keys = [name for name in declared.names if name in self._keys]
                        bad.append(conformed.bad_batch.select(keys))
                read.rows += batch.num_rows
                yield conformed.batch

    def _put_aside(
        self, batch: pa.RecordBatch, bad: dict[int, str], staged: StagedTables, read: _Read
    ) -> None:
        """Into quarantine, unless it is there: a bad row is read as long as the overlap holds it."""
        if self._known is None:
            quarantine = self._paths.raw / "gridcrm" / "quarantine"
            self._known = known_rejects(quarantine, self._feed.source, self.source_name)
        for position, column in bad.items():
            if self._feed.type_mode(self._name, column) == "freeze":
                raise SchemaContractError(
                    f"feed {self._feed.source}: {self.source_name} has a value in column {column} that does "
                    "not fit its declared type, which contract freeze does not allow; nothing was published"
                )
            read.bad += 1
            reject = _reject(batch, position, column, read.rows, self._keys)
            if reject.raw not in self._known:
                read.aside += 1
                self._reasons[reject.rule] = self._reasons.get(reject.rule, 0) + 1
                staged.reject(reject)

    def _reconciled(self, result: _Result) -> dict[str, Any]:
        """The control total of the snapshot; raises ReconciliationError when it does not hold."""
        if not self._agree(result.found, result.at_source):
            raise ReconciliationError(
                f"feed {self._feed.source}: {self.source_name} has {result.at_source} rows and "
                f"{result.found} would be live in raw; is its key ({', '.join(self._keys)}) unique? "
                "Nothing was published"
            )
        return {
            "name": "rows at source",
            "declared": result.at_source,
            "found": result.found,
            "ok": True,
            "state": "holds",
        }

    def _agree(self, found: int, at_source: int) -> bool:
        # Where deletes are not followed, rows deleted at the source stay in raw by the feed's own wish.
        return found == at_source or (self._sql.deletes == "none" and found > at_source)

    def _count(self) -> int:
        return int(self._snapshot.scalar(sa.select(sa.func.count()).select_from(self._table)))

    def _select(self, schema: pa.Schema) -> sa.Select[Any]:
        there = {column.name for column in self._table.columns}
        return self._snapshot.select(self._table, [name for name in schema.names if name in there])

    def _since(self, high: Any) -> Any:
        """Where the window begins: the highest cursor less the overlap, in the cursor's own unit."""
        own = self._config.overlap
        if isinstance(high, datetime | date):
            overlap = own if isinstance(own, timedelta) else self._sql.overlap
            moment = now()
            # Nothing changed in the future: a row dated 2999 must not hide the changes of today.
            latest = min(high, moment if isinstance(high, datetime) else moment.date() + timedelta(days=1))
            return latest - overlap
        return high - own if isinstance(own, int) and isinstance(high, int | Decimal) else high

    def _bound(self, value: Any, compare: Callable[[Any, Any], Any]) -> sa.ColumnElement[bool]:
        return self._snapshot.bound(self._table.c[self._cursor], value, compare, self._sql.time_zone)

    def _is_one_of(self, rows: list[tuple[Any, ...]]) -> sa.ColumnElement[bool]:
        columns = [self._table.c[key] for key in self._keys]
        values = [
            [self._snapshot.comparable(column, value) for column, value in zip(columns, row, strict=True)]
            for row in rows
        ]
        if len(columns) == 1:
            return columns[0].in_([row[0] for row in values])
        # Row values are not portable; disjunctions are.
        return sa.or_(
            *(
                sa.and_(*(column == value for column, value in zip(columns, row, strict=True)))
                for row in values
            )
        )


def source_name(feed: FeedConfig, table: str, config: TableConfig) -> str:
    """The table as the source calls it."""
    schema = feed.sql.schema_name if feed.sql and not config.query else None
    return f"{schema}.{config.name or table}" if schema else (config.name or table)


def _may_be_null(column: sa.ColumnElement[Any]) -> bool:
    return getattr(column, "nullable", True) is not False


def _reject(batch: pa.RecordBatch, position: int, column: str, offset: int, keys: list[str]) -> Reject:
    row = {
        name: as_text(values.slice(position, 1))[0].as_py()
        for name, values in zip(batch.schema.names, batch.columns, strict=True)
    }
    raw = json.dumps(row, sort_keys=True, ensure_ascii=False).encode()
    number = offset + position + 1
    if column in keys and row[column] is None:
        reason = f"column {column} is part of the key and has no value"
        return Reject(number, 0, raw, _KEY, reason, column=column)
    return Reject(number, 0, raw, _TYPE, f"column {column} does not fit its declared type", column=column)
