"""Feeds and connections for tests of ingestion, small enough to read beside the test."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from connectors.connections import (
    Connections,
    HttpConnection,
    SftpConnection,
    SqlConnection,
    load_connections,
)
from connectors.ingest import FeedConfig, load_feed
from connectors.ingest.loading import FILE_NAME, TYPE
from connectors.paths import Paths

CALLS = """
source: calls
description: Calls for tests.
owner: testers
connection: test_sftp
kind: file
schedule: "0 * * * *"
contract: quarantine
file:
  directory: /out
  pattern: "calls_{business_date:%Y%m%d}*.csv*"
  complete: none
  format: delimited
  settings: {delimiter: ",", header: true}
tables:
  call:
    description: One row a call.
    key: [call_id]
    columns:
      call_id: {type: string, description: Call}
      dialed_at: {type: timestamp, description: When}
      talk_seconds: {type: int, description: How long}
"""


def make_feed(folder: Path, text: str = CALLS, **changes: Any) -> FeedConfig:
    """The feed in ``text``; ``changes`` replace keys, ``file__complete`` those of a section."""
    data = yaml.safe_load(text)
    for key, value in changes.items():
        *outer, last = key.split("__")
        section = data
        for name in outer:
            section = section[name]
        section[last] = value
    path = folder / data["source"] / FILE_NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({"type": TYPE, "attributes": data}, sort_keys=False))
    return load_feed(path)


def make_connections(
    folder: Path, *connections: SftpConnection | SqlConnection | HttpConnection
) -> Connections:
    """A real connections file for these; secrets by way of an environment, as in production."""
    data, env = {}, {}
    for connection in connections:
        entry = connection.model_dump(mode="json", exclude={"name"}, exclude_none=True)
        for secret in ("password", "token"):
            if value := getattr(connection, secret, None):
                variable = f"{connection.name}_{secret}".upper()
                env[variable] = value.get_secret_value()
                entry[secret] = {"env": variable}
        data[connection.name] = entry
    path = folder / "connections.yaml"
    path.write_text(yaml.safe_dump(data))
    return load_connections(path, env)


def calls_csv(day: int, count: int, *, bad: int = 0) -> bytes:
    """``count`` calls of one day, the first ``bad`` of them with a talk time that is no number."""
    lines = ["call_id,dialed_at,talk_seconds"]
    for number in range(count):
        seconds = "soon" if number < bad else str(number)
        lines.append(f"D{day:02d}-{number},2026-11-{day:02d}T12:00:00-06:00,{seconds}")
    return ("\n".join(lines) + "\n").encode()


def gzipped(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def raw_rows(paths: Paths, source: str, table: str) -> pa.Table:
    """All rows of a raw table as dbt sees them."""
    with duckdb.connect() as db:
        db.execute("set TimeZone = 'UTC'")
        return db.execute(
            f"from read_parquet('{paths.raw}/{source}/{table}/**/*.parquet', hive_partitioning = true, "
            "union_by_name = true)"
        ).to_arrow_table()


def ledger_copy(paths: Paths) -> list[dict[str, Any]]:
    """The ledger as the warehouse sees it, counts as dictionaries."""
    rows = pq.read_table(
        paths.raw / "gridcrm" / "ingestion_ledger" / "load_date=1970-01-01" / "ledger.parquet"
    ).to_pylist()
    return [{**row, "row_counts": json.loads(row["row_counts"])} for row in rows]
