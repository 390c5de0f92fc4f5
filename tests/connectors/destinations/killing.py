"""A send in a process of its own that dies when told: at a random moment, or at its n-th step.

Steps are the moments that matter: before and after every commit of the state and every delivery. The
processes come from a fork server that has loaded everything beforehand, so that dozens of them cost little.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import pyarrow as pa

from connectors.activation import Activation, PushConfig
from connectors.activation.state import State
from connectors.destinations.http_audience import HttpAudience
from connectors.destinations.sftp_csv import SftpCsv
from connectors.destinations.sftp_letters import SftpLetters
from connectors.destinations.sql_upsert import SqlUpsert
from connectors.paths import Paths
from tests.connectors.activation.helpers import DAY, FixedConnections

CONTEXT = multiprocessing.get_context("forkserver")
# pytest too: a child imports the main module of its parent.
CONTEXT.set_forkserver_preload([__name__, "pytest"])
_STEPS = (
    *((State, name) for name in ("begin", "attempt", "finish", "forget", "mark_uncertain")),
    *((kind, "deliver") for kind in (SqlUpsert, SftpCsv, SftpLetters, HttpAudience)),
)


def _count_down(steps: int) -> None:
    """Kill this process at its ``steps``-th step (from 0)."""
    left = [steps]

    def step() -> None:
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1

    def wrapped(method: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            step()
            result = method(*arguments, **named)
            step()
            return result

        return run

    for owner, name in _STEPS:
        setattr(owner, name, wrapped(getattr(owner, name)))


def _send(
    root: Path, connection: Any, push: PushConfig, rows: pa.Table, steps: int | None, sending: Event
) -> None:
    if steps is not None:
        _count_down(steps)
    activation = Activation(Paths(root), FixedConnections(connection), backoff_seconds=0.01)  # type: ignore[arg-type]
    plan = activation.plan(push, rows, DAY)
    sending.set()
    activation.send(push, plan, dry_run=False)
    activation.close()


def run(
    root: Path,
    connection: Any,
    push: PushConfig,
    rows: pa.Table,
    *,
    steps: int | None = None,
    seconds: float | None = None,
) -> bool:
    """Send in another process, killed at a step or some time into its send; returns whether it came to its
    end."""
    sending = CONTEXT.Event()
    process = CONTEXT.Process(target=_send, args=(root, connection, push, rows, steps, sending))
    process.start()
    assert sending.wait(60)
    process.join(seconds if seconds is not None else 60)
    process.kill()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL), "the send failed by itself"
    return process.exitcode == 0
