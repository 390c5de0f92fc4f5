"""Decoded rows on their way to raw: written aside, renamed into place, never half of a file.

Belongs here: raw schemas, the staging folder, publishing and its recovery. Does not belong here: decoding,
and what a source is.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from connectors.formats import RECORD_NO, Reject
from connectors.ingest import quarantine
from connectors.ingest.ledger import Ledger, now
from connectors.ingest.parquet import ROW_GROUP_ROWS, open_writer, remove_leftovers, sync, write_table
from connectors.ingest.quarantine import QUARANTINE_SCHEMA, quarantine_path
from connectors.paths import Paths

EMPTY_DATE = date(1970, 1, 1)
FILE_ID = pa.field("_file_id", pa.string(), nullable=False)
LOADED_AT = pa.field("_loaded_at", pa.timestamp("us", tz="UTC"), nullable=False)
IS_DELETED = pa.field("_is_deleted", pa.bool_(), nullable=False)
_QUARANTINE_BATCH = 10_000


def raw_schema(declared: pa.Schema, *, with_deletes: bool = False) -> pa.Schema:
    """Columns of a raw table: what the source brings, then ``_file_id``, ``_record_no``, ``_loaded_at``."""
    own = [field for field in declared if field.name != RECORD_NO.name]
    return pa.schema([*own, FILE_ID, RECORD_NO, LOADED_AT, *([IS_DELETED] if with_deletes else [])])


def raw_folder(paths: Paths, source: str, table: str, load_date: date) -> Path:
    """Where the files of one table and load date lie."""
    return paths.raw / source / table / f"load_date={load_date.isoformat()}"


def write_empty(paths: Paths, source: str, table: str, schema: pa.Schema) -> None:
    """A file without rows, so that a reader of the table's glob always finds its columns."""
    target = raw_folder(paths, source, table, EMPTY_DATE) / "_empty.parquet"
    if target.exists() and pq.read_schema(target).equals(schema):
        return
    write_table(schema.empty_table(), target)


class StagedTables:
    """A decoder's sink: each table and the rejects into files of a staging folder. A context manager.

    Every row gets the file's id and the moment of loading. Leaving the block on an error removes what was
    staged. ``earlier`` is the quarantine of an earlier decoding of the same bytes: it is carried on.
    """

    def __init__(
        self,
        folder: Path,
        source: str,
        file_id: str,
        file_name: str,
        schemas: Mapping[str, pa.Schema],
        earlier: Path | None = None,
    ) -> None:
        self.folder = folder
        self.rows: dict[str, int] = {}
        self.rejects = 0
        self.member: str | None = None
        """The file within the archive that is being decoded; rejects carry its name."""
        self.changes: quarantine.Changes | None = None
        """After the block: what became of the earlier quarantine, where there was one."""
        self._earlier = earlier
        self._source, self._file_id, self._file_name = source, file_id, file_name
        self._schemas = schemas
        self._loaded_at = now()
        self._writers: dict[str, pq.ParquetWriter] = {}
        self._waiting: dict[str, list[pa.RecordBatch]] = {}
        self._rejected: list[dict[str, Any]] = []

    def __enter__(self) -> StagedTables:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            for table in list(self._waiting):
                self._flush(table)
            self._flush_rejects()
        for writer in self._writers.values():
            writer.close()
        if kind is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        if self._earlier is not None and self._earlier.exists():
            self.changes = quarantine.merge(self._earlier, self.folder / f"{quarantine.NAME}.parquet")
        for table in self._tables():
            sync(self.folder / f"{table}.parquet")

    def write(self, table: str, batch: pa.RecordBatch) -> None:
        """Take rows of one table."""
        waiting = self._waiting.setdefault(table, [])
        waiting.append(batch)
        self.rows[table] = self.rows.get(table, 0) + batch.num_rows
        if sum(part.num_rows for part in waiting) >= ROW_GROUP_ROWS:
            self._flush(table)

    def reject(self, reject: Reject) -> None:
        """Take one record for quarantine."""
        self._rejected.append(
            {
                "source": self._source,
                "file_id": self._file_id,
                "file_name": self._file_name,
                "record_no": reject.record_no,
                "byte_offset": reject.byte_offset,
                "raw": reject.raw,
                "rule": reject.rule,
                "reason": reject.reason,
                "quarantined_at": self._loaded_at,
                "member": self.member,
                "column_name": reject.column,
                "state": "open",
                "last_seen_at": self._loaded_at,
            }
        )
        self.rejects += 1
        if len(self._rejected) >= _QUARANTINE_BATCH:
            self._flush_rejects()

    def targets(self, paths: Paths, load_date: date) -> list[tuple[Path, Path]]:
        """Staged file and final place of every table that has rows, and of the quarantine."""
        found = []
        for table in self._tables():
            staged = self.folder / f"{table}.parquet"
            if table == quarantine.NAME:
                found.append((staged, quarantine_path(paths, self._source, self._file_id, load_date)))
            else:
                folder = raw_folder(paths, self._source, table, load_date)
                found.append((staged, folder / f"{self._file_id}.parquet"))
        return found

    def _tables(self) -> list[str]:
        carried = {quarantine.NAME} if self.changes is not None else set()
        return sorted({*self._writers, *carried})

    def _flush(self, table: str) -> None:
        batches = self._waiting.pop(table, [])
        if not batches:
            return
        data = pa.Table.from_batches(batches)
        schema = self._schemas[table]
        added = {
            FILE_ID.name: pa.repeat(pa.scalar(self._file_id), data.num_rows),
            LOADED_AT.name: pa.repeat(pa.scalar(self._loaded_at, LOADED_AT.type), data.num_rows),
        }
        columns = [added[name] if name in added else data.column(name) for name in schema.names]
        whole = pa.Table.from_arrays(columns, schema=schema)
        writer = self._writers.get(table)
        if writer is None:
            writer = self._writers[table] = open_writer(self.folder / f"{table}.parquet", schema, whole)
        writer.write_table(whole, row_group_size=ROW_GROUP_ROWS)

    def _flush_rejects(self) -> None:
        if not self._rejected:
            return
        writer = self._writers.get(quarantine.NAME)
        if writer is None:
            path = self.folder / f"{quarantine.NAME}.parquet"
            writer = self._writers[quarantine.NAME] = open_writer(path, QUARANTINE_SCHEMA)
        writer.write_table(pa.Table.from_pylist(self._rejected, schema=QUARANTINE_SCHEMA))
        self._rejected.clear()


