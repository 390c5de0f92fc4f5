"""Decoding again from landing, after a feed, a setting or a decoder was mended.

Belongs here: which files are worth it, and what changed. Does not belong here: decoding and publishing
(``decoding``), showing the result.

The rows and the quarantine of a file are replaced as a whole. A file that is now refused keeps what was
published of it. Rows of a database have no landed bytes: they are read again by the feed's next run (its key
sweep fetches what raw lacks), and :func:`heal_rows` then closes their quarantine.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from connectors.errors import GridCRMError
from connectors.formats.openpgp import OpenPgpKeys
from connectors.formats.registry import format_named
from connectors.ingest.config import FeedConfig
from connectors.ingest.decoding import LandedFiles
from connectors.ingest.ledger import Ledger
from connectors.ingest.parquet import TEMPORARY_PREFIX, sync
from connectors.ingest.staging import load_date_of
from connectors.ingest.versions import name, names, quoted
from connectors.paths import Paths


@dataclass(frozen=True)
class Choice:
    """Which landed files: those that match all that is said. Nothing said: those with something to mend."""

    files: Collection[str] = ()
    """Names or file ids."""

    rule: str | None = None
    """Files with a record in quarantine under this rule."""

    outdated: bool = False
    """Files decoded by another version of the decoder, or under other settings, than today's."""

    everything: bool = False
    """Every landed file of the feed."""


@dataclass(frozen=True)
class Replayed:
    """What decoding again did to one file, or to the quarantine of one table of a database."""

    name: str
    file_id: str
    state: str
    """published, refused; or, of a table, healed and open."""

    loaded_before: int
    loaded: int
    healed: int
    """Records that were in quarantine and are loaded now."""

    still_bad: int
    newly_bad: int
    """Records that were loaded (or in a refused file) and are in quarantine now."""

    load_date: date | None = None
    message: str = ""

    @property
    def is_changed(self) -> bool:
        """Whether raw is, or would be, another than before."""
        return bool(self.healed or self.newly_bad or self.loaded != self.loaded_before)


def chosen(ledger: Ledger, feed: FeedConfig, choice: Choice) -> Iterator[dict[str, Any]]:
    """Rows of the ledger whose bytes are to be decoded again. Superseded content stays as it is: its name
    belongs to its successor.

    Raises GridCRMError for a file that the feed never took.
    """
    rows = ledger.rows(feed.source, states=["landed", "published", "refused"])
    unknown = [file for file in choice.files if not any(_is(row, file) for row in rows)]
    if unknown:
        raise GridCRMError(f"feed {feed.source} never took a file '{unknown[0]}': give its name or its id")
    version = f"{feed.format}/{format_named(feed.format).version}"
    says_nothing = not (choice.files or choice.rule or choice.outdated or choice.everything)
    for row in rows:
        if choice.files and not any(_is(row, file) for file in choice.files):
            continue
        if choice.rule and choice.rule not in row["reasons"]:
            continue
        is_current = (row["decoder_version"], row["settings_fingerprint"]) == (
            version,
            feed.settings_fingerprint,
        )
        if choice.outdated and is_current:
            continue
        if says_nothing and row["state"] == "published" and not row["quarantined"]:
            continue
        yield row


def replay(
    paths: Paths,
    ledger: Ledger,
    feed: FeedConfig,
    choice: Choice,
    *,
    dry_run: bool = False,
    keys: OpenPgpKeys | None = None,
) -> Iterator[Replayed]:
    """Decode the chosen files again; with ``dry_run`` only say what would change.

    Call under the feed's lock.
    """
    landed = LandedFiles(paths, ledger, feed, keys)
    for row in list(chosen(ledger, feed, choice)):
        yield _tried(landed, row) if dry_run else _done(landed, row)


def _is(row: Mapping[str, Any], file: str) -> bool:
    return file in (row["name"], row["file_id"], row["sha256"])


def _done(landed: LandedFiles, row: Mapping[str, Any]) -> Replayed:
    outcome = landed.publish(row)
    if outcome.state == "refused":
        return _refused(row, outcome.message)
    return Replayed(
        row["name"],
        row["file_id"],
        "published",
        row["loaded"],
        outcome.loaded,
        outcome.healed,
        outcome.quarantined - outcome.newly_quarantined,
        outcome.newly_quarantined,
        load_date_of(row),
    )


