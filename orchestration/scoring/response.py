"""Response to offers, from randomised campaigns: who answers, and whether the offer is why.

Here belongs: learning p(response | offer) and its uplift over no offer, and deciding which of the two ranks
better on customers not trained on. Uplift is used only where the lower bound of its advantage is above zero;
else response ranking, saying so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from orchestration.scoring.contract import ScoreContext
from orchestration.scoring.evaluation import Comparison, auc, compare
from orchestration.scoring.frames import (
    Bools,
    Floats,
    contains,
    day_numbers,
    days,
    flags,
    need,
    numbers,
    stable_unit,
    texts,
)
from orchestration.scoring.linear import Logit

_FOLDS = 4
_RIDGE = 10.0


def traits(customers: pd.DataFrame) -> Floats:
    """Slow traits of a customer (customers × 5). None is protected: no age, language or medical flag."""
    bills = np.maximum(numbers(customers, "bills_12m", 0.0), 1.0)
    return np.column_stack(
        [
            np.log1p(np.clip(numbers(customers, "tenure_months", 0.0), 0, None)),
            np.log(np.maximum(numbers(customers, "billed_12m_kwh", 0.0) / bills, 20.0)),
            flags(customers, "is_paperless").astype(np.float64),
            (texts(customers, "payment_method") == "DD").astype(np.float64),
            numbers(customers, "late_bills_12m", 0.0) / bills,
        ]
    )


def already_has(customers: pd.DataFrame, offers: tuple[str, ...]) -> Bools:
    """Whether a customer has what an offer offers (customers × offers), as far as the billing system
    shows."""
    tariff = np.array([t.upper() for t in texts(customers, "tariff_code")], dtype=object)
    shown = {
        "paperless": flags(customers, "is_paperless"),
        "autopay": texts(customers, "payment_method") == "DD",
        "tou_tariff": contains(tariff, np.array(["TOU", "EVNITE"], dtype=object)),
        "ev_tariff": tariff == "EVNITE",
    }
    nobody = np.zeros(len(customers), dtype=bool)
    return np.column_stack([shown.get(offer, nobody) for offer in offers])


@dataclass(frozen=True)
class Response:
    """Per offer: the probability of response when treated and the uplift over no treatment (customers ×
    offers)."""

    offers: tuple[str, ...]
    p: Floats
    uplift: Floats
    value_usd: Floats
    method: str
    beats_mean: bool
    comparisons: tuple[Comparison, ...]


def _matrix(base: Floats, has: Bools, offer: npt.NDArray[np.int64], treated: Floats) -> Floats:
    """Traits, whether the customer has it already, the offer, the treatment, and the treatment's own effect
    per offer.

    Both arms are learnt in one model: the control tells what kind of customer would come anyway.
    """
    dummies = np.eye(has.shape[1])[offer]
    own = has[np.arange(len(offer)), offer].astype(np.float64)[:, None] * dummies
    late = base[:, 4] * treated
    return np.column_stack([base, own, dummies, treated, treated[:, None] * dummies, late])


def _fit_predict(x: Floats, y: Floats, train: Bools, *predict: Floats) -> tuple[Floats, ...]:
    """Predictions for each of ``predict`` by a model of the rows of ``train``."""
    if not 3 <= y[train].sum() < train.sum():
        rate = float((y[train].sum() + 0.5) / (train.sum() + 10))
        return tuple(np.full(len(rows), rate) for rows in predict)
    model = Logit.fit(x[train], y[train], tuple(map(str, range(x.shape[1]))), ridge=_RIDGE)
    return tuple(model.predict(rows) for rows in predict)


def fit(frames: Mapping[str, pd.DataFrame], ctx: ScoreContext) -> Response | None:
    """Learns from every assignment up to ``as_of_date``; None where no randomised campaign has run."""
    customers, rows = need(frames, "customer_360"), need(frames, "fct_campaign_assignment")
    rows = rows[day_numbers(days(rows, "assigned_at")) <= ctx.as_of_day]
    ids = texts(customers, "customer_id")
    at = pd.Index(ids).get_indexer(pd.Index(texts(rows, "customer_id")))
    rows, at = rows[at >= 0], at[at >= 0]
    treated = texts(rows, "arm") == "treatment"
    if len(rows) < 100 or not treated.any():
        return None
    offer, names = pd.factorize(texts(rows, "offer_id"), sort=True)
    offers = tuple(str(n) for n in names)
    base = traits(customers)
    has = already_has(customers, offers)
    code = offer.astype(np.int64)
    x = _matrix(base[at], has[at], code, treated.astype(np.float64))
    with_offer = _matrix(base[at], has[at], code, np.ones(len(at)))
    without_offer = _matrix(base[at], has[at], code, np.zeros(len(at)))
    y = flags(rows, "has_responded").astype(np.float64)
    who = ids[at]
    fold = np.floor(stable_unit(who, "response") * _FOLDS).astype(np.int64)
    p, control = np.full(len(y), np.nan), np.full(len(y), np.nan)
    mean = np.full(len(y), np.nan)
    for k in range(_FOLDS):
        test = fold == k
        p[test], control[test] = _fit_predict(x, y, ~test, with_offer[test], without_offer[test])
        rate = np.bincount(offer[treated & ~test], y[treated & ~test], len(offers)) + 0.5
        mean[test] = (rate / (np.bincount(offer[treated & ~test], minlength=len(offers)) + 10))[offer[test]]
    comparisons = [
        compare(
            "response_auc", auc, y[treated], p[treated], mean[treated], who[treated], ctx.rng("response.auc")
        )
    ]
    share = treated_share(rows, treated)
    uplift_gain, response_gain, lower = _policy(
        y, p, p - control, treated.astype(np.float64), share, who, ctx
    )
    n = len(y)
    comparisons.append(
        Comparison(
            "incremental_response_top_30pct", uplift_gain, response_gain, float("nan"), float("nan"), lower, n
        )
    )
    uses_uplift = bool(lower > 0)
    beats_mean = bool(comparisons[0].gain_lo > 0)
    value = numbers(rows, "response_value_usd")
    worth = np.array([_mean(value[(offer == o) & (y > 0)]) for o in range(len(offers))])
    p_now, uplift_now = np.empty((len(ids), len(offers))), np.empty((len(ids), len(offers)))
    everyone = np.ones(len(y), dtype=bool)
    for o in range(len(offers)):
        here = np.full(len(ids), o)
        pair = (_matrix(base, has, here, np.full(len(ids), arm)) for arm in (1.0, 0.0))
        p_now[:, o], without = _fit_predict(x, y, everyone, *pair)
        uplift_now[:, o] = p_now[:, o] - without
        if not beats_mean:
            arms = (treated & (code == o), ~treated & (code == o))
            rates = [(y[rows].sum() + 0.5) / (rows.sum() + 10) for rows in arms]
            p_now[:, o], uplift_now[:, o] = rates[0], rates[0] - rates[1]
    p_now = np.where(has, 0.0, p_now)
    method = "uplift" if uses_uplift else ("response" if beats_mean else "offer_mean")
    return Response(offers, p_now, uplift_now, worth, method, beats_mean, tuple(comparisons))


def treated_share(rows: pd.DataFrame, treated: Bools) -> Floats:
    """Probability of having been treated, per assignment, from the logged probability.

    Logs hold either the probability of the treatment or that of the arm drawn; for the control arm the
    reading nearer to the campaign's own share of treated is taken.
    """
    drawn = numbers(rows, "assignment_probability", 0.5)
    campaign, _ = pd.factorize(texts(rows, "campaign_id"))
    own = (np.bincount(campaign, treated) / np.maximum(np.bincount(campaign), 1))[campaign]
    is_of_arm = ~treated & (np.abs(1 - drawn - own) < np.abs(drawn - own))
    result: Floats = np.clip(np.where(is_of_arm, 1 - drawn, drawn), 0.05, 0.95)
    return result


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else 0.0


def _policy(
    y: Floats,
    response: Floats,
    uplift: Floats,
    arm: Floats,
    share: Floats,
    who: npt.NDArray[np.object_],
    ctx: ScoreContext,
) -> tuple[float, float, float]:
    """Incremental response per customer in the top 30 % by uplift and by response, and the lower bound of
    the gap.

    Effects are weighted by inverse assignment probability; ``share`` is the probability of having been
    treated.
    """
    effect = arm * y / share - (1 - arm) * y / (1 - share)

    def top(rows: npt.NDArray[np.int64], rank: Floats) -> float:
        chosen = rows[np.argsort(-rank[rows], kind="stable")[: max(1, int(0.3 * len(rows)))]]
        return float(effect[chosen].mean())

    everyone = np.arange(len(y))
    _, code = np.unique(who.astype(str), return_inverse=True)
    order = np.argsort(code, kind="stable")
    start = np.searchsorted(code[order], np.arange(code.max() + 1))
    size = np.diff(np.append(start, len(code)))
    rng = ctx.rng("response.policy")
    gaps = []
    for _ in range(100):
        chosen = rng.integers(0, len(size), len(size))
        length = size[chosen]
        offset = np.repeat(start[chosen] - np.concatenate(([0], np.cumsum(length)[:-1])), length)
        rows = order[np.arange(int(length.sum())) + offset]
        gaps.append(top(rows, uplift) - top(rows, response))
    return top(everyone, uplift), top(everyone, response), float(np.quantile(gaps, 0.05))
