"""Eight writers that commit late, out of order and not always, while a feed polls: nothing lost or doubled.

Rows are stamped when they are written and seen when they are committed, so that a poll in between has read
past them; the feed here has no overlap at all to save it.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
import sqlalchemy as sa

from connectors.ingest import Ingest
from connectors.paths import Paths
from tests.support.ingest import make_connections, make_feed, raw_rows
from tests.support.mariadb import MariaDbTestServer
from tests.support.postgres import PostgresTestServer

WRITERS = 8
BATCH = 125
READING = sa.Table(
    "reading",
    sa.MetaData(),
    sa.Column("reading_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("amount", sa.Numeric(12, 2), nullable=False),
    sa.Column(
        "updated_at",
        sa.DateTime(timezone=True).with_variant(sa.dialects.mysql.DATETIME(fsp=6), "mysql"),
        nullable=False,
    ),
)
FEED = """
source: live
description: A table that is written all the time.
owner: testers
connection: test_sql
kind: sql
schedule: "0 * * * *"
contract: quarantine
sql: {overlap: 0s}
tables:
  reading:
    description: One row a version of a reading.
    key: [reading_id]
    cursor: updated_at
    columns:
      reading_id: {type: bigint, description: Number}
      amount: {type: "decimal(12,2)", description: Amount}
      updated_at: {type: timestamp, description: When it was written}
"""


def write(engine: sa.Engine, writer: int, rows: int) -> None:
    """Transactions of a batch each: inserts, with updates and deletes of what this writer committed."""
    chance = random.Random(writer)
    mine: list[int] = []
    committed, started = 0, 0
    with engine.connect() as session:
        while committed < rows:
            new = [writer * 10_000_000 + started + number for number in range(BATCH)]
            started += BATCH
            changed = chance.sample(mine, min(len(mine), 5)) if chance.random() < 0.5 else []
            deleted = chance.sample(mine, 1) if mine and chance.random() < 0.2 else []
            transaction = session.begin()
            session.execute(sa.insert(READING), [values(chance, key) for key in new])
            for key in changed:
                session.execute(
                    sa.update(READING).where(READING.c.reading_id == key).values(values(chance, key))
                )
            session.execute(sa.delete(READING).where(READING.c.reading_id.in_(deleted)))
            time.sleep(chance.choice([0, 0.01, 0.05, 0.2]))
            if chance.random() < 0.1:
                transaction.rollback()
                continue
            transaction.commit()
            committed += BATCH
            mine = [key for key in mine + new if key not in deleted]


def values(chance: random.Random, key: int) -> dict[str, object]:
    return {"reading_id": key, "amount": chance.randrange(10**6) / 100, "updated_at": datetime.now(UTC)}


def poll_while_writing(engine: sa.Engine, rows_a_writer: int, poll: Callable[[], None]) -> int:
    """How often the feed was polled while the writers were at work; once more when they had ended."""
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            write(engine, number, rows_a_writer)
        except sa.exc.SQLAlchemyError as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    polls = 0
    while any(thread.is_alive() for thread in threads):
        poll()
        polls += 1
    for thread in threads:
        thread.join()
    assert not failed
    poll()
    return polls


def check(paths: Paths, engine: sa.Engine) -> None:
    """Raw shows exactly the table, no version came twice, and rows did come below what had been read."""
    raw = raw_rows(paths, "live", "reading")
    with engine.connect() as session:
        table = session.execute(sa.select(*READING.c)).all()
    with duckdb.connect() as db:
        db.execute("set TimeZone = 'UTC'")
        db.register("raw", raw)
        live = db.execute("""
            select reading_id, amount, epoch_us(updated_at) from (
                select * from raw
                qualify row_number() over (partition by reading_id order by _loaded_at desc) = 1
            ) where not _is_deleted
        """).fetchall()
        twice = db.execute("""
            select reading_id, updated_at::varchar from raw where not _is_deleted
            group by all having count(*) > 1
        """).fetchall()
        late = db.execute("""
            with pulls as (select _loaded_at, max(updated_at) as highest from raw group by all)
            select count(distinct reading_id) from raw, pulls
            where pulls._loaded_at < raw._loaded_at and raw.updated_at < pulls.highest and not _is_deleted
        """).fetchone()
    expected = {
        key: (amount, round(when.replace(tzinfo=UTC).timestamp() * 10**6)) for key, amount, when in table
    }
    found = {key: (amount, when) for key, amount, when in live}
    assert set(expected) - set(found) == set(), "lost"
    assert set(found) - set(expected) == set(), "deleted at the source, or never committed"
    assert found == expected
    assert twice == []
    assert late is not None
    assert late[0] > 100, "nothing was committed late: the test shows nothing"


def run(ingest: Ingest, engine: sa.Engine, feed_folder: Path, paths: Paths, rows: int) -> None:
    READING.create(engine)
    feed = make_feed(feed_folder, FEED)

    def poll() -> None:
        report = ingest.run(feed)
        assert report.balance_ok
        assert [outcome.message for outcome in report.refused] == []

    assert poll_while_writing(engine, rows // WRITERS, poll) > 3
    check(paths, engine)


def test_100_000_rows_by_eight_writers_on_postgresql(
    postgres: PostgresTestServer, tmp_path: Path, paths: Paths
) -> None:
    database = postgres.create_database()
    ingest = Ingest(paths, make_connections(tmp_path, postgres.connection(database)))
    run(ingest, postgres.engine(database), tmp_path / "feeds", paths, 100_000)
    ingest.close()


@pytest.mark.parametrize("rows", [20_000])
def test_eight_writers_on_mariadb(
    mariadb: MariaDbTestServer, tmp_path: Path, paths: Paths, rows: int
) -> None:
    database = mariadb.create_database()
    ingest = Ingest(paths, make_connections(tmp_path, mariadb.connection(database)))
    run(ingest, mariadb.engine(database), tmp_path / "feeds", paths, rows)
    ingest.close()
