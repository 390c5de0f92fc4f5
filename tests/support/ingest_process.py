"""A run of feeds in a process of its own, which ends itself by kill -9 at a step that was drawn beforehand.

A step is what could leave something half done: a chunk read from the server, a batch handed to staging, a
file opened, renamed or removed, a statement of the ledger. It is counted before it happens.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from connectors.connections import load_connections
from connectors.ingest import Ingest, load_feeds
from connectors.ingest.staging import Publisher, StagedTables
from connectors.paths import Paths
from connectors.transport.sftp.part import PartFile

PRELOAD = [
    "tests.support.ingest_process",
    "connectors.formats.delimited",
    "connectors.formats.nem12",
    "paramiko",
    "pyarrow.parquet",
    "duckdb",
]
BETWEEN = "between"
"""Steps of none of the phases: the ledger, landing, the tables without rows."""

_FILES = frozenset({"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir"})


class Steps:
    """Counts the steps of one phase; at the drawn one the process is gone."""

    def __init__(self, phase: str, last: int, data: Path) -> None:
        self.phase = BETWEEN
        self._wanted, self._left, self._data = phase, last, str(data)
        self._thread = threading.get_ident()

    def step(self) -> None:
        if self.phase != self._wanted or threading.get_ident() != self._thread:
            return
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _FILES and arguments and str(arguments[0]).startswith(self._data):
            self.step()

    def within(self, owner: type, name: str, phase: str) -> None:
        """Steps within a method belong to ``phase``."""
        method: Callable[..., Any] = getattr(owner, name)

        @wraps(method)
        def watched(*arguments: Any, **options: Any) -> Any:
            before, self.phase = self.phase, phase
            try:
                self.step()
                return method(*arguments, **options)
            finally:
                self.phase = before

        setattr(owner, name, watched)


def run_feeds(folder: Path, data: Path, env: Mapping[str, str], phase: str, last: int) -> None:
    """Run every feed of ``folder``, up to step ``last`` of ``phase`` if it has so many."""
    steps = Steps(phase, last, data)
    for method in ("begin", "append", "finish"):
        steps.within(PartFile, method, "download")
    steps.within(StagedTables, "write", "decode")
    steps.within(StagedTables, "__exit__", "decode")
    steps.within(Publisher, "publish", "publish")
    steps.within(Publisher, "recover", "recover")
    sa.event.listen(sa.Engine, "before_cursor_execute", lambda *_: steps.step())
    sa.event.listen(sa.Engine, "commit", lambda *_: steps.step())
    sys.addaudithook(steps.audit)
    # kill -9 loses nothing that the system was given: waiting for the disk would only make a test slow.
    os.fsync = lambda handle: None
    ingest = Ingest(Paths(data), load_connections(folder / "connections.yaml", env))
    engine = ingest.ledger._engine
    sa.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    engine.dispose()
    for feed in load_feeds(folder / "feeds").values():
        ingest.run(feed)
