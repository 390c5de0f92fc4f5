"""Treatment, or next best action: one action a customer, or none, and why not the others.

Here belongs the order of deciding: hard rules (rules.py) → consent → fatigue → what each action is worth →
what the operations can do in a day → a little exploration with its propensity logged. What is said comes
from approved templates (templates.py). The hold-out is permanent and by a stable hash: those customers get
no marketing at all, so that what marketing brings stays measurable.

Non-payment may soften a treatment and never hastens it: nothing happens before a bill is past due, and a
high risk turns a reminder into help. Value never enters what is done about payment, safety or hardship.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from orchestration.scoring import pictures, response, templates
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
    stable_unit,
    texts,
)
from orchestration.scoring.rules import (
    ACTIONS,
    CALL_HELP,
    CALL_RETENTION,
    CHANNEL,
    EMAIL_OFFER,
    MARKETING,
    NONE,
    PLAN_OFFER,
    PURPOSE,
    REMINDER,
    suppressed,
)

_OWN = (
    ("action_id", pa.string()),
    ("channel", pa.string()),
    ("send_window", pa.string()),
    ("tone", pa.string()),
    ("content_id", pa.string()),
    ("propensity", pa.float64()),
    ("suppressed_by", pa.string()),
    ("expected_value_usd", pa.float64()),
    ("purpose", pa.string()),
    ("is_holdout", pa.bool_()),
    ("offer_id", pa.string()),
    ("method_used", pa.string()),
)
_PAYMENT = (CALL_HELP, REMINDER, PLAN_OFFER)
_COLUMN = {action: i for i, action in enumerate(ACTIONS)}
_HOLDOUT_SALT = "gridcrm-holdout"
#: A letter or a call about money waits this many days after the due date; help is offered by telephone after
#: two weeks.
_REMIND_AFTER, _HELP_AFTER, _FORMAL_AFTER = 5.0, 14.0, 21.0
_MIN_ARREARS_USD = 10.0
#: What a month's delay of one dollar costs the utility (capital and handling).
_DELAY_COST = 0.02


@dataclass(frozen=True)
class Candidates:
    """Customers × ACTIONS: whether an action is called for and permitted, and what it is worth in USD."""

    allowed: Bools
    value: Floats
    suppressed_by: npt.NDArray[np.object_]
    tone: npt.NDArray[np.object_]
    offer: npt.NDArray[np.object_]
    gain: Floats


def is_holdout(ids: npt.ArrayLike, share: float) -> Bools:
    """The permanent hold-out: a stable hash of the customer's id below ``share``; it only grows if the share
    does."""
    result: Bools = stable_unit(ids, _HOLDOUT_SALT) < share
    return result


def _score(frames: Mapping[str, pd.DataFrame], name: str, column: str, ids: npt.ArrayLike) -> Floats:
    frame = need(frames, f"scores.{name}")
    return align(ids, frame["subject_id"], numbers(frame, column), 0.0)


def _text(
    frames: Mapping[str, pd.DataFrame], name: str, column: str, ids: npt.ArrayLike
) -> npt.NDArray[np.object_]:
    frame = need(frames, f"scores.{name}")
    series = pd.Series(texts(frame, column), index=texts(frame, "subject_id"))
    return (
        series[~series.index.duplicated()]
        .reindex(np.asarray(ids, dtype=object))
        .fillna("")
        .to_numpy(dtype=object)
    )


def wanted(frames: Mapping[str, pd.DataFrame], customers: pd.DataFrame) -> Bools:
    """What each customer's own situation calls for (customers × ACTIONS), before any rule."""
    ids = texts(customers, "customer_id")
    past_due, arrears = numbers(customers, "days_past_due", 0.0), numbers(customers, "arrears_usd", 0.0)
    overdue = (past_due >= _REMIND_AFTER) & (arrears >= _MIN_ARREARS_USD)
    segment = _text(frames, "non_payment", "payment_segment", ids)
    struggling = contains(segment, ["cash_flow", "hardship"])
    stage, cause = (
        _text(frames, "decline", "lifecycle_stage", ids),
        _text(frames, "decline", "cause_code", ids),
    )
    ending = numbers(customers, "days_to_contract_end", 9e9)
    leaving = ((stage == "at_risk") | ((ending <= 60) & (ending >= 0))) & ~contains(
        cause, ["solar", "moved_out"]
    )
    result = np.zeros((len(ids), len(ACTIONS)), dtype=bool)
    result[:, _COLUMN[REMINDER]] = overdue & ~struggling
    result[:, _COLUMN[PLAN_OFFER]] = overdue & struggling
    result[:, _COLUMN[CALL_HELP]] = overdue & (past_due >= _HELP_AFTER)
    result[:, _COLUMN[EMAIL_OFFER]] = stage != "closing"
    result[:, _COLUMN[CALL_RETENTION]] = leaving & (stage != "closing")
    return result