def _tried(landed: LandedFiles, row: Mapping[str, Any]) -> Replayed:
    folder = landed.publisher.staging(landed.feed.source, f"trial-{row['file_id']}")
    try:
        done = landed.decode(row, folder)
    except GridCRMError as error:
        return _refused(row, str(error))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    changes = done.staged.changes
    newly = changes.newly_open if changes else done.staged.rejects
    return Replayed(
        row["name"],
        row["file_id"],
        "published",
        row["loaded"],
        done.result.loaded,
        changes.healed if changes else 0,
        done.result.quarantined - newly,
        newly,
        load_date_of(row),
    )


def _refused(row: Mapping[str, Any], message: str) -> Replayed:
    before = row["loaded"]
    return Replayed(
        row["name"], row["file_id"], "refused", before, before, 0, row["quarantined"], 0, message=message
    )


def heal_rows(paths: Paths, ledger: Ledger, feed: FeedConfig) -> list[Replayed]:
    """Close the quarantine of a database's rows that raw holds by now, in the version that was set aside or a
    later one. Call under the feed's lock, after a run.

    A healed record counts as superseded in the pull that read it first: another pull has loaded it.
    """
    found = []
    for table, config in feed.tables.items():
        schema = feed.sql.schema_name if feed.sql else None
        at_source = f"{schema}.{config.name or table}" if schema else (config.name or table)
        rows = [row for row in ledger.rows(feed.source, states=["published"]) if row["name"] == at_source]
        healed = still = 0
        for row in rows:
            for _, final in row["targets"]:
                if final.startswith("raw/gridcrm/"):
                    now_healed, still_open = _heal(paths, feed, table, paths.root / final)
                    healed, still = healed + now_healed, still + still_open
                    ledger.update(
                        feed.source,
                        row["sha256"],
                        superseded=row["superseded"] + row["quarantined"] - still_open,
                        quarantined=still_open,
                    )
        if healed or still:
            state = "open" if still else "healed"
            found.append(Replayed(at_source, "", state, 0, healed, healed, still, 0))
    return found


def _heal(paths: Paths, feed: FeedConfig, table: str, quarantine: Path) -> tuple[int, int]:
    """Rewrite one quarantine file; how many of its open records are healed, and how many stay open."""
    config = feed.tables[table]
    raw = paths.raw / feed.source / table
    # What was set aside is the row as JSON; keys are compared as text, which every type has.
    pairs = " and ".join(
        f"cast(l.{name(key)} as varchar) = (q.entry ->> '$.\"{key}\"')" for key in config.key
    )
    temporary = quarantine.with_name(f"{TEMPORARY_PREFIX}{quarantine.name}.{os.getpid()}")
    with duckdb.connect(":memory:") as db:
        db.execute("set TimeZone = 'UTC'; set memory_limit = '1GB'; set threads = 2")
        db.execute(
            f"create view live as select {names(config.key)}, {name(config.cursor or '')} as version from "
            f"read_parquet('{quoted(raw)}/*/*.parquet', union_by_name = true, hive_partitioning = false)"
        )
        db.execute(
            f"create table q as select row_number() over () as place, *, decode(raw)::json as entry "
            f"from read_parquet('{quoted(quarantine)}', hive_partitioning = false)"
        )
        kind = db.execute("select column_type from (describe live) where column_name = 'version'").fetchone()
        version = f"try_cast(q.entry ->> '$.\"{config.cursor}\"' as {kind[0] if kind else 'varchar'})"
        # An older version of the row in raw heals nothing.
        db.execute(
            f"create table healed as select q.place from q where state = 'open' and exists "
            f"(from live l where {pairs} and ({version} is null or l.version >= {version}))"
        )
        row = db.execute(
            "select (select count(*) from healed), (select count(*) from q where state = 'open')"
        ).fetchone()
        count, open_before = row if row else (0, 0)
        if count:
            db.execute(
                "copy (select q.* exclude (place, entry) replace ("
                "case when healed.place is null then q.state else 'healed' end as state, "
                "case when healed.place is null then q.replayed_at else now() end as replayed_at) "
                f"from q left join healed using (place)) to '{quoted(temporary)}' "
                "(format parquet, compression zstd)"
            )
            sync(temporary)
            os.replace(temporary, quarantine)
    return int(count), int(open_before) - int(count)
