"""What the simulator knows to be true, as Parquet that only tests and evaluations read.

Belongs here: truth tables by block and their files. Does not belong here: anything a silo may see; no
identifier made here (person, household) occurs in any source system.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from demo.world.billing import DAILY_USD, RATES_USD, Bills
from demo.world.block import Block, is_open
from demo.world.campaigns import response_truth
from demo.world.config import FAR_DAY, Ints
from demo.world.contacts import Contacts
from demo.world.dialer import p_right_party
from demo.world.files import Tree
from demo.world.households import EFFICIENCY_FACTOR, HEATINGS, PAYMENT_TYPES
from demo.world.identifiers import (
    account_numbers,
    business_names,
    customer_numbers,
    joined,
    padded,
    premise_numbers,
    service_points,
)
from demo.world.ledger import dates
from demo.world.occupancy import p_home
from demo.world.population import ABSENT, DECLINE_CAUSES, EFFICIENCY, LEFT, PATTERNS, ROLES, SOLAR
from demo.world.usage import BASE_LOAD_KEEP, SOLAR_SHARE_USED
from demo.world.vocab import GIVEN, SURNAMES, take

SUPPLY_USD_PER_KWH = 0.096
SERVE_USD_PER_MONTH = 4.2
_ROWS_AT_ONCE = 5_000


@dataclass
class TruthFiles:
    """Open truth files; blocks are appended as row groups, files put in place at the end."""

    tree: Tree
    writers: dict[str, pq.ParquetWriter] = field(default_factory=dict)

    def add(self, name: str, table: pa.Table) -> None:
        """Append rows to a truth table."""
        if name not in self.writers:
            path = self.tree.parts / f"{name}.parquet"
            self.writers[name] = pq.ParquetWriter(path, table.schema, compression="zstd")
        self.writers[name].write_table(table)

    def close(self) -> None:
        """Finish every file and put it in place."""
        for name, writer in self.writers.items():
            writer.close()
            self.tree.settle(self.tree.parts / f"{name}.parquet", f"{name}.parquet")


def person_ids(block: Block) -> pa.Array:
    """Ids of the block's persons, known to the truth only."""
    return joined("", "PERSON-", padded(block.people.persons.number, 8))


def write_truth(files: TruthFiles, block: Block, bills: Bills, contacts: Contacts) -> None:
    """Append everything true about a block."""
    ids = person_ids(block)
    files.add("person", _persons(block, ids))
    files.add("identity", _identity(block, contacts, ids))
    files.add("household", _households(block))
    for name, table in _slots(block):
        files.add(name, table)
    for table in response_truth(block, ids):
        files.add("response", table)
    files.add("clv", _value(block))
    files.add("nonpayment", _nonpayment(block, bills))


def _persons(block: Block, ids: pa.Array) -> pa.Table:
    persons = block.people.persons
    who = np.arange(len(persons))
    is_shop = persons.role == 3
    return pa.table(
        {
            "person_id": ids,
            "household_id": _household_ids(block, persons.tenancy),
            "is_business": is_shop,
            "role": take(ROLES, persons.role),
            "given_name": take(GIVEN, persons.given),
            "surname": take(SURNAMES, persons.surname),
            "business_name": _where(is_shop, business_names(persons, who)),
            "birth_date": dates(persons.birth_day),
            "owner_person_id": ids.take(pa.array(persons.owner, mask=persons.owner < 0)),
        }
    )


def _where(mask: Any, values: pa.Array) -> pa.Array:
    return values.take(pa.array(np.arange(len(values)), mask=~np.asarray(mask)))


def _household_ids(block: Block, tenancy: Ints) -> pa.Array:
    return joined("", "HOUSEHOLD-", padded(block.people.tenancies.number[tenancy], 8))


def _identity(block: Block, contacts: Contacts, ids: pa.Array) -> pa.Table:
    customers = block.people.customers
    # The mainframe has heard of those whose account was opened by the last business date.
    cis = joined("", "cis:", padded(customer_numbers(customers.number), 10))
    crm = joined("", "crm:", contacts.ids)
    return pa.table(
        {
            "person_id": pa.concat_arrays(
                [ids.take(pa.array(customers.person)), ids.take(pa.array(contacts.person))]
            ),
            "record_id": pa.concat_arrays([cis, crm]),
        }
    )


