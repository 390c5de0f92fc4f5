"""Any database SQLAlchemy speaks: look at what is there, insert what is not, update what differs.

Belongs here: the general path, correct everywhere. Does not belong here: speed; a database that matters
gets a writer of its own, as PostgreSQL has.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from connectors.destinations.base import Batch, DestinationRefusedError
from connectors.destinations.payloads import text_columns
from connectors.destinations.settings import Column, SqlSettings

# Stays below the parameter limits of every database.
_LOOKUP = 500


class GenericWriter:
    """See :class:`connectors.destinations.sql_upsert.Writer`."""

    def __init__(self, connection: sa.Connection, settings: SqlSettings, batch: Batch, where: str) -> None:
        self._connection = connection
        self._touch = settings.touch_column
        self._is_delete = batch.op == "delete"
        names = [batch.key_column] if self._is_delete else list(batch.columns)
        try:
            self._table = sa.Table(
                settings.table, sa.MetaData(), schema=settings.db_schema, autoload_with=connection
            )
        except sa.exc.NoSuchTableError:
            raise DestinationRefusedError(
                f"{where} does not exist; create it, or correct destination.table"
            ) from None
        wanted = [*names, *([self._touch] if self._touch else [])]
        if missing := [name for name in wanted if name not in self._table.c]:
            raise DestinationRefusedError(f"{where} has no column {', '.join(missing)}")
        self._key = self._table.c[batch.key_column]
        ordered = batch.rows.sort_by("key")
        self.refused: dict[str, str] = {}
        self.keys: list[str] = ordered.column("key").to_pylist()
        texts = text_columns(ordered, names)
        converted = {
            name: _convert(texts.column(name).to_pylist(), batch.columns[name], self._table.c[name])
            for name in names
        }
        self._rows = [
            dict(zip(converted, values, strict=True)) for values in zip(*converted.values(), strict=True)
        ]

    def apply(self, first: int, last: int) -> None:
        """Upsert or delete the rows ``first`` to ``last``."""
        for start in range(first, last + 1, _LOOKUP):
            rows = self._rows[start : min(start + _LOOKUP, last + 1)]
            if self._is_delete:
                keys = [row[self._key.name] for row in rows]
                self._connection.execute(sa.delete(self._table).where(self._key.in_(keys)))
            else:
                self._upsert(rows)

    def _upsert(self, rows: list[dict[str, Any]]) -> None:
        columns = [self._table.c[name] for name in rows[0]]
        keys = [row[self._key.name] for row in rows]
        query = sa.select(*columns).where(self._key.in_(keys))
        known = {row[self._key.name]: dict(row) for row in self._connection.execute(query).mappings()}
        new = [row for row in rows if row[self._key.name] not in known]
        changed = [row for row in rows if known.get(row[self._key.name], row) != row]
        touch = {self._touch: sa.func.now()} if self._touch else {}
        if new:
            self._connection.execute(sa.insert(self._table).values(touch), new)
        if changed:
            values: dict[Any, Any] = {column: sa.bindparam(f"new_{column.name}") for column in columns}
            statement = (
                sa.update(self._table)
                .where(self._key == sa.bindparam("of_key"))
                .values({**values, **{self._table.c[name]: value for name, value in touch.items()}})
            )
            parameters = [
                {**{f"new_{name}": value for name, value in row.items()}, "of_key": row[self._key.name]}
                for row in changed
            ]
            self._connection.execute(statement, parameters)


def _convert(texts: list[str | None], column: Column, target: sa.Column[Any]) -> list[Any]:
    convert = _CONVERTERS.get(column.family, str)
    if column.family == "json" and isinstance(target.type, sa.JSON):
        convert = json.loads
    elif column.family == "timestamp" and getattr(target.type, "timezone", False):
        convert = _aware
    return [None if text is None else convert(text) for text in texts]


def _aware(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _naive(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)


_CONVERTERS: dict[str, Callable[[str], Any]] = {
    "int": int,
    "bigint": int,
    "double": float,
    "decimal": Decimal,
    "boolean": lambda text: text == "true",
    "date": date.fromisoformat,
    "timestamp": _naive,
}