@dataclass(frozen=True)
class Publisher:
    """Moves staged files into raw under the ledger's eyes."""

    paths: Paths
    ledger: Ledger

    def staging(self, source: str, file_id: str) -> Path:
        """The staging folder of one file; on the same file system as raw, so that a rename is one step."""
        return self.paths.state / "staging" / source / file_id

    def publish(
        self,
        source: str,
        sha256: str,
        moves: Iterable[tuple[Path, Path]],
        counts: Mapping[str, Any],
        new_row: Mapping[str, Any] | None = None,
        takes_place_of: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        """Rename every staged file into place; replaces what an earlier decoding of the same bytes published,
        and what was published of the contents (rows of the ledger) in ``takes_place_of``.

        The plan is in the ledger before the first rename, so that a killed run is finished by the next. A
        pull of a SQL table has no row before it is published: it gives ``new_row``.
        """
        earlier = self.ledger.get(source, sha256)
        replaced = list(takes_place_of)
        old = {move[1] for row in (earlier or {}, *replaced) for move in row.get("targets") or []}
        plan = [[self._relative(staged), self._relative(final)] for staged, final in moves]
        # What is replaced stays in the plan with nothing staged: it is to be removed.
        dropped = [["", final] for final in sorted(old - {final for _, final in plan})]
        contents = [row["sha256"] for row in replaced]
        planned = {**counts, "targets": plan + dropped, "takes_place_of": contents}
        if new_row is not None:
            self.ledger.add({**new_row, **planned, "state": "publishing"})
        else:
            self.ledger.decoded(source, sha256, "publishing", **planned)
        self._finish(source, sha256, plan + dropped, contents)

    def recover(self, source: str) -> list[str]:
        """Finish what a killed run had planned; returns the names concerned. Call under the feed's lock."""
        names = []
        for row in self.ledger.rows(source, states=["publishing"]):
            names.append(row["name"])
            whole = all(
                not staged or (self.paths.root / staged).exists() or (self.paths.root / final).exists()
                for staged, final in row["targets"]
            )
            if whole:
                self._finish(source, row["sha256"], row["targets"], row["takes_place_of"] or [])
            elif row["path"].startswith("sql:"):
                # Nothing was published of it yet and the source still has the rows.
                self.ledger.delete(source, row["sha256"])
            else:
                self.ledger.update(source, row["sha256"], state="landed")
        shutil.rmtree(self.paths.state / "staging" / source, ignore_errors=True)
        remove_leftovers(self.paths.raw / source)
        return names

    def _finish(self, source: str, sha256: str, plan: list[list[str]], replaced: list[str]) -> None:
        """Carry out a plan: what comes first, then what goes, then the ledger's word. Each step twice is
        as good as once.
        """
        folders = set()
        # The new comes before the old goes: a reader in between sees a row twice rather than not at all.
        for staged, final in sorted(plan, key=lambda move: not move[0]):
            target = self.paths.root / final
            if not staged:
                target.unlink(missing_ok=True)
                continue
            origin = self.paths.root / staged
            target.parent.mkdir(parents=True, exist_ok=True)
            if origin.exists():
                os.replace(origin, target)
                folders |= {target.parent, target.parent.parent}
        for folder in sorted(folders):
            sync(folder)
        kept = [move for move in plan if move[0]]
        self.ledger.finish(source, sha256, kept, replaced)
        if kept:
            shutil.rmtree((self.paths.root / kept[0][0]).parent, ignore_errors=True)

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.paths.root).as_posix()


def load_date_of(row: Mapping[str, Any]) -> date:
    """The hive partition of a file: its business date, or the UTC day it was first seen without one."""
    first_seen: datetime = row["first_seen_at"]
    business_date: date | None = row["business_date"]
    return business_date or first_seen.date()
