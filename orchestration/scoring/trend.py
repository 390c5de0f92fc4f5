"""The monthly course of use from bills: peak month, share of the peak, and the chance of falling 15 % in six
months.

Here belongs arithmetic on customers × months from `fct_bill`. Months are compared after division by the
index of the season, which is the median over customers of each month against their own mean, so that a
summer is not a decline.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from orchestration.scoring.contract import ScoreContext
from orchestration.scoring.evaluation import Comparison, auc, compare, forward_folds, log_loss
from orchestration.scoring.frames import Bools, Floats, day_numbers, days, flags, numbers, texts
from orchestration.scoring.linear import Logit

FEATURES = ("below_peak", "recent_trend", "volatile_use", "level_of_use")
_AHEAD = 6
_WINDOW = 3


@dataclass(frozen=True)
class History:
    """Per customer with bills: seasonally adjusted course and the chance of a further fall.

    ``peak_month`` counts months since 1970-01. Where the model did not beat the constant rate on unseen rows,
    ``p_fall`` is that rate and ``uses_model`` is False.
    """

    customer_id: npt.NDArray[np.object_]
    peak_month: Floats
    pct_of_peak: Floats
    p_fall: Floats
    lo: Floats
    hi: Floats
    contributions: Floats
    comparisons: tuple[Comparison, ...]
    base_rate: float
    uses_model: bool


def monthly_use(
    bills: pd.DataFrame, ctx: ScoreContext, months: int = 25
) -> tuple[npt.NDArray[np.object_], Floats, int]:
    """Customers × months of kWh a day, by the month of each bill's middle day; NaN where no bill was. First
    month."""
    issued = day_numbers(days(bills, "issued_date"))
    start, end = day_numbers(days(bills, "period_start_date")), day_numbers(days(bills, "period_end_date"))
    length = end - start
    good = (issued <= ctx.as_of_day) & ~flags(bills, "is_reversed") & (length >= 10)
    middle = (
        ((start + end) / 2)[good]
        .astype(np.int64)
        .astype("datetime64[D]")
        .astype("datetime64[M]")
        .astype(np.int64)
    )
    last = int(middle.max()) if len(middle) else 0
    first = last - months + 1
    code, ids = pd.factorize(texts(bills, "customer_id")[good], sort=True)
    column = middle - first
    keep = column >= 0
    kwh, spanned = np.zeros((len(ids), months)), np.zeros((len(ids), months))
    np.add.at(kwh, (code[keep], column[keep]), numbers(bills, "billed_kwh", 0.0)[good][keep])
    np.add.at(spanned, (code[keep], column[keep]), length[good][keep])
    return np.asarray(ids, dtype=object), np.where(spanned > 0, kwh / np.maximum(spanned, 1.0), np.nan), first


def deseasonalise(use: Floats) -> Floats:
    """Divides each month by its index over all customers, and smooths over three months (meters × months)."""
    with np.errstate(all="ignore"):
        own = use / _mean(use)[:, None]
        index = np.array([np.nanmedian(column) if np.isfinite(column).any() else np.nan for column in own.T])
    adjusted = use / np.where(index > 0.05, index, np.nan)
    seen = np.isfinite(adjusted)
    padded = np.pad(np.where(seen, adjusted, 0.0), ((0, 0), (_WINDOW - 1, 0)))
    count = np.pad(seen.astype(np.float64), ((0, 0), (_WINDOW - 1, 0)))
    months = use.shape[1]
    total = sum(padded[:, i : i + months] for i in range(_WINDOW))
    weight = sum(count[:, i : i + months] for i in range(_WINDOW))
    result: Floats = np.where(weight >= 2, total / np.maximum(weight, 1.0), np.nan)
    return result


def _mean(values: Floats) -> Floats:
    seen = np.isfinite(values)
    result: Floats = np.where(seen, values, 0.0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    return np.where(result > 0, result, np.nan)


def _features(smooth: Floats, t: int) -> Floats:
    """What was known of each customer at month ``t`` (customers × FEATURES)."""
    with np.errstate(all="ignore"):
        past = smooth[:, : t + 1]
        peak = np.nanmax(np.where(np.isfinite(past).any(axis=1, keepdims=True), past, 0.0), axis=1)
        now = smooth[:, t]
        back = smooth[:, max(t - 4, 0)]
        steps = np.diff(np.log(np.maximum(past[:, -7:], 0.01)), axis=1)
        seen = np.isfinite(steps)
        volatility = np.sqrt(np.where(seen, steps**2, 0.0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1))
        return np.column_stack(
            [
                np.log(np.clip(now / np.where(peak > 0, peak, np.nan), 0.05, 1.0)),
                np.log(np.clip(now / back, 0.2, 5.0)),
                np.minimum(volatility, 1.0),
                np.log(np.maximum(now, 0.05)),
            ]
        )


def fit(bills: pd.DataFrame, ctx: ScoreContext) -> History:
    """The course of every customer with bills, and the tested chance of a further fall."""
    ids, use, first = monthly_use(bills, ctx)
    smooth = deseasonalise(use)
    months = use.shape[1]
    blocks: list[tuple[Floats, Floats, npt.NDArray[np.object_], Floats]] = []
    for t in range(_WINDOW + 2, months - _AHEAD):
        now, later = smooth[:, t], smooth[:, t + _AHEAD]
        known: Bools = np.isfinite(now) & np.isfinite(later) & (now > 0.05)
        fell = (later < 0.85 * now).astype(np.float64)
        blocks.append(
            (_features(smooth, t)[known], fell[known], ids[known], np.full(int(known.sum()), float(t)))
        )
    x = np.concatenate([b[0] for b in blocks])
    y = np.concatenate([b[1] for b in blocks])
    group = np.concatenate([b[2] for b in blocks])
    when = np.concatenate([b[3] for b in blocks])
    base_rate = float((y.sum() + 2.0) / (len(y) + 20.0))
    comparisons = _test(x, y, group, when, ctx)
    uses_model = bool(comparisons) and comparisons[-1].gain_lo > 0
    current = _features(smooth, months - 1)
    recent = np.where(np.isfinite(smooth[:, -1]), smooth[:, -1], smooth[:, -2])
    filled = np.where(np.isfinite(smooth), smooth, -np.inf)
    peak_at = filled.argmax(axis=1)
    peak = filled.max(axis=1)
    n_months = np.isfinite(use).sum(axis=1)
    enough = (n_months >= 4) & np.isfinite(recent)
    if uses_model:
        model = Logit.fit(x, y, FEATURES, ridge=2.0)
        p, (lo, hi), contributions = (
            model.predict(current),
            model.interval(current),
            model.contributions(current),
        )
    else:
        p = np.full(len(ids), base_rate)
        half = 1.645 * np.sqrt(base_rate * (1 - base_rate) / max(len(np.unique(group)), 1))
        lo, hi = np.maximum(p - half, 0.0), np.minimum(p + half, 1.0)
        contributions = np.zeros(current.shape)
    ok = enough & (peak > 0)
    return History(
        customer_id=ids,
        peak_month=np.where(ok, first + peak_at, np.nan),
        pct_of_peak=np.where(ok, 100 * recent / np.where(ok, peak, 1.0), np.nan),
        p_fall=np.where(enough, p, np.nan),
        lo=lo,
        hi=hi,
        contributions=contributions,
        comparisons=comparisons,
        base_rate=base_rate,
        uses_model=uses_model,
    )


def _test(
    x: Floats, y: Floats, group: npt.NDArray[np.object_], when: Floats, ctx: ScoreContext
) -> tuple[Comparison, ...]:
    """AUC and log loss against the constant rate, on later months of customers not trained on."""
    if not len(y) or not 0 < y.sum() < len(y):
        return ()
    cutoff = float(np.quantile(when, 0.5)) + _AHEAD
    p, constant = np.full(len(y), np.nan), np.full(len(y), np.nan)
    # With two years of bills the last known outcomes overlap the cut: a row counts as later by its outcome's
    # month.
    for train, test in forward_folds(group, when + _AHEAD, when + _AHEAD, cutoff):
        if 0 < y[train].sum() < train.sum():
            p[test] = Logit.fit(x[train], y[train], FEATURES, ridge=2.0).predict(x[test])
            constant[test] = y[train].mean()
    tested = np.isfinite(p)
    if not 0 < y[tested].sum() < tested.sum():
        return ()
    args = (y[tested], p[tested], constant[tested], group[tested])
    return (
        compare("p_decline_auc", auc, *args, ctx.rng("trend.auc"), n_boot=100),
        compare(
            "p_decline_log_loss", log_loss, *args, ctx.rng("trend.ll"), higher_is_better=False, n_boot=100
        ),
    )
