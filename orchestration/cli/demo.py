"""``gridcrm demo``, ``real``, ``ui`` and ``docs``: the product over the simulated utility, over real files,
and to look at.

Belongs here: the options and their defaults. Does not belong here: what they do, which is the package
``demo``.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from connectors.paths import Paths

DataOption = Annotated[Path | None, typer.Option(help="The data root; by default GRIDCRM_DATA or ./data.")]


def demo(
    customers: Annotated[int, typer.Option(min=1, max=1_000_000, help="Customers of the utility.")] = 1_000,
    days: Annotated[int, typer.Option(min=1, help="Days of meter readings.")] = 90,
    end: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The last business date.")] = datetime(
        2026, 11, 15
    ),
    seed: Annotated[int, typer.Option(help="The same seed gives the same utility.")] = 20_261_115,
    data: DataOption = None,
) -> None:
    """Play a utility from end to end: its systems, the night's files, scores, pushes, and what came back."""
    from demo.flow import DemoConfig, run_demo
    from demo.runs import terminal

    run_demo(_paths(data), DemoConfig(customers, days, end.date(), seed), terminal())


def real(
    directory: Annotated[
        Path, typer.Argument(help="The folder of real sample files.", exists=True, file_okay=False)
    ],
    data: DataOption = None,
) -> None:
    """Serve the real files of DIRECTORY from the same SFTP server and take them through the same job."""
    from demo.real import run_real
    from demo.runs import terminal

    run_real(_paths(data), directory, terminal())


def ui(
    data: DataOption = None,
    port: Annotated[int, typer.Option(help="Port of the Dagster UI; a free one when it is taken.")] = 3000,
    docs_port: Annotated[int, typer.Option(help="Port of the dbt docs.")] = 3001,
) -> None:
    """Open the Dagster UI and the dbt docs on loopback, over what the demo made."""
    from demo.runs import terminal
    from demo.ui import open_ui

    open_ui(_paths(data), terminal(), port, docs_port)


def docs(data: DataOption = None) -> None:
    """Generate the dbt docs as one page that opens without a server."""
    import os

    from orchestration.docs_page import generate_docs
    from orchestration.settings import Settings

    typer.echo(generate_docs(Settings.from_env(dict(os.environ) | {"GRIDCRM_DATA": str(_paths(data).root)})))


def _paths(data: Path | None) -> Paths:
    from connectors.paths import Paths

    return Paths(data.resolve()) if data is not None else Paths.from_env()
