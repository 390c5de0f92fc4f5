"""Jobs: named selections of assets that people launch and schedules repeat.

Belongs here: selections. Does not belong here: when they run (schedules.py, sensors.py).

https://docs.dagster.io/guides/build/jobs/asset-jobs
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import or_

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from connectors.ingest import FeedConfig

# What define_asset_job returns; dagster exports no name for it.
AssetJob = UnresolvedAssetJobDefinition

# What destinations tell us back. It comes in after a push, so it is no part of the run that pushes.
OUTCOME_SOURCES = ("dialer", "print", "campaign")

# The partitioned models: from a meter file to what was used on a day.
DAILY_CHAIN = dg.AssetSelection.tag("daily", "")


def source(name: str) -> dg.AssetSelection:
    """The raw tables of one source system."""
    return dg.AssetSelection.key_prefixes(["raw", name])


def build_jobs(feeds: Mapping[str, FeedConfig]) -> list[AssetJob]:
    """``full``, ``warehouse``, ``scores``, ``push``, ``reads``, ``outcomes``, over these systems."""
    everything = dg.AssetSelection.all()
    groups = {g: dg.AssetSelection.groups(g) for g in ("staging", "unified", "scores", "push")}
    warehouse = groups["staging"] | groups["unified"]
    meters = reduce(or_, (source(name) for name, feed in feeds.items() if brings_reads(feed)), DAILY_CHAIN)
    return [
        dg.define_asset_job("full", everything, description="Everything, from the source systems to the "
                            "destinations, for the business dates asked for."),
        dg.define_asset_job("warehouse", warehouse, description="Staging, identity and unified models."),
        dg.define_asset_job("scores", groups["scores"], description="Every score as of the last closed day."),
        dg.define_asset_job("push", groups["push"], description="What is sent, compared with what was "
                            "acknowledged, and sent."),
        dg.define_asset_job("reads", meters, description="Meter files, validated, to "
                            "daily usage."),
        *_outcomes([source(s) for s in feeds if s in OUTCOME_SOURCES]),
    ]  # fmt: skip


def brings_reads(feed: FeedConfig) -> bool:
    """Whether a feed brings meter reads, whatever their format: all of them decode to one table."""
    return "interval_reads" in feed.tables


def ingest_job(feed: FeedConfig) -> AssetJob:
    """The job of one source system."""
    about = f"The tables of {feed.source}, nothing else."
    return dg.define_asset_job(f"ingest_{feed.source}_job", source(feed.source), description=about)


def _outcomes(selections: list[dg.AssetSelection]) -> list[AssetJob]:
    """The job of what destinations answer; none where no destination answers."""
    if not selections:
        return []
    about = "What the dialer, the print vendor and the campaign tool tell back."
    everything = reduce(or_, selections)
    return [dg.define_asset_job("outcomes", everything, description=about)]
