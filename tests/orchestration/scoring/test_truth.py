"""Score tables against truth files: what agrees is told apart from what does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from demo import truth
from orchestration.scoring import MODEL_EVAL_SCHEMA
from tests.orchestration.scoring.conftest import Scored

DAY_TYPES = ("weekday", "weekend")


@pytest.fixture(scope="module")
def folder(scored: Scored, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Truth files as the simulator writes them, from the synthetic truth."""
    root = tmp_path_factory.mktemp("truth")
    known, accounts = scored.world.truth, scored.world.frames["dim_account"]
    account = accounts["account_id"].to_numpy()
    n = len(account)
    pd.DataFrame(
        {
            "account_no": account,
            "person_id": [f"PERSON-{i}" for i in range(n)],
            "payment_type": known["kind"],
            "decline_cause": np.where(known["cause"] == "closed", "none", known["cause"]),
            "true_decline_pct": 100 * known["drop"],
            "archetype": known["pattern"],
        }
    ).to_parquet(root / "household.parquet")
    p_late = pd.Series(known["kind"]).map({"hardship": 0.4, "cash_flow": 0.2, "forgot": 0.04}).fillna(0.01)
    pd.DataFrame({"account_no": account, "p_late_30": p_late}).to_parquet(root / "nonpayment.parquet")
    margin = 12 * (known["kwh_day"] * 30.4 * 0.05 + 4)
    pd.DataFrame(
        {"account_no": account, "expected_margin_12m_usd": margin, "expected_margin_60m_usd": 4 * margin}
    ).to_parquet(root / "clv.parquet")
    slots = {"day_type": np.tile(np.repeat(DAY_TYPES, 48), n), "slot": np.tile(np.arange(48), 2 * n)}
    home = known["p_home"].reshape(-1)
    premise = accounts["premise_id"].str[1:].to_numpy()
    pd.DataFrame({"premise_no": np.repeat(premise, 96), **slots, "p_home": home}).to_parquet(
        root / "occupancy.parquet"
    )
    right = 1 / (1 + np.exp(-(-2.6 + 3.2 * home + np.repeat(known["temper"], 96))))
    pd.DataFrame({"account_no": np.repeat(account, 96), **slots, "p_right_party": right}).to_parquet(
        root / "contact.parquet"
    )
    offers = ("tou_tariff", "energy_audit", "ev_tariff")
    lift = np.repeat(np.log(known["kwh_day"]) / 40, 3)
    pd.DataFrame(
        {
            "person_id": np.repeat([f"PERSON-{i}" for i in range(n)], 3),
            "offer_id": np.tile(offers, n),
            "channel": "email",
            "p_response_treated": 0.02 + lift,
            "p_response_control": 0.02,
        }
    ).to_parquet(root / "response.parquet")
    return root


def test_every_score_with_a_truth_is_judged(scored: Scored, folder: Path) -> None:
    tables = {name: result.table for name, result in scored.results.items()}
    rows = truth.evaluate(tables, folder, scored.world.frames["dim_account"])
    assert list(rows.columns) == MODEL_EVAL_SCHEMA.names
    assert rows["slice"].eq("truth").all()
    assert set(rows["score"]) == set(tables) - {"inbound_card"}
    assert rows["as_of_date"].eq(scored.world.ctx.as_of_date).all()
    found = rows.set_index(["score", "metric"])
    for score, metric in (
        ("non_payment", "p_30dpd_rank_correlation"),
        ("non_payment", "payment_segment_accuracy"),
        ("customer_value", "clv_12m_rank_correlation"),
        ("segments", "load_shape_mutual_information"),
        ("at_home", "mcc_0800_2100"),
        ("contact", "p_contact_rank_correlation"),
        ("contact", "true_contact_in_best_slot"),
    ):
        row = found.loc[(score, metric)]
        assert row["value"] > row["baseline"], (score, metric)
    for score, metric in (("at_home", "gap_to_truth_rms"), ("contact", "p_contact_mean_abs_gap")):
        row = found.loc[(score, metric)]
        assert row["value"] < row["baseline"], (score, metric)
    assert found.loc[("decline", "named_solar"), "value"] > 0.9


def test_a_score_that_repeats_the_truth_has_no_gap(scored: Scored, folder: Path) -> None:
    table = scored.results["at_home"].table.copy()
    occupancy = pd.read_parquet(folder / "occupancy.parquet")
    key = ("P" + occupancy["premise_no"]) + occupancy["day_type"] + occupancy["slot"].astype(str)
    asked = table["subject_id"] + table["day_type"].fillna("") + table["slot"].astype("string").fillna("")
    table["p_home"] = asked.map(dict(zip(key, occupancy["p_home"], strict=True))).to_numpy()
    rows = truth.evaluate({"at_home": table}, folder, scored.world.frames["dim_account"]).set_index("metric")
    assert rows.loc["gap_to_truth_rms", "value"] == pytest.approx(0.0)
    assert rows.loc["mcc", "value"] == pytest.approx(1.0)
    assert rows.loc["accuracy", "value"] == pytest.approx(1.0)
