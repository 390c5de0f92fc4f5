"""``Systems``: the simulated systems as a context manager, in a process of their own.

Belongs here: starting that process, waiting for it, ending it. Does not belong here: the servers.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from connectors.paths import Paths
from demo.systems.campaign import RateLimit
from demo.systems.environment import Places, read_env
from demo.systems.errors import SystemsError

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0


class Systems:
    """The utility's SFTP, PostgreSQL and campaign servers for one data root.

    ``start`` is idempotent; where another process already serves the same data root (``make ui``), it is
    joined and left running by ``stop``. The serving process ends with the process that started it, however
    that ends. Ports and secrets stay the same from start to start, ports as long as they are free.
    """

    def __init__(self, paths: Paths, *, campaign_limit: RateLimit | None = None) -> None:
        self.paths = paths
        self._places = Places.of(paths)
        self._limit = campaign_limit or RateLimit()
        self._process: subprocess.Popen[bytes] | None = None
        self._env: dict[str, str] = {}
        self._joined = False

    @property
    def env(self) -> dict[str, str]:
        """The variables that ``connections.yaml`` names; empty before ``start``."""
        return dict(self._env)

    @property
    def pid(self) -> int | None:
        """The process id of the serving process that we started; none when joined or stopped."""
        return self._process.pid if self._process else None

    @property
    def is_joined(self) -> bool:
        """Whether another process, which ``stop`` leaves alone, serves this data root."""
        return self._joined

    def __enter__(self) -> Systems:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Systems:
        """Start or join the servers and wait until all answer; :class:`SystemsError` says why they do not."""
        if self._joined or (self._process and self._process.poll() is None):
            return self
        self._places.create()
        deadline = time.monotonic() + _START_SECONDS
        while True:
            message = self._launch(deadline)
            if message["event"] == "ready":
                self._env = message["env"]
                return self
            self._end_process()
            if message["event"] == "failed":
                raise SystemsError(message["message"])
            if self._places.running_file.is_file():
                self._env = read_env(self._places.env_file)
                self._joined = True
                return self
            if time.monotonic() > deadline:
                raise SystemsError(f"{message['message']}, and it is not ready after {_START_SECONDS:.0f} s")
            time.sleep(0.2)  # the other one is still starting, or just ending

    def stop(self) -> None:
        """End what ``start`` started; a second call does nothing."""
        self._end_process()
        self._joined = False
        self._env = {}

    def _launch(self, deadline: float) -> dict[str, Any]:
        """Start the serving process and return its first message."""
        repository = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, (repository, os.environ.get("PYTHONPATH"))))
        with self._places.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "demo.systems", "--data", str(self.paths.root)),
                    *("--campaign-burst", str(self._limit.burst)),
                    *("--campaign-rate", str(self._limit.per_second)),
                    *("--parent", str(os.getpid())),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # a Ctrl-C in the terminal reaches us, and we end it in order
                env={**os.environ, "PYTHONPATH": path},
            )
        line = self._first_line(deadline)
        if not line:
            self._end_process()
            raise SystemsError(
                f"the simulated systems did not start: their own words are in {self._places.log}"
            )
        message: dict[str, Any] = json.loads(line)
        return message

    def _first_line(self, deadline: float) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            ready = selector.select(max(0.0, deadline - time.monotonic()))
        return self._process.stdout.readline() if ready else b""

    def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()  # PostgreSQL then gets its own signal from the system
            process.wait()
        if process.stdout:
            with contextlib.suppress(OSError):
                process.stdout.close()