def decline_pct(block: Block) -> NDArray[np.float64]:
    """Fall of weather-normal import by the window's cause, in percent of what was expected over a year."""
    e, equipment, tenancies = block.expectation, block.equipment, block.people.tenancies
    station = block.people.premises.station[tenancies.premise]
    end = block.config.end_day

    def sums(of: NDArray[np.float64]) -> NDArray[np.float64]:
        first = np.full(len(station), end - 1_095)
        return block.weather.between(of, station, first, first + 1_095) / 3

    weather = block.weather
    thermal = e.per_heating_kh * sums(weather.heating_sums) + e.per_pump_kh * sums(weather.pump_sums)
    thermal += e.per_cooling_kh * sums(weather.cooling_sums)
    base, total = equipment.base_w * 8_766.0, e.daily_wh * 365.25 + thermal
    active = np.maximum(e.daily_wh * 365.25 - base, 0) * 0.6
    saved = (1 - EFFICIENCY_FACTOR) * (thermal + 0.6 * active + 0.5 * base)
    solar = np.minimum(e.solar_wh * 365.25 * SOLAR_SHARE_USED, 0.7 * total)
    gone = total - BASE_LOAD_KEEP * base - 0.08 * thermal
    away = total - 0.8 * base - 0.72 * thermal
    fall = np.select(
        [tenancies.cause == cause for cause in (SOLAR, LEFT, ABSENT, EFFICIENCY)],
        [solar, gone, away, saved],
        0.0,
    )
    return np.asarray(100 * fall / np.maximum(total, 1))


def _households(block: Block) -> pa.Table:
    tenancies, equipment, character = block.people.tenancies, block.equipment, block.character
    everybody = np.arange(len(tenancies))
    premise = block.people.premises.number[tenancies.premise]
    has_pv = equipment.pv_on < FAR_DAY
    is_away = tenancies.cause == ABSENT
    parts = np.where(equipment.ev_w > 0, "_ev", "")
    return pa.table(
        {
            "household_id": _household_ids(block, everybody),
            "customer_no": padded(customer_numbers(block.people.customers.number[tenancies.customer]), 10),
            "account_no": padded(account_numbers(tenancies.number), 12),
            "premise_no": padded(premise_numbers(premise), 10),
            "service_point_id": service_points(premise),
            "person_id": person_ids(block).take(pa.array(tenancies.person)),
            "opened_on": dates(tenancies.opened),
            "closed_on": dates(tenancies.closed),
            "occupancy_pattern": take(PATTERNS, tenancies.pattern),
            "archetype": joined(
                "", take(PATTERNS, tenancies.pattern), "_", take(HEATINGS, equipment.heating), pa.array(parts)
            ),
            "n_people": tenancies.n_people,
            "has_ev": equipment.ev_w > 0,
            "ev_power_w": equipment.ev_w,
            "has_pv": has_pv,
            "heating": take(HEATINGS, equipment.heating),
            "has_ac": equipment.has_ac,
            "efficiency_on": dates(np.where(tenancies.cause == EFFICIENCY, tenancies.cause_from, FAR_DAY)),
            "moved_out_on": dates(tenancies.left),
            "pv_installed_on": dates(equipment.pv_on),
            "absent_from": dates(np.where(is_away, tenancies.cause_from, FAR_DAY)),
            "absent_to": dates(np.where(is_away, tenancies.cause_to, FAR_DAY)),
            "decline_cause": take(DECLINE_CAUSES, tenancies.cause),
            "decline_from": dates(tenancies.cause_from),
            "true_decline_pct": decline_pct(block),
            "payment_type": take(PAYMENT_TYPES, character.payment_type),
            "hazard_switch_month": character.hazard_switch_month.astype(np.float64),
            "is_opted_in_han": equipment.is_opted_in_han,
        }
    )


