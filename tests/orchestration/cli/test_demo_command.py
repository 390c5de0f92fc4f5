"""What gridcrm demo, ui and real hand on; what they do is tested beside it, and end to end."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from connectors.errors import GridCRMError
from orchestration.cli.main import app


def test_the_options_of_demo_reach_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from demo import flow

    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(flow, "run_demo", lambda *arguments: calls.append(arguments))
    arguments = [
        "--customers",
        "50",
        "--days",
        "3",
        "--end",
        "2026-11-10",
        "--seed",
        "7",
        "--data",
        str(tmp_path),
    ]
    done = CliRunner().invoke(app, ["demo", *arguments])
    assert done.exit_code == 0, done.output
    (paths, config, _console) = calls[0]
    assert paths.root == tmp_path.resolve()
    assert config == flow.DemoConfig(50, 3, date(2026, 11, 10), 7)


def test_demo_by_default_is_the_utility_of_the_readme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from demo import flow

    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(flow, "run_demo", lambda *arguments: calls.append(arguments))
    monkeypatch.setenv("GRIDCRM_DATA", str(tmp_path / "root"))
    assert CliRunner().invoke(app, ["demo"]).exit_code == 0
    assert calls[0][1] == flow.DemoConfig()
    assert calls[0][0].root == tmp_path / "root"


def test_a_demo_that_fails_says_so_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from demo import flow

    def fail(*_: Any) -> None:
        raise GridCRMError("job full: step raw_cis failed:\n  wrong trailer")

    monkeypatch.setattr(flow, "run_demo", fail)
    done = CliRunner().invoke(app, ["demo", "--data", str(tmp_path)])
    assert done.exit_code == 2
    assert done.stderr == "gridcrm: job full: step raw_cis failed: wrong trailer\n"


def test_real_wants_a_folder(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["real", str(tmp_path / "nowhere")])
    assert done.exit_code == 2
    assert "nowhere" in done.stderr


def test_ui_without_a_warehouse_says_what_to_do(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["ui", "--data", str(tmp_path)])
    assert done.exit_code == 2
    assert "make demo" in done.stderr
