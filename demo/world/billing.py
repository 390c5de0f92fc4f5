"""Bills and what became of them: the one story that the mainframe and the collections ledger both tell.

Belongs here: bills from energy and tariff, payments from the household's payment character, disputes,
plans. Does not belong here: how either silo writes them down (cis.py, ledger.py).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from demo.world.config import FAR_DAY, HISTORY_MONTHS, Bools, Ints, Streams, WorldConfig, day_number
from demo.world.households import (
    CASH_FLOW,
    COMMERCIAL,
    DIRECT_DEBIT,
    DISPUTER,
    EV_NIGHT,
    FLAT,
    HARDSHIP,
    TOU,
    Character,
    Equipment,
)
from demo.world.population import MOVED_OUT, Population
from demo.world.usage import SOLAR_SHARE_USED, Expectation
from demo.world.weather import Weather

ISSUE_DAYS, TERM_DAYS = 2, 21
"""Days from the end of a period to the bill, and from the bill to its due date."""
REBILL = 50
PRICE_RISE = 1.06
EXPORT_USD_PER_KWH = 0.05

DAILY_USD = {FLAT: 0.62, TOU: 0.62, EV_NIGHT: 0.70, COMMERCIAL: 1.45}
RATES_USD: dict[int, tuple[tuple[str, int, int, float], ...]] = {
    FLAT: (("ALLDAY", 0, 24, 0.148),),
    TOU: (("PEAK", 15, 19, 0.265), ("OFFPEAK", 19, 15, 0.112)),
    EV_NIGHT: (("NIGHT", 23, 6, 0.072), ("DAY", 6, 23, 0.169)),
    COMMERCIAL: (("ALLDAY", 0, 24, 0.136),),
}
"""Periods of each tariff: name, from hour, to hour (local, may wrap), USD a kWh before the price rise."""

# By payment type: log-odds of an average bill over 30 days late; chances of lateness, no payment, return.
_LOGIT_30 = np.array([-5.6, -3.5, -1.75, -0.15, -1.9])
_P_LATE = np.array([0.05, 0.4, 0.5, 0.42, 0.1])
_P_NEVER = np.array([0.02, 0.05, 0.1, 0.3, 0.05])
_P_RETURNED = np.array([0.002, 0.004, 0.04, 0.08, 0.003])


@dataclass(frozen=True)
class Bills:
    """Bills of a block, one row each, by tenancy and month; re-bills stand at the end."""

    tenancy: Ints
    slot: Ints
    """Number within the account: the month, or the month + 50 for a re-bill."""
    period_start: Ints
    period_end: Ints
    issued: Ints
    due: Ints
    wh: Ints
    cents: Ints
    is_estimated: Bools
    reversed_on: Ints
    paid_on: Ints
    """Day the rest was paid; ``FAR_DAY`` when never or not yet known."""
    p_30dpd: NDArray[np.float64]
    is_30dpd: Bools
    disputed_on: Ints
    dispute_closed_on: Ints
    is_upheld: Bools
    plan_on: Ints

    def __len__(self) -> int:
        return len(self.tenancy)

    def take(self, index: Ints) -> Bills:
        """The rows at ``index``."""
        return Bills(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


@dataclass(frozen=True)
class Payments:
    """Payments of a block, one row each, received until the last business date."""

    bill: Ints
    """Row in the bills."""
    tenancy: Ints
    part: Ints
    received: Ints
    cents: Ints
    returned_on: Ints


@dataclass(frozen=True)
class Metered:
    """Energy of the window by premise and market day, in Wh (premises × days)."""

    import_wh: NDArray[np.int32]
    export_wh: NDArray[np.int32]
    peak_wh: NDArray[np.int32]
    night_wh: NDArray[np.int32]


def price_rise_day(config: WorldConfig) -> int:
    """The first of the month in which prices rise: about six weeks before the last business date."""
    month = (config.end.year * 12 + config.end.month - 1) - 1
    return day_number(date(month // 12, month % 12 + 1, 1))


def month_starts(config: WorldConfig) -> Ints:
    """Day numbers of the first of each month, from the history's first to the last business date's."""
    last = config.end.year * 12 + config.end.month - 1
    first = config.start.year * 12 + config.start.month - 1 - HISTORY_MONTHS - 1
    return np.array([day_number(date(m // 12, m % 12 + 1, 1)) for m in range(first, last + 1)])


def _energy(
    config: WorldConfig,
    people: Population,
    equipment: Equipment,
    expectation: Expectation,
    weather: Weather,
    metered: Metered,
    first: Ints,
    last: Ints,
    draw: np.random.Generator,
) -> tuple[Ints, Ints, Ints, Ints]:
    """Import, export, peak and night Wh of tenancies × months over the days [first, last)."""
    tenancies = people.tenancies
    station = people.premises.station[tenancies.premise][:, None]
    known = config.start_day
    until = np.minimum(last, known)
    days = np.maximum(until - first, 0)
    span = (np.minimum(first, until), until)
    past = days * expectation.daily_wh[:, None]
    past += expectation.per_heating_kh[:, None] * weather.between(weather.heating_sums, station, *span)
    past += expectation.per_pump_kh[:, None] * weather.between(weather.pump_sums, station, *span)
    past += expectation.per_cooling_kh[:, None] * weather.between(weather.cooling_sums, station, *span)
    past *= draw.lognormal(0, 0.05, past.shape)
    season = 1 + 0.62 * np.cos(2 * np.pi * ((first + days / 2 - 172) % 365.25) / 365.25)
    made = np.where(equipment.pv_on[:, None] < first, days * expectation.solar_wh[:, None] * season, 0)
    used = np.minimum(made * SOLAR_SHARE_USED, past * 0.7)
    past -= used
    night, peak = past * expectation.night_share[:, None], past * expectation.peak_share[:, None]

    low, high = np.clip(first - known, 0, config.days), np.clip(last - known, 0, config.days)

    def seen(daily: NDArray[np.int32]) -> Ints:
        sums = np.zeros((daily.shape[0], config.days + 1), np.int64)
        np.cumsum(daily, axis=1, out=sums[:, 1:])
        row = tenancies.premise[:, None]
        return np.asarray(sums[row, high] - sums[row, low])

    return (
        past.astype(np.int64) + seen(metered.import_wh),
        (made - used).astype(np.int64) + seen(metered.export_wh),
        peak.astype(np.int64) + seen(metered.peak_wh),
        night.astype(np.int64) + seen(metered.night_wh),
    )


def amount_cents(
    tariff: Ints, days: Ints, wh: Ints, export: Ints, peak: Ints, night: Ints, is_raised: Bools
) -> Ints:
    """Bill amounts; ``tariff`` is broadcast over the months."""
    peak, night = np.minimum(peak, wh), np.minimum(night, wh)
    rate = {t: [r[3] for r in RATES_USD[t]] for t in RATES_USD}
    energy = np.select(
        [tariff == FLAT, tariff == TOU, tariff == EV_NIGHT],
        [
            wh * rate[FLAT][0],
            peak * rate[TOU][0] + (wh - peak) * rate[TOU][1],
            night * rate[EV_NIGHT][0] + (wh - night) * rate[EV_NIGHT][1],
        ],
        wh * rate[COMMERCIAL][0],
    )
    daily = np.array([DAILY_USD[t] for t in range(4)])[tariff]
    dollars = (
        daily * days + energy / 1000 * np.where(is_raised, PRICE_RISE, 1) - export / 1000 * EXPORT_USD_PER_KWH
    )
    return np.maximum(np.rint(dollars * 100), 150).astype(np.int64)


def make_bills(
    config: WorldConfig,
    people: Population,
    equipment: Equipment,
    character: Character,
    expectation: Expectation,
    weather: Weather,
    metered: Metered,
    streams: Streams,
) -> tuple[Bills, Payments]:
    """All bills issued until the last business date, with their payments."""
    draw = streams.get("billing")
    tenancies = people.tenancies
    starts = month_starts(config)
    ends = starts[None, :] + people.premises.cycle_day[tenancies.premise][:, None] - 1
    opened, closed = tenancies.opened[:, None], tenancies.closed[:, None]
    first = np.maximum(ends[:, :-1], opened)
    last = np.minimum(ends[:, 1:], closed)
    is_bill = (last > first) & (last + ISSUE_DAYS <= config.end_day)
    wh, export, peak, night = _energy(
        config, people, equipment, expectation, weather, metered, first, last, draw
    )
    # An estimated bill errs, and the next one makes up for it.
    is_estimated = is_bill & (draw.random(is_bill.shape) < 0.03)
    is_estimated[:, -4:] = False
    error = np.where(is_estimated, (wh * draw.uniform(-0.15, 0.15, wh.shape)).astype(np.int64), 0)
    wh = np.maximum(wh + error, 0)
    wh[:, 1:] = np.maximum(wh[:, 1:] - error[:, :-1], 0)
    rise = price_rise_day(config)
    cents = amount_cents(equipment.tariff[:, None], last - first, wh, export, peak, night, last > rise)

    issued = last + ISSUE_DAYS
    due = issued + TERM_DAYS
    kind, method = character.payment_type[:, None], character.method[:, None]
    kind = np.where((kind == HARDSHIP) & (due < character.hardship_from[:, None]), CASH_FLOW, kind)
    mean = np.where(is_bill, cents, 0).sum(axis=1) / np.maximum(is_bill.sum(axis=1), 1)
    ratio = np.clip(cents / np.maximum(mean, 100)[:, None], 0.3, 3)
    is_final = (last == closed) & (tenancies.close_reason[:, None] == MOVED_OUT)
    logit = _LOGIT_30[kind] + 1.1 * np.log(ratio) + 0.5 * character.z_pay[:, None] + 1.3 * is_final
    logit -= 1.5 * ((method == DIRECT_DEBIT) & (kind != HARDSHIP) & (kind != CASH_FLOW))
    p_30 = 1 / (1 + np.exp(-logit))
    shape = p_30.shape
    is_30 = draw.random(shape) < p_30
    is_late = ~is_30 & (draw.random(shape) < _P_LATE[kind] * np.where(method == DIRECT_DEBIT, 0.25, 1))
    early = np.where(method == DIRECT_DEBIT, 0, -draw.integers(1, 19, shape))
    late = np.clip(draw.gamma(2.0, 5.0, shape), 1, 29).astype(np.int64)
    very_late = 31 + draw.exponential(28, shape).astype(np.int64)
    paid_on = due + np.select([is_30, is_late], [very_late, late], early)
    paid_on = np.where(is_30 & (draw.random(shape) < _P_NEVER[kind]), FAR_DAY, paid_on)

    # A disputer who withholds the money says why; a few others complain and pay.
    argues = (is_30 & (kind == DISPUTER)) | (draw.random(shape) < 0.004)
    disputed_on = np.where(argues, due - draw.integers(0, 12, shape), FAR_DAY)
    closes = np.where(is_30 & (kind == DISPUTER), np.minimum(paid_on, due + 120) - 2, disputed_on + 14)
    is_upheld = argues & is_30 & (draw.random(shape) < 0.25)
    plans = is_30 & (kind == HARDSHIP) & (draw.random(shape) < 0.4)
    plan_on = np.where(plans, due + draw.integers(20, 45, shape), FAR_DAY)

    row, month = np.nonzero(is_bill)
    at = (row, month)
    upheld = is_upheld[at] & (closes[at] <= config.end_day)
    bills = Bills(
        tenancy=row,
        slot=month,
        period_start=first[at],
        period_end=last[at],
        issued=issued[at],
        due=due[at],
        wh=wh[at],
        cents=cents[at],
        is_estimated=is_estimated[at],
        reversed_on=np.where(upheld, closes[at], FAR_DAY),
        paid_on=np.where(upheld, FAR_DAY, paid_on[at]),
        p_30dpd=p_30[at],
        is_30dpd=is_30[at],
        disputed_on=np.where(disputed_on[at] > config.end_day, FAR_DAY, disputed_on[at]),
        dispute_closed_on=np.where((closes[at] > config.end_day) | ~argues[at], FAR_DAY, closes[at]),
        is_upheld=upheld,
        plan_on=np.where(plan_on[at] > config.end_day, FAR_DAY, plan_on[at]),
    )
    bills = _with_rebills(bills)
    return bills, _payments(config, bills, character, draw)


def _with_rebills(bills: Bills) -> Bills:
    """A dispute that is upheld reverses its bill and issues a smaller one, which is paid in time."""
    wrong = np.flatnonzero(bills.is_upheld)
    again = bills.take(wrong)
    n = len(wrong)
    none = np.full(n, FAR_DAY)
    changed: dict[str, Any] = {
        "slot": again.slot + REBILL,
        "issued": again.reversed_on,
        "due": again.reversed_on + TERM_DAYS,
        "cents": again.cents * 3 // 4,
        "wh": again.wh * 3 // 4,
        "is_estimated": np.zeros(n, bool),
        "reversed_on": none,
        "paid_on": again.reversed_on + 12,
        "p_30dpd": np.zeros(n),
        "is_30dpd": np.zeros(n, bool),
        "disputed_on": none,
        "dispute_closed_on": none,
        "is_upheld": np.zeros(n, bool),
        "plan_on": none,
    }
    columns = {f.name: changed.get(f.name, getattr(again, f.name)) for f in fields(Bills)}
    return Bills(**{name: np.concatenate([getattr(bills, name), column]) for name, column in columns.items()})


def _payments(config: WorldConfig, bills: Bills, character: Character, draw: np.random.Generator) -> Payments:
    kind = character.payment_type[bills.tenancy]
    method = character.method[bills.tenancy]
    n = len(bills)
    row = np.arange(n)
    # Half now, half later; or a payment that the bank sends back before the good one.
    splits = (bills.paid_on > bills.due) & np.isin(kind, [CASH_FLOW, HARDSHIP]) & (draw.random(n) < 0.3)
    half = np.where(splits, bills.cents // 2, 0)
    half_on = bills.due + draw.integers(-3, 10, n)
    bounces = (
        np.isin(method, [DIRECT_DEBIT, 2])
        & (draw.random(n) < _P_RETURNED[kind] * 2)
        & (bills.paid_on >= bills.due)
    )
    bounced_on = np.minimum(bills.paid_on - 10, bills.due)
    bounces &= (bounced_on >= bills.issued) & (bills.reversed_on == FAR_DAY)
    splits &= (half_on < bills.paid_on) & ~bounces
    splits &= bills.reversed_on == FAR_DAY
    half = np.where(splits, half, 0)
    none = np.full(n, FAR_DAY)
    bill = np.concatenate([row[bounces], row[splits], row])
    payments = Payments(
        bill=bill,
        tenancy=bills.tenancy[bill],
        part=np.concatenate(
            [np.zeros(bounces.sum(), np.int64), np.ones(splits.sum(), np.int64), np.full(n, 2)]
        ),
        received=np.concatenate([bounced_on[bounces], half_on[splits], bills.paid_on]),
        cents=np.concatenate([bills.cents[bounces], half[splits], bills.cents - half]),
        returned_on=np.concatenate([bounced_on[bounces] + 3, none[splits], none]),
    )
    seen = np.flatnonzero(payments.received <= config.end_day)
    return Payments(**{f.name: getattr(payments, f.name)[seen] for f in fields(Payments)})


def open_cents(config: WorldConfig, bills: Bills, payments: Payments) -> Ints:
    """What is unpaid of each bill at the end of the last business date."""
    counts = payments.returned_on > config.end_day
    paid = np.bincount(payments.bill[counts], weights=payments.cents[counts], minlength=len(bills)).astype(
        np.int64
    )
    left = np.where(bills.reversed_on <= config.end_day, 0, bills.cents - paid)
    return np.asarray(left, dtype=np.int64)
