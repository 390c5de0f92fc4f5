"""Cursors, sweeps and sources of a SQL feed: what each setting promises, and what it gives up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors.connections import SqlConnection
from connectors.ingest import FeedError
from connectors.ingest.versions import Versions
from connectors.paths import Paths
from tests.support.mariadb import MariaDbTestServer
from tests.support.postgres import PostgresTestServer
from tests.support.sql_source import Source, opened

TYPES = {"v": "string", "at": "timestamp"}


@pytest.fixture(params=["postgresql", "mariadb", "sqlite"])
def source(request: pytest.FixtureRequest, tmp_path: Path, paths: Paths) -> Iterator[Source]:
    """Every database that is tested for real."""
    if request.param == "sqlite":
        connection = SqlConnection(name="test_sql", drivername="sqlite", database=str(tmp_path / "lite.db"))
    else:
        fixture = "postgres" if request.param == "postgresql" else "mariadb"
        server: PostgresTestServer | MariaDbTestServer = request.getfixturevalue(fixture)
        connection = server.connection(server.create_database())
    with opened(connection, tmp_path, paths) as opened_source:
        yield opened_source


@pytest.fixture
def pg(postgres: PostgresTestServer, tmp_path: Path, paths: Paths) -> Iterator[Source]:
    with opened(postgres.connection(postgres.create_database()), tmp_path, paths) as source:
        yield source


def make(source: Source, rows: int = 10, *, key: str = "primary key") -> None:
    kind = "timestamp" if source.engine.dialect.name != "mysql" else "datetime(6)"
    source.do(
        f"create table t(i integer {key}, v varchar(20), at {kind} null)",
        *(f"insert into t values ({n}, 'v{n}', '2026-01-{n:02d} 12:00:00')" for n in range(1, rows + 1)),
    )


def values(source: Source) -> dict[int, tuple[str, bool]]:
    return {i: (row["v"], row["_is_deleted"]) for i, row in source.rows().items()}


def test_first_then_nothing_then_what_changed(source: Source) -> None:
    make(source)
    assert source.pull(TYPES, cursor="at").loaded == 10
    again = source.pull(TYPES, cursor="at")
    assert (again.state, again.loaded, again.control_totals[0]["found"]) == ("known", 0, 10)
    source.do(
        "update t set v = 'new', at = '2026-02-01' where i = 3",
        "insert into t values (11, 'late', '2026-01-02')",
        "delete from t where i = 4",
        "insert into t values (12, 'undated', null)",
    )
    outcome = source.pull(TYPES, cursor="at")
    assert (outcome.loaded, outcome.message) == (3, "1 deleted at the source")
    assert values(source)[3] == ("new", False)
    assert values(source)[4] == ("v4", True)
    assert values(source)[11] == ("late", False)
    assert source.rows()[12]["at"] is None
    assert source.pull(TYPES, cursor="at").state == "known"


def test_a_row_that_goes_back_to_an_earlier_version_is_followed(source: Source) -> None:
    make(source)
    source.pull(TYPES, cursor="at")
    source.do("update t set v = 'wrong', at = '2026-02-01' where i = 3")
    source.pull(TYPES, cursor="at")
    source.do("update t set v = 'v3', at = '2026-01-03 12:00:00' where i = 3")
    assert source.pull(TYPES, cursor="at").loaded == 1
    assert values(source)[3] == ("v3", False)


def test_a_cursor_that_is_a_number_has_its_own_overlap(source: Source) -> None:
    make(source, 0)
    source.do("insert into t values (10, 'a', null), (20, 'b', null)")
    settings: dict[str, Any] = {"cursor": "i", "sql": {"deletes": "none"}}
    assert source.pull(TYPES, **settings).loaded == 2
    source.do("insert into t values (15, 'late', null), (30, 'c', null)")
    outcome = source.pull(TYPES, overlap=5, **settings)
    assert (outcome.loaded, outcome.records_read) == (2, 3), "20 is read again, 15 within the overlap, 30"
    assert set(source.rows()) == {10, 15, 20, 30}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"cursor": "at", "overlap": 5}, "the overlap of the cursor 'at' must be a number with s, m, h or d"),
        (
            {"cursor": "i", "overlap": "5m"},
            "the overlap of the cursor 'i' must be a number in the cursor's own",
        ),
        ({"name": "w", "query": "select 1"}, "takes a 'name' at the source or a 'query', not both"),
        ({"sql": {"time_zone": "Mars/Base"}}, "'Mars/Base' is not a time zone such as America/Chicago"),
    ],
)
def test_a_feed_that_contradicts_itself_is_refused(
    tmp_path: Path, paths: Paths, settings: dict[str, Any], said: str
) -> None:
    connection = SqlConnection(name="test_sql", drivername="sqlite", database=str(tmp_path / "lite.db"))
    with (
        opened(connection, tmp_path, paths) as source,
        pytest.raises(FeedError, match=r"defs\.yaml:") as caught,
    ):
        source.pull(TYPES, **settings)
    assert said in str(caught.value)


def test_a_cursor_may_be_a_day(source: Source) -> None:
    source.do("create table t(i integer primary key, v varchar(20), at date)")
    source.do("insert into t values (1, 'a', '2026-01-01'), (2, 'b', '2026-01-02')")
    days = {"v": "string", "at": "date"}
    none = {"deletes": "none"}
    assert source.pull(days, cursor="at", overlap="1d", sql=none).loaded == 2
    source.do("insert into t values (3, 'c', '2026-01-01'), (4, 'd', '2026-01-02')")
    assert source.pull(days, cursor="at", overlap="1d", sql=none).loaded == 2
    assert source.ingest.pending(source.feed) == []
    source.do("insert into t values (5, 'e', '2026-01-03')")
    assert [item.size for item in source.ingest.pending(source.feed)] == [1]


def test_equal_cursors_at_the_end_are_all_taken(source: Source) -> None:
    make(source)
    none = {"deletes": "none", "overlap": "0s"}
    source.pull(TYPES, cursor="at", sql=none)
    source.do("insert into t values (11, 'same moment', '2026-01-10 12:00:00')")
    assert source.pull(TYPES, cursor="at", sql=none).loaded == 1


def test_by_counts_all_keys_are_compared_only_when_they_do_not_agree(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = count_looks(monkeypatch)
    make(source)
    counts = {"deletes": "counts"}
    source.pull(TYPES, cursor="at", sql=counts)
    source.do(
        "update t set v = 'new', at = '2026-02-01' where i = 10",
        "insert into t values (11, 'x', '2026-02-01')",
    )
    assert source.pull(TYPES, cursor="at", sql=counts).loaded == 2
    assert looks == [], "neither raw nor the source was read whole"
    source.do("delete from t where i = 2")
    assert source.pull(TYPES, cursor="at", sql=counts).message == "1 deleted at the source"
    assert looks == ["all"]
    source.do("insert into t values (12, 'late', '2026-01-01')")
    assert source.pull(TYPES, cursor="at", sql=counts).loaded == 1
    assert looks == ["all"] * 2


def test_a_sweep_once_a_day(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = count_looks(monkeypatch)
    make(source)
    daily = {"sweep_every": "1d"}
    source.pull(TYPES, cursor="at", sql=daily)
    # A delete and an insert below the window: the counts agree, and only a sweep can see it.
    source.do("delete from t where i = 2", "insert into t values (11, 'late', '2026-01-01')")
    assert source.pull(TYPES, cursor="at", sql=daily).state == "known"
    assert looks == []
    assert source.pull(TYPES, cursor="at", sql={"sweep_every": "0s"}).loaded == 1
    assert values(source)[2][1]


def test_notes_of_the_last_pull_do_not_outlive_raw(source: Source) -> None:
    make(source)
    counts = {"deletes": "counts"}
    source.pull(TYPES, cursor="at", sql=counts)
    source.do("insert into t values (11, 'x', '2026-02-01')")
    source.pull(TYPES, cursor="at", sql=counts)
    (first, _) = sorted(
        (path for path in (source.paths.raw / "ugly" / "t").glob("*/*.parquet") if path.name[0] != "_"),
        key=lambda path: path.stat().st_mtime,
    )
    first.unlink()
    assert source.pull(TYPES, cursor="at", sql=counts).loaded == 10
    assert len(source.rows()) == 11


def test_a_row_of_the_year_2999_does_not_hide_today(source: Source) -> None:
    make(source)
    source.do("insert into t values (11, 'test data', '2999-01-01')")
    counts = {"deletes": "counts"}
    source.pull(TYPES, cursor="at", sql=counts)
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
    source.do(f"update t set v = 'new', at = '{now}' where i = 1")
    assert source.pull(TYPES, cursor="at", sql=counts).loaded == 1


def test_a_row_without_a_key_goes_aside_and_the_counts_hold(source: Source) -> None:
    make(source, key="")
    source.do("insert into t values (null, 'who', '2026-01-01'), (null, 'what', '2026-01-02')")
    outcome = source.pull(TYPES, cursor="at")
    assert (outcome.loaded, outcome.quarantined) == (10, 2)
    assert outcome.reasons == {"key": 2}
    source.do("insert into t values (11, 'x', '2026-02-01')")
    again = source.pull(TYPES, cursor="at")
    assert (again.loaded, again.quarantined) == (1, 0)
    (total,) = again.control_totals
    assert (total["declared"], total["found"], total["state"]) == (13, 13, "holds")


def test_a_key_twice_is_refused(source: Source) -> None:
    make(source, key="")
    source.do("insert into t values (1, 'again', '2026-01-02')")
    outcome = source.pull(TYPES, cursor="at")
    assert outcome.state == "refused"
    assert "is its key (i) unique?" in outcome.message
    assert not source.rows()


def test_a_view_and_a_query_are_read_as_tables_are(source: Source) -> None:
    make(source)
    source.do("create view w as select i, v, at from t where i > 5")
    assert source.pull(TYPES, cursor="at", name="w").loaded == 5
    query = "select i, case when i > 8 then 'high: yes' else v end as v, at from t where i > 5;"
    source.do("update t set at = '2026-02-01' where i = 9", "delete from t where i = 7")
    outcome = source.pull(TYPES, cursor="at", query=query)
    assert (outcome.loaded, outcome.message) == (1, "1 deleted at the source")
    assert values(source)[9] == ("high: yes", False)


def test_a_row_whose_cursor_is_infinite_is_not_taken_for_deleted(pg: Source) -> None:
    make(pg)
    pg.pull(TYPES, cursor="at")
    pg.do("update t set at = '-infinity' where i = 3", "update t set at = 'infinity' where i = 4")
    outcome = pg.pull(TYPES, cursor="at")
    assert (outcome.loaded, outcome.quarantined, outcome.message) == (0, 2, "")
    assert [values(pg)[i] for i in (3, 4)] == [("v3", False), ("v4", False)]
    assert pg.pull(TYPES, cursor="at").state == "known"


def test_types_may_be_frozen(pg: Source) -> None:
    make(pg)
    frozen = {"contract": {"types": "freeze"}}
    pg.pull(TYPES, cursor="at", **frozen)
    pg.do("alter table t alter at type text")
    outcome = pg.pull(TYPES, cursor="at", **frozen)
    assert "has at as TEXT, declared timestamp[us, tz=UTC], which contract freeze" in outcome.message
    assert pg.pull(TYPES, cursor="at").state == "known", "unless frozen, text that reads as a time is one"


def test_a_large_table_is_read_by_several_connections_in_one_snapshot(
    pg: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    from connectors.transport import sql_adbc

    monkeypatch.setattr(sql_adbc, "_SPLIT_BYTES", 1)
    parts: list[int] = []
    read = sql_adbc.AdbcReaders.read

    def counted(self: Any, statements: Any) -> Any:
        parts.append(len(statements))
        return read(self, statements)

    monkeypatch.setattr(sql_adbc.AdbcReaders, "read", counted)
    pg.do(
        "create table t(i int primary key, v text, at timestamp)",
        "insert into t select n, repeat('x', 500), '2026-01-01' from generate_series(1, 20000) n",
        "update t set v = 'moved' where i < 500",
    )
    assert pg.pull(TYPES, cursor="at", sql={"readers": 3}).loaded == 20_000
    assert parts == [3]
    assert len(pg.rows()) == 20_000


def count_looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Notes when all of raw is looked at; compares no time."""
    looks: list[str] = []
    look_at_all = Versions.look_at_all

    def noted(self: Versions) -> None:
        looks.append("all")
        look_at_all(self)

    monkeypatch.setattr(Versions, "look_at_all", noted)
    return looks
