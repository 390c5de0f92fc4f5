"""Synthetic use of energy, calls and campaigns for `support.make`: weather, daily reads, half-hour sums,
responses.

Each function adds frames and truth to a world that already has its customers; causes are drawn by array.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tests.orchestration.scoring.support_dates import as_dates

if TYPE_CHECKING:
    from tests.orchestration.scoring.support import Synthetic


def add_weather(made: Synthetic, days: int, end: date) -> None:
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


def add_daily(made: Synthetic, rng: np.random.Generator, days: int, end: date, closed: np.ndarray) -> None:
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
    acc["closed_date"], acc["is_active"] = as_dates(close_day), np.isnan(close_day)
    acc["close_reason"] = np.where(moved, "MO", made.truth["reason"])
    c360["has_ended"], c360["ended_date"] = ~np.isnan(close_day), as_dates(close_day)
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


def add_slots(made: Synthetic, rng: np.random.Generator, days: int, end: date, consent: np.ndarray) -> None:
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


def add_calls(made: Synthetic, rng: np.random.Generator, end: date) -> None:
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


def add_campaigns(made: Synthetic, rng: np.random.Generator, end: date) -> None:
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
