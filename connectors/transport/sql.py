"""SQL by SQLAlchemy: engines, one consistent snapshot, rows as Arrow without holding a table in memory.

Belongs here: reading what any database SQLAlchemy speaks to holds. Does not belong here: which rows a feed
wants, and writing; that is ``connectors.destinations``.

PostgreSQL is read through ADBC where its driver is installed: 2M rows take 0.7 s instead of 5.6 s. Both ways
read the same snapshot.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from types import TracebackType
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import exc

from connectors.connections import SqlConnection
from connectors.transport.errors import TransientTransportError, TransportError

_BATCH_ROWS = 20_000


class SqlTransport:
    """One database; a context manager that closes the pool."""

    def __init__(self, connection: SqlConnection, *, use_adbc: bool = True) -> None:
        self.connection = connection
        self._use_adbc = use_adbc and importlib.util.find_spec("adbc_driver_postgresql") is not None

    def __enter__(self) -> SqlTransport:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @cached_property
    def engine(self) -> sa.Engine:
        """The engine; made on first use, connects on first use of its own."""
        arguments: dict[str, Any] = {}
        if self.connection.drivername == "postgresql+psycopg2":
            arguments["connect_timeout"] = max(2, round(self.connection.timeout_seconds))
        try:
            return sa.create_engine(self.connection.url, connect_args=arguments, pool_pre_ping=True)
        except (exc.ArgumentError, ModuleNotFoundError) as error:
            raise TransportError(
                f"connection {self.connection.name}: drivername '{self.connection.drivername}' "
                f"cannot be used: {_first_line(error)}"
            ) from None

    def close(self) -> None:
        """Close all pooled connections."""
        if "engine" in self.__dict__:
            self.engine.dispose()

    def describe(self) -> str:
        """One line for ``gridcrm doctor``; raises TransportError when the database does not let us in."""
        with self.clear("log in"), self.engine.connect() as session:
            session.execute(sa.select(sa.literal(1)))
        user = f" as {self.connection.username}" if self.connection.username else ""
        return f"{self._where} answers{user}"

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """One moment of the database, for several reads; nothing can be written through it."""
        with ExitStack() as stack:
            with self.clear("log in"):
                session = stack.enter_context(self.engine.connect())
                is_postgresql = self.engine.dialect.name == "postgresql"
                if is_postgresql:
                    session = session.execution_options(
                        isolation_level="REPEATABLE READ", postgresql_readonly=True
                    )
                elif self.engine.dialect.name not in ("sqlite",):
                    session = session.execution_options(isolation_level="REPEATABLE READ")
                adbc = None
                if is_postgresql and self._use_adbc:
                    adbc = stack.enter_context(self._adbc(session))
            yield Snapshot(self, session, adbc)

    @contextmanager
    def clear(self, action: str) -> Iterator[None]:
        """Turn what drivers raise into one line that names connection, database, user and action."""
        where = f"connection {self.connection.name}: {action} at {self._where}"
        try:
            yield
        except exc.OperationalError as error:
            text = _first_line(error.orig)
            if "authentication failed" in text or "access denied" in text.lower():
                raise TransportError(
                    f"connection {self.connection.name}: {self._where} does not let user "
                    f"{self.connection.username} in: wrong password or unknown user"
                ) from None
            if "does not exist" in text:
                raise TransportError(f"{where}: {text}") from None
            raise TransientTransportError(f"{where}: {text}") from None
        except exc.NoSuchTableError as error:
            raise TransportError(f"{where}: there is no table {error}") from None
        except exc.DBAPIError as error:
            raise TransportError(f"{where}: {_first_line(error.orig)}") from None

    @contextmanager
    def _adbc(self, session: sa.Connection) -> Iterator[Any]:
        """An ADBC connection that sees the snapshot of ``session``."""
        from adbc_driver_postgresql import dbapi

        token: str = session.execute(sa.select(sa.func.pg_export_snapshot())).scalar_one()
        address = self.connection.url.set(drivername="postgresql").render_as_string(hide_password=False)
        try:
            connection = dbapi.connect(address)
        except dbapi.Error as error:
            raise TransientTransportError(
                f"connection {self.connection.name}: {self._where}: {_first_line(error)}"
            ) from None
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                cursor.execute(f"SET TRANSACTION SNAPSHOT '{token}'")
            yield connection
        finally:
            with suppress(dbapi.Error):
                connection.rollback()
            connection.close()

    @property
    def _where(self) -> str:
        connection = self.connection
        return f"{connection.host}:{connection.port}/{connection.database}" if connection.host else "its file"


class Snapshot:
    """Reads at one moment; made by :meth:`SqlTransport.snapshot`."""

    def __init__(self, transport: SqlTransport, session: sa.Connection, adbc: Any | None) -> None:
        self._transport = transport
        self._session = session
        self._adbc = adbc

    def table(self, name: str, schema: str | None) -> sa.Table:
        """The table with its columns as the database has them; raises TransportError when it is not there."""
        with self._transport.clear(f"look at table {name}"):
            return sa.Table(
                name, sa.MetaData(), schema=schema, autoload_with=self._session, resolve_fks=False
            )

    def scalar(self, query: sa.Select[Any]) -> Any:
        """The one value of ``query``."""
        with self._transport.clear("read"):
            return self._session.execute(query).scalar_one()

    def read(self, query: sa.Select[Any]) -> Iterator[pa.RecordBatch]:
        """The rows of ``query`` in batches, types as the driver gives them (see ``ingest.conform``)."""
        return self._read_adbc(query) if self._adbc is not None else self._read_session(query)

    def _read_session(self, query: sa.Select[Any]) -> Iterator[pa.RecordBatch]:
        names = [column.name for column in query.selected_columns]
        with self._transport.clear("read"):
            streaming = self._session.execution_options(stream_results=True, yield_per=_BATCH_ROWS)
            for part in streaming.execute(query).partitions():
                columns = [_array(values) for values in zip(*part, strict=True)]
                yield pa.RecordBatch.from_arrays(columns, names=names)

    def _read_adbc(self, query: sa.Select[Any]) -> Iterator[pa.RecordBatch]:
        from adbc_driver_postgresql import dbapi

        if self._adbc is None:
            raise TransportError("no ADBC connection")
        statement = query.compile(self._session, compile_kwargs={"literal_binds": True})
        # Literals double the percent sign for psycopg2's own placeholders; ADBC takes the text as it is.
        text = str(statement).replace("%%", "%")
        try:
            with self._adbc.cursor() as cursor:
                cursor.execute(text)
                for batch in cursor.fetch_record_batch():
                    if batch.num_rows:
                        yield _without_extensions(batch)
        except dbapi.Error as error:
            kind = TransientTransportError if isinstance(error, dbapi.OperationalError) else TransportError
            raise kind(f"connection {self._transport.connection.name}: read: {_first_line(error)}") from None


def _array(values: Iterable[Any]) -> pa.Array:
    listed = list(values)
    try:
        return pa.array(listed)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        # Objects of the driver without an Arrow type (UUID, ranges) and mixed types go as text.
        return pa.array([None if value is None else str(value) for value in listed], pa.string())


def _without_extensions(batch: pa.RecordBatch) -> pa.RecordBatch:
    """ADBC marks PostgreSQL types Arrow has not (numeric comes as text): take what they are stored as."""
    columns = [
        column.storage if isinstance(column, pa.ExtensionArray) else column for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _first_line(error: BaseException | None) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
