"""The mainframe's nightly extract, as it writes it: EBCDIC records by day.

Belongs here: which record the CIS writes on which night and its layout
(orchestration/feeds/cis/cis_extract.cpy). Does not belong here: how bytes of a field are made
(ebcdic.py), nor the bills themselves (billing.py).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from demo.world.billing import DAILY_USD, PRICE_RISE, RATES_USD, Bills, Payments, price_rise_day
from demo.world.block import Block
from demo.world.clock import date_and_time_digits
from demo.world.config import FAR_DAY, LOCAL_TIME_ZONE, Bools, Ints, WorldConfig, day_number, yyyymmdd
from demo.world.ebcdic import Cells, binary, packed, records, text, zoned
from demo.world.households import METHODS, TARIFF_CODES
from demo.world.identifiers import (
    account_numbers,
    bill_numbers,
    business_names,
    cities,
    customer_numbers,
    full_addresses,
    mail_addresses,
    meter_serials,
    phone_digits,
    premise_numbers,
    service_points,
)
from demo.world.population import CLOSE_REASONS
from demo.world.vocab import GIVEN, POSTCODES, STATIONS, SURNAMES, TYPO_VARIANTS, take, typo_table

TARIFF_NAMES = ("Residential Flat", "Residential Time of Use", "EV Overnight", "Small Commercial")
COUNTED = {"C": "customer", "P": "premise", "A": "account", "T": "tariff", "B": "bill", "Y": "payment"}


@dataclass
class Totals:
    """What the trailer of one night's file declares."""

    counts: Counter[str] = field(default_factory=Counter)
    bill_cents: int = 0
    payment_cents: int = 0


Nights = dict[int, tuple[list[bytes], Totals]]


def file_name(day: date) -> str:
    """Name of a night's extract."""
    return f"CIS.EXTRACT.D{day:%y%m%d}.dat"


def header(day: date) -> bytes:
    """The header record of a night's extract."""
    made = day + timedelta(days=1)
    row = [
        text("CISXTR01", 8, 1),
        zoned(np.array([int(f"{day:%Y%m%d}")]), 8),
        zoned(np.array([int(f"{made:%Y%m%d}021500")]), 14),
        text("RBPLCIS", 8, 1),
    ]
    return records("H", row).tobytes()


def trailer(totals: Totals) -> bytes:
    """The trailer record with the control totals."""
    row = [binary(np.array([totals.counts[kind]]), 4) for kind in COUNTED]
    row += [packed(np.array([cents]), 13, signed=True) for cents in (totals.bill_cents, totals.payment_cents)]
    return records("Z", row).tobytes()


def nightly(block: Block, bills: Bills, payments: Payments) -> Nights:
    """The block's records by business day: everything on the first, then what changed that day."""
    nights: Nights = {day_number(d): ([], Totals()) for d in block.config.dates}
    _customers(block, nights)
    _premises(block, nights)
    _accounts(block, bills, payments, nights)
    if block.number == 0:
        _tariffs(block.config, nights)
    _bills(block, bills, nights)
    _payments(block, payments, bills, nights)
    return nights


def _emit(nights: Nights, kind: str, days: Ints, cells: Cells, cents: Ints | None = None) -> None:
    """Give each night its records, in their order; days before the first are not for this function."""
    order = np.argsort(days, kind="stable")
    cells, days = cells[order], days[order]
    marks, first = np.unique(days, return_index=True)
    stops = [*first[1:], len(days)]
    for day, low, high in zip(marks, first, stops, strict=True):
        body, totals = nights[int(day)]
        body.append(cells[low:high].tobytes())
        totals.counts[kind] += int(high - low)
        if cents is not None:
            amount = int(cents[order][low:high].sum())
            if kind == "B":
                totals.bill_cents += amount
            else:
                totals.payment_cents += amount


def _stamp(days: Ints, serials: Ints) -> Cells:
    """CHANGED-AT: local time within office hours of the day."""
    return zoned(date_and_time_digits(days, 8 * 3600 + serials * 7919 % 32_400), 14)


