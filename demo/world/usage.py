"""The load of every home in quarter-hours, from what people do, the weather and their equipment.

Belongs here: one local day of import, export and appliance use for a block. Does not belong here: how
meters report it (readings.py), nor the choice of who lives where.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from demo.world.clock import LocalDay
from demo.world.config import BASE_LOAD_KEEP, Bools, Floats, Ints, Streams
from demo.world.households import EFFICIENCY_FACTOR, HEAT_PUMP, Equipment
from demo.world.occupancy import Habits, Presence, draw_presence, p_home
from demo.world.population import ABSENT, EFFICIENCY, Population
from demo.world.weather import COOLING_BALANCE_C, HEATING_BALANCE_C, Weather, coefficient_of_performance

APPLIANCES = (
    "heat_pump",
    "air_conditioner",
    "ev_charger",
    "dishwasher",
    "washing_machine",
    "dryer",
    "water_heater",
    "oven",
)
SETBACK = 0.72
"""Share of the thermal need that is met while nobody is at home."""
SOLAR_SHARE_USED = 0.42
"""Share of their own generation that homes use themselves, for expectations of the past."""

# appliance → (runs a day, Wh a run, quarters a run, three minutes it may start at, ±, share with a timer)
_RUNS: dict[str, tuple[float, float, int, tuple[float, float, float], float, float]] = {
    "dishwasher": (0.6, 1_150, 6, (1_190, 810, 1_290), 40, 0.18),
    "washing_machine": (0.45, 650, 5, (600, 1_120, 840), 70, 0.1),
    "dryer": (0.33, 2_400, 4, (690, 1_200, 930), 70, 0.0),
    "oven": (0.5, 1_250, 3, (1_075, 1_110, 720), 35, 0.0),
}


@dataclass(frozen=True)
class Uses:
    """Appliance runs of a day, one row a run."""

    appliance: Ints
    row: Ints
    """Row in the block's premises."""
    start: Ints
    """Elapsed quarter-hour of the local day."""
    quarters: Ints
    energy_wh: Ints
    is_timed: Bools


@dataclass(frozen=True)
class DayLoad:
    """One local day of a block, premises × elapsed quarter-hours, in whole Wh."""

    import_wh: NDArray[np.int32]
    export_wh: NDArray[np.int32]
    home: Bools
    uses: Uses


def activity_shape(minutes: NDArray[np.float32]) -> Floats:
    """How busy an awake home is by the clock: breakfast, midday, and a long evening with lights on."""
    peaks = ((450.0, 60.0, 0.55), (740.0, 70.0, 0.35), (1_140.0, 130.0, 1.0))
    shape = np.full(minutes.shape, 0.32)
    for at, width, height in peaks:
        shape = shape + height * np.exp(-(((minutes - at) / width) ** 2) / 2)
    return shape.astype(np.float32)


def occupants(people: Population, day: int) -> Ints:
    """For each premise, the tenancy whose household is there on the day (or the last that was)."""
    tenancies = people.tenancies
    n = len(people.premises)
    result = np.arange(n)
    later = np.flatnonzero((tenancies.opened <= day) & (np.arange(len(tenancies)) >= n))
    later = later[tenancies.opened[later] > tenancies.opened[tenancies.premise[later]]]
    result[tenancies.premise[later]] = later
    return result


