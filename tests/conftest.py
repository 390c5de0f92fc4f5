"""Fixtures every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.paths import Paths

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def realdata() -> Path:
    """The folder of real sample files beside the repository; the test skips where it is absent."""
    folder = REPOSITORY.parent / "shared" / "realdata"
    if not folder.is_dir():
        pytest.skip(f"real sample files are not here: {folder.name} beside the repository is absent")
    return folder


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """A data root of its own."""
    return Paths(tmp_path / "data")
