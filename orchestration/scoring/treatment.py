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

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from orchestration.scoring import options, pictures, response, templates
from orchestration.scoring.contract import Evaluation, Reasons, Score, ScoreContext, ScoreResult, finish
from orchestration.scoring.frames import (
    Bools,
    Floats,
    align,
    contains,
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
_HOLDOUT_SALT = "gridcrm-holdout"


def is_holdout(ids: npt.ArrayLike, share: float) -> Bools:
    """The permanent hold-out: a stable hash of the customer's id below ``share``; it only grows if the share
    does."""
    result: Bools = stable_unit(ids, _HOLDOUT_SALT) < share
    return result


def choose(
    candidates: options.Candidates, explore: Bools, pick: Floats, ctx: ScoreContext
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
    n_options = candidates.allowed.sum(axis=1) + 1
    chosen = np.full(n, -1, dtype=np.int64)
    nth = np.minimum((pick * n_options).astype(np.int64), n_options - 1)
    order = np.cumsum(candidates.allowed, axis=1)
    drawn = (order >= nth[:, None] + 1) & candidates.allowed
    chosen[explore] = np.where(nth < n_options - 1, drawn.argmax(axis=1), -1)[explore]
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
    propensity = share / n_options + (1 - share) * (chosen == best)
    return chosen, propensity


def run(frames: Mapping[str, pd.DataFrame], ctx: ScoreContext) -> ScoreResult:
    """One row a customer. A hold-out customer's marketing action is shown as ineligible ('holdout'), never
    sent."""
    customers = need(frames, "customer_360")
    ids = texts(customers, "customer_id")
    learnt = response.fit(frames, ctx)
    candidates = options.decide(frames, ctx, learnt)
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
    candidates: options.Candidates,
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
    total = float(table["expected_value_usd"].to_numpy()[~explore].sum())
    reminders = candidates.allowed[:, options.COLUMN[REMINDER]] & ~explore
    clerk = float(candidates.value[reminders, options.COLUMN[REMINDER]].sum())
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
    passed = dunned == 0 and total >= clerk and (beats or not (action == EMAIL_OFFER).any())
    if learnt is None:
        message = "no randomised campaign is on record, so no offer is made; "
    else:
        found = learnt.comparisons[0]
        message = (
            f"response AUC {found.value:.3f} {'beats' if beats else 'does not beat'} the offers' mean rates "
            f"({found.baseline:.3f}) on held-out customers, lower bound of the gain {found.gain_lo:+.3f}: "
            f"offers are "
            f"{f'ranked by {learnt.method}' if beats else 'not made'}; "
        )
    message += (
        f"{dunned} reminders to protected customers; expected value {total:,.0f} USD against {clerk:,.0f} "
        f"USD of "
        "reminding whoever may be reminded"
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
    gate="not one reminder to a protected customer, at least the value of reminding all, and offers only "
    "where response is "
    "ranked better than by the offers' mean rates on held-out customers (lower 95 % bound of the gain in "
    "AUC)",
    own_columns=_OWN,
)
