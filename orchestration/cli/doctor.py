"""``gridcrm doctor``: what is configured, what is reachable, and what is wrong.

Belongs here: the command, its table and its JSON. Does not belong here: looking (:mod:`.checks`,
:mod:`.reach`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from orchestration.cli.checks import Finding

EXIT_WRONG: Final = 1

MARKS: Final = {"ok": "[green]✓[/green]", "wrong": "[red]✗[/red]", "note": "[yellow]–[/yellow]"}


def doctor(
    data: Annotated[
        Path | None, typer.Option(help="The data root; by default GRIDCRM_DATA or ./data.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Look only at this machine.")] = False,
) -> None:
    """Look at everything that is configured, ask every system whether it answers, and say what to do.

    Exit code 0: nothing is wrong; 1: something is. Nothing is written anywhere and no secret is shown.
    """
    findings = examine(data, offline=offline)
    if as_json:
        wrong = sum(finding.state == "wrong" for finding in findings)
        typer.echo(
            json.dumps({"wrong": wrong, "findings": [asdict(f) for f in findings]}, ensure_ascii=False)
        )
    else:
        show(findings)
    if any(finding.state == "wrong" for finding in findings):
        raise typer.Exit(EXIT_WRONG)


def examine(data: Path | None, *, offline: bool) -> list[Finding]:
    """All findings, area by area; raises nothing for what is wrong."""
    from connectors.errors import GridCRMError
    from orchestration.cli import checks
    from orchestration.cli.reach import reach
    from orchestration.settings import Settings

    env = dict(os.environ) | ({"GRIDCRM_DATA": str(data)} if data is not None else {})
    found = list(checks.installation())
    try:
        settings = Settings.from_env(env)
        configured, mistakes = checks.configuration(settings)
    except GridCRMError as error:
        return [
            *found,
            checks.Finding("settings", "environment", "wrong", str(error), "correct the variable"),
        ]
    found += [checks.Finding("settings", "deployment", "ok", settings.deployment)]
    found += [*checks.data_root(settings.paths), *checks.warehouse(settings.paths)]
    found += [*checks.dbt_manifest(settings), *checks.dagster_home(settings.paths, env), *mistakes]
    return found if offline else [*found, *reach(configured)]


def show(findings: Sequence[Finding]) -> None:
    """A table for people, and a last line that says how it stands."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("", "area", "what", "how it stands"):
        table.add_column(title, overflow="fold")
    for finding in findings:
        advice = f"\n[dim]→ {escape(finding.advice)}[/dim]" if finding.advice else ""
        table.add_row(
            MARKS[finding.state], finding.area, escape(finding.name), escape(finding.message) + advice
        )
    console = Console(highlight=False)
    console.print(table)
    wrong = sum(finding.state == "wrong" for finding in findings)
    console.print("\nNothing is wrong." if not wrong else f"\n{wrong} wrong; see ✗ above.", style="bold")
