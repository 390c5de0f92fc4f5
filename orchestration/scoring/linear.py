"""A logistic model that explains itself: ridge logit by Newton steps, with exact contributions and intervals.

Why not a library's: every score needs the signed contribution of each feature and an interval for each row,
and both fall out of the Hessian here at the cost of one small solve. Cost grows linearly with rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from orchestration.scoring.frames import Floats

#: Two-sided 90 %: what `score_lo` and `score_hi` hold.
Z90 = 1.6448536269514722


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + e^-x), safe for large |x|."""
    result: Floats = 0.5 * (1.0 + np.tanh(0.5 * x))
    return result


def logit(p: Floats | float) -> Floats:
    """log(p / (1 - p)), with p kept inside (1e-4, 1 - 1e-4)."""
    q = np.clip(np.asarray(p, dtype=np.float64), 1e-4, 1 - 1e-4)
    result: Floats = np.log(q / (1 - q))
    return result


def _penalised_loss(eta: Floats, y: Floats, w: Floats, beta: Floats, penalty: Floats) -> float:
    return float(np.sum(w * (np.logaddexp(0.0, eta) - y * eta)) + 0.5 * np.sum(penalty * beta**2))


@dataclass(frozen=True)
class Logit:
    """A fitted model. ``coefficients`` apply to standardised features; the intercept is the last entry."""

    names: tuple[str, ...]
    mean: Floats
    scale: Floats
    coefficients: Floats
    covariance: Floats

    @classmethod
    def fit(
        cls,
        x: Floats,
        y: Floats,
        names: tuple[str, ...],
        *,
        ridge: float = 1.0,
        weights: Floats | None = None,
        offset: Floats | None = None,
    ) -> Logit:
        """Fits by penalised maximum likelihood; a missing value counts as the feature's mean (no evidence).

        ``x`` (rows × features), ``y`` in {0, 1}, ``ridge`` the penalty on standardised coefficients (not on
        the intercept), ``offset`` a known part of the linear predictor.
        """
        with np.errstate(invalid="ignore"):
            known = np.isfinite(x)
            count = np.maximum(known.sum(axis=0), 1)
            mean = np.where(known, x, 0.0).sum(axis=0) / count
            scale = np.sqrt(np.where(known, (x - mean) ** 2, 0.0).sum(axis=0) / count)
        scale = np.where(scale > 1e-12, scale, 1.0)
        z = np.column_stack([np.where(known, (x - mean) / scale, 0.0), np.ones(len(y))])
        w = np.ones(len(y)) if weights is None else weights
        base = np.zeros(len(y)) if offset is None else offset
        penalty = np.append(np.full(x.shape[1], ridge), 1e-6)
        beta = np.zeros(z.shape[1])
        if offset is None and len(y):
            beta[-1] = float(logit(np.average(y, weights=w)))
        hessian = np.diag(penalty)
        eta = z @ beta + base
        loss = _penalised_loss(eta, y, w, beta, penalty)
        for _ in range(50):
            p = sigmoid(eta)
            hessian = (z * (w * p * (1 - p))[:, None]).T @ z + np.diag(penalty)
            step = np.linalg.solve(hessian, z.T @ (w * (y - p)) - penalty * beta)
            size = 1.0
            while True:  # halve until the loss falls: full Newton steps may overshoot where outcomes are rare
                proposed = beta + size * step
                eta = z @ proposed + base
                new_loss = _penalised_loss(eta, y, w, proposed, penalty)
                if new_loss <= loss + 1e-9 or size < 1e-4:
                    break
                size *= 0.5
            beta, loss = proposed, new_loss
            if np.max(np.abs(step)) < 1e-8:
                break
        return cls(names, mean, scale, beta, np.linalg.inv(hessian))

    def _standardised(self, x: Floats) -> Floats:
        z = (x - self.mean) / self.scale
        result: Floats = np.where(np.isfinite(z), z, 0.0)
        return result

    def linear(self, x: Floats) -> Floats:
        """The linear predictor (log odds), one for each row."""
        result: Floats = self._standardised(x) @ self.coefficients[:-1] + self.coefficients[-1]
        return result

    def predict(self, x: Floats) -> Floats:
        """Probabilities, one for each row."""
        return sigmoid(self.linear(x))

    def contributions(self, x: Floats) -> Floats:
        """Log odds that each feature adds against an average row (rows × features); they sum to the
        prediction."""
        result: Floats = self._standardised(x) * self.coefficients[:-1]
        return result

    def interval(self, x: Floats) -> tuple[Floats, Floats]:
        """90 % interval of the probability from the uncertainty of the coefficients."""
        z = np.column_stack([self._standardised(x), np.ones(len(x))])
        error = Z90 * np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", z, self.covariance, z, optimize=True), 0.0))
        centre = z @ self.coefficients
        return sigmoid(centre - error), sigmoid(centre + error)
