"""Synthetic published models with known causes, for testing scores: one customer has one account and one
meter.

Everything is drawn by array over customers. `make` returns the frames a score reads and, apart from them,
the truth.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pandas as pd

from orchestration.scoring import ScoreContext
from tests.orchestration.scoring.support_dates import as_dates
from tests.orchestration.scoring.support_use import (
    add_calls,
    add_campaigns,
    add_daily,
    add_slots,
    add_weather,
)

END = date(2026, 11, 15)


@dataclass
class Synthetic:
    frames: dict[str, pd.DataFrame]
    truth: dict[str, np.ndarray]
    ctx: ScoreContext
    extra: dict[str, pd.DataFrame] = field(default_factory=dict)


def _bills(rng, n, ids, kind, opened, closed, kwh_day, end, closed_bills_only=True):
    """24 monthly bills a customer, with lateness by payment type and point-in-time features."""
    months = 24
    p_30 = np.select([kind == "hardship", kind == "cash_flow", kind == "forgot"], [0.35, 0.16, 0.03], 0.004)
    p_late = np.select([kind == "hardship", kind == "cash_flow", kind == "forgot"], [0.55, 0.5, 0.22], 0.02)
    rows, state = [], {k: np.zeros(n) for k in ("n", "late", "days", "last", "sum", "open", "returned")}
    history = np.zeros((n, months))
    for m in range(months):
        due = end - 30.44 * (months - 1 - m) - 5
        start, stop, issued = due - 51, due - 21, due - 20
        live = (opened <= start) & ~(closed < stop)
        season = 1 + 0.35 * np.cos(2 * np.pi * (m % 12) / 12)
        kwh = kwh_day * season * 30 * rng.lognormal(0, 0.08, n)
        amount = np.round(9 + 0.16 * kwh, 2)
        mean = np.where(state["n"] > 0, state["sum"] / np.maximum(state["n"], 1), np.nan)
        ratio = amount / mean
        shock = np.where(np.isfinite(ratio), np.clip(ratio - 1.2, 0, 1) * 0.4, 0)
        u = rng.random(n)
        is_30 = u < np.clip(p_30 + shock * (kind == "cash_flow"), 0, 0.9)
        late = is_30 | (rng.random(n) < p_late)
        days_late = np.where(
            is_30, rng.integers(31, 120, n), np.where(late, rng.integers(3, 25, n), 0)
        ).astype(float)
        never = is_30 & (kind == "hardship") & (rng.random(n) < 0.25)
        paid = np.where(never, np.nan, np.floor(due) + days_late)
        rows.append(
            pd.DataFrame(
                {
                    "bill_id": [f"B{m:02d}{i:06d}" for i in range(n)],
                    "account_id": ids["account"],
                    "customer_id": ids["customer"],
                    "_live": live,
                    "_start": np.floor(start),
                    "_stop": np.floor(stop),
                    "_issued": np.floor(issued),
                    "_due": np.floor(due),
                    "billed_kwh": kwh,
                    "amount_usd": amount,
                    "_paid": paid,
                    "n_prior_bills": state["n"].copy(),
                    "amount_ratio": ratio,
                    "prior_late_share": state["late"] / np.maximum(state["n"], 1),
                    "prior_30dpd_count_12m": history[:, max(0, m - 13) : max(0, m - 1)].sum(axis=1),
                    "prior_avg_days_late": state["days"] / np.maximum(state["n"], 1),
                    "last_days_late": state["last"].copy(),
                    "prior_returned_count": state["returned"].copy(),
                    "open_usd_at_issue": state["open"].copy(),
                    "is_30dpd": is_30.astype(float),
                    "tenure_days": due - opened,
                    "days_late": days_late,
                }
            )
        )
        history[:, m] = is_30 & live
        # What is known when the next bill is prepared: a bill this fresh counts as late, not yet as 30 days
        # late.
        state["n"] += live
        state["late"] += late & live
        state["days"] += np.minimum(days_late, 28) * live
        state["last"] = np.where(live, np.minimum(days_late, 28), state["last"])
        state["sum"] += amount * live
        state["open"] = np.where(is_30 & live, amount, 0)
        state["returned"] += live & late & (rng.random(n) < 0.1)
    return pd.concat(rows, ignore_index=True)


def make(n: int = 600, days: int = 91, seed: int = 1, end: date = END) -> Synthetic:
    """All frames and the truth for ``n`` customers and ``days`` of reads up to ``end`` (inclusive)."""
    rng = np.random.default_rng(seed)
    end_day = float((end - date(1970, 1, 1)).days)
    number = np.arange(1, n + 1)
    ids = {
        "customer": np.array([f"C{i:012x}" for i in number * 7919], dtype=object),
        "account": np.array([f"{i:012d}" for i in number], dtype=object),
        "premise": np.array([f"P{i:010d}" for i in number], dtype=object),
        "sp": np.array([f"61{i:08d}" for i in number], dtype=object),
    }
    kind = rng.choice(
        ["prompt", "forgot", "cash_flow", "hardship", "disputer"], n, p=[0.6, 0.18, 0.12, 0.07, 0.03]
    )
    opened = np.floor(end_day - rng.exponential(1600, n).clip(40, 5000))
    contract = rng.random(n) < 0.5
    hazard = np.where(contract, 0.004, 0.014) * np.where(kind == "cash_flow", 2.0, 1.0)
    switch = end_day - 720 + rng.exponential(30.44 / hazard, n)
    switch = np.where(switch < opened + 60, np.nan, switch)
    move = end_day - 720 + rng.exponential(30.44 / 0.006, n)
    move = np.where(move < opened + 60, np.nan, move)
    closed = np.floor(np.fmin(switch, move))
    closed = np.where(closed <= end_day, closed, np.nan)
    reason = np.where(np.isnan(closed), None, np.where(np.floor(switch) == closed, "SW", "MO"))
    kwh_day = rng.lognormal(np.log(22), 0.45, n)
    bills = _bills(rng, n, ids, kind, opened, closed, kwh_day, end_day)
    frames: dict[str, pd.DataFrame] = {}
    method = rng.choice(["DD", "CA", "CK", "ON"], n)
    paperless = rng.random(n) < 0.5
    live = bills["_live"].to_numpy()
    known_30 = bills["_due"] + 30 <= end_day
    paid = bills["_paid"].where(bills["_paid"] <= end_day)
    bill_ok = live & (bills["_issued"] <= end_day).to_numpy()
    fct_bill = pd.DataFrame(
        {
            "bill_id": bills.bill_id,
            "account_id": bills.account_id,
            "customer_id": bills.customer_id,
            "period_start_date": as_dates(bills._start.to_numpy()),
            "period_end_date": as_dates(bills._stop.to_numpy()),
            "issued_date": as_dates(bills._issued.to_numpy()),
            "due_date": as_dates(bills._due.to_numpy()),
            "billed_kwh": bills.billed_kwh,
            "amount_usd": bills.amount_usd,
            "read_type": "A",
            "is_reversed": False,
            "paid_date": as_dates(paid.to_numpy()),
            "open_usd": np.where(paid.isna(), bills.amount_usd, 0.0),
            "days_late": bills.days_late,
            "is_30dpd": bills.is_30dpd.where(known_30).map({1.0: True, 0.0: False}),
        }
    )
    frames["fct_bill"] = fct_bill[bill_ok].reset_index(drop=True)
    tiled = {"payment_method": np.tile(method, 24), "is_paperless": np.tile(paperless, 24)}
    frames["fct_bill_features"] = (
        bills[
            [
                "bill_id",
                "account_id",
                "customer_id",
                "amount_usd",
                "amount_ratio",
                "n_prior_bills",
                "prior_late_share",
                "prior_30dpd_count_12m",
                "prior_avg_days_late",
                "last_days_late",
                "prior_returned_count",
                "open_usd_at_issue",
                "tenure_days",
            ]
        ]
        .assign(
            due_date=as_dates(bills._due.to_numpy()),
            has_plan=False,
            is_30dpd=bills.is_30dpd.where(known_30),
            **tiled,
        )[bill_ok]
        .reset_index(drop=True)
    )
    recent = bills[bill_ok & (bills._due > end_day - 365)]
    by = recent.groupby("customer_id", sort=False)
    summary = (
        pd.DataFrame(
            {
                "bills_12m": by.size(),
                "billed_12m_usd": by.amount_usd.sum(),
                "billed_12m_kwh": by.billed_kwh.sum(),
                "late_bills_12m": by.days_late.agg(lambda s: float((s > 0).sum())),
                "avg_days_late_12m": by.days_late.mean(),
            }
        )
        .reindex(ids["customer"])
        .fillna(0.0)
        .reset_index(drop=True)
    )
    open_ = frames["fct_bill"][
        (frames["fct_bill"].open_usd > 0) & (frames["fct_bill"].due_date < pd.Timestamp(end))
    ]
    arrears = open_.groupby("customer_id").open_usd.sum().reindex(ids["customer"]).fillna(0.0).to_numpy()
    oldest = open_.groupby("customer_id").due_date.min().reindex(ids["customer"])
    past_due = (pd.Timestamp(end) - oldest).dt.days.fillna(0).to_numpy().astype(float)
    protected = rng.random(n)
    ended = ~np.isnan(closed)
    interval_consent = rng.random(n) < 0.7
    contract_end = np.where(contract, end_day + rng.integers(-20, 700, n), np.nan)
    frames["customer_360"] = pd.DataFrame(
        {
            "customer_id": ids["customer"],
            "full_name": "Pat Example",
            "given_name": "Pat",
            "surname": "Example",
            "name_kind": "P",
            "primary_phone_e164": np.where(rng.random(n) < 0.95, "+16085550100", None),
            "email": np.where(rng.random(n) < 0.8, "pat@example.org", None),
            "language": rng.choice(["EN", "ES"], n, p=[0.85, 0.15]),
            "time_zone": "America/Chicago",
            "primary_account_id": ids["account"],
            "primary_premise_id": ids["premise"],
            "primary_service_point_id": ids["sp"],
            "since_date": as_dates(opened),
            "tenure_months": (end_day - opened) / 30.44,
            "tariff_code": "STD01",
            "contract_end_date": as_dates(contract_end),
            "days_to_contract_end": contract_end - end_day,
            "payment_method": method,
            "is_paperless": paperless,
            "balance_usd": arrears,
            "arrears_usd": arrears,
            "days_past_due": past_due,
            "has_open_dispute": (kind == "disputer") & (rng.random(n) < 0.6),
            "has_active_plan": rng.random(n) < 0.01,
            "is_do_not_call": rng.random(n) < 0.02,
            "has_refused_collections_letter": rng.random(n) < 0.02,
            "is_medical": protected < 0.04,
            "is_vulnerable": (protected > 0.04) & (protected < 0.08),
            "is_deceased": protected > 0.995,
            "is_bankrupt": (protected > 0.985) & (protected < 0.99),
            "is_do_not_contact": (protected > 0.96) & (protected < 0.985),
            "is_priority": protected < 0.08,
            "returned_payments_12m": 0.0,
            "usage_30d_kwh": kwh_day * 30,
            "usage_prev_30d_kwh": kwh_day * 30,
            "n_outages_90d": 0,
            "outage_minutes_90d": 0,
            "n_interactions_90d": rng.poisson(0.4, n),
            "n_complaints_90d": rng.poisson(0.05, n),
            "last_contact_at": pd.NaT,
            "consent_marketing_email": rng.random(n) < 0.7,
            "consent_marketing_phone": rng.random(n) < 0.5,
            "consent_marketing_letter": rng.random(n) < 0.6,
            "consent_collections_phone": rng.random(n) < 0.85,
            "consent_profiling_interval": interval_consent,
            "consent_version": "2026-08",
            "has_ended": ended,
            "end_reason": reason,
            "ended_date": as_dates(closed),
            "n_active_accounts": (~ended).astype(int),
            **{c: summary[c] for c in summary},
        }
    )
    frames["dim_account"] = pd.DataFrame(
        {
            "account_id": ids["account"],
            "customer_id": ids["customer"],
            "cis_customer_no": [f"{i:010d}" for i in number],
            "premise_id": ids["premise"],
            "service_point_id": ids["sp"],
            "tariff_code": "STD01",
            "opened_date": as_dates(opened),
            "closed_date": as_dates(closed),
            "close_reason": reason,
            "contract_end_date": as_dates(contract_end),
            "payment_method": method,
            "is_paperless": paperless,
            "is_active": ~ended,
        }
    )
    frames["dim_service_point"] = pd.DataFrame(
        {
            "service_point_id": ids["sp"],
            "premise_id": ids["premise"],
            "account_id": ids["account"],
            "customer_id": ids["customer"],
            "tariff_code": "STD01",
            "has_export": False,
        }
    )
    frames["dim_premise"] = pd.DataFrame(
        {
            "premise_id": ids["premise"],
            "weather_station": rng.choice(["WX1", "WX2"], n),
            "dwelling": "H",
            "time_zone": "America/Chicago",
        }
    )
    frames["dim_tariff"] = pd.DataFrame(
        {
            "tariff_code": ["STD01"],
            "tariff_name": ["Flat"],
            "daily_charge_usd": [0.62],
            "avg_usd_per_kwh": [0.148],
        }
    )
    truth: dict[str, np.ndarray] = {
        "kind": kind,
        "closed": closed,
        "reason": reason,
        "hazard": hazard,
        "kwh_day": kwh_day,
        "contract": contract,
    }
    ctx = ScoreContext(as_of_date=end)
    made = Synthetic(frames, truth, ctx)
    add_weather(made, days, end)
    add_daily(made, rng, days, end, closed)
    add_slots(made, rng, days, end, interval_consent)
    add_calls(made, rng, end)
    add_campaigns(made, rng, end)
    return made
