"""Copies of warehouse models for everyone who is not dbt.

Belongs here: copying tables out of the warehouse file, atomically. Does not belong here: reading the copies
(each reader does that with the tool that suits it).

A DuckDB file admits one process, readers included. So whoever built a model copies it to
``published/<layer>/<model>.parquet`` before it gives up the pool: a temporary name, then a rename. Someone
who has the old copy open keeps it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import duckdb

from connectors.paths import Paths

# Facts at the grain of an interval stay in the warehouse: their readers use the additive sums.
NOT_PUBLISHED = frozenset({"fct_interval_usage", "fct_interval_read_version"})


def publish(paths: Paths, models: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Copy each (schema, model) of unified and push that exists in the warehouse; returns rows by model."""
    wanted = [(s, m) for s, m in models if m not in NOT_PUBLISHED and s in ("unified", "push")]
    if not wanted:
        return {}
    counts: dict[str, int] = {}
    with duckdb.connect(str(paths.warehouse), read_only=True) as connection:
        connection.execute("set timezone = 'UTC'")
        existing = set(
            connection.execute("select table_schema, table_name from information_schema.tables").fetchall()
        )
        for schema, model in wanted:
            if (schema, model) not in existing:
                continue
            target = paths.published / schema / f"{model}.parquet"
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_suffix(f".{os.getpid()}.tmp")
            # In one order, whatever threads wrote the table: sums of floats depend on it, and a score that
            # moves by a cent from run to run would be sent again.
            rows = f'select * from "{schema}"."{model}" order by all'
            connection.execute(f"copy ({rows}) to '{temporary}' (format parquet, compression zstd)")
            row = connection.execute(f"select count(*) from read_parquet('{temporary}')").fetchone()
            os.replace(temporary, target)
            counts[f"{schema}.{model}"] = row[0] if row else 0
    return counts
