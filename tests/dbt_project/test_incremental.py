"""Days delivered one by one make the same warehouse as all at once, and only touched days are restated."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

from tests.dbt_project import town
from tests.dbt_project.conftest import Warehouse, must, run_dbt
from tests.dbt_project.raw_tables import AS_OF

TABLES = ("fct_interval_usage", "fct_usage_daily", "fct_usage_slot", "int_register_days")


def test_late_deliveries_restate_what_they_touch(warehouse: Warehouse, tmp_path: Path) -> None:
    """The last ten days arrive in two deliveries, a correction for an earlier day among them."""
    data = tmp_path / "late"
    town.write_town(data)
    reads = data / "raw" / "mdm" / "interval_reads"
    later = data / "later"
    later.mkdir()
    middle, last = AS_OF - timedelta(days=5), AS_OF
    first_late = AS_OF - timedelta(days=9)
    for day in town.days():
        if day >= first_late:
            shutil.move(str(reads / f"load_date={day}"), later)
    must(run_dbt(data, "run", "--select", "tag:daily"))
    untouched = (
        "select max(known_since_at), sum(kwh) from unified.fct_interval_usage where usage_date < '2026-11-01'"
    )
    early = Warehouse(data)
    before = early.rows(untouched)
    for start, end in ((first_late, middle), (middle + timedelta(days=1), last)):
        for day in town.days():
            if start <= day <= end:
                shutil.move(str(later / f"load_date={day}"), reads)
        window = {"business_date_start": start.isoformat(), "business_date_end": end.isoformat()}
        must(run_dbt(data, "build", "--select", "tag:daily", variables=window))
    assert early.rows(untouched) == before
    for table in TABLES:
        columns = ", ".join(
            f"round({name}, 6)" if kind == "DOUBLE" else name
            for name, kind in early.rows(
                f"select column_name, data_type from information_schema.columns "
                f"where table_name = '{table}' order by 1"
            )
        )
        query = f"select {columns} from unified.{table} order by all"
        assert early.rows(query) == warehouse.rows(query), table
