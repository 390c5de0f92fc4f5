"""A push, rows and connections small enough to read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from connectors.activation import PushConfig
from connectors.connections import HttpConnection, SftpConnection, SqlConnection

DAY = dt.date(2026, 11, 15)
COLUMNS: dict[str, Any] = {
    "customer_id": "string",
    "full_name": {"type": "string", "personal": True},
    "amount_usd": "decimal(12,2)",
    "as_of_date": {"type": "date", "compared": False},
}
NO_GUARDS = {"max_delete_share": 1, "max_change_share": 1000, "allow_empty": True}


def make_push(**changes: Any) -> PushConfig:
    """A push of customers into a table; ``changes`` replace whole keys."""
    values: dict[str, Any] = {
        "name": "customers",
        "description": "Customers.",
        "owner": "team:test",
        "model": "push_customers",
        "key": "customer_id",
        "purpose": "service",
        "destination": {"kind": "sql_upsert", "connection": "test_sql", "table": "customers"},
        "columns": COLUMNS,
        "guards": NO_GUARDS,
    }
    return PushConfig.model_validate({**values, **changes})


def make_rows(
    amounts: Mapping[str, float | int | str], withheld: Mapping[str, str] | None = None, day: dt.date = DAY
) -> pa.Table:
    """One row for each key of ``amounts``; ``withheld`` gives the reason by key."""
    keys = list(amounts)
    reasons = withheld or {}
    return pa.table(
        {
            "customer_id": pa.array(keys, pa.string()),
            "full_name": pa.array([f"Name of {key}" for key in keys], pa.string()),
            "amount_usd": pa.array([str(amounts[key]) for key in keys], pa.string()).cast(
                pa.decimal128(12, 2)
            ),
            "as_of_date": pa.array([day] * len(keys), pa.date32()),
            "withheld_reason": pa.array([reasons.get(key) for key in keys], pa.string()),
        }
    )


class FixedConnections:
    """Connections that a test gives by hand, in place of connections.yaml."""

    def __init__(self, *connections: SqlConnection | SftpConnection | HttpConnection) -> None:
        self._connections = {connection.name: connection for connection in connections}

    def sql(self, name: str) -> Any:
        return self._connections[name]

    def sftp(self, name: str) -> Any:
        return self._connections[name]

    def http(self, name: str) -> Any:
        return self._connections[name]
