"""What each household owns and how it pays: the causes behind its load and its money.

Belongs here: equipment, tariff, payment character and priority of each tenancy, drawn once. Does not belong
here: what happens on a day (usage.py) or on a bill (billing.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from demo.world.config import FAR_DAY, Bools, Floats, Ints, Streams, WorldConfig
from demo.world.population import BUSINESS, EFFICIENCY, FAMILY, RETIRED, SOLAR, STUDENT, SWITCHED, Population

HEATINGS = ("heat_pump", "resistance", "gas")
HEAT_PUMP, RESISTANCE, GAS = range(3)
PAYMENT_TYPES = ("prompt", "forgot", "cash_flow", "hardship", "disputer")
PROMPT, FORGOT, CASH_FLOW, HARDSHIP, DISPUTER = range(5)
METHODS = ("DD", "CA", "CK", "ON")
DIRECT_DEBIT = 0
TARIFF_CODES = ("FLAT", "TOU", "EVNITE", "COMM")
FLAT, TOU, EV_NIGHT, COMMERCIAL = range(4)
EFFICIENCY_FACTOR = 0.6
"""What a retrofit leaves of the heating and cooling load."""


@dataclass(frozen=True)
class Equipment:
    """What uses and makes electricity in each tenancy; energies in Wh, powers in W."""

    base_w: Floats
    active_w: Floats
    heating: Ints
    heat_w_per_k: Floats
    """Heat needed per kelvin below the balance point, as electricity before a heat pump's coefficient."""
    has_ac: Bools
    cool_w_per_k: Floats
    has_water_heater: Bools
    ev_w: Floats
    """Power of the charger, 0 without one."""
    ev_wh: Floats
    """Mean energy of a charge."""
    p_ev: Floats
    is_ev_timed: Bools
    pv_w: Floats
    pv_on: Ints
    """Day from which the panels run; ``FAR_DAY`` without panels."""
    runs_per_day: Floats
    """Scale of dishwasher, washing and oven use."""
    is_opted_in_han: Bools
    tariff: Ints


@dataclass(frozen=True)
class Character:
    """How each tenancy pays, stays and must be treated."""

    payment_type: Ints
    method: Ints
    z_pay: Floats
    """The household's own inclination to pay late, standard normal."""
    hardship_from: Ints
    """Day on which hardship begins; before it the household pays as one short of cash."""
    is_paperless: Bools
    contract_end: Ints
    is_medical: Bools
    is_vulnerable: Bools
    is_deceased: Bools
    is_bankrupt: Bools
    is_do_not_contact: Bools
    hazard_switch_month: Floats
    reachability: Floats
    """How readily the person answers, standard normal."""


def make_equipment(config: WorldConfig, people: Population, streams: Streams) -> Equipment:
    """Equipment of each tenancy: what belongs to the building stays when people change."""
    draw = streams.get("equipment")
    tenancies, premises = people.tenancies, people.premises
    n, t = len(premises), len(tenancies)
    place = tenancies.premise
    dwelling = premises.dwelling
    u = draw.random(n)
    p_pump = np.array([0.24, 0.18, 0.2])[dwelling]
    p_resistance = np.array([0.07, 0.34, 0.08])[dwelling]
    heating = np.select([u < p_pump, u < p_pump + p_resistance], [HEAT_PUMP, RESISTANCE], GAS)
    need = np.array([135.0, 52.0, 190.0])[dwelling] * draw.lognormal(0, 0.22, n)
    has_ac = draw.random(n) < np.array([0.78, 0.62, 0.9])[dwelling]
    cool = np.array([95.0, 48.0, 180.0])[dwelling] * draw.lognormal(0, 0.2, n)
    heater = (draw.random(n) < 0.45) & (dwelling != 2)

    pattern, size = tenancies.pattern, tenancies.n_people
    is_house = dwelling[place] == 0
    is_shop = tenancies.is_business
    base = np.array([175.0, 88.0, 360.0])[dwelling[place]] * draw.lognormal(0, 0.28, t)
    active = np.where(is_shop, 1500, 150 + 85 * size) * draw.lognormal(0, 0.25, t)
    has_ev = is_house & (draw.random(t) < np.where(np.isin(pattern, [RETIRED, STUDENT, BUSINESS]), 0.04, 0.2))
    ev_w = np.where(has_ev, draw.choice([3_600.0, 7_200.0, 11_000.0], t, p=[0.3, 0.55, 0.15]), 0)
    is_timed = has_ev & (draw.random(t) < 0.5)

    # Panels of longer standing, and those that come within the window as a cause of decline.
    had_pv = (dwelling == 0) & (draw.random(n) < 0.06)
    pv_w = (draw.uniform(3_500, 8_500, n))[place]
    pv_on = np.where(had_pv[place], config.start_day - 30 * draw.integers(13, 70, n)[place], FAR_DAY)
    pv_on = np.where(tenancies.cause == SOLAR, tenancies.cause_from, pv_on)
    tariff = np.select(
        [is_shop, has_ev & (draw.random(t) < 0.6), draw.random(t) < 0.24], [COMMERCIAL, EV_NIGHT, TOU], FLAT
    )
    return Equipment(
        base_w=base.astype(np.float32),
        active_w=active.astype(np.float32),
        heating=heating[place],
        heat_w_per_k=np.where(heating == GAS, 3.0, need).astype(np.float32)[place],
        has_ac=has_ac[place],
        cool_w_per_k=np.where(has_ac, cool, 0).astype(np.float32)[place],
        has_water_heater=heater[place],
        ev_w=ev_w.astype(np.float32),
        ev_wh=draw.uniform(7_000, 14_000, t).astype(np.float32),
        p_ev=np.where(has_ev, draw.uniform(0.4, 0.8, t), 0).astype(np.float32),
        is_ev_timed=is_timed,
        pv_w=np.where(pv_on < FAR_DAY, pv_w, 0).astype(np.float32),
        pv_on=pv_on,
        runs_per_day=np.where(is_shop, 0, np.where(pattern == FAMILY, 1.35, 0.55 + 0.12 * size)).astype(
            np.float32
        ),
        is_opted_in_han=~is_shop & (draw.random(n) < 0.21)[place],
        tariff=tariff,
    )