def _flag(values: Bools) -> Cells:
    return text(pa.array(np.where(values, "Y", "N")), 1)


def _customers(block: Block, nights: Nights) -> None:
    customers, persons = block.people.customers, block.people.persons
    start = block.config.start_day
    learnt = block.mail_known_on(customers.person)
    changes = np.flatnonzero(
        (learnt > np.maximum(customers.since, start)) & (persons.mail_kind[customers.person] >= 0)
    )
    row = np.concatenate([np.arange(len(customers.person)), changes])
    day = np.concatenate([np.maximum(customers.since, start), learnt[changes]])
    known = np.concatenate([np.zeros(len(customers.person), np.int64), learnt[changes]])
    who = customers.person[row]
    is_shop = persons.role[who] == 3
    blank = pa.scalar("")
    shop = pa.array(is_shop)
    serial = persons.number[who]
    misspelt = take(typo_table(SURNAMES), persons.surname[who] * TYPO_VARIANTS + serial % TYPO_VARIANTS)
    surname = pc.if_else(pa.array(serial % 59 == 0), misspelt, take(SURNAMES, persons.surname[who]))
    # The names alternate between his and hers, but for the last dozen.
    given = persons.given[who]
    says = (serial % 3 > 0) & (given < len(GIVEN) - 12)
    title = pa.array(np.select([says & (given % 2 == 0), says], ["MR", "MS"], ""))
    has_mail = (learnt[row] <= known) | (learnt[row] <= customers.since[row])
    first = np.where(persons.mobile[who] >= 0, persons.mobile[who], persons.home_phone[who])
    second = np.where(persons.mobile[who] >= 0, persons.home_phone[who], -1)
    kind = np.where(is_shop, "W", np.where(persons.mobile[who] >= 0, "M", "H"))
    at = persons.tenancy[who]
    character = block.character
    priority = np.select([character.is_medical[at], character.is_vulnerable[at]], ["ME", "VU"], "")
    changed = np.where(
        known > 0, day, np.minimum(np.maximum(customers.since[row], start - 700 + serial % 690), day)
    )
    cells = records(
        "C",
        [
            zoned(customer_numbers(customers.number[row]), 10),
            text(pa.array(np.where(is_shop, "B", "P")), 1),
            text(pc.if_else(shop, blank, title), 6),
            text(pc.if_else(shop, blank, pc.ascii_upper(take(GIVEN, persons.given[who]))), 20),
            text(pc.if_else(shop, blank, pc.ascii_upper(surname)), 30),
            text(pc.if_else(shop, pc.ascii_upper(business_names(persons, who)), blank), 40),
            packed(
                np.where(is_shop | (serial % 11 == 0), 0, yyyymmdd(persons.birth_day[who])), 8, signed=False
            ),
            text(pa.array(kind), 1),
            text(_typed_phone(first, serial), 15),
            text(pa.array(np.where(second >= 0, "H", "")), 1),
            text(_typed_phone(second, serial + 3), 15),
            text(pc.if_else(pa.array(has_mail), mail_addresses(persons, who), blank), 50),
            text(pa.array(np.where(block.is_spanish(who), "es", "en")), 2),
            text(pa.array(np.where(is_shop, "", priority)), 2),
            zoned(yyyymmdd(customers.since[row]), 8),
            _stamp(changed, serial),
        ],
    )
    _emit(nights, "C", day, cells)


def _typed_phone(serials: Ints, style: Ints) -> pa.Array:
    digits = phone_digits(serials)
    dashed = pc.replace_substring_regex(digits, pattern=r"^(\d{3})(\d{3})(\d{4})$", replacement=r"\1-\2-\3")
    return pc.if_else(pa.array(style % 9 == 0), dashed, digits)


