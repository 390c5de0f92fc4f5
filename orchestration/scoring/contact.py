"""When to call: the probability that the right person answers, by customer, weekday type and half-hour.

Here belongs: learning from the call log, and one row for each customer and permitted half-hour (08:00–21:00
local). Who is called, and which slot is taken, belongs to treatment and call_plan. `p_home` enters as one
feature where the customer agreed to it, and does not leave.

Method: a ridge logit on the slot's own rate, the customer's earlier answers (shrunk, against what the slots
of those calls promised), the same for that part of the day, the last call's outcome, attempts and `p_home`.
Every feature of a call is known before it. Baseline: the rate of the weekday type and hour alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from orchestration.scoring import pictures
from orchestration.scoring.at_home import DAY_TYPES, SLOTS, rhythm
from orchestration.scoring.contract import Evaluation, Reasons, Score, ScoreContext, ScoreResult, finish
from orchestration.scoring.evaluation import (
    Comparison,
    auc,
    brier,
    calibration,
    compare,
    forward_folds,
    log_loss,
)
from orchestration.scoring.frames import (
    Bools,
    Floats,
    Ints,
    day_numbers,
    days,
    flags,
    instants,
    need,
    numbers,
    texts,
)
from orchestration.scoring.linear import Logit, logit

FEATURES = ("slot_rate", "own_history", "own_slot_history", "last_call", "attempts", "p_home")
#: Calls that the prior of a customer's own rate weighs, overall and in one part of the day.
_OWN_PRIOR, _PART_PRIOR = 4.0, 6.0
_MIN_TESTED = 100
#: Strong: a utility logs few calls per customer, and most of what six features could fit is noise.
_RIDGE = 20.0


@dataclass(frozen=True)
class Calls:
    """Calls in order of time. ``who`` numbers the customers of ``ids``; ``part`` is the part of the day and
    week."""

    ids: npt.NDArray[np.object_]
    who: Ints
    day: Floats
    day_type: Ints
    slot: Ints
    right: Floats
    attempt: Floats
    is_random: Bools

    @property
    def part(self) -> Ints:
        """Morning, afternoon or evening, on a weekday or at the weekend: 0…5."""
        return part_of(self.day_type, self.slot)


def part_of(day_type: Ints, slot: Ints) -> Ints:
    """0–2: morning before noon, afternoon, evening from 17:00; plus 3 at the weekend."""
    result: Ints = day_type * 3 + (slot >= 24) + (slot >= 34)
    return result


def read_calls(log: pd.DataFrame, ctx: ScoreContext) -> Calls:
    """The call log up to ``as_of_date``, in order of time."""
    day = day_numbers(days(log, "local_date"))
    slot = numbers(log, "local_slot")
    good = (day <= ctx.as_of_day) & np.isfinite(slot) & (texts(log, "customer_id") != "")
    part = log[good]
    order = np.argsort(instants(part, "dialed_at").to_numpy(), kind="stable")
    part = part.iloc[order]
    who, ids = pd.factorize(texts(part, "customer_id"), sort=True)
    return Calls(
        np.asarray(ids, dtype=object),
        who.astype(np.int64),
        day_numbers(days(part, "local_date")),
        (texts(part, "day_type") == "weekend").astype(np.int64),
        numbers(part, "local_slot").astype(np.int64),
        flags(part, "is_right_party").astype(np.float64),
        numbers(part, "attempt_no", 1.0),
        flags(part, "is_random_slot"),
    )


def slot_rates(calls: Calls, rows: Bools) -> Floats:
    """Right-party rate by weekday type and slot (2 × 48), smoothed over an hour either side and shrunk to
    the mean."""
    kernel = np.exp(-0.5 * ((np.arange(SLOTS)[:, None] - np.arange(SLOTS)[None, :]) / 1.5) ** 2)
    key = calls.day_type[rows] * SLOTS + calls.slot[rows]
    made = np.bincount(key, minlength=2 * SLOTS).reshape(2, SLOTS) @ kernel
    answered = np.bincount(key, calls.right[rows], 2 * SLOTS).reshape(2, SLOTS) @ kernel
    mean = float(calls.right[rows].mean()) if rows.any() else 0.2
    result: Floats = (answered + 12 * mean) / (made + 12)
    return result


def _before(group: Ints, values: Floats) -> Floats:
    """Sum of ``values`` over the earlier rows of the same group (rows are in order of time)."""
    order = np.argsort(group, kind="stable")
    total = np.cumsum(values[order])
    starts = np.searchsorted(group[order], group[order])
    base = np.where(starts > 0, total[starts - 1], 0.0)
    result = np.empty(len(values))
    result[order] = total - values[order] - base
    return result


def _previous(group: Ints, values: Floats, missing: float) -> Floats:
    """The value of the row before in the same group."""
    order = np.argsort(group, kind="stable")
    shifted = np.roll(values[order], 1)
    first = np.ones(len(order), dtype=bool)
    first[1:] = group[order][1:] != group[order][:-1]
    shifted[first] = missing
    result = np.empty(len(values))
    result[order] = shifted
    return result


def log_features(calls: Calls, rates: Floats, p_home: Floats) -> Floats:
    """The matrix of logged calls; ``p_home`` is customers × 2 × 48, NaN where not known."""
    promised = rates[calls.day_type, calls.slot]
    surprise = calls.right - promised
    one = np.ones(len(promised))
    own = calls.who * 6 + calls.part
    return np.column_stack(
        [
            logit(promised),
            _before(calls.who, surprise) / (_before(calls.who, one) + _OWN_PRIOR),
            _before(own, surprise) / (_before(own, one) + _PART_PRIOR),
            _previous(calls.who, calls.right, np.nan),
            np.log(np.clip(calls.attempt, 1, 10)),
            _home_feature(p_home[calls.who, calls.day_type, calls.slot], calls.day_type, calls.slot),
        ]
    )


def _home_feature(p: Floats, day_type: Ints, slot: Ints) -> Floats:
    """Presence beyond what the hour tells: the difference to the rhythm of all homes, NaN where not known."""
    result: Floats = p - rhythm()[day_type, slot]
    return result


def home_cube(frames: Mapping[str, pd.DataFrame], ids: npt.NDArray[np.object_]) -> Floats:
    """``p_home`` of each customer's primary premise (customers × 2 × 48), NaN without consent or reads."""
    at_home, customers = need(frames, "scores.at_home"), need(frames, "customer_360")
    eligible = at_home[flags(at_home, "eligible")]
    premise, known = pd.factorize(eligible["subject_id"], sort=True)
    cube = np.full((len(known) + 1, 2, SLOTS), np.nan)
    weekend = (eligible["day_type"] == DAY_TYPES[1]).to_numpy(dtype=np.int64)
    cube[premise, weekend, numbers(eligible, "slot").astype(np.int64)] = numbers(eligible, "p_home")
    home = pd.Series(texts(customers, "primary_premise_id"), index=texts(customers, "customer_id"))
    at = pd.Index(known).get_indexer(pd.Index(home[~home.index.duplicated()].reindex(ids).fillna("")))
    return cube[at]


