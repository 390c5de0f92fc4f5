"""dbt's manifest, parsed when it must be and never twice.

Belongs here: deciding whether the manifest is good and making it. Does not belong here: building models.

A parse costs seconds of CPU, and every worker process loads the definitions: so the manifest is made only
where it is absent or older than a file of the project, by one process while the others wait. In production
it is part of what was installed; there it is only read.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

from dagster_dbt import DbtProject

from connectors.errors import GridCRMError
from orchestration.settings import Settings

# The one of this environment, whether or not somebody activated it.
DBT = str(Path(sys.executable).with_name("dbt"))
SOURCES = ("models", "macros", "tests", "seeds", "snapshots")


class ManifestError(GridCRMError):
    """The manifest is absent where it must be there, or dbt could not parse the project."""


def prepared_project(settings: Settings) -> DbtProject:
    """The dbt project with a manifest that fits its files.

    Raises:
        ManifestError: in production without a manifest; elsewhere when ``dbt parse`` fails.
    """
    # dbt renders env_var('GRIDCRM_DATA') in the profile and the sources; it inherits these variables.
    os.environ["GRIDCRM_DATA"] = str(settings.paths.root)
    settings.paths.root.mkdir(parents=True, exist_ok=True)
    folder = settings.dbt_project
    manifest = folder / "target" / "manifest.json"
    if settings.deployment == "production":
        if not manifest.is_file():
            raise ManifestError(f"{manifest} is not there: run `make manifest` when you build the deployment")
    elif is_stale(folder, manifest):
        _parse_once(folder, manifest)
    return DbtProject(project_dir=folder, profiles_dir=folder)


def is_stale(folder: Path, manifest: Path) -> bool:
    """Whether the manifest is absent or a file of the project is newer."""
    if not manifest.is_file():
        return True
    made = manifest.stat().st_mtime
    files = [folder / "dbt_project.yml", folder / "profiles.yml"]
    files += [f for part in SOURCES for f in (folder / part).rglob("*") if f.is_file()]
    return any(f.stat().st_mtime > made for f in files if f.exists())


def _parse_once(folder: Path, manifest: Path) -> None:
    manifest.parent.mkdir(parents=True, exist_ok=True)
    with open(manifest.parent / ".parse.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_stale(folder, manifest):
            return
        command = [DBT, "--quiet", "parse", "--profiles-dir", str(folder), "--project-dir", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-12:])
            raise ManifestError(f"dbt cannot parse {folder.name}: mend the file it names\n{last}")
        manifest.touch()
