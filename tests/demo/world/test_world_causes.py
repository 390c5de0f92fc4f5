"""Households have causes: what the truth says of them is to be seen in their load, money and answers."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import numpy as np

from demo.world.campaigns import CAMPAIGNS, response_probabilities
from demo.world.config import FAR_DAY
from demo.world.dialer import History, p_right_party
from demo.world.households import GAS, HARDSHIP, PROMPT
from demo.world.occupancy import p_home
from demo.world.population import EFFICIENCY, LEFT, SOLAR
from demo.world.truth import decline_pct
from demo.world.usage import APPLIANCES
from tests.demo.world.worlds import Simulated


def _change(s: Simulated, cause: int) -> np.ndarray:
    """Import of the ten days after the cause over the ten before, against what quiet homes did then."""
    n = len(s.block.people.premises)
    of = s.block.people.tenancies.cause[:n]
    rows = np.flatnonzero(of == cause)
    at = s.block.people.tenancies.cause_from[rows] - s.block.config.start_day
    quiet = s.metered.import_wh[of == 0].astype(float)

    def change(wh: np.ndarray, day: int) -> np.ndarray:
        return wh[:, day + 1 : day + 11].mean(axis=1) / wh[:, day - 10 : day].mean(axis=1)

    return np.array(
        [
            change(s.metered.import_wh[[r]], d)[0] / np.median(change(quiet, d))
            for r, d in zip(rows, at, strict=True)
        ]
    )


def test_a_home_moved_out_of_falls_to_near_nothing(simulated: Simulated) -> None:
    change = _change(simulated, LEFT)
    assert len(change) > 20
    assert np.median(change) < 0.15


def test_panels_and_retrofits_lower_import_against_quiet_homes(simulated: Simulated) -> None:
    assert np.median(_change(simulated, SOLAR)) < 0.9
    assert np.median(_change(simulated, EFFICIENCY)) < 0.9


def test_true_decline_is_of_the_right_size_by_cause(simulated: Simulated) -> None:
    pct, cause = decline_pct(simulated.block), simulated.block.people.tenancies.cause
    assert set(pct[cause == 0]) == {0.0}
    assert 75 < np.median(pct[cause == LEFT]) <= 100
    assert 10 < np.median(pct[cause == EFFICIENCY]) < 50
    assert 5 < np.median(pct[cause == SOLAR]) < 70


def test_charging_is_a_plateau_of_the_chargers_power(simulated: Simulated) -> None:
    block = simulated.block
    plateaus = 0
    for load in list(simulated.loads.values())[:10]:
        uses = load.uses
        own = np.flatnonzero(uses.appliance == APPLIANCES.index("ev_charger"))
        for i in own:
            row, start, length = uses.row[i], uses.start[i], uses.quarters[i]
            if block.equipment.pv_w[row] > 0 or block.people.tenancies.cause[row] != 0:
                continue
            power = block.equipment.ev_w[row]
            assert 3_000 <= power <= 11_000
            assert length >= 3
            assert load.import_wh[row, start : start + length].min() >= power / 4 * 0.99
            assert uses.energy_wh[i] == round(power / 4 * length)
            plateaus += 1
    assert plateaus > 100
    without = block.equipment.ev_w[: len(block.people.premises)] == 0
    assert without.mean() > 0.7


def test_appliance_energy_is_part_of_the_load(simulated: Simulated) -> None:
    load = next(iter(simulated.loads.values()))
    uses, block = load.uses, simulated.block
    thermal = np.isin(uses.appliance, [APPLIANCES.index(a) for a in ("heat_pump", "air_conditioner")])
    for i in np.flatnonzero(~thermal & (block.equipment.pv_w[uses.row] == 0))[:500]:
        span = load.import_wh[uses.row[i], uses.start[i] : uses.start[i] + uses.quarters[i]]
        assert span.sum() >= uses.energy_wh[i] * 0.99 - 2


def test_heating_follows_the_cold_in_electric_homes_only(simulated: Simulated) -> None:
    block, metered = simulated.block, simulated.metered
    n = len(block.people.premises)
    quiet = (block.people.tenancies.cause[:n] == 0) & ~block.people.tenancies.is_business[:n]
    gas = block.equipment.heating[:n] == GAS
    rise = metered.import_wh[:, -10:].mean(axis=1) / metered.import_wh[:, :10].mean(axis=1)
    assert np.median(rise[quiet & ~gas]) > 1.3 * np.median(rise[quiet & gas])


def test_past_bills_and_window_speak_of_the_same_home(simulated: Simulated) -> None:
    """The expectation that the past's bills are made of agrees with the simulation within a few percent."""
    block, e = simulated.block, simulated.block.expectation
    n, first, days = len(block.people.premises), block.config.start_day, block.config.days
    station = block.people.premises.station
    span = (np.full(n, first), np.full(n, first + days))
    expected = e.daily_wh[:n] * days
    expected += e.per_heating_kh[:n] * block.weather.between(block.weather.heating_sums, station, *span)
    expected += e.per_pump_kh[:n] * block.weather.between(block.weather.pump_sums, station, *span)
    expected += e.per_cooling_kh[:n] * block.weather.between(block.weather.cooling_sums, station, *span)
    quiet = (block.people.tenancies.cause[:n] == 0) & (block.equipment.pv_w[:n] == 0)
    ratio = simulated.metered.import_wh[quiet].sum(axis=1) / expected[quiet]
    assert 0.97 < np.median(ratio) < 1.06
    assert np.percentile(ratio, 5) > 0.85
    assert np.percentile(ratio, 95) < 1.2