@dataclass(frozen=True)
class Tested:
    """Later calls of customers not trained on: outcome, prediction, the hour's rate."""

    y: Floats
    p: Floats
    hour: Floats
    group: npt.NDArray[np.object_]


def cross_test(calls: Calls, p_home: Floats) -> Tested:
    """Predicts later calls of each fold by a model of the other customers' earlier calls."""
    if not len(calls.day):
        nothing = np.zeros(0)
        return Tested(nothing, nothing, nothing, np.zeros(0, dtype=object))
    cutoff = float(np.quantile(calls.day, 0.6))
    p, hour = np.full(len(calls.right), np.nan), np.full(len(calls.right), np.nan)
    for train, test in forward_folds(calls.ids[calls.who], calls.day, calls.day, cutoff):
        if test.any() and 0 < calls.right[train].sum() < train.sum():
            rates = slot_rates(calls, train)
            x = log_features(calls, rates, p_home)
            p[test] = Logit.fit(x[train], calls.right[train], FEATURES, ridge=_RIDGE).predict(x[test])
            hour[test] = rates[calls.day_type[test], calls.slot[test]]
    seen = np.isfinite(p)
    return Tested(calls.right[seen], p[seen], hour[seen], calls.ids[calls.who[seen]])


def run(frames: Mapping[str, pd.DataFrame], ctx: ScoreContext) -> ScoreResult:
    """One row for each customer, weekday type and permitted half-hour."""
    customers = need(frames, "customer_360")
    calls = read_calls(need(frames, "fct_call"), ctx)
    home = home_cube(frames, calls.ids)
    tested = cross_test(calls, home)
    likelihood = _likelihood(tested, ctx)
    beats = likelihood is not None and likelihood.gain_lo > 0
    rates = slot_rates(calls, np.ones(len(calls.right), dtype=bool))
    ids = texts(customers, "customer_id")
    slots = np.arange(ctx.capacity.first_slot, ctx.capacity.end_slot)
    n, s = len(ids), len(slots)
    x = _present(calls, rates, ids, home_cube(frames, ids), slots)
    if beats:
        model = Logit.fit(log_features(calls, rates, home), calls.right, FEATURES, ridge=_RIDGE)
        p, (lo, hi), contributions = model.predict(x), model.interval(x), model.contributions(x)
    else:
        # What is not proven is not used: everybody gets the rate of the hour, which is the baseline itself.
        p = np.tile(rates[:, slots].ravel(), n)
        lo, hi = np.full(len(p), np.nan), np.full(len(p), np.nan)
        contributions = np.zeros(x.shape)
        contributions[:, 0] = logit(p) - float(logit(rates[:, slots].mean()))
    why = np.full(n, "", dtype=object)
    why[texts(customers, "primary_phone_e164") == ""] = "no_phone"
    why[flags(customers, "is_do_not_contact")] = "do_not_contact"
    why[flags(customers, "is_deceased")] = "deceased"
    why = np.repeat(why, 2 * s)
    table = finish(
        SCORE,
        ctx,
        subject=np.repeat(ids, 2 * s),
        value=p,
        lo=lo,
        hi=hi,
        ineligible_reason=why,
        lawful_basis="legitimate_interest",
        consent_version=np.repeat(texts(customers, "consent_version"), 2 * s),
        reasons=Reasons(FEATURES, contributions),
        own={
            "day_type": np.tile(np.repeat(np.array(DAY_TYPES, dtype=object), s), n),
            "slot": np.tile(slots, 2 * n),
            "p_contact": np.where(why == "", p, np.nan),
        },
    )
    return _judged(table, tested, likelihood, calls, rates, slots, ctx)


