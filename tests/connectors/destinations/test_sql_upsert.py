"""Upserts into real databases: PostgreSQL by COPY, SQLite by the general path, under the same
expectations."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from connectors.activation import Activation, PushConfig
from connectors.connections import SqlConnection
from connectors.destinations import DestinationRefusedError, DestinationUnavailableError
from connectors.paths import Paths
from tests.connectors.activation.helpers import DAY, NO_GUARDS, FixedConnections
from tests.support.postgres import PostgresTestServer

POSTGRES_DDL = """
create schema inbox;
create table inbox.card (
    customer_id text primary key, name varchar(10) not null, visits integer check (visits >= 0),
    amount_usd numeric(12,2), share double precision, is_on boolean, day date, at timestamptz, card jsonb,
    tags json, note text default 'theirs', updated_at timestamptz not null default now());
create table inbox.history (customer_id text, op text); create function inbox.keep() returns trigger
language plpgsql as $$ begin insert into inbox.history values (coalesce(new.customer_id, old.customer_id),
tg_op); return null; end $$; create trigger keep after insert or update or delete on inbox.card for each row
execute function inbox.keep();
"""
SQLITE_DDL = """
create table card (
    customer_id text primary key, name text not null check (length(name) <= 10),
    visits integer check (visits >= 0), amount_usd numeric(12,2), share float, is_on boolean, day date,
    at timestamp, card json, tags json, note text default 'theirs', updated_at timestamp)
