"""The identity ledger: what each record was called, which ids were retired, what people decided.

Belongs here: reading and writing that memory through SQLAlchemy (SQLite under ``paths.state`` by default,
any other URL in production). Does not belong here: resolving.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import sqlalchemy as sa

from connectors.errors import GridCRMError
from orchestration.identity.resolution import (
    ALIAS_SCHEMA,
    DECISION_SCHEMA,
    RECORD_STATE_SCHEMA,
    IdentityState,
    Resolution,
)

VERDICTS: Final = ("together", "apart")

_metadata = sa.MetaData()
_record = sa.Table(
    "identity_record",
    _metadata,
    sa.Column("record_id", sa.String(64), primary_key=True),
    sa.Column("customer_id", sa.String(16), nullable=False, index=True),
    sa.Column("first_assigned_at", sa.DateTime, nullable=False),
)
_alias = sa.Table(
    "identity_alias",
    _metadata,
    sa.Column("alias_customer_id", sa.String(16), primary_key=True),
    sa.Column("customer_id", sa.String(16), nullable=False),
    sa.Column("merged_at", sa.DateTime, nullable=False),
)
_decision = sa.Table(
    "identity_decision",
    _metadata,
    sa.Column("record_id_l", sa.String(64), primary_key=True),
    sa.Column("record_id_r", sa.String(64), primary_key=True),
    sa.Column("verdict", sa.String(8), nullable=False),
    sa.Column("decided_by", sa.String(64), nullable=False),
    sa.Column("decided_at", sa.DateTime, nullable=False),
)


class IdentityLedger:
    """Customer ids between runs; times are kept in UTC without an offset, which every database can hold."""

    def __init__(self, database: Path | str) -> None:
        """``database``: a file for SQLite (made when absent), or an SQLAlchemy URL."""
        if isinstance(database, Path):
            database.parent.mkdir(parents=True, exist_ok=True)
            self._engine = sa.create_engine(f"sqlite:///{database}")
        else:
            self._engine = sa.create_engine(database)
        _metadata.create_all(self._engine)

    def load(self) -> IdentityState:
        """Everything :func:`~orchestration.identity.resolve` needs to know of earlier runs."""
        with self._engine.connect() as connection:
            return IdentityState(
                records=_read(connection, sa.select(_record), RECORD_STATE_SCHEMA),
                aliases=_read(connection, sa.select(_alias), ALIAS_SCHEMA),
                decisions=_read(
                    connection,
                    sa.select(_decision.c.record_id_l, _decision.c.record_id_r, _decision.c.verdict),
                    DECISION_SCHEMA,
                ),
            )

    def save(self, resolution: Resolution) -> None:
        """Remember a resolution, in one transaction; records that were not part of it stay as they were."""
        new = {row["record_id"]: row for row in resolution.xref.select(RECORD_STATE_SCHEMA.names).to_pylist()}
        with self._engine.begin() as connection:
            known: dict[str, str] = dict(
                connection.execute(sa.select(_record.c.record_id, _record.c.customer_id)).all()
            )
            added = [_plain(row) for key, row in new.items() if key not in known]
            moved = [
                {"key": key, "customer": row["customer_id"]}
                for key, row in new.items()
                if known.get(key, row["customer_id"]) != row["customer_id"]
            ]
            if added:
                connection.execute(sa.insert(_record), added)
            if moved:
                connection.execute(
                    sa.update(_record)
                    .where(_record.c.record_id == sa.bindparam("key"))
                    .values(customer_id=sa.bindparam("customer")),
                    moved,
                )
            connection.execute(sa.delete(_alias))
            if resolution.aliases.num_rows:
                connection.execute(sa.insert(_alias), [_plain(row) for row in resolution.aliases.to_pylist()])

    def decide(self, record_id_l: str, record_id_r: str, verdict: str, *, decided_by: str) -> None:
        """Remember that two records are one customer (``together``) or are not (``apart``); the last word
        counts.

        Raises :class:`~connectors.errors.GridCRMError` for another verdict or a record decided against
        itself.
        """
        if verdict not in VERDICTS:
            raise GridCRMError(f"identity decision '{verdict}': say together or apart")
        if record_id_l == record_id_r:
            raise GridCRMError(f"identity decision about {record_id_l}: give two different records")
        left, right = sorted((record_id_l, record_id_r))
        key = (_decision.c.record_id_l == left) & (_decision.c.record_id_r == right)
        with self._engine.begin() as connection:
            connection.execute(sa.delete(_decision).where(key))
            connection.execute(
                sa.insert(_decision).values(
                    record_id_l=left,
                    record_id_r=right,
                    verdict=verdict,
                    decided_by=decided_by,
                    decided_at=datetime.now(UTC).replace(tzinfo=None),
                )
            )

    def current_id(self, customer_id: str) -> str:
        """The live id behind an id that may have been merged away; an id that was never merged is its own."""
        with self._engine.connect() as connection:
            found = connection.execute(
                sa.select(_alias.c.customer_id).where(_alias.c.alias_customer_id == customer_id)
            ).scalar_one_or_none()
        return found or customer_id

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()


def _read(connection: sa.Connection, query: sa.Select[Any], schema: pa.Schema) -> pa.Table:
    columns = list(zip(*connection.execute(query).all(), strict=True)) or [()] * len(schema)
    return pa.table(
        [
            pa.array(column, type=_naive(kind.type)).cast(kind.type)
            for column, kind in zip(columns, schema, strict=True)
        ],
        schema=schema,
    )


def _naive(kind: pa.DataType) -> pa.DataType:
    return pa.timestamp("us") if pa.types.is_timestamp(kind) else kind


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Times in UTC without their offset."""
    return {
        key: value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) else value
        for key, value in row.items()
    }
