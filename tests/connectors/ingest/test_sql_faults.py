"""What goes wrong at a database: one line that says what, where and what to do; nothing half published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connectors.connections import SqlConnection
from connectors.ingest import Ingest
from connectors.paths import Paths
from connectors.transport import TransientTransportError, TransportError
from tests.support.cut_proxy import serve_cut
from tests.support.ingest import make_connections, make_feed, raw_rows
from tests.support.mariadb import MariaDbTestServer
from tests.support.postgres import PostgresTestServer
from tests.support.sql_source import opened

# PyMySQL stumbles over its own broken connection when the garbage collector gets to it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
TYPES = {"v": "string"}
TWO = """
source: two
description: Two tables.
owner: testers
connection: test_sql
kind: sql
schedule: "0 * * * *"
contract: quarantine
sql: {}
tables:
  closed:
    description: One row a thing.
    key: [i]
    cursor: i
    columns: {i: {type: bigint, description: Number}}
  open:
    description: One row a thing.
    key: [i]
    cursor: i
    columns: {i: {type: bigint, description: Number}}
"""


@pytest.fixture(params=["adbc", "psycopg2", "pymysql"])
def server(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> PostgresTestServer | MariaDbTestServer:
    """Both servers, by every driver."""
    if request.param == "psycopg2":
        monkeypatch.setattr("connectors.transport.sql._has_adbc", lambda: False)
    found: PostgresTestServer | MariaDbTestServer = request.getfixturevalue(
        "mariadb" if request.param == "pymysql" else "postgres"
    )
    return found


def one_line(error: BaseException, *secrets: str) -> str:
    text = str(error)
    assert "\n" not in text
    assert text.startswith("connection test_sql: ")
    assert not any(secret in text for secret in secrets)
    return text


def test_a_connection_cut_on_the_way_publishes_nothing_and_may_be_tried_again(
    server: PostgresTestServer | MariaDbTestServer, tmp_path: Path, paths: Paths
) -> None:
    database = server.create_database()
    with (
        serve_cut(server.port) as proxy,
        opened(server.connection(database, port=proxy.port), tmp_path, paths) as source,
    ):
        source.do("create table t(i int primary key, v varchar(200))")
        source.do("insert into t values (1, repeat('x', 200))")
        for number in range(13):  # 8,192 rows
            source.do(f"insert into t select i + {2**number}, v from t")
        for cut_after in (400_000, 1_000_000):
            proxy.cut_after = cut_after
            with pytest.raises(TransientTransportError) as caught:
                source.pull(TYPES)
            one_line(caught.value, server.password)
            assert not source.rows()
            assert not list((paths.state / "staging" / "ugly").glob("[!p]*")), "nothing staged is left"
        proxy.cut_after = None
        assert source.pull(TYPES).loaded == 8192


def test_a_table_without_the_right_to_read_leaves_the_others_loaded(
    server: PostgresTestServer | MariaDbTestServer, tmp_path: Path, paths: Paths
) -> None:
    database = server.create_database()
    is_postgresql = isinstance(server, PostgresTestServer)
    name = f"reader_{database}"
    with opened(server.connection(database), tmp_path, paths) as source:
        source.do(
            "create table closed(i int primary key)",
            "create table open(i int primary key)",
            "insert into open values (1), (2)",
            f"create user {name} password 'secret-word'"
            if is_postgresql
            else f"create user {name}@'127.0.0.1' identified by 'secret-word'",
            f"grant select on open to {name}"
            if is_postgresql
            else f"grant select on {database}.open to {name}@'127.0.0.1'",
        )
    (tmp_path / "reader").mkdir()
    connection = server.connection(database, username=name, password="secret-word")
    ingest = Ingest(paths, make_connections(tmp_path / "reader", connection))
    report = ingest.run(make_feed(tmp_path / "feeds", TWO))
    closed, open_ = report.files
    assert closed.state == "refused"
    assert "denied" in closed.message
    assert "closed" in closed.message
    assert "\n" not in closed.message
    assert (open_.state, open_.loaded) == ("loaded", 2)
    assert raw_rows(paths, "two", "open").num_rows == 2
    ingest.close()


def test_a_wrong_password_is_said_to_be_one(
    server: PostgresTestServer | MariaDbTestServer, tmp_path: Path, paths: Paths
) -> None:
    database = server.create_database()
    with (
        opened(server.connection(database, password="wrong-horse"), tmp_path, paths) as source,
        pytest.raises(TransportError) as caught,
    ):
        source.pull(TYPES)
    assert not isinstance(caught.value, TransientTransportError)
    assert "wrong password or unknown user" in one_line(caught.value, "wrong-horse")


def test_a_statement_that_takes_too_long_is_said_to(
    server: PostgresTestServer | MariaDbTestServer, tmp_path: Path, paths: Paths
) -> None:
    database = server.create_database()
    is_postgresql = isinstance(server, PostgresTestServer)
    name = f"slow_{database}"
    with opened(server.connection(database), tmp_path, paths) as source:
        source.do("create table t(i int primary key, v varchar(200))", "insert into t values (1, 'x')")
        if is_postgresql:
            source.do(
                f"create user {name} password 'secret-word'",
                f"alter user {name} set statement_timeout = '300ms'",
                f"grant select on t to {name}",
            )
        else:
            source.do(
                f"create user {name}@'127.0.0.1' identified by 'secret-word' with max_statement_time 0.3",
                f"grant select on {database}.* to {name}@'127.0.0.1'",
            )
    connection: SqlConnection = server.connection(database, username=name, password="secret-word")
    sleep = "pg_sleep(5)" if is_postgresql else "sleep(5)"
    query = f"select i, v from t, (select {sleep} as s) q where q.s is not null"
    (tmp_path / "slow").mkdir()
    with (
        opened(connection, tmp_path / "slow", paths) as source,
        pytest.raises(TransientTransportError) as caught,
    ):
        source.pull(TYPES, query=query)
    assert "time" in one_line(caught.value, "secret-word")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("alter table t rename to u", "there is no table t"),
        ("alter table t drop column v", "lacks v, which contract quarantine does not allow"),
        ("alter table t rename column i to j", "lacks i"),
    ],
)
def test_a_source_that_has_changed_is_refused_in_words(
    postgres: PostgresTestServer, tmp_path: Path, paths: Paths, change: str, said: str
) -> None:
    with opened(postgres.connection(postgres.create_database()), tmp_path, paths) as source:
        source.do("create table t(i int primary key, v text)", "insert into t values (1, 'x')")
        source.pull(TYPES)
        source.do(change)
        outcome = source.pull(TYPES)
    assert outcome.state == "refused"
    assert said in outcome.message


def test_a_query_the_database_does_not_understand_is_refused(
    server: Any, tmp_path: Path, paths: Paths
) -> None:
    with opened(server.connection(server.create_database()), tmp_path, paths) as source:
        source.do("create table t(i int primary key, v varchar(9))")
        outcome = source.pull(TYPES, query="select i, v from tt")
    assert outcome.state == "refused"
    assert "look at the query" in outcome.message
    assert "\n" not in outcome.message
