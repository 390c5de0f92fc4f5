"""What a deployment may set, read from the environment once, where definitions are built.

Belongs here: names, defaults and meaning of the environment variables. Does not belong here: secrets and
hosts, which stand in ``connections.yaml`` as ``{env: NAME}`` and are read when a connection is opened.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from connectors.errors import GridCRMError
from connectors.paths import Paths

HERE = Path(__file__).resolve().parent
DEPLOYMENTS = ("development", "demo", "production")


class SettingsError(GridCRMError):
    """A setting has a value that means nothing."""


@dataclass(frozen=True)
class Settings:
    """Everything :func:`orchestration.definitions.build_defs` needs to know of its surroundings."""

    paths: Paths
    feeds: Path
    pushes: Path
    connections: Path
    dbt_project: Path
    deployment: str
    first_business_date: date
    time_zone: str

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Settings:
        """Read ``GRIDCRM_*``; every variable has a default that suits development.

        Raises:
            SettingsError: a deployment that is not known, or a date that is none.
        """
        values = os.environ if env is None else env
        deployment = values.get("GRIDCRM_DEPLOYMENT") or "development"
        if deployment not in DEPLOYMENTS:
            raise SettingsError(
                f"GRIDCRM_DEPLOYMENT is {deployment!r}: set it to one of {', '.join(DEPLOYMENTS)}"
            )
        first = values.get("GRIDCRM_FIRST_BUSINESS_DATE") or "2026-01-01"
        try:
            first_business_date = date.fromisoformat(first)
        except ValueError:
            raise SettingsError(f"GRIDCRM_FIRST_BUSINESS_DATE is {first!r}: write it as YYYY-MM-DD") from None
        return cls(
            paths=Paths.from_env(values),
            feeds=Path(values.get("GRIDCRM_FEEDS") or HERE / "feeds").resolve(),
            pushes=Path(values.get("GRIDCRM_PUSHES") or HERE / "pushes").resolve(),
            connections=Path(values.get("GRIDCRM_CONNECTIONS") or HERE / "connections.yaml").resolve(),
            dbt_project=Path(values.get("GRIDCRM_DBT_PROJECT") or HERE.parent / "dbt_project").resolve(),
            deployment=deployment,
            first_business_date=first_business_date,
            time_zone=values.get("GRIDCRM_TIME_ZONE") or "America/Chicago",
        )

    @property
    def is_dry_run_default(self) -> bool:
        """Outside production and the demo, which pushes to its own servers, nothing is written unasked."""
        return self.deployment == "development"

    def environment(self) -> dict[str, str]:
        """The variables that connections may name: the process's own, over those of the environment file.

        The file is ``GRIDCRM_ENV_FILE``; outside production also the one that the demo's servers leave in
        the data root, so that the UI, the doctor and the sensors find them without further set-up.
        """
        named = os.environ.get("GRIDCRM_ENV_FILE")
        file = Path(named) if named else self.paths.demo / "demo.env"
        if named and not file.is_file():
            raise SettingsError(f"GRIDCRM_ENV_FILE names {file}, which is not there: create it or unset it")
        if not named and self.deployment == "production":
            return dict(os.environ)
        return read_env_file(file) | dict(os.environ)


def read_env_file(file: Path) -> dict[str, str]:
    """``NAME=value`` lines; blank lines and ``#`` comments are passed over; an absent file is empty."""
    if not file.is_file():
        return {}
    pairs = (line.split("=", 1) for line in file.read_text().splitlines() if "=" in line and line[0] != "#")
    return {name.strip(): value.strip() for name, value in pairs}
