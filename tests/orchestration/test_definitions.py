"""What the batch location promises as a whole: one flow in five words, owned, described, without gaps."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from dataclasses import replace

import dagster as dg
import pytest

from orchestration.definitions import build_defs
from orchestration.settings import Settings

WORDS = ["raw", "staging", "unified", "scores", "push"]


def graph(defs: dg.Definitions):
    return defs.resolve_asset_graph()


def test_every_asset_starts_with_one_of_the_five_words(defs: dg.Definitions) -> None:
    keys = graph(defs).materializable_asset_keys
    assert {key.path[0] for key in keys} == set(WORDS)


def test_groups_are_the_five_words(defs: dg.Definitions) -> None:
    nodes = graph(defs)
    assert {nodes.get(key).group_name for key in nodes.materializable_asset_keys} == set(WORDS)


def test_every_asset_is_described_owned_and_has_a_kind(defs: dg.Definitions) -> None:
    nodes = [graph(defs).get(key) for key in graph(defs).materializable_asset_keys]
    poor = [n.key.to_user_string() for n in nodes if not (n.description and n.owners and n.kinds)]
    assert poor == []


def test_no_asset_depends_on_something_that_nobody_makes(defs: dg.Definitions) -> None:
    nodes = graph(defs)
    dangling = nodes.get_all_asset_keys() - nodes.materializable_asset_keys
    assert {k.to_user_string() for k in dangling} == set()


def test_the_flow_never_runs_backwards(defs: dg.Definitions) -> None:
    nodes = graph(defs)
    order = {word: place for place, word in enumerate(WORDS)}
    # What destinations answered, and who is who, are kept with the raw tables that dbt reads.
    books = {"gridcrm"}
    backward = [
        f"{parent.to_user_string()} -> {key.to_user_string()}"
        for key in nodes.materializable_asset_keys
        for parent in nodes.get(key).parent_keys
        if order[parent.path[0]] > order[key.path[0]] and key.path[1] not in books
    ]
    assert backward == []


def test_partitioned_lineage_is_contiguous(defs: dg.Definitions) -> None:
    """A backfill skips a partitioned asset behind an unpartitioned one, and says that it succeeded."""
    nodes = graph(defs)
    partitioned = {k for k in nodes.materializable_asset_keys if nodes.get(k).is_partitioned}
    gaps = [
        f"{parent.to_user_string()} -> {key.to_user_string()}"
        for key in partitioned
        for parent in nodes.get(key).parent_keys
        if parent not in partitioned
    ]
    assert gaps == []
    assert {k.path[-1] for k in partitioned} >= {"interval_reads", "fct_interval_usage", "fct_usage_daily"}


def test_backfill_of_partitioned_assets_is_one_run(defs: dg.Definitions) -> None:
    nodes = graph(defs)
    policies = {
        nodes.get(k).backfill_policy for k in nodes.materializable_asset_keys if nodes.get(k).is_partitioned
    }
    assert policies == {dg.BackfillPolicy.single_run()}


@pytest.mark.parametrize("job", ["full", "warehouse", "scores", "push", "outcomes", "ingest_cis_job"])
def test_jobs_resolve(defs: dg.Definitions, job: str) -> None:
    assert defs.resolve_job_def(job).all_node_defs


def test_a_score_that_fails_its_gate_stops_what_is_pushed(defs: dg.Definitions) -> None:
    nodes = graph(defs)
    checks = {
        c.asset_key: nodes.get_check_spec(c)
        for c in nodes.asset_check_keys
        if c.asset_key.path[0] == "scores"
    }
    scores = {k for k in nodes.materializable_asset_keys if k.path[0] == "scores"}
    assert set(checks) == scores
    assert all(spec.blocking for spec in checks.values())


def test_only_dbt_and_identity_hold_the_warehouse(defs: dg.Definitions) -> None:
    pools = {op.name: op.pool for a in defs.assets for op in [a.op] if isinstance(a, dg.AssetsDefinition)}
    assert {name for name, pool in pools.items() if pool == "warehouse"} == {
        "build_daily_reads",
        "build_staging",
        "build_unified",
        "build_push",
    }


def test_what_starts_with_the_instance(settings: Settings, defs: dg.Definitions) -> None:
    running = dg.DefaultSensorStatus.RUNNING
    sensors = {s.name: s.default_status for s in defs.sensors}
    assert set(sensors.values()) == {running}
    assert {s.default_status for s in defs.schedules} == {dg.DefaultScheduleStatus.STOPPED}
    production = build_defs(replace(settings, deployment="production"))
    assert {s.default_status for s in production.schedules} == {dg.DefaultScheduleStatus.RUNNING}
    development = build_defs(replace(settings, deployment="development"))
    assert {s.default_status for s in development.sensors} == {dg.DefaultSensorStatus.STOPPED}


def test_realtime_imports_no_dbt() -> None:
    code = "import sys, json, orchestration.realtime as r; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    )
    assert "orchestration.alerts" in loaded
    assert not [m for m in loaded if m.split(".")[0] in ("dagster_dbt", "dbt", "splink", "sklearn")]


def test_the_daily_schedule_asks_for_yesterday(defs: dg.Definitions) -> None:
    daily = defs.resolve_schedule_def("daily")
    at = dt.datetime(2026, 11, 16, 11, 30, tzinfo=dt.UTC)
    context = dg.build_schedule_context(scheduled_execution_time=at, repository_def=defs.get_repository_def())
    (request,) = daily.evaluate_tick(context).run_requests or []
    assert request.partition_key == "2026-11-15"
