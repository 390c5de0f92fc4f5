"""One sender per destination at a time.

Belongs here: that lock. Does not belong here: what is done while it is held.

A killed process leaves no lock behind: the file lock ends with the process, PostgreSQL's with the session.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from connectors.errors import GridCRMError

_POLL_SECONDS = 0.2


class SendInProgressError(GridCRMError):
    """Another process is sending to the same destination."""


@contextmanager
def sole_sender(engine: sa.Engine, folder: Path, destination: str, wait_seconds: float) -> Iterator[None]:
    """Hold the lock of ``destination``; raises SendInProgressError when another process keeps it."""
    digest = hashlib.sha256(destination.encode())
    until = time.monotonic() + wait_seconds
    problem = SendInProgressError(
        f"another process is sending to {destination}, and has been for {wait_seconds:.0f} s: "
        "wait for it to end, then send again"
    )
    if engine.dialect.name == "postgresql":
        number = int.from_bytes(digest.digest()[:8], "big", signed=True)
        with engine.connect() as connection:
            while not connection.execute(sa.select(sa.func.pg_try_advisory_lock(number))).scalar_one():
                if time.monotonic() > until:
                    raise problem
                time.sleep(_POLL_SECONDS)
            try:
                yield
            finally:
                connection.execute(sa.select(sa.func.pg_advisory_unlock(number)))
        return
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / f"activation-{digest.hexdigest()[:16]}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise problem from None
                time.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(handle)
