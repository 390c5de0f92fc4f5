"""A raw table that nobody brings up to date turns red in a real instance, by Dagster's own daemon."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.freshness import FreshnessState
from dagster._core.test_utils import create_test_daemon_workspace_context, freeze_time, instance_for_test
from dagster._core.workspace.load_target import PythonFileTarget
from dagster._daemon.freshness import FreshnessDaemon

from orchestration.settings import HERE

LOCATION = """
import dagster as dg
from orchestration.components import FeedTree
from orchestration.gateway import Gateway
from orchestration.settings import Settings

settings = Settings.from_env()
defs = dg.Definitions.merge(
    FeedTree.of(settings).definitions(), dg.Definitions(resources={"gateway": Gateway.of(settings)})
)
"""
KEY = dg.AssetKey(["raw", "oms", "outage"])


def test_a_stale_table_turns_red(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "location.py").write_text(LOCATION)
    monkeypatch.setenv("GRIDCRM_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(HERE.parent)
    template = yaml.safe_load((HERE.parent / "dagster.yaml").read_text())
    assert template["freshness"] == {"enabled": True}
    target = PythonFileTarget(str(tmp_path / "location.py"), None, str(HERE.parent), "batch")
    now = datetime.now(UTC)
    with (
        instance_for_test(overrides={"freshness": template["freshness"]}) as instance,
        create_test_daemon_workspace_context(target, instance) as workspace,
    ):

        def state_after(hours: float) -> FreshnessState:
            with freeze_time(now + timedelta(hours=hours)):
                list(FreshnessDaemon().run_iteration(workspace))
            found = instance.get_freshness_state_records([KEY])
            return found[KEY].freshness_state

        assert state_after(0) == FreshnessState.UNKNOWN
        instance.report_runless_asset_event(dg.AssetMaterialization(KEY))
        deadline = time.monotonic() + 30
        while instance.get_latest_materialization_event(KEY) is None:
            assert time.monotonic() < deadline
        # The feed of outages warns after 54 hours of silence and fails after 102.
        assert state_after(1) == FreshnessState.PASS
        assert state_after(60) == FreshnessState.WARN
        assert state_after(103) == FreshnessState.FAIL
