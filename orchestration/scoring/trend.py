"""The monthly course of use from bills: peak, share of the peak, and the chance of being 15 % down in six
months.

Here belongs arithmetic on customers × months from `fct_bill`. The season is taken out without a model: a
year is compared with a year (rolling twelve months for the peak, the same three months of the year before
for the fall), and what all customers share, mild winters and warm summers, is taken out by the median of
all. An index of the season would mistake an electrically heated home for one that declines every spring.
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

FEATURES = ("use_vs_last_year", "recent_trend", "volatile_use", "level_of_use")
_AHEAD = 6
_WINDOW = 3
_YEAR = 12
#: The first month of which something can be said: its outcome six months on needs the same months of the
#: year before.
_FIRST = _YEAR + _WINDOW - 1 - _AHEAD
_FALL = float(np.log(0.85))


@dataclass(frozen=True)
class History:
    """Per customer with bills: the course of a year's use, and the chance of being 15 % below the year
    before.

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


def rolling(use: Floats, width: int, at_least: int) -> Floats:
    """Mean of the last ``width`` months (customers × months), NaN where fewer than ``at_least`` are known."""
    seen = np.isfinite(use)
    total = np.cumsum(np.pad(np.where(seen, use, 0.0), ((0, 0), (width, 0))), axis=1)
    count = np.cumsum(np.pad(seen.astype(np.float64), ((0, 0), (width, 0))), axis=1)
    total, count = total[:, width:] - total[:, :-width], count[:, width:] - count[:, :-width]
    result: Floats = np.where(count >= at_least, total / np.maximum(count, 1.0), np.nan)
    return result


def _less_median(values: Floats) -> Floats:
    """Each month less the median of all customers in it."""
    known = np.isfinite(values)
    middle = np.array([np.median(v[k]) if k.any() else 0.0 for v, k in zip(values.T, known.T, strict=True)])
    result: Floats = values - middle[None, :]
    return result


@dataclass(frozen=True)
class Course:
    """Customers × months: log of three months' use against the same of the year before, and against all
    customers."""

    year_on_year: Floats
    relative: Floats

    @classmethod
    def of(cls, use: Floats) -> Course:
        """From kWh a day."""
        three = np.log(np.maximum(rolling(use, _WINDOW, 2), 0.05))
        year = np.full(three.shape, np.nan)
        year[:, _YEAR:] = three[:, _YEAR:] - three[:, :-_YEAR]
        return cls(np.clip(_less_median(year), -2.0, 2.0), _less_median(three))

    def features(self, t: int) -> Floats:
        """What was known of each customer at month ``t`` (customers × FEATURES)."""
        past = self.relative[:, max(t - 8, 0) : t + 1]
        steps = np.diff(past, axis=1)
        seen = np.isfinite(steps)
        volatility = np.sqrt(np.where(seen, steps**2, 0.0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1))
        trend = np.clip(self.relative[:, t] - self.relative[:, max(t - 3, 0)], -1.5, 1.5)
        return np.column_stack(
            [self.year_on_year[:, t], trend, np.minimum(volatility, 1.0), self.relative[:, t]]
        )


def fit(bills: pd.DataFrame, ctx: ScoreContext) -> History:
    """The course of every customer with bills, and the tested chance of a further fall."""
    ids, use, first = monthly_use(bills, ctx)
    course = Course.of(use)
    months = use.shape[1]
    blocks: list[tuple[Floats, Floats, npt.NDArray[np.object_], Floats]] = []
    for t in range(_FIRST, months - _AHEAD):
        later = course.year_on_year[:, t + _AHEAD]
        known: Bools = np.isfinite(course.relative[:, t]) & np.isfinite(later)
        fell = (later < _FALL).astype(np.float64)
        blocks.append(
            (course.features(t)[known], fell[known], ids[known], np.full(int(known.sum()), float(t)))
        )
    x = np.concatenate([b[0] for b in blocks])
    y = np.concatenate([b[1] for b in blocks])
    group = np.concatenate([b[2] for b in blocks])
    when = np.concatenate([b[3] for b in blocks])
    base_rate = float((y.sum() + 2.0) / (len(y) + 20.0))
    comparisons = _test(x, y, group, when, ctx)
    uses_model = bool(comparisons) and comparisons[-1].gain_lo > 0
    # A customer's last bill may be a month older than the newest of all.
    last = np.where(np.isfinite(course.relative[:, -1]), months - 1, months - 2)
    current = np.where(
        (last == months - 1)[:, None], course.features(months - 1), course.features(months - 2)
    )
    year = rolling(use, _YEAR, _YEAR - 1)
    now = np.where(np.isfinite(year[:, -1]), year[:, -1], year[:, -2])
    peak = np.where(np.isfinite(year), year, -np.inf).max(axis=1)
    peak_at = np.where(np.isfinite(year), year, -np.inf).argmax(axis=1)
    ok = np.isfinite(now) & (peak > 0)
    enough = np.isfinite(course.relative[np.arange(len(ids)), last]) & (np.isfinite(use).sum(axis=1) >= 4)
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
    return History(
        customer_id=ids,
        peak_month=np.where(ok, first + peak_at, np.nan),
        pct_of_peak=np.where(ok, 100 * now / np.where(ok, peak, 1.0), np.nan),
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
