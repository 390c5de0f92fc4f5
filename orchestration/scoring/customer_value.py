"""Customer value: what a customer has brought, and what may be expected in one year and in five.

Here belongs: survival (hazard.py) × expected monthly margin − expected bad debt, discounted, with its
spread. Utilities are contractual: a customer who leaves tells, so buying-till-death models on bills are
wrong here.

Tested on money: the value forecast as of six months ago against the margin that the following bills then
brought. The baseline is the usual shortcut, average bill × months × a constant retention.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from orchestration.scoring import hazard, pictures
from orchestration.scoring.contract import (
    Evaluation,
    Reasons,
    Score,
    ScoreContext,
    ScoreResult,
    finish,
)
from orchestration.scoring.evaluation import compare
from orchestration.scoring.frames import (
    Floats,
    ScoringError,
    align,
    contains,
    day_numbers,
    days,
    flags,
    need,
    numbers,
    texts,
)
from orchestration.scoring.money import MONTH, Rates, annuity_of, margins

_HORIZON = 60
_DRAWS = 128
_CHUNK = 20_000
_BACKTEST_MONTHS = 6


def quantiles(
    survival: Floats, monthly: Floats, spread: Floats, annuity: Floats, rng: np.random.Generator
) -> Floats:
    """P10 and P90 of value (accounts × 2) by simulation: one lifetime and one error of margin a draw.

    The draws are the same for all accounts and evenly spread, which makes ranks comparable and the result
    smooth.
    """
    u = (rng.permutation(_DRAWS) + 0.5) / _DRAWS
    shock = rng.standard_normal(_DRAWS)
    result = np.empty((len(monthly), 2))
    for start in range(0, len(monthly), _CHUNK):
        part = slice(start, start + _CHUNK)
        value = np.empty((len(monthly[part]), _DRAWS))
        for k in range(_DRAWS):
            lived = (survival[part] > u[k]).sum(axis=1)
            value[:, k] = annuity[lived] * monthly[part] * (1 + spread[part] * 0.5 * shock[k])
        result[part] = np.quantile(value, [0.1, 0.9], axis=1).T
    return result


@dataclass(frozen=True)
class Forecast:
    """Accounts open at the date, with their survival by month."""

    account: npt.NDArray[np.object_]
    survival: Floats
    x: Floats
    hazards: hazard.Hazards


def forecast(frames: Mapping[str, pd.DataFrame], ctx: ScoreContext, months: int = _HORIZON) -> Forecast:
    """Survival of every account open at the end of ``as_of_date``."""
    accounts = need(frames, "dim_account")
    hazards = hazard.fit(hazard.account_months(frames, ctx), ctx)
    opened, closed = (day_numbers(days(accounts, c)) for c in ("opened_date", "closed_date"))
    is_open = (opened <= ctx.as_of_day) & ~(closed <= ctx.as_of_day)
    name = texts(accounts, "account_id")[is_open]
    at = np.full(len(name), ctx.as_of_day)
    late, shock = hazard.latest_bill(name, at, need(frames, "fct_bill_features"))
    tenure = (ctx.as_of_day - opened[is_open]) / MONTH
    contract = (day_numbers(days(accounts, "contract_end_date"))[is_open] - ctx.as_of_day) / MONTH
    fixed = hazard.fixed_traits(accounts)[is_open]
    survival = hazard.survival(hazards, tenure, contract, fixed, late, shock, months)
    return Forecast(name, survival, hazard.matrix(tenure, contract, fixed, late, shock), hazards)


def potential(frames: Mapping[str, pd.DataFrame], customers: pd.DataFrame, ctx: ScoreContext) -> Floats:
    """What could still be sold: for each offer not yet taken, the treated response rate × value, by size of
    user."""
    rows = need(frames, "fct_campaign_assignment")
    at = day_numbers(days(rows, "assigned_at"))
    rows = rows[at <= ctx.as_of_day]
    ids = texts(customers, "customer_id")
    use = numbers(customers, "billed_12m_kwh", 0.0)
    tercile = (
        np.searchsorted(np.quantile(use, [1 / 3, 2 / 3]), use) if len(use) else np.zeros(0, dtype=np.int64)
    )
    total = np.zeros(len(ids))
    size = pd.Series(tercile, index=ids)
    for _, offer in rows.groupby("offer_id", sort=True):
        treated = offer[texts(offer, "arm") == "treatment"]
        took = flags(treated, "has_responded").astype(np.float64)
        value = numbers(treated, "response_value_usd")
        mean_value = float(np.nanmean(value)) if np.isfinite(value).any() else 0.0
        band = size.reindex(texts(treated, "customer_id")).fillna(1).to_numpy(dtype=np.int64)
        prior = (took.sum() + 0.5) / (len(took) + 20.0)
        rate = (np.bincount(band, took, 3) + 20 * prior) / (np.bincount(band, minlength=3) + 20)
        taken = contains(ids, texts(offer[flags(offer, "has_responded")], "customer_id"))
        total += np.where(taken, 0.0, rate[tercile] * mean_value)
    return total


def tariff_of(accounts: pd.DataFrame) -> pd.Series:
    """The tariff code by account id."""
    series = pd.Series(texts(accounts, "tariff_code"), index=texts(accounts, "account_id"))
    return series[~series.index.duplicated()]


def backtest(
    frames: Mapping[str, pd.DataFrame], ctx: ScoreContext
) -> tuple[Floats, Floats, Floats, npt.NDArray[np.object_]]:
    """Margin brought in the last six months, its forecast as of before, the shortcut's, and the accounts."""
    before = replace(ctx, as_of_date=ctx.as_of_date - timedelta(days=round(_BACKTEST_MONTHS * MONTH)))
    bills, accounts = need(frames, "fct_bill"), need(frames, "dim_account")
    issued = day_numbers(days(bills, "issued_date"))
    bills = bills[(issued <= ctx.as_of_day) & ~flags(bills, "is_reversed")]
    old = bills[day_numbers(days(bills, "issued_date")) <= before.as_of_day]
    if not len(old):
        nothing = np.zeros(0)
        return nothing, nothing, nothing, np.zeros(0, dtype=object)
    opened = day_numbers(days(accounts, "opened_date"))
    then = {**frames, "fct_bill": old, "dim_account": accounts[opened <= before.as_of_day]}
    rates, tariff = Rates.of(need(frames, "dim_tariff"), ctx.economics), tariff_of(accounts)
    past = margins(old, before.as_of_day, tariff, rates)
    ahead = forecast(then, before, _BACKTEST_MONTHS)
    name = ahead.account

    start, end = (day_numbers(days(bills, f"period_{edge}_date")) for edge in ("start", "end"))
    owner = texts(bills, "account_id")
    code = tariff.reindex(owner).fillna("").to_numpy(dtype=object)
    brought = numbers(bills, "billed_kwh", 0.0) * rates.per_kwh(code) + (end - start) * rates.per_day(code)
    share = np.clip((end - np.maximum(start, before.as_of_day)) / np.maximum(end - start, 1.0), 0.0, 1.0)
    realised = pd.Series(share * brought).groupby(owner).sum()
    # Cycles end on different days: an open account is judged up to its last bill, a closed one up to
    # everybody's.
    last = pd.Series(end).groupby(owner).max()
    closed = align(name, texts(accounts, "account_id"), day_numbers(days(accounts, "closed_date")))
    reach = np.where(closed <= ctx.as_of_day, float(np.nanmax(end)), align(name, last.index, last.to_numpy()))
    months = np.clip((reach - before.as_of_day) / MONTH, 0.0, _BACKTEST_MONTHS)
    weight = np.clip(months[:, None] - np.arange(_BACKTEST_MONTHS)[None, :], 0.0, 1.0)

    lived = np.column_stack([np.ones(len(name)), ahead.survival])
    present = weight * (lived[:, :-1] + lived[:, 1:]) / 2
    energy, fixed = (align(name, past.account, part) for part in (past.energy_usd, past.fixed_usd))
    expected = energy * (
        present @ past.season_ahead(before.as_of_day, _BACKTEST_MONTHS)
    ) + fixed * present.sum(axis=1)
    recent = (start > before.as_of_day - 400) & (end <= before.as_of_day)
    per_month = (
        pd.DataFrame({"usd": brought[recent], "days": (end - start)[recent]}).groupby(owner[recent]).sum()
    )
    average = MONTH * per_month["usd"] / per_month["days"].clip(lower=1.0)
    constant = (1 - sum(ahead.hazards.rates.values())) ** np.arange(_BACKTEST_MONTHS)
    shortcut = align(name, average.index, average.to_numpy()) * (weight @ constant)
    good = np.isfinite(expected) & np.isfinite(shortcut) & (months > 0.5)
    actual = align(name, realised.index, realised.to_numpy(), 0.0)
    return actual[good], expected[good], shortcut[good], name[good]


