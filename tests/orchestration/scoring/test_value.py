"""Non-payment, value and leaving: known causes are found, baselines beaten, gates shut on noise."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from orchestration.scoring import SCORES, customer_value, hazard, money, non_payment
from orchestration.scoring.evaluation import auc
from orchestration.scoring.linear import Logit
from tests.orchestration.scoring.conftest import Scored
from tests.orchestration.scoring.support import make


def test_non_payment_finds_who_does_not_pay(scored: Scored) -> None:
    table, kind = scored.table("non_payment"), scored.world.truth["kind"]
    known = table["p_30dpd"].notna().to_numpy()
    p = table["p_30dpd"].to_numpy()
    means = {k: np.nanmean(p[known & (kind == k)]) for k in ("prompt", "forgot", "cash_flow", "hardship")}
    assert means["prompt"] < means["forgot"] < means["cash_flow"] < means["hardship"]
    assert scored.metric("non_payment", "auc")["value"] > 0.8
    assert scored.metric("non_payment", "calibration_error")["value"] < 0.04


def test_payment_segment_reads_behaviour(scored: Scored) -> None:
    segment, kind = scored.table("non_payment")["payment_segment"].to_numpy(), scored.world.truth["kind"]
    disputed = scored.world.frames["customer_360"]["has_open_dispute"].to_numpy()
    assert (segment[disputed] == "dispute").all()
    assert np.mean(segment[(kind == "prompt") & ~disputed] == "none") > 0.6
    assert np.mean(np.isin(segment[kind == "hardship"], ["hardship", "cash_flow"])) > 0.7


def test_no_protected_attribute_is_read() -> None:
    world = make(300, seed=9)
    run = SCORES["non_payment"].run
    first = run(world.frames, world.ctx).table
    other = world.frames["customer_360"].assign(
        language="ES", is_medical=True, is_vulnerable=True, birth_date=None
    )
    second = run({**world.frames, "customer_360": other}, world.ctx).table
    pd.testing.assert_series_equal(first["p_30dpd"], second["p_30dpd"])


def test_gate_shuts_on_shuffled_labels() -> None:
    world = make(500, seed=10)
    rows = world.frames["fct_bill_features"].copy()
    rng = np.random.default_rng(0)
    known = rows["is_30dpd"].notna()
    rows.loc[known, "is_30dpd"] = rng.permutation(rows.loc[known, "is_30dpd"].to_numpy())
    result = SCORES["non_payment"].run({**world.frames, "fct_bill_features": rows}, world.ctx)
    assert not result.passed_gate
    assert "does not beat" in result.gate_message


def test_unknown_labels_are_not_used() -> None:
    """A label of a bill not yet 30 days past due is not there, and if it were it would not be read."""
    world = make(300, seed=11)
    rows = world.frames["fct_bill_features"].copy()
    fresh = rows["due_date"] > pd.Timestamp(world.ctx.as_of_date) - pd.Timedelta(days=30)
    rows.loc[fresh, "is_30dpd"] = 1.0
    run = SCORES["non_payment"].run
    one = run(world.frames, world.ctx).table["p_30dpd"]
    two = run({**world.frames, "fct_bill_features": rows}, world.ctx).table["p_30dpd"]
    pd.testing.assert_series_equal(one, two)


def test_value_ranks_by_what_is_used_and_bands_follow(scored: Scored) -> None:
    table, use = scored.table("customer_value"), scored.world.truth["kwh_day"]
    there = table["eligible"].fillna(False).to_numpy(dtype=bool)
    assert np.corrcoef(table["clv_12m_usd"][there], use[there])[0, 1] > 0.85
    bands = table[there].groupby("value_band")["clv_60m_usd"].mean()
    assert list(bands.sort_values(ascending=False).index) == ["A", "B", "C", "D"]
    assert (table["clv_60m_p10_usd"][there] < table["clv_60m_usd"][there]).all()
    assert (table["clv_12m_usd"][there] < table["clv_60m_usd"][there]).mean() > 0.98
    gone = scored.world.frames["customer_360"]["has_ended"].to_numpy()
    assert (table["clv_60m_usd"][gone] == 0).all()
    assert (table["p_active_12m"][gone] == 0).all()


def test_hazard_model_finds_who_has_no_contract() -> None:
    """With enough account-months the switching model beats the constant hazard, and moves stay
    unexplained."""
    world = make(2500, seed=12)
    found = hazard.fit(hazard.account_months(world.frames, world.ctx), world.ctx)
    assert found.models["switch"] is not None
    switch = found.models["switch"]
    weight = dict(zip(switch.names, switch.coefficients, strict=False))
    assert weight["no_contract"] > 0.3
    assert found.models["move"] is None, "moves have no cause here: the constant hazard must stay"


def test_season_of_bills_is_not_mistaken_for_size() -> None:
    """Two accounts of the same size, one billed only in the peak season, one all year."""
    start = np.arange(20_000, 20_000 + 24 * 30, 30)
    use = 20 * (1 + 0.6 * np.cos(2 * np.pi * (start + 15) / 365.25))
    rows = pd.DataFrame(
        {
            "account_id": "all",
            "period_start_date": start,
            "period_end_date": start + 30,
            "issued_date": start + 31,
            "billed_kwh": use * 30,
            "is_reversed": False,
        }
    )
    late = rows.tail(4).assign(account_id="new")
    bills = pd.concat(
        [rows] + [rows.assign(account_id=f"x{i}") for i in range(20)] + [late], ignore_index=True
    )
    for column in ("period_start_date", "period_end_date", "issued_date"):
        bills[column] = pd.to_datetime(bills[column], unit="D")
    tariffs = pd.DataFrame({"tariff_code": ["T"], "daily_charge_usd": [0.6], "avg_usd_per_kwh": [0.15]})
    rates = money.Rates.of(tariffs, make(20, seed=1).ctx.economics)
    found = money.margins(
        bills, float(start[-1] + 40), pd.Series("T", index=bills["account_id"].unique()), rates
    )
    energy = dict(zip(found.account, found.energy_usd, strict=True))
    assert energy["new"] == pytest.approx(energy["all"], rel=0.06)


ACTUAL = {  # Fader & Hardie (2007), table 1: percent of customers still there at the end of each year
    "high_end": [100, 86.9, 74.3, 65.3, 59.3, 55.1, 51.7, 49.1, 46.8, 44.5, 42.7, 40.9, 39.4],
    "regular": [100, 63.1, 46.8, 38.2, 32.6, 28.9, 26.2, 24.1, 22.3, 20.7, 19.4, 18.3, 17.3],
}


@pytest.mark.parametrize(
    ("segment", "mape", "parameters"), [("high_end", 2.8, (0.668, 3.806)), ("regular", 1.5, (0.704, 1.182))]
)
def test_sbg_projects_years_8_to_12_as_published(
    segment: str, mape: float, parameters: tuple[float, float]
) -> None:
    actual = np.array(ACTUAL[segment])
    fitted = hazard.ShiftedBetaGeometric.fit(actual[:7] * 10, -np.diff(actual[:8]) * 10)
    assert (fitted.alpha, fitted.beta) == pytest.approx(parameters, rel=0.01)
    survival = 100 * fitted.survival(12)
    error = 100 * np.mean(np.abs(survival[8:] / actual[8:] - 1))
    constant = actual[7] * (actual[7] / 100) ** (np.arange(1, 6) / 7)
    assert error == pytest.approx(mape, abs=0.25)
    assert error < 0.25 * 100 * np.mean(np.abs(constant / actual[8:] - 1))


def test_switching_on_telco_reaches_the_published_auc(realdata) -> None:
    """The same logit as the hazard's, 5-fold on the public churn set: 0.845 is the figure of a logit."""
    frame = pd.read_csv(realdata / "customers" / "telco" / "Telco-Customer-Churn.csv")
    y = (frame["Churn"] == "Yes").to_numpy(dtype=float)
    tenure = frame["tenure"].to_numpy(dtype=float)
    charges = frame["MonthlyCharges"].to_numpy(dtype=float)
    paid = pd.to_numeric(frame["TotalCharges"], errors="coerce").fillna(0.0).to_numpy()
    coded = pd.get_dummies(
        frame.drop(
            columns=[
                "customerID",
                "Churn",
                "tenure",
                "MonthlyCharges",
                "TotalCharges",
                "gender",
                "SeniorCitizen",
            ]
        )
    ).to_numpy(dtype=float)
    x = np.column_stack([np.log1p(tenure), tenure, tenure < 6, charges, np.log1p(paid), coded])
    names = tuple(map(str, range(x.shape[1])))
    p = np.zeros(len(y))
    for train, test in StratifiedKFold(5, shuffle=True, random_state=0).split(x, y):
        p[test] = Logit.fit(x[train], y[train], names, ridge=2.0).predict(x[test])
    assert auc(y, p) == pytest.approx(roc_auc_score(y, p))
    assert auc(y, p) >= 0.843


