"""``make ui``: the Dagster UI and the dbt docs on loopback, over what the demo made.

Belongs here: starting and ending what a person looks at. Does not belong here: production serving, which uses
``dagster code-server``, ``dagster-webserver`` and ``dagster-daemon`` of their own (README).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
from rich.console import Console

from connectors.errors import GridCRMError
from connectors.paths import Paths
from demo.flow import environment
from demo.runs import instance
from demo.systems import Systems
from orchestration.docs_page import generate_docs
from orchestration.settings import Settings

REPOSITORY = Path(__file__).resolve().parent.parent
START_SECONDS = 120


class UiError(GridCRMError):
    """The UI did not come up."""


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """A page view is no news."""


@contextmanager
def serve_ui(paths: Paths, port: int = 3000, docs_port: int = 3001) -> Iterator[tuple[str, str]]:
    """The demo's systems, the Dagster UI with its daemon, and the dbt docs; yields their two addresses.

    A port that is taken gives way to a free one. Everything that was started ends with the context.

    Raises:
        UiError: nothing was made yet, or the UI does not answer in two minutes; names the log file.
    """
    if not paths.warehouse.is_file():
        raise UiError(f"{paths.root} holds no warehouse yet: run `make demo` first")
    with Systems(paths) as systems, environment(paths, systems.env), instance(paths):
        if not (paths.docs / "index.html").is_file():
            generate_docs(Settings.from_env())
        with _docs(paths.docs, free_port(docs_port)) as docs, _dagster(paths, free_port(port)) as dagster:
            yield dagster, docs


def open_ui(paths: Paths, console: Console, port: int = 3000, docs_port: int = 3001) -> None:
    """Serve until interrupted."""
    with console.status("starting the Dagster UI and the dbt docs"):
        context = serve_ui(paths, port, docs_port)
        dagster, docs = context.__enter__()
    try:
        console.print(f"Dagster UI  [link={dagster}]{dagster}[/link]")
        console.print(f"dbt docs    [link={docs}]{docs}[/link]")
        console.print("[dim]Ctrl-C ends both.[/dim]")
        stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        while not stop.wait(1):
            pass
    except KeyboardInterrupt:
        console.print("ending …")
    finally:
        context.__exit__(None, None, None)


@contextmanager
def _docs(folder: Path, port: int) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", port), partial(_QuietHandler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def _dagster(paths: Paths, port: int) -> Iterator[str]:
    log = paths.dagster / "ui.log"
    command = [str(Path(sys.executable).with_name("dagster")), "dev"]
    command += ["-w", str(REPOSITORY / "workspace.yaml"), "-h", "127.0.0.1", "-p", str(port)]
    command += ["--log-level", "warning"]
    address = f"http://127.0.0.1:{port}"
    with open(log, "w") as out:
        # A session of its own, so that the whole group (webserver, daemon, code servers) ends together.
        process = subprocess.Popen(
            command, cwd=REPOSITORY, env=dict(os.environ), stdout=out, stderr=out, start_new_session=True
        )
        try:
            _wait(process, address, log)
            yield address
        finally:
            _end(process)


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if httpx.get(f"{address}/server_info", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.5)
    raise UiError(f"the Dagster UI did not come up: read {log}")


def _end(process: subprocess.Popen[bytes]) -> None:
    for signum, seconds in ((signal.SIGINT, 20), (signal.SIGKILL, 5)):
        try:
            os.killpg(process.pid, signum)
            process.wait(seconds)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def free_port(preferred: int) -> int:
    """``preferred`` when nothing listens there, else a free one."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise UiError("no port is free on 127.0.0.1")
