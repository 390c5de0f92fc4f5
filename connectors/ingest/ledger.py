"""The ledger: what was taken, what became of it, and how far each source was read.

Belongs here: the tables of the ledger and the questions asked of them. Does not belong here: files and
decoding.

One row a file by content (or one row a pull of a SQL table that brought something). States:
``landed`` (bytes are kept) → ``publishing`` (tables are staged, being renamed into place) → ``published``, or
``refused``; and ``superseded`` when other content came under the same name. A kill between any two leaves a
state from which the next run goes on.
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

from connectors.errors import GridCRMError
from connectors.ingest.ledger_tables import (
    EXPORTED,
    LEDGER_SCHEMA,
    create_tables,
    cursors_table,
    decodings_table,
    files_table,
    names_table,
    open_engine,
    sightings_table,
)
from connectors.ingest.parquet import write_table

__all__ = ["LEDGER_SCHEMA", "Ledger", "LedgerError", "file_lock", "now"]


class LedgerError(GridCRMError):
    """The ledger cannot be opened, or another run holds the feed for too long."""


def now() -> datetime:
    """This moment, aware."""
    return datetime.now(UTC)


class Ledger:
    """The ledger at ``url``; SQLite in WAL mode for one machine, PostgreSQL where several share it."""

    def __init__(self, url: str | sa.URL, locks: Path) -> None:
        self._locks = locks
        self._engine = open_engine(url)
        # Two processes that start together must not both create the tables.
        with file_lock(locks / "ledger.lock", timeout_seconds=60):
            create_tables(self._engine)

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

    def delivered_at(self, source: str) -> datetime | None:
        """When the source last delivered something that was taken; ``None`` when it never did."""
        query = sa.select(sa.func.max(files_table.c.first_seen_at)).where(
            files_table.c.source == source, files_table.c.state.in_(("published", "superseded"))
        )
        with self._engine.begin() as session:
            found: datetime | None = session.execute(query).scalar_one_or_none()
        return found

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

    def decoded(self, source: str, sha256: str, state: str, **values: Any) -> None:
        """Change columns of one row after its bytes were decoded, and keep what that decoding gave."""
        key = {"source": source, "sha256": sha256}
        history = {name: values.get(name) for name in ("decoder_version", "settings_fingerprint")}
        history |= {n: values.get(n, 0) for n in ("records_read", "loaded", "superseded", "quarantined")}
        times = sa.func.coalesce(files_table.c.times_decoded, 0) + 1
        with self._engine.begin() as session:
            session.execute(
                sa.update(files_table)
                .where(*_equals(files_table, key))
                .values(**values, state=state, times_decoded=times)
            )
            outcome = "refused" if state == "refused" else "published"
            session.execute(
                sa.insert(decodings_table).values(**key, **history, state=outcome, decoded_at=now())
            )

    def decodings(self, source: str, sha256: str) -> list[dict[str, Any]]:
        """Every decoding of one content, the oldest first: by which version, with which outcome."""
        query = sa.select(decodings_table).where(
            *_equals(decodings_table, {"source": source, "sha256": sha256})
        )
        with self._engine.begin() as session:
            return [dict(row) for row in session.execute(query.order_by("decoded_at")).mappings()]

    def finish(self, source: str, sha256: str, targets: list[list[str]], replaced: Iterable[str]) -> None:
        """A plan was carried out: the row is published, and the contents it took the place of are
        superseded; in one transaction.
        """
        table = files_table
        with self._engine.begin() as session:
            session.execute(
                sa.update(table)
                .where(table.c.source == source, table.c.sha256 == sha256)
                .values(
                    state="published",
                    published_at=now(),
                    targets=targets,
                    takes_place_of=[],
                    superseded_by=None,
                )
            )
            session.execute(
                sa.update(table)
                .where(table.c.source == source, table.c.sha256.in_(list(replaced)))
                .values(state="superseded", superseded_by=sha256[:16], targets=[])
            )

    def replaced_by(self, source: str, sha256: str, states: Iterable[str]) -> list[dict[str, Any]]:
        """Contents in one of ``states`` whose place ``sha256`` takes: each was once sent under a name that
        now has ``sha256``, and no name has it any more.
        """
        seen, names, files = sightings_table, names_table, files_table
        now_at = sa.select(seen.c.path).where(seen.c.source == source, seen.c.sha256 == sha256)
        current = sa.select(seen.c.sha256).where(seen.c.source == source)
        once = sa.select(names.c.sha256).where(names.c.source == source, names.c.path.in_(now_at))
        query = sa.select(files).where(
            files.c.source == source,
            files.c.state.in_(list(states)),
            files.c.sha256 != sha256,
            files.c.sha256.in_(once),
            files.c.sha256.not_in(current),
        )
        with self._engine.begin() as session:
            return [dict(row) for row in session.execute(query).mappings()]

    def names(self, source: str, sha256: str) -> list[str]:
        """Every path under which a content was seen, the first first."""
        table = names_table
        query = sa.select(table.c.path).where(table.c.source == source, table.c.sha256 == sha256)
        with self._engine.begin() as session:
            return list(session.execute(query.order_by(table.c.first_seen_at, table.c.path)).scalars())

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
            name = {**key, "sha256": sha256}
            noted = session.execute(
                sa.update(names_table).where(*_equals(names_table, name)).values(last_seen_at=now())
            )
            if not noted.rowcount:
                moment = now()
                session.execute(
                    sa.insert(names_table).values(**name, first_seen_at=moment, last_seen_at=moment)
                )
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
        rows = [{name: _plain(row[name]) for name in EXPORTED} for row in self.rows(source)]
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