"""
COLUMNS = {
    "customer_id": "string",
    "name": {"type": "string", "personal": True},
    "visits": "int",
    "amount_usd": "decimal(12,2)",
    "share": "double",
    "is_on": "boolean",
    "day": "date",
    "at": "timestamp",
    "card": "json",
    "tags": "json",
}
Database = tuple[sa.Engine, SqlConnection, str | None]


@pytest.fixture(params=["postgresql", "sqlite"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    if request.param == "postgresql":
        server: PostgresTestServer = request.getfixturevalue("postgres")
        name = request.getfixturevalue("database")
        engine = server.engine(name)
        with engine.begin() as connection:
            connection.exec_driver_sql(POSTGRES_DDL)
        return engine, server.connection(name), "inbox"
    file = tmp_path / "target.db"
    engine = sa.create_engine(f"sqlite:///{file}", poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql(SQLITE_DDL)
    return engine, SqlConnection(name="test_sql", drivername="sqlite", database=str(file)), None


def make_push(schema: str | None, **changes: Any) -> PushConfig:
    destination = {
        "kind": "sql_upsert",
        "connection": "test_sql",
        "table": "card",
        "touch_column": "updated_at",
    }
    values: dict[str, Any] = {
        "name": "card",
        "description": "Cards.",
        "owner": "team:test",
        "model": "push_card",
        "key": "customer_id",
        "purpose": "service",
        "destination": {**destination, "schema": schema, **changes},
        "columns": COLUMNS,
        "guards": NO_GUARDS,
    }
    return PushConfig.model_validate(values)


def rows(*keys: str, **changes: Any) -> pa.Table:
    """One full row for each key; ``changes`` give a value, or a function of the key."""
    values: dict[str, Any] = {
        "name": 'Zoë; "q"',
        "visits": 3,
        "amount_usd": Decimal("1234.50"),
        "share": 0.1,
        "is_on": True,
        "day": dt.date(2026, 11, 1),
        "at": dt.datetime(2026, 11, 1, 6, 30, 0, 123456, tzinfo=dt.UTC),
        "card": '{"flags": ["a"], "n": 1}',
        "tags": "[1]",
        "withheld_reason": None,
        **changes,
    }
    types = {
        "visits": pa.int64(),
        "amount_usd": pa.decimal128(12, 2),
        "share": pa.float64(),
        "is_on": pa.bool_(),
    }
    types |= {"day": pa.date32(), "at": pa.timestamp("us", "UTC")}
    columns = {"customer_id": pa.array(keys, pa.string())}
    for name, value in values.items():
        cells = [value(key) if isinstance(value, Callable) else value for key in keys]  # type: ignore[arg-type]
        columns[name] = pa.array(cells, types.get(name, pa.string()))
    return pa.table(columns)


@pytest.fixture
def send(target: Database, paths: Paths) -> Any:
    _, connection, schema = target
    activation = Activation(paths, FixedConnections(connection), backoff_seconds=0.01)  # type: ignore[arg-type]
    push = make_push(schema)

    def run(table: pa.Table) -> Any:
        return activation.send(push, activation.plan(push, table, DAY), dry_run=False)

    yield run
    activation.close()


def held(target: Database) -> dict[str, dict[str, Any]]:
    engine, _, schema = target
    table = sa.Table("card", sa.MetaData(), schema=schema, autoload_with=engine)
    with engine.connect() as connection:
        return {row["customer_id"]: dict(row) for row in connection.execute(sa.select(table)).mappings()}


def test_every_type_arrives_as_it_is(target: Database, send: Any) -> None:
    assert send(rows("C1")).sent == 1
    row = held(target)["C1"]
    at = row["at"] if row["at"].tzinfo else row["at"].replace(tzinfo=dt.UTC)
    assert (row["name"], row["visits"], row["share"], row["is_on"]) == ('Zoë; "q"', 3, 0.1, True)
    assert row["amount_usd"] == Decimal("1234.50")
    assert row["day"] == dt.date(2026, 11, 1)
    assert at == dt.datetime(2026, 11, 1, 6, 30, 0, 123456, tzinfo=dt.UTC)
    assert row["card"] == {"flags": ["a"], "n": 1}
    assert row["tags"] == [1]
    assert row["note"] == "theirs"


def test_null_and_empty_stay_apart(target: Database, send: Any) -> None:
    send(rows("C1", name="", visits=None, card=None))
    row = held(target)["C1"]
    assert (row["name"], row["visits"], row["card"]) == ("", None, None)


def test_updates_deletes_and_columns_of_others(target: Database, send: Any) -> None:
    engine, _, schema = target
    send(rows("C1", "C2", "C3"))
    table = f"{schema}.card" if schema else "card"
    with engine.begin() as connection:
        connection.exec_driver_sql(f"update {table} set note = 'by hand'")
    before = held(target)
    report = send(rows("C1", "C2", visits=lambda key: 4 if key == "C2" else 3))
    assert (report.sent_rows, report.sent, report.unchanged) == (1, 2, 1)
    after = held(target)
    assert set(after) == {"C1", "C2"}
    assert after["C2"]["visits"] == 4
    assert after["C2"]["note"] == "by hand"
    assert after["C1"] == before["C1"]


def test_bad_rows_stand_alone(target: Database, send: Any) -> None:
    keys = [f"C{number:02d}" for number in range(40)]
    bad = {"C07", "C31"}
    report = send(rows(*keys, visits=lambda key: -1 if key in bad else 1))
    assert (report.sent, report.failed) == (38, 2)
    assert set(held(target)) == set(keys) - bad
    assert len(report.messages) == 1
    assert "check" in report.messages[0].lower()
    mended = send(rows(*keys, visits=1))
    assert (mended.sent, mended.unchanged) == (2, 38)
    assert set(held(target)) == set(keys)


def test_a_value_never_shows_in_a_message(target: Database, send: Any) -> None:
    report = send(rows("C1", name="Bartholomew-1 Featherstonehaugh"))
    assert report.failed == 1
    assert "Bartholomew" not in "".join(report.messages)


def test_a_missing_table_is_refused(target: Database, paths: Paths) -> None:
    _, connection, schema = target
    activation = Activation(paths, FixedConnections(connection))  # type: ignore[arg-type]
    push = make_push(schema, table="cart")
    plan = activation.plan(push, rows("C1"), DAY)
    with pytest.raises(
        DestinationRefusedError, match=r"connection test_sql: table (inbox\.)?cart does not exist"
    ):
        activation.send(push, plan, dry_run=False)


def test_a_missing_column_is_refused(target: Database, paths: Paths) -> None:
    _, connection, schema = target
    activation = Activation(paths, FixedConnections(connection))  # type: ignore[arg-type]
    push = make_push(schema, touch_column="changed_at")
    plan = activation.plan(push, rows("C1"), DAY)
    with pytest.raises(DestinationRefusedError, match="has no column changed_at"):
        activation.send(push, plan, dry_run=False)


@pytest.mark.parametrize("target", ["postgresql"], indirect=True)
def test_the_same_batch_again_touches_no_row(target: Database, send: Any, paths: Paths) -> None:
    engine, _, _ = target
    send(rows("C1", "C2"))
    with sa.create_engine(f"sqlite:///{paths.state / 'activation.db'}").begin() as state:
        state.exec_driver_sql("delete from acknowledged")
    assert send(rows("C1", "C2")).sent == 2
    with engine.connect() as connection:
        history = connection.exec_driver_sql(
            "select customer_id, op from inbox.history order by 1"
        ).fetchall()
    assert [tuple(row) for row in history] == [("C1", "INSERT"), ("C2", "INSERT")]


@pytest.mark.parametrize("target", ["postgresql"], indirect=True)
def test_the_character_nul_costs_one_row_not_the_batch(target: Database, send: Any) -> None:
    report = send(rows("C1", "C2", name=lambda key: "a\x00b" if key == "C1" else "fine"))
    assert (report.sent, report.failed) == (1, 1)
    assert "NUL" in report.messages[0]


@pytest.mark.parametrize("target", ["postgresql"], indirect=True)
def test_a_table_without_the_key_constraint_is_refused(target: Database, send: Any) -> None:
    engine, _, _ = target
    with engine.begin() as connection:
        connection.exec_driver_sql("alter table inbox.card drop constraint card_pkey")
    with pytest.raises(DestinationRefusedError, match="no unique constraint on the push's key"):
        send(rows("C1"))


def test_a_wrong_password_says_so(postgres: PostgresTestServer, database: str, paths: Paths) -> None:
    connection = postgres.connection(database, password="wrong-but-secret")
    activation = Activation(paths, FixedConnections(connection))  # type: ignore[arg-type]
    push = make_push("inbox")
    with pytest.raises(DestinationRefusedError, match="password authentication failed") as caught:
        activation.send(push, activation.plan(push, rows("C1"), DAY), dry_run=False)
    assert "wrong-but-secret" not in str(caught.value)


def test_a_server_that_is_away_is_tried_again_then_reported(
    postgres: PostgresTestServer, database: str, paths: Paths
) -> None:
    activation = Activation(
        paths,
        FixedConnections(postgres.connection(database, port=1)),
        backoff_seconds=0.01,  # type: ignore[arg-type]
    )
    push = make_push("inbox")
    report = activation.send(push, activation.plan(push, rows("C1"), DAY), dry_run=False)
    assert (report.sent, report.failed) == (0, 1)
    assert "connection test_sql" in report.messages[0]
    with pytest.raises(DestinationUnavailableError):
        activation.send(push, activation.plan(push, rows("C1"), DAY), dry_run=False)


def test_state_may_live_in_postgresql(postgres: PostgresTestServer, database: str, paths: Paths) -> None:
    engine = postgres.engine(database)
    with engine.begin() as connection:
        connection.exec_driver_sql(POSTGRES_DDL)
    connections = FixedConnections(postgres.connection(database))
    activation = Activation(paths, connections, state_url=postgres.connection(database).url)  # type: ignore[arg-type]
    push = make_push("inbox")
    for expected in (2, 0):
        report = activation.send(push, activation.plan(push, rows("C1", "C2"), DAY), dry_run=False)
        assert report.sent == expected
    assert not paths.state.exists()
    assert json.dumps(activation.receipts().column("state").to_pylist()) == '["sent", "sent"]'
    activation.close()
