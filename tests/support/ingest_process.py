"""A run of a feed in a process of its own, to be killed."""

from __future__ import annotations

from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path

from connectors.connections import load_connections
from connectors.ingest import Ingest, load_feed
from connectors.paths import Paths

PRELOAD = ["tests.support.ingest_process", "connectors.formats.delimited", "paramiko", "pyarrow.parquet"]


def run_feed(folder: Path, data: Path, env: Mapping[str, str], told: Connection) -> None:
    """Run the feed ``calls`` over ``folder``'s connections; says ``ready`` before it begins."""
    ingest = Ingest(Paths(data), load_connections(folder / "connections.yaml", env))
    feed = load_feed(folder / "feeds" / "calls" / "defs.yaml")
    told.send("ready")
    ingest.run(feed)
