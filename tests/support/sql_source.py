"""A database with one table ``t`` and a feed of it, for tests of SQL feeds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import yaml

from connectors.connections import SqlConnection
from connectors.ingest import FileOutcome, Ingest
from connectors.paths import Paths
from tests.support.ingest import make_connections, make_feed, raw_rows


class Source:
    """A database, and a feed of one table ``t`` of it."""

    def __init__(self, connection: SqlConnection, folder: Path, paths: Paths) -> None:
        self.engine = sa.create_engine(connection.url, poolclass=sa.NullPool)
        self.paths, self._folder = paths, folder
        self.ingest = Ingest(paths, make_connections(folder, connection))

    def do(self, *statements: str) -> None:
        with self.engine.begin() as session:
            for statement in statements:
                session.exec_driver_sql(statement)

    def pull(self, types: dict[str, str], *, cursor: str = "i", sql: Any = None, **table: Any) -> FileOutcome:
        """A run of a feed that declares ``i`` and these columns; another one replaces the feed."""
        types = {"i": "bigint", **types}
        text = yaml.safe_dump(
            {
                "source": "ugly",
                "description": "Ugly things.",
                "owner": "testers",
                "connection": "test_sql",
                "kind": "sql",
                "schedule": "0 * * * *",
                "contract": "quarantine",
                "sql": sql or {},
                "tables": {
                    "t": {
                        "description": "One row a thing.",
                        "key": ["i"],
                        "cursor": cursor,
                        "columns": {
                            name: {"type": kind, "description": name} for name, kind in types.items()
                        },
                        **table,
                    }
                },
            }
        )
        self.feed = make_feed(self._folder / "feeds", text)
        report = self.ingest.run(self.feed)
        assert report.balance_ok
        (outcome,) = report.files
        return outcome

    def rows(self) -> dict[int, dict[str, Any]]:
        """Raw by key, the newest version."""
        rows = sorted(raw_rows(self.paths, "ugly", "t").to_pylist(), key=lambda row: row["_loaded_at"])
        return {row["i"]: row for row in rows}

    def aside(self) -> dict[str, tuple[dict[str, Any], str]]:
        """Quarantine by key: the row as it was, and why."""
        rows = raw_rows(self.paths, "gridcrm", "quarantine").to_pylist()
        raws = [(json.loads(row["raw"]), row["reason"]) for row in rows]
        return {str(raw["i"]): (raw, reason) for raw, reason in raws}


@contextmanager
def opened(connection: SqlConnection, folder: Path, paths: Paths) -> Iterator[Source]:
    source = Source(connection, folder, paths)
    try:
        yield source
    finally:
        source.ingest.close()
