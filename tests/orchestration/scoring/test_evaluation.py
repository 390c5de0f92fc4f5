"""Measures against known values, and splits that cannot leak."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import matthews_corrcoef, roc_auc_score

from orchestration.scoring.evaluation import auc, brier, calibration, compare, forward_folds, log_loss, mcc
from orchestration.scoring.linear import Logit


def test_measures_agree_with_an_independent_implementation() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(500) < 0.3).astype(float)
    p = np.round(rng.random(500) * 0.5 + 0.3 * y, 2)  # rounded: ties
    assert auc(y, p) == pytest.approx(roc_auc_score(y, p))
    assert mcc(y, (p > 0.4).astype(float)) == pytest.approx(matthews_corrcoef(y, p > 0.4))
    assert brier(np.array([1.0, 0.0]), np.array([0.8, 0.4])) == pytest.approx(0.1)
    assert log_loss(np.array([1.0]), np.array([0.5])) == pytest.approx(np.log(2))
    assert np.isnan(auc(np.ones(5), np.arange(5.0)))


def test_calibration_of_a_calibrated_and_of_an_overconfident_forecast() -> None:
    rng = np.random.default_rng(1)
    p = rng.random(20_000)
    y = (rng.random(20_000) < p).astype(float)
    assert calibration(y, p).error < 0.02
    assert calibration(y, np.where(p > 0.5, 0.95, 0.05)).error > 0.1
    assert calibration(y, p).count.sum() == 20_000


def test_folds_never_share_a_group_and_never_look_ahead() -> None:
    rng = np.random.default_rng(2)
    group = np.array([f"C{i}" for i in rng.integers(0, 200, 5000)], dtype=object)
    when = rng.uniform(0, 700, 5000)
    tested = np.zeros(5000, dtype=int)
    for train, test in forward_folds(group, when + 30, when, 400.0):
        assert not set(group[train]) & set(group[test])
        assert (when[train] + 30).max() <= 400.0 < when[test].min()
        tested += test
    assert (tested == (when > 400.0)).all(), "every later row is tested once"


def test_a_split_by_row_would_have_leaked_and_this_one_does_not() -> None:
    """Customer-months that carry a fingerprint of the customer: memorable by row, useless for others."""
    rng = np.random.default_rng(3)
    customers, months = 150, 20
    prone = rng.random(customers) < 0.4
    mark = rng.normal(size=(customers, 120))
    group = np.repeat(np.arange(customers), months)
    when = np.tile(np.arange(months, dtype=float), customers)
    x, y = mark[group], prone[group].astype(float)
    names = tuple(map(str, range(120)))
    shuffled = rng.random(len(y)) < 0.7
    by_row = Logit.fit(x[shuffled], y[shuffled], names).predict(x[~shuffled])
    assert auc(y[~shuffled], by_row) > 0.8
    p = np.full(len(y), np.nan)
    for train, test in forward_folds(group.astype(str), when, when, 12.0):
        p[test] = Logit.fit(x[train], y[train], names).predict(x[test])
    seen = np.isfinite(p)
    assert 0.3 < auc(y[seen], p[seen]) < 0.65


def test_comparison_tells_better_from_equal() -> None:
    rng = np.random.default_rng(4)
    y = (rng.random(3000) < 0.3).astype(float)
    good, noise = 0.3 + 0.2 * (y - 0.3) + rng.normal(0, 0.1, 3000), rng.random(3000)
    groups = rng.integers(0, 300, 3000)
    better = compare("auc", auc, y, good, noise, groups, np.random.default_rng(0))
    assert better.gain_lo > 0.2
    assert better.ci_lo < better.value < better.ci_hi
    same = compare("auc", auc, y, noise, rng.random(3000), groups, np.random.default_rng(0))
    assert same.gain_lo < 0
    lower = compare(
        "brier",
        brier,
        y,
        np.clip(good, 0, 1),
        noise,
        groups,
        np.random.default_rng(0),
        higher_is_better=False,
    )
    assert lower.gain_lo > 0


def test_interval_widens_when_rows_belong_together() -> None:
    rng = np.random.default_rng(5)
    per_group = rng.random(60) < 0.5
    group = np.repeat(np.arange(60), 50)
    y = per_group[group].astype(float)
    p = np.clip(0.5 + 0.1 * rng.normal(size=60)[group] + 0.05 * y, 0, 1)
    rows = compare("auc", auc, y, p, p, np.arange(len(y)), np.random.default_rng(0))
    groups = compare("auc", auc, y, p, p, group, np.random.default_rng(0))
    assert groups.ci_hi - groups.ci_lo > 3 * (rows.ci_hi - rows.ci_lo)


def test_logit_recovers_coefficients_and_its_contributions_add_up() -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(size=(20_000, 3)) * np.array([1.0, 5.0, 0.2])
    eta = -1.0 + 0.8 * x[:, 0] - 0.1 * x[:, 1]
    y = (rng.random(20_000) < 1 / (1 + np.exp(-eta))).astype(float)
    model = Logit.fit(x, y, ("a", "b", "c"))
    assert model.coefficients[:3] / model.scale == pytest.approx([0.8, -0.1, 0.0], abs=0.12)
    assert model.contributions(x).sum(axis=1) + model.coefficients[-1] == pytest.approx(model.linear(x))
    lo, hi = model.interval(x)
    assert ((lo < model.predict(x)) & (model.predict(x) < hi)).all()
    gap = np.full((1, 3), np.nan)
    assert model.contributions(gap) == pytest.approx(0.0), "a missing value is no evidence"
