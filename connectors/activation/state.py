"""What destinations have acknowledged, what is on its way, and a receipt for every row.

Belongs here: the transactions (SQLite in WAL mode by default, PostgreSQL by URL). Does not belong here: the
tables themselves (``tables``), comparing (``plan``), sending (``sender``).

A batch and its rows are committed to the outbox before a byte leaves. When the destination has answered,
one transaction writes the receipts, moves the rows to ``acknowledged`` and empties the outbox. A process
killed in between leaves an open batch, which the next send settles first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from connectors.activation import tables
from connectors.activation.plan import ACKNOWLEDGED_SCHEMA
from connectors.activation.tables import stream

# A hash that no row has: acknowledged under it, a row is certain to be planned again.
UNCERTAIN = "uncertain"


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
        tables.create(self.engine)

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
        query = sa.select(tables.acknowledged.c.key, tables.acknowledged.c.payload_hash).where(
            tables.acknowledged.c.destination == destination
        )
        schema = pa.schema([ACKNOWLEDGED_SCHEMA.field("key"), ACKNOWLEDGED_SCHEMA.field("payload_hash")])
        return pa.Table.from_batches(stream(self.engine, query, schema), schema)

    def payloads(self, destination: str) -> Iterator[pa.RecordBatch]:
        """``key``, ``payload_hash`` and ``payload`` of every row the destination holds, in chunks."""
        query = sa.select(
            tables.acknowledged.c.key, tables.acknowledged.c.payload_hash, tables.acknowledged.c.payload
        ).where(tables.acknowledged.c.destination == destination)
        return stream(self.engine, query, ACKNOWLEDGED_SCHEMA)

    def adopt(self, destination: str, rows: pa.Table) -> int:
        """Remember ``rows`` (key, payload_hash, payload) as acknowledged without sending them."""
        at = now()
        with self.engine.begin() as connection:
            for chunk in rows.to_batches(tables.CHUNK_ROWS):
                keys = chunk.column("key").to_pylist()
                connection.execute(
                    sa.delete(tables.acknowledged).where(
                        tables.acknowledged.c.destination == destination,
                        tables.acknowledged.c.key == sa.bindparam("b_key"),
                    ),
                    [{"b_key": key} for key in keys],
                )
                connection.execute(
                    sa.insert(tables.acknowledged),
                    [{**row, "destination": destination, "acked_at": at} for row in chunk.to_pylist()],
                )
        return int(rows.num_rows)

    # -- batches -------------------------------------------------------------------------------------------

    def generation(self, destination: str, content_hash: str) -> int:
        """How often this very content was sent before: the same rows may be due again after others."""
        query = (
            sa.select(sa.func.count())
            .select_from(tables.batch)
            .where(tables.batch.c.destination == destination, tables.batch.c.content_hash == content_hash)
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
            sequence: int = connection.execute(
                sa.select(sa.func.coalesce(sa.func.max(tables.batch.c.sequence), 0))
            ).scalar_one()
            connection.execute(
                sa.insert(tables.batch).values(
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
            for chunk in rows.select(["key", "op", "payload_hash", "payload"]).to_batches(tables.CHUNK_ROWS):
                connection.execute(
                    sa.insert(tables.outbox), [{**row, "batch_id": batch_id} for row in chunk.to_pylist()]
                )

    def attempt(self, batch_id: str) -> None:
        """Count one more try, before it is made."""
        with self.engine.begin() as connection:
            connection.execute(
                sa.update(tables.batch)
                .where(tables.batch.c.batch_id == batch_id)
                .values(attempt=tables.batch.c.attempt + 1)
            )

    def finish(self, batch_id: str, rejected: Mapping[str, str], *, keep_payload: bool) -> None:
        """The destination has answered: receipts, acknowledged rows and an empty outbox in one transaction.

        ``keep_payload`` False forgets what was in the rows (letters are never compared again).
        """
        mine = tables.outbox.c.batch_id == batch_id
        taken = sa.and_(mine, tables.outbox.c.rejection.is_(None))
        at = now()
        with self.engine.begin() as connection:
            if rejected:
                connection.execute(
                    sa.update(tables.outbox)
                    .where(mine, tables.outbox.c.key == sa.bindparam("b_key"))
                    .values(rejection=sa.bindparam("b_words")),
                    [{"b_key": key, "b_words": words[:1000]} for key, words in rejected.items()],
                )
            destination: str = connection.execute(
                sa.select(tables.batch.c.destination).where(tables.batch.c.batch_id == batch_id)
            ).scalar_one()
            receipt = {
                "push": tables.batch.c.push,
                "destination": tables.batch.c.destination,
                "key": tables.outbox.c.key,
                "op": tables.outbox.c.op,
                "state": sa.case((tables.outbox.c.rejection.is_(None), "sent"), else_="rejected"),
                "message": tables.outbox.c.rejection,
                "payload_hash": tables.outbox.c.payload_hash,
                "batch_id": tables.batch.c.batch_id,
                "attempt": tables.batch.c.attempt,
                "as_of_date": tables.batch.c.as_of_date,
                "recorded_at": sa.literal(at),
            }
            of_batch = tables.batch.c.batch_id == tables.outbox.c.batch_id
            rows = sa.select(*receipt.values()).join_from(tables.outbox, tables.batch, of_batch)
            connection.execute(
                sa.insert(tables.receipt).from_select(
                    list(receipt), rows.where(mine).order_by(tables.outbox.c.key)
                )
            )
            payload = tables.outbox.c.payload if keep_payload else sa.null()
            _remember(connection, destination, taken, tables.outbox.c.payload_hash, payload, at)
            _close(connection, batch_id, "finished", at)

    def forget(self, batch_id: str) -> None:
        """The batch is known not to have arrived: its rows are as before, to be planned again."""
        with self.engine.begin() as connection:
            _close(connection, batch_id, "forgotten", now())

    def mark_uncertain(self, batch_id: str) -> None:
        """Nobody knows whether the batch arrived and it must not go again: plan every row of it anew."""
        with self.engine.begin() as connection:
            destination: str = connection.execute(
                sa.select(tables.batch.c.destination).where(tables.batch.c.batch_id == batch_id)
            ).scalar_one()
            mine = tables.outbox.c.batch_id == batch_id
            _remember(connection, destination, mine, sa.literal(UNCERTAIN), tables.outbox.c.payload, now())
            _close(connection, batch_id, "uncertain", now())

    def open_batches(self, destination: str) -> Iterator[OpenBatch]:
        """Batches whose end is not known, oldest first."""
        with self.engine.connect() as connection:
            found: Sequence[Any] = connection.execute(
                sa.select(
                    tables.batch.c.batch_id,
                    tables.batch.c.op,
                    tables.batch.c.as_of_date,
                    tables.batch.c.attempt,
                )
                .where(tables.batch.c.destination == destination, tables.batch.c.state == "open")
                .order_by(tables.batch.c.sequence)
            ).all()
        schema = pa.schema([(name, pa.string()) for name in ("key", "op", "payload_hash", "payload")])
        for batch_id, op, as_of_date, attempt in found:
            query = (
                sa.select(
                    tables.outbox.c.key,
                    tables.outbox.c.op,
                    tables.outbox.c.payload_hash,
                    tables.outbox.c.payload,
                )
                .where(tables.outbox.c.batch_id == batch_id)
                .order_by(tables.outbox.c.key)
            )
            rows = pa.Table.from_batches(stream(self.engine, query, schema), schema)
            yield OpenBatch(batch_id, op, date.fromisoformat(as_of_date), attempt, rows)

    def count_open(self, destination: str) -> int:
        """How many batches' end is not known."""
        query = (
            sa.select(sa.func.count())
            .select_from(tables.batch)
            .where(tables.batch.c.destination == destination, tables.batch.c.state == "open")
        )
        with self.engine.connect() as connection:
            return int(connection.execute(query).scalar_one())


