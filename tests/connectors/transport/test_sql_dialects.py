"""What is asked of databases that are not here: every query of a pull compiles in their words."""

from __future__ import annotations

import importlib
import operator
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mssql, oracle

from connectors.connections import SqlConnection
from connectors.transport.sql import address
from connectors.transport.sql_dialects import MOMENTS, bound, comparable, read_as

AT = datetime(2026, 7, 1, 12, 0, 0, 250_000, tzinfo=UTC)


def dialect(name: str) -> sa.Dialect:
    if name == "ibm_db_sa":
        module = pytest.importorskip("ibm_db_sa.base", reason="the extra db2 is not installed")
        made: sa.Dialect = module.DB2Dialect()
        return made
    return importlib.import_module(f"sqlalchemy.dialects.{name}").dialect()


def table(*more: sa.Column) -> sa.Table:
    return sa.Table(
        "bill",
        sa.MetaData(),
        sa.Column("bill_id", sa.BigInteger, primary_key=True),
        sa.Column("account_no", sa.CHAR(12)),
        sa.Column("amount", sa.Numeric(12, 2)),
        sa.Column("due_date", sa.Date),
        sa.Column("note", sa.String(50)),
        sa.Column("updated_at", sa.DateTime),
        *more,
        schema="billing",
    )


def compiled(query: sa.ClauseElement, name: str) -> str:
    return " ".join(str(query.compile(dialect=dialect(name))).split())


@pytest.mark.parametrize("name", ["postgresql", "mysql", "sqlite", "oracle", "mssql", "ibm_db_sa"])
def test_every_query_of_a_pull_compiles(name: str) -> None:
    bills = table()
    columns = [read_as(column, column.name, name) for column in bills.columns]
    since = bound(bills.c.updated_at, AT, operator.ge, name, "UTC")
    window = sa.select(*columns).where(sa.or_(since, bills.c.updated_at.is_(None)))
    by_key = sa.select(*columns).where(
        bills.c.bill_id.in_([comparable(bills.c.bill_id, key, name) for key in (1, 2)])
    )
    by_keys = sa.select(*columns).where(
        sa.or_(sa.and_(bills.c.account_no == comparable(bills.c.account_no, "000000000001", name)))
    )
    count = sa.select(sa.func.count()).select_from(bills)
    for query in (window, by_key, by_keys, count, sa.select(*columns).where(sa.not_(since))):
        text = compiled(query, name)
        assert "billing" in text
        assert "numeric_send" not in text


@pytest.mark.parametrize(
    ("name", "column", "wanted"),
    [
        ("oracle", sa.Column("c", sa.CHAR(5)), "rtrim(c)"),
        ("oracle", sa.Column("c", oracle.TIMESTAMP(timezone=True)), "sys_extract_utc(c)"),
        ("oracle", sa.Column("c", oracle.NUMBER(12, 2)), "c"),
        ("mssql", sa.Column("c", mssql.ROWVERSION), "CAST(c AS BIGINT)"),
        ("mssql", sa.Column("c", mssql.DATETIMEOFFSET), "CAST(switchoffset(c, '+00:00') AS DATETIME2)"),
        ("mssql", sa.Column("c", sa.CHAR(5)), "rtrim(c)"),
        ("mysql", sa.Column("c", sa.CHAR(5)), "c"),
        ("postgresql", sa.Column("c", sa.LargeBinary), "encode(c, 'hex')"),
    ],
)
def test_what_a_driver_would_lose_is_asked_for_in_another_form(
    name: str, column: sa.Column, wanted: str
) -> None:
    sa.Table("t", sa.MetaData(), column)
    text = str(
        sa.select(read_as(column, "c", name)).compile(
            dialect=dialect(name), compile_kwargs={"literal_binds": True}
        )
    )
    expression = text.split("\n", maxsplit=1)[0].removeprefix("SELECT ").rsplit(" AS ", 1)[0]
    assert expression.replace("t.", "").replace("[", "").replace("]", "") == wanted.replace("'", "'")


@pytest.mark.parametrize(
    ("name", "zone", "wanted"),
    [
        ("oracle", "UTC", "2026-07-01 12:00:00.250000"),
        ("mssql", "America/Chicago", "2026-07-01 06:00:00.250000"),
        ("sqlite", "UTC", "2026-07-01 12:00:00"),
    ],
)
def test_a_bound_is_in_the_clock_of_the_column(name: str, zone: str, wanted: str) -> None:
    comparison = bound(table().c.updated_at, AT, operator.ge, name, zone)
    assert str(comparison.right.value).startswith(wanted)  # type: ignore[attr-defined]


def test_the_database_of_an_oracle_connection_is_its_service() -> None:
    values = {"name": "cis", "host": "db.example", "port": 1521, "database": "CISPROD", "username": "reader"}
    oracle_url = address(SqlConnection(drivername="oracle+oracledb", **values))
    assert str(oracle_url) == "oracle+oracledb://reader@db.example:1521/?service_name=CISPROD"
    assert address(SqlConnection(drivername="mssql+pymssql", **values)).database == "CISPROD"


def test_a_rowversion_is_compared_as_the_number_it_is() -> None:
    bills = table(sa.Column("version", mssql.ROWVERSION))
    text = compiled(bound(bills.c.version, 77, operator.ge, "mssql", "UTC"), "mssql")
    assert text.startswith("CAST(")


def test_no_database_is_locked_against_those_who_write_to_it() -> None:
    """REPEATABLE READ and SERIALIZABLE lock where a database has no versions of rows: SQL Server and Db2."""
    for name in ("mssql", "ibm_db_sa"):
        assert MOMENTS[name].isolation_level in (None, "SNAPSHOT")
    known: Callable[[str], sa.Dialect] = dialect
    for name, moment in MOMENTS.items():
        if name in ("mariadb", "ibm_db_sa") or moment.isolation_level is None:
            continue
        levels = known(name).get_isolation_level_values(None)  # type: ignore[arg-type]
        assert moment.isolation_level in levels
