"""When a raw table is stale: Dagster's own policy, and a check of what the source delivered.

Belongs here: turning a feed's ``freshness`` into both. Does not belong here: the ledger.

Two questions, because one is not enough. The policy asks when the table was last materialized, and turns red
when nobody runs the feed. But a run that finds nothing new materializes too; so the check, which every run
evaluates, asks when the source last delivered something, and turns red when it has fallen silent.

https://docs.dagster.io/guides/observe/asset-freshness-policies
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import dagster as dg
from dagster._utils.schedules import get_latest_completed_cron_tick

from connectors.ingest import FeedConfig

NAME = "source_delivers"
State = Literal["fresh", "awaited", "late", "silent"]


def policy(feed: FeedConfig, time_zone: str) -> dg.FreshnessPolicy | None:
    """The policy of each of the feed's tables; ``None`` where the feed says nothing of it."""
    said = feed.freshness
    if said is None:
        return None
    if said.deadline is not None and said.within is not None:
        return dg.FreshnessPolicy.cron(said.deadline, lower_bound_delta=said.within, timezone=time_zone)
    if said.fail_after is None:
        return None
    return dg.FreshnessPolicy.time_window(fail_window=said.fail_after, warn_window=said.warn_after)


def check_spec(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """The check of a feed; it holds nothing up, since what is here is as good as it was."""
    return dg.AssetCheckSpec(
        NAME,
        asset=asset,
        blocking=False,
        description="The source delivered something new as lately as the feed expects.",
    )


def check_result(
    feed: FeedConfig, delivered_at: datetime | None, now: datetime, time_zone: str
) -> dg.AssetCheckResult:
    """Whether the source is silent for longer than the feed allows."""
    state = judge(feed, delivered_at, now, time_zone)
    return dg.AssetCheckResult(
        check_name=NAME,
        passed=state == "fresh",
        severity=dg.AssetCheckSeverity.ERROR if state == "silent" else dg.AssetCheckSeverity.WARN,
        metadata={
            "state": state,
            "last_delivery": delivered_at.isoformat(timespec="seconds") if delivered_at else "none yet",
        },
    )


def judge(feed: FeedConfig, delivered_at: datetime | None, now: datetime, time_zone: str) -> State:
    """Only ``silent`` is a fault: ``late`` warns, and so does ``awaited``, where nothing ever came.

    A source cannot fall silent before it spoke: a new feed waits, and a destination has no outcomes to tell
    before something was sent there.
    """
    said = feed.freshness
    if said is None:
        return "fresh"
    if delivered_at is None:
        return "awaited"
    if said.deadline is not None:
        tick = get_latest_completed_cron_tick(said.deadline, now, time_zone)
        wanted = tick - (said.within or timedelta()) if tick else delivered_at
        return "fresh" if delivered_at >= wanted else "silent"
    age = now - delivered_at
    if said.fail_after is not None and age >= said.fail_after:
        return "silent"
    return "late" if said.warn_after is not None and age >= said.warn_after else "fresh"
