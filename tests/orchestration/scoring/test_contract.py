"""Every score keeps the contract: columns, types, reasons, cutoff, determinism, pictures."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from orchestration.scoring import SCORES, ScoreContext, ScoringError, empty_table, from_arrow, to_arrow
from orchestration.scoring.contract import CONTRACT_SCHEMA, MODEL_EVAL_SCHEMA, Reasons, deciles, finish
from orchestration.scoring.reasons import REASONS
from tests.orchestration.scoring.conftest import Scored, score_all
from tests.orchestration.scoring.support import make

NAMES = list(SCORES)


@pytest.mark.parametrize("name", NAMES)
def test_table_has_the_contract_columns_and_types(scored: Scored, name: str) -> None:
    score, result = SCORES[name], scored.results[name]
    arrow = to_arrow(score, result.table)
    assert arrow.schema.equals(score.schema)
    assert arrow.schema.names[: len(CONTRACT_SCHEMA)] == CONTRACT_SCHEMA.names
    assert empty_table(score).schema.equals(arrow.schema)
    table = result.table
    assert len(table) > 0
    assert table["model_version"].eq(score.model_version).all()
    assert table["score"].isna().where(~table["eligible"], other=True).all(), (
        "an ineligible row shows its score"
    )
    assert table["ineligible_reason"].isna().eq(table["eligible"]).all()
    shown = table.loc[table["decile"].notna(), "decile"]
    assert shown.between(1, 10).all()
    for i in (1, 2, 3):
        assert set(table[f"reason_{i}"].dropna()) <= set(REASONS)
    lo, hi, value = table["score_lo"], table["score_hi"], table["score"]
    inside = lo.isna() | ((lo <= value + 1e-9) & (value <= hi + 1e-9))
    assert inside.all()


@pytest.mark.parametrize("name", NAMES)
def test_evaluation_and_pictures_of_every_score(scored: Scored, name: str) -> None:
    result = scored.results[name]
    assert pa.Table.from_pandas(result.eval, schema=MODEL_EVAL_SCHEMA, preserve_index=False).num_rows > 0
    assert result.gate_message
    assert SCORES[name].gate
    for picture in result.pictures.values():
        assert picture.startswith(b"\x89PNG")
        assert len(picture) > 5_000
    assert result.passed_gate, result.gate_message


def test_one_row_a_subject(scored: Scored) -> None:
    keys = {"at_home": ["subject_id", "day_type", "slot"], "contact": ["subject_id", "day_type", "slot"]}
    for name, result in scored.results.items():
        assert not result.table.duplicated(keys.get(name, ["subject_id"])).any(), name


def test_scores_run_in_the_order_of_the_registry() -> None:
    seen: set[str] = set()
    for name, score in SCORES.items():
        assert set(score.depends_on_scores) <= seen, name
        seen.add(name)


def test_the_same_inputs_give_the_same_scores() -> None:
    first, second = (score_all(make(250, seed=5)) for _ in range(2))
    for name in NAMES:
        pd.testing.assert_frame_equal(first[name].table, second[name].table)
        pd.testing.assert_frame_equal(first[name].eval, second[name].eval)
        assert first[name].pictures == second[name].pictures


def test_nothing_after_the_as_of_date_is_seen() -> None:
    """Rows of the future, however loud, change nothing."""
    world = make(250, seed=6)
    before = score_all(world)
    later = pd.Timestamp(world.ctx.as_of_date) + pd.Timedelta(days=3)
    frames = world.frames
    usage = (
        frames["fct_usage_daily"].groupby("service_point_id").head(1).assign(usage_date=later, import_kwh=9e5)
    )
    slots = frames["fct_usage_slot"].groupby(["service_point_id", "slot"]).head(1)
    calls = (
        frames["fct_call"]
        .head(200)
        .assign(local_date=later, dialed_at=later.tz_localize("UTC"), is_right_party=True, local_slot=30)
    )
    bills = (
        frames["fct_bill"]
        .groupby("customer_id")
        .head(1)
        .assign(
            bill_id=lambda f: "F" + f["bill_id"],
            issued_date=later,
            billed_kwh=9e5,
            period_start_date=later - pd.Timedelta(days=30),
            period_end_date=later,
        )
    )
    campaign = frames["fct_campaign_assignment"].assign(
        assigned_at=later.tz_localize("UTC"), has_responded=True
    )
    frames["fct_usage_daily"] = pd.concat([frames["fct_usage_daily"], usage], ignore_index=True)
    frames["fct_usage_slot"] = pd.concat(
        [frames["fct_usage_slot"], slots.assign(week_start_date=later.date(), sum_kwh=5e3)], ignore_index=True
    )
    frames["fct_call"] = pd.concat([frames["fct_call"], calls], ignore_index=True)
    frames["fct_bill"] = pd.concat([frames["fct_bill"], bills], ignore_index=True)
    frames["fct_campaign_assignment"] = pd.concat(
        [frames["fct_campaign_assignment"], campaign], ignore_index=True
    )
    after = score_all(world)
    for name in NAMES:
        pd.testing.assert_frame_equal(before[name].table, after[name].table, obj=name)


def test_cutoff_is_the_end_of_the_local_day() -> None:
    assert ScoreContext(date(2026, 11, 15)).feature_cutoff_at == datetime(2026, 11, 16, 6, tzinfo=UTC)
    assert ScoreContext(date(2026, 7, 1)).feature_cutoff_at == datetime(2026, 7, 2, 5, tzinfo=UTC)


def test_an_undocumented_reason_is_refused(scored: Scored) -> None:
    score = SCORES["inbound_card"]
    with pytest.raises(ScoringError, match="'because' is not in the documented list"):
        finish(
            score,
            scored.world.ctx,
            subject=["C1"],
            value=np.ones(1),
            lawful_basis="contract",
            consent_version=["v"],
            reasons=Reasons(("because",), np.ones((1, 1))),
            own={"card": ["{}"]},
        )


def test_a_column_that_is_not_declared_is_refused(scored: Scored) -> None:
    score = SCORES["inbound_card"]
    with pytest.raises(ScoringError, match="'p_home'"):
        finish(
            score,
            scored.world.ctx,
            subject=["C1"],
            value=np.ones(1),
            lawful_basis="contract",
            consent_version=["v"],
            own={"card": ["{}"], "p_home": [0.5]},
        )


def test_a_missing_frame_or_column_is_named() -> None:
    world = make(60, seed=7)
    frames = dict(world.frames)
    del frames["fct_bill_features"]
    with pytest.raises(ScoringError, match="'fct_bill_features'"):
        SCORES["non_payment"].run(frames, world.ctx)
    frames = {**world.frames, "customer_360": world.frames["customer_360"].drop(columns="arrears_usd")}
    with pytest.raises(ScoringError, match="'arrears_usd'"):
        SCORES["non_payment"].run(frames, world.ctx)


def test_frames_straight_from_arrow_give_the_same_score() -> None:
    """Decimals and date32, as the warehouse publishes them, read the same with and without `from_arrow`."""
    world = make(250, seed=8)
    table = pa.Table.from_pandas(world.frames["fct_bill"], preserve_index=False)
    fields = {
        "amount_usd": pa.decimal128(12, 2),
        "open_usd": pa.decimal128(12, 2),
        "billed_kwh": pa.decimal128(14, 3),
        "due_date": pa.date32(),
        "issued_date": pa.date32(),
        "paid_date": pa.date32(),
    }
    table = table.cast(pa.schema([f.with_type(fields.get(f.name, f.type)) for f in table.schema]), safe=False)
    run = SCORES["non_payment"].run
    plain = run({**world.frames, "fct_bill": table.to_pandas()}, world.ctx)
    quick = run({**world.frames, "fct_bill": from_arrow(table)}, world.ctx)
    pd.testing.assert_frame_equal(plain.table, quick.table)


def test_deciles_are_tenths_by_rank() -> None:
    value = np.append(np.arange(100.0), np.nan)
    found = deciles(value)
    assert np.isnan(found[-1])
    assert np.bincount(found[:-1].astype(int)).tolist() == [0] + [10] * 10
    assert found[99] == 10
    assert found[0] == 1


def test_seed_and_date_change_what_is_drawn() -> None:
    ctx = ScoreContext(date(2026, 11, 15))
    draws = {
        float(c.rng("a").random())
        for c in (ctx, replace(ctx, seed=1), replace(ctx, as_of_date=date(2026, 11, 16)))
    }
    assert len(draws) == 3
    assert ctx.rng("a").random() == ctx.rng("a").random()
