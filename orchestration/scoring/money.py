"""What use is worth: margin by tariff, the season of use, an account's expected margin, present value.

Here belongs turning kWh and days into the utility's margin. Who stays how long belongs to hazard.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from orchestration.scoring.contract import Economics
from orchestration.scoring.frames import Floats, align, day_numbers, days, flags, numbers, texts

MONTH = 30.4375


@dataclass(frozen=True)
class Rates:
    """Margin per kWh and per day of each tariff code; an unknown tariff takes the mean."""

    code: npt.NDArray[np.object_]
    per_kwh_usd: Floats
    per_day_usd: Floats

    @classmethod
    def of(cls, tariffs: pd.DataFrame, economics: Economics) -> Rates:
        """From ``dim_tariff``: price less supply, and what is kept of the standing charge less the cost to
        serve."""
        per_kwh = numbers(tariffs, "avg_usd_per_kwh") - economics.supply_cost_usd_per_kwh
        per_day = numbers(tariffs, "daily_charge_usd") * economics.standing_margin_share
        return cls(
            texts(tariffs, "tariff_code"), per_kwh, per_day - economics.cost_to_serve_usd_per_month / MONTH
        )

    def per_kwh(self, code: npt.ArrayLike) -> Floats:
        """Margin in USD per kWh, for each code."""
        return align(code, self.code, self.per_kwh_usd, float(np.mean(self.per_kwh_usd)))

    def per_day(self, code: npt.ArrayLike) -> Floats:
        """Margin in USD per day that does not depend on use, for each code."""
        return align(code, self.code, self.per_day_usd, float(np.mean(self.per_day_usd)))


@dataclass(frozen=True)
class Season:
    """Index of use by day of the year: straight lines between the months' means, around the year.

    ``day`` holds where in the year each month's bills lie on average; billing cycles may all end on one day,
    and an index of "June" measured at its beginning must not be applied at its end.
    """

    day: Floats
    index: Floats

    @classmethod
    def of(cls, middle: Floats, length: Floats, kwh: Floats) -> Season:
        """From bills' middle days, lengths and energy."""
        if not len(middle):
            return cls(np.zeros(1), np.ones(1))
        month = middle.astype(np.int64).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12
        spanned = np.bincount(month, length, 12)
        seen = spanned > 0
        day = (np.bincount(month, length * (middle % 365.25), 12)[seen]) / spanned[seen]
        usual = np.bincount(month, kwh, 12)[seen] / spanned[seen]
        order = np.argsort(day)
        return cls(day[order], np.maximum(usual / max(float(usual.mean()), 1e-9), 0.05)[order])

    def at(self, day: Floats) -> Floats:
        """The index on days since 1970-01-01."""
        result: Floats = np.interp(day % 365.25, self.day, self.index, period=365.25)
        return result


@dataclass(frozen=True)
class Margin:
    """Expected margin a month per account before bad debt, its relative spread, and what it has been to date.

    The energy part moves with ``season`` (index of each calendar month, January first), the fixed part does
    not.
    """

    account: npt.NDArray[np.object_]
    energy_usd: Floats
    fixed_usd: Floats
    spread: Floats
    to_date_usd: Floats
    season: Season

    def season_ahead(self, as_of_day: float, months: int) -> Floats:
        """The season's index in each of the coming months."""
        middle = as_of_day + (np.arange(months, dtype=np.float64) + 0.5) * MONTH
        return self.season.at(middle.astype(np.float64))


def margins(bills: pd.DataFrame, as_of_day: float, tariff: pd.Series, rates: Rates) -> Margin:
    """From the bills issued by ``as_of_day`` and each account's ``tariff`` (code by account): the last
    year's kWh a day, months of the year made comparable.

    An account with half a year of winter bills is not twice as large as it is: each bill is divided by the
    season's index (all accounts' kWh a day in that calendar month against the year) before it is averaged.
    """
    issued = day_numbers(days(bills, "issued_date"))
    start, end = day_numbers(days(bills, "period_start_date")), day_numbers(days(bills, "period_end_date"))
    good = (issued <= as_of_day) & ~flags(bills, "is_reversed") & (end > start)
    code, accounts = pd.factorize(texts(bills, "account_id")[good], sort=True)
    kwh, length = numbers(bills, "billed_kwh", 0.0)[good], (end - start)[good]
    middle = ((start + end) / 2)[good]
    season = Season.of(middle, length, kwh)
    adjusted = kwh / season.at(middle)
    n = len(accounts)
    recent = (middle > as_of_day - 372).astype(np.float64)
    covered = np.bincount(code, length * recent, n)
    daily = np.bincount(code, adjusted * recent, n) / np.maximum(covered, 1.0)
    # Shrunk to the average account with the weight of a week of bills.
    overall = float((adjusted * recent).sum() / max(float((length * recent).sum()), 1.0))
    daily = (daily * covered + overall * 7.0) / (covered + 7.0)
    squared = np.bincount(code, recent * length * (adjusted / length) ** 2, n) / np.maximum(covered, 1.0)
    spread = np.sqrt(np.maximum(squared - daily**2, 0.0)) / np.maximum(daily, 1e-6)
    code_of = tariff.reindex(accounts).fillna("").to_numpy(dtype=object)
    per_kwh, per_day = rates.per_kwh(code_of), rates.per_day(code_of)
    earned = np.bincount(code, kwh, n) * per_kwh + np.bincount(code, length, n) * per_day
    return Margin(
        np.asarray(accounts, dtype=object),
        MONTH * daily * per_kwh,
        MONTH * per_day,
        np.clip(spread, 0.05, 0.6),
        earned.astype(np.float64),
        season,
    )


def annuity_of(rate_per_year: float, months: int) -> Floats:
    """Present value of 1 USD a month for 0…months, paid in the middle of each month."""
    discount = (1 + rate_per_year) ** (-(np.arange(months) + 0.5) / 12)
    return np.concatenate([[0.0], np.cumsum(discount)])
