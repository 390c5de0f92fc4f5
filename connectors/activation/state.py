"""What destinations have acknowledged, what is on its way, and a receipt for every row.

Belongs here: the tables and their transactions (SQLite in WAL mode by default, PostgreSQL by URL). Does not belong
here: comparing (``plan``) or sending (``sender``).

A batch and its rows are committed to the outbox before a byte leaves. When the destination has answered, one
transaction writes the receipts, moves the rows to ``acknowledged`` and empties the outbox. A process killed in between
leaves an open batch, which the next send settles first.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from connectors.activation.plan import ACKNOWLEDGED_SCHEMA

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
# A hash that no row has: acknowledged under it, a row is certain to be planned again.
UNCERTAIN = "uncertain"
_CHUNK = 50_000

metadata = sa.MetaData()
_acknowledged = sa.Table(
    "acknowledged",
    metadata,
    sa.Column("destination", sa.String(300), primary_key=True),
    sa.Column("key", sa.String(300), primary_key=True),
    sa.Column("payload_hash", sa.String(64), nullable=False),
    sa.Column("payload", sa.Text),
    sa.Column("acked_at", sa.String(32), nullable=False),
)
_batch = sa.Table(
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
_outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("batch_id", sa.String(64), primary_key=True),
    sa.Column("key", sa.String(300), primary_key=True),
    sa.Column("op", sa.String(10), nullable=False),
    sa.Column("payload_hash", sa.String(64), nullable=False),
    sa.Column("payload", sa.Text),
    sa.Column("rejection", sa.Text),
)
_receipt = sa.Table(
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


@dataclass(frozen=True)
class OpenBatch:
    """A batch that was begun and whose end is not known."""

    batch_id: str
    op: str
    as_of_date: date
    attempt: int
    rows: pa.Table


def now() -> str:
    """This moment as text: UTC, microseconds, sortable."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


