"""The quarantine: records that were set aside, and what became of them when their file was decoded again.

Belongs here: its columns, its files, and the merge of two decodings of the same bytes. Does not belong here:
why a record is set aside (``connectors.formats``).

A record in quarantine is ``open`` until a later decoding of the same bytes takes it; then it is ``healed``
and stays, with when. One Parquet file a source file, beside those of all other feeds.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa

from connectors.ingest.parquet import TEMPORARY_PREFIX, sync
from connectors.paths import Paths

NAME = "quarantine"
_MOMENT = pa.timestamp("us", tz="UTC")
QUARANTINE_SCHEMA = pa.schema(
    [
        pa.field("source", pa.string()),
        pa.field("file_id", pa.string()),
        pa.field("file_name", pa.string()),
        pa.field("record_no", pa.int64()),
        pa.field("byte_offset", pa.int64()),
        pa.field("raw", pa.binary()),
        pa.field("rule", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("quarantined_at", _MOMENT),
        # The file within the archive, null where there is none: each numbers its own records.
        pa.field("member", pa.string()),
        pa.field("column_name", pa.string()),
        pa.field("state", pa.string()),
        pa.field("last_seen_at", _MOMENT),
        pa.field("replayed_at", _MOMENT),
    ]
)
# The same bytes have the same records: their place tells them apart.
_SAME = "new.member is not distinct from old.member and new.record_no = old.record_no and " \
        "new.byte_offset = old.byte_offset"  # fmt: skip


@dataclass(frozen=True)
class Changes:
    """What a second decoding did to a file's quarantine, in records."""

    healed: int
    still_open: int
    newly_open: int


def quarantine_path(paths: Paths, source: str, file_id: str, load_date: date) -> Path:
    """The file with the quarantine of one source file."""
    folder = paths.raw / "gridcrm" / NAME / f"load_date={load_date.isoformat()}"
    return folder / f"{source}-{file_id}.parquet"


def merge(earlier: Path, staged: Path) -> Changes:
    """Bring what ``earlier`` knows into the freshly ``staged`` quarantine (which may be absent).

    Records in both keep when they were first seen; those of ``earlier`` alone are healed and kept. ``staged``
    is replaced at once.
    """
    kept = ", ".join(
        {"quarantined_at": "coalesce(old.quarantined_at, new.quarantined_at) as quarantined_at"}.get(
            name, f"new.{name}"
        )
        for name in QUARANTINE_SCHEMA.names
    )
    healed = ", ".join(
        {
            "state": "'healed' as state",
            "replayed_at": "coalesce(old.replayed_at, now()) as replayed_at",
        }.get(name, f"old.{name}")
        for name in QUARANTINE_SCHEMA.names
    )
    temporary = staged.with_name(f"{TEMPORARY_PREFIX}{staged.name}.{os.getpid()}")
    with duckdb.connect(":memory:") as db:
        db.execute("set TimeZone = 'UTC'; set memory_limit = '1GB'; set threads = 2")
        db.execute(f"set temp_directory = '{_quoted(staged.parent / 'spill')}'")
        db.execute(f"create view old as {_rows(earlier)}")
        db.execute(f"create view new as {_rows(staged)}")
        db.execute(
            f"copy (select {kept} from new left join old on {_SAME} union all by name "
            f"select {healed} from old anti join new on {_SAME}) "
            f"to '{_quoted(temporary)}' (format parquet, compression zstd)"
        )
        counts = db.execute(
            f"""
            select
                (select count(*) from old anti join new on {_SAME} where old.state = 'open'),
                (select count(*) from new semi join old on {_SAME} and old.state = 'open'),
                (select count(*) from new)
            """
        ).fetchone()
    os.replace(temporary, staged)
    sync(staged)
    gone, still, all_open = counts if counts else (0, 0, 0)
    return Changes(int(gone), int(still), int(all_open) - int(still))


def _rows(path: Path) -> str:
    """A query for all rows of a quarantine file; of an absent one, none. Columns it lacks are null."""
    kinds = {
        name: "timestamptz" if pa.types.is_timestamp(kind) else {"binary": "blob", "int64": "bigint"}.get(
            str(kind), "varchar"
        )
        for name, kind in zip(QUARANTINE_SCHEMA.names, QUARANTINE_SCHEMA.types, strict=True)
    }  # fmt: skip
    empty = "select " + ", ".join(f"null::{kind} as {name}" for name, kind in kinds.items()) + " where false"
    if not path.exists():
        return empty
    rows = f"select * from read_parquet('{_quoted(path)}', hive_partitioning = false)"
    whole = f"{empty} union all by name {rows}"
    return f"select * replace (coalesce(state, 'open') as state) from ({whole})"


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