def make_character(config: WorldConfig, people: Population, streams: Streams) -> Character:
    """Payment, contract, priority and loyalty of each tenancy."""
    draw = streams.get("character")
    tenancies = people.tenancies
    t = len(tenancies)
    pattern = tenancies.pattern
    young = pattern == STUDENT
    weights = np.where(young[:, None], [0.42, 0.18, 0.28, 0.08, 0.04], [0.62, 0.15, 0.11, 0.07, 0.05])
    kind = (draw.random((t, 1)) > np.cumsum(weights, axis=1)).sum(axis=1).clip(0, 4)
    p_debit = np.array([0.46, 0.08, 0.12, 0.1, 0.12])[kind]
    by_cheque = np.where(pattern == RETIRED, 0.45, 0.15)
    u, v = draw.random(t), draw.random(t)
    method = np.select([u < p_debit, v < by_cheque, v < by_cheque + 0.08], [DIRECT_DEBIT, 2, 1], 3)
    has_contract = draw.random(t) < 0.38
    contract_end = np.where(has_contract, config.start_day + draw.integers(-90, 640, t), FAR_DAY)
    # Who switched did so around the end of the contract more often than not.
    switched = tenancies.close_reason == SWITCHED
    near = switched & (draw.random(t) < 0.6)
    contract_end = np.where(near, tenancies.closed + draw.integers(-45, 15, t), contract_end)
    method = np.where(switched & (draw.random(t) < 0.6) & (method == DIRECT_DEBIT), 3, method)
    lapses = np.abs(contract_end - config.end_day) < 75
    log_hazard = (
        np.log(0.0035)
        + 0.55 * (method != DIRECT_DEBIT)
        + 0.5 * np.isin(kind, [CASH_FLOW, DISPUTER])
        + 0.9 * lapses
        + 0.25 * (config.end_day - tenancies.opened < 500)
        - 0.5 * (tenancies.cause == EFFICIENCY)
        + draw.normal(0, 0.35, t)
        + 0.4 * switched
    )
    is_old = pattern == RETIRED
    shop = pattern == BUSINESS
    return Character(
        payment_type=kind,
        method=method,
        z_pay=draw.standard_normal(t).astype(np.float32),
        hardship_from=np.where(kind == HARDSHIP, config.end_day - draw.integers(30, 900, t), FAR_DAY),
        is_paperless=draw.random(t) < np.where(is_old, 0.3, 0.65),
        contract_end=contract_end,
        is_medical=~shop & (draw.random(t) < np.where(is_old, 0.05, 0.016)),
        is_vulnerable=~shop
        & (draw.random(t) < np.where(kind == HARDSHIP, 0.14, np.where(is_old, 0.05, 0.015))),
        is_deceased=~shop & (draw.random(t) < np.where(is_old, 0.012, 0.001)),
        is_bankrupt=draw.random(t) < np.where(kind == HARDSHIP, 0.04, 0.001),
        is_do_not_contact=draw.random(t) < 0.015,
        hazard_switch_month=np.exp(log_hazard).clip(0.0005, 0.12).astype(np.float32),
        reachability=draw.standard_normal(t).astype(np.float32),
    )
