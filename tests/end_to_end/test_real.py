"""``make real``: files that others wrote total what they must, through server, feed, job and ledger."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import duckdb
import pytest

from tests.end_to_end.conftest import run_gridcrm

pytestmark = [pytest.mark.xdist_group("real"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def root(realdata: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("real")
    done = run_gridcrm("real", str(realdata), "--data", str(root))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return root


def ledger(root: Path, source: str) -> list[tuple]:
    with duckdb.connect() as connection:
        return connection.execute(
            "select name, state, records_read, loaded, superseded, quarantined, records_by_type "
            f"from read_parquet('{root}/raw/gridcrm/ingestion_ledger/**/*.parquet') where source = ?",
            [source],
        ).fetchall()


def test_all_45_meter_files_are_taken_with_the_records_of_their_readme(root: Path) -> None:
    files = ledger(root, "mdm")
    assert Counter(state for _, state, *_ in files) == {"published": 45}
    records: Counter[str] = Counter()
    for *_, by_type in files:
        records.update(json.loads(by_type))
    assert records == {
        "100": 45, "200": 77, "250": 15, "300": 295, "400": 44, "500": 17, "550": 13, "900": 45
    }  # fmt: skip


def test_every_meter_record_is_accounted_for(root: Path) -> None:
    for name, _, read, loaded, superseded, quarantined, _ in ledger(root, "mdm"):
        assert read == loaded + superseded + quarantined, name


def test_all_interval_values_reach_the_raw_table(root: Path) -> None:
    with duckdb.connect() as connection:
        (values,) = connection.execute(
            f"select count(*) from read_parquet('{root}/raw/mdm/interval_reads/**/*.parquet')"
        ).fetchone()
    assert values == 38_496


@pytest.mark.parametrize(
    ("source", "read", "quarantined"),
    [
        ("cobol_fixed", 1000, 0),
        ("cobol_rdw", 1000, 0),
        ("cobol_numbers", 100, 0),
        ("cobol_fillers", 1000, 0),
        ("cobol_code_page", 1000, 0),
        ("cobol_display", 7, 1),
    ],
)
def test_copybook_files_are_taken_whole(root: Path, source: str, read: int, quarantined: int) -> None:
    ((_, state, found, loaded, superseded, aside, _),) = ledger(root, source)
    assert (state, found, aside) == ("published", read, quarantined)
    assert found == loaded + superseded + aside


def test_real_reads_reach_the_daily_facts(root: Path) -> None:
    with duckdb.connect() as connection:
        (days,) = connection.execute(
            f"select count(*) from '{root}/published/unified/fct_usage_daily.parquet'"
        ).fetchone()
    assert days > 100