def _premises(block: Block, nights: Nights) -> None:
    premises = block.people.premises
    index = np.arange(len(premises))
    day = np.full(len(index), block.config.start_day)
    cells = records(
        "P",
        [
            zoned(premise_numbers(premises.number), 10),
            text(pc.ascii_upper(full_addresses(premises, index)), 40),
            text(pc.ascii_upper(cities(premises, index)), 25),
            text("WI", 2, len(index)),
            text(pa.array(POSTCODES[premises.city]).cast(pa.string()), 8),
            text(feeders(premises.feeder), 8),
            text(take(STATIONS, premises.station), 8),
            text(LOCAL_TIME_ZONE, 24, len(index)),
            text(take(("H", "F", "S"), premises.dwelling), 1),
            packed(np.rint(premises.latitude.astype(np.float64) * 100_000).astype(np.int64), 8, signed=True),
            packed(np.rint(premises.longitude.astype(np.float64) * 100_000).astype(np.int64), 8, signed=True),
            _stamp(day - 400, premises.number),
        ],
    )
    _emit(nights, "P", day, cells)


def feeders(numbers: Ints) -> pa.Array:
    """Feeder names."""
    return take([f"FDR{n:03d}" for n in range(100)], numbers)


def balance_events(config: WorldConfig, bills: Bills, payments: Payments) -> tuple[Ints, Ints, Ints]:
    """Everything that moves a balance: tenancy, day and cents, until the last business date."""
    tenancy = np.concatenate([bills.tenancy, bills.tenancy, payments.tenancy, payments.tenancy])
    day = np.concatenate([bills.issued, bills.reversed_on, payments.received, payments.returned_on])
    cents = np.concatenate([bills.cents, -bills.cents, -payments.cents, payments.cents])
    seen = day <= config.end_day
    return tenancy[seen], day[seen], cents[seen]


def _accounts(block: Block, bills: Bills, payments: Payments, nights: Nights) -> None:
    config, tenancies, character = block.config, block.people.tenancies, block.character
    t = len(tenancies)
    start, end = config.start_day, config.end_day
    tenancy, day, cents = balance_events(config, bills, payments)
    closing = np.flatnonzero(tenancies.closed <= end)
    # An account shows on the night it opens (or in the first file), changes its balance, or closes.
    tenancy = np.concatenate([np.arange(t), tenancy, closing])
    day = np.concatenate([tenancies.opened, day, tenancies.closed[closing]])
    cents = np.concatenate([np.zeros(t, np.int64), cents, np.zeros(len(closing), np.int64)])
    day = np.maximum(day, start)
    order = np.lexsort((day, tenancy))
    tenancy, day, cents = tenancy[order], day[order], cents[order]
    running = np.cumsum(cents)
    begin = np.searchsorted(tenancy, np.arange(t))
    before = np.concatenate([[0], running])[begin]
    balance = running - before[tenancy]
    is_last = np.ones(len(day), bool)
    is_last[:-1] = (tenancy[1:] != tenancy[:-1]) | (day[1:] != day[:-1])
    tenancy, day, balance = tenancy[is_last], day[is_last], balance[is_last]
    keep = day <= end
    tenancy, day, balance = tenancy[keep], day[keep], balance[keep]
    closed = np.where(tenancies.closed[tenancy] <= day, tenancies.closed[tenancy], FAR_DAY)
    premise = block.people.premises.number[tenancies.premise[tenancy]]
    changed = np.where(day == start, start - 1 - tenancies.number[tenancy] % 300, day)
    changed = np.maximum(changed, tenancies.opened[tenancy])
    cells = records(
        "A",
        [
            zoned(account_numbers(tenancies.number[tenancy]), 12),
            zoned(customer_numbers(block.people.customers.number[tenancies.customer[tenancy]]), 10),
            zoned(premise_numbers(premise), 10),
            text(service_points(premise), 10),
            text(meter_serials(premise), 12),
            text(take(TARIFF_CODES, block.equipment.tariff[tenancy]), 6),
            zoned(yyyymmdd(tenancies.opened[tenancy]), 8),
            zoned(yyyymmdd(closed), 8),
            text(take(CLOSE_REASONS, np.where(closed < FAR_DAY, tenancies.close_reason[tenancy], 0)), 2),
            zoned(yyyymmdd(character.contract_end[tenancy]), 8),
            packed(balance, 9, signed=True),
            text(take(METHODS, character.method[tenancy]), 2),
            _flag(character.is_paperless[tenancy]),
            _stamp(changed, tenancies.number[tenancy]),
        ],
    )
    _emit(nights, "A", day, cells)