def simulate_day(
    day: LocalDay,
    people: Population,
    equipment: Equipment,
    habits: Habits,
    weather: Weather,
    streams: Streams,
) -> DayLoad:
    """One local day of all premises of the block; depends on the day and the block only."""
    draw = streams.get("load", day.day)
    rows = occupants(people, day.day)
    tenancies = people.tenancies
    n, quarters = len(rows), day.n_quarters
    cause, since = tenancies.cause[rows], tenancies.cause_from[rows]
    is_away = (cause == ABSENT) & (since <= day.day) & (day.day < tenancies.cause_to[rows])
    is_vacant = tenancies.left[rows] <= day.day
    presence = draw_presence(habits, rows, day, is_away | is_vacant, draw)
    saved = np.where((cause == EFFICIENCY) & (since <= day.day), EFFICIENCY_FACTOR, 1.0).astype(np.float32)
    minutes = (day.clock_quarter * 15 + 7.5).astype(np.float32)
    station = people.premises.station

    # Standby and cold appliances; an empty home has them unplugged.
    kept = np.where(is_vacant, BASE_LOAD_KEEP, np.where(is_away, 0.8, 0.5 + 0.5 * saved)).astype(np.float32)
    load = draw.random((n, quarters), dtype=np.float32)
    load *= 0.4
    load += 0.8
    load *= (equipment.base_w[rows] * kept / 4)[:, None]
    # What awake people switch on.
    noise = draw.standard_normal((n, quarters), dtype=np.float32)
    noise *= 0.45
    np.exp(noise, out=noise)
    noise *= activity_shape(minutes)
    noise *= presence.awake
    noise *= (equipment.active_w[rows] * (0.4 + 0.6 * saved) / 4)[:, None]
    load += noise
    thermal = _thermal(day, rows, equipment, weather, station, presence, is_vacant, saved, draw)
    load += thermal
    uses = _runs(day, rows, equipment, presence, draw, load)
    uses += _water(day, rows, equipment, presence, draw, load)
    uses += _charging(day, rows, equipment, presence, draw, load)
    uses += _thermal_uses(rows, equipment, thermal, weather, day, station)

    export = np.zeros((n, quarters), np.float32)
    panels = np.flatnonzero(equipment.pv_on[rows] <= day.day)
    if len(panels):
        sun = (
            clear_sky(day)[None, :]
            * weather.quarters(weather.cloud, day.start_epoch, quarters)[station[panels]]
        )
        sun *= draw.uniform(0.9, 1.05, (len(panels), quarters)).astype(np.float32)
        net = load[panels] - sun * equipment.pv_w[rows[panels], None] / 4
        load[panels] = np.maximum(net, 0)
        export[panels] = np.maximum(-net, 0)
    return DayLoad(
        np.rint(load).astype(np.int32), np.rint(export).astype(np.int32), presence.home, _stack(uses)
    )


def _thermal(
    day: LocalDay,
    rows: Ints,
    equipment: Equipment,
    weather: Weather,
    station: Ints,
    presence: Presence,
    is_vacant: Bools,
    saved: Floats,
    draw: np.random.Generator,
) -> Floats:
    temperature = weather.quarters(weather.temperature_c, day.start_epoch, day.n_quarters)
    cold = np.maximum(HEATING_BALANCE_C - temperature, 0).astype(np.float32)
    hot = np.maximum(temperature - COOLING_BALANCE_C, 0).astype(np.float32)
    with_pump = cold / coefficient_of_performance(temperature)
    is_pump = equipment.heating[rows] == HEAT_PUMP
    need = np.where(is_pump[:, None], with_pump[station], cold[station])
    need *= equipment.heat_w_per_k[rows, None]
    need += hot[station] * equipment.cool_w_per_k[rows, None]
    # An empty home is set back; a vacant one is kept from freezing only.
    need *= np.where(presence.home, np.float32(1), np.float32(SETBACK))
    own = saved * np.where(is_vacant, 0.08, 1.0) * draw.lognormal(0, 0.08, len(rows)) / 4
    need *= own.astype(np.float32)[:, None]
    cycling = draw.random(need.shape, dtype=np.float32)
    cycling *= 0.5
    cycling += 0.75
    need *= cycling
    return need


_Run = tuple[int, Ints, Ints, Ints, Floats, Bools]


def _add(load: Floats, rows: Ints, start: Ints, quarters: Ints, power_wh: Floats) -> None:
    """Add a rectangle of ``power_wh`` a quarter to each row; at most one rectangle a row."""
    for step in range(int(quarters.max(initial=0))):
        on = quarters > step
        load[rows[on], start[on] + step] += power_wh[on]


