"""dbt's models as assets: the daily chain, staging, unified, push.

Belongs here: which models run as one op, with which variables, and how they are named and shown. Does not
belong here: SQL (dbt_project/), or what happens between staging and unified (identity.py).

Four ops, because identity stands between staging and unified and scores between unified and push, and
because only the daily chain is partitioned. All of them hold the pool ``warehouse``: a DuckDB file has one
process at a time. After each build the models that others read are published as Parquet, still inside the
pool, so that no reader ever opens the warehouse.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtCliResource, DbtProject, dbt_assets

from orchestration.as_of import as_of_date
from orchestration.assets.metadata import owner
from orchestration.assets.scores.scores import ensure_tables
from orchestration.gateway import Gateway
from orchestration.partitions import window
from orchestration.publishing import publish

POOL = "warehouse"
LAYERS = {"staging": "staging", "intermediate": "unified", "unified": "unified", "push": "push"}


@dataclass(frozen=True)
class Build:
    """A selection of models that one op builds."""

    name: str
    select: str
    exclude: str = ""
    is_daily: bool = False


BUILDS = (
    Build("build_daily_reads", "tag:daily", is_daily=True),
    Build("build_staging", "path:models/staging int_identity_records", exclude="tag:daily"),
    Build(
        "build_unified",
        "path:models/intermediate path:models/unified",
        exclude="tag:daily int_identity_records",
    ),
    Build("build_push", "path:models/push"),
)


class LayerTranslator(DagsterDbtTranslator):
    """Keys, groups, owners and partitions from the folder a model lies in."""

    def __init__(self, partitions: dg.PartitionsDefinition) -> None:
        super().__init__()
        self._partitions = partitions

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """``layer/model``; a source is the raw or score asset that writes it."""
        if dbt_resource_props["resource_type"] == "source":
            source, table = dbt_resource_props["source_name"], dbt_resource_props["name"]
            return dg.AssetKey(["scores", table] if source == "scores" else ["raw", source, table])
        return dg.AssetKey([self.get_group_name(dbt_resource_props) or "unified", dbt_resource_props["name"]])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """One of the five words."""
        if dbt_resource_props["resource_type"] == "source":
            return None
        return LAYERS[dbt_resource_props["fqn"][1]]

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:
        """The model's ``meta.owner``, or the team of its layer."""
        return [owner((dbt_resource_props.get("meta") or {}).get("owner") or "data-platform")]

    def get_partitions_def(self, dbt_resource_props: Mapping[str, Any]) -> dg.PartitionsDefinition | None:
        """Business dates for what is tagged ``daily``, nothing else."""
        return self._partitions if "daily" in dbt_resource_props.get("tags", []) else None


def build_dbt_assets(project: DbtProject, partitions: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """One op for each of :data:`BUILDS`."""
    return [_build(build, project, partitions) for build in BUILDS]


def _build(build: Build, project: DbtProject, partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    @dbt_assets(
        name=build.name,
        manifest=project.manifest_path,
        select=build.select,
        exclude=build.exclude,
        partitions_def=partitions if build.is_daily else None,
        backfill_policy=dg.BackfillPolicy.single_run() if build.is_daily else None,
        dagster_dbt_translator=LayerTranslator(partitions),
        project=project,
        pool=POOL,
    )
    def run(context: dg.AssetExecutionContext, dbt: DbtCliResource, gateway: Gateway) -> Iterator[Any]:
        ensure_tables(gateway.paths)
        command = ["build", "--exclude-resource-type", "unit_test"]
        command += ["--vars", json.dumps(dbt_vars(context, gateway))]
        # One target folder for all builds of a run: dbt parses anew whenever its variables change, and the
        # next build of the same run finds what this one parsed.
        target = gateway.paths.root / "dbt_target"
        yield from dbt.cli(command, context=context, target_path=target).stream()
        for model, rows in publish(gateway.paths, _models(context)).items():
            context.log.info(f"published {model}: {rows:,} rows")

    return run


def dbt_vars(context: dg.AssetExecutionContext, gateway: Gateway) -> dict[str, str]:
    """The variables a build takes: as of when, and which business dates were delivered."""
    tags = dict(context.run.tags)
    asked = window(tags)
    variables = {"as_of_date": as_of_date(tags, gateway).isoformat()}
    if asked:
        variables |= {
            "business_date_start": asked.start.isoformat(),
            "business_date_end": asked.end.isoformat(),
        }
    return variables


def _models(context: dg.AssetExecutionContext) -> list[tuple[str, str]]:
    """(schema, model) of what this op was asked to build."""
    return sorted((key.path[0], key.path[-1]) for key in context.selected_asset_keys)
