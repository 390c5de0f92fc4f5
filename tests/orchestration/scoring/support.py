"""Synthetic published models with known causes, for testing scores: one customer has one account and one
meter.

Everything is drawn by array over customers. `make` returns the frames a score reads and, apart from them,
the truth.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import pandas as pd

from orchestration.scoring import ScoreContext

END = date(2026, 11, 15)
ORIGIN = np.datetime64("1970-01-01")


@dataclass
class Synthetic:
    frames: dict[str, pd.DataFrame]
    truth: dict[str, np.ndarray]
    ctx: ScoreContext
    extra: dict[str, pd.DataFrame] = field(default_factory=dict)


def _dates(day_numbers: np.ndarray) -> pd.Series:
    values = np.full(len(day_numbers), np.datetime64("NaT", "D"))
    good = np.isfinite(day_numbers)
    values[good] = ORIGIN + day_numbers[good].astype("timedelta64[D]")
    return pd.Series(values.astype("datetime64[s]"))


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
            "period_start_date": _dates(bills._start.to_numpy()),
            "period_end_date": _dates(bills._stop.to_numpy()),
            "issued_date": _dates(bills._issued.to_numpy()),
            "due_date": _dates(bills._due.to_numpy()),
            "billed_kwh": bills.billed_kwh,
            "amount_usd": bills.amount_usd,
            "read_type": "A",
            "is_reversed": False,
            "paid_date": _dates(paid.to_numpy()),
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
            due_date=_dates(bills._due.to_numpy()),
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
            "since_date": _dates(opened),
            "tenure_months": (end_day - opened) / 30.44,
            "tariff_code": "STD01",
            "contract_end_date": _dates(contract_end),
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
            "ended_date": _dates(closed),
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
            "opened_date": _dates(opened),
            "closed_date": _dates(closed),
            "close_reason": reason,
            "contract_end_date": _dates(contract_end),
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
    _weather(made, days, end)
    _daily(made, rng, days, end, closed)
    _slots(made, rng, days, end, interval_consent)
    _calls(made, rng, end)
    _campaigns(made, rng, end)
    return made


def _weather(made: Synthetic, days: int, end: date) -> None:
    rng = np.random.default_rng(7)
    day = np.arange(days)
    rows = []
    for station in ("WX1", "WX2"):
        temperature = 24 - 24 * day / max(days - 1, 1) * min(1.0, days / 91) + rng.normal(0, 3.5, days)
        if days > 200:
            temperature = 9 + 15 * np.cos(2 * np.pi * (day - days + 120) / 365) + rng.normal(0, 3.5, days)
        rows.append(
            pd.DataFrame(
                {
                    "weather_station": station,
                    "weather_date": [end - timedelta(days=int(days - 1 - d)) for d in day],
                    "mean_temp_c": temperature,
                    "hdd18": np.maximum(18 - temperature, 0),
                    "cdd18": np.maximum(temperature - 18, 0),
                }
            )
        )
    made.frames["fct_weather_daily"] = pd.concat(rows, ignore_index=True)


def _daily(made: Synthetic, rng: np.random.Generator, days: int, end: date, closed: np.ndarray) -> None:
    """Daily use with a cause of decline for one meter in three, placed in the second half of the window."""
    n = len(made.truth["kind"])
    cause = rng.choice(
        ["none", "solar", "moved_out", "absent", "efficiency"], n, p=[0.68, 0.1, 0.06, 0.08, 0.08]
    )
    start = rng.integers(int(days * 0.45), int(days * 0.7), n)
    end_day = float((end - date(1970, 1, 1)).days)
    first = end_day - days + 1
    moved = (cause == "moved_out") & np.isnan(closed)
    acc, c360 = made.frames["dim_account"], made.frames["customer_360"]
    close_day = np.where(moved, first + start + 3, closed)
    cause = np.where((cause == "moved_out") & ~moved, "none", cause)
    early = ~np.isnan(closed) & (closed < end_day - 5)
    acc["closed_date"], acc["is_active"] = _dates(close_day), np.isnan(close_day)
    acc["close_reason"] = np.where(moved, "MO", made.truth["reason"])
    c360["has_ended"], c360["ended_date"] = ~np.isnan(close_day), _dates(close_day)
    c360["n_active_accounts"] = np.isnan(close_day).astype(int)
    w = made.frames["fct_weather_daily"]
    station = made.frames["dim_premise"]["weather_station"].to_numpy()
    hdd = np.stack([w.loc[w.weather_station == s, "hdd18"].to_numpy() for s in ("WX1", "WX2")])
    cdd = np.stack([w.loc[w.weather_station == s, "cdd18"].to_numpy() for s in ("WX1", "WX2")])
    which = (station == "WX2").astype(int)
    heat = rng.choice([0.0, 0.05], n, p=[0.7, 0.3])
    base = made.truth["kwh_day"]
    expected = base[:, None] * (0.8 + heat[:, None] * hdd[which] + 0.03 * cdd[which])
    day = np.arange(days)[None, :]
    after = day >= start[:, None]
    factor = np.ones((n, days))
    drop = rng.uniform(0.55, 0.75, n)
    factor = np.where(after & (cause == "solar")[:, None], drop[:, None], factor)
    factor = np.where(after & (cause == "efficiency")[:, None], drop[:, None], factor)
    factor = np.where(after & (cause == "moved_out")[:, None], 0.03, factor)
    away = after & (day < start[:, None] + 18)
    factor = np.where(away & (cause == "absent")[:, None], 0.08, factor)
    use = expected * factor * rng.lognormal(0, 0.14, (n, days))
    export = np.where(after & (cause == "solar")[:, None], base[:, None] * 0.3 * rng.random((n, days)), 0.0)
    dead = (first + day) > np.where(early, closed, np.inf)[:, None]
    keep = ~dead.ravel() & (rng.random(n * days) > 0.01)
    dates = np.array([end - timedelta(days=int(days - 1 - d)) for d in range(days)], dtype=object)
    made.frames["fct_usage_daily"] = pd.DataFrame(
        {
            "service_point_id": np.repeat(
                made.frames["dim_service_point"]["service_point_id"].to_numpy(), days
            ),
            "usage_date": np.tile(dates, n),
            "import_kwh": use.ravel(),
            "export_kwh": export.ravel(),
            "n_intervals": 96,
            "n_expected": 96,
            "n_missing": 0,
            "peak_kwh": use.ravel() * 0.06 * rng.lognormal(0, 0.2, use.size),
            "night_kwh": use.ravel() * 0.15,
        }
    )[keep].reset_index(drop=True)
    made.truth.update(
        cause=np.where(early, "closed", cause), change=start, drop=np.where(cause == "none", 0, 1 - drop)
    )


def _slots(made: Synthetic, rng: np.random.Generator, days: int, end: date, consent: np.ndarray) -> None:
    """Half-hour sums by week from occupancy: workers away on weekdays, homeworkers in, night workers
    asleep."""
    n = len(made.truth["kind"])
    pattern = rng.choice(["worker", "home", "evening", "night_ev"], n, p=[0.4, 0.3, 0.15, 0.15])
    slot = np.arange(48)
    home = {
        "worker": (np.where((slot >= 16) & (slot < 35), 0.06, 0.93), np.full(48, 0.75)),
        "home": (np.full(48, 0.9), np.full(48, 0.85)),
        "evening": (
            np.where((slot >= 24) & (slot < 46), 0.08, 0.9),
            np.where((slot >= 24) & (slot < 46), 0.3, 0.9),
        ),
        "night_ev": (np.where((slot >= 16) & (slot < 35), 0.15, 0.92), np.full(48, 0.7)),
    }
    awake = np.where((slot >= 13) & (slot < 46), 1.0, 0.06)
    rhythm = 0.5 + 0.5 * np.exp(-((slot - 38) ** 2) / 30) + 0.3 * np.exp(-((slot - 15) ** 2) / 8)
    p_home = np.stack(
        [np.stack([home[k][d] for k in ("worker", "home", "evening", "night_ev")]) for d in (0, 1)], axis=1
    )
    which = np.array([["worker", "home", "evening", "night_ev"].index(k) for k in pattern])
    truth_home = np.clip(p_home[which] + rng.normal(0, 0.05, (n, 2, 1)), 0.02, 0.98)  # n × 2 × 48
    made.truth.update(pattern=pattern, p_home=truth_home)
    level = made.truth["kwh_day"] / 48
    weeks = days // 7
    monday = end - timedelta(days=end.weekday())
    frames = []
    for week in range(weeks):
        for d, (day_type, n_days) in enumerate((("weekday", 5), ("weekend", 2))):
            occupied = rng.binomial(n_days, truth_home[:, d]) / n_days
            activity = occupied * awake * rhythm * 1.6
            mean = level[:, None] * (0.45 + activity) * rng.lognormal(0, 0.12, (n, 48))
            ev = (pattern == "night_ev")[:, None] & (slot >= 4) & (slot < 9)
            mean = mean + np.where(ev, 1.9, 0.0)
            spread = level[:, None] * (0.06 + 0.55 * activity) * rng.lognormal(0, 0.2, (n, 48))
            frames.append(
                pd.DataFrame(
                    {
                        "service_point_id": np.repeat(
                            made.frames["dim_service_point"]["service_point_id"].to_numpy(), 48
                        ),
                        "week_start_date": monday - timedelta(days=7 * (weeks - 1 - week) + 7),
                        "day_type": day_type,
                        "slot": np.tile(slot, n),
                        "n_half_hours": n_days,
                        "sum_kwh": (mean * n_days).ravel(),
                        "sum_sq_kwh": ((mean**2 + spread**2) * n_days).ravel(),
                        "sum_range_kwh": (spread * n_days).ravel(),
                    }
                )
            )
    made.frames["fct_usage_slot"] = pd.concat(frames, ignore_index=True)
    # Appliances started by hand in one consenting home in four: only when somebody is there and awake.
    han = consent & (rng.random(n) < 0.3)
    rows = rng.choice(np.flatnonzero(han), 60 * max(int(han.sum()), 1))
    day = rng.integers(0, days, len(rows))
    when = [end - timedelta(days=int(x)) for x in day]
    d = np.array([int(x.weekday() >= 5) for x in when])
    s = rng.integers(0, 48, len(rows))
    ok = rng.random(len(rows)) < truth_home[rows, d, s] * awake[s]
    made.frames["fct_appliance_event"] = pd.DataFrame(
        {
            "service_point_id": made.frames["dim_service_point"]["service_point_id"].to_numpy()[rows],
            "appliance": "oven",
            "event": "manual_start",
            "local_date": when,
            "local_slot": s,
            "day_type": np.where(d == 1, "weekend", "weekday"),
            "occurred_at": pd.to_datetime(when, utc=True),
        }
    )[ok].reset_index(drop=True)
    made.frames["fct_appliance_use"] = pd.DataFrame(
        {
            "service_point_id": pd.Series([], dtype=object),
            "appliance": pd.Series([], dtype=object),
            "local_date": pd.Series([], dtype=object),
            "local_slot": pd.Series([], dtype=float),
            "day_type": pd.Series([], dtype=object),
            "energy_kwh": pd.Series([], dtype=float),
        }
    )


def _calls(made: Synthetic, rng: np.random.Generator, end: date) -> None:
    """90 days of calls at slots that do not depend on the customer; answered by being there and by
    temperament."""
    n = len(made.truth["kind"])
    calls = n * 6
    who, ago = rng.integers(0, n, calls), rng.integers(1, 90, calls)
    when = [end - timedelta(days=int(a)) for a in ago]
    d = np.array([int(x.weekday() >= 5) for x in when])
    slot = rng.integers(16, 42, calls)
    temper = rng.normal(0, 0.7, n)
    home = made.truth["p_home"]
    p = 1 / (1 + np.exp(-(-2.6 + 3.2 * home[who, d, slot] + temper[who])))
    right = rng.random(calls) < p
    made.truth["temper"] = temper
    order = np.argsort(-ago, kind="stable")
    frame = pd.DataFrame(
        {
            "call_id": [f"K{i:07d}" for i in range(calls)],
            "customer_id": made.frames["customer_360"]["customer_id"].to_numpy()[who],
            "account_id": made.frames["dim_account"]["account_id"].to_numpy()[who],
            "dialed_at": pd.to_datetime(when, utc=True) + pd.to_timedelta(slot * 30 + 360, unit="min"),
            "local_date": when,
            "local_slot": slot,
            "day_type": np.where(d == 1, "weekend", "weekday"),
            "disposition": np.where(
                right, "answered_rpc", rng.choice(["no_answer", "voicemail", "busy"], calls)
            ),
            "is_right_party": right,
            "is_contact": right,
            "talk_seconds": np.where(right, 180, 0),
            "attempt_no": 1,
            "is_random_slot": True,
            "call_key": None,
        }
    )
    made.frames["fct_call"] = frame.iloc[order].reset_index(drop=True)


def _campaigns(made: Synthetic, rng: np.random.Generator, end: date) -> None:
    """Three randomised campaigns; big users respond to efficiency, the paperless to e-mail, few without
    treatment."""
    customers = made.frames["customer_360"]
    n = len(customers)
    rows = []
    for c, offer in enumerate(("tou_tariff", "energy_audit", "ev_tariff")):
        treated = rng.random(n) < 0.6
        eta = -2.6 + 0.9 * np.log(made.truth["kwh_day"] / 22) * (2 if offer == "energy_audit" else 1)
        eta = eta + 1.0 * customers["is_paperless"].to_numpy()
        p = 1 / (1 + np.exp(-np.where(treated, eta, -4.0)))
        answered = rng.random(n) < p
        rows.append(
            pd.DataFrame(
                {
                    "campaign_id": f"CMP{c}",
                    "customer_id": customers["customer_id"],
                    "arm": np.where(treated, "treatment", "control"),
                    "assignment_probability": np.where(treated, 0.6, 0.4),
                    "assigned_at": pd.Timestamp(end - timedelta(days=80 - 15 * c), tz="UTC"),
                    "has_responded": answered,
                    "response_value_usd": np.where(answered, 30.0, np.nan),
                    "offer_id": offer,
                    "channel": "email",
                }
            )
        )
    made.frames["fct_campaign_assignment"] = pd.concat(rows, ignore_index=True)
