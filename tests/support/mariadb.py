"""A real MariaDB on 127.0.0.1 with a password, where Debian's ``mariadb-server`` is installed.

Its own data directory in a temporary folder, without any option file of the machine.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from connectors.connections import SqlConnection
from tests.support.postgres import die_with_parent, free_port

USERNAME = "gridcrm"
_PLACES = ("/usr/sbin", "/usr/bin", "/usr/local/bin", "/usr/local/sbin")


class MariaDbTestServer:
    """A running server; ``create_database()`` makes an empty database of its own for a test."""

    def __init__(self, port: int, password: str) -> None:
        self.port = port
        self.password = password

    def connection(self, database: str, name: str = "test_sql", **changes: Any) -> SqlConnection:
        values = {
            "name": name,
            "drivername": "mysql+pymysql",
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
        with self.engine("mysql").begin() as session:
            session.execute(sa.text(f"create database {name} character set utf8mb4"))
        return name


def why_not() -> str | None:
    """Why there is no server on this machine, None when there is one."""
    missing = [name for name in ("mariadbd", "mariadb-install-db") if _find(name) is None]
    return f"{' and '.join(missing)} not installed (Debian: mariadb-server)" if missing else None


@contextmanager
def serve_mariadb() -> Iterator[MariaDbTestServer]:
    server, installer = _find("mariadbd"), _find("mariadb-install-db")
    assert server is not None
    assert installer is not None
    folder = Path(tempfile.mkdtemp(prefix="gridcrm-my-"))
    user = pwd.getpwuid(os.geteuid()).pw_name
    password, port, data = secrets.token_hex(8), free_port(), folder / "data"
    first = folder / "first.sql"
    first.write_text(
        f"create user {USERNAME}@'127.0.0.1' identified by '{password}';\n"
        f"grant all on *.* to {USERNAME}@'127.0.0.1' with grant option;\n"
    )
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}
    install = [installer, "--no-defaults", f"--datadir={data}", f"--user={user}", "--skip-test-db"]
    command = [server, "--no-defaults", f"--datadir={data}", f"--user={user}", f"--port={port}"]
    command += [f"--socket={folder}/sock", f"--pid-file={folder}/pid", "--bind-address=127.0.0.1"]
    command += [f"--init-file={first}", "--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0"]
    command += ["--innodb-buffer-pool-size=128M", "--performance-schema=OFF"]
    try:
        subprocess.run(install, check=True, **quiet)
        process = subprocess.Popen(command, preexec_fn=die_with_parent(), **quiet)
        try:
            running = MariaDbTestServer(port, password)
            _wait(running)
            yield running
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _find(name: str) -> str | None:
    path = os.pathsep.join([os.environ.get("PATH", ""), *_PLACES])
    return shutil.which(name, path=path)


def _wait(server: MariaDbTestServer) -> None:
    for _ in range(400):
        try:
            server.engine("mysql").connect().close()
        except sa.exc.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("MariaDB did not start")
