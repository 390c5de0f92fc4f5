"""Rows upserted into a table by key: PostgreSQL by COPY, any other database through SQLAlchemy.

Belongs here: one transaction a batch, isolation of the rows a database will not take, which errors are
whose. Does not belong here: the statements of each way (``sql_postgres``, ``sql_generic``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import exc

from connectors.connections import SqlConnection
from connectors.destinations.base import Batch, Delivery, DestinationRefusedError, DestinationUnavailableError
from connectors.destinations.settings import SqlSettings
from connectors.transport.sql import SqlTransport

# SQLSTATE classes: data exception, integrity violation, raised by a trigger. They are about rows.
_ROW_CLASSES = ("22", "23", "P0")
# Connection, resources, operator intervention, deadlock and serialization: trying again is right.
_TRANSIENT_CLASSES = ("08", "53", "57", "40")
_NO_ENTRY = (
    "authentication failed",
    "access denied",
    "no password supplied",
    "does not exist",
    "unknown database",
)


class Writer(Protocol):
    """One batch inside one transaction; rows are numbered from 0 in the order of their keys."""

    keys: list[str]
    # Rows that cannot even be tried, with the reason; not among ``keys``.
    refused: dict[str, str]

    def apply(self, first: int, last: int) -> None:
        """Upsert or delete the rows ``first`` to ``last``, both included."""


class SqlUpsert:
    """A table in a database; a batch is one transaction."""

    group_column: str | None = None
    attempts = 4

    def __init__(self, settings: SqlSettings, connection: SqlConnection) -> None:
        self._settings = settings
        self._name = connection.name
        self._transport = SqlTransport(connection)
        self._engine = _prepared(self._transport.engine)
        self.batch_size = settings.batch_size

    def check(self, rows: pa.Table) -> None:
        """The database itself judges rows."""

    def deliver(self, batch: Batch) -> Delivery:
        """Upsert or delete; a row the database refuses is left out, with its words."""
        rejected: dict[str, str] = {}
        try:
            with self._engine.begin() as connection:
                writer = self._writer(connection, batch)
                rejected.update(writer.refused)
                if writer.keys:
                    _isolate(connection, writer, 0, len(writer.keys) - 1, rejected)
        except exc.DBAPIError as error:
            raise self._whole(error) from None
        except exc.SQLAlchemyError as error:
            raise DestinationRefusedError(f"{self._where}: {type(error).__name__}") from None
        return Delivery(rejected)

    def delivered(self, batch: Batch) -> bool | None:
        """A table does not say which batch a row came by; upserting again is harmless."""
        return None

    def withdraw(self, batch: Batch) -> None:
        """A broken transaction leaves nothing."""

    def close(self) -> None:
        """Let go of the connections."""
        self._transport.close()

    @property
    def _where(self) -> str:
        return f"connection {self._name}: table {self._settings.target}"

    def _writer(self, connection: sa.Connection, batch: Batch) -> Writer:
        from connectors.destinations.sql_generic import GenericWriter
        from connectors.destinations.sql_postgres import PostgresWriter

        make: Callable[[sa.Connection, SqlSettings, Batch, str], Writer] = (
            PostgresWriter if connection.dialect.name == "postgresql" else GenericWriter
        )
        return make(connection, self._settings, batch, self._where)

    def _whole(self, error: exc.DBAPIError) -> Exception:
        code, words = sqlstate(error), own_words(error)
        lowered = words.lower()
        if code == "42P10":
            words = "there is no unique constraint on the push's key"
        elif (
            code[:2] in _TRANSIENT_CLASSES
            or error.connection_invalidated
            or (isinstance(error, exc.OperationalError) and not any(sign in lowered for sign in _NO_ENTRY))
        ):
            return DestinationUnavailableError(f"{self._where}: {words}")
        return DestinationRefusedError(f"{self._where}: {words}")


def _isolate(
    connection: sa.Connection, writer: Writer, first: int, last: int, rejected: dict[str, str]
) -> None:
    """Apply a range; where the database refuses a row in it, halve until that row stands alone."""
    try:
        with connection.begin_nested():
            writer.apply(first, last)
        return
    except exc.StatementError as error:
        if not _is_about_rows(error):
            raise
        if first == last:
            rejected[writer.keys[first]] = own_words(error)
            return
    middle = (first + last) // 2
    _isolate(connection, writer, first, middle, rejected)
    _isolate(connection, writer, middle + 1, last, rejected)


def _is_about_rows(error: exc.StatementError) -> bool:
    if not isinstance(error, exc.DBAPIError):
        return True
    if code := sqlstate(error):
        return code.startswith(_ROW_CLASSES)
    return isinstance(error, exc.IntegrityError | exc.DataError)


def sqlstate(error: exc.DBAPIError) -> str:
    """The five characters a PostgreSQL driver gives, or nothing."""
    return str(getattr(error.orig, "pgcode", None) or "")


def own_words(error: exc.StatementError) -> str:
    """The database's first line, without the statement, its parameters or the row it prints in DETAIL."""
    primary = getattr(getattr(error.orig, "diag", None), "message_primary", None)
    text = str(primary or error.orig or type(error).__name__)
    return text.strip().splitlines()[0] if text.strip() else type(error).__name__


def _prepared(engine: sa.Engine) -> sa.Engine:
    if engine.dialect.name == "sqlite":
        # The driver would begin a transaction only at the first write, after the savepoint.
        sa.event.listen(engine, "connect", lambda raw, _: setattr(raw, "isolation_level", None))
        sa.event.listen(engine, "begin", lambda opened: opened.exec_driver_sql("begin immediate"))
    return engine
