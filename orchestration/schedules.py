"""When jobs run by the clock.

Belongs here: cron lines and the partition each tick asks for. Does not belong here: what reacts to events
(sensors.py). Times are the utility's own.

https://docs.dagster.io/guides/automate/schedules
"""

from datetime import timedelta

import dagster as dg

from connectors.ingest import FeedConfig
from orchestration.jobs import AssetJob
from orchestration.settings import Settings

# The mainframe's extract is complete by 04:30 on all but a few nights; agents log in at 08:00.
DAILY_AT = "30 5 * * *"
OUTCOMES_AT = "15 * * * *"


def build_schedules(settings: Settings, jobs: dict[str, AssetJob]) -> list[dg.ScheduleDefinition]:
    """The daily run for yesterday's business date, and the hourly outcomes."""
    status = _status(settings)
    zone = settings.time_zone
    return [
        _daily(jobs["full"], zone, status),
        *(
            dg.ScheduleDefinition(
                name="outcomes_hourly",
                job=jobs[name],
                cron_schedule=OUTCOMES_AT,
                execution_timezone=zone,
                default_status=status,
                description="What destinations tell back, every hour.",
            )
            for name in ("outcomes",)
            if name in jobs
        ),
    ]


def pull_schedules(feed: FeedConfig, job: AssetJob, settings: Settings) -> list[dg.ScheduleDefinition]:
    """The feed's own cron where it reads tables; files and events are asked for by their sensors."""
    if feed.kind != "sql":
        return []
    return [
        dg.ScheduleDefinition(
            name=f"{feed.source}_pull",
            job=job,
            cron_schedule=feed.schedule,
            execution_timezone=settings.time_zone,
            default_status=_status(settings),
            description=f"Changed rows of {feed.source}.",
        )
    ]


def _status(settings: Settings) -> dg.DefaultScheduleStatus:
    """Schedules start with the instance in production.

    Elsewhere somebody starts them in the UI: a laptop that wakes up must not push last night's letters.
    """
    is_production = settings.deployment == "production"
    return dg.DefaultScheduleStatus.RUNNING if is_production else dg.DefaultScheduleStatus.STOPPED


def _daily(job: AssetJob, zone: str, status: dg.DefaultScheduleStatus) -> dg.ScheduleDefinition:
    @dg.schedule(
        name="daily",
        job=job,
        cron_schedule=DAILY_AT,
        execution_timezone=zone,
        default_status=status,
        description="Everything for the business date that ended last night.",
    )
    def daily(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        yesterday = (context.scheduled_execution_time - timedelta(days=1)).date().isoformat()
        return dg.RunRequest(run_key=yesterday, partition_key=yesterday)

    return daily
