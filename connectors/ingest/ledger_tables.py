"""The tables of the ledger: what a row says, how they reach the warehouse, how an older ledger gains columns.

Belongs here: columns and the engine they live in. Does not belong here: questions asked of them (``ledger``).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """Aware datetimes, kept as UTC without zone since SQLite has none."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """UTC without its zone."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """UTC with its zone."""
        return None if value is None else value.replace(tzinfo=UTC)


metadata = sa.MetaData()
files_table = sa.Table(
    "ingest_file",
    metadata,
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
    sa.Column("first_seen_at", UtcDateTime, nullable=False),
    sa.Column("last_seen_at", UtcDateTime, nullable=False),
    sa.Column("published_at", UtcDateTime),
    # Other content came later under the same name: whose it is, and whose place the row itself takes.
    sa.Column("superseded_by", sa.String(16)),
    sa.Column("takes_place_of", sa.JSON),
    # Columns and record types that no table declares: what was found, and what became of it.
    sa.Column("undeclared", sa.JSON),
    sa.Column("times_decoded", sa.Integer),
)
sightings_table = sa.Table(
    "ingest_sighting",
    metadata,
    sa.Column("source", sa.String(64), primary_key=True),
    sa.Column("path", sa.String(1024), primary_key=True),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("modified_at", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("seen_at", UtcDateTime, nullable=False),
)
names_table = sa.Table(
    "ingest_name",
    metadata,
    sa.Column("source", sa.String(64), primary_key=True),
    sa.Column("path", sa.String(1024), primary_key=True),
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("first_seen_at", UtcDateTime, nullable=False),
    sa.Column("last_seen_at", UtcDateTime, nullable=False),
)
decodings_table = sa.Table(
    "ingest_decoding",
    metadata,
    sa.Column("source", sa.String(64), primary_key=True),
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("decoded_at", UtcDateTime, primary_key=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("decoder_version", sa.String(64)),
    sa.Column("settings_fingerprint", sa.String(16)),
    sa.Column("records_read", sa.BigInteger, nullable=False),
    sa.Column("loaded", sa.BigInteger, nullable=False),
    sa.Column("superseded", sa.BigInteger, nullable=False),
    sa.Column("quarantined", sa.BigInteger, nullable=False),
)
cursors_table = sa.Table(
    "ingest_cursor",
    metadata,
    sa.Column("source", sa.String(64), primary_key=True),
    sa.Column("table_name", sa.String(128), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)

# What leaves the ledger for the warehouse; JSON goes as text.
EXPORTED: dict[str, pa.DataType] = {
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
    "superseded_by": pa.string(),
    "undeclared": pa.string(),
    "times_decoded": pa.int64(),
}
LEDGER_SCHEMA = pa.schema(list(EXPORTED.items()))


def open_engine(url: str | sa.URL) -> sa.Engine:
    """An engine for the ledger at ``url``."""
    engine = sa.create_engine(url, connect_args=_connect_arguments(url))
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine)
    return engine


def create_tables(engine: sa.Engine) -> None:
    """Make the tables, and give those of an older version the columns they lack (all may be null)."""
    metadata.create_all(engine)
    with engine.begin() as session:
        there = {column["name"] for column in sa.inspect(session).get_columns(files_table.name)}
        for column in files_table.columns:
            if column.name not in there:
                kind = column.type.compile(engine.dialect)
                session.exec_driver_sql(f"ALTER TABLE {files_table.name} ADD COLUMN {column.name} {kind}")


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
        # What was published is noted for good: a power cut must not leave raw ahead of its books.
        connection.execute("PRAGMA synchronous=FULL")

    @event.listens_for(engine, "begin")
    def _begun(session: sa.Connection) -> None:
        session.exec_driver_sql("BEGIN IMMEDIATE")
