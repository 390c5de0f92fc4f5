"""Payloads taken apart again, as columns.

Belongs here: a batch's JSON payloads as one text column each, and the SQL spelling this needs. Does not
belong here: how payloads are made (``connectors.activation.rows``).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import duckdb
import pyarrow as pa


def quoted(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """An SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


@cache
def _database() -> duckdb.DuckDBPyConnection:
    database = duckdb.connect(config={"threads": 2})
    database.execute("set enable_progress_bar = false")
    return database


def connect() -> duckdb.DuckDBPyConnection:
    """A session of the one in-memory DuckDB; what is registered or made temporary in it ends with it."""
    return _database().cursor()


def text_columns(payloads: pa.Table, names: Iterable[str]) -> pa.Table:
    """One text column for each of ``names`` out of ``payloads`` (``key``, ``payload``), ordered by key."""
    selected = ", ".join(f"{member('payload', name)} as {quoted(name)}" for name in names)
    with connect() as connection:
        connection.register("payloads", payloads)
        return connection.execute(f"select {selected} from payloads order by key").to_arrow_table()


def member(payload: str, name: str) -> str:
    """The SQL expression for the text of member ``name`` in the JSON column ``payload``."""
    path = '$."' + name.replace('"', '\\"') + '"'
    return f"json_extract_string({payload}, {literal(path)})"
