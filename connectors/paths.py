"""Where everything lies on disk.

Belongs here: the names of the folders under one data root. Does not belong here: reading or writing them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """The folders under one data root; nothing is created by asking."""

    root: Path

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Paths:
        """The root named by ``GRIDCRM_DATA``, or ``./data``; always absolute."""
        values = os.environ if env is None else env
        return cls(Path(values.get("GRIDCRM_DATA") or "data").resolve())

    @property
    def landing(self) -> Path:
        """Original bytes of every file taken."""
        return self.root / "landing"

    @property
    def raw(self) -> Path:
        """Decoded tables, hive-partitioned Parquet."""
        return self.root / "raw"

    @property
    def scores(self) -> Path:
        """Score tables and their evaluation, one folder a score."""
        return self.root / "scores"

    @property
    def published(self) -> Path:
        """Copies of warehouse models that other processes read while dbt owns the warehouse file."""
        return self.root / "published"

    @property
    def state(self) -> Path:
        """Ledgers: ingestion, identity, activation."""
        return self.root / "state"

    @property
    def warehouse(self) -> Path:
        """The DuckDB file; only dbt opens it."""
        return self.root / "warehouse.duckdb"

    @property
    def dagster(self) -> Path:
        """``DAGSTER_HOME`` of the local instance."""
        return self.root / "dagster"

    @property
    def docs(self) -> Path:
        """The generated dbt docs."""
        return self.root / "docs"

    @property
    def demo(self) -> Path:
        """The simulated utility's own files: server roots, keys, database."""
        return self.root / "demo"

    @property
    def truth(self) -> Path:
        """What the simulator knows to be true; only tests and evaluations read it."""
        return self.demo / "truth"
