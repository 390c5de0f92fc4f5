"""5M rows of bills out of PostgreSQL into Parquet: ours, dlt by its fastest backend, and psycopg's COPY.

Ours is the first pull of a feed through ``Ingest.run``: one snapshot, types, count reconciliation, ledger,
Parquet published. dlt runs its ``sql_table`` source into its ``filesystem`` destination as Parquet, by
whichever of its backends this run finds to be faster: ``pyarrow`` with chunks of 100,000 rows, or
``connectorx`` streaming batches of them. COPY is psycopg 3's ``copy (select …) to stdout`` as people use it,
its blocks written to a file, in text or in binary, whichever is faster: nothing is parsed or checked.

Beside these, without a peer: the second run of ours after 1,000 of the rows have changed, by the window
alone and with a sweep of all keys.
"""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import yaml

from benchmarks.measure import Comparison, Measure, in_turn, seconds
from connectors.connections import SqlConnection
from connectors.ingest import FeedConfig, Ingest
from connectors.paths import Paths
from tests.support.ingest import make_connections, make_feed
from tests.support.postgres import PostgresTestServer, serve_postgres

ROWS = int(os.environ.get("GRIDCRM_BENCH_ROWS", "5000000"))
CHUNK = 100_000
BACKENDS = ("pyarrow", "connectorx")
FORMS = ("text", "binary")
COLUMNS = {
    "bill_id": "bigint",
    "account_no": "string",
    "amount_usd": "decimal(12,2)",
    "energy_kwh": "decimal(12,2)",
    "due_date": "date",
    "is_paid": "boolean",
    "note": "string",
    "updated_at": "timestamp",
}
DDL = f"""
create table bill as
select n as bill_id, lpad((n * 7919 %% 1000000)::text, 12, '0') as account_no,
       (n * 37 %% 100000 / 100.0)::numeric(12,2) as amount_usd,
       (n * 53 %% 5000000 / 100.0)::numeric(12,2) as energy_kwh,
       date '2020-01-01' + (n %% 2000)::int as due_date, n %% 3 = 0 as is_paid,
       case when n %% 4 > 0 then 'note on bill ' || n %% 1000 end as note,
       timestamptz '2026-01-01Z' + n * interval '1 second' as updated_at
from generate_series(1, {ROWS}::bigint) n;
alter table bill add primary key (bill_id);
create index on bill (updated_at);
"""


class Contest:
    """One table, and the ways in which it is read; each leaves its files for the sums to be compared."""

    def __init__(self, server: PostgresTestServer, folder: Path) -> None:
        self.folder = folder
        self.database = server.create_database()
        self.connection: SqlConnection = server.connection(self.database, "bench_sql")
        self.engine = server.engine(self.database)
        with self.engine.begin() as session:
            session.exec_driver_sql(DDL)
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as session:
            session.exec_driver_sql("vacuum analyze bill")
        self.url = self.connection.url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._numbers = count()

    def ours(self, **sql: Any) -> tuple[Ingest, FeedConfig, Paths]:
        """A feed whose first pull has been taken, as in production, into a folder of its own."""
        root = self.new_folder()
        feed = make_feed(root / "feeds", _feed(sql))
        paths = Paths(root / "data")
        ingest = Ingest(paths, make_connections(root, self.connection))
        self.pull(ingest, feed)
        return ingest, feed, paths

    def first_pull(self) -> Path:
        """What is measured: returns the folder of the table."""
        ingest, _, paths = self.ours()
        ingest.close()
        return paths.raw / "billing" / "bill"

    def pull(self, ingest: Ingest, feed: FeedConfig) -> int:
        """One run; returns the rows published."""
        report = ingest.run(feed)
        if report.refused or not report.balance_ok:
            raise RuntimeError(f"refused: {[outcome.message for outcome in report.refused]}")
        return sum(report.rows.values())

    def dlt(self, backend: str) -> Path:
        """dlt into Parquet by one of its backends; returns the folder of the table."""
        import dlt
        from dlt.sources.sql_database import sql_table

        root = self.new_folder()
        streams = {"return_type": "arrow_stream", "batch_size": CHUNK} if backend == "connectorx" else {}
        pipeline = dlt.pipeline(
            pipeline_name=f"bench_{backend}",
            pipelines_dir=str(root / "pipelines"),
            destination=dlt.destinations.filesystem(bucket_url=str(root / "out")),
            dataset_name="bench",
        )
        source = sql_table(
            credentials=self.connection.url.render_as_string(hide_password=False),
            table="bill",
            backend=backend,  # type: ignore[arg-type]
            chunk_size=CHUNK,
            reflection_level="full_with_precision",
            backend_kwargs=streams,
        )
        pipeline.run(source, loader_file_format="parquet").raise_on_failed_jobs()
        return root / "out" / "bench" / "bill"

    def copy(self, form: str) -> Path:
        """psycopg's COPY into a file."""
        target = self.new_folder() / "bill.copy"
        statement = f"copy (select {', '.join(COLUMNS)} from bill) to stdout (format {form})"
        with (
            psycopg.connect(self.url) as session,
            session.cursor() as cursor,
            cursor.copy(statement) as blocks,
            target.open("wb") as file,
        ):
            for block in blocks:
                file.write(block)
        return target

    def new_folder(self) -> Path:
        """An empty folder; those of earlier turns are removed, so that the disk does not fill."""
        for old in self.folder.iterdir():
            shutil.rmtree(old)
        new = self.folder / str(next(self._numbers))
        new.mkdir()
        return new

    def change(self, rows: int) -> None:
        """As many bills are paid, anywhere in the table."""
        step = ROWS // rows
        with self.engine.begin() as session:
            session.exec_driver_sql(
                f"update bill set is_paid = not is_paid, updated_at = now() where bill_id %% {step} = 0"
            )