def _present(calls: Calls, rates: Floats, ids: npt.NDArray[np.object_], home: Floats, slots: Ints) -> Floats:
    """The matrix of a first attempt to each customer in each weekday type and slot, as of now."""
    n, s = len(ids), len(slots)
    at = pd.Index(calls.ids).get_indexer(pd.Index(ids))
    m = len(calls.ids)
    surprise = calls.right - rates[calls.day_type, calls.slot]
    own = np.bincount(calls.who, surprise, m) / (np.bincount(calls.who, minlength=m) + _OWN_PRIOR)
    key = calls.who * 6 + calls.part
    part = (np.bincount(key, surprise, 6 * m) / (np.bincount(key, minlength=6 * m) + _PART_PRIOR)).reshape(
        m, 6
    )
    last = np.full(m, np.nan)
    last[calls.who] = calls.right  # in order of time: the latest stays
    own, last = np.append(own, 0.0)[at], np.append(last, np.nan)[at]
    part = np.vstack([part, np.zeros(6)])[at]
    day_type, slot = np.repeat([0, 1], s), np.tile(slots, 2)
    x = np.empty((n, 2 * s, len(FEATURES)))
    x[:, :, 0] = logit(rates[day_type, slot])[None, :]
    x[:, :, 1] = own[:, None]
    x[:, :, 2] = part[:, part_of(day_type, slot)]
    x[:, :, 3] = last[:, None]
    x[:, :, 4] = 0.0
    x[:, :, 5] = _home_feature(home[:, day_type, slot], day_type[None, :], slot[None, :])
    return x.reshape(n * 2 * s, len(FEATURES))


