"""The dbt docs as one page.

Belongs here: generating it. Does not belong here: serving it (demo/ui.py; in production any web server).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from connectors.errors import GridCRMError
from orchestration.dbt_manifest import DBT
from orchestration.settings import Settings


class DocsError(GridCRMError):
    """dbt could not generate the docs."""


def generate_docs(settings: Settings) -> Path:
    """Write ``docs/index.html`` under the data root: models, columns, tests and lineage in one file.

    Reads the catalog of the warehouse, so no build may run meanwhile.

    Raises:
        DocsError: dbt's own last lines.
    """
    folder = settings.dbt_project
    target = settings.paths.root / "dbt_target"
    command = [DBT, "--quiet", "docs", "generate", "--static"]
    command += ["--project-dir", str(folder), "--profiles-dir", str(folder), "--target-path", str(target)]
    env = dict(os.environ) | {"GRIDCRM_DATA": str(settings.paths.root)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        raise DocsError(f"dbt docs could not be generated:\n{last}")
    settings.paths.docs.mkdir(parents=True, exist_ok=True)
    page = settings.paths.docs / "index.html"
    shutil.copyfile(target / "static_index.html", page)
    return page
