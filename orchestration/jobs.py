"""Jobs: named selections of assets that people launch and schedules repeat.

Belongs here: selections. Does not belong here: when they run (schedules.py, sensors.py).

https://docs.dagster.io/guides/build/jobs/asset-jobs
"""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

# What define_asset_job returns; dagster exports no name for it.
AssetJob = UnresolvedAssetJobDefinition

# What destinations tell us back. It comes in after a push, so it is no part of the run that pushes.
OUTCOME_SOURCES = ("dialer", "print", "campaign")


def source(name: str) -> dg.AssetSelection:
    """The raw tables of one source system."""
    return dg.AssetSelection.key_prefixes(["raw", name])


def build_jobs(sources: Iterable[str]) -> list[AssetJob]:
    """``full``, ``warehouse``, ``scores``, ``push``, ``outcomes`` and one job a source system."""
    everything = dg.AssetSelection.all()
    groups = {g: dg.AssetSelection.groups(g) for g in ("staging", "unified", "scores", "push")}
    warehouse = groups["staging"] | groups["unified"]
    known = list(sources)
    return [
        dg.define_asset_job("full", everything, description="Everything, from the source systems to the "
                            "destinations, for the business dates asked for.", executor_def=IN_PROCESS),
        dg.define_asset_job("warehouse", warehouse, description="Staging, identity and unified models."),
        dg.define_asset_job("scores", groups["scores"], description="Every score as of the last closed day."),
        dg.define_asset_job("push", groups["push"], description="What is sent, compared with what was "
                            "acknowledged, and sent."),
        dg.define_asset_job(
            "outcomes",
            _any(source(s) for s in known if s in OUTCOME_SOURCES),
            description="What the dialer, the print vendor and the campaign tool tell back.",
        ),
        *(
            dg.define_asset_job(f"ingest_{s}_job", source(s), description=f"The tables of {s}, nothing else.")
            for s in known
        ),
    ]  # fmt: skip


def _any(selections: Iterable[dg.AssetSelection]) -> dg.AssetSelection:
    first, *others = selections
    for other in others:
        first = first | other
    return first


# One process hands over in 0.3 s between steps, a process a step in 4 to 6 s (design.md): a nightly run has
# some forty steps that mostly wait for one another, so one process is faster on a machine of few cores.
IN_PROCESS = dg.in_process_executor
