"""Scores: pure functions, frames in and frames out.

Here belongs the mathematics of a score and its evaluation. Not here: reading and writing (the assets do it),
and anything of Dagster, the connectors or the demo. One module a score; `SCORES` lists them in flow order.
"""

from orchestration.scoring import customer_value, decline, non_payment
from orchestration.scoring.contract import (
    MODEL_EVAL_SCHEMA,
    Capacity,
    Economics,
    Score,
    ScoreContext,
    ScoreResult,
    empty_table,
    to_arrow,
)
from orchestration.scoring.frames import ScoringError, from_arrow

#: Every score, in the order in which they can run.
SCORES: dict[str, Score] = {
    score.name: score for score in (non_payment.SCORE, customer_value.SCORE, decline.SCORE)
}

__all__ = [
    "MODEL_EVAL_SCHEMA",
    "SCORES",
    "Capacity",
    "Economics",
    "Score",
    "ScoreContext",
    "ScoreResult",
    "ScoringError",
    "empty_table",
    "from_arrow",
    "to_arrow",
]