def _top_third_rate(y: Floats, p: Floats) -> float:
    """Share answered among the third of calls that a score ranks first."""
    return float(y[np.argsort(-p, kind="stable")[: max(1, len(p) // 3)]].mean())


def _likelihood(tested: Tested, ctx: ScoreContext) -> Comparison | None:
    """Log loss against the hour alone, or None where there are too few later calls to tell."""
    if len(tested.y) < _MIN_TESTED or not 0 < tested.y.sum() < len(tested.y):
        return None
    rows = (tested.y, tested.p, tested.hour, tested.group)
    return compare("log_loss", log_loss, *rows, ctx.rng("contact.ll"), higher_is_better=False)


def _judged(
    table: pd.DataFrame,
    tested: Tested,
    likelihood: Comparison | None,
    calls: Calls,
    rates: Floats,
    slots: Ints,
    ctx: ScoreContext,
) -> ScoreResult:
    evaluation = Evaluation(SCORE, ctx)
    answer_rate = pictures.lines(
        "When the right person answers",
        f"{len(calls.right):,} logged calls · as of {ctx.as_of_date}",
        slots.astype(np.float64),
        {DAY_TYPES[d]: rates[d, slots] for d in (0, 1)},
        "local time of day",
        "share of calls",
        clock=True,
    )
    beats = likelihood is not None and likelihood.gain_lo > 0
    evaluation.add("uses_model", float(beats), baseline=0.0, slice_="all", n=len(calls.right))
    if likelihood is None:
        enough = len(calls.right) > 0
        message = f"{len(tested.y)} later calls are too few to test on: everybody gets the rate of the hour"
        return ScoreResult(table, evaluation.frame(), {"answer_rate": answer_rate}, enough, message)
    rows = (tested.y, tested.p, tested.hour, tested.group)
    evaluation.compared(compare("auc", auc, *rows, ctx.rng("contact.auc")))
    evaluation.compared(likelihood)
    evaluation.compared(
        compare("brier", brier, *rows, ctx.rng("contact.brier"), higher_is_better=False, n_boot=100)
    )
    best = compare("contact_rate_top_third", _top_third_rate, *rows, ctx.rng("contact.third"))
    evaluation.compared(best)
    curve = calibration(tested.y, tested.p)
    evaluation.add("calibration_error", curve.error, baseline=0.0, n=len(tested.y))
    more = best.value / max(best.baseline, 1e-9) - 1
    subtitle = f"{len(tested.y):,} later calls of customers not trained on · as of {ctx.as_of_date}"
    return ScoreResult(
        table,
        evaluation.frame(),
        {
            "calibration": pictures.calibration_curve(curve, "right person answers", subtitle),
            "answer_rate": answer_rate,
        },
        True,
        f"log loss {likelihood.value:.4f} {'beats' if beats else 'does not beat'} the hour alone "
        f"({likelihood.baseline:.4f}) on {likelihood.n:,} later calls of held-out customers, lower bound "
        f"of the gain "
        f"{likelihood.gain_lo:+.4f}; "
        + (
            f"{more:+.0%} contacts in the third called first"
            if beats
            else "everybody gets the rate of the hour"
        ),
    )


SCORE = Score(
    name="contact",
    inputs=("customer_360", "fct_call"),
    depends_on_scores=("at_home",),
    run=run,
    description=__doc__ or "",
    gate="the model is used only where its log loss is below that of the hour alone on later calls of "
    "customers not "
    "trained on (lower 95 % bound of the gain); else the hour's own rate goes out",
    own_columns=(("day_type", pa.string()), ("slot", pa.int32()), ("p_contact", pa.float64())),
)
