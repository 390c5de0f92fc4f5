"""What a raw asset shows of a run: files and their account, control totals, what was set aside, what to do.

Belongs here: from a feed's report to metadata. Does not belong here: running the feed, or any value of a
record: names of files, columns and rules, counts and totals are all there is.
"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from connectors.ingest import FeedConfig, FeedReport, FileOutcome
from orchestration.assets.metadata import markdown_table

# Metadata must stay readable: a long backfill names its first files and counts the rest.
MOST_SHOWN = 30


def feed_metadata(feed: FeedConfig) -> dict[str, dg.MetadataValue]:
    """What is always true of a feed's tables: where they come from, and on which terms."""
    contract = feed.contract_of(None)
    said = f"new tables {contract.tables}, new columns {contract.columns}, wrong types {contract.types}"
    known = {"connection": feed.connection, "schedule": feed.schedule, "contract": said}
    if feed.file is not None:
        known["files"] = f"{feed.file.directory}/{feed.file.pattern}"
        known["same name, other content"] = feed.file.on_changed
    return {key: dg.MetadataValue.text(text) for key, text in known.items()}


def run_metadata(feed: FeedConfig, report: FeedReport, table: str) -> dict[str, dg.MetadataValue]:
    """What one run did to one table of the feed."""
    taken = [f for f in report.files if f.state != "known"]
    found: dict[str, dg.MetadataValue] = {
        "rows_added": dg.MetadataValue.int(report.rows.get(table, 0)),
        "files_taken": dg.MetadataValue.int(len(taken)),
        "files_already_known": dg.MetadataValue.int(len(report.files) - len(taken)),
        "bytes_taken": dg.MetadataValue.int(sum(f.size_bytes for f in taken)),
        "records": _table(
            ["file", "state", "read", "loaded", "superseded", "quarantined"],
            [[f.name, f.state, f.records_read, f.loaded, f.superseded, f.quarantined] for f in taken],
        ),
    }
    if taken:
        found["lineage"] = _table(
            ["landed bytes", "file id in raw", "decoded by", "rows"],
            [[_landing(feed, f), f.file_id, f.decoder_version, f.rows.get(table, 0)] for f in taken],
        )
    if totals := [
        [f.name, t["name"], t["declared"], t["found"], t["state"]] for f in taken for t in f.control_totals
    ]:
        found["control_totals"] = _table(["file", "total", "declared", "found", "state"], totals)
    if aside := [[f.name, rule, count] for f in taken for rule, count in f.reasons.items()]:
        found["quarantine"] = _table(["file", "rule", "records"], aside)
    if new := [
        [f.name, of, column, became]
        for f in taken
        for of, columns in f.undeclared.items()
        for column, became in columns.items()
    ]:
        found["undeclared"] = _table(["file", "table", "column", "became"], new)
    if todo := _todo(feed, taken):
        found["what_to_do"] = dg.MetadataValue.md(todo)
    if report.waiting:
        found["waiting"] = _table(["not complete yet"], [[words] for words in report.waiting])
    return found


def _todo(feed: FeedConfig, taken: Sequence[FileOutcome]) -> str:
    """The command for what is set aside or refused, ready to copy."""
    lines = []
    if any(f.quarantined for f in taken):
        lines.append(
            "Records are in quarantine: the model `unified/ingestion_quarantine` says which. Mend the feed "
            f"or ask the source, then `gridcrm replay --feed {feed.source} --dry-run`"
        )
    lines += [
        f"`gridcrm replay --feed {feed.source} --file {f.file_id}` once {f.name} can be read"
        for f in taken
        if f.state == "refused" and f.file_id
    ]
    if any("left out" in columns.values() for f in taken for columns in f.undeclared.values()):
        lines.append(
            "Columns came that nobody declares: declare them in the feed, then "
            f"`gridcrm replay --feed {feed.source} --outdated` brings them"
        )
    return "\n".join(f"- {line}" for line in lines[:MOST_SHOWN])


def _landing(feed: FeedConfig, outcome: FileOutcome) -> str:
    if feed.kind == "sql" or not outcome.file_id:
        return outcome.name
    return f"landing/{feed.source}/{outcome.file_id}/{outcome.name}"


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> dg.MetadataValue:
    return dg.MetadataValue.md(markdown_table(header, rows[:MOST_SHOWN], rest=len(rows) - MOST_SHOWN))
