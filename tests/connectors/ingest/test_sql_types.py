"""What databases can hold: taken as the same value in another type, or put aside, never something near."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.connections import SqlConnection
from connectors.paths import Paths
from tests.support.mariadb import MariaDbTestServer
from tests.support.postgres import PostgresTestServer
from tests.support.sql_source import Source, opened

PG_TEXTS = ["u", "j", "jb", "a", "tt", "m", "b", "iv", "ch", "p", "ine", "r", "ti", "bits", "x"]


@pytest.fixture(params=["adbc", "psycopg2"])
def pg(
    request: pytest.FixtureRequest,
    postgres: PostgresTestServer,
    tmp_path: Path,
    paths: Paths,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Source]:
    """PostgreSQL by the fast way and by the general one; both must say the same."""
    if request.param == "psycopg2":
        monkeypatch.setattr("connectors.transport.sql._has_adbc", lambda: False)
    with opened(postgres.connection(postgres.create_database()), tmp_path, paths) as source:
        yield source


@pytest.fixture
def maria(mariadb: MariaDbTestServer, tmp_path: Path, paths: Paths) -> Iterator[Source]:
    with opened(mariadb.connection(mariadb.create_database()), tmp_path, paths) as source:
        yield source


@pytest.fixture
def lite(tmp_path: Path, paths: Paths) -> Iterator[Source]:
    connection = SqlConnection(name="test_sql", drivername="sqlite", database=str(tmp_path / "lite.db"))
    with opened(connection, tmp_path, paths) as source:
        yield source


def test_postgresql_types_without_a_type_of_ours_are_text(pg: Source) -> None:
    pg.do(
        """
        create type mood as enum ('ok', 'sad');
        create type pair as (a int, b text);
        create domain cents as numeric(10, 2);
        create table t(i int primary key, u uuid, j json, jb jsonb, a int[], tt text[], m mood, b bytea,
                       mo money, iv interval, ch char(6), p pair, ine inet, r int4range, ti time, bits bit(3),
                       dom cents, x varchar(5), r4 real);
        insert into t values
        (1, '11111111-2222-3333-4444-555555555555', '{"a": 1}', '{"b": [1, null]}', '{1,2,null}',
         '{"x,y","z"}', 'sad', '\\x00ff', '$1,234.56', '1 mon 2 days', 'ab', row(1, 'x'), '10.0.0.1', '[1,3)',
         '23:59:59.5', b'101', 1.50, '', 1.1),
        (2, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null,
         null, null)
        """
    )
    texts = dict.fromkeys(PG_TEXTS, "string")
    outcome = pg.pull({**texts, "mo": "decimal(12,2)", "dom": "decimal(10,2)", "r4": "double"})
    assert (outcome.state, outcome.loaded) == ("loaded", 2)
    row = pg.rows()[1]
    assert {name: row[name] for name in texts} == {
        "u": "11111111-2222-3333-4444-555555555555",
        "j": '{"a": 1}',
        "jb": '{"b": [1, null]}',
        "a": "[1,2,null]",
        "tt": '["x,y","z"]',
        "m": "sad",
        "b": "00ff",
        "iv": "1 mon 2 days",
        "ch": "ab",
        "p": "(1,x)",
        "ine": "10.0.0.1/32",
        "r": "[1,3)",
        "ti": "23:59:59.5",
        "bits": "101",
        "x": "",
    }
    assert (row["mo"], row["dom"]) == (Decimal("1234.56"), Decimal("1.50"))
    assert row["r4"] == pytest.approx(1.1)
    assert {value for name, value in pg.rows()[2].items() if name in texts} == {None}


def test_numerics_are_exact_or_aside(pg: Source) -> None:
    pg.do(
        """
        create table t(i int primary key, n numeric, f double precision);
        insert into t values (1, 0, 0.1), (2, -0.01, 1.005), (3, 1.005, 1), (4, 'NaN', 1),
        (5, 99999999999.99, 1), (6, 123456789012345678901234567890.5, 1), (7, 10000, 1e20),
        (8, 1.50000, 'Infinity'), (9, 1 / 3.0, null), (10, 100000000, 2.5), (11, null, 'NaN')
        """
    )
    outcome = pg.pull({"n": "decimal(13,2)", "f": "decimal(13,2)"})
    rows = pg.rows()
    assert {i: (row["n"], row["f"]) for i, row in rows.items()} == {
        1: (Decimal("0.00"), Decimal("0.10")),
        5: (Decimal("99999999999.99"), Decimal("1.00")),
        10: (Decimal("100000000.00"), Decimal("2.50")),
    }
    assert outcome.quarantined == 8
    aside = pg.aside()
    assert aside["3"] == (
        {"i": "3", "n": aside["3"][0]["n"], "f": aside["3"][0]["f"]},
        "column n does not fit its declared type",
    )
    assert Decimal(aside["3"][0]["n"]) == Decimal("1.005"), (
        "as it is at the source, not as it might be rounded"
    )
    assert Decimal(aside["6"][0]["n"]) == Decimal("123456789012345678901234567890.5")
    assert aside["4"][0]["n"] == "NaN"
    again = pg.pull({"n": "decimal(13,2)", "f": "decimal(13,2)"})
    assert (again.state, again.quarantined) == ("known", 0)


def test_dates_beyond_the_calendar_are_aside_or_unknown_if_the_feed_says_so(pg: Source) -> None:
    pg.do(
        """
        create table t(i int primary key, d date, ts timestamp, tz timestamptz);
        insert into t values (1, '2026-03-01', '2026-03-01 12:00:00.000001', '2026-03-01 12:00+02'),
        (2, 'infinity', '2026-01-01', null), (3, null, '-infinity', null), (4, null, null, 'infinity'),
        (5, '0044-03-15 BC', null, null), (6, null, '10001-01-01', null), (7, '9999-12-31', null, null)
        """
    )
    types = {"d": "date", "ts": "timestamp", "tz": "timestamp"}
    assert pg.pull(types).quarantined == 5
    rows = pg.rows()
    assert set(rows) == {1, 7}
    assert rows[1]["d"] == date(2026, 3, 1)
    assert rows[1]["ts"] == datetime(2026, 3, 1, 12, 0, 0, 1, tzinfo=UTC)
    assert rows[1]["tz"] == datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert pg.aside()["2"][0]["d"] == "infinity"
    assert pg.aside()["4"][1] == "column tz does not fit its declared type"
    pg.pull(types, null_values=["infinity", "-infinity"])
    rows = pg.rows()
    assert set(rows) == {1, 2, 3, 4, 7}
    assert (rows[2]["d"], rows[3]["ts"], rows[4]["tz"]) == (None, None, None)


def test_local_times_of_a_source_become_moments(pg: Source) -> None:
    pg.do(
        """
        create table t(i int primary key, ts timestamp, updated_at timestamp);
        insert into t values
        (1, '2026-07-01 12:00', '2026-07-01 12:00'), (2, '2026-11-01 01:30', '2026-07-02'),
        (3, '2026-03-08 02:30', '2026-07-03')
        """
    )
    zone = {"time_zone": "America/Chicago", "overlap": "0s"}
    types = {"ts": "timestamp", "updated_at": "timestamp"}
    assert pg.pull(types, cursor="updated_at", sql=zone).quarantined == 1, "an hour that never was"
    assert pg.rows()[1]["ts"] == datetime(2026, 7, 1, 17, tzinfo=UTC)
    assert pg.rows()[2]["ts"] == datetime(2026, 11, 1, 6, 30, tzinfo=UTC)
    pg.do("update t set updated_at = '2026-07-03 00:00:01', ts = '2026-07-01' where i = 1")
    assert pg.pull(types, cursor="updated_at", sql=zone).loaded == 1


def test_mariadb_has_its_own_ideas(maria: Source) -> None:
    maria.do(
        "set sql_mode = ''",
        """
        create table t(i int primary key, u bigint unsigned, d date, dt datetime(6), ts timestamp(6) null,
                       tiny tinyint(1), bo bit(1), b bit(3), en enum('a','b'), js json, bl blob, ch char(6),
                       nm decimal(30,10), tm time, db double, tx text, uu uuid, y year, z int(5) zerofill)
        """,
        "insert into t values (1, 18446744073709551615, '2026-02-28', '2026-02-28 12:00:00.5', "
        "'2026-02-28 12:00', 1, b'1', b'101', 'a', '{\"a\": 1}', x'00ff', 'ab ', "
        "12345678901234567890.0123456789, '-838:59:59', 0.1, 'café', "
        "'11111111-2222-3333-4444-555555555555', 2026, 7)",
        "insert into t(i, d) values (2, '0000-00-00')",
        "insert into t(i, dt) values (3, '2026-02-30 00:00:00')",
        "insert into t(i, d) values (4, '2026-00-00')",
        "insert into t(i, tiny) values (5, 2)",
        "insert into t(i, u) values (6, 9223372036854775808)",
    )
    types = {
        **dict.fromkeys(["en", "js", "bl", "ch", "tm", "tx", "uu"], "string"),
        "u": "decimal(20,0)",
        "d": "date",
        "dt": "timestamp",
        "ts": "timestamp",
        "tiny": "boolean",
        "bo": "boolean",
        "b": "int",
        "nm": "decimal(30,10)",
        "db": "double",
        "y": "int",
        "z": "int",
    }
    assert maria.pull(types).quarantined == 4
    rows = maria.rows()
    assert set(rows) == {1, 6}
    wanted = {
        "u": Decimal(18446744073709551615),
        "d": date(2026, 2, 28),
        "dt": datetime(2026, 2, 28, 12, 0, 0, 500000, tzinfo=UTC),
        "ts": datetime(2026, 2, 28, 12, tzinfo=UTC),
        "tiny": True,
        "bo": True,
        "b": 5,
        "en": "a",
        "js": '{"a": 1}',
        "bl": "00ff",
        "ch": "ab",
        "nm": Decimal("12345678901234567890.0123456789"),
        "tm": "-838:59:59",
        "db": 0.1,
        "tx": "café",
        "uu": "11111111-2222-3333-4444-555555555555",
        "y": 2026,
        "z": 7,
    }
    assert {name: rows[1][name] for name in wanted} == wanted
    assert {i: reason for i, (_, reason) in maria.aside().items()} == {
        "2": "column d does not fit its declared type",
        "3": "column dt does not fit its declared type",
        "4": "column d does not fit its declared type",
        "5": "column tiny does not fit its declared type",
    }
    assert maria.aside()["2"][0]["d"] == "0000-00-00"
    maria.pull(types, null_values=["0000-00-00", "0000-00-00 00:00:00.000000"])
    assert set(maria.rows()) >= {1, 2, 3, 6}
    assert maria.rows()[2]["d"] is None


def test_sqlite_holds_what_it_was_given(lite: Source) -> None:
    lite.do(
        "create table t(i integer primary key, n numeric(10,2), b boolean, at timestamp, d date, x text)",
        "insert into t values (1, 1.5, 1, '2026-01-01 12:00:00', '2026-01-01', 'a')",
        "insert into t values (2, 'much', 0, '2026-01-01T12:00:00.5+02:00', '2026-01-01', x'00ff')",
        "insert into t values (3, '12.34', 2, null, null, 5)",
        "insert into t values (4, 7, 'no', 'yesterday', null, null)",
        "insert into t values (5, 7, null, '2026-01-01', '01/02/2026', null)",
        "insert into t values (6, 1.005, null, null, null, null)",
        "insert into t values (7, 12.34, 0, '2026-01-01T12:00:00.5+02:00', '2026-01-01', x'00ff')",
    )
    types = {"n": "decimal(10,2)", "b": "boolean", "at": "timestamp", "d": "date", "x": "string"}
    assert lite.pull(types).quarantined == 5
    rows = lite.rows()
    assert set(rows) == {1, 7}
    assert (rows[1]["n"], rows[1]["b"]) == (Decimal("1.50"), True)
    assert (rows[7]["at"], rows[7]["x"]) == (datetime(2026, 1, 1, 10, 0, 0, 500000, tzinfo=UTC), "00ff")
    assert {i: reason.split()[1] for i, (_, reason) in lite.aside().items()} == {
        "2": "n",
        "3": "b",
        "4": "at",
        "5": "d",
        "6": "n",
    }
