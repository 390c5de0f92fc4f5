"""Real servers for destinations: PostgreSQL, SFTP, and a campaign tool with a temper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.connectors.destinations.audience_server import AudienceServer, serve_audience
from tests.support.postgres import PostgresTestServer, serve_postgres
from tests.support.sftp_server import SftpTestServer, serve_sftp


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresTestServer]:
    with serve_postgres() as server:
        yield server


@pytest.fixture
def database(postgres: PostgresTestServer) -> str:
    return postgres.create_database()


@pytest.fixture
def sftp(tmp_path: Path) -> Iterator[SftpTestServer]:
    root = tmp_path / "sftp"
    (root / "incoming").mkdir(parents=True)
    with serve_sftp(root) as server:
        yield server


@pytest.fixture
def audience() -> Iterator[AudienceServer]:
    with serve_audience() as server:
        yield server