def measure() -> Measure:
    """Verify that all read the same, run them in turn, compare with the better of each peer's ways."""
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"
    with tempfile.TemporaryDirectory(prefix="gridcrm-bench-") as folder, serve_postgres() as server:
        contest = Contest(server, Path(folder))
        expected = _sums(contest.first_pull())
        peak_rss_mb = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        for backend in BACKENDS:
            if (found := _sums(contest.dlt(backend))) != expected:
                raise RuntimeError(f"dlt by {backend} read {found}, ours {expected}")
        ours, *peers = in_turn(
            contest.first_pull,
            *(partial(contest.dlt, backend) for backend in BACKENDS),
            *(partial(contest.copy, form) for form in FORMS),
        )
        dlt, backend = min(zip(peers, BACKENDS, strict=False))
        copy, form = min(zip(peers[len(BACKENDS) :], FORMS, strict=True))
        return Measure(
            "sql",
            [
                Comparison(f"dlt_{backend}", ROWS / ours, ROWS / dlt, "rows/s", 3.0),
                Comparison(f"psycopg_copy_{form}", ROWS / ours, ROWS / copy, "rows/s", 0.7),
            ],
            {"rows": ROWS, "peak_rss_mb": peak_rss_mb, "again_seconds": _again(contest)},
        )


def _again(contest: Contest) -> dict[str, float]:
    """Seconds of later runs: nothing changed, and 1,000 rows changed, without and with a sweep of keys."""
    taken = {}
    for deletes in ("counts", "sweep"):
        ingest, feed, _ = contest.ours(deletes=deletes)
        with closing(ingest):
            again = partial(contest.pull, ingest, feed)
            taken[f"{deletes}_unchanged"] = seconds(again)
            contest.change(1000)
            taken[f"{deletes}_1000_changed"] = seconds(again)
    return {name: round(value, 3) for name, value in taken.items()}


def _sums(folder: Path) -> tuple[Any, ...]:
    """What must be the same, whoever read it; decimals exactly."""
    return (
        duckdb.sql(
            f"""
            select count(*), sum(bill_id), sum(amount_usd::decimal(12, 2))::varchar,
                   sum(energy_kwh::decimal(12, 2))::varchar, sum(epoch_us(updated_at)),
                   count(note), sum(length(account_no)), count_if(is_paid)
            from read_parquet('{folder}/**/*.parquet', union_by_name = true)
            """
        ).fetchone()
        or ()
    )


def _feed(sql: dict[str, Any]) -> str:
    columns = {name: {"type": kind, "description": name} for name, kind in COLUMNS.items()}
    table = {"description": "Bills.", "key": ["bill_id"], "cursor": "updated_at", "columns": columns}
    feed = {
        "source": "billing",
        "description": "Bills.",
        "owner": "bench",
        "connection": "bench_sql",
        "kind": "sql",
        "schedule": "0 * * * *",
        "contract": "quarantine",
        "sql": {"schema": "public", **sql},
        "tables": {"bill": table},
    }
    return yaml.safe_dump(feed)
