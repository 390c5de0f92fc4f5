"""How a measure is taken: ours and the peer in turn, five times, medians, one JSON object as the last line.

Belongs here: timing and the form of the result. Does not belong here: what is measured.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

RUNS = 5


@dataclass(frozen=True)
class Comparison:
    """One figure of ours against one of a peer, both in ``unit``, and the ratio the project promises."""

    name: str
    ours: float
    peer: float
    unit: str
    target: float

    @property
    def ratio(self) -> float:
        """Ours divided by the peer's; more is better, so figures are rates."""
        return self.ours / self.peer

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "ours": round(self.ours, 4),
            "peer": round(self.peer, 4),
            "ratio": round(self.ratio, 4),
            "target": self.target,
            "unit": self.unit,
        }


@dataclass
class Measure:
    """A named measure of one or more comparisons.

    With several, ``ratio`` is the smallest of ratio ÷ target, and the others stand beside it.
    """

    name: str
    comparisons: list[Comparison] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """One line."""
        worst = min(self.comparisons, key=lambda one: one.ratio / one.target)
        several = len(self.comparisons) > 1
        shown = worst.as_dict() | {"name": self.name}
        if several:
            shown["ratio"] = round(worst.ratio / worst.target, 4)
            shown["comparisons"] = [one.as_dict() for one in self.comparisons]
        return json.dumps(shown | self.notes)


def seconds(work: Callable[[], Any]) -> float:
    """Wall seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turn(*works: Callable[[], Any], runs: int = RUNS, warm: bool = True) -> list[float]:
    """The median wall seconds of each work, run one after the other ``runs`` times: A B A B …

    A first round is not counted (``warm``): files come into the cache, modules are imported.
    """
    if warm:
        for work in works:
            work()
    taken: list[list[float]] = [[] for _ in works]
    for number in range(runs):
        for which, work in enumerate(works):
            taken[which].append(seconds(work))
        said = ", ".join(f"{one[-1]:.2f} s" for one in taken)
        print(f"run {number + 1} of {runs}: {said}", file=sys.stderr)
    return [median(one) for one in taken]
