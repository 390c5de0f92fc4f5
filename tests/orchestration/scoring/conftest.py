"""One synthetic utility, scored once, shared by the tests that only look at the results."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from orchestration.scoring import SCORES, ScoreResult
from tests.orchestration.scoring.support import Synthetic, make


@dataclass
class Scored:
    world: Synthetic
    results: dict[str, ScoreResult]

    def table(self, name: str):
        """A customer score in the order of customer_360."""
        ids = self.world.frames["customer_360"]["customer_id"]
        return self.results[name].table.set_index("subject_id").reindex(ids)

    def metric(self, name: str, metric: str):
        rows = self.results[name].eval
        return rows[rows["metric"] == metric].iloc[0]


def score_all(world: Synthetic) -> dict[str, ScoreResult]:
    frames, results = dict(world.frames), {}
    for name, score in SCORES.items():
        results[name] = score.run(frames, world.ctx)
        frames[f"scores.{name}"] = results[name].table
    return results


@pytest.fixture(scope="session")
def scored() -> Scored:
    world = make(700, seed=3)
    return Scored(world, score_all(world))
