"""SQL by SQLAlchemy: engines, one consistent snapshot, rows as Arrow without holding a table in memory.

Belongs here: reading what any database SQLAlchemy speaks to holds. Does not belong here: what dialects do
differently (``sql_dialects``), which rows a feed wants, and writing; that is ``connectors.destinations``.

PostgreSQL is read through ADBC where its driver is installed (``sql_adbc``). Both ways read the same
snapshot.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import event, exc

from connectors.connections import SqlConnection
from connectors.transport.errors import TransientTransportError, TransportError
from connectors.transport.sql_dialects import (
    MOMENTS,
    Moment,
    WireNumeric,
    bound,
    comparable,
    read_as,
)

if TYPE_CHECKING:
    from connectors.transport.sql_adbc import AdbcReaders

_BATCH_ROWS = 20_000
# What drivers say that trying again does not change: MySQL's and MariaDB's own numbers for "no right to that
# database", "wrong password", "no right to that table" and "to that column"; SQLSTATE classes of PostgreSQL.
_NO_RIGHT = frozenset({1044, 1142, 1143})
_WRONG_PASSWORD = ("authentication failed", "access denied for user", "ora-01017", "login failed")


class SqlTransport:
    """One database; a context manager that closes the pool."""

    def __init__(self, connection: SqlConnection, *, use_adbc: bool = True) -> None:
        self.connection = connection
        self._use_adbc = use_adbc and _has_adbc()

    def __enter__(self) -> SqlTransport:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @cached_property
    def engine(self) -> sa.Engine:
        """The engine; made on first use, connects on first use of its own."""
        seconds = max(2, round(self.connection.timeout_seconds))
        backend = self.connection.drivername.split("+")[0]
        timed = backend in ("postgresql", "mysql", "mariadb")
        try:
            engine = sa.create_engine(
                address(self.connection),
                connect_args={"connect_timeout": seconds} if timed else {},
                pool_pre_ping=True,
            )
        except (exc.ArgumentError, ModuleNotFoundError) as error:
            raise TransportError(
                f"connection {self.connection.name}: drivername '{self.connection.drivername}' "
                f"cannot be used: {_words(error)}"
            ) from None
        if engine.dialect.driver == "psycopg2":
            _keep_dates_beyond_python(engine)
        return engine

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
    def snapshot(self, *, committed: bool = False, readers: int = 2) -> Iterator[Snapshot]:
        """One moment of the database, for several reads; nothing is written through it.

        ``committed`` gives up the one moment where the database cannot have it. ``readers`` connections at
        most read a large table of PostgreSQL together.
        """
        name = self.engine.dialect.name
        moment = MOMENTS.get(name, Moment())
        with ExitStack() as stack:
            with self.clear("log in"):
                session = stack.enter_context(self.engine.connect())
            adbc = None
            with self.clear("begin one moment"):
                options: dict[str, Any] = {}
                if moment.isolation_level is not None and not committed:
                    options["isolation_level"] = moment.isolation_level
                if name == "postgresql":
                    options["postgresql_readonly"] = True
                session = session.execution_options(**options)
                for statement in moment.prepare + (() if committed else moment.begin):
                    session.exec_driver_sql(statement)
                if name == "postgresql" and self._use_adbc and not committed:
                    from connectors.transport.sql_adbc import AdbcReaders

                    adbc = AdbcReaders(
                        self.connection, session, f"connection {self.connection.name}: read at {self._where}"
                    )
                    stack.callback(adbc.close)
            yield Snapshot(self, session, adbc, readers)

    @contextmanager
    def clear(self, action: str) -> Iterator[None]:
        """Turn what drivers raise into one line that names connection, database, user and action."""
        where = f"connection {self.connection.name}: {action} at {self._where}"
        try:
            yield
        except exc.NoSuchTableError as error:
            raise TransportError(f"{where}: there is no table {error}") from None
        except exc.DBAPIError as error:
            text = _words(error.orig)
            if any(said in text.lower() for said in _WRONG_PASSWORD):
                raise TransportError(
                    f"connection {self.connection.name}: {self._where} does not let user "
                    f"{self.connection.username} in: wrong password or unknown user"
                ) from None
            kind = TransientTransportError if _may_pass(error, text) else TransportError
            raise kind(f"{where}: {text}{_advice(text)}") from None
        except exc.SQLAlchemyError as error:
            raise TransportError(f"{where}: {_words(error)}") from None
        except UnicodeDecodeError:
            raise TransportError(
                f"{where}: text that is not in the character set the database says it is in"
            ) from None

    @property
    def _where(self) -> str:
        connection = self.connection
        return f"{connection.host}:{connection.port}/{connection.database}" if connection.host else "its file"


class Snapshot:
    """Reads at one moment; made by :meth:`SqlTransport.snapshot`."""

    def __init__(
        self, transport: SqlTransport, session: sa.Connection, adbc: AdbcReaders | None, readers: int = 1
    ) -> None:
        self._transport = transport
        self._session = session
        self._adbc = adbc
        self._readers = readers
        self._dialect = session.dialect.name

    @contextmanager
    def part(self) -> Iterator[None]:
        """What fails inside leaves the snapshot to the reads that follow."""
        # PostgreSQL gives up a whole transaction for one failed statement; the others do not.
        with self._session.begin_nested() if self._dialect == "postgresql" else nullcontext():
            yield

    def table(self, name: str, schema: str | None) -> sa.Table:
        """A table or view with its columns as the database has them.

        Raises TransportError when it is not there.
        """
        with self._transport.clear(f"look at table {name}"), warnings.catch_warnings():
            # A type SQLAlchemy does not know is asked for as text.
            warnings.filterwarnings("ignore", "Did not recognize type", exc.SAWarning)
            return sa.Table(
                name, sa.MetaData(), schema=schema, autoload_with=self._session, resolve_fks=False
            )

    def query(self, text: str, types: Mapping[str, sa.types.TypeEngine[Any]]) -> sa.Subquery:
        """A select of the database's own dialect as something to select from; columns as it has them."""
        with self._transport.clear("look at the query"):
            whole = sa.text(text.strip().rstrip(";").replace(":", r"\:"))
            probe = sa.select(sa.text("*")).select_from(whole.columns().subquery("q")).where(sa.false())
            there = list(self._session.execute(probe).keys())
        columns = [sa.column(name, types.get(name, sa.types.NULLTYPE)) for name in there]
        return whole.columns(*columns).subquery("q")

    def select(self, source: sa.FromClause, names: Sequence[str]) -> sa.Select[Any]:
        """The named columns in a form in which no driver loses anything of them."""
        wire = self._adbc is not None
        return sa.select(*(read_as(source.c[name], name, self._dialect, wire=wire) for name in names))

    def is_unique(self, source: sa.FromClause, names: Sequence[str]) -> bool:
        """Whether the database itself sees to it that no two rows have the same values in these columns.

        Others than these let a primary key be declared without being enforced.
        """
        enforced = self._dialect in ("postgresql", "mysql", "mariadb") and isinstance(source, sa.Table)
        return enforced and {column.name for column in source.primary_key} == set(names)

    def comparable(self, column: sa.ColumnElement[Any], value: Any) -> sa.ColumnElement[Any]:
        """A value out of raw that ``column`` can be compared with."""
        return comparable(column, value, self._dialect)

    def bound(
        self, column: sa.ColumnElement[Any], value: Any, compare: Callable[[Any, Any], Any], time_zone: str
    ) -> sa.ColumnElement[bool]:
        """``column`` compared with a cursor out of raw (see ``sql_dialects.bound``)."""
        return bound(column, value, compare, self._dialect, time_zone)

    def scalar(self, query: sa.Select[Any]) -> Any:
        """The one value of ``query``."""
        with self._transport.clear("read"):
            return self._session.execute(query).scalar_one()

    def read(self, query: sa.Select[Any], *, whole: sa.FromClause | None = None) -> Iterator[pa.RecordBatch]:
        """The rows of ``query`` in batches, types as the driver gives them (see ``ingest.conform``).

        ``whole``: the table all of whose rows are read, which may then be read in parts at once.
        """
        return self._read_session(query) if self._adbc is None else self._read_adbc(self._adbc, query, whole)

    def _read_session(self, query: sa.Select[Any]) -> Iterator[pa.RecordBatch]:
        names = [column.name for column in query.selected_columns]
        with self._transport.clear("read"):
            options = {"stream_results": True, "yield_per": _BATCH_ROWS}
            with self._session.execute(query, execution_options=options) as result:
                for part in result.partitions():
                    columns = [_array(values) for values in zip(*part, strict=True)]
                    yield pa.RecordBatch.from_arrays(columns, names=names)

    def _read_adbc(
        self, adbc: AdbcReaders, query: sa.Select[Any], whole: sa.FromClause | None
    ) -> Iterator[pa.RecordBatch]:
        from connectors.transport.sql_adbc import decoded, ranges

        parts = [""]
        if isinstance(whole, sa.Table):
            with self._transport.clear("read"):
                parts = ranges(self._session, whole, self._readers)
        queries = [query.where(sa.text(part)) if part else query for part in parts]
        # Literals double the percent sign for psycopg2's own placeholders; ADBC takes the text as it is.
        statements = [
            str(one.compile(self._session, compile_kwargs={"literal_binds": True})).replace("%%", "%")
            for one in queries
        ]
        wire = [
            number
            for number, column in enumerate(query.selected_columns)
            if isinstance(column.type, WireNumeric)
        ]
        for batch in adbc.read(statements):
            yield decoded(batch, wire)