def _tariffs(config: WorldConfig, nights: Nights) -> None:
    rise = price_rise_day(config)
    days = [config.start_day, rise] if config.start_day < rise <= config.end_day else [config.start_day]
    for day in days:
        factor = PRICE_RISE if day >= rise else 1.0
        body, totals = nights[day]
        for tariff, rates in RATES_USD.items():
            row = [
                text(TARIFF_CODES[tariff], 6, 1),
                text(TARIFF_NAMES[tariff], 30, 1),
                packed(np.array([round(DAILY_USD[tariff] * 10_000)]), 7, signed=True),
                binary(np.array([len(rates)]), 2),
            ]
            for name, first, last, usd in rates:
                row += [text(name, 8, 1), zoned(np.array([first]), 2), zoned(np.array([last]), 2)]
                row.append(packed(np.array([round(usd * factor * 100_000)]), 6, signed=True))
            body.append(records("T", row).tobytes())
            totals.counts["T"] += 1


def _bills(block: Block, bills: Bills, nights: Nights) -> None:
    start, end = block.config.start_day, block.config.end_day
    account = block.people.tenancies.number[bills.tenancy]
    later = np.flatnonzero((bills.reversed_on > np.maximum(bills.issued, start)) & (bills.reversed_on <= end))
    row = np.concatenate([np.arange(len(bills)), later])
    day = np.maximum(np.concatenate([bills.issued, bills.reversed_on[later]]), start)
    row, day = row[day <= end], day[day <= end]
    part = bills.take(row)
    cells = records(
        "B",
        [
            zoned(bill_numbers(account[row], part.slot), 12),
            zoned(account_numbers(account[row]), 12),
            zoned(yyyymmdd(part.period_start), 8),
            zoned(yyyymmdd(part.period_end), 8),
            zoned(yyyymmdd(part.issued), 8),
            zoned(yyyymmdd(part.due), 8),
            packed(part.wh, 10, signed=True),
            packed(part.cents, 9, signed=True),
            text(pa.array(np.where(part.is_estimated, "E", "A")), 1),
            _flag(part.reversed_on <= day),
        ],
    )
    _emit(nights, "B", day, cells, part.cents)


def payment_numbers(account_serials: Ints, slots: Ints, parts: Ints) -> Ints:
    """Payment numbers: four for each bill."""
    return 500_000_000_000 + (account_serials * 100 + slots) * 4 + parts


def _payments(block: Block, payments: Payments, bills: Bills, nights: Nights) -> None:
    start, end = block.config.start_day, block.config.end_day
    later = np.flatnonzero(
        (payments.returned_on > np.maximum(payments.received, start)) & (payments.returned_on <= end)
    )
    row = np.concatenate([np.arange(len(payments.bill)), later])
    day = np.maximum(np.concatenate([payments.received, payments.returned_on[later]]), start)
    account = block.people.tenancies.number[payments.tenancy[row]]
    slot = bills.slot[payments.bill[row]]
    cells = records(
        "Y",
        [
            zoned(payment_numbers(account, slot, payments.part[row]), 12),
            zoned(account_numbers(account), 12),
            zoned(bill_numbers(account, slot), 12),
            zoned(yyyymmdd(payments.received[row]), 8),
            packed(payments.cents[row], 9, signed=True),
            text(take(METHODS, block.character.method[payments.tenancy[row]]), 2),
            text(pa.array(np.where(payments.returned_on[row] <= day, "R", "P")), 1),
        ],
    )
    _emit(nights, "Y", day, cells, payments.cents[row])
