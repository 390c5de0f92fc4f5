"""Receipts read back: as Arrow, and as Parquet for the warehouse.

Belongs here: their schema and export. Does not belong here: writing them, which is one transaction with
everything else that an answer changes (``state``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from connectors.activation import tables

RECEIPT_SCHEMA = pa.schema(
    [
        ("receipt_id", pa.int64()),
        ("push", pa.string()),
        ("destination", pa.string()),
        ("key", pa.string()),
        ("op", pa.string()),
        ("state", pa.string()),
        ("message", pa.string()),
        ("payload_hash", pa.string()),
        ("batch_id", pa.string()),
        ("attempt", pa.int64()),
        ("as_of_date", pa.date32()),
        ("recorded_at", pa.timestamp("us", tz="UTC")),
    ]
)
_AS_STORED = pa.schema(
    [
        field if field.name in ("receipt_id", "attempt") else pa.field(field.name, pa.string())
        for field in RECEIPT_SCHEMA
    ]
)
# Holds the declared columns where nothing was sent so far, so that the warehouse can always read the table.
_EMPTY_DAY = "1970-01-01"


def read_receipts(engine: sa.Engine, where: sa.ColumnElement[bool] | None = None) -> Iterator[pa.RecordBatch]:
    """Receipts as RECEIPT_SCHEMA, oldest first, in chunks."""
    query = sa.select(*[tables.receipt.c[name] for name in RECEIPT_SCHEMA.names]).order_by(
        tables.receipt.c.receipt_id
    )
    for chunk in tables.stream(engine, query if where is None else query.where(where), _AS_STORED):
        columns = []
        for field, column in zip(RECEIPT_SCHEMA, chunk.columns, strict=True):
            if pa.types.is_timestamp(field.type):
                column = column.cast(pa.timestamp("us"))
            columns.append(column.cast(field.type))
        yield pa.RecordBatch.from_arrays(columns, schema=RECEIPT_SCHEMA)


def export_receipts(engine: sa.Engine, folder: Path) -> int:
    """Write receipts as ``load_date=…/receipts.parquet`` (the UTC date they were recorded on).

    Only days whose number of receipts differs from the file's are written, each by rename; returns how many.
    """
    day = sa.func.substr(tables.receipt.c.recorded_at, 1, 10)
    with engine.connect() as connection:
        days = connection.execute(sa.select(day, sa.func.count()).group_by(day).order_by(day)).all()
    written = 0
    for text, count in [(_EMPTY_DAY, 0), *days]:
        name = "_empty.parquet" if text == _EMPTY_DAY else "receipts.parquet"
        target = folder / f"load_date={text}" / name
        if target.is_file() and pq.read_metadata(target).num_rows == count:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_suffix(f".{os.getpid()}.tmp")
        with pq.ParquetWriter(temporary, RECEIPT_SCHEMA, compression="zstd") as writer:
            for chunk in read_receipts(engine, day == text):
                writer.write_batch(chunk)
        os.replace(temporary, target)
        written += 1
    return written