def _configure_sqlite(connection: object, _: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]
    # First: changing the journal mode may itself have to wait for another process.
    cursor.execute("pragma busy_timeout = 60000")
    cursor.execute("pragma journal_mode = wal")
    # A commit must survive a power cut, not only a killed process.
    cursor.execute("pragma synchronous = full")
    # What was deleted (an emptied outbox, an erased customer) is overwritten, not left in free pages.
    cursor.execute("pragma secure_delete = on")
    cursor.close()


def _remember(
    connection: sa.Connection,
    destination: str,
    which: sa.ColumnElement[bool],
    payload_hash: sa.ColumnElement[str],
    payload: sa.ColumnElement[Any],
    at: str,
) -> None:
    """What the destination holds now, for the keys of ``which`` outbox rows."""
    keys = sa.select(tables.outbox.c.key).where(which)
    connection.execute(
        sa.delete(tables.acknowledged).where(
            tables.acknowledged.c.destination == destination, tables.acknowledged.c.key.in_(keys)
        )
    )
    rows = sa.select(sa.literal(destination), tables.outbox.c.key, payload_hash, payload, sa.literal(at))
    connection.execute(
        sa.insert(tables.acknowledged).from_select(
            ["destination", "key", "payload_hash", "payload", "acked_at"],
            rows.where(which, tables.outbox.c.op != "delete"),
        )
    )


def _close(connection: sa.Connection, batch_id: str, state: str, at: str) -> None:
    connection.execute(sa.delete(tables.outbox).where(tables.outbox.c.batch_id == batch_id))
    connection.execute(
        sa.update(tables.batch).where(tables.batch.c.batch_id == batch_id).values(state=state, finished_at=at)
    )
