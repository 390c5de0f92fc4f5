"""The ledger: what was taken, what became of it, and how far each source was read.

Belongs here: the tables of the ledger and the questions asked of them. Does not belong here: files and
decoding.

One row a file by content (or one row a pull of a SQL table that brought something). States:
``landed`` (bytes are kept) → ``publishing`` (tables are staged, being renamed into place) → ``published``, or
``refused``. A kill between any two leaves a state from which the next run goes on.
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.types import TypeDecorator

from connectors.errors import GridCRMError
from connectors.ingest.parquet import write_table


class LedgerError(GridCRMError):
    """The ledger cannot be opened, or another run holds the feed for too long."""


class _UtcDateTime(TypeDecorator[datetime]):
    """Aware datetimes, kept as UTC without zone since SQLite has none."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


_metadata = sa.MetaData()
files_table = sa.Table(
    "ingest_file",
    _metadata,
    sa.Column("source", sa.String(64), primary_key=True),
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("file_id", sa.String(16), nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("business_date", sa.Date),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("records_read", sa.BigInteger, nullable=False, default=0),
    sa.Column("loaded", sa.BigInteger, nullable=False, default=0),
    sa.Column("superseded", sa.BigInteger, nullable=False, default=0),
    sa.Column("quarantined", sa.BigInteger, nullable=False, default=0),
    sa.Column("records_by_type", sa.JSON, nullable=False, default=dict),
    sa.Column("row_counts", sa.JSON, nullable=False, default=dict),
    sa.Column("control_totals", sa.JSON, nullable=False, default=list),
    sa.Column("reasons", sa.JSON, nullable=False, default=dict),
    sa.Column("targets", sa.JSON, nullable=False, default=list),
    sa.Column("decoder_version", sa.String(64)),
    sa.Column("settings_fingerprint", sa.String(16)),
    sa.Column("times_seen", sa.Integer, nullable=False, default=1),
    sa.Column("first_seen_at", _UtcDateTime, nullable=False),
    sa.Column("last_seen_at", _UtcDateTime, nullable=False),
    sa.Column("published_at", _UtcDateTime),
)
sightings_table = sa.Table(
    "ingest_sighting",
    _metadata,
    sa.Column("source", sa.String(64), primary_key=True),
    sa.Column("path", sa.String(1024), primary_key=True),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("modified_at", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("seen_at", _UtcDateTime, nullable=False),
)
cursors_table = sa.Table(
    "ingest_cursor",
    _metadata,
    sa.Column("source", sa.String(64), primary_key=True),
    sa.Column("table_name", sa.String(128), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("updated_at", _UtcDateTime, nullable=False),
)

# What leaves the ledger for the warehouse; JSON goes as text.
_EXPORTED: dict[str, pa.DataType] = {
    "source": pa.string(),
    "file_id": pa.string(),
    "sha256": pa.string(),
    "path": pa.string(),
    "name": pa.string(),
    "size_bytes": pa.int64(),
    "business_date": pa.date32(),
    "state": pa.string(),
    "reason": pa.string(),
    "records_read": pa.int64(),
    "loaded": pa.int64(),
    "superseded": pa.int64(),
    "quarantined": pa.int64(),
    "records_by_type": pa.string(),
    "row_counts": pa.string(),
    "control_totals": pa.string(),
    "reasons": pa.string(),
    "decoder_version": pa.string(),
    "times_seen": pa.int64(),
    "first_seen_at": pa.timestamp("us", tz="UTC"),
    "last_seen_at": pa.timestamp("us", tz="UTC"),
    "published_at": pa.timestamp("us", tz="UTC"),
}
LEDGER_SCHEMA = pa.schema(list(_EXPORTED.items()))


def now() -> datetime:
    """This moment, aware."""
    return datetime.now(UTC)


class Ledger:
    """The ledger at ``url``; SQLite in WAL mode for one machine, PostgreSQL where several share it."""

    def __init__(self, url: str | sa.URL, locks: Path) -> None:
        self._locks = locks
        self._engine = sa.create_engine(url, connect_args=_connect_arguments(url))
        if self._engine.dialect.name == "sqlite":
            _prepare_sqlite(self._engine)
        # Two processes that start together must not both create the tables.
        with file_lock(locks / "ledger.lock", timeout_seconds=60):
            _metadata.create_all(self._engine)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def feed_lock(self, source: str, timeout_seconds: float) -> Iterator[None]:
        """Only one run of a feed at a time; a killed run leaves no lock behind."""
        with file_lock(self._locks / f"feed-{source}.lock", timeout_seconds):
            yield

    def get(self, source: str, sha256: str) -> dict[str, Any] | None:
        """The row of a content, None when it was never taken."""
        query = sa.select(files_table).where(files_table.c.source == source, files_table.c.sha256 == sha256)
        with self._engine.begin() as session:
            row = session.execute(query).mappings().one_or_none()
        return dict(row) if row else None

    def rows(self, source: str | None = None, states: Iterable[str] | None = None) -> list[dict[str, Any]]:
        """Rows of a source, of all when None, in the order they were first seen."""
        query = sa.select(files_table).order_by(files_table.c.first_seen_at, files_table.c.file_id)
        if source is not None:
            query = query.where(files_table.c.source == source)
        if states is not None:
            query = query.where(files_table.c.state.in_(list(states)))
        with self._engine.begin() as session:
            return [dict(row) for row in session.execute(query).mappings()]

    def add(self, row: Mapping[str, Any]) -> None:
        """A new row; times of sight are set here."""
        moment = now()
        values = {"first_seen_at": moment, "last_seen_at": moment, **row}
        with self._engine.begin() as session:
            session.execute(sa.insert(files_table).values(values))

    def add_with_cursor(self, row: Mapping[str, Any], table: str, cursor: str) -> None:
        """A landed pull and the cursor behind it, in one transaction: neither is without the other."""
        moment = now()
        values = {"first_seen_at": moment, "last_seen_at": moment, **row}
        with self._engine.begin() as session:
            session.execute(sa.insert(files_table).values(values))
            self._put_cursor(session, str(row["source"]), table, cursor)

    def update(self, source: str, sha256: str, **values: Any) -> None:
        """Change columns of one row."""
        statement = sa.update(files_table).where(
            files_table.c.source == source, files_table.c.sha256 == sha256
        )
        with self._engine.begin() as session:
            session.execute(statement.values(**values))

    def delete(self, source: str, sha256: str) -> None:
        """Forget a row, as a pull whose staged rows are gone and will be read again."""
        with self._engine.begin() as session:
            session.execute(
                sa.delete(files_table).where(files_table.c.source == source, files_table.c.sha256 == sha256)
            )

    def sight(self, source: str, path: str, size: int, modified_at: int, sha256: str, again: bool) -> None:
        """Note that ``path`` was listed with that size and time and has that content."""
        key = {"source": source, "path": path}
        values = {"size_bytes": size, "modified_at": modified_at, "sha256": sha256, "seen_at": now()}
        with self._engine.begin() as session:
            found = session.execute(
                sa.update(sightings_table).where(*_equals(sightings_table, key)).values(**values)
            )
            if not found.rowcount:
                session.execute(sa.insert(sightings_table).values(**key, **values))
            if again:
                session.execute(
                    sa.update(files_table)
                    .where(files_table.c.source == source, files_table.c.sha256 == sha256)
                    .values(times_seen=files_table.c.times_seen + 1, last_seen_at=now())
                )

    def sightings(self, source: str) -> dict[tuple[str, int, int], str]:
        """``(path, size, modified_at) → sha256`` of everything taken."""
        table = sightings_table
        query = sa.select(table.c.path, table.c.size_bytes, table.c.modified_at, table.c.sha256)
        with self._engine.begin() as session:
            rows = session.execute(query.where(table.c.source == source))
            return {(str(row[0]), int(row[1]), int(row[2])): str(row[3]) for row in rows}

    def cursor(self, source: str, table: str) -> str | None:
        """How far a table or an endpoint was read, None at first."""
        query = sa.select(cursors_table.c.value)
        with self._engine.begin() as session:
            return session.execute(
                query.where(*_equals(cursors_table, {"source": source, "table_name": table}))
            ).scalar_one_or_none()

    def set_cursor(self, source: str, table: str, value: str) -> None:
        """Remember how far a table was read."""
        with self._engine.begin() as session:
            self._put_cursor(session, source, table, value)

    def files(self, source: str | None = None) -> pa.Table:
        """The ledger as a table (schema ``LEDGER_SCHEMA``), for people and for the warehouse."""
        rows = [{name: _plain(row[name]) for name in _EXPORTED} for row in self.rows(source)]
        return pa.Table.from_pylist(rows, schema=LEDGER_SCHEMA)

    def to_parquet(self, folder: Path) -> Path:
        """Replace the copy of the ledger in ``folder``/load_date=1970-01-01/; returns the file."""
        target = folder / "load_date=1970-01-01" / "ledger.parquet"
        # Under a lock, so that of two feeds that end together the later copy stays.
        with self.books_lock():
            write_table(self.files(), target)
        return target

    @contextmanager
    def books_lock(self) -> Iterator[None]:
        """Held while tables are written that belong to no feed: the ledger's copy, the empty quarantine."""
        with file_lock(self._locks / "books.lock", timeout_seconds=60):
            yield

    @staticmethod
    def _put_cursor(session: sa.Connection, source: str, table: str, value: str) -> None:
        key = {"source": source, "table_name": table}
        values = {"value": value, "updated_at": now()}
        statement = sa.update(cursors_table).where(*_equals(cursors_table, key)).values(**values)
        if not session.execute(statement).rowcount:
            session.execute(sa.insert(cursors_table).values(**key, **values))


@contextmanager
def file_lock(path: Path, timeout_seconds: float) -> Iterator[None]:
    """Hold ``path`` alone among processes and threads.

    The system lets go when the process ends in any way.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout_seconds
    with path.open("a") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise LedgerError(
                        f"another run has held {path.name} for {timeout_seconds:.0f} s; "
                        "wait for it to end, or end it"
                    ) from None
                time.sleep(0.05)
        yield


def _equals(table: sa.Table, key: Mapping[str, Any]) -> list[sa.ColumnElement[bool]]:
    return [table.c[name] == value for name, value in key.items()]


def _plain(value: Any) -> Any:
    return json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else value


def _connect_arguments(url: str | sa.URL) -> dict[str, Any]:
    return {"timeout": 60} if sa.make_url(url).get_backend_name() == "sqlite" else {}


def _prepare_sqlite(engine: sa.Engine) -> None:
    @event.listens_for(engine, "connect")
    def _connected(connection: Any, record: Any) -> None:
        # The driver must not open transactions by itself: they would begin as readers and fail to become
        # writers.
        connection.isolation_level = None
        connection.execute("PRAGMA busy_timeout=60000")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    @event.listens_for(engine, "begin")
    def _begun(session: sa.Connection) -> None:
        session.exec_driver_sql("BEGIN IMMEDIATE")
