"""What reacts to events in source systems and destinations: new files, changed rows.

Belongs here: looking, cheaply, and asking for a run. Does not belong here: fetching (the run does that, and
takes a file once whatever a sensor asks for, so that a sensor may safely ask twice).

https://docs.dagster.io/guides/automate/sensors
"""

import hashlib
from datetime import date

import dagster as dg

from connectors.errors import GridCRMError
from connectors.ingest import FeedConfig, PendingFile
from orchestration.gateway import Gateway
from orchestration.jobs import AssetJob
from orchestration.partitions import range_tags
from orchestration.settings import Settings

FILE_SECONDS = 60
ROW_SECONDS = 30
EVENTS = {"file": "new files", "sql": "changed rows", "http": "new events"}


def feed_sensor(feed: FeedConfig, job: AssetJob, settings: Settings) -> dg.SensorDefinition:
    """The sensor of one feed. It only reads, so it starts with the instance, except on a developer's machine,
    where the systems it looks at are mostly not there.
    """
    is_development = settings.deployment == "development"
    status = dg.DefaultSensorStatus.STOPPED if is_development else dg.DefaultSensorStatus.RUNNING
    what = EVENTS[feed.kind]

    @dg.sensor(
        name=f"{feed.source}_{what.replace(' ', '_')}",
        job=job,
        minimum_interval_seconds=FILE_SECONDS if feed.kind == "file" else ROW_SECONDS,
        default_status=status,
        description=f"Asks for a run when {feed.source} has {what} that the ledger has not.",
    )
    def look(context: dg.SensorEvaluationContext, gateway: Gateway) -> dg.SensorResult | dg.SkipReason:
        try:
            pending = gateway.ingest().pending(feed)
        except GridCRMError as error:
            # One line in the tick instead of a stack: the system is down, the next tick looks again.
            return dg.SkipReason(str(error))
        if not pending:
            return dg.SkipReason(f"nothing new in {feed.source}")
        return dg.SensorResult(run_requests=[request_for(feed, pending)])

    return look


def request_for(feed: FeedConfig, pending: list[PendingFile]) -> dg.RunRequest:
    """One run for all that is pending; the same pending files give the same run key, hence one run."""
    seen = "\n".join(sorted(f"{f.name}\t{f.size}" for f in pending))
    run_key = f"{feed.source}:{hashlib.sha256(seen.encode()).hexdigest()[:16]}"
    dates: list[date] = sorted(f.business_date for f in pending if f.business_date)
    tags = range_tags(dates[0], dates[-1]) if feed.partitioned and dates else {}
    return dg.RunRequest(run_key=run_key, tags=tags)