def test_backtest_uses_only_what_was_known_then() -> None:
    world = make(300, seed=13)
    _, expected, _, name = customer_value.backtest(world.frames, world.ctx)
    bills = world.frames["fct_bill"].copy()
    later = bills["issued_date"] > pd.Timestamp(world.ctx.as_of_date) - pd.Timedelta(days=183)
    bills.loc[later, "billed_kwh"] *= 3.0
    _, again, _, name_again = customer_value.backtest({**world.frames, "fct_bill": bills}, world.ctx)
    assert name.tolist() == name_again.tolist()
    assert again == pytest.approx(expected)


def test_writeoff_rate_counts_only_old_enough_bills() -> None:
    due = pd.to_datetime(["2026-01-01"] * 40 + ["2026-10-01"] * 40)
    bills = pd.DataFrame({"due_date": due, "paid_date": pd.NaT, "is_reversed": False})
    bills.loc[:19, "paid_date"] = pd.Timestamp("2026-03-01")
    as_of = float((pd.Timestamp("2026-11-15") - pd.Timestamp("1970-01-01")).days)
    assert non_payment.writeoff_rate(bills, as_of) == pytest.approx((20 + 3) / (40 + 20))


def test_a_contract_that_renews_is_not_far_from_its_end_for_ever() -> None:
    """The billing system keeps the current term only: last year's end must be seen in last year's months."""
    none = np.zeros((3, 2))
    zero = np.zeros(3)
    x = hazard.matrix(np.full(3, 30.0), np.array([13.0, 18.0, np.nan]), none, zero, zero)
    ending, without = hazard.FEATURES.index("contract_ending"), hazard.FEATURES.index("no_contract")
    assert x[:, ending].tolist() == [1.0, 0.0, 0.0]
    assert x[:, without].tolist() == [0.0, 0.0, 1.0]