def run(frames: Mapping[str, pd.DataFrame], ctx: ScoreContext) -> ScoreResult:
    """Scores every customer of ``customer_360``; a customer's value is the sum over the accounts."""
    customers, accounts, bills = (need(frames, n) for n in ("customer_360", "dim_account", "fct_bill"))
    if not len(bills):
        raise ScoringError("customer_value: fct_bill is empty; load the billing extract first")
    rates, tariff = Rates.of(need(frames, "dim_tariff"), ctx.economics), tariff_of(accounts)
    margin = margins(bills, ctx.as_of_day, tariff, rates)
    ahead = forecast(frames, ctx)
    owner = pd.Series(texts(accounts, "customer_id"), index=texts(accounts, "account_id"))
    name = ahead.account
    # An account without a bill yet uses what the median account uses; its standing charge is its tariff's.
    energy = align(name, margin.account, margin.energy_usd, float(np.median(margin.energy_usd)))
    monthly = energy + MONTH * rates.per_day(tariff.reindex(name).fillna("").to_numpy(dtype=object))
    spread = align(name, margin.account, margin.spread, 0.4)
    debt = need(frames, "scores.non_payment")
    loss = numbers(debt, "expected_loss_usd", 0.0)
    customer = owner.reindex(name).to_numpy(dtype=object)
    per_account = pd.Series(1.0, index=name).groupby(customer).sum()
    # An expected loss is that of one bill's default within six months: a sixth of it falls on each month.
    bad_debt = align(customer, debt["subject_id"], loss / 6, 0.0) / align(
        customer, per_account.index, per_account, 1.0
    )
    bad_debt = np.minimum(bad_debt, np.maximum(monthly, 0.0))
    net = monthly - bad_debt
    annuity = annuity_of(ctx.economics.discount_rate_per_year, _HORIZON)
    flow = np.diff(annuity)
    seasonal = flow * margin.season_ahead(ctx.as_of_day, _HORIZON)
    alive = (np.column_stack([np.ones(len(name)), ahead.survival[:, :-1]]) + ahead.survival) / 2
    account_value = pd.DataFrame(
        {
            "v12": energy * (alive[:, :12] @ seasonal[:12]) + (net - energy) * (alive[:, :12] @ flow[:12]),
            "v60": energy * (alive @ seasonal) + (net - energy) * (alive @ flow),
            "p10": (edges := quantiles(ahead.survival, net, spread, annuity, ctx.rng("value.draws")))[:, 0],
            "p90": edges[:, 1],
            "gone": 1 - ahead.survival[:, 11],
            "margin": net,
        }
    )
    sums = account_value.groupby(customer)[["v12", "v60", "p10", "p90", "margin"]].sum()
    gone = account_value["gone"].groupby(customer).prod()
    debt_by = pd.Series(bad_debt).groupby(customer).sum()
    ids = texts(customers, "customer_id")
    v12, v60, p10, p90, month_margin = (align(ids, sums.index, sums[c].to_numpy(), 0.0) for c in sums)
    has_account = contains(ids, sums.index.to_numpy(dtype=object))
    p_active = np.where(has_account, 1 - align(ids, gone.index, gone.to_numpy(), 0.0), 0.0)
    to_date = (
        pd.Series(margin.to_date_usd).groupby(owner.reindex(margin.account).to_numpy(dtype=object)).sum()
    )
    why = np.where(has_account, "", "no_open_account").astype(object)
    why[flags(customers, "is_deceased")] = "deceased"
    eligible = why == ""
    band = np.full(len(ids), "D", dtype=object)
    if eligible.any():
        cuts = np.quantile(v60[eligible], [0.4, 0.7, 0.9])
        band[eligible] = np.array(["D", "C", "B", "A"], dtype=object)[
            np.searchsorted(cuts, v60[eligible], "right")
        ]
    typical = float(np.median(month_margin[eligible])) if eligible.any() else 0.0
    years = float(annuity[-1])
    contributions = np.column_stack(
        [
            (month_margin - typical) * years * np.where(eligible, 1.0, 0.0),
            (p_active - (p_active[eligible].mean() if eligible.any() else 0.0))
            * np.maximum(month_margin, 0)
            * years,
            -align(ids, debt_by.index, debt_by.to_numpy(), 0.0) * years,
        ]
    )
    table = finish(
        SCORE,
        ctx,
        subject=ids,
        value=v60,
        lo=np.minimum(p10, v60),
        hi=np.maximum(p90, v60),
        ineligible_reason=why,
        lawful_basis="legitimate_interest",
        consent_version=texts(customers, "consent_version"),
        reasons=Reasons(("monthly_margin", "staying", "bad_debt"), contributions),
        own={
            "value_to_date_usd": align(ids, to_date.index, to_date.to_numpy(), 0.0),
            "clv_12m_usd": v12,
            "clv_60m_usd": v60,
            "clv_60m_p10_usd": np.minimum(p10, v60),
            "clv_60m_p90_usd": np.maximum(p90, v60),
            "p_active_12m": p_active,
            "potential_usd": np.where(eligible, potential(frames, customers, ctx), 0.0),
            "value_band": band,
        },
    )
    return _judged(table, frames, ahead, v60[eligible], ctx)