def _slots(block: Block) -> list[tuple[str, pa.Table]]:
    """Truth by weekday type and half-hour: at home by premise, right party by account, at the end."""
    living = np.flatnonzero(
        is_open(block, block.config.end_day) & (block.people.tenancies.left > block.config.end_day)
    )
    tables = []
    for first in range(0, len(living), _ROWS_AT_ONCE):
        rows = living[first : first + _ROWS_AT_ONCE]
        premise = padded(
            premise_numbers(block.people.premises.number[block.people.tenancies.premise[rows]]), 10
        )
        account = padded(account_numbers(block.people.tenancies.number[rows]), 12)
        repeat = pa.array(np.repeat(np.arange(len(rows)), 48))
        slot = np.tile(np.arange(48), len(rows))
        for is_weekend in (False, True):
            kind = take(("weekday", "weekend"), np.full(len(slot), int(is_weekend)))
            shared: dict[str, Any] = {"day_type": kind, "slot": slot}
            at_home = p_home(block.habits, rows, is_weekend=is_weekend).ravel()
            reached = p_right_party(block, rows, is_weekend=is_weekend).ravel()
            tables.append(
                ("occupancy", pa.table({"premise_no": premise.take(repeat), **shared, "p_home": at_home}))
            )
            tables.append(
                (
                    "contact",
                    pa.table({"account_no": account.take(repeat), **shared, "p_right_party": reached}),
                )
            )
    return tables


def monthly_margin_usd(block: Block) -> NDArray[np.float64]:
    """Expected margin a month: standing charge and price over supply, less the cost to serve."""
    e, tariff = block.expectation, block.equipment.tariff
    station = block.people.premises.station[block.people.tenancies.premise]
    last = np.full(len(tariff), block.config.end_day)
    thermal = np.zeros(len(tariff))
    for share, sums in (
        (e.per_heating_kh, block.weather.heating_sums),
        (e.per_pump_kh, block.weather.pump_sums),
        (e.per_cooling_kh, block.weather.cooling_sums),
    ):
        thermal += share * block.weather.between(sums, station, last - 1_095, last) / 3
    kwh_month = (e.daily_wh * 365.25 + thermal) / 1000 / 12
    price = np.array([np.mean([r[3] for r in RATES_USD[t]]) for t in range(4)])[tariff]
    daily = np.array([DAILY_USD[t] for t in range(4)])[tariff]
    return np.asarray(daily * 30.4 * 0.45 + kwh_month * (price - SUPPLY_USD_PER_KWH) - SERVE_USD_PER_MONTH)


def _value(block: Block) -> pa.Table:
    tenancies = block.people.tenancies
    rows = np.flatnonzero(is_open(block, block.config.end_day))
    margin = monthly_margin_usd(block)[rows]
    # Customers leave by switching (their own hazard) or by moving (everybody's).
    hazard = block.character.hazard_switch_month[rows].astype(np.float64) + 0.004
    stays = np.where(tenancies.left[rows] <= block.config.end_day, 0.15, 1.0)

    def expected(months: int) -> NDArray[np.float64]:
        month = np.arange(1, months + 1)
        weights = (1 - hazard[:, None]) ** month * (1 / 1.08) ** (month / 12)
        return np.asarray(margin * stays * weights.sum(axis=1))

    return pa.table(
        {
            "customer_no": padded(
                customer_numbers(block.people.customers.number[tenancies.customer[rows]]), 10
            ),
            "account_no": padded(account_numbers(tenancies.number[rows]), 12),
            "expected_margin_12m_usd": expected(12),
            "expected_margin_60m_usd": expected(60),
        }
    )


def _nonpayment(block: Block, bills: Bills) -> pa.Table:
    """Probability that the latest bill of each open account goes more than 30 days late, as it was drawn."""
    p = np.full(len(block.people.tenancies), np.nan)
    order = np.argsort(bills.issued, kind="stable")
    order = order[bills.slot[order] < 50]
    p[bills.tenancy[order]] = bills.p_30dpd[order]
    rows = np.flatnonzero(is_open(block, block.config.end_day) & ~np.isnan(p))
    return pa.table(
        {"account_no": padded(account_numbers(block.people.tenancies.number[rows]), 12), "p_late_30": p[rows]}
    )
