"""One running utility for all tests that only talk to it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

import paramiko
import pytest

from connectors.paths import Paths
from demo.systems import Systems


@pytest.fixture(scope="session")
def systems(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Systems]:
    with Systems(Paths(tmp_path_factory.mktemp("utility") / "data")) as running:
        yield running


@pytest.fixture
def open_sftp() -> Iterator[Callable[..., paramiko.SFTPClient]]:
    """Opens sessions whose host key is pinned to the published one; closes them after the test."""
    transports: list[paramiko.Transport] = []

    def open_session(env: dict[str, str], password: str | None = None) -> paramiko.SFTPClient:
        algorithm, _, encoded = env["GRIDCRM_SFTP_HOST_KEY"].partition(" ")
        transport = paramiko.Transport((env["GRIDCRM_SFTP_HOST"], int(env["GRIDCRM_SFTP_PORT"])))
        transports.append(transport)
        transport.connect(
            hostkey=paramiko.PKey.from_type_string(algorithm, base64.b64decode(encoded)),
            username=env["GRIDCRM_SFTP_USERNAME"],
            password=env["GRIDCRM_SFTP_PASSWORD"] if password is None else password,
        )
        client = paramiko.SFTPClient.from_transport(transport)
        assert client is not None
        return client

    yield open_session
    for transport in transports:
        transport.close()


@pytest.fixture
def pg_url() -> Callable[..., Any]:
    """A SQLAlchemy URL for one of the databases."""
    from sqlalchemy import URL

    def make(env: dict[str, str], database: str, **changes: Any) -> URL:
        return URL.create(
            "postgresql+psycopg2",
            username=env["GRIDCRM_PG_USERNAME"],
            password=env["GRIDCRM_PG_PASSWORD"],
            host=env["GRIDCRM_PG_HOST"],
            port=int(env["GRIDCRM_PG_PORT"]),
            database=database,
        ).set(**changes)

    return make
