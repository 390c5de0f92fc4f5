"""The books that a demo run leaves, as plain rows.

Belongs here: reading ledger, scores, receipts and outcomes as they lie on disk. Does not belong here:
measuring anything anew, or how the rows are shown (summary.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb

from connectors.paths import Paths

Row = Mapping[str, Any]

# The order of the flow; feeds that are not named come after these.
_FEED_ORDER = (
    "cis",
    "mdm",
    "ami",
    "han",
    "collections",
    "crm",
    "oms",
    "weather",
    "dialer",
    "print",
    "campaign",
)


@dataclass(frozen=True)
class Books:
    """What the summary shows of a data root: plain mappings, with the keys named under each list."""

    as_of_date: date | None = None
    feeds: Sequence[Row] = ()
    """source, files, new_files, refused, read, loaded, superseded, quarantined, rows, totals, totals_ok."""
    identity: Row = field(default_factory=dict)
    """customers, records, by_source (source → records)."""
    scores: Sequence[Row] = ()
    """score, subjects, eligible."""
    evaluation: Sequence[Row] = ()
    """score, metric, value, baseline, slice, n."""
    pushes: Sequence[Row] = ()
    """push, rows, withheld, reasons (reason → rows), sent, new_sent, recalled, rejected."""
    outcomes: Sequence[Row] = ()
    """source, total, kinds (kind → rows)."""


def collect(paths: Paths, since: datetime) -> Books:
    """The books as plain rows; ``since`` divides what is new from what was known before."""
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        as_of = _latest_date(paths.scores)
        return Books(
            as_of_date=as_of,
            feeds=_feeds(connection, paths, since),
            identity=_identity(connection, paths),
            scores=_scores(connection, paths, as_of),
            evaluation=_evaluation(connection, paths, as_of),
            pushes=_pushes(connection, paths, since),
            outcomes=_outcomes(connection, paths),
        )


# -- reading
# ---------------------------------------------------------------------------------------------------


def _query(connection: duckdb.DuckDBPyConnection, sql: str, *values: Any) -> list[dict[str, Any]]:
    cursor = connection.execute(sql, values)
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _files(folder: Path, pattern: str = "**/*.parquet") -> list[str]:
    """Parquet files below a folder; a temporary name of a write in hand is none."""
    return sorted(str(file) for file in folder.glob(pattern) if not file.name.startswith("."))


def _latest_date(scores: Path) -> date | None:
    texts = [folder.name.partition("=")[2] for folder in scores.glob("*/as_of_date=*")]
    dates = [date.fromisoformat(text) for text in texts if text > "1970-01-01"]
    return max(dates, default=None)


def _feeds(connection: duckdb.DuckDBPyConnection, paths: Paths, since: datetime) -> list[dict[str, Any]]:
    files = _files(paths.raw / "gridcrm/ingestion_ledger")
    if not files:
        return []
    rows = _query(
        connection,
        """
        with entry as (
            select * from read_parquet(?, hive_partitioning = false, union_by_name = true)
            qualify row_number() over (partition by source, sha256, path order by last_seen_at desc) = 1
        )
        select
            source,
            count(*) filter (state = 'published') as files,
            count(*) filter (state = 'published' and published_at >= ?) as new_files,
            count(*) filter (state = 'refused') as refused,
            coalesce(sum(records_read) filter (state = 'published'), 0)::bigint as read,
            coalesce(sum(loaded) filter (state = 'published'), 0)::bigint as loaded,
            coalesce(sum(superseded) filter (state = 'published'), 0)::bigint as superseded,
            coalesce(sum(quarantined) filter (state = 'published'), 0)::bigint as quarantined,
            coalesce(sum(list_sum(json_extract(row_counts, '$.*')::bigint[]))
                filter (state = 'published'), 0)::bigint as rows,
            coalesce(sum(json_array_length(control_totals)), 0)::bigint as totals,
            coalesce(sum(len(list_filter(
                json_extract(control_totals, '$[*].ok')::boolean[], lambda ok: ok))), 0)::bigint as totals_ok
        from entry group by source
        """,
        files,
        since,
    )
    order = {source: place for place, source in enumerate(_FEED_ORDER)}
    return sorted(rows, key=lambda row: (order.get(row["source"], len(order)), row["source"]))


def _identity(connection: duckdb.DuckDBPyConnection, paths: Paths) -> dict[str, Any]:
    files = _files(paths.raw / "gridcrm/customer_xref")
    if not files:
        return {}
    rows = _query(
        connection,
        """
        select source, count(*) as records,
            (select count(distinct customer_id) from read_parquet(?, hive_partitioning = false)) as customers
        from read_parquet(?, hive_partitioning = false) group by source order by records desc, source
        """,
        files,
        files,
    )
    return {
        "customers": rows[0]["customers"] if rows else 0,
        "records": sum(row["records"] for row in rows),
        "by_source": {row["source"]: row["records"] for row in rows},
    }


def _scores(connection: duckdb.DuckDBPyConnection, paths: Paths, as_of: date | None) -> list[dict[str, Any]]:
    found = []
    for folder in sorted(paths.scores.glob(f"*/as_of_date={as_of}")):
        name = folder.parent.name
        files = _files(folder)
        if name == "model_eval" or not files:
            continue
        counts = _query(
            connection,
            """
            select count(distinct subject_id) as subjects,
                count(distinct subject_id) filter (eligible) as eligible
            from read_parquet(?, hive_partitioning = false)
            """,
            files,
        )
        found.append({"score": name, **counts[0]})
    return found


def _evaluation(
    connection: duckdb.DuckDBPyConnection, paths: Paths, as_of: date | None
) -> list[dict[str, Any]]:
    files = _files(paths.scores / "model_eval" / f"as_of_date={as_of}")
    if not files:
        return []
    return _query(
        connection,
        """
        select score, metric, value, baseline, slice, n
        from read_parquet(?, hive_partitioning = false, union_by_name = true)
        where isfinite(value)
        """,
        files,
    )


def _pushes(connection: duckdb.DuckDBPyConnection, paths: Paths, since: datetime) -> list[dict[str, Any]]:
    receipts = _files(paths.raw / "gridcrm/push_receipt")
    sent = (
        _query(
            connection,
            """
            select push,
                count(distinct key) filter (state = 'sent' and op <> 'delete') as sent,
                count(distinct key)
                    filter (state = 'sent' and op <> 'delete' and recorded_at >= ?) as new_sent,
                count(distinct key) filter (state = 'sent' and op = 'delete') as recalled,
                count(distinct key) filter (last_state = 'rejected') as rejected
            from (
                select *, last_value(state) over (partition by push, key order by receipt_id
                    rows between unbounded preceding and unbounded following) as last_state
                from read_parquet(?, hive_partitioning = false, union_by_name = true)
            )
            group by push
            """,
            since,
            receipts,
        )
        if receipts
        else []
    )
    by_push = {row["push"]: row for row in sent}
    nothing = {"sent": 0, "new_sent": 0, "recalled": 0, "rejected": 0}
    pushes = []
    for file in sorted((paths.published / "push").glob("push_*.parquet")):
        push = file.stem.removeprefix("push_")
        reasons = _query(
            connection,
            "select withheld_reason as reason, count(*) as n"
            " from read_parquet(?) group by 1 order by n desc, 1",
            str(file),
        )
        withheld = {row["reason"]: row["n"] for row in reasons if row["reason"] is not None}
        pushes.append(
            {
                **nothing,
                **by_push.get(push, {}),
                "push": push,
                "rows": sum(row["n"] for row in reasons),
                "withheld": sum(withheld.values()),
                "reasons": withheld,
            }
        )
    return pushes


def _outcomes(connection: duckdb.DuckDBPyConnection, paths: Paths) -> list[dict[str, Any]]:
    """What came back about rows that were pushed; calls from before GridCRM have no call key."""
    wanted = (
        ("calls", "dialer/call", "call_id", "disposition", "call_key is not null"),
        ("letters", "print/letter_status", "letter_id", "status", "true"),
        ("campaign", "campaign/event", "event_id", "event", "true"),
    )
    found = []
    for source, folder, key, kind, condition in wanted:
        files = _files(paths.raw / folder)
        if not files:
            continue
        rows = _query(
            connection,
            f"""
            select {kind} as kind, count(distinct {key}) as n
            from read_parquet(?, hive_partitioning = false, union_by_name = true)
            where {condition} group by 1 order by n desc, 1
            """,
            files,
        )
        if rows:
            kinds = {row["kind"]: row["n"] for row in rows}
            found.append({"source": source, "total": sum(kinds.values()), "kinds": kinds})
    return found
