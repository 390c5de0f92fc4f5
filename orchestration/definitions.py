"""The batch code location, in flow order.

Belongs here: what exists, as a table of contents. Does not belong here: how any of it is made.
"""

from __future__ import annotations

import dagster as dg
from dagster_dbt import DbtCliResource

from connectors.activation import load_pushes
from orchestration.assets.push.pushes import build_push_asset
from orchestration.assets.raw.feeds import raw_tables
from orchestration.assets.raw.ledger import build_books
from orchestration.assets.scores.scores import build_score_assets
from orchestration.assets.warehouse.dbt import build_dbt_assets
from orchestration.assets.warehouse.identity import resolve_identities
from orchestration.checks import build_checks
from orchestration.components import FeedTree
from orchestration.dbt_manifest import DBT, prepared_project
from orchestration.gateway import Gateway
from orchestration.jobs import build_jobs
from orchestration.partitions import business_dates
from orchestration.schedules import build_schedules
from orchestration.settings import Settings


def build_defs(settings: Settings) -> dg.Definitions:
    """Everything of the batch location, for these settings."""
    partitions = business_dates(settings.first_business_date, settings.time_zone)
    project = prepared_project(settings)
    feeds = FeedTree.of(settings)
    pushes = load_pushes(settings.pushes)
    jobs = {job.name: job for job in build_jobs(feeds.feeds)}
    rest = dg.Definitions(
        assets=[
            build_books(raw_tables(feeds.feeds.values())),
            *build_dbt_assets(project, partitions),
            resolve_identities,
            *build_score_assets(),
            *(build_push_asset(push) for push in pushes.values()),
        ],
        asset_checks=build_checks(),
        jobs=jobs.values(),
        # One process hands over in 0.3 s between steps, a process a step in 4 to 6: see DECISIONS.md.
        executor=dg.in_process_executor,
        schedules=build_schedules(settings, jobs),
        resources={
            "gateway": Gateway.of(settings),
            "dbt": DbtCliResource(
                project_dir=project, profiles_dir=str(settings.dbt_project), dbt_executable=DBT
            ),
        },
    )
    # Each page of YAML below feeds/ brings its assets, job, sensor and schedule.
    return dg.Definitions.merge(feeds.definitions(), rest)


defs = build_defs(Settings.from_env())
