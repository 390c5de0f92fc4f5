"""The weather of each station: season, day and passing fronts.

Belongs here: hourly temperature and humidity, and the degree sums that bills are made of. Does not belong
here: what people do about it (usage.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from demo.world.config import FAR_DAY, Floats, Ints, Streams, WorldConfig
from demo.world.vocab import STATIONS

HEATING_BALANCE_C = 15.0
COOLING_BALANCE_C = 22.0
HISTORY_DAYS = 2_000
"""Days of weather before the first business date: enough for every bill in the history."""
WORLD = FAR_DAY
"""Block number of streams that belong to no block."""


@dataclass(frozen=True)
class Weather:
    """Hourly weather by station, from midnight UTC of ``first_day`` on."""

    first_day: int
    temperature_c: Floats
    """Stations × hours."""
    humidity_pct: Floats
    cloud: Floats
    """Share of the sun that gets through, stations × hours."""
    heating_sums: NDArray[np.float64]
    """Stations × (days + 1): cumulated kelvin-hours below the heating balance, corrected for nothing."""
    cooling_sums: NDArray[np.float64]
    pump_sums: NDArray[np.float64]
    """As ``heating_sums``, divided by a heat pump's coefficient of performance at the hour's temperature."""

    def quarters(self, values: Floats, start_epoch: int, n_quarters: int) -> Floats:
        """Stations × quarter-hours from a UTC second on, linear between the hours."""
        hour = (start_epoch - self.first_day * 86_400) / 3600 + np.arange(n_quarters) / 4
        low = np.floor(hour).astype(np.int64)
        share = (hour - low).astype(np.float32)
        return values[:, low] * (1 - share) + values[:, low + 1] * share

    def between(
        self, sums: NDArray[np.float64], station: Ints, first: Ints, last: Ints
    ) -> NDArray[np.float64]:
        """Degree sums of the stations over the days [first, last), of any one shape."""
        top = sums.shape[1] - 1
        return np.asarray(
            sums[station, np.clip(last - self.first_day, 0, top)]
            - sums[station, np.clip(first - self.first_day, 0, top)]
        )


def coefficient_of_performance(temperature_c: Floats) -> Floats:
    """Heat delivered per electricity by an air-source heat pump."""
    return np.clip(2.3 + 0.06 * temperature_c, 1.4, 3.4).astype(np.float32)


def make_weather(config: WorldConfig) -> Weather:
    """The weather from ``HISTORY_DAYS`` before the first business date to two days after the last."""
    draw = Streams(config.seed, WORLD).get("weather")
    first = config.start_day - HISTORY_DAYS
    days = HISTORY_DAYS + config.days + 3
    hours = days * 24
    stamp = first + np.arange(hours) / 24
    day_of_year = (stamp - 11.0) % 365.25
    season = 8.2 - 14.2 * np.cos(2 * np.pi * day_of_year / 365.25)
    local_hour = (np.arange(hours) - 6) % 24
    daily = 4.8 * np.cos(2 * np.pi * (local_hour - 15.5) / 24)
    front = lfilter([1.0], [1.0, -0.983], draw.normal(0, 0.74, hours + 500))[500:]
    temperature = np.empty((len(STATIONS), hours), np.float32)
    humidity = np.empty_like(temperature)
    cloud = np.empty_like(temperature)
    offsets = (0.0, 0.9, -1.4)
    for station in range(len(STATIONS)):
        own = lfilter([1.0], [1.0, -0.95], draw.normal(0, 0.22, hours + 200))[200:]
        cover = lfilter([1.0], [1.0, -0.93], draw.normal(0, 0.37, hours + 200))[200:]
        sun = 1 / (1 + np.exp(-1.6 * (cover + 0.5)))
        temperature[station] = np.round(
            season + daily * (0.6 + 0.6 * sun) + front + own + offsets[station], 2
        )
        humidity[station] = np.round(
            np.clip(72 - 2.2 * daily - 14 * (sun - 0.6) + draw.normal(0, 2.5, hours), 18, 100), 2
        )
        cloud[station] = 0.12 + 0.88 * sun
    cold = np.maximum(HEATING_BALANCE_C - temperature, 0)
    hot = np.maximum(temperature - COOLING_BALANCE_C, 0)
    return Weather(
        first,
        temperature,
        humidity,
        cloud,
        _cumulated(cold, days),
        _cumulated(hot, days),
        _cumulated(cold / coefficient_of_performance(temperature), days),
    )


def _cumulated(hourly: Floats, days: int) -> NDArray[np.float64]:
    daily = hourly.reshape(hourly.shape[0], days, 24).sum(axis=2, dtype=np.float64)
    return np.concatenate([np.zeros((hourly.shape[0], 1)), np.cumsum(daily, axis=1)], axis=1)
