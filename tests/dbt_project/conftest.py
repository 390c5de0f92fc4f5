"""The town built once by dbt for all tests of this folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.dbt_project.raw_tables import AS_OF
from tests.dbt_project.town import write_town

PROJECT = Path(__file__).resolve().parents[2] / "dbt_project"


def run_dbt(
    data: Path, *arguments: str, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """dbt as people call it, with its own target and log folders under the data root."""
    return subprocess.run(
        [
            str(Path(sys.executable).with_name("dbt")),
            *arguments,
            "--project-dir",
            str(PROJECT),
            "--profiles-dir",
            str(PROJECT),
            "--target-path",
            str(data / "target"),
            "--log-path",
            str(data / "logs"),
            "--vars",
            json.dumps({"as_of_date": AS_OF.isoformat(), **(variables or {})}),
        ],
        env={**os.environ, "GRIDCRM_DATA": str(data), "DBT_USE_COLORS": "false"},
        capture_output=True,
        text=True,
        check=False,
    )


def must(result: subprocess.CompletedProcess[str]) -> None:
    """Fail with dbt's own words."""
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]


class Warehouse:
    """The built town: its warehouse, and dbt's manifest and results."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query; the file is opened for reading only and closed again."""
        with duckdb.connect(str(self.data / "warehouse.duckdb"), read_only=True) as connection:
            connection.execute("set timezone = 'UTC'")
            return connection.execute(sql).fetchall()

    def artifact(self, name: str) -> dict[str, Any]:
        """manifest or run_results of the build."""
        content: dict[str, Any] = json.loads((self.data / "target" / f"{name}.json").read_text())
        return content


@pytest.fixture(scope="session")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Everything built and every dbt test passed."""
    data = tmp_path_factory.mktemp("town")
    write_town(data)
    must(run_dbt(data, "build"))
    return Warehouse(data)
