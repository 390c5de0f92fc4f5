"""Whether the systems that are configured answer, and let us do what feeds and pushes need.

Belongs here: logging in, listing the directories of feeds and pushes, looking at their tables. Nothing is
written and no file is read. Does not belong here: how a system is spoken to (``connectors.transport``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

import sqlalchemy as sa

from connectors.activation import PushConfig
from connectors.connections import Connection, HttpConnection, SftpConnection, SqlConnection, check
from connectors.destinations.settings import SqlSettings
from connectors.errors import GridCRMError
from connectors.ingest import FeedConfig
from connectors.transport.sftp import SftpTransport
from connectors.transport.sql import SqlTransport
from orchestration.cli.checks import Configuration, Finding

WORKERS: Final = 8
"""Systems asked at once: one that does not answer holds up no other."""

WRITES: Final = ("INSERT", "UPDATE", "DELETE")


def reach(configured: Configuration) -> Iterator[Finding]:
    """Every connection in the order of its file: does it answer, and may we do there what is configured."""
    if configured.connections is None:
        return
    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        for findings in pool.map(lambda name: _connection(name, configured), configured.connections.names):
            yield from findings


def _connection(name: str, configured: Configuration) -> list[Finding]:
    if configured.connections is None:
        return []
    try:
        connection = configured.connections.get(name)
    except GridCRMError as error:
        return [
            Finding(
                "connections", name, "wrong", str(error), "set it, or start the demo's systems: `make ui`"
            )
        ]
    result = check(connection)
    if not result.ok:
        return [Finding("connections", name, "wrong", result.message, _advice(connection))]
    feeds = [feed for feed in configured.feeds.values() if feed.connection == name]
    pushes = [push for push in configured.pushes.values() if push.destination.connection == name]
    found = [Finding("connections", name, "ok", result.message)]
    if isinstance(connection, SftpConnection):
        found += _directories(connection, feeds, pushes)
    elif isinstance(connection, SqlConnection):
        found += _tables(connection, feeds, pushes)
    return found


def _advice(connection: Connection) -> str:
    if isinstance(connection, SftpConnection):
        return "check host, port, user and the pinned host key in connections.yaml, and that the server runs"
    if isinstance(connection, HttpConnection):
        return "check base_url and token in connections.yaml, and that the service runs"
    return "check host, port, user and password in connections.yaml, and that the database runs"


def _directories(
    connection: SftpConnection, feeds: Iterable[FeedConfig], pushes: Iterable[PushConfig]
) -> Iterator[Finding]:
    wanted = [("feeds", feed.name, feed.file.directory) for feed in feeds if feed.file is not None]
    wanted += [
        ("pushes", push.name, directory)
        for push in pushes
        if isinstance(directory := getattr(push.destination, "directory", None), str)
    ]
    if not wanted:
        return
    with SftpTransport(connection) as sftp:
        for area, name, directory in wanted:
            advice = (
                f"make {directory} on the server of {connection.name}, and let {connection.username} list it"
            )
            yield _finding(area, name, partial(_listed, sftp, directory), advice)


def _listed(sftp: SftpTransport, directory: str) -> str:
    return f"{directory}: {len(sftp.list(directory).files)} files"


def _tables(
    connection: SqlConnection, feeds: Iterable[FeedConfig], pushes: Iterable[PushConfig]
) -> Iterator[Finding]:
    with SqlTransport(connection) as sql:
        for feed in feeds:
            advice = f"grant {connection.username} select on it, or correct the feed"
            yield _finding("feeds", feed.name, partial(_readable, sql, feed), advice)
        for push in pushes:
            if isinstance(push.destination, SqlSettings):
                advice = f"make the table, or grant {connection.username} insert, update and delete on it"
                yield _finding("pushes", push.name, partial(_writable, sql, push, push.destination), advice)


def _readable(sql: SqlTransport, feed: FeedConfig) -> str:
    """Select no row of every table and column of a feed; that needs the table, the columns and the right."""
    schema = feed.sql.schema_name if feed.sql is not None else None
    with sql.engine.connect() as session:
        for name, table in feed.tables.items():
            columns: list[sa.ColumnElement[Any]] = [sa.column(column) for column in table.columns]
            with sql.clear(f"look at table {table.name or name}"):
                session.execute(
                    sa.select(*columns).select_from(sa.table(table.name or name, schema=schema)).limit(0)
                )
    return f"{len(feed.tables)} tables of {schema or sql.connection.database} can be read"


def _writable(sql: SqlTransport, push: PushConfig, destination: SqlSettings) -> str:
    table = sa.table(destination.table, schema=destination.db_schema)
    columns: list[sa.ColumnElement[Any]] = [sa.column(name) for name in push.columns]
    with sql.clear(f"look at table {destination.target}"), sql.engine.connect() as session:
        session.execute(sa.select(*columns).select_from(table).limit(0))
        if sql.engine.dialect.name == "postgresql":
            missing = [
                right.lower()
                for right in WRITES
                if not session.execute(
                    sa.select(sa.func.has_table_privilege(destination.target, right))
                ).scalar_one()
            ]
            if missing:
                raise GridCRMError(f"no right to {', '.join(missing)} in {destination.target}")
    return f"{destination.target} can be written"


def _finding(area: str, name: str, look: Callable[[], str], advice: str) -> Finding:
    try:
        return Finding(area, name, "ok", look())
    except GridCRMError as error:
        return Finding(area, name, "wrong", str(error), advice)
