"""Leaving as a discrete-time hazard: account-months, cause-specific logits, and the shifted-beta-geometric
tail.

Here belongs: who leaves when. What a stay is worth belongs to customer_value.py. Moving out and switching
are kept apart, since one is no verdict on the utility. A sum of account-months splits by account, never by
row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import minimize
from scipy.special import betaln

from orchestration.scoring.contract import ScoreContext
from orchestration.scoring.evaluation import Comparison, auc, compare, forward_folds, log_loss
from orchestration.scoring.frames import Bools, Floats, day_numbers, days, flags, need, numbers, texts
from orchestration.scoring.linear import Logit
from orchestration.scoring.money import MONTH

FEATURES = (
    "tenure",
    "first_months",
    "contract_ending",
    "no_contract",
    "direct_debit",
    "paperless",
    "prior_late_share",
    "bill_shock",
)
CAUSES = ("switch", "move")


@dataclass(frozen=True)
class ShiftedBetaGeometric:
    """Fader & Hardie (2007), "How to project customer retention": churn probabilities are Beta(alpha,
    beta)."""

    alpha: float
    beta: float

    @classmethod
    def fit(cls, at_risk: Floats, lost: Floats) -> ShiftedBetaGeometric:
        """Maximum likelihood from the customers at risk and lost in each period of tenure (period 1 first).

        Left truncation is no matter: each period contributes through its own hazard.
        """
        period = np.arange(1, len(at_risk) + 1, dtype=np.float64)

        def loss(log_parameters: Floats) -> float:
            a, b = np.exp(np.clip(log_parameters, -7, 9))
            hazard = np.clip(a / (a + b + period - 1), 1e-9, 1 - 1e-9)
            return float(-np.sum(lost * np.log(hazard) + (at_risk - lost) * np.log1p(-hazard)))

        rate = max(float(lost.sum()) / max(float(at_risk.sum()), 1.0), 1e-5)
        best = minimize(
            loss, np.log([1.0, 1.0 / rate]), method="Nelder-Mead", options={"maxiter": 2000, "xatol": 1e-6}
        )
        a, b = np.exp(np.clip(best.x, -7, 9))
        return cls(float(a), float(b))

    def survival(self, periods: int) -> Floats:
        """Share still there after 0…periods."""
        t = np.arange(periods + 1)
        result: Floats = np.exp(betaln(self.alpha, self.beta + t) - betaln(self.alpha, self.beta))
        return result

    def hazard(self, period: Floats) -> Floats:
        """Probability of leaving in a period of tenure (the first is 1)."""
        result: Floats = self.alpha / (self.alpha + self.beta + period - 1)
        return result


@dataclass(frozen=True)
class AccountMonths:
    """One row for each account and month at risk, with what was known at the month's beginning."""

    account: npt.NDArray[np.object_]
    begins: Floats
    x: Floats
    tenure_months: Floats
    switch: Floats
    move: Floats


def latest_bill(account: npt.NDArray[np.object_], day: Floats, rows: pd.DataFrame) -> tuple[Floats, Floats]:
    """Late share and bill shock known from the last bill due before ``day``, per (account, day)."""
    known = pd.DataFrame(
        {
            "account": texts(rows, "account_id"),
            "day": day_numbers(days(rows, "due_date")),
            "late": numbers(rows, "prior_late_share", 0.0),
            "shock": np.clip(np.log(np.clip(numbers(rows, "amount_ratio", 1.0), 0.2, 5.0)), -1, 1),
        }
    ).dropna(subset=["day"])
    asked = pd.DataFrame({"account": account, "day": day, "row": np.arange(len(day))})
    found = pd.merge_asof(
        asked.sort_values("day", kind="stable"),
        known.sort_values("day", kind="stable"),
        on="day",
        by="account",
        allow_exact_matches=False,
    ).sort_values("row")
    return found["late"].fillna(0.0).to_numpy(), found["shock"].fillna(0.0).to_numpy()


def matrix(
    tenure_months: Floats, contract_months: Floats, fixed: Floats, late: Floats, shock: Floats
) -> Floats:
    """The model's matrix. ``contract_months`` is the time to the contract's end (NaN: no contract).

    The billing system keeps the current contract only, so an open account looks as if it had never been near
    an end while a lost one still shows the end it left at. Terms are therefore taken to run from year to
    year.
    """
    contract_months = np.where(contract_months > 12, np.mod(contract_months, 12.0), contract_months)
    return np.column_stack(
        [
            np.log1p(np.maximum(tenure_months, 0.0)),
            (tenure_months < 6).astype(np.float64),
            ((contract_months <= 3) & (contract_months > -3)).astype(np.float64),
            np.isnan(contract_months).astype(np.float64),
            fixed[:, 0],
            fixed[:, 1],
            late,
            shock,
        ]
    )


def fixed_traits(accounts: pd.DataFrame) -> Floats:
    """Traits that barely change: direct debit, paperless (accounts × 2)."""
    debit = (texts(accounts, "payment_method") == "DD").astype(np.float64)
    return np.column_stack([debit, flags(accounts, "is_paperless").astype(np.float64)])


