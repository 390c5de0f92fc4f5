"""One small utility, made once by the command that a user types, looked at from many sides."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from connectors.paths import Paths

REPOSITORY = Path(__file__).resolve().parents[2]
CUSTOMERS, DAYS = "300", "35"
# Two such commands may share two cores with a test run; alone each takes well under two minutes.
MOST_SECONDS = 800


@dataclass(frozen=True)
class Demo:
    """What ``gridcrm demo`` left and said."""

    paths: Paths
    said: str

    def again(self) -> subprocess.CompletedProcess[str]:
        """The same command once more."""
        return run_gridcrm("demo", "--customers", CUSTOMERS, "--days", DAYS, "--data", str(self.paths.root))


def run_gridcrm(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """The installed command in a process of its own, with an environment that knows no deployment."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("GRIDCRM_", "DAGSTER_HOME"))}
    command = [str(Path(sys.executable).with_name("gridcrm")), *arguments]
    return subprocess.run(
        command,
        cwd=REPOSITORY,
        env=clean | env,
        capture_output=True,
        text=True,
        check=False,
        timeout=MOST_SECONDS,
    )


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    root = tmp_path_factory.mktemp("demo")
    done = run_gridcrm("demo", "--customers", CUSTOMERS, "--days", DAYS, "--data", str(root))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return Demo(Paths(root), done.stdout)
