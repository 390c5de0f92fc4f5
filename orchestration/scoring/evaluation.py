"""Measures of a score on data it has not seen, and the splits that make such data.

Splits are by group and by time, never by row: `forward_folds` trains on earlier rows of some customers and
tests on later rows of the others. Intervals resample whole groups, since rows of one customer are not
independent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from orchestration.scoring.frames import Bools, Floats, contains, stable_unit

Metric = Callable[[Floats, Floats], float]

#: Above this many rows an interval is estimated on a sample of groups: its width no longer matters there.
_BOOTSTRAP_ROWS = 20_000


def auc(y: Floats, p: Floats) -> float:
    """Area under the ROC curve by ranks, ties shared; NaN where only one class is present."""
    positive = y > 0.5
    n_positive = int(positive.sum())
    n_negative = len(y) - n_positive
    if n_positive == 0 or n_negative == 0:
        return float("nan")
    rank_sum = float(rankdata(p)[positive].sum())
    return (rank_sum - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative)


def brier(y: Floats, p: Floats) -> float:
    """Mean squared difference of probability and outcome (0 is perfect)."""
    return float(np.mean((p - y) ** 2))


def log_loss(y: Floats, p: Floats) -> float:
    """Mean negative log likelihood in nats."""
    q = np.clip(p, 1e-6, 1 - 1e-6)
    return float(-np.mean(y * np.log(q) + (1 - y) * np.log(1 - q)))


def mcc(y: Floats, predicted: Floats) -> float:
    """Matthews correlation of two binary vectors; 0 where either is constant, as an always-same guess
    deserves."""
    a, b = y > 0.5, predicted > 0.5
    tp, tn = float(np.sum(a & b)), float(np.sum(~a & ~b))
    fp, fn = float(np.sum(~a & b)), float(np.sum(a & ~b))
    denominator = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return float((tp * tn - fp * fn) / denominator) if denominator > 0 else 0.0


@dataclass(frozen=True)
class Calibration:
    """Predicted against observed by equal-count bins; ``error`` is the weighted mean absolute gap (ECE)."""

    predicted: Floats
    observed: Floats
    count: npt.NDArray[np.int64]
    error: float


def calibration(y: Floats, p: Floats, bins: int = 10) -> Calibration:
    """Equal-count calibration bins of ``p`` against ``y``."""
    order = np.argsort(p, kind="stable")
    edges = np.unique(np.linspace(0, len(p), bins + 1).astype(np.int64))
    starts, ends = edges[:-1], edges[1:]
    if len(p) == 0:
        empty = np.zeros(0)
        return Calibration(empty, empty, np.zeros(0, dtype=np.int64), float("nan"))
    count = ends - starts
    predicted = np.add.reduceat(p[order], starts) / count
    observed = np.add.reduceat(y[order].astype(np.float64), starts) / count
    error = float(np.sum(count * np.abs(predicted - observed)) / count.sum())
    return Calibration(predicted, observed, count, error)


@dataclass(frozen=True)
class Comparison:
    """A measure of a score and of its baseline on the same rows, with 90 % intervals by resampling groups.

    ``gain_lo`` is the lower bound of the improvement over the baseline (positive: the score is better).
    """

    metric: str
    value: float
    baseline: float
    ci_lo: float
    ci_hi: float
    gain_lo: float
    n: int


def compare(
    metric: str,
    measure: Metric,
    y: Floats,
    p: Floats,
    baseline: Floats,
    groups: npt.ArrayLike,
    rng: np.random.Generator,
    *,
    higher_is_better: bool = True,
    n_boot: int = 200,
) -> Comparison:
    """``measure`` of score and baseline, with intervals from a bootstrap over groups (paired)."""
    _, code = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    n_groups = int(code.max()) + 1 if len(code) else 0
    sign = 1.0 if higher_is_better else -1.0
    value, base = measure(y, p), measure(y, baseline)
    rows = np.arange(len(y))
    if len(y) > _BOOTSTRAP_ROWS:
        kept = rng.permutation(n_groups)[: max(50, int(n_groups * _BOOTSTRAP_ROWS / len(y)))]
        rows = rows[contains(code, kept)]
        _, code = np.unique(code[rows], return_inverse=True)
        n_groups = int(code.max()) + 1
    order = np.argsort(code, kind="stable")
    rows, code = rows[order], code[order]
    start = np.searchsorted(code, np.arange(n_groups))
    size = np.diff(np.append(start, len(code)))
    draws = np.full((n_boot, 2), np.nan)
    for i in range(n_boot if n_groups > 1 else 0):
        chosen = rng.integers(0, n_groups, n_groups)
        length = size[chosen]
        offset = np.repeat(start[chosen] - np.concatenate(([0], np.cumsum(length)[:-1])), length)
        picked = rows[np.arange(int(length.sum())) + offset]
        draws[i] = measure(y[picked], p[picked]), measure(y[picked], baseline[picked])
    good = draws[~np.isnan(draws).any(axis=1)]
    if len(good) < 20:
        return Comparison(metric, value, base, float("nan"), float("nan"), float("nan"), len(y))
    lo, hi = np.quantile(good[:, 0], [0.05, 0.95])
    gain_lo = float(np.quantile(sign * (good[:, 0] - good[:, 1]), 0.05))
    return Comparison(metric, value, base, float(lo), float(hi), gain_lo, len(y))


def forward_folds(
    groups: npt.ArrayLike, known_at: Floats, happens_at: Floats, cutoff: float, n_folds: int = 4
) -> Iterator[tuple[Bools, Bools]]:
    """Masks (train, test): train on other groups' rows whose label was known by ``cutoff``, test on later
    rows.

    ``known_at`` is when a row's label became known, ``happens_at`` when its features were taken; both in
    days, as is ``cutoff``. The folds partition the groups by a stable hash, so every later row is tested
    exactly once.
    """
    fold = np.floor(stable_unit(groups, "fold") * n_folds).astype(np.int64)
    for k in range(n_folds):
        yield (fold != k) & (known_at <= cutoff), (fold == k) & (happens_at > cutoff)