def _consents(customers: pd.DataFrame) -> dict[str, Bools]:
    """Missing consent or address, per reason: customers × ACTIONS. Unknown is no."""
    n = len(customers)

    def only(action: str, missing: Bools) -> Bools:
        mask = np.zeros((n, len(ACTIONS)), dtype=bool)
        mask[:, _COLUMN[action]] = missing
        return mask

    no_phone = texts(customers, "primary_phone_e164") == ""
    return {
        "no_consent_marketing_email": only(EMAIL_OFFER, ~flags(customers, "consent_marketing_email")),
        "no_consent_marketing_phone": only(CALL_RETENTION, ~flags(customers, "consent_marketing_phone")),
        "no_consent_collections_phone": only(CALL_HELP, ~flags(customers, "consent_collections_phone")),
        "no_email": only(EMAIL_OFFER, texts(customers, "email") == ""),
        "no_phone": only(CALL_HELP, no_phone) | only(CALL_RETENTION, no_phone),
    }


def _fatigue(
    frames: Mapping[str, pd.DataFrame], ids: npt.NDArray[np.object_], ctx: ScoreContext
) -> dict[str, Bools]:
    """Too much contact already: attempts in seven days, and two campaigns in the last thirty."""
    calls = need(frames, "fct_call")
    day = day_numbers(days(calls, "local_date"))
    recent = texts(calls, "customer_id")[(day > ctx.as_of_day - 7) & (day <= ctx.as_of_day)]
    attempts = align(ids, *np.unique(recent.astype(str), return_counts=True), missing=0.0)
    answered = flags(calls, "is_right_party") & (day > ctx.as_of_day - 7) & (day <= ctx.as_of_day)
    reached = contains(ids, texts(calls, "customer_id")[answered])
    campaigns = need(frames, "fct_campaign_assignment")
    sent = day_numbers(days(campaigns, "assigned_at"))
    live = (sent > ctx.as_of_day - 30) & (sent <= ctx.as_of_day) & (texts(campaigns, "arm") == "treatment")
    offers = align(
        ids, *np.unique(texts(campaigns, "customer_id")[live].astype(str), return_counts=True), missing=0.0
    )
    phone = np.array([CHANNEL[a] == "phone" for a in ACTIONS])
    market = contains(ACTIONS, MARKETING)
    return {
        "attempts_7d": (attempts >= ctx.capacity.max_attempts_7d)[:, None] & phone[None, :],
        "reached_7d": reached[:, None] & phone[None, :],
        "campaigns_30d": (offers >= 2)[:, None] & market[None, :],
    }


