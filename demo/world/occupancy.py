"""When somebody is at home: trips away by pattern of life, and the probabilities that follow exactly.

A household has up to three kinds of trips a day, each taken with a probability and with normal times of
leaving and coming back. So ``p_home`` of a slot is a product of normal distributions, not an estimate.
Belongs here: trips, sleep, their probabilities and their draws. Does not belong here: what people switch on
(usage.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from demo.world.clock import LocalDay
from demo.world.config import Bools, Floats, Ints, Streams
from demo.world.population import BUSINESS, Tenancies

ANY_WEEK, EVEN_WEEK, ODD_WEEK = -1, 0, 1

# pattern → trips of (p on weekdays, p at weekends, leaves at minute, ±, back at minute, ±, weeks)
_TRIPS: tuple[tuple[tuple[float, ...], ...], ...] = (
    (
        (0.88, 0.04, 480, 18, 1050, 28, -1),
        (0.22, 0.30, 1140, 30, 1290, 30, -1),
        (0.0, 0.60, 640, 60, 840, 70, -1),
    ),
    (
        (0.45, 0.35, 585, 40, 705, 40, -1),
        (0.28, 0.28, 850, 45, 980, 45, -1),
        (0.08, 0.14, 1110, 30, 1250, 30, -1),
    ),
    (
        (0.86, 0.22, 330, 10, 860, 18, 0),
        (0.86, 0.22, 800, 15, 1370, 18, 1),
        (0.18, 0.35, 610, 50, 760, 50, -1),
    ),
    (
        (0.72, 0.12, 570, 60, 900, 80, -1),
        (0.45, 0.58, 1170, 40, 1400, 25, -1),
        (0.05, 0.32, 730, 60, 960, 60, -1),
    ),
    (
        (0.82, 0.0, 465, 14, 930, 25, -1),
        (0.30, 0.20, 1005, 25, 1110, 25, -1),
        (0.0, 0.58, 610, 45, 800, 60, -1),
    ),
    (
        (0.86, 0.0, 485, 18, 1060, 30, -1),
        (0.18, 0.0, 1140, 30, 1280, 30, -1),
        (0.0, 0.66, -120, 1, 1560, 1, -1),
    ),
    ((1.0, 1.0, -120, 1, 480, 6, -1), (1.0, 1.0, 1080, 12, 1560, 1, -1), (0.0, 0.75, -120, 1, 1560, 1, -1)),
)
_WAKES = np.array([385, 410, 400, 530, 370, 395, -200])
_SLEEPS = np.array([1360, 1325, 1395, 1430, 1340, 1365, 2000])


@dataclass(frozen=True)
class Habits:
    """Trips and sleep of each tenancy; trips are tenancies × 3, times are minutes after local midnight."""

    p_weekday: Floats
    p_weekend: Floats
    out_at: Floats
    out_sd: Floats
    back_at: Floats
    back_sd: Floats
    weeks: Ints
    wakes_at: Floats
    sleeps_at: Floats


def make_habits(tenancies: Tenancies, streams: Streams) -> Habits:
    """Habits of each household: its pattern's, moved by what is its own."""
    draw = streams.get("habits")
    table = np.array(_TRIPS)[tenancies.pattern]
    t = len(tenancies)
    is_shop = (tenancies.pattern == BUSINESS)[:, None]
    shift = np.where(is_shop, 0, draw.normal(0, 24, (t, 3)))
    shift = np.where(table[:, :, 2] < 0, 0, shift)
    often = np.where(is_shop, 1.0, draw.uniform(0.75, 1.12, (t, 3)))
    return Habits(
        p_weekday=np.minimum(table[:, :, 0] * often, 1).astype(np.float32),
        p_weekend=np.minimum(table[:, :, 1] * often, 1).astype(np.float32),
        out_at=(table[:, :, 2] + shift).astype(np.float32),
        out_sd=table[:, :, 3].astype(np.float32),
        back_at=(table[:, :, 4] + shift + np.where(is_shop, 0, draw.normal(0, 12, (t, 3)))).astype(
            np.float32
        ),
        back_sd=table[:, :, 5].astype(np.float32),
        weeks=table[:, :, 6].astype(np.int64),
        wakes_at=(_WAKES[tenancies.pattern] + draw.normal(0, 22, t)).astype(np.float32),
        sleeps_at=(_SLEEPS[tenancies.pattern] + draw.normal(0, 25, t)).astype(np.float32),
    )


def p_home(habits: Habits, rows: Ints, *, is_weekend: bool) -> NDArray[np.float32]:
    """Probability that somebody is at home, tenancies × 48 local half-hours, over all weeks alike.

    Holidays and moves are not part of it: it is the recurring pattern. A slot's value is the mean of its two
    quarter-hours (taken in their middle).
    """
    middle = np.arange(96) * 15 + 7.5
    p_trip = (habits.p_weekend if is_weekend else habits.p_weekday)[rows]
    parity = habits.weeks[rows]
    result = np.zeros((len(rows), 96))
    for week in (EVEN_WEEK, ODD_WEEK):
        at_home = np.ones((len(rows), 96))
        for k in range(3):
            happens = np.where((parity[:, k] == ANY_WEEK) | (parity[:, k] == week), p_trip[:, k], 0.0)
            left = ndtr((middle - habits.out_at[rows, k, None]) / habits.out_sd[rows, k, None])
            still = 1 - ndtr((middle - habits.back_at[rows, k, None]) / habits.back_sd[rows, k, None])
            at_home *= 1 - happens[:, None] * left * still
        result += at_home / 2
    return result.reshape(len(rows), 48, 2).mean(axis=2).astype(np.float32)


@dataclass(frozen=True)
class Presence:
    """One day: tenancies × quarter-hours at home, and awake at home; the evening's return in minutes."""

    home: Bools
    awake: Bools
    returned_at: Floats
    """Local minute of the main trip's return; 18:00 for those who stayed."""


def draw_presence(
    habits: Habits, rows: Ints, day: LocalDay, is_absent: Bools, draw: np.random.Generator
) -> Presence:
    """The day that households really had: random trips by their habits; nobody is home when ``is_absent``."""
    n = len(rows)
    minute = (day.clock_quarter * 15 + 7.5).astype(np.float32)
    p_trip = (habits.p_weekend if day.is_weekend else habits.p_weekday)[rows]
    parity = habits.weeks[rows]
    week = day.date.isocalendar().week % 2
    goes = (draw.random((n, 3), dtype=np.float32) < p_trip) & ((parity == ANY_WEEK) | (parity == week))
    out = habits.out_at[rows] + habits.out_sd[rows] * draw.standard_normal((n, 3), dtype=np.float32)
    back = habits.back_at[rows] + habits.back_sd[rows] * draw.standard_normal((n, 3), dtype=np.float32)
    # A trip that is not taken ends before it begins.
    out = np.where(goes, out, 9_999).astype(np.float32)
    home = np.ones((n, day.n_quarters), bool)
    for k in range(3):
        home &= ~((minute >= out[:, k, None]) & (minute < back[:, k, None]))
    home &= ~is_absent[:, None]
    wakes, sleeps = habits.wakes_at[rows, None], habits.sleeps_at[rows, None]
    if day.is_weekend:
        wakes = wakes + 45
    awake = home & (minute >= wakes) & (minute < sleeps)
    main = np.where(
        goes[:, 1] & (parity[:, 1] == ODD_WEEK), back[:, 1], np.where(goes[:, 0], back[:, 0], 1080)
    )
    return Presence(home, awake, np.clip(main, 300, 1380).astype(np.float32))
