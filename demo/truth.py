"""Scores against the simulator's truth: the gap that only a simulated utility can show.

Belongs here: the comparison of finished score tables with the truth files. Does not belong here: anything a
score could learn from; no score imports this. Rows have the slice 'truth' and hold what a run on real data
cannot know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.stats import spearmanr
from sklearn.metrics import adjusted_mutual_info_score

from connectors.paths import Paths
from orchestration.scoring.at_home import SLOTS
from orchestration.scoring.contract import MODEL_EVAL_SCHEMA, eval_frame
from orchestration.scoring.evaluation import brier, mcc
from orchestration.scoring.frames import Floats, day_numbers, days, flags, from_arrow, numbers, texts

Rows = list[dict[str, Any]]


def write_evaluation(paths: Paths, as_of: date) -> int:
    """Compare the scores of ``as_of`` with the truth, beside their other evaluations; returns the rows."""
    tables = {
        name: from_arrow(pq.ParquetFile(file).read())
        for name in _JUDGES
        if (file := paths.scores / name / f"as_of_date={as_of}" / "part.parquet").is_file()
    }
    accounts = from_arrow(pq.ParquetFile(paths.published / "unified" / "dim_account.parquet").read())
    rows = evaluate(tables, paths.truth, accounts)
    target = paths.scores / "model_eval" / f"as_of_date={as_of}" / "truth.parquet"
    target.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pandas(rows, schema=MODEL_EVAL_SCHEMA, preserve_index=False), target)
    return len(rows)


def evaluate(
    score_tables: Mapping[str, pd.DataFrame], truth_dir: Path, accounts: pd.DataFrame
) -> pd.DataFrame:
    """``model_eval`` rows with slice 'truth' for every given score that has a truth to meet.

    ``accounts`` is ``dim_account``: the truth knows accounts and premises, scores know customers. A customer
    with several accounts is compared by the one opened last among those still open.
    """
    truth = _Truth(truth_dir, accounts)
    rows: Rows = []
    for name, judge in _JUDGES.items():
        if name in score_tables and len(score_tables[name]):
            table = score_tables[name]
            stamp = {
                "score": name,
                "as_of_date": _as_of(table),
                "model_version": str(table["model_version"].iloc[0]),
                "ci_lo": float("nan"),
                "ci_hi": float("nan"),
                "slice": "truth",
            }
            for metric, value, baseline, n in judge(table[flags(table, "eligible")], truth):
                rows.append({**stamp, "metric": metric, "value": value, "baseline": baseline, "n": n})
    return eval_frame(rows)


def _as_of(table: pd.DataFrame) -> date:
    """The last local day seen: the cutoff is its end, a few hours into the next day in UTC."""
    cutoff: pd.Timestamp = pd.Timestamp(table["feature_cutoff_at"].iloc[0])
    return (cutoff - pd.Timedelta(hours=14)).date()


class _Truth:
    """Truth files of one world, read when asked for, keyed by what scores know."""

    def __init__(self, folder: Path, accounts: pd.DataFrame) -> None:
        self._folder = folder
        opened = day_numbers(days(accounts, "opened_date"))
        closed = np.isfinite(day_numbers(days(accounts, "closed_date")))
        order = np.lexsort((-opened, closed))
        latest = accounts.iloc[order].drop_duplicates("customer_id")
        self._account = pd.Series(texts(latest, "account_id"), index=texts(latest, "customer_id"))

    def read(self, name: str) -> pd.DataFrame:
        return from_arrow(pq.ParquetFile(self._folder / f"{name}.parquet").read())

    def by_account(self, name: str, customers: npt.ArrayLike) -> pd.DataFrame:
        """A truth table with one row an account, in the order of ``customers``; missing rows are null."""
        table = self.read(name).drop_duplicates("account_no").set_index("account_no")
        account = self._account.reindex(np.asarray(customers, dtype=object)).fillna("")
        return table.reindex(account.to_numpy(dtype=object)).reset_index(drop=True)

    def account_of(self, customers: npt.ArrayLike) -> npt.NDArray[np.object_]:
        return self._account.reindex(np.asarray(customers, dtype=object)).fillna("").to_numpy(dtype=object)


Measure = tuple[str, float, float, int]


def _rank(a: Floats, b: Floats) -> float:
    return float(spearmanr(a, b).statistic) if len(a) > 2 else float("nan")


def _non_payment(table: pd.DataFrame, truth: _Truth) -> list[Measure]:
    ids = texts(table, "subject_id")
    true = numbers(truth.by_account("nonpayment", ids), "p_late_30")
    p = numbers(table, "p_30dpd")
    good = np.isfinite(true) & np.isfinite(p)
    base = np.full(int(good.sum()), true[good].mean() if good.any() else 0.0)
    kind = texts(truth.by_account("household", ids), "payment_type")
    segment = texts(table, "payment_segment")
    said = {
        "forgot": "forgot",
        "cash_flow": "cash_flow",
        "hardship": "hardship",
        "disputer": "dispute",
        "prompt": "none",
    }
    right = np.array([said.get(k, "?") for k in kind], dtype=object) == segment
    known = kind != ""
    commonest = max((float((kind[known] == k).mean()) for k in np.unique(kind[known])), default=float("nan"))
    return [
        ("p_30dpd_rank_correlation", _rank(p[good], true[good]), 0.0, int(good.sum())),
        (
            "p_30dpd_mean_abs_gap",
            float(np.abs(p[good] - true[good]).mean()),
            float(np.abs(base - true[good]).mean()),
            int(good.sum()),
        ),
        ("payment_segment_accuracy", float(right[known].mean()), commonest, int(known.sum())),
    ]


def _customer_value(table: pd.DataFrame, truth: _Truth) -> list[Measure]:
    found = truth.by_account("clv", texts(table, "subject_id"))
    rows: list[Measure] = []
    for months in (12, 60):
        true, value = numbers(found, f"expected_margin_{months}m_usd"), numbers(table, f"clv_{months}m_usd")
        good = np.isfinite(true) & np.isfinite(value)
        t, v = true[good], value[good]
        n = len(t)
        rows.append((f"clv_{months}m_rank_correlation", _rank(v, t), 0.0, n))
        flat = np.full(n, np.median(t) if n else 0.0)
        rows.append(
            (
                f"clv_{months}m_median_abs_pct",
                float(100 * np.median(np.abs(v / t - 1))),
                float(100 * np.median(np.abs(flat / t - 1))),
                n,
            )
        )
        rows.append(
            (f"clv_{months}m_total_bias_pct", float(100 * (v.sum() / max(t.sum(), 1e-9) - 1)), 0.0, n)
        )
    return rows


def _decline(table: pd.DataFrame, truth: _Truth) -> list[Measure]:
    household = truth.by_account("household", texts(table, "subject_id"))
    cause, said = texts(household, "decline_cause"), texts(table, "cause_code")
    true_pct, pct = numbers(household, "true_decline_pct"), numbers(table, "decline_pct", 0.0)
    known = cause != ""
    rows: list[Measure] = []
    quiet = known & (cause == "none")
    rows.append(("false_alarm_share", float((said[quiet] != "none").mean()), 0.0, int(quiet.sum())))
    for name in ("solar", "efficiency", "absent", "moved_out"):
        here = known & (cause == name)
        if here.any():
            rows.append((f"caught_{name}", float((said[here] != "none").mean()), 0.0, int(here.sum())))
            rows.append((f"named_{name}", float((said[here] == name).mean()), 0.0, int(here.sum())))
    lasting = known & np.isin(cause, ["solar", "efficiency"]) & (said != "none")
    if lasting.any():
        gap = float(np.abs(pct[lasting] - true_pct[lasting]).mean())
        rows.append(
            ("decline_pct_mean_abs_gap", gap, float(np.abs(true_pct[lasting]).mean()), int(lasting.sum()))
        )
    return rows


def _segments(table: pd.DataFrame, truth: _Truth) -> list[Measure]:
    household = truth.by_account("household", texts(table, "subject_id"))
    shape, pattern = texts(table, "load_shape_segment"), texts(household, "archetype")
    good = (shape != "") & (pattern != "")
    return [
        (
            "load_shape_mutual_information",
            float(adjusted_mutual_info_score(pattern[good], shape[good])),
            0.0,
            int(good.sum()),
        )
    ]


def _cube(
    frame: pd.DataFrame, key: npt.NDArray[np.object_], value: str, ids: npt.NDArray[np.object_]
) -> Floats:
    """ids × 2 weekday types × 48 slots of ``value``, NaN where there is no row."""
    known, first = np.unique(ids.astype(str), return_inverse=True)
    at = pd.Index(known).get_indexer(pd.Index(key))
    weekend = (texts(frame, "day_type") == "weekend").astype(np.int64)
    slot = numbers(frame, "slot")
    good = (at >= 0) & np.isfinite(slot)
    cube = np.full((len(known), 2, SLOTS), np.nan)
    cube[at[good], weekend[good], slot[good].astype(np.int64)] = numbers(frame, value)[good]
    return cube[first]


def _at_home(table: pd.DataFrame, truth: _Truth) -> list[Measure]:
    occupancy = truth.read("occupancy")
    premises = np.unique(texts(table, "subject_id").astype(str)).astype(object)
    p = _cube(table, texts(table, "subject_id"), "p_home", premises)
    true = _cube(occupancy, "P" + texts(occupancy, "premise_no"), "p_home", premises)
    rows: list[Measure] = []
    for name, part in (("", slice(0, SLOTS)), ("_0800_2100", slice(16, 42))):
        a, b = p[:, :, part].ravel(), true[:, :, part].ravel()
        good = np.isfinite(a) & np.isfinite(b)
        a, b = a[good], b[good]
        usually = (b > 0.5).astype(np.float64)
        n = len(a)
        rows.append(
            (f"gap_to_truth_rms{name}", float(np.sqrt(brier(b, a))), float(np.sqrt(brier(b, np.ones(n)))), n)
        )
        rows.append((f"mcc{name}", mcc(usually, (a > 0.5).astype(np.float64)), mcc(usually, np.ones(n)), n))
        hit, always = float(np.mean((a > 0.5) == (usually > 0.5))), float(usually.mean())
        rows.append((f"accuracy{name}", hit, always, n))
    return rows


def _contact(table: pd.DataFrame, truth: _Truth) -> list[Measure]:
    ids = np.unique(texts(table, "subject_id").astype(str)).astype(object)
    found = truth.read("contact")
    p = _cube(table, texts(table, "subject_id"), "p_contact", ids)
    true = _cube(found, texts(found, "account_no"), "p_right_party", truth.account_of(ids))
    good = np.isfinite(p) & np.isfinite(true)
    seen = np.maximum(good.sum(axis=0), 1)
    hour = (np.where(good, p, 0.0).sum(axis=0) / seen)[None, :, :] * np.ones_like(p)
    a, b, h = p[good], true[good], hour[good]
    both = good.all(axis=(1, 2)) | good.any(axis=(1, 2))
    rows = [
        ("p_contact_rank_correlation", _rank(a, b), _rank(h, b), len(a)),
        ("p_contact_mean_abs_gap", float(np.abs(a - b).mean()), float(np.abs(h - b).mean()), len(a)),
    ]
    weekday_p, weekday_true = np.where(good, p, -1.0)[both, 0], np.where(good, true, 0.0)[both, 0]
    best_hour = int(np.where(good, p, 0.0)[both, 0].mean(axis=0).argmax())
    chosen = weekday_true[np.arange(len(weekday_p)), weekday_p.argmax(axis=1)]
    rows.append(
        (
            "true_contact_in_best_slot",
            float(chosen.mean()),
            float(weekday_true[:, best_hour].mean()),
            len(weekday_p),
        )
    )
    return rows


def _call_plan(table: pd.DataFrame, truth: _Truth) -> list[Measure]:
    ids = texts(table, "subject_id")
    found = truth.read("contact")
    true = _cube(found, texts(found, "account_no"), "p_right_party", truth.account_of(ids))
    weekend = int(pd.Timestamp(table["call_date"].iloc[0]).weekday() >= 5)
    slot = numbers(table, "slot").astype(np.int64)
    planned = true[np.arange(len(ids)), weekend, slot]
    usual = np.nanmean(true[:, weekend, 16:42], axis=1)
    good = np.isfinite(planned) & np.isfinite(usual)
    return [("true_contact_share", float(planned[good].mean()), float(usual[good].mean()), int(good.sum()))]


def _treatment(table: pd.DataFrame, truth: _Truth) -> list[Measure]:
    offers = table[texts(table, "offer_id") != ""]
    if not len(offers):
        return []
    person = texts(truth.by_account("household", texts(offers, "subject_id")), "person_id")
    response = truth.read("response")
    response = response[texts(response, "channel") == "email"]
    response = response.assign(
        uplift=numbers(response, "p_response_treated") - numbers(response, "p_response_control")
    ).drop_duplicates(["person_id", "offer_id"])
    wide = response.pivot(index="person_id", columns="offer_id", values="uplift").reindex(person)
    made = texts(offers, "offer_id")
    column = wide.columns.get_indexer(pd.Index(made))
    value = wide.to_numpy(dtype=np.float64)
    chosen = np.where(column >= 0, value[np.arange(len(made)), np.maximum(column, 0)], np.nan)
    # Like for like: the same offers made to anybody.
    anybody = response.groupby("offer_id")["uplift"].mean().reindex(made).to_numpy(dtype=np.float64)
    known = np.isfinite(chosen) & np.isfinite(anybody)
    return [
        ("true_uplift_of_offers", float(chosen[known].mean()), float(anybody[known].mean()), int(known.sum()))
    ]


_JUDGES: dict[str, Callable[[pd.DataFrame, _Truth], list[Measure]]] = {
    "non_payment": _non_payment,
    "customer_value": _customer_value,
    "decline": _decline,
    "segments": _segments,
    "at_home": _at_home,
    "contact": _contact,
    "call_plan": _call_plan,
    "treatment": _treatment,
}
