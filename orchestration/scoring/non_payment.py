"""Non-payment: the probability that a customer's current bill stays unpaid 30 days past due, and what that
costs.

Here belongs: the bill-level model, its roll to a write-off, and the rules that tell who forgot from who
cannot pay. What is done about it does not (treatment): this score may soften a treatment, never hasten it.
No protected attribute is read: no age, language, medical or vulnerability flag.

Method: a ridge logit on point-in-time bill features, so that reasons are exact. Tested on later bills of
customers it was not trained on; the baseline is what a clerk would use, the customer's share of earlier
bills paid late.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from orchestration.scoring import pictures
from orchestration.scoring.contract import Evaluation, Reasons, Score, ScoreContext, ScoreResult, finish
from orchestration.scoring.evaluation import auc, brier, calibration, compare, forward_folds, log_loss
from orchestration.scoring.frames import (
    Bools,
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
from orchestration.scoring.linear import Logit

FEATURES = (
    "prior_late_share",
    "prior_30dpd",
    "days_late",
    "last_bill_late",
    "returned_payments",
    "open_at_issue",
    "bill_shock",
    "bill_amount",
    "direct_debit",
    "paperless",
    "payment_plan",
    "tenure",
    "short_history",
)

#: Days after the due date at which a bill counts as not paid.
_HORIZON = 30.0
#: Fewer known bills than this cannot carry a model.
_MIN_BILLS = 100


def features(bills: pd.DataFrame) -> Floats:
    """The model's matrix (bills × FEATURES) from ``fct_bill_features``, heavy tails tamed."""
    n_prior = numbers(bills, "n_prior_bills", 0.0)
    columns = {
        "prior_late_share": (numbers(bills, "prior_late_share", 0.0) * n_prior + 0.15 * 2) / (n_prior + 2),
        "prior_30dpd": np.sqrt(numbers(bills, "prior_30dpd_count_12m", 0.0)),
        "days_late": np.log1p(np.clip(numbers(bills, "prior_avg_days_late", 0.0), 0, 120)),
        "last_bill_late": np.log1p(np.clip(numbers(bills, "last_days_late", 0.0), 0, 120)),
        "returned_payments": np.minimum(numbers(bills, "prior_returned_count", 0.0), 3.0),
        "open_at_issue": np.log1p(np.clip(numbers(bills, "open_usd_at_issue", 0.0), 0, None)),
        "bill_shock": np.clip(np.log(np.clip(numbers(bills, "amount_ratio", 1.0), 0.2, 5.0)), -1.0, 1.0),
        "bill_amount": np.log1p(np.clip(numbers(bills, "amount_usd", 0.0), 0, None)),
        "direct_debit": (texts(bills, "payment_method") == "DD").astype(np.float64),
        "paperless": flags(bills, "is_paperless").astype(np.float64),
        "payment_plan": flags(bills, "has_plan").astype(np.float64),
        "tenure": np.log1p(np.clip(numbers(bills, "tenure_days", 0.0), 0, None) / 365.25),
        "short_history": 1.0 / (1.0 + n_prior),
    }
    return np.column_stack([columns[name] for name in FEATURES])


@dataclass(frozen=True)
class Tested:
    """Out-of-sample predictions: later bills of customers that the model was not trained on."""

    y: Floats
    p: Floats
    late_share: Floats
    group: npt.NDArray[np.object_]


def cross_test(
    x: Floats, y: Floats, late_share: Floats, group: npt.NDArray[np.object_], due: Floats
) -> Tested:
    """Predicts each later bill by a model of other customers' earlier bills (labels known by the cut)."""
    cutoff = float(np.quantile(due, 0.65)) + _HORIZON
    p = np.full(len(y), np.nan)
    share = np.full(len(y), np.nan)
    for train, test in forward_folds(group, due + _HORIZON, due, cutoff):
        if test.any() and 0 < y[train].sum() < train.sum():
            p[test] = Logit.fit(x[train], y[train], FEATURES, ridge=2.0).predict(x[test])
            # The baseline becomes a probability by its own calibration on the same training rows.
            clerk = Logit.fit(late_share[train, None], y[train], ("prior_late_share",))
            share[test] = clerk.predict(late_share[test, None])
    tested = np.isfinite(p)
    return Tested(y[tested], p[tested], share[tested], group[tested])