def address(connection: SqlConnection) -> sa.URL:
    """The URL of a connection; its ``database`` is Oracle's service name, where SQLAlchemy expects a SID."""
    url = connection.url
    if url.get_backend_name() != "oracle" or not url.database:
        return url
    return url.set(database="").update_query_dict({"service_name": url.database})


def _has_adbc() -> bool:
    return importlib.util.find_spec("adbc_driver_postgresql") is not None


def _array(values: Iterable[Any]) -> pa.Array:
    listed = list(values)
    try:
        return pa.array(listed)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        # Objects of the driver without an Arrow type (UUID, ranges) and mixed types go as text.
        return pa.array([None if value is None else _text(value) for value in listed], pa.string())


def _text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes | bytearray | memoryview) else str(value)


def _keep_dates_beyond_python(engine: sa.Engine) -> None:
    """psycopg2 makes the year 9999 of infinity and fails on dates before Christ: they are text here."""
    driver: Any = engine.dialect.dbapi
    extensions = driver.extensions
    usual = (extensions.PYDATE, extensions.PYDATETIME, extensions.PYDATETIMETZ)
    careful = [extensions.new_type(one.values, f"{one.name}_OR_TEXT", _or_text(one)) for one in usual]

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, record: Any) -> None:
        for one in careful:
            extensions.register_type(one, connection)


