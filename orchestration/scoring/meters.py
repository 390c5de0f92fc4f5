"""Daily use of all meters as arrays of meters × days, with the weather of each station.

Here belongs laying out ``fct_usage_daily`` and ``fct_weather_daily`` and running the weekly levels
(cusum.py) by station. What the levels mean belongs to decline.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from orchestration.scoring import cusum
from orchestration.scoring.contract import ScoreContext
from orchestration.scoring.frames import Floats, ScoringError, align, day_numbers, days, need, numbers, texts

#: Weeks of reads looked at; a year and a half holds every season once before a change.
_MAX_WEEKS = 78
_CHUNK = 50_000
#: °C at which the course of use with temperature may bend: homes begin to heat and to cool at different
#: temperatures, and heat pumps lose efficiency in the cold. With one knee at 18 °C, a third of heat pumps
#: raised a false alarm.
_HEATING_KNEES, _COOLING_KNEES = (18.0, 12.0), (18.0, 23.0)
_WIDTH = len(_HEATING_KNEES) + len(_COOLING_KNEES) + 1


@dataclass(frozen=True)
class Meters:
    """Daily arrays of the meters read: meters × days up to ``as_of_date``, NaN where a day is unknown."""

    ids: npt.NDArray[np.object_]
    station: npt.NDArray[np.object_]
    use: Floats
    export: Floats
    peak: Floats


def read_meters(frames: Mapping[str, pd.DataFrame], ctx: ScoreContext) -> Meters:
    """The meters with a read in the last whole weeks up to ``as_of_date``; days with gaps are unknown.

    Days before the present account was opened are unknown too: they are somebody else's."""
    daily = need(frames, "fct_usage_daily")
    day = day_numbers(days(daily, "usage_date"))
    inside = (day <= ctx.as_of_day) & (day > ctx.as_of_day - 7 * _MAX_WEEKS)
    if not inside.any():
        raise ScoringError(
            f"decline: fct_usage_daily has no day up to {ctx.as_of_date}; load meter reads first"
        )
    weeks = int((ctx.as_of_day - day[inside].min() + 1) // 7)
    if weeks < 1:
        raise ScoringError(
            f"decline: not one whole week of daily use is known by {ctx.as_of_date}; load more reads"
        )
    first = ctx.as_of_day - 7 * weeks + 1
    inside &= day >= first
    code, ids = pd.factorize(daily["service_point_id"].to_numpy()[inside], sort=True)
    column = (day[inside] - first).astype(np.int64)
    shape = (len(ids), 7 * weeks)
    expected = np.maximum(numbers(daily, "n_expected")[inside], 1.0)
    complete = numbers(daily, "n_missing", 0.0)[inside] <= 0.25 * expected
    points, premises = need(frames, "dim_service_point"), need(frames, "dim_premise")
    accounts = need(frames, "dim_account")
    opened = align(
        texts(points, "account_id"), texts(accounts, "account_id"), day_numbers(days(accounts, "opened_date"))
    )
    since = align(np.asarray(ids, dtype=object), texts(points, "service_point_id"), opened)
    complete &= ~(day[inside] < since[code])

    def matrix(name: str, fill: float) -> Floats:
        result = np.full(shape, fill)
        values = numbers(daily, name)[inside]
        result[code[complete], column[complete]] = values[complete]
        return result

    station = (
        points[["service_point_id", "premise_id"]]
        .merge(premises[["premise_id", "weather_station"]], on="premise_id", how="left")
        .drop_duplicates("service_point_id")
        .set_index("service_point_id")["weather_station"]
    )
    return Meters(
        np.asarray(ids, dtype=object),
        station.reindex(ids).astype(object).to_numpy(),
        matrix("import_kwh", np.nan),
        matrix("export_kwh", 0.0),
        matrix("peak_kwh", np.nan),
    )


def read_weather(frames: Mapping[str, pd.DataFrame], n_days: int, ctx: ScoreContext) -> dict[str, Floats]:
    """Per station the design of each day: heating and cooling degree days and weekend; gaps take the day
    before."""
    weather = need(frames, "fct_weather_daily")
    first = ctx.as_of_day - n_days + 1
    day = day_numbers(days(weather, "weather_date"))
    span = np.arange(n_days)
    # 1970-01-01 was a Thursday: (day + 3) % 7 is 0 on Mondays.
    weekend = ((first + span + 3) % 7 >= 5).astype(np.float64)
    designs: dict[str, Floats] = {}
    for station, rows in weather.assign(_day=day).groupby("weather_station", sort=True):
        rows = rows[(rows["_day"] >= first) & (rows["_day"] <= ctx.as_of_day)]
        mean = pd.Series(numbers(rows, "mean_temp_c"), index=rows["_day"] - first).groupby(level=0).mean()
        celsius = mean.reindex(span).ffill().bfill().fillna(18.0).to_numpy(dtype=np.float64)
        heating = [np.maximum(knee - celsius, 0.0) for knee in _HEATING_KNEES]
        cooling = [np.maximum(celsius - knee, 0.0) for knee in _COOLING_KNEES]
        designs[str(station)] = np.column_stack([*heating, *cooling, weekend])
    return designs


def levels(meters: Meters, designs: Mapping[str, Floats]) -> cusum.WeeklyLevels:
    """Weekly levels of all meters, by weather station and in bounded chunks."""
    n, n_days = meters.use.shape
    weeks = n_days // 7
    level, error, slope = np.full((n, weeks), np.nan), np.full((n, weeks), np.nan), np.zeros((n, _WIDTH))
    flat = np.column_stack([np.zeros((n_days, _WIDTH - 1)), (np.arange(n_days) % 7 >= 5)])
    for station in pd.unique(pd.Series(meters.station).fillna("")):
        rows = np.flatnonzero(pd.Series(meters.station).fillna("").to_numpy() == station)
        for start in range(0, len(rows), _CHUNK):
            part = rows[start : start + _CHUNK]
            found = cusum.weekly_levels(meters.use[part], designs.get(str(station), flat))
            level[part], error[part], slope[part] = found.level, found.error, found.slope
    return cusum.WeeklyLevels(level, error, slope)
