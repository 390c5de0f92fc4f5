"""Rows into PostgreSQL by COPY, once a world.

Belongs here: loading Arrow tables and knowing that they are loaded already. Does not belong here: what the
rows say.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.csv as pcsv
from sqlalchemy import Engine, text

from demo.world.ddl import TABLES, create


def is_loaded(engine: Engine, fingerprint: str) -> bool:
    """Whether this very world lies in the database."""
    with engine.begin() as connection:
        if connection.execute(text("select to_regclass('public.world_generation')")).scalar() is None:
            return False
        found = connection.execute(
            text("select 1 from public.world_generation where fingerprint = :f"), {"f": fingerprint}
        ).first()
    return found is not None


class Loader:
    """One load of a world into one database: a single transaction, so that a broken load leaves nothing."""

    def __init__(self, database: str, engine: Engine, fingerprint: str) -> None:
        self.database = database
        self.fingerprint = fingerprint
        create(database, engine)
        self._connection = engine.raw_connection()
        # psycopg2's cursor: SQLAlchemy types only what every driver has.
        self._cursor: Any = self._connection.cursor()
        self.rows = 0
        tables = ", ".join(f"{database}.{table}" for table in TABLES[database])
        self._cursor.execute(f"truncate {tables}, public.world_generation")

    def copy(self, table: str, rows: pa.Table) -> None:
        """Append rows by COPY; columns by name."""
        sink = BytesIO()
        pcsv.write_csv(rows, sink, pcsv.WriteOptions(include_header=False, quoting_style="needed"))
        sink.seek(0)
        columns = ", ".join(rows.column_names)
        self._cursor.copy_expert(
            f"copy {self.database}.{table} ({columns}) from stdin with (format csv)", sink
        )
        self.rows += rows.num_rows

    def finish(self) -> None:
        """Leave the marker and commit."""
        self._cursor.execute(
            "insert into public.world_generation (fingerprint) values (%s)", (self.fingerprint,)
        )
        self._connection.commit()
        self._connection.close()

    def abandon(self) -> None:
        """Roll back."""
        self._connection.rollback()
        self._connection.close()