class State:
    """The activation state behind one SQLAlchemy engine."""

    def __init__(self, url: str | sa.URL) -> None:
        self.engine = sa.create_engine(url)
        if self.engine.dialect.name == "sqlite":
            sa.event.listen(self.engine, "connect", _configure_sqlite)
        metadata.create_all(self.engine)

    @classmethod
    def in_folder(cls, folder: Path) -> State:
        """The state file of a data root, made if absent."""
        folder.mkdir(parents=True, exist_ok=True)
        return cls(sa.URL.create("sqlite", database=str(folder / "activation.db")))

    def close(self) -> None:
        """Let go of the connections."""
        self.engine.dispose()

    # -- acknowledged rows ---------------------------------------------------------------------------------

    def acknowledged(self, destination: str) -> pa.Table:
        """``key`` and ``payload_hash`` of every row the destination holds."""
        query = sa.select(_acknowledged.c.key, _acknowledged.c.payload_hash).where(
            _acknowledged.c.destination == destination
        )
        schema = pa.schema([ACKNOWLEDGED_SCHEMA.field("key"), ACKNOWLEDGED_SCHEMA.field("payload_hash")])
        return pa.Table.from_batches(self._stream(query, schema), schema)

    def payloads(self, destination: str) -> Iterator[pa.RecordBatch]:
        """``key``, ``payload_hash`` and ``payload`` of every row the destination holds, in chunks."""
        query = sa.select(_acknowledged.c.key, _acknowledged.c.payload_hash, _acknowledged.c.payload).where(
            _acknowledged.c.destination == destination
        )
        return self._stream(query, ACKNOWLEDGED_SCHEMA)

    def adopt(self, destination: str, rows: pa.Table) -> int:
        """Remember ``rows`` (key, payload_hash, payload) as acknowledged without sending them."""
        at = now()
        with self.engine.begin() as connection:
            for chunk in rows.to_batches(_CHUNK):
                keys = chunk.column("key").to_pylist()
                connection.execute(
                    sa.delete(_acknowledged).where(
                        _acknowledged.c.destination == destination,
                        _acknowledged.c.key == sa.bindparam("b_key"),
                    ),
                    [{"b_key": key} for key in keys],
                )
                connection.execute(
                    sa.insert(_acknowledged),
                    [{**row, "destination": destination, "acked_at": at} for row in chunk.to_pylist()],
                )
        return int(rows.num_rows)

    # -- batches -------------------------------------------------------------------------------------------

    def generation(self, destination: str, content_hash: str) -> int:
        """How often this very content was sent before: the same rows may be due again after others."""
        query = (
            sa.select(sa.func.count())
            .select_from(_batch)
            .where(_batch.c.destination == destination, _batch.c.content_hash == content_hash)
        )
        with self.engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def begin(
        self,
        *,
        batch_id: str,
        destination: str,
        push: str,
        op: str,
        as_of_date: date,
        content_hash: str,
        rows: pa.Table,
    ) -> None:
        """Commit a batch and its rows (key, op, payload_hash, payload) to the outbox."""
        with self.engine.begin() as connection:
            sequence = connection.execute(
                sa.select(sa.func.coalesce(sa.func.max(_batch.c.sequence), 0))
            ).scalar_one()
            connection.execute(
                sa.insert(_batch).values(
                    batch_id=batch_id,
                    sequence=sequence + 1,
                    destination=destination,
                    push=push,
                    op=op,
                    as_of_date=as_of_date.isoformat(),
                    content_hash=content_hash,
                    state="open",
                    attempt=0,
                    created_at=now(),
                )
            )
            for chunk in rows.select(["key", "op", "payload_hash", "payload"]).to_batches(_CHUNK):
                connection.execute(
                    sa.insert(_outbox), [{**row, "batch_id": batch_id} for row in chunk.to_pylist()]
                )

    def attempt(self, batch_id: str) -> None:
        """Count one more try, before it is made."""
        with self.engine.begin() as connection:
            connection.execute(
                sa.update(_batch).where(_batch.c.batch_id == batch_id).values(attempt=_batch.c.attempt + 1)
            )

    def finish(self, batch_id: str, rejected: Mapping[str, str], *, keep_payload: bool) -> None:
        """The destination has answered: receipts, acknowledged rows and an empty outbox in one transaction.

        ``keep_payload`` False forgets what was in the rows (letters are never compared again).
        """
        mine = _outbox.c.batch_id == batch_id
        taken = sa.and_(mine, _outbox.c.rejection.is_(None))
        at = now()
        with self.engine.begin() as connection:
            if rejected:
                connection.execute(
                    sa.update(_outbox)
                    .where(mine, _outbox.c.key == sa.bindparam("b_key"))
                    .values(rejection=sa.bindparam("b_words")),
                    [{"b_key": key, "b_words": words[:1000]} for key, words in rejected.items()],
                )
            destination = connection.execute(
                sa.select(_batch.c.destination).where(_batch.c.batch_id == batch_id)
            ).scalar_one()
            state = sa.case((_outbox.c.rejection.is_(None), "sent"), else_="rejected")
            connection.execute(
                sa.insert(_receipt).from_select(
                    [c.name for c in _receipt.c if c.name != "receipt_id"],
                    sa.select(
                        _batch.c.push, _batch.c.destination, _outbox.c.key, _outbox.c.op, state, _outbox.c.rejection,
                        _outbox.c.payload_hash, _batch.c.batch_id, _batch.c.attempt, _batch.c.as_of_date, sa.literal(at),
                    )
                    .select_from(_outbox.join(_batch, _batch.c.batch_id == _outbox.c.batch_id))
                    .where(mine)
                    .order_by(_outbox.c.key),
                )
            )  # fmt: skip
            connection.execute(
                sa.delete(_acknowledged).where(
                    _acknowledged.c.destination == destination,
                    _acknowledged.c.key.in_(sa.select(_outbox.c.key).where(taken)),
                )
            )
            payload = _outbox.c.payload if keep_payload else sa.null()
            connection.execute(
                sa.insert(_acknowledged).from_select(
                    ["destination", "key", "payload_hash", "payload", "acked_at"],
                    sa.select(sa.literal(destination), _outbox.c.key, _outbox.c.payload_hash, payload, sa.literal(at))
                    .where(taken, _outbox.c.op != "delete"),
                )
            )  # fmt: skip
            self._close(connection, batch_id, "finished", at)

    def forget(self, batch_id: str) -> None:
        """The batch is known not to have arrived: its rows are as before, to be planned again."""
        with self.engine.begin() as connection:
            self._close(connection, batch_id, "forgotten", now())

    def mark_uncertain(self, batch_id: str) -> None:
        """Nobody knows whether the batch arrived and it must not go again: plan every row of it anew."""
        with self.engine.begin() as connection:
            destination = connection.execute(
                sa.select(_batch.c.destination).where(_batch.c.batch_id == batch_id)
            ).scalar_one()
            mine = _outbox.c.batch_id == batch_id
            connection.execute(
                sa.delete(_acknowledged).where(
                    _acknowledged.c.destination == destination,
                    _acknowledged.c.key.in_(sa.select(_outbox.c.key).where(mine)),
                )
            )
            connection.execute(
                sa.insert(_acknowledged).from_select(
                    ["destination", "key", "payload_hash", "payload", "acked_at"],
                    sa.select(sa.literal(destination), _outbox.c.key, sa.literal(UNCERTAIN), _outbox.c.payload,
                              sa.literal(now())).where(mine),
                )
            )  # fmt: skip
            self._close(connection, batch_id, "uncertain", now())

    def open_batches(self, destination: str) -> Iterator[OpenBatch]:
        """Batches whose end is not known, oldest first."""
        with self.engine.connect() as connection:
            found = connection.execute(
                sa.select(_batch.c.batch_id, _batch.c.op, _batch.c.as_of_date, _batch.c.attempt)
                .where(_batch.c.destination == destination, _batch.c.state == "open")
                .order_by(_batch.c.sequence)
            ).all()
        schema = pa.schema([(name, pa.string()) for name in ("key", "op", "payload_hash", "payload")])
        for batch_id, op, as_of_date, attempt in found:
            query = (
                sa.select(_outbox.c.key, _outbox.c.op, _outbox.c.payload_hash, _outbox.c.payload)
                .where(_outbox.c.batch_id == batch_id)
                .order_by(_outbox.c.key)
            )
            rows = pa.Table.from_batches(self._stream(query, schema), schema)
            yield OpenBatch(batch_id, op, date.fromisoformat(as_of_date), attempt, rows)

    def count_open(self, destination: str) -> int:
        """How many batches' end is not known."""
        query = (
            sa.select(sa.func.count())
            .select_from(_batch)
            .where(_batch.c.destination == destination, _batch.c.state == "open")
        )
        with self.engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    # -- receipts ------------------------------------------------------------------------------------------

    def receipts(self) -> Iterator[pa.RecordBatch]:
        """Every receipt as RECEIPT_SCHEMA, oldest first, in chunks."""
        return self._receipts(sa.true())

    def export_receipts(self, folder: Path) -> int:
        """Write receipts as ``load_date=…/receipts.parquet`` (the UTC date they were recorded on).

        Only days whose number of receipts differs from the file's are written, each by rename; returns how many.
        """
        day = sa.func.substr(_receipt.c.recorded_at, 1, 10)
        with self.engine.connect() as connection:
            days = connection.execute(sa.select(day, sa.func.count()).group_by(day).order_by(day)).all()
        written = 0
        for text, count in [("1970-01-01", 0), *days]:
            target = (
                folder
                / f"load_date={text}"
                / ("_empty.parquet" if text == "1970-01-01" else "receipts.parquet")
            )
            if target.is_file() and pq.read_metadata(target).num_rows == count:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_suffix(f".{os.getpid()}.tmp")
            with pq.ParquetWriter(temporary, RECEIPT_SCHEMA, compression="zstd") as writer:
                for chunk in self._receipts(day == text):
                    writer.write_batch(chunk)
            os.replace(temporary, target)
            written += 1
        return written

    # -- inside --------------------------------------------------------------------------------------------

    @staticmethod
    def _close(connection: sa.Connection, batch_id: str, state: str, at: str) -> None:
        connection.execute(sa.delete(_outbox).where(_outbox.c.batch_id == batch_id))
        connection.execute(
            sa.update(_batch).where(_batch.c.batch_id == batch_id).values(state=state, finished_at=at)
        )

    def _receipts(self, where: sa.ColumnElement[bool]) -> Iterator[pa.RecordBatch]:
        query = (
            sa.select(*[_receipt.c[name] for name in RECEIPT_SCHEMA.names])
            .where(where)
            .order_by(_receipt.c.receipt_id)
        )
        texts = pa.schema(
            [
                field if field.name in ("receipt_id", "attempt") else pa.field(field.name, pa.string())
                for field in RECEIPT_SCHEMA
            ]
        )
        for chunk in self._stream(query, texts):
            columns: list[pa.Array] = []
            for field, column in zip(RECEIPT_SCHEMA, chunk.columns, strict=True):
                if pa.types.is_timestamp(field.type):
                    column = column.cast(pa.timestamp("us")).cast(field.type)
                columns.append(column.cast(field.type))
            yield pa.RecordBatch.from_arrays(columns, schema=RECEIPT_SCHEMA)

    def _stream(self, query: sa.Select[*tuple[object, ...]], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        with self.engine.connect().execution_options(stream_results=True) as connection:
            for chunk in connection.execute(query).partitions(_CHUNK):
                columns: Iterable[tuple[object, ...]] = zip(*chunk, strict=True)
                arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _configure_sqlite(connection: object, _: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]
    cursor.execute("pragma journal_mode = wal")
    # A commit must survive a power cut, not only a killed process.
    cursor.execute("pragma synchronous = full")
    cursor.execute("pragma busy_timeout = 60000")
    cursor.close()
