"""How Parquet is written everywhere in raw: one set of options, never a half-written file under a final name.

Belongs here: options and the temporary-name-then-rename habit. Does not belong here: which columns there are.
"""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROW_GROUP_ROWS = 122_880
"""DuckDB's own row group: one of its threads reads one of ours."""

_FEW_ROWS = 1000

TEMPORARY_PREFIX = ".tmp-"
"""Names that start so are no table: dbt's globs end in .parquet and these do not."""


def open_writer(path: Path, schema: pa.Schema, first: pa.Table | None = None) -> pq.ParquetWriter:
    """A writer for ``path``: zstd 1, dictionaries where values repeat, small decimals as integers.

    ``first``: the first rows, which tell where they do. A dictionary of values that are all different costs
    a quarter of the time of writing and a third of the size.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    repeating = [
        field.name
        for field in schema
        if not field.name.endswith("record_no")
        and not pa.types.is_decimal(field.type)
        and not pa.types.is_nested(field.type)
        and not pa.types.is_binary(field.type)
        and (first is None or _repeats(first.column(field.name)))
    ]
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=repeating or False,
        store_decimal_as_integer=True,
    )


def _repeats(values: pa.ChunkedArray) -> bool:
    return len(values) < _FEW_ROWS or 2 * pc.count_distinct(values).as_py() < len(values)


def write_table(table: pa.Table, target: Path) -> None:
    """Replace ``target`` by ``table`` at once; a reader sees the old file or the new one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{TEMPORARY_PREFIX}{target.name}.{os.getpid()}")
    try:
        with open_writer(temporary, table.schema) as writer:
            writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until the bytes of a file, or the names in a folder, are on the disk and outlive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_leftovers(folder: Path) -> None:
    """Delete what a killed :func:`write_table` left below ``folder``; call it while nobody writes there."""
    for path in folder.glob(f"**/{TEMPORARY_PREFIX}*"):
        path.unlink(missing_ok=True)
