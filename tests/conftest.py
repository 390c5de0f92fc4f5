"""Fixtures every test may use, and how the tests share two cores."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from connectors.paths import Paths

REPOSITORY = Path(__file__).resolve().parent.parent

# Two workers fill two cores: threads of OpenMP and BLAS, which spin while they wait for each other, made the
# tests of scores take three times as long. Read when numpy and scikit-learn are first imported, so set here.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

COSTLY = ("warehouse", "scored", "systems", "real_world", "clean_world", "simulated", "cases", "defs")
"""Fixtures that take seconds to make: the tests of one of them run in one process, which makes it once."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Keep together what shares a costly fixture; a test that names its own group keeps it."""
    for item in items:
        used = [name for name in COSTLY if name in getattr(item, "fixturenames", ())]
        if used and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(used[0]))


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
