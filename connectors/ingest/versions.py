"""Row versions of one SQL table: what raw has against what the source shows, compared as sets in DuckDB.

Belongs here: the set operations of a pull. Does not belong here: reading the source, publishing.

What was pulled before is read from raw itself, so there is no second memory that could disagree with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb
import pyarrow as pa

from connectors.ingest.conform import conform
from connectors.ingest.staging import FILE_ID, IS_DELETED, LOADED_AT, RECORD_NO

_ADDED = {FILE_ID.name, RECORD_NO.name, LOADED_AT.name, IS_DELETED.name}
_BATCH_ROWS = 100_000


class Versions:
    """The comparison of one pull; a context manager. ``raw`` is the folder of the table, with its empty file.

    A version is a key and its cursor. A key is live when its last row in raw is not a deletion.
    """

    def __init__(self, raw: Path, work: Path, keys: list[str], cursor: str) -> None:
        self._raw, self._work = raw, work
        self._keys, self._cursor = keys, cursor
        self._parts: list[Path] = []

    def __enter__(self) -> Versions:
        self._db = duckdb.connect(":memory:")
        self._db.execute("set TimeZone = 'UTC'; set threads = 2; set memory_limit = '1GB'")
        self._db.execute(f"set temp_directory = '{quoted(self._work / 'spill')}'")
        keys, version = names(self._keys), names([*self._keys, self._cursor])
        self._db.execute(
            f"create view raw_rows as select * from read_parquet('{quoted(self._raw)}/*/*.parquet', "
            "union_by_name = true, hive_partitioning = false)"
        )
        self._db.execute(f"""
            create table raw_live as select {version}, _file_id, _record_no from (
                select {version}, _file_id, _record_no, _is_deleted from raw_rows
                qualify row_number() over (partition by {keys} order by _loaded_at desc, _record_no desc) = 1
            ) where not _is_deleted
        """)
        self._db.execute(f"""
            create table raw_versions as
            select distinct {version} from raw_rows semi join raw_live using ({keys})
        """)
        self._db.execute("create table gone as from raw_live limit 0")
        self._db.execute(f"create table rejected as select {keys} from raw_rows limit 0")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def highest_cursor(self) -> Any:
        """The highest cursor in raw, None when raw has no live row."""
        return self._one(f"select max({name(self._cursor)}) from raw_versions")

    def add(self, part: Path, rejected: list[pa.RecordBatch]) -> None:
        """Rows read from the source, staged in ``part``, and the keys of those that did not fit."""
        self._parts.append(part)
        for batch in rejected:
            self._db.register("batch", batch)
            self._db.execute(f"insert into rejected select {names(self._keys)} from batch")
            self._db.unregister("batch")
        listed = ", ".join(f"'{quoted(path)}'" for path in self._parts)
        self._db.execute(f"""
            create or replace view fresh as
            select s.* from read_parquet([{listed}]) s anti join raw_versions v on {self._same_version()}
        """)

    def late(self, source_keys: Path, since: Any) -> list[tuple[Any, ...]]:
        """Keys of versions below ``since`` that the source shows and raw lacks: they were committed late."""
        rows = self._db.execute(
            f"select {names(self._keys, 's')} from read_parquet('{quoted(source_keys)}') s "
            f"anti join raw_versions v on {self._same_version()} where s.{name(self._cursor)} < $since",
            {"since": since},
        ).to_arrow_table()
        return [tuple(row.values()) for row in rows.to_pylist()]

    def mark_gone(self, source_keys: Path) -> None:
        """Note the live keys that the source no longer shows."""
        self._db.execute(
            f"insert into gone from raw_live anti join read_parquet('{quoted(source_keys)}') s "
            f"using ({names(self._keys)})"
        )

    def counts(self) -> tuple[int, int, int]:
        """Fresh versions, deleted keys, and the rows raw would show live (rejected rows counted as there)."""
        keys = names(self._keys)
        there = self._one(f"""
            select count(*) from (
                select {keys} from raw_live union select {keys} from fresh
            )
        """)
        unknown = self._one(f"""
            select count(*) from rejected anti join (
                select {keys} from raw_live union select {keys} from fresh
            ) using ({keys})
        """)
        gone = self._one("select count(*) from gone")
        return self._one("select count(*) from fresh"), gone, there - gone + unknown

    def highest_cursor_then(self) -> Any:
        """The highest cursor once what is fresh has been published."""
        cursor = name(self._cursor)
        return self._one(
            f"select max(c) from (select {cursor} c from raw_versions union all select {cursor} from fresh)"
        )

    def rows(self, declared: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Rows to publish, numbered, deletions last; a deleted key keeps the values it had."""
        there = {row[0] for row in self._db.execute("describe raw_rows").fetchall()} - _ADDED
        present = names([column for column in declared.names if column in there], "r")
        order = names([self._cursor, *self._keys])
        rows = self._db.execute(f"""
            select *, row_number() over (order by _is_deleted, {order}) as _record_no from (
                select *, false as _is_deleted from fresh
                union all by name
                select {present}, true as _is_deleted from raw_rows r
                semi join gone g on r._file_id = g._file_id and r._record_no = g._record_no
            )
        """)
        wanted = pa.schema([*declared, RECORD_NO, IS_DELETED])
        for batch in rows.to_arrow_reader(_BATCH_ROWS):
            if batch.num_rows:
                yield conform(batch, wanted).batch

    def _same_version(self) -> str:
        cursor = name(self._cursor)
        keys = " and ".join(f"s.{name(key)} = v.{name(key)}" for key in self._keys)
        return f"{keys} and s.{cursor} is not distinct from v.{cursor}"

    def _one(self, query: str) -> Any:
        # By way of Arrow: DuckDB's own conversion of zoned timestamps needs a package we do not have.
        return self._db.execute(query).to_arrow_table().column(0)[0].as_py()


def known_rejects(quarantine: Path, source: str, file_name: str) -> set[bytes]:
    """Raw bytes of the rows of one table that are in quarantine already."""
    with duckdb.connect(":memory:") as db:
        rows = db.execute(
            f"select distinct raw from read_parquet('{quoted(quarantine)}/*/*.parquet', "
            "hive_partitioning = false) where source = $source and file_name = $name",
            {"source": source, "name": file_name},
        ).fetchall()
    return {bytes(row[0]) for row in rows}


def name(column: str) -> str:
    """``column`` as an SQL identifier."""
    return '"' + column.replace('"', '""') + '"'


def names(columns: list[str], alias: str = "") -> str:
    """``columns`` as a list of SQL identifiers, of table ``alias`` where given."""
    prefix = f"{alias}." if alias else ""
    return ", ".join(prefix + name(column) for column in columns)


def quoted(path: Path) -> str:
    """``path`` for the inside of an SQL string."""
    return str(path).replace("'", "''")
