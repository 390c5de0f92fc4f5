"""Contact, treatment, call plan and card: safeguards as tests, then what they gain."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from orchestration.scoring import SCORES, Capacity, call_plan, contact, response, rules, templates, treatment
from tests.orchestration.scoring.conftest import Scored
from tests.orchestration.scoring.support import make


def test_contact_learns_when_and_who(scored: Scored) -> None:
    table = scored.results["contact"].table
    truth = scored.world.truth
    ids = pd.Index(scored.world.frames["customer_360"]["customer_id"])
    at = ids.get_indexer(pd.Index(table["subject_id"]))
    day = (table["day_type"] == "weekend").to_numpy(dtype=int)
    slot = table["slot"].to_numpy(dtype=int)
    true = 1 / (1 + np.exp(-(-2.6 + 3.2 * truth["p_home"][at, day, slot] + truth["temper"][at])))
    shown = table["p_contact"].notna().to_numpy()
    found = np.corrcoef(table["p_contact"].to_numpy()[shown], true[shown])[0, 1]
    hour = pd.Series(true[shown]).groupby([day[shown], slot[shown]]).transform("mean")
    assert found > 0.6
    assert found > np.corrcoef(hour, true[shown])[0, 1] + 0.05
    gain = scored.metric("contact", "contact_rate_top_third")
    assert gain["value"] > 1.1 * gain["baseline"], "at least 10 % more contacts than the hour alone"


def test_contact_stays_in_the_permitted_window(scored: Scored) -> None:
    slot = scored.results["contact"].table["slot"]
    assert slot.min() == 16
    assert slot.max() == 41


def test_features_of_a_call_come_from_before_it() -> None:
    who = np.array([0, 1, 0, 0, 1])
    value = np.array([1.0, 10.0, 2.0, 4.0, 20.0])
    assert contact._before(who, value).tolist() == [0.0, 0.0, 1.0, 3.0, 10.0]
    assert contact._previous(who, value, -1.0).tolist() == [-1.0, -1.0, 1.0, 2.0, 10.0]


def test_nobody_protected_is_dunned(scored: Scored) -> None:
    customers, table = scored.world.frames["customer_360"], scored.table("treatment")
    action = table["action_id"].to_numpy()
    care = (customers["is_medical"] | customers["is_vulnerable"]).to_numpy()
    assert not (care & (action == rules.REMINDER)).any()
    for flag, barred in (
        ("has_open_dispute", {rules.REMINDER, rules.CALL_HELP, rules.PLAN_OFFER}),
        ("has_active_plan", {rules.REMINDER, rules.CALL_HELP, rules.PLAN_OFFER, rules.CALL_RETENTION}),
        ("is_do_not_call", {rules.CALL_HELP, rules.CALL_RETENTION}),
        ("has_refused_collections_letter", {rules.REMINDER, rules.PLAN_OFFER}),
        ("is_bankrupt", {rules.REMINDER, rules.CALL_HELP, rules.PLAN_OFFER}),
        ("is_deceased", set(rules.ACTIONS)),
        ("is_do_not_contact", set(rules.ACTIONS)),
    ):
        assert not set(action[customers[flag].to_numpy()]) & barred, flag


def test_no_dunning_whatever_it_would_be_worth() -> None:
    """Everybody protected, everybody deep in arrears: no reminder, no formal tone; and value changes
    nothing."""
    world = make(250, seed=31)
    world.frames["customer_360"] = world.frames["customer_360"].assign(
        is_medical=True,
        arrears_usd=5_000.0,
        days_past_due=90.0,
        consent_collections_phone=True,
        has_active_plan=False,
        is_do_not_call=False,
        is_deceased=False,
        is_do_not_contact=False,
        is_bankrupt=False,
        has_open_dispute=False,
    )
    frames = dict(world.frames)
    for name in list(SCORES)[:7]:
        result = SCORES[name].run(frames, world.ctx)
        frames[f"scores.{name}"] = result.table
    action = result.table["action_id"]
    assert not action.eq(rules.REMINDER).any()
    assert not result.table["tone"].eq("formal").any()
    assert action.isin([rules.CALL_HELP, rules.PLAN_OFFER]).any(), "help may still be offered"
    poorer = frames["scores.customer_value"].assign(clv_12m_usd=0.0, clv_60m_usd=0.0)
    again = SCORES["treatment"].run({**frames, "scores.customer_value": poorer}, world.ctx).table
    payment = result.table["purpose"].isin(["payment_help", "collections"])
    assert again["action_id"][payment].eq(action[payment]).mean() > 0.95


def test_nothing_happens_before_a_bill_is_past_due(scored: Scored) -> None:
    """A high risk alone hastens nothing."""
    customers, table = scored.world.frames["customer_360"], scored.table("treatment")
    early = (customers["days_past_due"] < 5).to_numpy()
    assert not set(table["action_id"].to_numpy()[early]) & {rules.REMINDER, rules.CALL_HELP, rules.PLAN_OFFER}


def test_consent_and_holdout(scored: Scored) -> None:
    customers, table = scored.world.frames["customer_360"], scored.table("treatment")
    mail = (table["action_id"] == rules.EMAIL_OFFER).to_numpy()
    assert mail.any()
    assert customers["consent_marketing_email"].to_numpy()[mail].all()
    assert customers["email"].notna().to_numpy()[mail].all()
    call = (table["action_id"] == rules.CALL_HELP).to_numpy()
    assert customers["consent_collections_phone"].to_numpy()[call].all()
    held = treatment.is_holdout(customers["customer_id"], scored.world.ctx.holdout_share)
    assert not (
        table["eligible"].to_numpy(dtype=bool) & held & table["purpose"].eq("marketing").to_numpy()
    ).any()
    assert table.loc[held & mail, "ineligible_reason"].eq("holdout").all()


def test_holdout_is_permanent_and_only_grows() -> None:
    ids = [f"C{i:012x}" for i in range(20_000)]
    first = treatment.is_holdout(ids, 0.07)
    assert first.mean() == pytest.approx(0.07, abs=0.006)
    assert (treatment.is_holdout(ids[::-1], 0.07)[::-1] == first).all()
    assert (treatment.is_holdout(ids, 0.10) >= first).all()
    # These ids must never change sides: a changed hash would mix treated and held-out customers.
    assert treatment.is_holdout(["C000000000001", "C00000000004e"], 0.07).tolist() == [False, False]
    assert np.flatnonzero(first)[:3].tolist() == EXPECTED_HOLDOUT


EXPECTED_HOLDOUT = [8, 19, 20]


def test_exploration_logs_its_propensity(scored: Scored) -> None:
    table = scored.results["treatment"].table
    assert table["propensity"].between(0, 1).all()
    explored = table["method_used"].eq("explore")
    assert explored.mean() == pytest.approx(0.05, abs=0.03)
    settled = table[~explored & table["action_id"].ne("none")]
    assert (settled["propensity"] > 0.9).mean() > 0.9


def test_capacity_of_letters_mail_and_calls_is_kept() -> None:
    world = make(400, seed=32)
    tight = replace(
        world.ctx,
        capacity=Capacity(
            agents=1,
            calls_per_agent_half_hour=1,
            letters_per_day=4,
            emails_per_day=7,
            agents_by_slot=dict.fromkeys(range(16, 38), 0),
        ),
    )
    frames = dict(world.frames)
    results = {}
    for name, score in SCORES.items():
        results[name] = score.run(frames, tight)
        frames[f"scores.{name}"] = results[name].table
    counts = results["treatment"].table["channel"].value_counts()
    assert counts.get("letter", 0) <= 4
    assert counts.get("email", 0) == 7
    assert counts.get("phone", 0) <= 4
    plan = results["call_plan"].table
    assert plan["slot"].value_counts().max() <= 1
    assert plan["slot"].dropna().ge(38).all()


def test_plan_is_optimal_and_greedy_nearly_so() -> None:
    rng = np.random.default_rng(0)
    value = rng.gamma(2.0, 2.0, (300, 26)) * np.linspace(0.6, 1.4, 26)[None, :]
    capacity = np.full(26, 9)
    best = call_plan.assign(value, capacity)
    greedy = call_plan.greedy(value, capacity)
    for plan in (best, greedy):
        assert (np.bincount(plan[plan >= 0], minlength=26) <= capacity).all()
        assert (plan >= 0).sum() == 26 * 9
    total = call_plan._total(value, best)
    assert 0.97 * total < call_plan._total(value, greedy) <= total + 1e-6
    # Against the exact optimum by an independent solver.
    from scipy.optimize import linear_sum_assignment

    seats = np.repeat(value, capacity, axis=1)
    i, j = linear_sum_assignment(-seats)
    assert total == pytest.approx(seats[i, j].sum(), rel=1e-3)


def test_random_slots_are_even_and_within_capacity() -> None:
    capacity = np.array([3, 0, 5])
    drawn = call_plan.random_slots(10, capacity, np.random.default_rng(0))
    assert (drawn == -1).sum() == 2
    assert np.bincount(drawn[drawn >= 0], minlength=3).tolist() == [3, 0, 5]


def test_call_plan_holds_only_calls_that_may_be_made(scored: Scored) -> None:
    plan, table = scored.results["call_plan"].table, scored.results["treatment"].table
    allowed = table[table["channel"].eq("phone") & table["eligible"]]
    assert set(plan["subject_id"]) <= set(allowed["subject_id"])
    assert "p_home" not in plan.columns
    assert (plan["window_start_local"] >= "08:00").all()
    assert (plan["window_end_local"] <= "21:00").all()
    placed = plan[plan["eligible"]]
    assert sorted(placed["priority"]) == list(range(1, len(placed) + 1))


def test_no_calls_on_sunday() -> None:
    assert call_plan.next_call_date(date(2026, 11, 14)) == date(2026, 11, 16)
    assert call_plan.next_call_date(date(2026, 11, 15)) == date(2026, 11, 16)


def test_response_ranks_and_says_how(scored: Scored) -> None:
    found = response.fit(scored.world.frames, scored.world.ctx)
    assert found is not None
    assert found.beats_mean
    use = scored.world.truth["kwh_day"]
    audit = found.offers.index("energy_audit")
    p = found.p[:, audit]
    assert p[use > np.quantile(use, 0.75)].mean() > 1.1 * p[use < np.quantile(use, 0.25)].mean()
    assert found.method in {"uplift", "response"}
    lower = found.comparisons[-1].gain_lo
    assert (found.method == "uplift") == (lower > 0)


def test_without_signal_the_offers_mean_is_used_and_no_offer_is_made() -> None:
    world = make(400, seed=33)
    rows = world.frames["fct_campaign_assignment"]
    rng = np.random.default_rng(1)
    world.frames["fct_campaign_assignment"] = rows.assign(has_responded=rng.random(len(rows)) < 0.1)
    found = response.fit(world.frames, world.ctx)
    assert found is not None
    assert not found.beats_mean
    assert found.method == "offer_mean"
    assert all(len(np.unique(column[column > 0])) == 1 for column in found.p.T)
    frames = dict(world.frames)
    for name in list(SCORES)[:7]:
        result = SCORES[name].run(frames, world.ctx)
        frames[f"scores.{name}"] = result.table
    settled = result.table[result.table["method_used"].ne("explore")]
    assert not settled["action_id"].eq(rules.EMAIL_OFFER).any()
    assert "not made" in result.gate_message


@pytest.mark.parametrize("of_arm", [True, False])
def test_probability_of_treatment_is_read_from_either_kind_of_log(of_arm: bool) -> None:
    rng = np.random.default_rng(2)
    treated = rng.random(2000) < 0.7
    logged = np.where(treated, 0.7, 0.3) if of_arm else np.full(2000, 0.7)
    rows = pd.DataFrame({"campaign_id": "C", "assignment_probability": logged})
    assert response.treated_share(rows, treated) == pytest.approx(0.7)


def test_every_sent_message_is_approved_and_in_the_customers_language(scored: Scored) -> None:
    table, customers = scored.table("treatment"), scored.world.frames["customer_360"]
    acts = table["action_id"].ne("none").to_numpy()
    approved = {f"{t.content}_{lang}" for t in templates.TEMPLATES for lang in templates.LANGUAGES}
    assert set(table["content_id"][acts]) <= approved
    assert table["content_id"][~acts].isna().all()
    assert (table["content_id"][acts].str[-2:].to_numpy() == customers["language"].to_numpy()[acts]).all()


def test_rules_have_dates_and_places() -> None:
    rule = rules.Rule("r", "is_medical", rules.ACTIONS, "US-WI", date(2026, 11, 1), date(2027, 4, 15))
    assert rule.applies("US-WI", date(2026, 12, 1))
    assert not rule.applies("US-IL", date(2026, 12, 1))
    assert not rule.applies("US-WI", date(2026, 10, 31))
    assert not rule.applies("US-WI", date(2027, 4, 16))


def test_card_states_the_facts_and_nothing_inferred(scored: Scored) -> None:
    customers, table = scored.world.frames["customer_360"], scored.table("inbound_card")
    for row, card in zip(customers.itertuples(), table["card"], strict=True):
        if row.is_deceased:
            assert pd.isna(card)
            continue
        read = json.loads(card)
        assert read["has_open_dispute"] == row.has_open_dispute
        assert ("medical_priority" in read["flags"]) == row.is_medical
        assert len(read["actions"]) <= 3
        assert all(a["reason"] for a in read["actions"])
        assert "p_home" not in card
        if row.has_open_dispute or row.is_bankrupt:
            assert not {a["action_id"] for a in read["actions"]} & {"offer_payment_plan", "mention_open_bill"}


def test_contact_falls_back_to_the_hour_where_it_knows_no_better() -> None:
    world = make(300, seed=34)
    calls = world.frames["fct_call"]
    rng = np.random.default_rng(3)
    world.frames["fct_call"] = calls.assign(is_right_party=rng.random(len(calls)) < 0.25)
    frames = {**world.frames, "scores.at_home": SCORES["at_home"].run(world.frames, world.ctx).table}
    result = SCORES["contact"].run(frames, world.ctx)
    spread = result.table.groupby(["day_type", "slot"])["p_contact"].nunique()
    assert spread.max() == 1, "everybody gets the rate of the hour"
    assert "does not beat" in result.gate_message
