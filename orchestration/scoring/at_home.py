"""At home: how likely somebody is in, by premise, weekday type and half-hour, where they agreed to be
profiled.

Here belongs: recurring slots of eight weeks, never 'empty now', and a premise, not a person. Only premises
whose customer consents to profiling on interval data are computed at all; the others have one row that says
why not. No push may hold `p_home`: it leaves here only as a feature of call timing.

Method, without labels: how busy a slot is against the home's own quiet and active levels (mean use, and
switching within the half-hour), heat pump and car charger taken out as far as plateaus show, then shrunk to
the rhythm of all homes by the weeks seen; appliances started by hand count as direct evidence. Asleep is at
home: at night the rhythm rules. Tested on the manual starts themselves, which the tested figures have not
seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from orchestration.scoring import pictures
from orchestration.scoring.contract import Evaluation, Reasons, Score, ScoreContext, ScoreResult, finish
from orchestration.scoring.evaluation import Comparison, compare, log_loss
from orchestration.scoring.frames import (
    Floats,
    align,
    contains,
    day_numbers,
    days,
    flags,
    need,
    numbers,
    stable_unit,
    texts,
)
from orchestration.scoring.linear import Logit, logit, sigmoid

SLOTS = 48
_WEEKS = 8
DAY_TYPES = ("weekday", "weekend")
_NIGHT = slice(4, 9)  # 02:00–04:30: nobody does anything
#: kWh in a half-hour: above it, a steady draw is a car or a heater (3 kW), not people.
_PLATEAU_KWH = 1.5
#: Homes that log appliances, below which presence cannot be tested.
_MIN_HOMES = 8
_WAKING = slice(13, 45)  # 06:30–22:30
_SLEEP = np.concatenate([np.arange(0, 13), np.arange(45, 48)])


def rhythm() -> Floats:
    """Share of homes that are occupied (weekday type × slot): the prior of time-use surveys, in three
    levels."""
    prior = np.full((2, SLOTS), 0.94)
    prior[0, 16:34] = 0.52
    prior[0, 13:16] = 0.82
    prior[0, 34:38] = 0.74
    prior[0, 38:45] = 0.86
    prior[1, 16:20] = 0.82
    prior[1, 20:36] = 0.64
    prior[1, 36:45] = 0.78
    return prior


@dataclass(frozen=True)
class Rhythms:
    """Arrays of premises × 2 weekday types × 48 slots, with the number of days behind each."""

    points: npt.NDArray[np.object_]
    mean: Floats
    edges: Floats
    n_days: Floats


def _cube(slots: pd.DataFrame, points: npt.NDArray[np.object_], ctx: ScoreContext) -> Rhythms:
    week = day_numbers(days(slots, "week_start_date"))
    last = float(week[week + 6 <= ctx.as_of_day].max(initial=-1e9))
    inside = (week <= last) & (week > last - 7 * _WEEKS) & contains(texts(slots, "service_point_id"), points)
    part = slots[inside]
    code, ids = pd.factorize(texts(part, "service_point_id"), sort=True)
    n = len(ids)
    key = (code * 2 + (texts(part, "day_type") == "weekend")) * SLOTS + numbers(part, "slot").astype(np.int64)

    def total(values: Floats) -> Floats:
        return np.bincount(key, values, n * 2 * SLOTS).reshape(n, 2, SLOTS).astype(np.float64, copy=False)

    count = numbers(part, "n_half_hours", 0.0)
    mean = numbers(part, "sum_kwh", 0.0) / np.maximum(count, 1.0)
    edge = numbers(part, "sum_range_kwh", 0.0) / np.maximum(count, 1.0)
    # A steady 3 kW and more is a car or a heater: it is cut down to the plateau's edge before anything else.
    steady = (mean > _PLATEAU_KWH) & (edge < 0.35 * mean)
    mean = np.where(steady, edge, mean)
    days_seen = total(count)
    return Rhythms(
        np.asarray(ids, dtype=object),
        total(mean * count) / np.maximum(days_seen, 1.0),
        total(edge * count) / np.maximum(days_seen, 1.0),
        days_seen,
    )


def _against_own(values: Floats) -> Floats:
    """Each slot on the home's own scale: 0 at its night level, 1 at its usual active level (90th
    percentile)."""
    flat = values.reshape(len(values), -1)
    quiet = np.median(values[:, :, _NIGHT].reshape(len(values), -1), axis=1)
    quiet = np.minimum(quiet, np.quantile(flat, 0.25, axis=1))
    active = np.quantile(flat, 0.9, axis=1)
    scale = np.maximum(active - quiet, 0.02)
    result: Floats = np.clip((values - quiet[:, None, None]) / scale[:, None, None], 0.0, 1.5)
    return result


def _smooth(values: Floats) -> Floats:
    """Mean with both neighbours around the clock: presence changes slower than kettles."""
    result: Floats = 0.25 * np.roll(values, 1, axis=2) + 0.5 * values + 0.25 * np.roll(values, -1, axis=2)
    return result


@dataclass(frozen=True)
class Evidence:
    """Log odds that each source adds to the prior (premises × 2 × 48)."""

    activity: Floats
    edges: Floats
    starts: Floats
    p: Floats


def estimate(data: Rhythms, starts: Floats) -> Evidence:
    """``p_home`` from use and from manual starts per slot (``starts``: premises × 2 × 48 counts)."""
    prior = rhythm()[None, :, :]
    activity, edges = _smooth(_against_own(data.mean)), _smooth(_against_own(data.edges))
    # Moderate on purpose: use tells less than it seems to, and errors of one home recur in all its slots.
    a, e = 1.0 * (activity - 0.33), 1.5 * (edges - 0.33)
    awake = np.ones(SLOTS)
    awake[_SLEEP] = 0.15
    seen = data.n_days / (data.n_days + np.array([10.0, 4.0])[None, :, None])
    a, e = a * awake * seen, e * awake * seen
    direct = 0.3 * np.log1p(starts)
    return Evidence(a, e, direct, sigmoid(logit(prior) + a + e + direct))


def _starts(frames: Mapping[str, pd.DataFrame], points: npt.NDArray[np.object_], ctx: ScoreContext) -> Floats:
    """Manual starts of appliances in the last eight weeks, per premise, weekday type and slot."""
    events = need(frames, "fct_appliance_event")
    day = day_numbers(days(events, "occurred_at"))
    at = pd.Index(points).get_indexer(pd.Index(texts(events, "service_point_id")))
    good = (at >= 0) & (texts(events, "event") == "manual_start") & (day <= ctx.as_of_day)
    good &= day > ctx.as_of_day - 7 * _WEEKS
    key = (at[good] * 2 + (texts(events, "day_type")[good] == "weekend")) * SLOTS
    key = key + numbers(events, "local_slot")[good].astype(np.int64)
    return np.bincount(key, minlength=len(points) * 2 * SLOTS).reshape(-1, 2, SLOTS).astype(np.float64)


def run(frames: Mapping[str, pd.DataFrame], ctx: ScoreContext) -> ScoreResult:
    """One row per consenting premise, weekday type and slot; one ineligible row per other premise."""
    points, customers = need(frames, "dim_service_point"), need(frames, "customer_360")
    ids = texts(customers, "customer_id")
    consent = (
        align(texts(points, "customer_id"), ids, flags(customers, "consent_profiling_interval"), 0.0) > 0
    )
    version = pd.Series(texts(customers, "consent_version"), index=ids)
    owner_version = (
        version[~version.index.duplicated()].reindex(texts(points, "customer_id")).fillna("").to_numpy(object)
    )
    agreed = texts(points, "service_point_id")[consent]
    data = _cube(need(frames, "fct_usage_slot"), agreed, ctx)
    starts = _starts(frames, data.points, ctx)
    evidence = estimate(data, starts)
    found = _against_starts(starts, estimate(data, np.zeros_like(starts)).p, data.points, ctx)
    proven = found is not None and found.gain_lo > 0

    premise_of = pd.Series(texts(points, "premise_id"), index=texts(points, "service_point_id"))
    version_of = pd.Series(owner_version, index=texts(points, "service_point_id"))
    n = len(data.points)
    cells = n * 2 * SLOTS
    premise = np.repeat(premise_of.reindex(data.points).to_numpy(object), 2 * SLOTS)
    others = points[~contains(texts(points, "service_point_id"), data.points)].drop_duplicates("premise_id")
    others = others[~contains(texts(others, "premise_id"), premise)]
    denied = ~contains(texts(others, "service_point_id"), agreed)
    why = np.concatenate(
        [
            np.full(cells, "" if proven else "unproven"),
            np.where(denied, "no_consent_profiling_interval", "no_interval_reads"),
        ]
    ).astype(object)
    blank = np.full(len(others), np.nan)
    n_days = data.n_days.ravel()
    confidence = n_days / (n_days + np.tile(np.repeat([10.0, 4.0], SLOTS), n))
    spread = 0.5 * (1 - 0.7 * confidence)
    p = evidence.p.ravel() if proven else np.full(cells, np.nan)
    centre = logit(p)

    def column(values: Floats) -> Floats:
        return np.concatenate([values.ravel(), blank])

    table = finish(
        SCORE,
        ctx,
        subject=np.concatenate([premise, texts(others, "premise_id")]),
        value=column(p),
        lo=column(sigmoid(centre - 1.645 * 2 * spread)),
        hi=column(sigmoid(centre + 1.645 * 2 * spread)),
        ineligible_reason=why,
        lawful_basis="consent",
        consent_version=np.concatenate(
            [
                np.repeat(version_of.reindex(data.points).to_numpy(object), 2 * SLOTS),
                version_of.reindex(texts(others, "service_point_id")).to_numpy(object),
            ]
        ),
        reasons=Reasons(
            ("activity_level", "activity_edges", "manual_starts"),
            np.nan_to_num(
                np.column_stack([column(evidence.activity), column(evidence.edges), column(evidence.starts)])
            ),
        ),
        own={
            "day_type": np.concatenate(
                [np.tile(np.repeat(DAY_TYPES, SLOTS), n), np.full(len(others), "")]
            ).astype(object),
            "slot": np.concatenate([np.tile(np.arange(SLOTS, dtype=np.float64), 2 * n), blank]),
            "p_home": column(p),
            "n_days": column(n_days),
            "confidence": column(confidence),
        },
    )
    return _judged(table, data, evidence, found, ctx)


def _against_starts(
    starts: Floats, p: Floats, points: npt.NDArray[np.object_], ctx: ScoreContext
) -> Comparison | None:
    """Whether presence by use tells when an appliance was started by hand, beyond the hour of the other
    homes.

    Waking hours only: at night nobody starts anything, and the hour would look wiser than it is. Both
    models, hour alone and hour with presence, are fitted on three quarters of the homes and judged on the
    rest.
    """
    measured = np.flatnonzero(starts.sum(axis=(1, 2)) >= 5)
    if len(measured) < _MIN_HOMES:
        return None
    starts, p, points = starts[measured], p[measured], points[measured]
    y = (starts[:, :, _WAKING] > 0).astype(np.float64)
    n = len(y)
    hour = logit(np.clip((y.sum(axis=0, keepdims=True) - y) / max(n - 1, 1), 0.01, 0.99)).ravel()
    presence = (p - rhythm()[None, :, :])[:, :, _WAKING].ravel()
    both, alone = np.column_stack([hour, presence]), hour[:, None]
    home = np.repeat(points, y[0].size)
    fold = np.floor(stable_unit(home, "at_home") * 4).astype(np.int64)
    target = y.ravel()
    with_use, without = np.zeros(y.size), np.zeros(y.size)
    for k in range(4):
        test = fold == k
        with_use[test] = Logit.fit(both[~test], target[~test], ("hour", "presence")).predict(both[test])
        without[test] = Logit.fit(alone[~test], target[~test], ("hour",)).predict(alone[test])
    rng = ctx.rng("at_home.starts")
    return compare(
        "log_loss_manual_starts", log_loss, target, with_use, without, home, rng, higher_is_better=False
    )


def _judged(
    table: pd.DataFrame, data: Rhythms, evidence: Evidence, found: Comparison | None, ctx: ScoreContext
) -> ScoreResult:
    evaluation = Evaluation(SCORE, ctx)
    message = f"fewer than {_MIN_HOMES} homes log appliances: occupancy is unproven and withheld"
    if found is not None:
        evaluation.compared(found, "manual starts, use only")
        beats = found.gain_lo > 0
        message = (
            f"use alone, added to the hour, tells half-hours with a manual start at a log loss of "
            f"{found.value:.4f} and "
            f"{'beats' if beats else 'does not beat'} the hour ({found.baseline:.4f}), each home judged by "
            f"a fit on the "
            f"others; lower bound of the gain {found.gain_lo:+.4f}{'' if beats else ': withheld as unproven'}"
        )
    mean = evidence.p.mean(axis=0) if len(evidence.p) else rhythm()
    evaluation.add(
        "mean_p_home", float(mean.mean()), baseline=float(rhythm().mean()), slice_="all", n=len(data.points)
    )
    eligible = int(table["eligible"].sum()) // (2 * SLOTS)
    return ScoreResult(
        table,
        evaluation.frame(),
        {
            "at_home": pictures.lines(
                "Somebody at home: the usual day",
                f"mean of {eligible:,} premises that agreed · 8 weeks to {ctx.as_of_date}",
                np.arange(SLOTS, dtype=np.float64),
                {"weekday": mean[0], "weekend": mean[1]},
                "local time of day",
                "probability",
                clock=True,
            )
        },
        True,
        message,
    )


SCORE = Score(
    name="at_home",
    inputs=("customer_360", "dim_service_point", "fct_usage_slot", "fct_appliance_event"),
    depends_on_scores=(),
    run=run,
    description=__doc__ or "",
    gate="rows are given only where, added to the hour of day, use alone tells half-hours with a manual "
    "appliance start "
    "better than the hour does, in homes not fitted on (lower 95 % bound of the gain in log loss); else "
    "withheld as unproven",
    own_columns=(
        ("day_type", pa.string()),
        ("slot", pa.int32()),
        ("p_home", pa.float64()),
        ("n_days", pa.int32()),
        ("confidence", pa.float64()),
    ),
)
