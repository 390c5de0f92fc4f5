"""Reading a real PostgreSQL, and SQLite by the general path."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa

from connectors.connections import SqlConnection, check
from connectors.transport import TransportError
from connectors.transport.sql import SqlTransport
from tests.support.mariadb import serve_mariadb, why_not
from tests.support.postgres import PostgresTestServer, serve_postgres


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresTestServer]:
    with serve_postgres() as running:
        yield running


@pytest.fixture
def database(server: PostgresTestServer) -> str:
    name = server.create_database()
    with server.engine(name).begin() as session:
        session.execute(
            sa.text("""
            create table invoice(invoice_id bigint primary key, amount numeric(12,2), note text,
                                 due date, updated_at timestamptz, is_paid boolean, extra jsonb);
            insert into invoice
            select n, n / 100.0, 'note 100% ' || n, date '2026-01-01' + n,
                   timestamptz '2026-01-01Z' + n * interval '1 s', n % 2 = 0, '{"a": 1}'
            from generate_series(1, 50000) n
            """)
        )
    return name


def read(snapshot: object, query: sa.Select) -> pa.Table:
    return pa.Table.from_batches(list(snapshot.read(query)))


@pytest.mark.parametrize("use_adbc", [True, False])
def test_rows_come_as_arrow(server: PostgresTestServer, database: str, use_adbc: bool) -> None:
    with (
        SqlTransport(server.connection(database), use_adbc=use_adbc) as sql,
        sql.snapshot() as snapshot,
    ):
        table = snapshot.table("invoice", "public")
        rows = read(snapshot, sa.select(*table.c).order_by(table.c.invoice_id))
        late = datetime(2026, 1, 1, 13, 53, 19, tzinfo=UTC)
        some = read(
            snapshot,
            sa.select(table.c.invoice_id, table.c.note)
            .where(table.c.updated_at >= sa.literal(late, table.c.updated_at.type))
            .where(table.c.note.in_(["note 100% 49999", "note 100% 1", "it's"])),
        )
    assert rows.num_rows == 50_000
    first = rows.slice(0, 1).to_pylist()[0]
    assert first["invoice_id"] == 1
    assert Decimal(first["amount"]) == Decimal("0.01")
    assert first["due"] == date(2026, 1, 2)
    assert first["updated_at"] == datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert first["is_paid"] is False
    assert some.to_pylist() == [{"invoice_id": 49_999, "note": "note 100% 49999"}]


@pytest.mark.parametrize("use_adbc", [True, False])
def test_a_snapshot_is_one_moment(server: PostgresTestServer, database: str, use_adbc: bool) -> None:
    with (
        SqlTransport(server.connection(database), use_adbc=use_adbc) as sql,
        sql.snapshot() as snapshot,
    ):
        table = snapshot.table("invoice", "public")
        count = sa.select(sa.func.count()).select_from(table)
        assert snapshot.scalar(count) == 50_000
        with server.engine(database).begin() as other:
            other.execute(sa.text("delete from invoice where invoice_id <= 10"))
        assert snapshot.scalar(count) == 50_000
        assert read(snapshot, sa.select(table.c.invoice_id)).num_rows == 50_000


def test_a_snapshot_cannot_write(server: PostgresTestServer, database: str) -> None:
    with (
        SqlTransport(server.connection(database)) as sql,
        sql.snapshot() as snapshot,
        pytest.raises(TransportError, match="read-only transaction"),
    ):
        snapshot.scalar(_write())


def _write() -> sa.TextClause:
    return sa.text("insert into invoice(invoice_id) values (-1) returning invoice_id")


def test_a_wrong_password_names_connection_host_and_user_but_not_the_password(
    server: PostgresTestServer, database: str
) -> None:
    connection = server.connection(database, "collections_sql", password="wrong-horse")
    result = check(connection)
    assert not result.ok
    assert result.message == (
        f"connection collections_sql: 127.0.0.1:{server.port}/{database} does not let user gridcrm in: "
        "wrong password or unknown user"
    )
    with (
        SqlTransport(connection) as sql,
        pytest.raises(TransportError, match="wrong password"),
        sql.snapshot(),
    ):
        pass


def test_what_is_not_there_is_named(server: PostgresTestServer, database: str) -> None:
    with (
        SqlTransport(server.connection(database)) as sql,
        sql.snapshot() as snapshot,
        pytest.raises(TransportError, match=r"look at table invoces .*there is no table"),
    ):
        snapshot.table("invoces", "public")
    assert check(server.connection("nowhere")).message.endswith('database "nowhere" does not exist')
    assert "Connection refused" in check(server.connection(database, port=1)).message
    assert check(server.connection(database)).ok


def test_any_database_sqlalchemy_speaks(tmp_path: Path) -> None:
    connection = SqlConnection(name="lite", drivername="sqlite", database=str(tmp_path / "lite.db"))
    with SqlTransport(connection) as sql:
        with sql.engine.begin() as session:
            session.execute(sa.text("create table t(a integer, b text)"))
            session.execute(sa.text("insert into t values (1, 'x'), (2, null)"))
        with sql.snapshot() as snapshot:
            table = snapshot.table("t", None)
            assert read(snapshot, sa.select(*table.c)).to_pylist() == [
                {"a": 1, "b": "x"},
                {"a": 2, "b": None},
            ]
    assert check(connection).ok


def test_a_driver_that_is_not_installed(tmp_path: Path) -> None:
    result = check(SqlConnection(name="x", drivername="nosuchdb", database="d"))
    assert not result.ok
    assert "nosuchdb" in result.message


def test_a_snapshot_of_mariadb_is_one_moment() -> None:
    if reason := why_not():
        pytest.skip(reason)
    with serve_mariadb() as mariadb:
        check_one_moment(mariadb.connection(mariadb.create_database()))


def test_a_snapshot_of_sqlite_is_one_moment(tmp_path: Path) -> None:
    check_one_moment(SqlConnection(name="lite", drivername="sqlite", database=str(tmp_path / "lite.db")))


def check_one_moment(connection: SqlConnection) -> None:
    with SqlTransport(connection) as sql, SqlTransport(connection) as other:
        with other.engine.begin() as session:
            if other.engine.dialect.name == "sqlite":
                session.execute(sa.text("pragma journal_mode = wal"))
            session.execute(sa.text("create table a(i integer)"))
            session.execute(sa.text("create table b(i integer)"))
            session.execute(sa.text("insert into a values (1)"))
        with sql.snapshot() as snapshot:
            first, second = snapshot.table("a", None), snapshot.table("b", None)
            assert snapshot.scalar(sa.select(sa.func.count()).select_from(first)) == 1
            with other.engine.begin() as session:
                session.execute(sa.text("insert into a values (2)"))
                session.execute(sa.text("insert into b values (1)"))
            assert read(snapshot, sa.select(*first.c)).num_rows == 1
            assert snapshot.scalar(sa.select(sa.func.count()).select_from(second)) == 0
        with sql.snapshot() as snapshot:
            assert read(snapshot, sa.select(*first.c)).num_rows == 2