def test_days_at_home_average_to_the_true_probability(simulated: Simulated) -> None:
    block = simulated.block
    n = len(block.people.premises)
    quiet = np.flatnonzero(block.people.tenancies.cause[:n] == 0)
    for is_weekend in (False, True):
        days = [
            d
            for d in simulated.loads
            if (d.weekday() >= 5) == is_weekend and simulated.loads[d].home.shape[1] == 96
        ]
        found = np.mean(
            [simulated.loads[d].home[quiet].reshape(len(quiet), 48, 2).mean(axis=2) for d in days], axis=0
        )
        true = p_home(block.habits, quiet, is_weekend=is_weekend)
        assert abs(found.mean() - true.mean()) < 0.01
        assert np.abs(found.mean(axis=0) - true.mean(axis=0)).max() < 0.04
        # Homes differ, and the days tell them apart.
        noon = slice(22, 30)
        assert np.corrcoef(found[:, noon].ravel(), true[:, noon].ravel())[0, 1] > 0.8


def test_payment_follows_character(simulated: Simulated) -> None:
    bills, kind = simulated.bills, simulated.block.character.payment_type
    late = {k: bills.is_30dpd[kind[bills.tenancy] == k].mean() for k in (PROMPT, HARDSHIP)}
    assert late[PROMPT] < 0.02
    assert late[HARDSHIP] > 0.15
    # The truth is calibrated: the drawn outcomes have the probabilities they were drawn with.
    assert abs(bills.p_30dpd.mean() - bills.is_30dpd.mean()) < 0.005
    known = bills.reversed_on == FAR_DAY
    assert np.all(bills.paid_on[known & bills.is_30dpd] > bills.due[known & bills.is_30dpd] + 30)
    assert np.all(bills.paid_on[known & ~bills.is_30dpd] <= bills.due[known & ~bills.is_30dpd] + 30)


def test_calls_reach_people_as_often_as_the_truth_says(simulated: Simulated) -> None:
    block = simulated.block
    history = History.of(block)
    right = {False: 0, True: 0}
    made = {False: 0, True: 0}
    expected = 0.0
    account = {}
    from demo.world.identifiers import account_numbers

    for row, number in enumerate(account_numbers(block.people.tenancies.number)):
        account[f"{number:012d}"] = row
    everybody = np.arange(len(block.people.tenancies))
    p = {w: p_right_party(block, everybody, is_weekend=w) for w in (False, True)}
    for day in block.config.dates:
        number = block.config.start_day + (day - block.config.start) // timedelta(days=1)
        for call in csv.reader(io.StringIO(history.day(number).decode())):
            hour, minute = int(call[6][11:13]), int(call[6][14:16])
            assert 8 <= hour <= 20
            assert call[6][:10] == str(day)
            is_random = call[11] == "true"
            made[is_random] += 1
            right[is_random] += call[8] == "answered_rpc"
            expected += p[day.weekday() >= 5][account[call[4]], hour * 2 + minute // 30]
    total = sum(made.values())
    assert 0.008 < total / len(block.people.premises) / block.config.days < 0.025
    assert 0.06 < made[True] / total < 0.14
    assert abs(sum(right.values()) - expected) < 4 * np.sqrt(expected)


def test_offers_move_people_unequally(simulated: Simulated) -> None:
    block = simulated.block
    everybody = np.arange(len(block.people.persons))
    for _, _, offer, channel, _, _ in CAMPAIGNS:
        treated, control = response_probabilities(block, everybody, offer, channel)
        lift = treated - control
        assert lift.mean() > 0.005
        assert lift.min() < 0  # some are put off
        assert np.percentile(lift, 95) > 2 * lift.mean()
