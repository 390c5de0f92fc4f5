"""Scores: pure functions, frames in and frames out.

Here belongs the mathematics of a score and its evaluation. Not here: reading and writing (the assets do it),
and anything of Dagster, the connectors or the demo. One module a score; `SCORES` lists them in flow order.
"""

from orchestration.scoring import (
    at_home,
    call_plan,
    contact,
    customer_value,
    decline,
    inbound_card,
    non_payment,
    segments,
    treatment,
)
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
    module.SCORE.name: module.SCORE
    for module in (
        non_payment,
        customer_value,
        decline,
        segments,
        at_home,
        contact,
        treatment,
        call_plan,
        inbound_card,
    )
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