def worth(
    frames: Mapping[str, pd.DataFrame],
    customers: pd.DataFrame,
    learnt: response.Response | None,
    ctx: ScoreContext,
) -> tuple[Floats, Floats, npt.NDArray[np.object_]]:
    """Expected value and gross gain of each action (customers × ACTIONS, USD), and the best offer of each
    customer."""
    ids, e = texts(customers, "customer_id"), ctx.economics
    loss = _score(frames, "non_payment", "expected_loss_usd", ids)
    delay = np.maximum(numbers(customers, "arrears_usd", 0.0), 0.0) * _DELAY_COST
    contact = need(frames, "scores.contact")
    best = contact.groupby("subject_id", sort=False)["p_contact"].max()
    reach = align(ids, best.index, best.to_numpy(dtype=np.float64), 0.0)
    at_risk = _score(frames, "decline", "margin_at_risk_usd", ids)
    stake = np.maximum(at_risk, 0.25 * np.maximum(_score(frames, "customer_value", "clv_12m_usd", ids), 0.0))
    gain = np.zeros((len(ids), len(ACTIONS)))
    gain[:, _COLUMN[REMINDER]] = e.effect_reminder * loss + delay
    gain[:, _COLUMN[PLAN_OFFER]] = e.effect_plan_offer * loss + delay
    gain[:, _COLUMN[CALL_HELP]] = reach * (e.effect_call_help * loss + 2 * delay)
    gain[:, _COLUMN[CALL_RETENTION]] = reach * e.effect_retention_call * stake
    offer = np.full(len(ids), "", dtype=object)
    if learnt is not None and learnt.offers:
        ranked = (learnt.uplift if learnt.method == "uplift" else learnt.p) * learnt.value_usd[None, :]
        taken = _taken(frames, ids, learnt.offers, ctx)
        ranked = np.where(taken, -1.0, ranked)
        pick = ranked.argmax(axis=1)
        offer = np.array(learnt.offers, dtype=object)[pick]
        # What is earned is what the offer adds: those who would come anyway are worth nothing more.
        added = learnt.uplift[np.arange(len(ids)), pick] * learnt.value_usd[pick]
        gain[:, _COLUMN[EMAIL_OFFER]] = np.where(taken.all(axis=1), -1.0, added)
    cost = np.array(
        [
            {"phone": e.call_cost_usd, "letter": e.letter_cost_usd, "email": e.email_cost_usd}[CHANNEL[a]]
            for a in ACTIONS
        ]
    )
    return gain - cost[None, :], gain, offer


def _taken(
    frames: Mapping[str, pd.DataFrame],
    ids: npt.NDArray[np.object_],
    offers: tuple[str, ...],
    ctx: ScoreContext,
) -> Bools:
    rows = need(frames, "fct_campaign_assignment")
    rows = rows[
        flags(rows, "has_responded") & (day_numbers(days(rows, "assigned_at")) <= ctx.as_of_day).astype(bool)
    ]
    return np.column_stack(
        [contains(ids, texts(rows, "customer_id")[texts(rows, "offer_id") == o]) for o in offers]
    )


