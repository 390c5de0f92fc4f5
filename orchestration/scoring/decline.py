"""Decline from the peak: who uses less than they did, since when, why, and what margin that puts at risk.

Here belongs: the reading of weekly levels (cusum.py) into causes and lifecycle stages, and the chance of a
further fall from bill history. A raw month-on-month drop is not a decline: it detects spring.

Evaluation needs no truth: a fall of 25 % is planted into meters that show none (in the last weeks only), and
the alarms on planted and untouched meters are compared with those of the raw drop of the last 30 days
against the 30 before. What does not beat the raw drop by Youden's J (caught − false) is not used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from orchestration.scoring import cusum, pictures, trend
from orchestration.scoring.contract import Evaluation, Reasons, Score, ScoreContext, ScoreResult, finish
from orchestration.scoring.frames import (
    Bools,
    Floats,
    align,
    contains,
    day_numbers,
    days,
    flags,
    need,
    numbers,
    texts,
)
from orchestration.scoring.meters import Meters, levels, read_meters, read_weather
from orchestration.scoring.money import Rates

_STAGES = ("onboarding", "growing", "at_peak", "declining", "at_risk", "closing")
#: A day counts as empty below this share of the home's usual daily peak; so many in a row are an absence, so
#: many at the end a move nobody told of.
_EMPTY, _AWAY_DAYS, _GONE_DAYS = 0.25, 5, 28
#: kWh a day that count as export, and the smallest fall that is told.
_EXPORT_KWH, _SMALLEST = 0.1, 0.08
_PLANTED_DROP, _PLANTED_WEEKS = 0.25, 5
#: Fewer weeks or meters than this cannot try the CUSUM.
_MIN_WEEKS, _MIN_TRIAL = 8, 20


@dataclass(frozen=True)
class Finding:
    """What the weekly levels say of each meter. ``change`` is the first day number of the change (NaN:
    none)."""

    path: Floats
    alarm: Bools
    reference: Floats
    recent: Floats
    change: Floats
    cause: npt.NDArray[np.object_]


def empty_runs(peak: Floats) -> tuple[Floats, Floats, Floats]:
    """Days on which nobody lived there, from the day's peak: longest run, run at the end, first day of the
    longest.

    A fridge, a router and a thermostat run on, but the peak quarter-hour of a day without people is a small
    part of the home's usual one, in heating weather too. Unknown days neither begin nor break a run.
    """
    known = np.isfinite(peak)
    with np.errstate(all="ignore"):
        usual = np.nanquantile(np.where(known.any(axis=1, keepdims=True), peak, 0.0), 0.85, axis=1)
    lived = known & (peak > _EMPTY * usual[:, None])
    day = np.arange(peak.shape[1])[None, :]
    since = day - np.maximum.accumulate(np.where(lived, day, -1), axis=1)
    # Before the first known day nothing can be said.
    started = np.maximum.accumulate(known, axis=1)
    since = np.where(started, np.minimum(since, np.cumsum(started, axis=1)), 0)
    longest = since.max(axis=1)
    last = since.argmax(axis=1)
    return (
        longest.astype(np.float64),
        since[:, -1].astype(np.float64),
        (last - longest + 1).astype(np.float64),
    )


def solar_since(export: Floats) -> Floats:
    """Index of the day on which export began for good, NaN where it never was or always has been."""
    days_ = export.shape[1]
    exporting = export > _EXPORT_KWH
    first = np.where(exporting.any(axis=1), exporting.argmax(axis=1), days_)
    share = exporting.sum(axis=1) / np.maximum(days_ - first, 1)
    began = (first >= 7) & (first <= days_ - 3) & (share > 0.6)
    return np.where(began, first.astype(np.float64), np.nan)


def find(
    meters: Meters, weekly: cusum.WeeklyLevels, closing: Bools, uses_cusum: bool, ctx: ScoreContext
) -> Finding:
    """Causes and change points: direct evidence first (export, empty days), then the CUSUM for what remains.

    ``closing`` says whose account has closed; ``uses_cusum`` whether the CUSUM has proven itself on these
    meters.
    """
    level = weekly.level
    weeks = level.shape[1]
    path, alarm, reference = cusum.alarms(weekly, _reference_weeks(weeks))
    week, before, after = cusum.change_week(level)
    first = ctx.as_of_day - 7 * weeks + 1
    recent = _nanmean(level[:, -3:])
    ratio = np.nan_to_num(recent / np.maximum(reference, 0.1), nan=1.0)
    longest, at_end, empty_from = empty_runs(meters.peak)
    solar_from = solar_since(meters.export)
    cause = np.full(len(level), "none", dtype=object)
    changed = np.full(len(level), np.nan)
    less = uses_cusum & alarm & (after < before) & (ratio < 1 - _SMALLEST)
    cause[less] = "efficiency"
    changed[less] = first + 7.0 * week[less]
    away = longest >= _AWAY_DAYS
    cause[away] = "absent"
    gone = away & (at_end >= _AWAY_DAYS) & (closing | (at_end >= _GONE_DAYS))
    cause[gone] = "moved_out"
    changed[away] = first + empty_from[away]
    solar = np.isfinite(solar_from) & ~gone
    cause[solar] = "solar"
    changed[solar] = first + solar_from[solar]
    return Finding(path, alarm, reference, recent, changed, cause)


def _reference_weeks(weeks: int) -> int:
    """How many first weeks make the reference: nearly half of a short window, at most a year."""
    return min(max(4, int(weeks * 0.45)), 52)


def _nanmean(values: Floats) -> Floats:
    count = np.isfinite(values).sum(axis=1)
    total = np.nansum(values, axis=1)
    result: Floats = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return result


@dataclass(frozen=True)
class Trial:
    """Shares of meters that alarm with and without a planted fall, by CUSUM and by the raw 30-day drop."""

    caught: float
    false: float
    raw_caught: float
    raw_false: float
    n: int

    @property
    def youden(self) -> float:
        """Caught less false."""
        return self.caught - self.false

    @property
    def raw_youden(self) -> float:
        """The same of the raw drop."""
        return self.raw_caught - self.raw_false

    @property
    def beats_raw(self) -> bool:
        """Whether the CUSUM may be used at all."""
        return self.n >= _MIN_TRIAL and self.youden > self.raw_youden


def plant(meters: Meters, designs: Mapping[str, Floats], ctx: ScoreContext) -> Trial:
    """Plants a fall into half of the meters without export, leaves the other half, and counts alarms."""
    rng = ctx.rng("decline.planted")
    whole = np.isfinite(meters.use).mean(axis=1) > 0.9
    usable = np.flatnonzero(whole & (meters.export.sum(axis=1) == 0) & (_nanmean(meters.use) > 1.0))
    if meters.use.shape[1] < 7 * _MIN_WEEKS or len(usable) < _MIN_TRIAL:
        return Trial(np.nan, np.nan, np.nan, np.nan, 0)
    chosen = rng.permutation(usable)[:2000]
    half = len(chosen) // 2
    use = meters.use[chosen].copy()
    use[:half, -7 * _PLANTED_WEEKS :] *= 1 - _PLANTED_DROP
    part = Meters(meters.ids[chosen], meters.station[chosen], use, meters.export[chosen], meters.peak[chosen])
    again = levels(part, designs)
    _, alarm, _ = cusum.alarms(again, _reference_weeks(again.level.shape[1]))
    raw = _nanmean(use[:, -30:]) < 0.85 * _nanmean(use[:, -60:-30])
    return Trial(
        float(alarm[:half].mean()),
        float(alarm[half:].mean()),
        float(raw[:half].mean()),
        float(raw[half:].mean()),
        len(chosen),
    )


def lifecycle(
    customers: pd.DataFrame,
    cause: npt.NDArray[np.object_],
    ratio: Floats,
    pct_of_peak: Floats,
    p_fall: Floats,
    high: float,
) -> npt.NDArray[np.object_]:
    """The stage of each customer; later rules win: at peak, growing, declining, at risk, onboarding,
    closing."""
    stage = np.full(len(customers), "at_peak", dtype=object)
    # One season of reads cannot tell growth; a year of bills at its peak and weeks above their reference can.
    stage[(ratio > 1.10) & (pct_of_peak >= 99.5)] = "growing"
    declining = contains(cause, ["solar", "efficiency"]) | (pct_of_peak < 85.0)
    stage[declining] = "declining"
    ending = numbers(customers, "days_to_contract_end", 9e9)
    near_end = (ending <= 60) & (ending >= -30)
    stage[
        (declining & near_end)
        | (p_fall > high)
        | (near_end & (numbers(customers, "n_complaints_90d", 0.0) > 0))
    ] = "at_risk"
    stage[numbers(customers, "tenure_months", 99.0) < 3] = "onboarding"
    stage[(cause == "moved_out") | flags(customers, "has_ended")] = "closing"
    return stage


def run(frames: Mapping[str, pd.DataFrame], ctx: ScoreContext) -> ScoreResult:
    """Scores every customer of ``customer_360`` by the meter of the primary account; see the module."""
    customers, accounts = need(frames, "customer_360"), need(frames, "dim_account")
    meters = read_meters(frames, ctx)
    designs = read_weather(frames, meters.use.shape[1], ctx)
    weekly = levels(meters, designs)
    closed_on = day_numbers(days(accounts, "closed_date"))
    is_closed = np.isfinite(closed_on) & (closed_on <= ctx.as_of_day)
    points_of = texts(accounts, "service_point_id")
    closing_points = set(points_of[is_closed]) - set(points_of[~is_closed])
    trial = plant(meters, designs, ctx)
    is_closing = contains(meters.ids, np.array(sorted(closing_points), dtype=object))
    found = find(meters, weekly, is_closing, trial.beats_raw, ctx)
    history = trend.fit(need(frames, "fct_bill"), ctx)

    ids, points = texts(customers, "customer_id"), texts(customers, "primary_service_point_id")
    at = pd.Index(meters.ids).get_indexer(pd.Index(points))
    metered = at >= 0
    reference = np.where(metered, found.reference[at], np.nan)
    recent = np.where(metered, found.recent[at], np.nan)
    cause = np.where(metered, found.cause[at], "none").astype(object)
    ended = flags(customers, "has_ended")
    moved = ended & (texts(customers, "end_reason") == "MO")
    cause[moved] = "moved_out"
    ratio = np.where(reference > 0.1, np.maximum(recent, 0.0) / np.maximum(reference, 0.1), 1.0)
    ratio = np.nan_to_num(ratio, nan=1.0)
    decline_pct = np.where(cause != "none", 100 * np.clip(1 - ratio, 0.0, 1.0), 0.0)
    p_fall = align(ids, history.customer_id, history.p_fall)
    pct_of_peak = align(ids, history.customer_id, history.pct_of_peak)
    change = np.where(metered & (cause != "none"), found.change[at], np.nan)

    rates = Rates.of(need(frames, "dim_tariff"), ctx.economics)
    yearly_margin = np.nan_to_num(reference) * 365.25 * rates.per_kwh(texts(customers, "tariff_code"))
    at_risk = yearly_margin * np.maximum(decline_pct / 100, np.nan_to_num(p_fall) * 0.25)
    high = float(np.nanquantile(p_fall, 0.97)) if np.isfinite(p_fall).any() else 1.0
    stage = lifecycle(
        customers,
        cause,
        ratio,
        np.nan_to_num(pct_of_peak, nan=95.0),
        np.nan_to_num(p_fall),
        max(high, 1.5 * history.base_rate),
    )
    why = np.where(
        ended, "account_ended", np.where(np.isfinite(p_fall), "", "bill_history_too_short")
    ).astype(object)
    shift = np.log(np.clip(ratio, 0.05, 5.0))
    contributions = np.column_stack(
        [
            -np.minimum(shift, 0.0),
            -np.maximum(shift, 0.0),
            *(np.nan_to_num(align(ids, history.customer_id, history.contributions[:, i])) for i in range(3)),
        ]
    )
    table = finish(
        SCORE,
        ctx,
        subject=ids,
        value=p_fall,
        lo=align(ids, history.customer_id, history.lo),
        hi=align(ids, history.customer_id, history.hi),
        ineligible_reason=why,
        lawful_basis="legitimate_interest",
        consent_version=texts(customers, "consent_version"),
        reasons=Reasons(("use_dropped", "use_rose", *trend.FEATURES[:3]), contributions),
        own={
            "lifecycle_stage": stage,
            "peak_month": _months(align(ids, history.customer_id, history.peak_month)),
            "pct_of_peak": pct_of_peak,
            "decline_pct": decline_pct,
            "changed_on": pd.Series(_dates(change)),
            "cause_code": cause,
            "margin_at_risk_usd": np.where(ended, 0.0, at_risk),
            "p_decline_gt15pct_6m": np.where(why == "", p_fall, np.nan),
        },
    )
    evaluation = Evaluation(SCORE, ctx)
    half = trial.n // 2
    evaluation.add("caught_share_planted_25pct", trial.caught, baseline=trial.raw_caught, n=half)
    evaluation.add("alarm_share_untouched", trial.false, baseline=trial.raw_false, n=trial.n - half)
    evaluation.add("youden_j", trial.youden, baseline=trial.raw_youden, n=trial.n)
    for comparison in history.comparisons:
        evaluation.compared(comparison)
    evaluation.add("p_decline_uses_model", float(history.uses_model), baseline=0.0, slice_="all", n=len(ids))
    if trial.n:
        message = (
            f"CUSUM catches {trial.caught:.0%} of planted 25 % falls and alarms on {trial.false:.0%} of "
            f"the untouched, and "
            f"{'beats' if trial.beats_raw else 'does not beat'} the raw 30-day drop "
            f"({trial.raw_caught:.0%} with "
            f"{trial.raw_false:.0%}) on {trial.n:,} meters{'' if trial.beats_raw else ': not used'}"
        )
    else:
        message = f"fewer than {_MIN_WEEKS} weeks or {_MIN_TRIAL} meters to try the CUSUM on: not used"
    message += (
        "; the chance of a fall comes from the model, which beats the constant rate"
        if history.uses_model
        else "; the chance of a fall is the constant rate, which no model beat"
    )
    return ScoreResult(
        table,
        evaluation.frame(),
        {
            "lifecycle": pictures.counts(
                "Lifecycle stages",
                f"customers by stage · as of {ctx.as_of_date}",
                {s: int((stage == s).sum()) for s in _STAGES},
            ),
            "causes": pictures.counts(
                "Why use declined",
                f"customers whose weather-normalised use fell · as of {ctx.as_of_date}",
                {c: int((cause == c).sum()) for c in ("efficiency", "solar", "absent", "moved_out")},
            ),
        },
        trial.beats_raw or history.uses_model,
        message,
    )


def _dates(day: Floats) -> npt.NDArray[np.datetime64]:
    result = np.full(len(day), np.datetime64("NaT", "D"))
    known = np.isfinite(day)
    result[known] = day[known].astype(np.int64).astype("datetime64[D]")
    return result


def _months(month: Floats) -> npt.NDArray[np.object_]:
    result = np.full(len(month), "", dtype=object)
    known = np.isfinite(month)
    result[known] = month[known].astype(np.int64).astype("datetime64[M]").astype(str)
    return result


SCORE = Score(
    name="decline",
    inputs=(
        "customer_360",
        "dim_account",
        "dim_service_point",
        "dim_premise",
        "dim_tariff",
        "fct_bill",
        "fct_usage_daily",
        "fct_weather_daily",
    ),
    depends_on_scores=(),
    run=run,
    description=__doc__ or "",
    gate="at least one of two is proven, and only what is proven is used: the CUSUM by more planted falls "
    "caught net of "
    "false alarms (Youden's J) than the raw 30-day drop, the chance of a fall by log loss on unseen "
    "customers and months",
    own_columns=(
        ("lifecycle_stage", pa.string()),
        ("peak_month", pa.string()),
        ("pct_of_peak", pa.float64()),
        ("decline_pct", pa.float64()),
        ("changed_on", pa.date32()),
        ("cause_code", pa.string()),
        ("margin_at_risk_usd", pa.float64()),
        ("p_decline_gt15pct_6m", pa.float64()),
    ),
)
