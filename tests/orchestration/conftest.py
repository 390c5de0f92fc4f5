"""The definitions as they are deployed, built once."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from orchestration.settings import Settings


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    root: Path = tmp_path_factory.mktemp("data")
    return Settings.from_env({"GRIDCRM_DATA": str(root), "GRIDCRM_DEPLOYMENT": "demo"})


@pytest.fixture(scope="session")
def defs(settings: Settings) -> dg.Definitions:
    from orchestration.definitions import build_defs

    return build_defs(settings)
