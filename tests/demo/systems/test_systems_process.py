"""Starting, joining, ending: nothing is left behind, and addresses stay what they were."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from sqlalchemy import create_engine, text

from connectors.paths import Paths
from demo.systems import Systems, SystemsError
from demo.systems.environment import Places, listen
from demo.systems.postgres import PostgresServer

REPOSITORY = Path(__file__).resolve().parents[3]


def family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def assert_gone(processes: list[psutil.Process], seconds: float = 30.0) -> None:
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    assert [process.name() for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


def test_stop_leaves_no_process_and_a_new_start_has_the_same_addresses(paths):
    systems = Systems(paths)
    started = time.monotonic()
    systems.start()
    assert time.monotonic() - started < 30  # 0.8 s on a quiet machine; the bound is for a busy one
    first, processes = systems.env, family(systems.pid)
    assert any(process.name() == "postgres" for process in processes)
    assert systems.start().env == first  # idempotent
    systems.stop()
    systems.stop()
    assert_gone(processes, 2)
    assert systems.env == {}
    assert systems.pid is None
    with Systems(paths) as again:
        assert again.env == first


def test_a_port_that_was_taken_meanwhile_is_replaced(paths):
    with Systems(paths) as systems:
        before = systems.env
    with socket.socket() as squatter:
        # A connection of the server that just ended may still linger on the port.
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", int(before["GRIDCRM_PG_PORT"])))
        squatter.listen()
        with Systems(paths) as systems:
            changed = {name for name, value in systems.env.items() if before[name] != value}
    assert changed == {"GRIDCRM_PG_PORT"}


def test_a_database_whose_port_is_taken_while_it_starts_takes_another(paths):
    async def start_beside(squatter: socket.socket) -> tuple[int, int]:
        places = Places.of(paths)
        places.create()
        taken = squatter.getsockname()[1]
        server = PostgresServer(places, taken, "secret")
        try:
            await server.start()
            return taken, server.port
        finally:
            await server.stop()

    with listen(None) as squatter:
        taken, used = asyncio.run(start_beside(squatter))
    assert taken != used


@pytest.mark.skipif(
    sys.platform != "linux", reason="the server's own death is signalled to PostgreSQL on Linux"
)
def test_nothing_survives_a_serving_process_killed_outright(paths):
    systems = Systems(paths).start()
    processes = family(systems.pid)
    os.kill(systems.pid, signal.SIGKILL)
    assert_gone(processes)
    before = dict(systems.env)
    assert systems.start().env == before  # and the next start recovers
    systems.stop()


def test_no_orphan_when_the_parent_is_killed_outright(paths):
    script = (
        "import sys, time; from pathlib import Path; from connectors.paths import Paths;"
        "from demo.systems import Systems; systems = Systems(Paths(Path(sys.argv[1]))).start();"
        "print(systems.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(paths.root)], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    ) as parent:
        assert parent.stdout is not None
        processes = family(int(parent.stdout.readline()))
        parent.kill()
    assert_gone(processes)
    assert not (paths.demo / "systems.json").exists()


def test_a_second_one_joins_and_leaves_the_first_running(paths):
    with Systems(paths) as first:
        with Systems(paths) as second:
            assert second.is_joined
            assert second.pid is None
            assert second.env == first.env
        assert psutil.pid_exists(first.pid)


def test_foreground_serves_until_sigterm(paths):
    with subprocess.Popen(
        [sys.executable, "-m", "demo.systems", "--data", str(paths.root)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    ) as process:
        assert process.stdout is not None
        shown = "".join(iter(lambda: process.stdout.readline(), "")) if process.poll() else ""
        while "Ctrl-C" not in shown:
            line = process.stdout.readline()
            assert line, "the systems ended instead of serving"
            shown += line
        processes = family(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    assert "GRIDCRM_SFTP_PORT=" in shown
    assert "PASSWORD" not in shown
    assert_gone(processes, 2)


def test_a_data_root_below_a_closed_folder_works_and_stays_closed(tmp_path, pg_url):
    # As root the database runs under another account, which may not pass such a folder.
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    with Systems(Paths(home / "data")) as systems:
        engine = create_engine(pg_url(systems.env, "crm"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text("checkpoint"))
            connection.execute(text("create database another"))
        engine.dispose()
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_lost_credentials_are_one_clear_line(paths):
    with Systems(paths):
        pass
    (paths.demo / "credentials.json").unlink()
    with pytest.raises(SystemsError, match=r"credentials\.json is gone.*make clean"):
        Systems(paths).start()


def test_changed_credentials_are_one_clear_line(paths):
    with Systems(paths):
        pass
    file = paths.demo / "credentials.json"
    file.write_text('{"sftp_password": "a", "pg_password": "b", "campaign_token": "c"}')
    with pytest.raises(SystemsError, match="another password"):
        Systems(paths).start()


def test_an_interrupted_initdb_is_made_good(paths: Paths):
    (paths.demo / "postgres/base").mkdir(parents=True)
    with Systems(paths) as systems:
        assert systems.env["GRIDCRM_PG_PORT"]
