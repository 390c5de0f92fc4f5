"""Level shifts in weekly energy use, for all meters at once: weather regression, CUSUM and change point as
arrays.

Here belongs arithmetic on meters × days. What a shift means (solar, absence, moving out) belongs to
decline.py.

The weather slopes come from the differences of days *within* a week, so that a shift of level, which is what
we look for, cannot hide in them: a home that halves its use in October would otherwise look like a home with
a negative heating slope. The level of each week is then what remains at that meter's own slopes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orchestration.scoring.frames import Bools, Floats

#: One-sided CUSUM: allowance and threshold in standard deviations (scores.md: 6.7 % false alarms a year).
ALLOWANCE, THRESHOLD = 0.5, 6.0


@dataclass(frozen=True)
class WeeklyLevels:
    """Weather-normalised mean kWh a day for each week (meters × weeks); ``error`` is its standard error."""

    level: Floats
    error: Floats
    slope: Floats


def weekly_levels(use: Floats, weather: Floats, prior_days: float = 4.0) -> WeeklyLevels:
    """Weekly levels at the mean weather of the whole window.

    ``use`` is meters × (7·weeks) in kWh a day, NaN where unknown; ``weather`` is (7·weeks) × features
    (degree days, weekend). Slopes are shrunk to the slope of all the meters given, relative to each meter's
    mean use, with the weight of ``prior_days`` days. Memory is a few arrays of the size of ``use``.
    """
    m, n_days = use.shape
    weeks, k = n_days // 7, weather.shape[1]
    known = np.isfinite(use)
    seen = known.astype(np.float64)
    y = np.where(known, use, 0.0)
    by_week = seen.reshape(m, weeks, 7)
    count = by_week.sum(axis=2)
    safe = np.maximum(count, 1.0)
    y_week = y.reshape(m, weeks, 7).sum(axis=2) / safe
    x_week = (
        np.einsum("mwd,wdk->mwk", by_week, weather.reshape(weeks, 7, k), optimize=True) / safe[:, :, None]
    )
    outer = np.einsum("dk,dl->dkl", weather, weather).reshape(n_days, k * k)
    xx = (seen @ outer).reshape(m, k, k) - np.einsum("mw,mwk,mwl->mkl", count, x_week, x_week, optimize=True)
    xy = y @ weather - np.einsum("mw,mwk,mw->mk", count, x_week, y_week, optimize=True)

    mean_use = np.maximum(y.sum(axis=1) / np.maximum(seen.sum(axis=1), 1.0), 1e-3)
    total_xx = (xx * (mean_use**2)[:, None, None]).sum(axis=0)
    common = np.linalg.solve(total_xx + 1e-6 * np.eye(k), (xy * mean_use[:, None]).sum(axis=0))
    spread = np.diag(xx.sum(axis=0)) / max(float(seen.sum()), 1.0)
    prior = np.diag(np.maximum(prior_days * spread, 1e-6))
    inverse = np.linalg.inv(xx + prior)
    slope = np.einsum("mkl,ml->mk", inverse, xy + (mean_use[:, None] * common) @ prior, optimize=True)

    level = y_week + np.einsum("mwk,mk->mw", weather.mean(axis=0) - x_week, slope, optimize=True)
    residual = np.where(
        known,
        use
        - slope @ weather.T
        - np.repeat(np.where(count > 0, y_week - np.einsum("mwk,mk->mw", x_week, slope), 0.0), 7, axis=1),
        0.0,
    )
    freedom = np.maximum(seen.sum(axis=1) - weeks - k, 5.0)
    variance = (residual**2).sum(axis=1) / freedom
    away = weather.mean(axis=0) - x_week
    extra = np.einsum("mwk,mkl,mwl->mw", away, inverse, away, optimize=True)
    error = np.sqrt(variance[:, None] * (1.0 / safe + extra))
    unknown = count < 4
    level[unknown] = np.nan
    error[unknown] = np.nan
    return WeeklyLevels(level, error, slope)


def one_sided(z: Floats, allowance: float = ALLOWANCE) -> Floats:
    """CUSUM of falls (meters × weeks): S_t = max(0, S_{t-1} − z_t − allowance); a missing week leaves it as
    it is."""
    total = np.zeros(z.shape)
    state = np.zeros(z.shape[0])
    for week in range(z.shape[1]):
        step = z[:, week]
        state = np.where(np.isfinite(step), np.maximum(0.0, state - step - allowance), state)
        total[:, week] = state
    return total


def reference(level: Floats, weeks: int) -> tuple[Floats, Floats]:
    """Median and robust spread (1.4826·MAD over all week-to-week steps / √2) of each meter's first known
    weeks."""
    first = level[:, :weeks]
    with np.errstate(all="ignore"):
        middle = np.nanmedian(np.where(np.isfinite(first).any(axis=1, keepdims=True), first, 0.0), axis=1)
        steps = np.abs(np.diff(level, axis=1))
        steps = np.where(np.isfinite(steps).any(axis=1, keepdims=True), steps, 0.0)
        spread = 1.4826 * np.nanmedian(steps, axis=1) / np.sqrt(2.0)
    return middle, spread


def change_week(level: Floats, minimum: int = 2) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
    """The split into before and after with the least squared error: (first week after, mean before, mean
    after).

    Vectorised over meters by cumulative sums; each side holds at least ``minimum`` weeks.
    """
    seen = np.isfinite(level)
    y = np.where(seen, level, 0.0)
    n, s = np.cumsum(seen, axis=1).astype(np.float64), np.cumsum(y, axis=1)
    total_n, total_s = n[:, -1:], s[:, -1:]
    weeks = level.shape[1]
    cut = np.arange(minimum, weeks - minimum + 1)
    if not len(cut):
        flat = total_s[:, 0] / np.maximum(total_n[:, 0], 1)
        return np.zeros(len(level), dtype=np.int64), flat, flat
    n1, s1 = n[:, cut - 1], s[:, cut - 1]
    n2, s2 = total_n - n1, total_s - s1
    gain = s1**2 / np.maximum(n1, 1) + s2**2 / np.maximum(n2, 1)
    gain[(n1 < minimum) | (n2 < minimum)] = -np.inf
    best = gain.argmax(axis=1)
    rows = np.arange(len(level))
    before = s1[rows, best] / np.maximum(n1[rows, best], 1)
    after = s2[rows, best] / np.maximum(n2[rows, best], 1)
    return cut[best].astype(np.int64), before, after


def alarms(levels: WeeklyLevels, reference_weeks: int) -> tuple[Floats, Bools, Floats]:
    """CUSUM path, whether each meter alarms, and its reference level.

    A week's standard deviation is the larger of the meter's own week-to-week spread and what the uncertainty
    of its weather slopes allows, never below 4 % of the reference.
    """
    middle, spread = reference(levels.level, reference_weeks)
    floor = 0.04 * np.abs(middle)
    # The reference is itself an estimate: the median of n weeks has the variance 1.57/n of one week.
    own = np.maximum(spread, floor)[:, None] ** 2 * (1 + 1.57 / reference_weeks)
    scale = np.sqrt(own + np.nan_to_num(levels.error) ** 2)
    z = (levels.level - middle[:, None]) / np.maximum(scale, 1e-6)
    path = one_sided(z)
    return path, path.max(axis=1) > THRESHOLD, middle
