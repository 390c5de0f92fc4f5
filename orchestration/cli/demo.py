"""``gridcrm demo`` and ``gridcrm real``: the whole loop over the simulated utility, or over real files.

Belongs here: the options and their defaults. Does not belong here: the flow itself, which is
``orchestration.demo_flow``.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_END = "2026-11-15"


def demo(
    customers: Annotated[int, typer.Option(min=1, max=1_000_000, help="Customers of the utility.")] = 1_000,
    days: Annotated[int, typer.Option(min=1, help="Days of meter readings.")] = 90,
    end: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], help="The last business date.")
    ] = DEFAULT_END,  # type: ignore[assignment]  # typer parses the text
    seed: Annotated[int, typer.Option(help="The same seed gives the same utility.")] = 20_261_115,
    data: Annotated[
        Path | None, typer.Option(help="The data root; by default GRIDCRM_DATA or ./data.")
    ] = None,
) -> None:
    """Play a utility from end to end: its systems, the night's files, scores, pushes, and what came back."""
    from orchestration import demo_flow

    demo_flow.run(customers=customers, days=days, end=end.date(), seed=seed, data=data)


def real(
    directory: Annotated[
        Path, typer.Argument(help="The folder of real sample files.", exists=True, file_okay=False)
    ],
    data: Annotated[
        Path | None, typer.Option(help="The data root; by default GRIDCRM_DATA or ./data.")
    ] = None,
) -> None:
    """Serve the real files of DIRECTORY from the same SFTP server and take them through the same job."""
    from orchestration import demo_flow

    demo_flow.real(directory=directory, data=data)
