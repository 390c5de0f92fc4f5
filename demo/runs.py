"""Running a job of the batch location in this process, with its progress shown.

Belongs here: an instance for a data root, one run, its steps as they end. Does not belong here: what the
demo does between runs (flow.py).

The run is a run like any other: it lies in the instance, so the UI shows it with its events and metadata.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluation
from dagster._core.utils import make_new_run_id
from rich.console import Console

from connectors.errors import GridCRMError
from connectors.paths import Paths

TEMPLATE = Path(__file__).resolve().parent.parent / "dagster.yaml"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
POLL_SECONDS = 0.4


class RunError(GridCRMError):
    """A run of the demo did not succeed."""


@contextmanager
def instance(paths: Paths) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance of this data root, made from the template on first use."""
    paths.dagster.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(TEMPLATE, paths.dagster / "dagster.yaml")
    os.environ["DAGSTER_HOME"] = str(paths.dagster)
    with dg.DagsterInstance.get() as opened:
        yield opened


def run_job(
    opened: dg.DagsterInstance,
    job: dg.JobDefinition,
    tags: Mapping[str, str],
    on_step: Callable[[str, float], None],
) -> str:
    """Execute ``job``; ``on_step(step, seconds)`` is called from a thread as each step ends.

    Returns the run's id.

    Raises:
        RunError: a step failed; names the step and the first line of what it said.
    """
    run_id = make_new_run_id()
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(opened, run_id, on_step, ended), daemon=True)
    watcher.start()
    try:
        with _output_to(Path(opened.root_directory) / "runs.log"):
            result = job.execute_in_process(
                instance=opened, tags=dict(tags), run_id=run_id, run_config=QUIET, raise_on_error=False
            )
    finally:
        ended.set()
        watcher.join()
    failed = [
        f"check {e.check_name} of {e.asset_key.to_user_string()}: {e.description or 'open it in the UI'}"
        for e in _evaluations(result)
        if not e.passed and e.severity == dg.AssetCheckSeverity.ERROR
    ]
    if failed:
        raise RunError(f"job {job.name} stopped at {'; '.join(failed)}")
    if not result.success:
        raise RunError(_first_failure(result))
    return run_id


@contextmanager
def _output_to(log: Path) -> Iterator[None]:
    """Send everything that this process and its children print to ``log``: dbt alone prints a line a test.

    Whoever prints progress meanwhile writes to a duplicate of the terminal (:func:`terminal`).
    """
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    with open(log, "ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, duplicate in zip((1, 2), kept, strict=True):
                os.dup2(duplicate, number)
                os.close(duplicate)


def terminal() -> Console:
    """A console that stays on the terminal while a run's output goes to its log."""
    console = Console(file=os.fdopen(os.dup(1), "w", buffering=1), highlight=False)
    if not console.is_terminal:
        # A log has no width of its own; 80 columns would break every other line of the summary.
        console.width = 120
    return console


def _watch(
    opened: dg.DagsterInstance, run_id: str, on_step: Callable[[str, float], None], ended: threading.Event
) -> None:
    told: set[str] = set()
    while True:
        last = ended.is_set()
        for step in opened.get_run_step_stats(run_id) if opened.has_run(run_id) else []:
            if step.end_time and step.step_key not in told:
                told.add(step.step_key)
                on_step(step.step_key, step.end_time - (step.start_time or step.end_time))
        if last:
            return
        time.sleep(POLL_SECONDS)


def _evaluations(result: dg.ExecuteInProcessResult) -> list[AssetCheckEvaluation]:
    return [
        cast(AssetCheckEvaluation, event.event_specific_data)
        for event in result.all_events
        if event.event_type_value == "ASSET_CHECK_EVALUATION"
    ]


def _first_failure(result: dg.ExecuteInProcessResult) -> str:
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error and error.cause:
                error = error.cause
            line = (error.message if error else "no message").strip().splitlines()[0]
            return f"step {event.step_key} failed: {line}"
    return "the run failed before its first step"