def account_months(frames: Mapping[str, pd.DataFrame], ctx: ScoreContext) -> AccountMonths:
    """Every account-month inside the observed window, at most 36 months back.

    The window begins where closings can be seen: at the first bill, and not before the first closing on
    record, since an extract that holds only accounts still open would make earlier months look immortal.
    """
    accounts, bills = need(frames, "dim_account"), need(frames, "fct_bill")
    opened = day_numbers(days(accounts, "opened_date"))
    closed = day_numbers(days(accounts, "closed_date"))
    closed = np.where(closed <= ctx.as_of_day, closed, np.nan)
    seen_from = ctx.as_of_day - 36 * MONTH
    first_bill = day_numbers(days(bills, "period_start_date"))
    if np.isfinite(first_bill).any():
        seen_from = max(seen_from, float(np.nanmin(first_bill)))
    if np.isfinite(closed).any():
        seen_from = max(seen_from, float(np.nanmin(closed)) - MONTH)
    months = max(1, int((ctx.as_of_day - seen_from) // MONTH))
    reason = texts(accounts, "close_reason")
    parts = []
    for back in range(months, 0, -1):
        month = ctx.as_of_day - back * MONTH
        here = np.flatnonzero((opened <= month) & ~(closed <= month))
        leaves = closed[here] <= month + MONTH
        parts.append((here, np.full(len(here), month), leaves))
    row = np.concatenate([p[0] for p in parts])
    begins = np.concatenate([p[1] for p in parts])
    leaves = np.concatenate([p[2] for p in parts])
    name = texts(accounts, "account_id")[row]
    late, shock = latest_bill(name, begins, need(frames, "fct_bill_features"))
    contract = (day_numbers(days(accounts, "contract_end_date"))[row] - begins) / MONTH
    tenure = (begins - opened[row]) / MONTH
    return AccountMonths(
        account=name,
        begins=begins,
        x=matrix(tenure, contract, fixed_traits(accounts)[row], late, shock),
        tenure_months=tenure,
        switch=(leaves & (reason[row] == "SW")).astype(np.float64),
        move=(leaves & (reason[row] != "SW")).astype(np.float64),
    )


@dataclass(frozen=True)
class Hazards:
    """One model a cause; where it did not beat the constant hazard on unseen months, that constant is
    used."""

    models: dict[str, Logit | None]
    rates: dict[str, float]
    comparisons: tuple[Comparison, ...]
    tail: ShiftedBetaGeometric

    def monthly(self, cause: str, x: Floats) -> Floats:
        """Monthly probability of leaving for one cause."""
        model = self.models[cause]
        return np.full(len(x), self.rates[cause]) if model is None else model.predict(x)

    def contributions(self, x: Floats) -> Floats:
        """Log odds of leaving by feature, both causes weighted by their rates (rows × FEATURES)."""
        total = sum(self.rates.values())
        result = np.zeros((len(x), len(FEATURES)))
        for cause in CAUSES:
            model = self.models[cause]
            if model is not None and total > 0:
                result += model.contributions(x) * (self.rates[cause] / total)
        return result


def fit(data: AccountMonths, ctx: ScoreContext) -> Hazards:
    """Fits and tests both causes, on later months of accounts not trained on, and fits the tail to tenure."""
    models: dict[str, Logit | None] = {}
    rates: dict[str, float] = {}
    comparisons: list[Comparison] = []
    for cause in CAUSES:
        y = data.switch if cause == "switch" else data.move
        # Half an event in a thousand account-months is the prior: a window without an event is not
        # immortality.
        rates[cause] = float((y.sum() + 0.5) / (len(y) + 1000.0 * 0.1))
        found = _test(data, y, cause, ctx)
        comparisons.extend(found)
        beats = bool(found) and found[-1].gain_lo > 0
        models[cause] = Logit.fit(data.x, y, FEATURES, ridge=5.0) if beats else None
    period = np.clip(data.tenure_months.astype(np.int64), 0, 239)
    lost = data.switch + data.move
    tail = ShiftedBetaGeometric.fit(
        np.bincount(period, minlength=240).astype(np.float64),
        np.bincount(period, lost, 240).astype(np.float64),
    )
    return Hazards(models, rates, tuple(comparisons), tail)


def _test(data: AccountMonths, y: Floats, cause: str, ctx: ScoreContext) -> list[Comparison]:
    if y.sum() < 8:
        return []
    cutoff = float(np.quantile(data.begins, 0.5))
    p, constant = np.full(len(y), np.nan), np.full(len(y), np.nan)
    for train, test in forward_folds(data.account, data.begins + MONTH, data.begins, cutoff):
        if y[train].sum() >= 3:
            p[test] = Logit.fit(data.x[train], y[train], FEATURES, ridge=5.0).predict(data.x[test])
            constant[test] = y[train].mean()
    tested: Bools = np.isfinite(p)
    if not 0 < y[tested].sum() < tested.sum():
        return []
    args = (y[tested], p[tested], constant[tested], data.account[tested])
    return [
        compare(f"{cause}_auc", auc, *args, ctx.rng(f"hazard.{cause}.auc"), n_boot=100),
        compare(
            f"{cause}_log_loss",
            log_loss,
            *args,
            ctx.rng(f"hazard.{cause}.ll"),
            higher_is_better=False,
            n_boot=100,
        ),
    ]


def survival(
    hazards: Hazards,
    tenure: Floats,
    contract_months: Floats,
    fixed: Floats,
    late: Floats,
    shock: Floats,
    months: int,
) -> Floats:
    """Probability of still being there after 1…months (accounts × months).

    Tenure and contract move with time. From the second year on the hazard follows the sBG's course: those
    who stay are those who were never likely to leave.
    """
    alive = np.ones(len(tenure))
    result = np.empty((len(tenure), months))
    base = np.zeros(len(tenure))
    for m in range(months):
        if m < 12:
            x = matrix(tenure + m, contract_months - m, fixed, late, shock)
            base = np.clip(hazards.monthly("switch", x) + hazards.monthly("move", x), 0.0, 0.95)
            now = base
        else:
            ratio = hazards.tail.hazard(tenure + m + 1) / hazards.tail.hazard(tenure + 12)
            now = base * np.minimum(ratio, 1.0)
        alive = alive * (1 - now)
        result[:, m] = alive
    return result
