"""Rows of a push model in their canonical form: one key, one payload, one hash.

Belongs here: typing, canonical text and hashing, over columns. Does not belong here: what has changed.

A payload is a JSON object whose values are texts or null: exact for money, the same on every machine, and
independent of how Parquet, pandas or a database happen to hold a value. The hash covers the compared
columns only.
"""

from __future__ import annotations

import duckdb
import pyarrow as pa

from connectors.activation.config import WITHHELD, PushConfig
from connectors.destinations.payloads import connect, literal, quoted
from connectors.destinations.settings import Column
from connectors.errors import GridCRMError

SOURCE_SCHEMA = pa.schema(
    [("key", pa.string()), ("payload_hash", pa.string()), ("payload", pa.string()), (WITHHELD, pa.string())]
)


class RowsError(GridCRMError):
    """The rows given are not what the push declares; nothing was sent."""


def canonical(rows: pa.Table, push: PushConfig) -> pa.Table:
    """``rows`` as SOURCE_SCHEMA, sorted by key.

    Raises:
        RowsError: a column is missing or of another type, a key is empty or there twice, a value does not
        fit.
    """
    _check_columns(rows, push)
    with connect() as connection:
        connection.register("source", rows)
        _check_values(connection, push)
        texts = {name: _text(name, column) for name, column in push.columns.items()}
        compared = {name: text for name, text in texts.items() if push.columns[name].compared}
        payload = _json(texts)
        hashed = "payload" if len(compared) == len(texts) else "compared"
        return (
            connection.execute(
                f"""
            select key, sha256({hashed}) as payload_hash, payload, {WITHHELD}
            from (
                select {texts[push.key]} as key, {payload} as payload, {_json(compared)} as compared,
                    nullif(cast({WITHHELD} as varchar), '') as {WITHHELD}
                from source
            ) as canonical
            order by key
            """
            )
            .to_arrow_table()
            .cast(SOURCE_SCHEMA)
        )


def _check_columns(rows: pa.Table, push: PushConfig) -> None:
    missing = [name for name in (*push.columns, WITHHELD) if name not in rows.column_names]
    if missing:
        raise RowsError(f"push {push.name}: model {push.model} has no column {', '.join(missing)}")
    for name, column in push.columns.items():
        actual = rows.schema.field(name).type
        if not _fits(actual, column):
            raise RowsError(
                f"push {push.name}: column {name} is {actual} in {push.model} but declared {column.type}"
            )


def _fits(actual: pa.DataType, column: Column) -> bool:
    if pa.types.is_null(actual):
        return True
    if pa.types.is_dictionary(actual):
        actual = actual.value_type
    is_text = (
        pa.types.is_string(actual) or pa.types.is_large_string(actual) or pa.types.is_string_view(actual)
    )
    is_exact = pa.types.is_integer(actual) or pa.types.is_decimal(actual)
    match column.family:
        case "int" | "bigint":
            return pa.types.is_integer(actual) or (pa.types.is_decimal(actual) and actual.scale == 0)
        case "decimal" | "double":
            return is_exact or pa.types.is_floating(actual)
        case "boolean":
            return pa.types.is_boolean(actual)
        case "date":
            return pa.types.is_date32(actual)
        case "timestamp":
            return pa.types.is_timestamp(actual)
        case _:
            return is_text


def _check_values(connection: duckdb.DuckDBPyConnection, push: PushConfig) -> None:
    key = quoted(push.key)
    checks = {
        f"key {push.key} is empty": f"count(*) filter ({key} is null or cast({key} as varchar) = '')",
        f"key {push.key} is there more than once": f"count({key}) - count(distinct {key})",
    }
    for name, column in push.columns.items():
        value = quoted(name)
        if column.family in ("decimal", "int"):
            kind = "integer" if column.family == "int" else column.type
            lost = f"{_finite(value)} is not null and try_cast({_finite(value)} as {kind}) is null"
            checks[f"{name} does not fit {column.type}"] = f"count(*) filter ({lost})"
        elif column.family == "json":
            checks[f"{name} is not JSON"] = (
                f"count(*) filter ({value} is not null and not json_valid({value}))"
            )
    counts = connection.execute(f"select {', '.join(checks.values())} from source").fetchone() or ()
    wrong = [f"{what} ({count} rows)" for what, count in zip(checks, counts, strict=True) if count]
    if wrong:
        raise RowsError(f"push {push.name}: model {push.model} cannot be sent: {'; '.join(wrong)}")


def _finite(value: str) -> str:
    # A float that is not a number holds nothing; other types pass through unchanged.
    return f"case when isnan(try_cast({value} as double)) then null else {value} end"


def _text(name: str, column: Column) -> str:
    value = quoted(name)
    match column.family:
        case "int" | "bigint":
            return f"cast(cast({value} as bigint) as varchar)"
        case "decimal":
            return f"cast(cast({_finite(value)} as {column.type}) as varchar)"
        case "double":
            return f"cast(cast({_finite(value)} as double) as varchar)"
        case "timestamp":
            return f"strftime(make_timestamp(epoch_us({value})), '%Y-%m-%dT%H:%M:%S.%fZ')"
        case "json":
            return f"cast(json({value}) as varchar)"
        case _:
            return f"cast({value} as varchar)"


def _json(texts: dict[str, str]) -> str:
    pairs = ", ".join(f"{literal(name)}, {text}" for name, text in texts.items())
    return f"cast(json_object({pairs}) as varchar)"
