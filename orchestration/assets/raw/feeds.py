"""From a feed's YAML to the assets of its tables.

Belongs here: specs and checks of raw tables. Does not belong here: fetching or decoding (connectors/ingest),
what is shown (metadata.py), when a table is stale (freshness.py), what one certain source needs (its YAML).
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import dagster as dg

from connectors.ingest import FeedConfig, FeedReport
from orchestration.assets.metadata import markdown_table, owner, table_schema
from orchestration.assets.raw import freshness
from orchestration.assets.raw.metadata import feed_metadata, run_metadata
from orchestration.failures import RETRIES, one_clear_line
from orchestration.gateway import Gateway
from orchestration.partitions import window

BALANCE = "records_balance"
TOTALS = "control_totals_hold"
TAKEN = "every_file_taken"
KINDS = {"file": "sftp", "sql": "postgres", "http": "http"}


def asset_key(source: str, table: str) -> dg.AssetKey:
    """``raw/<source>/<table>``, which the dbt sources map to as well."""
    return dg.AssetKey(["raw", source, table])


def raw_tables(feeds: Iterable[FeedConfig]) -> list[dg.AssetKey]:
    """The raw assets of all these feeds."""
    return [asset_key(feed.source, table) for feed in feeds for table in feed.tables]


def build_feed_assets(
    feed: FeedConfig, partitions: dg.PartitionsDefinition, time_zone: str
) -> dg.AssetsDefinition:
    """One op that runs the feed and materializes each of its tables."""
    partitions_def = partitions if feed.partitioned else None
    kinds = {KINDS[feed.kind], feed.format if feed.file else "sqlalchemy", "parquet"}
    schemas = feed.schemas()
    specs = [
        dg.AssetSpec(
            asset_key(feed.source, name),
            description=table.description,
            group_name="raw",
            owners=[owner(feed.owner)],
            kinds=kinds,
            tags={"source": feed.source},
            partitions_def=partitions_def,
            freshness_policy=freshness.policy(feed, time_zone),
            metadata=feed_metadata(feed)
            | table_schema(
                {
                    field.name: (str(field.type), table.columns[field.name].description)
                    for field in schemas[name]
                    if field.name in table.columns
                }
            ),
        )
        for name, table in feed.tables.items()
    ]
    checked = specs[0].key
    checks = [
        dg.AssetCheckSpec(BALANCE, asset=checked, blocking=True, description="Every record read was loaded, "
                          "superseded or quarantined."),
        dg.AssetCheckSpec(TOTALS, asset=checked, blocking=True, description="Every control total that a "
                          "file declares equals what was found in it."),
        dg.AssetCheckSpec(TAKEN, asset=checked, blocking=feed.on_refused == "block", description="No file "
                          "of this run was refused. A refused file stays in landing, nothing of it loaded."),
    ]  # fmt: skip
    if feed.freshness is not None:
        checks.append(freshness.check_spec(checked))

    @dg.multi_asset(
        name=f"ingest_{feed.source}",
        specs=specs,
        check_specs=checks,
        partitions_def=partitions_def,
        backfill_policy=dg.BackfillPolicy.single_run() if partitions_def else None,
        retry_policy=RETRIES,
        pool=f"source_{feed.source}",
    )
    def ingest(context: dg.AssetExecutionContext, gateway: Gateway) -> Iterator[dg.MaterializeResult]:
        asked = window(dict(context.run.tags)) if feed.partitioned else None
        with one_clear_line():
            opened = gateway.ingest()
            report = opened.run(
                feed,
                start=asked.start if asked else None,
                end=asked.end if asked else None,
                progress=context.log.info,
            )
            delivered_at = opened.ledger.delivered_at(feed.source)
        for message in report.messages:
            context.log.warning(message)
        found = list(_checks(report))
        if feed.freshness is not None:
            found.append(freshness.check_result(feed, delivered_at, datetime.now(UTC), time_zone))
        for name in feed.tables:
            key = asset_key(feed.source, name)
            yield dg.MaterializeResult(
                asset_key=key,
                metadata=run_metadata(feed, report, name),
                check_results=found if key == checked else [],
            )

    return ingest


def _checks(report: FeedReport) -> Iterator[dg.AssetCheckResult]:
    read = sum(f.records_read for f in report.files)
    kept = sum(f.loaded + f.superseded + f.quarantined for f in report.files)
    totals = [(f.name, t) for f in report.files for t in f.control_totals]
    wrong, told = (
        [[name, t["name"], t["declared"], t["found"]] for name, t in totals if t["state"] == state]
        for state in ("wrong", "differs")
    )
    yield dg.AssetCheckResult(
        check_name=BALANCE,
        passed=report.balance_ok,
        metadata={"records_read": read, "records_accounted_for": kept},
    )
    yield dg.AssetCheckResult(
        check_name=TOTALS,
        passed=not wrong,
        metadata={
            "totals_checked": len(totals),
            "wrong": dg.MetadataValue.md(markdown_table(["file", "total", "declared", "found"], wrong)),
            "told": dg.MetadataValue.md(markdown_table(["file", "total", "declared", "found"], told)),
        },
    )
    yield dg.AssetCheckResult(
        check_name=TAKEN,
        passed=not report.refused,
        metadata={"refused": dg.MetadataValue.md(markdown_table(
            ["file", "why"], [[f.name, f.message] for f in report.refused]))},
    )  # fmt: skip
