"""``make demo``: the whole loop, from source systems to outcomes.

Belongs here: the order of the loop over the simulated utility. Does not belong here: the systems, their data,
or anything the product does (its job does that).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta

import dagster as dg
from rich.console import Console
from sqlalchemy import create_engine

from connectors.paths import Paths
from demo.runs import instance, run_job
from demo.summary import print_summary
from demo.systems import Systems
from demo.systems.outcomes import play
from demo.truth import write_evaluation
from demo.world import WorldConfig, generate
from orchestration.partitions import range_tags


@dataclass(frozen=True)
class DemoConfig:
    """How large the simulated utility is, and its last business date."""

    customers: int = 1000
    days: int = 90
    end: date = date(2026, 11, 15)
    seed: int = 20261115

    @property
    def start(self) -> date:
        """The first business date."""
        return self.end - timedelta(days=self.days - 1)


def run_demo(paths: Paths, config: DemoConfig, console: Console) -> None:
    """Start the systems, write their data, run everything, play the next day, take the outcomes in.

    Repeating it with the same configuration takes no file and sends no row that was taken or sent before.

    Raises:
        GridCRMError: a system does not start, a run fails, a check fails.
    """
    began = time.monotonic()
    with Systems(paths) as systems, environment(paths, systems.env):
        with _step(console, "simulated utility: households, meters, bills, calls"):
            generate_world(paths, config, systems.env)
        from orchestration.definitions import build_defs
        from orchestration.settings import Settings

        with _step(console, "definitions: feeds, dbt models, scores, pushes"):
            definitions = build_defs(Settings.from_env())
        with instance(paths) as opened:
            _run(console, opened, definitions, "full", range_tags(config.start, config.end))
            with _step(console, "scores against the truth that the simulator kept to itself"):
                write_evaluation(paths, config.end)
            next_day = config.end + timedelta(days=1)
            with _step(console, f"the day after: calls, letters and campaigns answered ({next_day})"):
                play(paths, config.end, config.seed)
            _run(console, opened, definitions, "outcomes", range_tags(next_day, next_day))
        print_summary(paths, console, seconds=time.monotonic() - began)


def generate_world(paths: Paths, config: DemoConfig, env: dict[str, str]) -> None:
    """Write every source file and table of the simulated utility; what is there already stays untouched."""
    host, port = env["GRIDCRM_PG_HOST"], env["GRIDCRM_PG_PORT"]
    user, password = env["GRIDCRM_PG_USERNAME"], env["GRIDCRM_PG_PASSWORD"]
    engines = {
        name: create_engine(f"postgresql+psycopg2://{user}:{password}@{host}:{port}/{name}")
        for name in ("collections", "crm")
    }
    try:
        generate(
            WorldConfig(customers=config.customers, days=config.days, end=config.end, seed=config.seed),
            sftp_root=paths.demo / "sftp",
            truth=paths.truth,
            engines=engines,
            progress=None,
        )
    finally:
        for engine in engines.values():
            engine.dispose()


def _run(
    console: Console,
    opened: dg.DagsterInstance,
    definitions: dg.Definitions,
    job: str,
    tags: dict[str, str],
) -> None:
    console.print(f"[bold]job {job}[/bold]")
    run_job(
        opened,
        definitions.resolve_job_def(job),
        tags,
        on_step=lambda step, seconds: console.print(f"  [green]✓[/green] {step} [dim]{seconds:.1f} s[/dim]"),
    )


@contextmanager
def _step(console: Console, what: str) -> Iterator[None]:
    began = time.monotonic()
    with console.status(what):
        yield
    console.print(f"[green]✓[/green] {what} [dim]{time.monotonic() - began:.1f} s[/dim]")


@contextmanager
def environment(paths: Paths, env: dict[str, str]) -> Iterator[None]:
    """The variables that a deployment of the demo has, for this process and those it starts."""
    before = dict(os.environ)
    os.environ.update(env | {"GRIDCRM_DATA": str(paths.root), "GRIDCRM_DEPLOYMENT": "demo"})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