def _runs(
    day: LocalDay,
    rows: Ints,
    equipment: Equipment,
    presence: Presence,
    draw: np.random.Generator,
    load: Floats,
) -> list[_Run]:
    result: list[_Run] = []
    for name, (often, energy, length, starts, spread, timed_share) in _RUNS.items():
        wanted = np.flatnonzero(draw.random(len(rows)) < often * equipment.runs_per_day[rows])
        clock = np.array(starts) + draw.normal(0, spread, (len(wanted), 3))
        at = day.first_at_clock[np.clip(clock // 15, 0, 95).astype(np.int64)]
        at = np.minimum(at, day.n_quarters - length)
        # It runs at the first of three wished times at which somebody is up; some have a timer.
        there = presence.awake[wanted[:, None], at]
        pick = np.argmax(there, axis=1)
        timed = (rows[wanted] * 31 + len(name)) % 100 < timed_share * 100
        can = there.any(axis=1)
        wanted, at, timed, pick = wanted[can], at[can], timed[can], pick[can]
        start = np.where(timed, day.first_at_clock[14], at[np.arange(len(wanted)), pick])
        used = energy * draw.uniform(0.85, 1.15, len(wanted))
        count = np.full(len(wanted), length)
        _add(load, wanted, start, count, (used / length).astype(np.float32))
        result.append((APPLIANCES.index(name), wanted, start, count, used.astype(np.float32), timed))
    return result


def _water(
    day: LocalDay,
    rows: Ints,
    equipment: Equipment,
    presence: Presence,
    draw: np.random.Generator,
    load: Floats,
) -> list[_Run]:
    result: list[_Run] = []
    for at, spread, energy in ((405.0, 25.0, 1_500.0), (1_230.0, 40.0, 1_200.0)):
        homes = np.flatnonzero(
            equipment.has_water_heater[rows] & presence.home[:, day.first_at_clock[int(at // 15)]]
        )
        clock = np.clip((at + draw.normal(0, spread, len(homes))) // 15, 0, 92).astype(np.int64)
        timed = (rows[homes] * 17) % 100 < 40
        start = day.first_at_clock[np.where(timed, int(at // 15), clock)]
        used = energy * draw.uniform(0.7, 1.3, len(homes))
        count = np.full(len(homes), 2)
        _add(load, homes, start, count, (used / 2).astype(np.float32))
        result.append((APPLIANCES.index("water_heater"), homes, start, count, used.astype(np.float32), timed))
    return result


def _charging(
    day: LocalDay,
    rows: Ints,
    equipment: Equipment,
    presence: Presence,
    draw: np.random.Generator,
    load: Floats,
) -> list[_Run]:
    cars = np.flatnonzero(equipment.ev_w[rows] > 0)
    timed = equipment.is_ev_timed[rows[cars]]
    begins = np.where(
        timed, 30 + 15 * (rows[cars] % 7), presence.returned_at[cars] + draw.uniform(0, 30, len(cars))
    )
    start = day.first_at_clock[np.clip(begins // 15, 0, 91).astype(np.int64)]
    energy = equipment.ev_wh[rows[cars]] * draw.gamma(9, 1 / 9, len(cars))
    power = equipment.ev_w[rows[cars]] / 4
    count = np.clip(np.ceil(energy / power), 3, 36).astype(np.int64)
    count = np.minimum(count, day.n_quarters - start)
    plugs = (draw.random(len(cars)) < equipment.p_ev[rows[cars]]) & presence.home[cars, start] & (count >= 3)
    cars, start, count, power, timed = cars[plugs], start[plugs], count[plugs], power[plugs], timed[plugs]
    _add(load, cars, start, count, power)
    return [(APPLIANCES.index("ev_charger"), cars, start, count, power * count, timed)]


def _thermal_uses(
    rows: Ints, equipment: Equipment, thermal: Floats, weather: Weather, day: LocalDay, station: Ints
) -> list[_Run]:
    """Heat-pump and air-conditioner use of opted-in homes, as runs of at most six hours."""
    homes = np.flatnonzero(equipment.is_opted_in_han[rows])
    warm = (
        weather.quarters(weather.temperature_c, day.start_epoch, day.n_quarters).mean(axis=1)[station[homes]]
        > 18
    )
    result: list[_Run] = []
    for appliance, own in (
        ("heat_pump", ~warm & (equipment.heating[rows[homes]] == HEAT_PUMP)),
        ("air_conditioner", warm & equipment.has_ac[rows[homes]]),
    ):
        which = homes[own]
        for first in range(0, day.n_quarters, 24):
            part = thermal[which, first : first + 24]
            used = part.sum(axis=1)
            on = part > 5
            runs = np.flatnonzero(used > 60)
            start = np.argmax(on[runs], axis=1)
            stop = on.shape[1] - np.argmax(on[runs, ::-1], axis=1)
            result.append(
                (
                    APPLIANCES.index(appliance),
                    which[runs],
                    first + start,
                    stop - start,
                    used[runs],
                    np.zeros(len(runs), bool),
                )
            )
    return result


def _stack(runs: list[_Run]) -> Uses:
    return Uses(
        np.concatenate([np.full(len(r[1]), r[0]) for r in runs]),
        np.concatenate([r[1] for r in runs]),
        np.concatenate([r[2] for r in runs]),
        np.concatenate([r[3] for r in runs]),
        np.rint(np.concatenate([r[4] for r in runs])).astype(np.int64),
        np.concatenate([r[5] for r in runs]),
    )


def clear_sky(day: LocalDay) -> Floats:
    """Share of the panels' power under a clear sky by elapsed quarter-hour (43.4° N, noon near 12:00)."""
    of_year = day.date.timetuple().tm_yday
    declination = np.radians(-23.44 * np.cos(2 * np.pi * (of_year + 10) / 365.25))
    hours_utc = (day.start_epoch % 86_400) / 3600 + np.arange(day.n_quarters) / 4 + 0.125
    angle = np.radians((hours_utc - 18.0) * 15)
    latitude = np.radians(43.4)
    height = np.sin(latitude) * np.sin(declination) + np.cos(latitude) * np.cos(declination) * np.cos(angle)
    return (0.86 * np.maximum(height, 0) ** 1.1).astype(np.float32)


@dataclass(frozen=True)
class Expectation:
    """Expected energy of each tenancy in Wh without panels: a daily part and coefficients of degree sums."""

    daily_wh: NDArray[np.float64]
    per_heating_kh: NDArray[np.float64]
    per_pump_kh: NDArray[np.float64]
    per_cooling_kh: NDArray[np.float64]
    solar_wh: NDArray[np.float64]
    """Mean daily generation over a year with panels running."""
    night_share: NDArray[np.float64]
    peak_share: NDArray[np.float64]


def expect(people: Population, equipment: Equipment, habits: Habits) -> Expectation:
    """What each tenancy should use by its causes: the past's bills and the truth are made of it."""
    t = len(people.tenancies)
    everybody = np.arange(t)
    at_home = (
        5 * p_home(habits, everybody, is_weekend=False) + 2 * p_home(habits, everybody, is_weekend=True)
    ) / 7
    middle = (np.arange(48) * 30 + 15).astype(np.float32)
    up = (middle >= habits.wakes_at[:, None] + 13) & (middle < habits.sleeps_at[:, None])
    active = equipment.active_w * 0.5 * 1.107 * (at_home * up * activity_shape(middle)).sum(axis=1)
    runs = sum(
        np.minimum(often * equipment.runs_per_day, 1) * energy * 0.88 for often, energy, *_ in _RUNS.values()
    )
    water = equipment.has_water_heater * (1_500 * at_home[:, 13] + 1_200 * at_home[:, 41])
    car = equipment.p_ev * (equipment.ev_wh + equipment.ev_w / 8)
    setback = SETBACK + (1 - SETBACK) * at_home.mean(axis=1)
    is_pump = equipment.heating == HEAT_PUMP
    daily = equipment.base_w * 24.0 + active + runs + water + car
    night = equipment.base_w * 8.0 + 0.1 * active + np.where(equipment.is_ev_timed, car, 0)
    return Expectation(
        daily_wh=daily.astype(np.float64),
        per_heating_kh=np.where(is_pump, 0, equipment.heat_w_per_k * setback).astype(np.float64),
        per_pump_kh=np.where(is_pump, equipment.heat_w_per_k * setback, 0).astype(np.float64),
        per_cooling_kh=(equipment.cool_w_per_k * setback).astype(np.float64),
        solar_wh=equipment.pv_w.astype(np.float64) * 3.4,
        night_share=np.clip(night / daily, 0.05, 0.8).astype(np.float64),
        peak_share=np.clip(0.17 + 0.1 * active / daily, 0.1, 0.35).astype(np.float64),
    )
