"""Whether the systems that are configured answer, and let us do what feeds and pushes need.

Belongs here: logging in, listing the directories of feeds and pushes, reading the first byte of a file and
the first event of a stream, looking at tables. Nothing is written or taken. Does not belong here: how a
system is spoken to (``connectors.transport``).
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
from connectors.ingest.complete import Completeness
from connectors.ingest.settings import FileConfig, HttpFeedConfig
from connectors.transport.http import HttpTransport
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
    else:
        found += _events(connection, feeds)
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
    wanted: list[tuple[str, str, str, FileConfig | None]]
    wanted = [("feeds", feed.name, feed.file.directory, feed.file) for feed in feeds if feed.file is not None]
    wanted += [
        ("pushes", push.name, directory, None)
        for push in pushes
        if isinstance(directory := getattr(push.destination, "directory", None), str)
    ]
    if not wanted:
        return
    with SftpTransport(connection) as sftp:
        for area, name, directory, file in wanted:
            advice = (
                f"make {directory} on the server of {connection.name}, and let {connection.username} list it"
                + (" and read its files" if file else "")
            )
            yield _finding(area, name, partial(_listed, sftp, directory, file), advice)


def _listed(sftp: SftpTransport, directory: str, file: FileConfig | None) -> str:
    """List a directory; of a feed's files, read the first byte of the newest."""
    listing = sftp.list(directory)
    if file is None:
        return f"{directory}: {len(listing.files)} files"
    mine = [item for item in listing.files if Completeness(file).is_wanted(item.name)]
    counted = f"{directory}: {len(listing.files)} files, {len(mine)} of them the feed's"
    if not mine:
        return counted
    newest = max(mine, key=lambda item: item.modified_at)
    sftp.probe(newest.path)
    return f"{counted}; {newest.name} can be read"


def _events(connection: HttpConnection, feeds: Iterable[FeedConfig]) -> Iterator[Finding]:
    with HttpTransport(connection) as http:
        for feed in feeds:
            if feed.http is not None:
                advice = f"check the token of {connection.name} and its right to {feed.http.path}"
                yield _finding("feeds", feed.name, partial(_first_event, http, feed.http), advice)


def _first_event(http: HttpTransport, config: HttpFeedConfig) -> str:
    """Ask for one event, as the feed would: that needs the path, the token and its right."""
    pages = http.pages(
        config.path,
        cursor=None,
        cursor_parameter=config.cursor_parameter,
        limit_parameter=config.limit_parameter,
        page_size=1,
        records=config.records,
        next_cursor=config.next_cursor,
    )
    page = next(pages, None)
    return f"{config.path}: the token is accepted, {'there are events' if page else 'no event yet'}"


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
