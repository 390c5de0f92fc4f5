"""Fixtures of the tests with a hostile SFTP server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hostile_sftp import DATA, HostileServer, serve_hostile


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HostileServer]:
    with serve_hostile(tmp_path / "remote", {"a.csv": DATA}) as running:
        yield running


@pytest.fixture
def no_traceback(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """No thread of ours or of paramiko's prints one."""
    yield
    assert "Traceback" not in "".join(capfd.readouterr())
