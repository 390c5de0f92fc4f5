"""The process that serves all simulated systems until it is told to end, or its parent dies.

Belongs here: the order of start and stop, the lock, the signals. Does not belong here: how each server works.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
from collections.abc import Callable, Generator
from typing import Any

from connectors.paths import Paths
from demo.systems import sftp
from demo.systems.campaign import CampaignServer, CampaignStore, RateLimit, campaign_app
from demo.systems.environment import (
    HOST,
    INCOMING,
    USERNAME,
    Credentials,
    Places,
    free_port,
    listen,
    read_env,
    remembered_port,
    write_env,
    write_private,
)
from demo.systems.errors import SystemsError
from demo.systems.postgres import PostgresServer

Announce = Callable[[dict[str, Any]], None]


class AlreadyServed(SystemsError):  # noqa: N818 - a state of affairs rather than a fault
    """Another process serves this data root."""


async def serve(paths: Paths, limit: RateLimit, announce: Announce, parent: int | None = None) -> None:
    """Serve until SIGTERM or SIGINT, until process ``parent`` is no longer our parent, or a server fails.

    ``announce`` is called once, when everything answers, with ``{"event": "ready", "pid": …, "env": …}``.
    Raises :class:`AlreadyServed` when another process has the lock of this data root, and
    :class:`SystemsError` when a server cannot start or ends by itself.
    """
    places = Places.of(paths)
    places.create()
    with _lock(places):
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        await _serve_locked(places, limit, announce, parent, stopping)


async def _serve_locked(
    places: Places, limit: RateLimit, announce: Announce, parent: int | None, stopping: asyncio.Event
) -> None:
    credentials = Credentials.load_or_create(places)
    before = read_env(places.env_file)
    sftp_socket = listen(remembered_port(before, "GRIDCRM_SFTP_PORT"))
    campaign_socket = listen(remembered_port(before, "GRIDCRM_CAMPAIGN_URL"))
    postgres = PostgresServer(
        places, free_port(remembered_port(before, "GRIDCRM_PG_PORT")), credentials.pg_password
    )
    key = sftp.host_key(places.host_key_file)
    store = CampaignStore(places.campaign_db)
    campaign = CampaignServer(campaign_app(store, credentials.campaign_token, limit), campaign_socket)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(store.close)
        stack.push_async_callback(postgres.stop)
        await postgres.start()
        files = sftp.SftpServer(places.sftp, key, credentials.sftp_password, writable=INCOMING)
        stack.push_async_callback(files.stop)
        await files.start(sftp_socket)
        serving = asyncio.create_task(campaign.serve())
        stack.push_async_callback(lambda: serving)
        stack.callback(campaign.stop)
        while not campaign.is_up and not serving.done():
            await asyncio.sleep(0.01)
        env = {
            "GRIDCRM_SFTP_HOST": HOST,
            "GRIDCRM_SFTP_PORT": str(sftp_socket.getsockname()[1]),
            "GRIDCRM_SFTP_USERNAME": USERNAME,
            "GRIDCRM_SFTP_PASSWORD": credentials.sftp_password,
            "GRIDCRM_SFTP_HOST_KEY": sftp.public_host_key(key),
            "GRIDCRM_PG_HOST": HOST,
            "GRIDCRM_PG_PORT": str(postgres.port),
            "GRIDCRM_PG_USERNAME": USERNAME,
            "GRIDCRM_PG_PASSWORD": credentials.pg_password,
            "GRIDCRM_CAMPAIGN_URL": f"http://{HOST}:{campaign_socket.getsockname()[1]}",
            "GRIDCRM_CAMPAIGN_TOKEN": credentials.campaign_token,
        }
        write_env(places.env_file, env)
        write_private(places.running_file, json.dumps({"pid": os.getpid()}))
        stack.callback(places.running_file.unlink, missing_ok=True)
        announce({"event": "ready", "pid": os.getpid(), "env": env})
        await _until_told(stopping, parent, postgres, serving)


async def _until_told(
    stopping: asyncio.Event, parent: int | None, postgres: PostgresServer, serving: asyncio.Task[None]
) -> None:
    """Wait for the first reason to end; a server that ended by itself is a failure."""
    told = asyncio.create_task(stopping.wait())
    orphaned = asyncio.create_task(_parent_gone(parent))
    database_ended = asyncio.create_task(postgres.wait())
    reasons = {told, orphaned, database_ended, serving}
    done, _ = await asyncio.wait(reasons, return_when=asyncio.FIRST_COMPLETED)
    for task in reasons - done - {serving}:
        task.cancel()
    if database_ended in done and told not in done:
        raise SystemsError(f"PostgreSQL ended by itself (code {database_ended.result()}): see its log")
    if serving in done and told not in done:
        raise SystemsError("the campaign tool ended by itself: see the log of the systems")


async def _parent_gone(parent: int | None) -> None:
    """Return once ``parent`` is no longer the parent of this process; never without one."""
    while parent is None or os.getppid() == parent:
        await asyncio.sleep(0.2)


@contextlib.contextmanager
def _lock(places: Places) -> Generator[None]:
    """One serving process a data root. The lock ends with the process, however that ends."""
    with places.lock_file.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyServed(f"another process serves the systems of {places.root}") from None
        places.running_file.unlink(missing_ok=True)  # a killed process may have left it
        yield
