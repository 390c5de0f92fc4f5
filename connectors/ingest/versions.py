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

    A version is a key and its cursor. What raw shows of a key is its last row, and nothing when that is a
    deletion.

    Until :meth:`look_at_all` is called, only rows with a cursor at or above ``since`` are looked at, which is
    all that rows at or above ``since`` at the source have to be compared with. Parquet's own statistics keep
    the rest unread, so such a pull costs what changed and not what is there.
    """

    def __init__(self, raw: Path, work: Path, keys: list[str], cursor: str) -> None:
        self._raw, self._work = raw, work
        self._keys, self._cursor = keys, cursor
        self._parts: list[Path] = []
        self._is_whole = False

    def __enter__(self) -> Versions:
        self._db = duckdb.connect(":memory:")
        self._db.execute("set TimeZone = 'UTC'; set threads = 2; set memory_limit = '1GB'")
        self._db.execute(f"set temp_directory = '{quoted(self._work / 'spill')}'")
        self._db.execute(
            f"create view raw_rows as select * from read_parquet('{quoted(self._raw)}/*/*.parquet', "
            "union_by_name = true, hive_partitioning = false)"
        )
        self._db.execute(f"create table gone as select {names(self._keys)} from raw_rows limit 0")
        self._db.execute("create table rejected as from gone")
        self._db.execute(
            f"create view fresh as select {names([*self._keys, self._cursor])} from raw_rows limit 0"
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def highest_cursor(self) -> Any:
        """The highest cursor in raw, None when raw has no row; out of Parquet's statistics."""
        return self._one(f"select max({name(self._cursor)}) from raw_rows")

    def look_from(self, since: Any) -> None:
        """Compare with the rows of raw at or above ``since``, and those without a cursor."""
        cursor = name(self._cursor)
        self._look(f"where {cursor} >= $since or {cursor} is null", {"since": since})

    def look_at_all(self) -> None:
        """Compare with all of raw from here on."""
        self._look("", {})
        self._is_whole = True

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
            select s.* from read_parquet([{listed}]) s anti join live v on {self._same_version()}
        """)

    def late(self, source_keys: Path, since: Any) -> list[tuple[Any, ...]]:
        """Keys of versions below ``since`` that the source shows and raw does not: they were committed late.

        Call :meth:`look_at_all` first.
        """
        cursor, keys = name(self._cursor), names(self._keys)
        rows = self._db.execute(
            f"""
            select {keys} from (
                select s.* from read_parquet('{quoted(source_keys)}') s
                anti join live v on {self._same_version()}
                where (s.{cursor} < $since or s.{cursor} is null) and {self._has_key("s.")}
            )
            anti join (select {keys} from fresh union all select {keys} from rejected) using ({keys})
            """,
            {"since": since},
        ).to_arrow_table()
        return [tuple(row.values()) for row in rows.to_pylist()]

    def mark_gone(self, source_keys: Path) -> None:
        """Note the live keys that the source no longer shows. Call :meth:`look_at_all` first."""
        self._db.execute(
            f"insert into gone select {names(self._keys)} from live "
            f"anti join read_parquet('{quoted(source_keys)}') s using ({names(self._keys)})"
        )

    def changes(self) -> tuple[int, int]:
        """Fresh versions, and deleted keys."""
        return self._one("select count(*) from fresh"), self._one("select count(*) from gone")

    def rows_then(self, rows_before: int | None) -> int:
        """Rows of the source that raw will know of: live ones, and those put aside because they do not fit.

        ``rows_before`` is that number after the last pull; it is counted when all of raw is looked at.
        """
        keys = names(self._keys)
        self._db.execute(f"""
            create or replace table met as
            select {keys} from fresh union select {keys} from rejected where {self._has_key()}
        """)
        self._db.execute(f"create or replace table unmet as from met anti join live using ({keys})")
        unmet = self._one("select count(*) from unmet")
        if self._is_whole or rows_before is None:
            before = self._one("select count(*) from live") - self._one("select count(*) from gone")
        else:
            before = rows_before
            # Older rows of raw are looked up by key alone, for the few keys that the window does not know.
            if unmet:
                unmet -= self._one(f"""
                    select count(*) from (
                        select {keys}, arg_max(_is_deleted, _loaded_at) as is_deleted
                        from raw_rows semi join unmet using ({keys}) group by {keys}
                    ) where not is_deleted
                """)
        return before + unmet

    def keyless(self, source_keys: Path | None) -> int:
        """Rows without a whole key: in a list of the source's keys, or else among the rejected."""
        rows = f"read_parquet('{quoted(source_keys)}')" if source_keys else "rejected"
        return int(self._one(f"select count(*) from {rows} where not ({self._has_key()})"))

    def highest_cursor_then(self) -> Any:
        """The highest cursor once what is fresh has been published."""
        cursor = name(self._cursor)
        return self._one(
            f"select max(c) from (select max({cursor}) as c from raw_rows "
            f"union all select max({cursor}) from fresh)"
        )

    def rows(self, declared: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Rows to publish, numbered, deletions last; a deleted key keeps the values it had."""
        there = {row[0] for row in self._db.execute("describe raw_rows").fetchall()} - _ADDED
        present = names([column for column in declared.names if column in there])
        order = names([self._cursor, *self._keys])
        rows = self._db.execute(f"""
            select *, row_number() over (order by _is_deleted, {order}) as _record_no from (
                select *, false as _is_deleted from fresh
                union all by name
                select {present}, true as _is_deleted from raw_rows semi join gone using ({names(self._keys)})
                qualify row_number() over (partition by {names(self._keys)} order by _loaded_at desc) = 1
            )
        """)
        wanted = pa.schema([*declared, RECORD_NO, IS_DELETED])
        for batch in rows.to_arrow_reader(_BATCH_ROWS):
            if batch.num_rows:
                yield conform(batch, wanted).batch

    def _look(self, where: str, values: dict[str, Any]) -> None:
        keys = names(self._keys)
        # One pull has one row of a key at most, so the moment of loading tells which is the last.
        self._db.execute(
            f"""
            create or replace table live as
            select {keys}, last.cursor as {name(self._cursor)} from (
                select {keys}, arg_max(
                    struct_pack(cursor := {name(self._cursor)}, is_deleted := _is_deleted), _loaded_at
                ) as last
                from raw_rows {where} group by {keys}
            ) where not last.is_deleted
            """,
            values,
        )

    def _same_version(self) -> str:
        cursor = name(self._cursor)
        keys = " and ".join(f"s.{name(key)} = v.{name(key)}" for key in self._keys)
        return f"{keys} and s.{cursor} is not distinct from v.{cursor}"

    def _has_key(self, prefix: str = "") -> str:
        return " and ".join(f"{prefix}{name(key)} is not null" for key in self._keys)

    def _one(self, query: str) -> Any:
        # By way of Arrow: DuckDB's own conversion of zoned timestamps needs a package we do not have.
        return self._db.execute(query).to_arrow_table().column(0)[0].as_py()


def first_look(part: Path, keys: list[str], cursor: str, *, is_unique: bool) -> tuple[int, Any]:
    """Distinct keys and the highest cursor of rows that are staged and about to be the first of a table.

    Where the source vouches for its keys, rows need not be compared with each other.
    """
    with duckdb.connect(":memory:") as db:
        db.execute("set TimeZone = 'UTC'; set threads = 2; set memory_limit = '1GB'")
        db.execute(f"set temp_directory = '{quoted(part.parent / 'spill')}'")
        rows = f"read_parquet('{quoted(part)}')"
        distinct = rows if is_unique else f"(select distinct {names(keys)} from {rows})"
        query = f"select (select count(*) from {distinct}), (select max({name(cursor)}) from {rows})"
        table = db.execute(query).to_arrow_table()
    return table.column(0)[0].as_py(), table.column(1)[0].as_py()


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
