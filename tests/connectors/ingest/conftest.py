"""Servers and an Ingest over them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.ingest import Ingest
from connectors.paths import Paths
from tests.support.http_server import EventServer, serve_events
from tests.support.ingest import make_connections
from tests.support.mariadb import MariaDbTestServer, serve_mariadb, why_not
from tests.support.postgres import PostgresTestServer, serve_postgres
from tests.support.sftp_server import SftpTestServer, serve_sftp


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SftpTestServer]:
    (tmp_path / "remote" / "out").mkdir(parents=True)
    with serve_sftp(tmp_path / "remote") as running:
        yield running


@pytest.fixture
def out(server: SftpTestServer) -> Path:
    """The folder the feed looks into."""
    return server.root / "out"


@pytest.fixture
def ingest(tmp_path: Path, paths: Paths, server: SftpTestServer) -> Iterator[Ingest]:
    opened = Ingest(paths, make_connections(tmp_path, server.connection()))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresTestServer]:
    with serve_postgres() as running:
        yield running


@pytest.fixture
def events() -> Iterator[EventServer]:
    with serve_events() as running:
        yield running


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDbTestServer]:
    if reason := why_not():
        pytest.skip(reason)
    with serve_mariadb() as running:
        yield running
