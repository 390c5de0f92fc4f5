"""Call plan: which half-hour of the next calling day each call is made in, within what the agents can do.

Here belongs the assignment; who is to be called comes from treatment, and how likely each slot reaches them
from contact. Some calls (5 %) keep a slot drawn at random, so that contact can be learnt. No `p_home` is
read or written.

Method: minimum-cost flow (OR-tools) of customers to half-hours, maximising expected value; it is compared
with a greedy plan by value and with everybody in the best slot of the hour alone, both under the same
capacity.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from ortools.graph.python import min_cost_flow

from orchestration.scoring import pictures
from orchestration.scoring.contract import Evaluation, Reasons, Score, ScoreContext, ScoreResult, finish
from orchestration.scoring.frames import (
    Bools,
    Floats,
    Ints,
    ScoringError,
    flags,
    need,
    numbers,
    stable_unit,
    texts,
)

#: Slots offered to the solver per customer; the best dozen of 26 lose nothing measurable and halve the arcs.
_BEST_SLOTS = 12
_MILLI = 1000.0


def next_call_date(as_of: date) -> date:
    """The next day on which calls are made: the day after, Sundays left out."""
    day = as_of + timedelta(days=1)
    return day + timedelta(days=1) if day.weekday() == 6 else day


def assign(value: Floats, capacity: Ints) -> Ints:
    """The slot of each call by minimum-cost flow (−1: no room); ``value`` is calls × slots in USD, all ≥
    0."""
    n, s = value.shape
    if n == 0:
        return np.zeros(0, dtype=np.int64)
    k = min(_BEST_SLOTS if n > 5_000 else s, s)
    best = np.argpartition(-value, k - 1, axis=1)[:, :k]
    call = np.repeat(np.arange(n), k)
    slot = best.ravel()
    flow = min_cost_flow.SimpleMinCostFlow()
    sink, nowhere = n + s, n + s + 1
    cost = -np.round(value[call, slot] * _MILLI).astype(np.int64)
    arcs = flow.add_arcs_with_capacity_and_unit_cost(call, n + slot, np.ones(len(call), dtype=np.int64), cost)
    everyone = np.arange(n)
    flow.add_arcs_with_capacity_and_unit_cost(
        everyone, np.full(n, nowhere), np.ones(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    )
    flow.add_arcs_with_capacity_and_unit_cost(
        n + np.arange(s), np.full(s, sink), capacity, np.zeros(s, dtype=np.int64)
    )
    flow.add_arc_with_capacity_and_unit_cost(nowhere, sink, n, 0)
    flow.set_nodes_supplies(np.append(everyone, sink), np.append(np.ones(n, dtype=np.int64), -n))
    status = flow.solve()
    if status != flow.OPTIMAL:
        raise ScoringError(
            f"call_plan: the assignment of {n} calls to {s} half-hours ended with status {status}"
        )
    used = np.asarray(flow.flows(arcs)) > 0
    result = np.full(n, -1, dtype=np.int64)
    result[call[used]] = slot[used]
    return result


def greedy(value: Floats, capacity: Ints) -> Ints:
    """The most valuable pair of call and slot first, round by round: the plan of a good spreadsheet."""
    n, s = value.shape
    result = np.full(n, -1, dtype=np.int64)
    room, worth = capacity.copy(), value.copy()
    for _ in range(s):
        waiting = np.flatnonzero(result < 0)
        waiting = waiting[np.isfinite(worth[waiting].max(axis=1))] if len(waiting) else waiting
        if not len(waiting):
            break
        slot = worth[waiting].argmax(axis=1)
        best = worth[waiting, slot]
        order = np.lexsort((-best, slot))
        place = np.arange(len(order)) - np.searchsorted(slot[order], slot[order])
        fits = place < room[slot[order]]
        taken = waiting[order[fits]]
        result[taken] = slot[order[fits]]
        room -= np.bincount(slot[order[fits]], minlength=s)
        worth[:, room <= 0] = -np.inf
    return result


def random_slots(n: int, capacity: Ints, rng: np.random.Generator) -> Ints:
    """A slot for each of ``n`` calls, drawn evenly from all places that the capacity holds (−1: none
    left)."""
    places = np.repeat(np.arange(len(capacity)), capacity)
    drawn = rng.permutation(places)[:n]
    return np.concatenate([drawn, np.full(n - len(drawn), -1, dtype=np.int64)])


def _chances(contact: pd.DataFrame, ids: npt.NDArray[np.object_], day_type: str, ctx: ScoreContext) -> Floats:
    """``p_contact`` of the given customers on that type of day (customers × slots of the window)."""
    window = range(ctx.capacity.first_slot, ctx.capacity.end_slot)
    rows = contact[(contact["day_type"] == day_type).to_numpy() & flags(contact, "eligible")]
    at = pd.Index(ids).get_indexer(pd.Index(texts(rows, "subject_id")))
    slot = numbers(rows, "slot").astype(np.int64) - window.start
    good = (at >= 0) & (slot >= 0) & (slot < len(window))
    result = np.zeros((len(ids), len(window)))
    result[at[good], slot[good]] = numbers(rows, "p_contact", 0.0)[good]
    return result


def _total(value: Floats, slot: Ints) -> float:
    placed = slot >= 0
    return float(value[np.flatnonzero(placed), slot[placed]].sum())


def run(frames: Mapping[str, pd.DataFrame], ctx: ScoreContext) -> ScoreResult:
    """One row for each customer whose treatment is a call and who may be called."""
    treatment, customers = need(frames, "scores.treatment"), need(frames, "customer_360")
    to_call = treatment[
        (treatment["channel"] == "phone").fillna(False).to_numpy(dtype=bool) & flags(treatment, "eligible")
    ]
    call_date = next_call_date(ctx.as_of_date)
    ids = texts(to_call, "subject_id")
    chance = _chances(
        need(frames, "scores.contact"), ids, "weekend" if call_date.weekday() == 5 else "weekday", ctx
    )
    reachable = chance.max(axis=1) > 0 if len(ids) else np.zeros(0, dtype=bool)
    to_call, ids, chance = to_call[reachable], ids[reachable], chance[reachable]
    best = np.maximum(chance.max(axis=1), 1e-9) if len(ids) else np.ones(0)
    # Treatment's value is for the best slot, net of cost: a contact's worth is what that implies.
    stake = np.maximum(numbers(to_call, "expected_value_usd", 0.0) + ctx.economics.call_cost_usd, 0.5) / best
    value = chance * stake[:, None]
    capacity = ctx.capacity.calls_in_slots().astype(np.int64)
    is_random: Bools = stable_unit(ids, f"slot:{ctx.seed}:{ctx.as_of_date}") < ctx.random_slot_share
    slot = np.full(len(ids), -1, dtype=np.int64)
    slot[is_random] = random_slots(int(is_random.sum()), capacity, ctx.rng("call_plan.random"))
    left = capacity - np.bincount(slot[slot >= 0], minlength=len(capacity))
    slot[~is_random] = assign(value[~is_random], left)
    placed = slot >= 0
    s = np.maximum(slot, 0)
    n = np.arange(len(ids))
    first = ctx.capacity.first_slot
    times = np.array([f"{t // 2:02d}:{30 * (t % 2):02d}" for t in range(49)], dtype=object)
    rank = np.empty(len(ids), dtype=np.int64)
    expected = np.where(placed, value[n, s], 0.0) if len(ids) else np.zeros(0)
    rank[np.argsort(-expected, kind="stable")] = np.arange(1, len(ids) + 1)
    table = finish(
        SCORE,
        ctx,
        subject=ids,
        value=expected,
        ineligible_reason=np.where(placed, "", "no_capacity").astype(object),
        lawful_basis="legitimate_interest",
        consent_version=align_text(customers, "consent_version", ids),
        reasons=Reasons(
            ("slot_value", "random_slot"), np.column_stack([expected, np.where(is_random, -0.01, 0.0)])
        ),
        own={
            "call_date": np.full(len(ids), np.datetime64(call_date)),
            "slot": np.where(placed, slot + first, np.nan),
            "window_start_local": np.where(placed, times[s + first], "").astype(object),
            "window_end_local": np.where(placed, times[s + first + 1], "").astype(object),
            "p_contact": np.where(placed, chance[n, s], np.nan) if len(ids) else np.zeros(0),
            "purpose": texts(to_call, "purpose"),
            "priority": rank,
            "is_random_slot": is_random,
            "expected_value_usd": expected,
        },
    )
    return _judged(table, value, chance, slot, is_random, left, capacity, call_date, ctx)


def align_text(frame: pd.DataFrame, column: str, ids: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """A text column of ``customer_360`` in the order of ``ids``."""
    series = pd.Series(texts(frame, column), index=texts(frame, "customer_id"))
    return series[~series.index.duplicated()].reindex(ids).fillna("").to_numpy(dtype=object)


def _judged(
    table: pd.DataFrame,
    value: Floats,
    chance: Floats,
    slot: Ints,
    is_random: Bools,
    left: Ints,
    capacity: Ints,
    call_date: date,
    ctx: ScoreContext,
) -> ScoreResult:
    evaluation = Evaluation(SCORE, ctx)
    chosen = ~is_random
    plan = _total(value[chosen], slot[chosen])
    by_greed = _total(value[chosen], greedy(value[chosen], left))
    # The hour alone: everybody wants the slots in which people answer most, first come first served.
    usual = chance.mean(axis=0) if len(chance) else np.zeros(len(left))
    hour = greedy(np.repeat(usual[None, :], int(chosen.sum()), axis=0) + 1e-9, left)
    by_hour = _total(value[chosen], hour)
    n = int(chosen.sum())
    evaluation.add("expected_value_usd", plan, baseline=by_greed, slice_="greedy by value", n=n)
    evaluation.add("expected_value_usd", plan, baseline=by_hour, slice_="best hour first come", n=n)
    evaluation.add(
        "expected_contacts",
        _total(chance, slot),
        baseline=_total(chance[chosen], hour),
        slice_="all",
        n=len(slot),
    )
    used = np.bincount(slot[slot >= 0], minlength=len(capacity))
    evaluation.add(
        "slots_over_capacity", float((used > capacity).sum()), baseline=0.0, slice_="all", n=len(capacity)
    )
    fits = bool((used <= capacity).all())
    passed = fits and plan >= by_greed - 0.01 * max(n, 1) and plan >= by_hour
    random_used = np.bincount(slot[is_random & (slot >= 0)], minlength=len(capacity))
    window = np.arange(ctx.capacity.first_slot, ctx.capacity.end_slot, dtype=np.float64)
    subtitle = f"{int((slot >= 0).sum())} calls on {call_date:%A %d %B %Y} · {int(capacity.sum())} places"
    return ScoreResult(
        table,
        evaluation.frame(),
        {
            "call_plan": pictures.call_plan(
                window,
                (used - random_used).astype(np.float64),
                random_used.astype(np.float64),
                capacity.astype(np.float64),
                subtitle,
            )
        },
        passed,
        f"{len(slot)} calls planned worth {plan:.0f} USD: {plan / max(by_greed, 1e-9):.1%} of a greedy plan, "
        f"{plan / max(by_hour, 1e-9):.1%} of calling in the best hours first come; capacity "
        f"{'kept' if fits else 'exceeded'}",
    )


SCORE = Score(
    name="call_plan",
    inputs=("customer_360",),
    depends_on_scores=("contact", "treatment"),
    run=run,
    description=__doc__ or "",
    gate="expected value not below the greedy plan's nor the best-hour plan's, and no half-hour over "
    "capacity",
    own_columns=(
        ("call_date", pa.date32()),
        ("slot", pa.int32()),
        ("window_start_local", pa.string()),
        ("window_end_local", pa.string()),
        ("p_contact", pa.float64()),
        ("purpose", pa.string()),
        ("priority", pa.int32()),
        ("is_random_slot", pa.bool_()),
        ("expected_value_usd", pa.float64()),
    ),
)
