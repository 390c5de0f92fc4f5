"""The loop as a user runs it: everything arrives, nothing is doubled by a second run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from connectors.paths import Paths
from tests.end_to_end.conftest import CUSTOMERS, REPOSITORY, Demo

pytestmark = [pytest.mark.xdist_group("end_to_end"), pytest.mark.timeout(900)]


def one(query: str) -> tuple:
    with duckdb.connect() as connection:
        return connection.execute(query).fetchone()


def ledger(paths: Paths) -> str:
    return f"read_parquet('{paths.raw}/gridcrm/ingestion_ledger/**/*.parquet')"


def receipts(paths: Paths) -> list[tuple]:
    with duckdb.connect() as connection:
        return connection.execute(
            f"select push, count(*) from read_parquet('{paths.raw}/gridcrm/push_receipt/**/*.parquet') "
            "group by 1 order by 1"
        ).fetchall()


def published(paths: Paths, model: str) -> str:
    return f"'{paths.published}/{model}.parquet'"


def test_the_summary_tells_what_happened(demo: Demo) -> None:
    for word in ("cis", "mdm", "collections", "customers", "non_payment", "withheld", "make ui"):
        assert word in demo.said, word


def test_every_file_balances(demo: Demo) -> None:
    unbalanced, files = one(
        "select count(*) filter (where records_read <> loaded + superseded + quarantined), count(*) "
        f"from {ledger(demo.paths)} where state = 'published'"
    )
    assert unbalanced == 0
    assert files > 100


def test_customers_are_fewer_than_records_and_close_to_the_truth(demo: Demo) -> None:
    (customers,) = one(f"select count(*) from {published(demo.paths, 'unified/customer_360')}")
    (records,) = one(f"select count(*) from {published(demo.paths, 'unified/int_identity_records')}")
    (persons,) = one(f"select count(distinct person_id) from '{demo.paths.truth}/identity.parquet'")
    assert records > customers
    assert abs(customers - persons) <= 0.1 * persons
    assert customers >= int(CUSTOMERS) * 0.9


def test_energy_is_conserved_from_raw_to_daily(demo: Demo) -> None:
    """Of the reads that VEE left alone, the daily facts hold every Wh, whichever source they came from."""
    reads = [f"{demo.paths.raw}/{source}/interval_reads/**/*.parquet" for source in ("mdm", "ami")]
    raw, mart = one(
        f"""
        with latest as (
            select service_point_id, register_id, interval_start_at,
                arg_max(value, (updated_at, load_date, _record_no)) as kwh
            from read_parquet({reads}, hive_partitioning = true)
            where direction = 'import' group by all
        )
        select (select sum(kwh) from latest), (select sum(import_kwh)
            from {published(demo.paths, "unified/fct_usage_daily")})
        """
    )
    assert float(mart) == pytest.approx(float(raw), rel=0.05)


def test_no_push_holds_occupancy(demo: Demo) -> None:
    for file in (demo.paths.published / "push").glob("*.parquet"):
        names = {row[0] for row in duckdb.sql(f"describe select * from '{file}'").fetchall()}
        assert not {n for n in names if "p_home" in n}, file.name


def test_protected_customers_get_no_dunning_letter(demo: Demo) -> None:
    """Help with a bill may be offered to them; a demand, or any letter about a disputed bill, may not."""
    (wrong,) = one(
        f"""
        select count(*) from {published(demo.paths, "push/push_letters")} as letter
        join {published(demo.paths, "unified/customer_360")} as customer using (customer_id)
        where letter.withheld_reason is null and (
            customer.has_open_dispute
            or (letter.purpose <> 'payment_help' and (customer.is_medical or customer.is_vulnerable))
        )
        """
    )
    assert wrong == 0


def test_outcomes_came_back_for_what_was_sent(demo: Demo) -> None:
    (calls,) = one(
        f"select count(*) from read_parquet('{demo.paths.raw}/dialer/call/**/*.parquet') "
        "where call_key is not null"
    )
    assert calls > 0


def test_a_second_demo_takes_and_sends_nothing_twice(demo: Demo) -> None:
    assert {push for push, _ in receipts(demo.paths)} >= {"crm_customer_score", "dialer_call_list", "letters"}
    before = receipts(demo.paths), one(f"select count(*) from {ledger(demo.paths)}")
    raw = sorted(p.relative_to(demo.paths.raw) for p in demo.paths.raw.rglob("*.parquet"))
    done = demo.again()
    assert done.returncode == 0, done.stderr[-3000:]
    assert receipts(demo.paths) == before[0]
    assert one(f"select count(*) from {ledger(demo.paths)}") == before[1]
    after = sorted(p.relative_to(demo.paths.raw) for p in demo.paths.raw.rglob("*.parquet"))
    assert after == raw


def test_two_runs_at_once_meet_no_lock(demo: Demo) -> None:
    """Two processes build the warehouse at the same time; the pool lets one wait for the other."""
    env = dict(os.environ) | {
        "GRIDCRM_DATA": str(demo.paths.root),
        "GRIDCRM_DEPLOYMENT": "demo",
        "DAGSTER_HOME": str(demo.paths.dagster),
    }
    command = [str(Path(sys.executable).with_name("dagster")), "job", "execute"]
    command += ["-m", "orchestration.definitions", "-a", "defs", "-j", "warehouse"]
    command += ["--tags", json.dumps({"dagster/partition": "2026-11-15"})]
    runs = [
        subprocess.Popen(
            command, cwd=REPOSITORY, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for _ in range(2)
    ]
    said = [run.communicate(timeout=240)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], "\n".join(s[-2000:] for s in said)
    assert not [s for s in said if "Could not set lock" in s]