def writeoff_rate(bills: pd.DataFrame, as_of_day: float) -> float:
    """Share of bills 30 days past due that are still open 180 days after the due date, shrunk to 15 %."""
    due = day_numbers(days(bills, "due_date"))
    paid = day_numbers(days(bills, "paid_date"))
    old = (due + 180 <= as_of_day) & ~flags(bills, "is_reversed")
    open_30 = old & ~(paid <= due + 30)
    open_180 = old & ~(paid <= due + 180)
    return float((open_180.sum() + 0.15 * 20) / (open_30.sum() + 20))


def payment_segment(
    customers: pd.DataFrame, p: Floats, last_late: Floats, base_rate: float
) -> npt.NDArray[np.object_]:
    """Why a bill is not paid, by rules on behaviour: dispute, hardship, cash flow, forgot, none.

    Hardship: months of arrears, or bills unpaid again and again. Cash flow: often late, yet paid. Forgot:
    rarely late, or late by a little, nothing old outstanding. The order is the order of care: the gentlest
    reading wins.
    """
    n_bills = np.maximum(numbers(customers, "bills_12m", 0.0), 1.0)
    late = numbers(customers, "late_bills_12m", 0.0)
    late_share = late / n_bills
    average_late = numbers(customers, "avg_days_late_12m", 0.0)
    past_due = numbers(customers, "days_past_due", 0.0)
    returned = numbers(customers, "returned_payments_12m", 0.0)
    arrears = numbers(customers, "arrears_usd", 0.0)
    monthly = numbers(customers, "billed_12m_usd", 0.0) / n_bills
    segment = np.full(len(customers), "none", dtype=object)
    sometimes = (late >= 1) | (past_due > 0) | (last_late > 3)
    segment[sometimes] = "forgot"
    cash_flow = (
        ((late_share >= 0.34) & (average_late >= 8)) | (returned >= 2) | (p > np.maximum(0.25, 2 * base_rate))
    )
    segment[cash_flow & sometimes] = "cash_flow"
    hardship = (
        (past_due > 60) | ((arrears > 2.0 * np.maximum(monthly, 1.0)) & (late >= 2)) | (average_late > 35)
    )
    segment[hardship] = "hardship"
    segment[flags(customers, "has_open_dispute")] = "dispute"
    return segment


def _current_bills(bills: pd.DataFrame, rows: pd.DataFrame, ctx: ScoreContext) -> pd.DataFrame:
    """The feature row of each customer's latest bill that had been issued by ``as_of_date``."""
    issued = bills.loc[
        (days(bills, "issued_date") <= ctx.as_of).to_numpy() & ~flags(bills, "is_reversed"),
        ["bill_id", "open_usd"],
    ]
    current = rows.merge(issued, on="bill_id", how="inner")
    current = current.assign(_due=days(current, "due_date")).sort_values(["_due", "bill_id"], kind="stable")
    return current.drop_duplicates("customer_id", keep="last")


