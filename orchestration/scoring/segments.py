"""Segments: several systems at once, each customer in one segment of each.

Here belongs: value (quantile rules), behaviour (rules on payment, contact, channel) and load shape (a
dictionary of half-hourly shapes, k-means). The load shape is derived from interval data: without consent to
profiling it stays empty.

Load shapes: each meter, four weeks and weekday type give one shape, normalised to sum 1, so that season stays
visible in a customer's mix. The number of shapes is the largest whose assignment survives resampling
(bootstrap ARI ≥ 0.8). New centroids are matched to those of the last run, so labels do not shuffle; the gate
is the energy shape explained on customers that the dictionary has not seen, against one average shape, and
that ARI.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from orchestration.scoring import pictures
from orchestration.scoring.contract import Evaluation, Reasons, Score, ScoreContext, ScoreResult, finish
from orchestration.scoring.frames import (
    Floats,
    align,
    contains,
    day_numbers,
    days,
    flags,
    need,
    numbers,
    stable_unit,
    texts,
)

SLOTS = 48
#: Rows that a dictionary is fitted on; more does not move the centroids.
_FIT_ROWS = 3_000
_K_RANGE = (8, 7, 6, 5, 4, 3)
_STABLE = 0.8
_WEEKS = 28
#: Weeks that make one shape: few enough to keep the season, enough to see habit through chance.
_BLOCK_WEEKS = 4
#: Two shapes closer than this (root mean square of the shares) are the same shape in two runs.
_SAME = 0.006
#: Slot before which a part of the day ends.
_PARTS_OF_DAY = ((10, "night"), (20, "morning"), (32, "midday"), (43, "evening"), (SLOTS, "late"))


@dataclass(frozen=True)
class Shapes:
    """One row per meter, four weeks and weekday type: its service point and its shape (sums to 1)."""

    point: npt.NDArray[np.object_]
    shape: Floats


def shapes(slots: pd.DataFrame, points: npt.NDArray[np.object_], ctx: ScoreContext) -> Shapes:
    """Four-weekly shapes of the given service points from ``fct_usage_slot``; incomplete days are left
    out."""
    week = day_numbers(days(slots, "week_start_date"))
    inside = (
        (week + 6 <= ctx.as_of_day)
        & (week > ctx.as_of_day - 7 * _WEEKS)
        & contains(texts(slots, "service_point_id"), points)
    )
    part = slots[inside]
    weekend = (texts(part, "day_type") == "weekend").astype(np.int64)
    code, ids = pd.factorize(texts(part, "service_point_id"), sort=True)
    block = ((ctx.as_of_day - week[inside]) // (7 * _BLOCK_WEEKS)).astype(np.int64)
    n_blocks = int(block.max(initial=0)) + 1
    key = ((code * n_blocks + block) * 2 + weekend) * SLOTS + numbers(part, "slot").astype(np.int64)
    size = len(ids) * n_blocks * 2
    count = np.bincount(key, numbers(part, "n_half_hours", 0.0), size * SLOTS).reshape(size, SLOTS)
    kwh = np.bincount(key, numbers(part, "sum_kwh", 0.0), size * SLOTS).reshape(size, SLOTS)
    matrix = np.where(count > 0, kwh / np.maximum(count, 1.0), np.nan)
    total = matrix.sum(axis=1)
    kept = np.arange(size)
    good = np.isfinite(total) & (total > 0.5)
    return Shapes(
        np.asarray(ids, dtype=object)[kept[good] // (2 * n_blocks)], matrix[good] / total[good, None]
    )


def _fit(x: Floats, k: int, seed: int) -> Floats:
    return np.asarray(
        KMeans(k, n_init=4, max_iter=100, random_state=seed).fit(x).cluster_centers_, dtype=np.float64
    )


def nearest(x: Floats, centroids: Floats) -> npt.NDArray[np.int64]:
    """The closest centroid of each row."""
    distance = (centroids**2).sum(axis=1)[None, :] - 2 * x @ centroids.T
    return distance.argmin(axis=1).astype(np.int64)


@dataclass(frozen=True)
class Dictionary:
    """Centroids with their stable names, the ARI of resampled fits, and what they explain of unseen
    customers."""

    centroids: Floats
    names: tuple[str, ...]
    ari: float
    explained: float
    ari_by_k: dict[int, float]


def _usual(code: npt.NDArray[np.int64], label: npt.NDArray[np.int64], n: int, k: int) -> Floats:
    """Share of each label among the rows of each customer (customers × k)."""
    mix = np.bincount(code * k + label, minlength=n * k).reshape(n, k).astype(np.float64)
    result: Floats = mix / np.maximum(mix.sum(axis=1, keepdims=True), 1.0)
    return result


def build(data: Shapes, ctx: ScoreContext) -> Dictionary | None:
    """The dictionary: the largest k that is stable under resampling of customers, else the most stable.

    None where the shapes are too few for the smallest dictionary.
    """
    rng = ctx.rng("segments.sample")
    code, ids = pd.factorize(data.point, sort=True)
    # Fit on one half of the customers, so that the other half is unseen.
    first = stable_unit(ids, "segments") < 0.5
    seen = first[code]
    train = data.shape[seen]
    fitted = train[rng.permutation(len(train))[:_FIT_ROWS]]
    ari_by_k: dict[int, float] = {}
    found: dict[int, Floats] = {}
    for k in _K_RANGE:
        if len(fitted) < 20 * k:
            continue
        found[k] = _fit(fitted, k, ctx.seed % 2**31)
        reference = _usual(code, nearest(data.shape, found[k]), len(ids), k).argmax(axis=1)
        scores = []
        for b in range(3):
            drawn = rng.integers(0, len(train), min(len(train), _FIT_ROWS))
            other = _fit(train[drawn], k, b)
            again = _usual(code, nearest(data.shape, other), len(ids), k).argmax(axis=1)
            scores.append(adjusted_rand_score(reference, again))
        ari_by_k[k] = float(np.mean(scores))
        if ari_by_k[k] >= _STABLE:
            break
    if not found:
        return None
    best = max(ari_by_k, key=lambda k: (ari_by_k[k] >= _STABLE, ari_by_k[k]))
    centroids = found[best]
    unseen = data.shape[~seen]
    explained = float("nan")
    if len(unseen):
        error = ((unseen - centroids[nearest(unseen, centroids)]) ** 2).sum()
        explained = float(1 - error / max(float(((unseen - train.mean(axis=0)) ** 2).sum()), 1e-12))
    order = np.argsort(centroids @ np.arange(SLOTS))
    centroids = centroids[order]
    return Dictionary(
        centroids,
        names(centroids, ctx.previous.get("load_shape_centroids")),
        ari_by_k[best],
        explained,
        ari_by_k,
    )


def names(centroids: Floats, previous: pd.DataFrame | None) -> tuple[str, ...]:
    """Stable names: a centroid that continues one of the last run keeps its name (Hungarian matching).

    A new centroid is named by its form (`describe`), with a number where that is taken.
    """
    given: dict[int, str] = {}
    taken: set[str] = set()
    if previous is not None and len(previous):
        old = previous.filter(regex=r"^s\d\d$").to_numpy(dtype=np.float64)
        labels = texts(previous, "segment")
        taken.update(labels)
        distance = np.sqrt(((centroids[:, None, :] - old[None, :, :]) ** 2).mean(axis=2))
        for i, j in zip(*linear_sum_assignment(distance), strict=True):
            if distance[i, j] < _SAME:
                given[int(i)] = str(labels[j])
    for i, shape in enumerate(centroids):
        if i in given:
            continue
        name = describe(shape)
        candidate, number = name, 2
        while candidate in taken:
            candidate, number = f"{name}_{number}", number + 1
        given[i] = candidate
        taken.add(candidate)
    return tuple(given[i] for i in range(len(centroids)))


def describe(shape: Floats) -> str:
    """A load shape in words: when it peaks, and whether it is flat, broad, sharp or has a second peak."""
    top = int(shape.argmax())
    when = next(name for until, name in _PARTS_OF_DAY if top < until)
    height = float(shape.max()) * SLOTS
    if height < 1.6:
        return f"flat_{when}"
    # A second peak lies at least four hours away, with a clear dip on the way.
    far = np.abs(np.arange(SLOTS) - top) >= 8
    second = int(np.where(far, shape, 0.0).argmax())
    dip = float(shape[min(top, second) : max(top, second) + 1].min())
    if shape[second] > 0.5 * shape[top] and dip < 0.6 * shape[second]:
        return f"{when}_and_{next(name for until, name in _PARTS_OF_DAY if second < until)}"
    return f"{when}_{'sharp' if height > 3.5 else 'broad'}"


def behaviour(customers: pd.DataFrame) -> npt.NDArray[np.object_]:
    """Behaviour by rules; later rules win."""
    segment = np.full(len(customers), "steady_traditional", dtype=object)
    digital = flags(customers, "is_paperless") & (contains(texts(customers, "payment_method"), ["DD", "ON"]))
    segment[digital] = "steady_digital"
    bills = np.maximum(numbers(customers, "bills_12m", 0.0), 1.0)
    segment[numbers(customers, "late_bills_12m", 0.0) / bills >= 0.25] = "irregular_payer"
    segment[numbers(customers, "n_interactions_90d", 0.0) >= 3] = "frequent_contact"
    segment[numbers(customers, "n_complaints_90d", 0.0) >= 1] = "complaining"
    segment[numbers(customers, "tenure_months", 99.0) < 6] = "new"
    segment[flags(customers, "has_ended")] = "former"
    return segment


def value_segment(value: pd.DataFrame, ids: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """Value by quantiles of five-year value among eligible customers: top 10 %, upper 30 %, core, low 20 %,
    former."""
    at = align(ids, value["subject_id"], numbers(value, "clv_60m_usd"))
    eligible = align(ids, value["subject_id"], flags(value, "eligible").astype(np.float64), 0.0) > 0
    segment = np.full(len(ids), "former", dtype=object)
    if eligible.any():
        cuts = np.quantile(at[eligible], [0.2, 0.6, 0.9])
        labels = np.array(["low", "core", "upper", "top"], dtype=object)
        segment[eligible] = labels[np.searchsorted(cuts, at[eligible], "right")]
    return segment


@dataclass(frozen=True)
class LoadShapes:
    """Per customer, in the order asked for: main shape, mix as JSON, entropy in bits, distance to the
    average day."""

    segment: npt.NDArray[np.object_]
    mix: npt.NDArray[np.object_]
    entropy: Floats
    distance: Floats
    shares: Floats


def assign(data: Shapes, dictionary: Dictionary, points: npt.NDArray[np.object_]) -> LoadShapes:
    """The load shapes of the meters ``points``; those without shapes get '' and NaN."""
    k = len(dictionary.names)
    code, known = pd.factorize(data.point, sort=True)
    mix = _usual(code, nearest(data.shape, dictionary.centroids), len(known), k)
    mean = np.zeros((len(known), SLOTS))
    np.add.at(mean, code, data.shape)
    mean /= np.maximum(np.bincount(code, minlength=len(known)), 1)[:, None]
    positive = np.where(mix > 0, mix, 1.0)
    entropy = -(mix * np.log2(positive)).sum(axis=1) + 0.0
    far = np.sqrt(((mean - mean.mean(axis=0)) ** 2).sum(axis=1))
    labels = np.array(dictionary.names, dtype=object)
    main = mix.argmax(axis=1)
    as_text = np.array(
        [
            json.dumps({n: round(float(s), 3) for n, s in zip(labels, row, strict=True) if s > 0})
            for row in mix
        ],
        dtype=object,
    )
    at = pd.Index(np.asarray(known, dtype=object)).get_indexer(pd.Index(points))
    here = at >= 0
    return LoadShapes(
        np.where(here, labels[main][at], "").astype(object),
        np.where(here, as_text[at], "").astype(object),
        np.where(here, entropy[at], np.nan),
        np.where(here, far[at], 0.0),
        np.bincount(main, minlength=k) / max(len(main), 1),
    )


def run(frames: Mapping[str, pd.DataFrame], ctx: ScoreContext) -> ScoreResult:
    """Segments every customer of ``customer_360``; ``score`` is the tenth of value.

    A dictionary of load shapes that is not stable, or explains nothing of unseen customers, is not used: the
    load shape stays empty, the other segments are rules and stand.
    """
    customers = need(frames, "customer_360")
    ids = texts(customers, "customer_id")
    consent = flags(customers, "consent_profiling_interval")
    points = np.where(consent, texts(customers, "primary_service_point_id"), "").astype(object)
    data = shapes(need(frames, "fct_usage_slot"), points[points != ""], ctx)
    dictionary = build(data, ctx)
    proven = dictionary is not None and dictionary.ari >= _STABLE and dictionary.explained > 0
    n = len(ids)
    nothing = np.full(n, "", dtype=object)
    found = LoadShapes(nothing, nothing, np.full(n, np.nan), np.zeros(n), np.zeros(0))
    if dictionary is not None and proven:
        found = assign(data, dictionary, points)
    value = need(frames, "scores.customer_value")
    rank = align(ids, value["subject_id"], numbers(value, "decile"), 5.0)
    late = numbers(customers, "late_bills_12m", 0.0) / np.maximum(numbers(customers, "bills_12m", 0.0), 1.0)
    table = finish(
        SCORE,
        ctx,
        subject=ids,
        value=rank / 10,
        lawful_basis="legitimate_interest",
        consent_version=texts(customers, "consent_version"),
        reasons=Reasons(
            ("load_shape", "value_rank", "prior_late_share"),
            np.column_stack([found.distance, (rank - 5.5) / 10, late]),
        ),
        own={
            "value_segment": value_segment(value, ids),
            "behaviour_segment": behaviour(customers),
            "load_shape_segment": found.segment,
            "load_shape_mix": found.mix,
            "load_shape_entropy": found.entropy,
            "segment_version": np.full(
                n, f"k{len(dictionary.names)}" if dictionary and proven else "none", dtype=object
            ),
        },
    )
    return _judged(table, data, dictionary, found.shares, proven, ctx)


def _judged(
    table: pd.DataFrame,
    data: Shapes,
    dictionary: Dictionary | None,
    shares: Floats,
    proven: bool,
    ctx: ScoreContext,
) -> ScoreResult:
    evaluation = Evaluation(SCORE, ctx)
    customers = len(np.unique(data.point.astype(str)))
    evaluation.add("uses_load_shapes", float(proven), baseline=0.0, slice_="all", n=customers)
    if dictionary is None:
        message = (
            f"{len(data.shape)} shapes of {customers} consenting customers are too few: no load shapes given"
        )
        return ScoreResult(table, evaluation.frame(), {}, True, message)
    for tried, ari in dictionary.ari_by_k.items():
        evaluation.add(f"bootstrap_ari_k{tried}", ari, baseline=_STABLE, slice_="resampled", n=customers)
    evaluation.add("bootstrap_ari", dictionary.ari, baseline=_STABLE, slice_="resampled", n=customers)
    evaluation.add("shape_variance_explained", dictionary.explained, baseline=0.0, n=len(data.shape))
    message = (
        f"{len(dictionary.names)} load shapes explain {dictionary.explained:.0%} of the variance of unseen "
        f"customers' shapes "
        f"(one average shape: 0 %); bootstrap ARI {dictionary.ari:.2f} (needed: {_STABLE})"
    )
    if not proven:
        return ScoreResult(
            table, evaluation.frame(), {}, True, message + ": not stable, no load shapes given"
        )
    subtitle = f"{customers:,} consenting customers · as of {ctx.as_of_date}"
    picture = pictures.load_shapes(dictionary.centroids, dictionary.names, shares, subtitle)
    centroids = pd.DataFrame(dictionary.centroids, columns=[f"s{i:02d}" for i in range(SLOTS)])
    return ScoreResult(
        table,
        evaluation.frame(),
        {"load_shapes": picture},
        True,
        message,
        artifacts={"load_shape_centroids": centroids.assign(segment=list(dictionary.names))},
    )


SCORE = Score(
    name="segments",
    inputs=("customer_360", "fct_usage_slot"),
    depends_on_scores=("customer_value",),
    run=run,
    description=__doc__ or "",
    gate="load shapes are given only where they explain unseen customers better than one average shape and "
    "survive "
    "resampling (ARI ≥ 0.8); the other segments are rules",
    own_columns=(
        ("value_segment", pa.string()),
        ("behaviour_segment", pa.string()),
        ("load_shape_segment", pa.string()),
        ("load_shape_mix", pa.string()),
        ("load_shape_entropy", pa.float64()),
        ("segment_version", pa.string()),
    ),
)
