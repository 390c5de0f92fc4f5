"""What may be done for each customer, and what it is worth: the table that treatment chooses from.

Here belongs one array of customers × ACTIONS for what the situation calls for, what rules, consent and
fatigue take away, and expected value. The choice between them, capacity and exploration belong to treatment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from orchestration.scoring import response, templates
from orchestration.scoring.contract import ScoreContext
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
from orchestration.scoring.rules import (
    ACTIONS,
    CALL_HELP,
    CALL_RETENTION,
    CHANNEL,
    EMAIL_OFFER,
    MARKETING,
    PLAN_OFFER,
    REMINDER,
    suppressed,
)

COLUMN = {action: i for i, action in enumerate(ACTIONS)}
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
    result[:, COLUMN[REMINDER]] = overdue & ~struggling
    result[:, COLUMN[PLAN_OFFER]] = overdue & struggling
    result[:, COLUMN[CALL_HELP]] = overdue & (past_due >= _HELP_AFTER)
    result[:, COLUMN[EMAIL_OFFER]] = stage != "closing"
    result[:, COLUMN[CALL_RETENTION]] = leaving & (stage != "closing")
    return result


def _consents(customers: pd.DataFrame) -> dict[str, Bools]:
    """Missing consent or address, per reason: customers × ACTIONS. Unknown is no."""
    n = len(customers)

    def only(action: str, missing: Bools) -> Bools:
        mask = np.zeros((n, len(ACTIONS)), dtype=bool)
        mask[:, COLUMN[action]] = missing
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
    gain[:, COLUMN[REMINDER]] = e.effect_reminder * loss + delay
    gain[:, COLUMN[PLAN_OFFER]] = e.effect_plan_offer * loss + delay
    gain[:, COLUMN[CALL_HELP]] = reach * (e.effect_call_help * loss + 2 * delay)
    gain[:, COLUMN[CALL_RETENTION]] = reach * e.effect_retention_call * stake
    offer = np.full(len(ids), "", dtype=object)
    if learnt is not None and learnt.beats_mean:
        ranked = (learnt.uplift if learnt.method == "uplift" else learnt.p) * learnt.value_usd[None, :]
        barred = ~contains(learnt.offers, templates.OFFERS)
        taken = _taken(frames, ids, learnt.offers, ctx) | barred[None, :]
        ranked = np.where(taken, -1.0, ranked)
        pick = ranked.argmax(axis=1)
        offer = np.array(learnt.offers, dtype=object)[pick]
        # What is earned is what the offer adds: those who would come anyway are worth nothing more.
        added = learnt.uplift[np.arange(len(ids)), pick] * learnt.value_usd[pick]
        gain[:, COLUMN[EMAIL_OFFER]] = added
        offer[taken.all(axis=1)] = ""
    cost = np.array(
        [
            {"phone": e.call_cost_usd, "letter": e.letter_cost_usd, "email": e.email_cost_usd}[CHANNEL[a]]
            for a in ACTIONS
        ]
    )
    return gain - cost[None, :], gain, offer


def _email_only(mask: Bools) -> Bools:
    result = np.zeros((len(mask), len(ACTIONS)), dtype=bool)
    result[:, COLUMN[EMAIL_OFFER]] = mask
    return result


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
        # An offer whose response is not understood better than by its mean is not made, nor one already
        # taken.
        "offer_unproven": _email_only(np.full(len(ids), learnt is None or not learnt.beats_mean)),
        "nothing_to_offer": _email_only(offer == ""),
    }
    allowed = asked.copy()
    named = np.full(len(ids), "", dtype=object)
    for code, mask in blocks.items():
        hit = (asked & mask).any(axis=1)
        named[hit] = np.where(named[hit] == "", code, named[hit] + ("," + code))
        allowed &= ~mask
    segment = _text(frames, "non_payment", "payment_segment", ids)
    return Candidates(allowed, value, named, tones(customers, segment), offer, gain)