def _or_text(usual: Any) -> Any:
    def cast(text: str | None, cursor: Any) -> Any:
        if text is None or text.endswith(("infinity", "BC")) or len(text.partition("-")[0]) > 4:
            return text
        return usual(text, cursor)

    return cast


def _may_pass(error: exc.DBAPIError, text: str) -> bool:
    """Whether trying again may help."""
    arguments = getattr(error.orig, "args", ())
    if arguments and arguments[0] in _NO_RIGHT:
        return False
    if "does not exist" in text:
        return False
    return error.connection_invalidated or isinstance(error, exc.OperationalError)


def _advice(text: str) -> str:
    """What to do, where the database's own words do not say it."""
    lowered = text.lower()
    if "snapshot isolation" in lowered:
        return (
            "; let the database allow it (ALLOW_SNAPSHOT_ISOLATION), or set the feed's consistency: committed"
        )
    if "ora-01555" in lowered:
        return "; the source keeps its undo for less time than the read takes: let it keep more"
    return ""


def _words(error: BaseException | None) -> str:
    """The first line of what went wrong, without the wrapping of drivers that give number and text."""
    arguments: tuple[Any, ...] = getattr(error, "args", ())
    if len(arguments) == 2 and isinstance(arguments[0], int) and isinstance(arguments[1], str | bytes):
        said = arguments[1].decode(errors="replace") if isinstance(arguments[1], bytes) else arguments[1]
        text = f"{said} ({arguments[0]})"
    else:
        text = str(error)
    lines = text.strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