def _root_mean_square(actual: Floats, predicted: Floats) -> float:
    """The error that an expected value minimises; a mean absolute error would reward forecasting the
    median."""
    return float(np.sqrt(np.mean((actual - predicted) ** 2)))


def _judged(
    table: pd.DataFrame, frames: Mapping[str, pd.DataFrame], ahead: Forecast, v60: Floats, ctx: ScoreContext
) -> ScoreResult:
    evaluation = Evaluation(SCORE, ctx)
    for comparison in ahead.hazards.comparisons:
        evaluation.compared(comparison)
    for cause in hazard.CAUSES:
        used = float(ahead.hazards.models[cause] is not None)
        evaluation.add(f"{cause}_uses_model", used, baseline=0.0, slice_="all", n=len(ahead.account))
    actual, expected, shortcut, account = backtest(frames, ctx)
    money = compare(
        "margin_6m_rmse_usd",
        _root_mean_square,
        actual,
        expected,
        shortcut,
        account,
        ctx.rng("value.rmse"),
        higher_is_better=False,
        n_boot=200,
    )
    evaluation.compared(money, "six months ahead")
    total = max(float(actual.sum()), 1e-9)
    evaluation.add(
        "margin_6m_bias_pct",
        100 * (float(expected.sum()) / total - 1),
        baseline=100 * (float(shortcut.sum()) / total - 1),
        slice_="six months ahead",
        n=len(actual),
    )
    passed = money.gain_lo > 0
    verdict = "beats" if passed else "does not beat"
    marks = {"median": float(np.median(v60))} if len(v60) else {}
    if len(v60):
        marks["top tenth"] = float(np.quantile(v60, 0.9))
    months = np.arange(_HORIZON + 1.0)
    mean_survival = np.concatenate([[1.0], ahead.survival.mean(axis=0)])
    constant = (1 - sum(ahead.hazards.rates.values())) ** months
    return ScoreResult(
        table,
        evaluation.frame(),
        {
            "value_distribution": pictures.distribution(
                v60,
                "Expected value over five years",
                f"{len(v60):,} customers with an open account · as of {ctx.as_of_date}",
                "USD, discounted",
                marks,
            ),
            "survival": pictures.lines(
                "How long customers stay",
                f"mean of {len(ahead.account):,} open accounts · as of {ctx.as_of_date}",
                months,
                {"expected": mean_survival, "constant hazard": constant},
                "months from now",
                "share still a customer",
            ),
        },
        passed,
        f"root mean square error of six months' margin {money.value:.2f} USD {verdict} average bill × "
        f"constant retention ({money.baseline:.2f} USD) on {money.n:,} accounts; lower bound of the gain "
        f"{money.gain_lo:+.2f} USD",
    )


SCORE = Score(
    name="customer_value",
    inputs=(
        "customer_360",
        "dim_account",
        "dim_tariff",
        "fct_bill",
        "fct_bill_features",
        "fct_campaign_assignment",
    ),
    depends_on_scores=("non_payment",),
    run=run,
    description=__doc__ or "",
    gate="smaller root mean square error of the margin of the next six months than average bill × "
    "constant retention, forecast as of six months ago (lower 95 % bound of the gain)",
    own_columns=(
        ("value_to_date_usd", pa.float64()),
        ("clv_12m_usd", pa.float64()),
        ("clv_60m_usd", pa.float64()),
        ("clv_60m_p10_usd", pa.float64()),
        ("clv_60m_p90_usd", pa.float64()),
        ("p_active_12m", pa.float64()),
        ("potential_usd", pa.float64()),
        ("value_band", pa.string()),
    ),
)
