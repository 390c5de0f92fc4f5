"""Decline, load shapes and presence: known causes are named, false alarms rare, labels stable, consent
kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from orchestration.scoring import SCORES, cusum, decline, segments
from orchestration.scoring.at_home import SLOTS
from tests.orchestration.scoring.conftest import Scored
from tests.orchestration.scoring.support import make


def test_cusum_has_the_measured_operating_point() -> None:
    """Known reference: Siegmund's run length of 2,600 weeks, nine in ten 15 % drops caught within 13 weeks.
    With the reference estimated from a year at 12 % weekly noise: at most 6.7 % of meters alarm in the next,
    85 % are caught."""
    rng = np.random.default_rng(0)
    quiet = cusum.one_sided(rng.normal(size=(20_000, 52)))
    assert (quiet.max(axis=1) > cusum.THRESHOLD).mean() == pytest.approx(52 / 2600, abs=0.006)
    known = cusum.one_sided(rng.normal(size=(20_000, 13)) - 0.15 / 0.12)
    assert (known.max(axis=1) > cusum.THRESHOLD).mean() > 0.9
    level = 30 * (1 + 0.12 * rng.normal(size=(10_000, 104)))
    still = cusum.WeeklyLevels(level, np.zeros(level.shape), np.zeros((len(level), 1)))
    path, _, _ = cusum.alarms(still, 52)
    assert 0.02 < (path[:, 52:].max(axis=1) > cusum.THRESHOLD).mean() < 0.067
    dropped = level[:, : 52 + 13] * np.where(np.arange(65) >= 52, 0.85, 1.0)
    path, _, _ = cusum.alarms(cusum.WeeklyLevels(dropped, np.zeros(dropped.shape), still.slope), 52)
    since = path[:, 52:]
    assert (since[:, :8].max(axis=1) > cusum.THRESHOLD).mean() > 0.55
    assert (since.max(axis=1) > cusum.THRESHOLD).mean() > 0.85


def test_cusum_survives_a_missing_week() -> None:
    z = np.array([[-2.0, np.nan, -2.0, -2.0]])
    assert cusum.one_sided(z)[0].tolist() == [1.5, 1.5, 3.0, 4.5]


def test_weekly_level_is_blind_to_weather_and_sees_the_shift() -> None:
    rng = np.random.default_rng(1)
    days = 91
    cold = np.maximum(0, np.linspace(-4, 18, days) + rng.normal(0, 3, days))
    weather = np.column_stack([cold, np.zeros(days), np.arange(days) % 7 >= 5])
    slope = rng.uniform(0.0, 1.5, 400)
    use = 12 + slope[:, None] * cold + 3 * weather[:, 2] + rng.normal(0, 1.0, (400, days))
    use[:200, 49:] -= 6.0
    use[rng.random(use.shape) < 0.03] = np.nan
    found = cusum.weekly_levels(use, weather)
    change = np.nanmean(found.level[:, 8:], axis=1) - np.nanmean(found.level[:, :6], axis=1)
    assert change[:200].mean() == pytest.approx(-6.0, abs=0.5)
    assert change[200:].mean() == pytest.approx(0.0, abs=0.5)
    assert np.corrcoef(found.slope[:, 0], slope)[0, 1] > 0.9
    week, before, after = cusum.change_week(found.level[:200])
    assert np.median(week) == 7
    assert (after < before).all()


def test_decline_names_the_cause(scored: Scored) -> None:
    table, cause = scored.table("decline"), scored.world.truth["cause"]
    said = table["cause_code"].to_numpy()
    for name, share in (("solar", 0.85), ("efficiency", 0.8), ("absent", 0.8), ("moved_out", 0.9)):
        assert np.mean(said[cause == name] == name) >= share, name
    assert np.mean(said[cause == "none"] != "none") < 0.15
    stage = table["lifecycle_stage"].to_numpy()
    assert (stage[cause == "moved_out"] == "closing").mean() > 0.9
    assert np.isin(
        stage[(said == "efficiency") & ~scored.world.frames["customer_360"]["has_ended"]],
        ["declining", "at_risk", "onboarding"],
    ).all()


def test_decline_is_of_the_right_size_and_time(scored: Scored) -> None:
    table, truth = scored.table("decline"), scored.world.truth
    here = np.isin(truth["cause"], ["solar", "efficiency"]) & (table["cause_code"] != "none").to_numpy()
    gap = table["decline_pct"].to_numpy()[here] - 100 * truth["drop"][here]
    assert np.abs(gap).mean() < 8
    first = pd.Timestamp(scored.world.ctx.as_of_date) - pd.Timedelta(days=90)
    changed = (pd.to_datetime(table["changed_on"]) - first).dt.days.to_numpy()[here]
    assert np.abs(changed - truth["change"][here]).mean() < 8


def test_the_end_of_summer_is_not_a_decline() -> None:
    """Air conditioning falls away: the raw drop cries wolf at most homes, the weather-normalised CUSUM at
    few."""
    rng = np.random.default_rng(4)
    days = 91
    celsius = np.linspace(31, 9, days) + rng.normal(0, 3, days)
    weather = np.column_stack([np.maximum(celsius - 18, 0), np.arange(days) % 7 >= 5])
    slope = rng.uniform(0.5, 2.0, (500, 1))
    use = (8 + slope * weather[:, 0] + weather[:, 1]) * rng.lognormal(0, 0.12, (500, days))
    raw = use[:, -30:].mean(axis=1) < 0.85 * use[:, -60:-30].mean(axis=1)
    _, alarm, _ = cusum.alarms(cusum.weekly_levels(use, weather), 5)
    assert raw.mean() > 0.8
    assert alarm.mean() < 0.1


def test_a_home_without_people_is_seen_in_its_peaks_even_when_it_is_heated() -> None:
    peak = np.full((4, 60), 1.0)
    peak[0, 20:32] = 0.1  # a fortnight away
    peak[1, 30:] = 0.05  # gone
    peak[2, ::7] = 0.1  # out on Sundays
    peak[3, :40] = np.nan  # known for three weeks only
    longest, at_end, first = decline.empty_runs(peak)
    assert longest[:3].tolist() == [12, 30, 1]
    assert at_end[:3].tolist() == [0, 30, 0]
    assert first[:2].tolist() == [20, 30]
    assert longest[3] == 0


def test_solar_is_an_export_that_begins_and_stays() -> None:
    export = np.zeros((4, 60))
    export[0, 30:] = 5.0
    export[1] = 5.0  # always had it
    export[2, 33] = 5.0  # one odd day
    assert decline.solar_since(export)[0] == 30
    assert np.isnan(decline.solar_since(export)[1:]).all()


def test_load_shapes_follow_occupancy_and_need_consent(scored: Scored) -> None:
    table, customers = scored.table("segments"), scored.world.frames["customer_360"]
    agreed = customers["consent_profiling_interval"].to_numpy()
    shape = table["load_shape_segment"]
    assert shape[~agreed].isna().all()
    assert table["load_shape_mix"][~agreed].isna().all()
    assert shape[agreed].notna().mean() > 0.9
    night = scored.world.truth["pattern"] == "night_ev"
    assert shape[agreed & night].str.contains("night").mean() > 0.8
    assert shape[agreed & ~night].str.contains("night").mean() < 0.1
    entropy = table["load_shape_entropy"].dropna()
    assert entropy.between(-1e-9, 3).all()
    assert table["value_segment"].notna().all()


def test_labels_do_not_shuffle_between_runs() -> None:
    world = make(300, seed=22)
    frames = dict(world.frames)
    for name in ("non_payment", "customer_value"):
        frames[f"scores.{name}"] = SCORES[name].run(frames, world.ctx).table
    first = SCORES["segments"].run(frames, world.ctx)
    again = SCORES["segments"].run(frames, replace(world.ctx, seed=99, previous=first.artifacts))
    one, two = first.table["load_shape_segment"].dropna(), again.table["load_shape_segment"].dropna()
    same_k = first.table["segment_version"].iloc[0] == again.table["segment_version"].iloc[0]
    assert not same_k or (one == two).mean() > 0.9


def test_hungarian_matching_keeps_old_names() -> None:
    rng = np.random.default_rng(3)
    old = rng.dirichlet(np.ones(SLOTS) * 5, 4)
    previous = pd.DataFrame(old, columns=[f"s{i:02d}" for i in range(SLOTS)]).assign(
        segment=["a", "b", "c", "d"]
    )
    shuffled = old[[2, 0, 3, 1]] + rng.normal(0, 1e-4, (4, SLOTS))
    assert segments.names(shuffled, previous) == ("c", "a", "d", "b")
    fresh = segments.names(np.vstack([shuffled[:3], rng.dirichlet(np.ones(SLOTS) * 5)]), previous)
    assert fresh[:3] == ("c", "a", "d")
    assert fresh[3] not in {"a", "b", "c", "d"}


def test_presence_beats_always_home_where_they_agreed(scored: Scored) -> None:
    table = scored.results["at_home"].table
    shown = table[table["eligible"]]
    world = scored.world
    order = pd.Index(world.frames["dim_premise"]["premise_id"])
    at = order.get_indexer(pd.Index(shown["subject_id"]))
    weekend = (shown["day_type"] == "weekend").to_numpy(dtype=int)
    slot = shown["slot"].to_numpy(dtype=int)
    true = world.truth["p_home"][at, weekend, slot]
    p = shown["p_home"].to_numpy()
    day = (slot >= 16) & (slot < 42)
    assert np.mean((p - true) ** 2) < 0.5 * np.mean((1 - true) ** 2)
    assert np.corrcoef(p[day], true[day])[0, 1] > 0.6
    assert np.mean((p > 0.5)[day] == (true > 0.5)[day]) > np.mean(true[day] > 0.5) + 0.05


def test_presence_is_not_computed_without_consent(scored: Scored) -> None:
    table = scored.results["at_home"].table
    refused = scored.world.frames["customer_360"].loc[
        lambda f: ~f["consent_profiling_interval"], "primary_premise_id"
    ]
    rows = table[table["subject_id"].isin(refused)]
    assert len(rows) == len(refused), "one row that says why, and no more"
    assert rows["p_home"].isna().all()
    assert rows["ineligible_reason"].eq("no_consent_profiling_interval").all()
    assert table.loc[table["eligible"], "n_days"].max() <= 8 * 5


def test_with_few_weeks_only_direct_evidence_is_used() -> None:
    world = make(150, days=28, seed=23)
    result = SCORES["decline"].run(world.frames, world.ctx)
    assert "not used" in result.gate_message
    assert not result.table["cause_code"].eq("efficiency").any()
    assert result.table["cause_code"].eq("solar").any()


def test_unstable_shapes_are_not_given() -> None:
    """Weeks of noise have no shapes: whatever k-means draws, the next sample draws otherwise."""
    world = make(200, seed=24)
    slots = world.frames["fct_usage_slot"]
    rng = np.random.default_rng(0)
    world.frames["fct_usage_slot"] = slots.assign(sum_kwh=rng.gamma(8.0, 0.1, len(slots)))
    frames = dict(world.frames)
    for name in ("non_payment", "customer_value"):
        frames[f"scores.{name}"] = SCORES[name].run(frames, world.ctx).table
    result = SCORES["segments"].run(frames, world.ctx)
    assert result.table["load_shape_segment"].isna().all()
    assert result.table["value_segment"].notna().all()
    assert "no load shapes given" in result.gate_message


def test_presence_that_use_does_not_tell_is_withheld() -> None:
    """Manual starts drawn without regard to use: the hour knows as much, and no row may be used."""
    world = make(300, seed=25)
    events = world.frames["fct_appliance_event"]
    rng = np.random.default_rng(1)
    world.frames["fct_appliance_event"] = events.assign(
        service_point_id=rng.permutation(events["service_point_id"].to_numpy()),
        day_type=rng.permutation(events["day_type"].to_numpy()),
        local_slot=rng.permutation(events["local_slot"].to_numpy()),
    )
    table = SCORES["at_home"].run(world.frames, world.ctx).table
    assert not table["eligible"].any()
    assert table["p_home"].isna().all()
    assert "unproven" in set(table["ineligible_reason"])