def tones(customers: pd.DataFrame, segment: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """The tone of a reminder: formal only to who is long past due, neither protected nor struggling nor
    forgetful."""
    protected = (
        flags(customers, "is_medical")
        | flags(customers, "is_vulnerable")
        | flags(customers, "has_open_dispute")
    )
    formal = (numbers(customers, "days_past_due", 0.0) >= _FORMAL_AFTER) & ~protected & (segment == "none")
    return np.where(formal, "formal", "friendly").astype(object)


def choose(
    candidates: Candidates, explore: Bools, pick: Floats, ctx: ScoreContext
) -> tuple[npt.NDArray[np.int64], Floats]:
    """The chosen action (index, −1 for none) and its propensity, inside the capacity of each channel.

    Explorers draw evenly among what is allowed, none included, and take their place first. The others take
    their best action by value; where a channel is full, its least valuable go on to their next best.
    """
    n = len(explore)
    capacity = {
        "phone": int(ctx.capacity.calls_in_slots().sum()),
        "letter": ctx.capacity.letters_per_day,
        "email": ctx.capacity.emails_per_day,
    }
    channel = np.array([CHANNEL[a] for a in ACTIONS])
    value = np.where(candidates.allowed & (candidates.value > 0), candidates.value, -np.inf)
    options = candidates.allowed.sum(axis=1) + 1
    chosen = np.full(n, -1, dtype=np.int64)
    nth = np.minimum((pick * options).astype(np.int64), options - 1)
    order = np.cumsum(candidates.allowed, axis=1)
    drawn = (order >= nth[:, None] + 1) & candidates.allowed
    chosen[explore] = np.where(nth < options - 1, drawn.argmax(axis=1), -1)[explore]
    best = np.where(np.isfinite(value).any(axis=1), value.argmax(axis=1), -1)
    free = ~explore
    left = {
        name: max(0, c - int((channel[chosen[chosen >= 0]] == name).sum())) for name, c in capacity.items()
    }
    for _ in range(len(ACTIONS)):
        open_ = free & np.isfinite(value).any(axis=1)
        chosen[free] = -1
        chosen[open_] = value[open_].argmax(axis=1)
        full = False
        for name, room in left.items():
            rows = np.flatnonzero(free & (chosen >= 0) & (channel[np.maximum(chosen, 0)] == name))
            if len(rows) > room:
                worst = rows[np.argsort(-value[rows, chosen[rows]], kind="stable")[room:]]
                value[np.ix_(worst, channel == name)] = -np.inf
                full = True
        if not full:
            break
    share = ctx.exploration_share
    propensity = share / options + (1 - share) * (chosen == best)
    return chosen, propensity


def decide(
    frames: Mapping[str, pd.DataFrame], ctx: ScoreContext, learnt: response.Response | None
) -> Candidates:
    """Allowed actions with their values, and every reason that took a wanted action away."""
    customers = need(frames, "customer_360")
    ids = texts(customers, "customer_id")
    asked = wanted(frames, customers)
    value, gain, offer = worth(frames, customers, learnt, ctx)
    blocks = {
        **suppressed(customers, ctx.jurisdiction, ctx.as_of_date),
        **_consents(customers),
        **_fatigue(frames, ids, ctx),
    }
    allowed = asked.copy()
    named = np.full(len(ids), "", dtype=object)
    for code, mask in blocks.items():
        hit = (asked & mask).any(axis=1)
        named[hit] = np.where(named[hit] == "", code, named[hit] + ("," + code))
        allowed &= ~mask
    segment = _text(frames, "non_payment", "payment_segment", ids)
    return Candidates(allowed, value, named, tones(customers, segment), offer, gain)


def run(frames: Mapping[str, pd.DataFrame], ctx: ScoreContext) -> ScoreResult:
    """One row a customer. A hold-out customer's marketing action is shown as ineligible ('holdout'), never
    sent."""
    customers = need(frames, "customer_360")
    ids = texts(customers, "customer_id")
    learnt = response.fit(frames, ctx)
    candidates = decide(frames, ctx, learnt)
    daily = f"treatment:{ctx.seed}:{ctx.as_of_date}"
    explore = stable_unit(ids, daily) < ctx.exploration_share
    chosen, propensity = choose(candidates, explore, stable_unit(ids, daily + ":pick"), ctx)
    n = np.arange(len(ids))
    acts = chosen >= 0
    action = np.where(acts, np.array(ACTIONS, dtype=object)[chosen], NONE)
    channel = np.array([CHANNEL.get(a, "") for a in action], dtype=object)
    offer = np.where(action == EMAIL_OFFER, candidates.offer, "").astype(object)
    tone = np.where(action == REMINDER, candidates.tone, "friendly").astype(object)
    tone[contains(action, [CALL_HELP, PLAN_OFFER])] = "supportive"
    tone[~acts] = ""
    value = np.where(acts, candidates.value[n, chosen], 0.0)
    held = is_holdout(ids, ctx.holdout_share)
    why = np.where(held & contains(action, MARKETING), "holdout", "").astype(object)
    gain = np.where(acts, candidates.gain[n, chosen], 0.0)
    parts = {
        "expected_loss": np.where(contains(action, _PAYMENT), gain, 0.0),
        "margin_at_risk": np.where(action == CALL_RETENTION, gain, 0.0),
        "offer_response": np.where(action == EMAIL_OFFER, gain, 0.0),
        "action_cost": np.where(acts, value - gain, 0.0),
        "explored": np.where(explore & acts, -np.maximum(-value, 0.01), 0.0),
    }
    table = finish(
        SCORE,
        ctx,
        subject=ids,
        value=value,
        ineligible_reason=why,
        lawful_basis="legitimate_interest",
        consent_version=texts(customers, "consent_version"),
        reasons=Reasons(tuple(parts), np.column_stack(list(parts.values()))),
        own={
            "action_id": action,
            "channel": channel,
            "send_window": send_windows(frames, ids, channel),
            "tone": tone,
            "content_id": templates.content_ids(action, tone, offer, texts(customers, "language")),
            "propensity": propensity,
            # What was taken from who gets nothing: a row with an action to send is not itself suppressed.
            "suppressed_by": np.where(acts, "", candidates.suppressed_by).astype(object),
            "expected_value_usd": value,
            "purpose": np.array([PURPOSE.get(a, "") for a in action], dtype=object),
            # The hold-out is from marketing: help with a bill reaches everybody.
            "is_holdout": held & ~contains(action, _PAYMENT),
            "offer_id": offer,
            "method_used": np.where(
                explore,
                "explore",
                np.where(action == EMAIL_OFFER, learnt.method if learnt else "", "expected_value"),
            ).astype(object),
        },
    )
    return _judged(table, candidates, learnt, action, explore, customers, ctx)


def send_windows(
    frames: Mapping[str, pd.DataFrame], ids: npt.NDArray[np.object_], channel: npt.NDArray[np.object_]
) -> npt.NDArray[np.object_]:
    """When to send, in words: for a call the two hours around the best slot; a letter or an e-mail in
    business hours."""
    contact = need(frames, "scores.contact")
    known = contact[contact["p_contact"].notna()]
    best = known.loc[known.groupby("subject_id", sort=False)["p_contact"].idxmax()]
    slot = align(ids, best["subject_id"], numbers(best, "slot"), 20.0)
    weekend = align(ids, best["subject_id"], (best["day_type"] == "weekend").astype(np.float64), 0.0) > 0
    first = np.clip(slot - 1, 16, 38).astype(np.int64)
    times = np.array([f"{s // 2:02d}:{30 * (s % 2):02d}" for s in range(49)], dtype=object)
    calls = np.where(weekend, "weekend ", "weekday ").astype(object) + times[first] + "–" + times[first + 4]
    return np.where(
        channel == "phone",
        calls,
        np.where(channel == "email", "weekday 09:00–17:00", np.where(channel == "letter", "next post", "")),
    ).astype(object)


def _judged(
    table: pd.DataFrame,
    candidates: Candidates,
    learnt: response.Response | None,
    action: npt.NDArray[np.object_],
    explore: Bools,
    customers: pd.DataFrame,
    ctx: ScoreContext,
) -> ScoreResult:
    evaluation = Evaluation(SCORE, ctx)
    for comparison in learnt.comparisons if learnt else ():
        evaluation.compared(comparison)
    protected = (
        flags(customers, "is_medical")
        | flags(customers, "is_vulnerable")
        | flags(customers, "has_open_dispute")
    )
    dunned = int((protected & (action == REMINDER)).sum())
    evaluation.add("dunning_to_protected", dunned, baseline=0.0, slice_="all", n=int(protected.sum()))
    total = float(table["expected_value_usd"].sum())
    reminders = candidates.allowed[:, _COLUMN[REMINDER]]
    clerk = float(candidates.value[reminders, _COLUMN[REMINDER]].sum())
    evaluation.add("expected_value_usd", total, baseline=clerk, slice_="all", n=len(table))
    evaluation.add(
        "explored_share", float(explore.mean()), baseline=ctx.exploration_share, slice_="all", n=len(table)
    )
    evaluation.add(
        "holdout_share",
        float(table["is_holdout"].mean()),
        baseline=ctx.holdout_share,
        slice_="all",
        n=len(table),
    )
    beats = bool(learnt and learnt.beats_mean)
    passed = beats and dunned == 0
    if learnt is None:
        message = "no randomised campaign is on record: response to offers cannot be learnt"
    else:
        found = learnt.comparisons[0]
        message = (
            f"response AUC {found.value:.3f} {'beats' if beats else 'does not beat'} the offers' mean rates "
            f"({found.baseline:.3f}) on held-out customers, lower bound of the gain {found.gain_lo:+.3f}; "
            f"offers ranked by "
            f"{learnt.method}; {dunned} reminders to protected customers"
        )
    counted = {a: int((action == a).sum()) for a in (*ACTIONS, NONE)}
    return ScoreResult(
        table,
        evaluation.frame(),
        {
            "actions": pictures.counts(
                "Next best action", f"customers by action · as of {ctx.as_of_date}", counted
            )
        },
        passed,
        message,
    )


SCORE = Score(
    name="treatment",
    inputs=("customer_360", "fct_call", "fct_campaign_assignment"),
    depends_on_scores=("non_payment", "customer_value", "decline", "contact"),
    run=run,
    description=__doc__ or "",
    gate="response to offers ranked better than by the offers' mean rates on held-out customers (lower 95 "
    "% bound of the "
    "gain in AUC), and not one reminder to a protected customer",
    own_columns=_OWN,
)
