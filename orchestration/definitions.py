"""The batch code location, in flow order.

Belongs here: what exists, as a table of contents. Does not belong here: how any of it is made.
"""

from __future__ import annotations

import dagster as dg
from dagster_dbt import DbtCliResource

from connectors.activation import load_pushes
from connectors.ingest import load_feeds
from orchestration.assets.push.pushes import build_push_asset
from orchestration.assets.raw.feeds import build_feed_assets
from orchestration.assets.raw.ledger import build_books
from orchestration.assets.scores.scores import build_score_assets
from orchestration.assets.warehouse.dbt import build_dbt_assets
from orchestration.assets.warehouse.identity import resolve_identities
from orchestration.checks import build_checks
from orchestration.dbt_manifest import DBT, prepared_project
from orchestration.gateway import Gateway
from orchestration.jobs import build_jobs
from orchestration.partitions import business_dates
from orchestration.schedules import build_schedules
from orchestration.sensors import build_sensors
from orchestration.settings import Settings


def build_defs(settings: Settings) -> dg.Definitions:
    """Everything of the batch location, for these settings."""
    partitions = business_dates(settings.first_business_date, settings.time_zone)
    project = prepared_project(settings)
    feeds = load_feeds(settings.feeds)
    pushes = load_pushes(settings.pushes)
    raw = [build_feed_assets(feed, partitions) for feed in feeds.values()]
    jobs = {job.name: job for job in build_jobs(feeds)}
    return dg.Definitions(
        assets=[
            *raw,
            build_books([key for asset in raw for key in asset.keys]),
            *build_dbt_assets(project, partitions),
            resolve_identities,
            *build_score_assets(),
            *(build_push_asset(push) for push in pushes.values()),
        ],
        asset_checks=build_checks(),
        jobs=jobs.values(),
        # One process hands over in 0.3 s between steps, a process a step in 4 to 6: see DECISIONS.md.
        executor=dg.in_process_executor,
        schedules=build_schedules(settings, feeds.values(), jobs),
        sensors=build_sensors(settings, feeds.values(), jobs),
        resources={
            "gateway": Gateway.of(settings),
            "dbt": DbtCliResource(
                project_dir=project, profiles_dir=str(settings.dbt_project), dbt_executable=DBT
            ),
        },
    )


defs = build_defs(Settings.from_env())