def run(frames: Mapping[str, pd.DataFrame], ctx: ScoreContext) -> ScoreResult:
    """Scores every customer of ``customer_360``; see the module for the method."""
    customers, rows = need(frames, "customer_360"), need(frames, "fct_bill_features")
    bills = need(frames, "fct_bill")
    due = day_numbers(days(rows, "due_date"))
    label = numbers(rows, "is_30dpd")
    known: Bools = np.isfinite(label) & (due + _HORIZON <= ctx.as_of_day)
    if known.sum() < _MIN_BILLS or not 0 < label[known].sum() < known.sum():
        raise ScoringError(
            f"non_payment: {int(known.sum())} bills have a known outcome by {ctx.as_of_date} and at "
            f"least {_MIN_BILLS} with both outcomes are needed; load more bill history"
        )
    x, y = features(rows), label
    tested = cross_test(
        x[known],
        y[known],
        numbers(rows, "prior_late_share", 0.0)[known],
        texts(rows, "customer_id")[known],
        due[known],
    )
    evaluation, gained, message = _evaluate(tested, ctx)
    model = Logit.fit(x[known], y[known], FEATURES, ridge=2.0)

    ids = texts(customers, "customer_id")
    current = _current_bills(bills, rows, ctx)
    current_x = features(current)
    has_bill = contains(ids, texts(current, "customer_id"))
    at = pd.Index(texts(current, "customer_id")).get_indexer(pd.Index(ids))
    p = np.where(has_bill, model.predict(current_x)[at], np.nan)
    lo, hi = (np.where(has_bill, bound[at], np.nan) for bound in model.interval(current_x))
    reasons = np.where(has_bill[:, None], model.contributions(current_x)[at], 0.0)
    why = np.where(has_bill, "", "no_bill_yet").astype(object)
    why[flags(customers, "is_deceased")] = "deceased"

    p_writeoff = p * writeoff_rate(bills[(days(bills, "issued_date") <= ctx.as_of).to_numpy()], ctx.as_of_day)
    monthly = numbers(customers, "billed_12m_usd", 0.0) / np.maximum(
        numbers(customers, "bills_12m", 0.0), 1.0
    )
    exposure = np.maximum(numbers(customers, "arrears_usd", 0.0), 0.0) + np.maximum(
        align(ids, current["customer_id"], numbers(current, "open_usd", 0.0), 0.0), monthly
    )
    last_late = align(ids, current["customer_id"], numbers(current, "last_days_late", 0.0), 0.0)
    eligible = why == ""
    segment = payment_segment(customers, np.nan_to_num(p), last_late, float(y[known].mean()))
    table = finish(
        SCORE,
        ctx,
        subject=ids,
        value=p,
        lo=lo,
        hi=hi,
        ineligible_reason=why,
        lawful_basis="contract",
        consent_version=texts(customers, "consent_version"),
        reasons=Reasons(FEATURES, reasons),
        own={
            "p_30dpd": np.where(eligible, p, np.nan),
            "p_writeoff_180d": np.where(eligible, p_writeoff, np.nan),
            "expected_loss_usd": np.where(
                eligible, p_writeoff * exposure * ctx.economics.loss_given_writeoff, np.nan
            ),
            "payment_segment": segment,
        },
    )
    shown = {
        name: int((segment == name).sum()) for name in ("none", "forgot", "cash_flow", "hardship", "dispute")
    }
    curve = calibration(tested.y, tested.p)
    subtitle = f"{len(tested.y):,} later bills of customers not trained on · as of {ctx.as_of_date}"
    return ScoreResult(
        table,
        evaluation.frame(),
        {
            "calibration": pictures.calibration_curve(curve, "bill unpaid 30 days past due", subtitle),
            "payment_segments": pictures.counts(
                "Why bills are paid late", f"customers by payment segment · as of {ctx.as_of_date}", shown
            ),
        },
        gained,
        message,
    )


def _evaluate(tested: Tested, ctx: ScoreContext) -> tuple[Evaluation, bool, str]:
    evaluation = Evaluation(SCORE, ctx)
    if not 0 < tested.y.sum() < len(tested.y):
        return (
            evaluation,
            False,
            "no later bill with a known outcome of each kind: nothing to test the model on",
        )
    ranked = compare(
        "auc", auc, tested.y, tested.p, tested.late_share, tested.group, ctx.rng("non_payment.auc")
    )
    evaluation.compared(ranked)
    rows = (tested.y, tested.p, tested.late_share, tested.group)
    squared = compare("brier", brier, *rows, ctx.rng("non_payment.brier"), higher_is_better=False, n_boot=100)
    evaluation.compared(squared)
    likelihood = compare("log_loss", log_loss, *rows, ctx.rng("non_payment.ll"), higher_is_better=False)
    evaluation.compared(likelihood)
    constant = np.full(len(tested.y), tested.y.mean())
    evaluation.add("calibration_error", calibration(tested.y, tested.p).error, baseline=0.0, n=len(tested.y))
    evaluation.add(
        "brier_skill",
        1 - brier(tested.y, tested.p) / max(brier(tested.y, constant), 1e-12),
        baseline=0.0,
        n=len(tested.y),
    )
    passed = likelihood.gain_lo > 0 and ranked.value >= ranked.baseline
    verdict = "beats" if passed else "does not beat"
    return (
        evaluation,
        passed,
        f"log loss {likelihood.value:.4f}, AUC {ranked.value:.3f} {verdict} the calibrated share of earlier "
        f"late bills ({likelihood.baseline:.4f}, {ranked.baseline:.3f}) on {ranked.n:,} later bills of "
        f"held-out customers; lower bound of the gain in log loss {likelihood.gain_lo:+.4f}",
    )


SCORE = Score(
    name="non_payment",
    inputs=("customer_360", "fct_bill", "fct_bill_features"),
    depends_on_scores=(),
    run=run,
    description=__doc__ or "",
    gate="log loss below that of the calibrated share of earlier late bills (lower 95 % bound of the gain) "
    "and AUC not below its, on later bills of customers not trained on",
    own_columns=(
        ("p_30dpd", pa.float64()),
        ("p_writeoff_180d", pa.float64()),
        ("expected_loss_usd", pa.float64()),
        ("payment_segment", pa.string()),
    ),
)
