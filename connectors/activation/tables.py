"""The tables of the activation state.

Belongs here: their columns and keys, and reading one as Arrow. Does not belong here: what a row means for
what comes next (``state``).

Moments are texts in UTC with microseconds: they sort, and every database keeps them as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

CHUNK_ROWS = 50_000
# Any number, the same in every process.
_CREATE_LOCK = 7_240_001

metadata = sa.MetaData()
acknowledged = sa.Table(
    "acknowledged",
    metadata,
    sa.Column("destination", sa.String(300), primary_key=True),
    sa.Column("key", sa.String(300), primary_key=True),
    sa.Column("payload_hash", sa.String(64), nullable=False),
    sa.Column("payload", sa.Text),
    sa.Column("acked_at", sa.String(32), nullable=False),
)
batch = sa.Table(
    "batch",
    metadata,
    sa.Column("batch_id", sa.String(64), primary_key=True),
    sa.Column("sequence", sa.Integer, nullable=False),
    sa.Column("destination", sa.String(300), nullable=False, index=True),
    sa.Column("push", sa.String(100), nullable=False),
    sa.Column("op", sa.String(10), nullable=False),
    sa.Column("as_of_date", sa.String(10), nullable=False),
    sa.Column("content_hash", sa.String(64), nullable=False, index=True),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("created_at", sa.String(32), nullable=False),
    sa.Column("finished_at", sa.String(32)),
)
outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("batch_id", sa.String(64), primary_key=True),
    sa.Column("key", sa.String(300), primary_key=True),
    sa.Column("op", sa.String(10), nullable=False),
    sa.Column("payload_hash", sa.String(64), nullable=False),
    sa.Column("payload", sa.Text),
    sa.Column("rejection", sa.Text),
)
receipt = sa.Table(
    "receipt",
    metadata,
    sa.Column("receipt_id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("push", sa.String(100), nullable=False),
    sa.Column("destination", sa.String(300), nullable=False),
    sa.Column("key", sa.String(300), nullable=False),
    sa.Column("op", sa.String(10), nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("message", sa.Text),
    sa.Column("payload_hash", sa.String(64), nullable=False),
    sa.Column("batch_id", sa.String(64), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("as_of_date", sa.String(10), nullable=False),
    sa.Column("recorded_at", sa.String(32), nullable=False, index=True),
    sa.UniqueConstraint("batch_id", "key"),
)


def create(engine: sa.Engine) -> None:
    """Make what is missing; safe when several processes do so at once."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CREATE_LOCK)))
        for table in metadata.sorted_tables:
            connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
            for index in sorted(table.indexes, key=lambda found: str(found.name)):
                connection.execute(sa.schema.CreateIndex(index, if_not_exists=True))


def stream(engine: sa.Engine, query: sa.Select[Any], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The rows of ``query`` in chunks; its columns are those of ``schema``, in that order."""
    with engine.connect().execution_options(stream_results=True) as connection:
        for chunk in connection.execute(query).partitions(CHUNK_ROWS):
            columns: Iterable[tuple[Any, ...]] = zip(*chunk, strict=True)
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)
