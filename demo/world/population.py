"""Who lives where: premises, tenancies (a household at a premise under an account) and persons, as columns.

Belongs here: the people of one block of premises and the facts that identify them. Does not belong here:
how they live and use energy (households.py), and how each silo spells them (cis.py, crm.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from demo.world.config import FAR_DAY, Bools, Floats, Ints, Streams, WorldConfig
from demo.world.vocab import (
    BUSINESS_HEADS,
    BUSINESS_TAILS,
    CITIES,
    CITY_LATITUDE,
    CITY_LONGITUDE,
    CITY_STATIONS,
    GIVEN,
    STREETS,
    SURNAMES,
    surname_weights,
)

PATTERNS = ("worker", "retired", "shift", "student", "family", "weekender", "business")
WORKER, RETIRED, SHIFT, STUDENT, FAMILY, WEEKENDER, BUSINESS = range(7)
CLOSE_REASONS = ("", "MO", "SW")
MOVED_OUT, SWITCHED = 1, 2
DECLINE_CAUSES = ("none", "solar", "moved_out", "absent", "efficiency")
SOLAR, LEFT, ABSENT, EFFICIENCY = 1, 2, 3, 4
ROLES = ("holder", "partner", "child", "business")
FEEDERS_PER_CITY = 4


@dataclass(frozen=True)
class Premises:
    """The metered places of a block, one row each."""

    number: Ints
    """Row number in the whole world (0…customers−1); premise number, service point, serial derive from it."""
    city: Ints
    street: Ints
    house_no: Ints
    unit: Ints
    """Flat number, 0 for a house."""
    dwelling: Ints
    """0 house, 1 flat, 2 shop."""
    feeder: Ints
    section: Ints
    """Which of the feeder's four sections: an outage takes sections, not single homes."""
    latitude: Floats
    longitude: Floats
    cycle_day: Ints
    """Day of the month on which the billing period ends, 1…28."""

    def __len__(self) -> int:
        return len(self.number)

    @property
    def station(self) -> Ints:
        """Weather station of each premise."""
        return CITY_STATIONS[self.city]


@dataclass(frozen=True)
class Tenancies:
    """Households at premises, one row an account: today's in premise order, then earlier and later ones."""

    premise: Ints
    opened: Ints
    """Day number of the account's opening; ``closed`` is the first day without the account."""
    closed: Ints
    close_reason: Ints
    left: Ints
    """Day the household really moved out (``FAR_DAY`` while it lives there)."""
    cause: Ints
    """Index into ``DECLINE_CAUSES`` for the window."""
    cause_from: Ints
    cause_to: Ints
    person: Ints
    customer: Ints
    is_business: Bools
    pattern: Ints
    n_people: Ints
    number: Ints
    """Account number before the check digit, unique in the world."""

    def __len__(self) -> int:
        return len(self.premise)


@dataclass(frozen=True)
class Persons:
    """Natural persons and businesses of a block."""

    tenancy: Ints
    """The tenancy this person holds or lives in (a mover's latest)."""
    role: Ints
    given: Ints
    surname: Ints
    is_junior: Bools
    birth_day: Ints
    mobile: Ints
    home_phone: Ints
    """Numbers are serials in the world's numbering plan; −1 means none."""
    mail_kind: Ints
    """−1 no e-mail, otherwise which pattern of address."""
    business_head: Ints
    business_tail: Ints
    owner: Ints
    """For a business, the person who owns it; −1 otherwise."""
    number: Ints

    def __len__(self) -> int:
        return len(self.tenancy)


@dataclass(frozen=True)
class Customers:
    """CIS customer records: a mover may have two."""

    person: Ints
    number: Ints
    since: Ints


@dataclass(frozen=True)
class Population:
    """The people and places of one block."""

    premises: Premises
    tenancies: Tenancies
    persons: Persons
    customers: Customers


def make_premises(config: WorldConfig, block: int, streams: Streams) -> Premises:
    """Premises of a block: plausible addresses along streets, on feeders, near a weather station."""
    draw = streams.get("premises")
    n = config.meters_in(block)
    number = block * config.meters_per_block + np.arange(n)
    city = draw.choice(len(CITIES), n, p=[0.42, 0.2, 0.16, 0.12, 0.1])
    dwelling = draw.choice(3, n, p=[0.66, 0.305, 0.035])
    # Each street numbers its own houses upwards, so an address is one premise.
    street = number * 37 % len(STREETS)
    house_no = 101 + street * 53 % 40 * 100 + number // len(STREETS) * 2
    feeder = city * FEEDERS_PER_CITY + street % FEEDERS_PER_CITY
    return Premises(
        number=number,
        city=city,
        street=street,
        house_no=house_no,
        unit=np.where(dwelling == 1, draw.integers(1, 40, n), 0),
        dwelling=dwelling,
        feeder=feeder,
        section=draw.integers(0, 4, n),
        latitude=(CITY_LATITUDE[city] + draw.normal(0, 0.012, n)).astype(np.float32),
        longitude=(CITY_LONGITUDE[city] + draw.normal(0, 0.015, n)).astype(np.float32),
        cycle_day=draw.integers(1, 29, n),
    )


def _pair_movers(
    opened: Ints, closed: Ints, may_leave: Bools, may_arrive: Bools, premise: Ints
) -> tuple[Ints, Ints]:
    """Pairs (former, new tenancy) of people who moved within 60 days; nobody moves twice or stays put."""
    leavers = np.flatnonzero(may_leave)
    leavers = leavers[np.argsort(closed[leavers], kind="stable")]
    arrivals = np.flatnonzero(may_arrive)
    arrivals = arrivals[np.argsort(opened[arrivals], kind="stable")]
    if len(leavers) == 0 or len(arrivals) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    place = np.searchsorted(opened[arrivals], closed[leavers] - 3)
    keep = place < len(arrivals)
    leavers, place = leavers[keep], place[keep]
    place, first = np.unique(place, return_index=True)
    leavers, found = leavers[first], arrivals[place]
    good = (opened[found] - closed[leavers] <= 60) & (premise[found] != premise[leavers]) & (found != leavers)
    leavers, found = leavers[good], found[good]
    # A chain (B left for C while A moved into B) would give one person three homes: keep its first link only.
    free = ~np.isin(found, leavers)
    return leavers[free], found[free]


def make_tenancies(config: WorldConfig, premises: Premises, streams: Streams) -> tuple[Tenancies, Ints, Ints]:
    """Tenancies of a block, and the pairs (former, new) of people who moved; persons are set afterwards."""
    draw = streams.get("tenancies")
    n = len(premises)
    end, start, days = config.end_day, config.start_day, config.days
    is_recent = draw.random(n) < 0.17
    months = np.where(is_recent, draw.uniform(3, 26, n), np.clip(27 + draw.exponential(60, n), 27, 180))
    opened = np.minimum((end - days - months * 30.4).astype(np.int64), start - 1)
    is_business = premises.dwelling == 2
    pattern = np.where(is_business, BUSINESS, draw.choice(6, n, p=[0.3, 0.22, 0.1, 0.07, 0.23, 0.08]))
    pattern = np.where(
        (pattern == FAMILY) & (premises.dwelling == 1) & (draw.random(n) < 0.5), WORKER, pattern
    )

    # One thing at most happens to a household in the window, so that each decline has one cause.
    u = draw.random(n)
    is_house = premises.dwelling == 0
    cause = np.select(
        [is_house & (u < 0.022), u < 0.022, u < 0.052, u < 0.092, u < 0.122],
        [SOLAR, 0, LEFT, ABSENT, EFFICIENCY],
        default=0,
    )
    cause = np.where(is_business & (cause != LEFT), 0, cause)
    day = start + (days * draw.uniform(0.2, 0.75, n)).astype(np.int64)
    cause_from = np.where(cause > 0, day, FAR_DAY)
    length = np.clip(draw.gamma(3.0, 6.0, n), 5, 60).astype(np.int64)
    cause_to = np.where(cause == ABSENT, cause_from + length, FAR_DAY)
    left = np.where(cause == LEFT, cause_from, FAR_DAY)
    # Some never tell: the account stays open over an empty home.
    closes = (cause == LEFT) & (draw.random(n) < 0.75)
    closed = np.where(closes, left + draw.integers(0, 15, n), FAR_DAY)
    switches = (cause == 0) & (draw.random(n) < 0.004 * days / 30)
    closed = np.where(switches, start + (days * draw.uniform(0.1, 0.95, n)).astype(np.int64), closed)
    closed = np.where(closed > end, FAR_DAY, closed)
    reason = np.where(closed < FAR_DAY, np.where(switches, SWITCHED, MOVED_OUT), 0)

    before = np.flatnonzero(is_recent & (draw.random(n) < 0.93))
    gap = draw.integers(0, 40, len(before))
    before_closed = opened[before] - gap
    before_reason = np.where(draw.random(len(before)) < 0.55, MOVED_OUT, SWITCHED)
    before_opened = before_closed - np.clip(draw.exponential(50, len(before)), 4, 170).astype(np.int64) * 30
    after = np.flatnonzero((reason == MOVED_OUT) & (draw.random(n) < 0.45))
    after_opened = closed[after] + draw.integers(4, 20, len(after))
    after, after_opened = after[after_opened <= end - 3], after_opened[after_opened <= end - 3]

    extra = np.concatenate([before, after])
    b, a = len(before), len(after)
    new_pattern = np.where(
        is_business[extra], BUSINESS, draw.choice(6, b + a, p=[0.34, 0.14, 0.12, 0.16, 0.16, 0.08])
    )
    far_b, far_a, far_x = np.full(b, FAR_DAY), np.full(a, FAR_DAY), np.full(b + a, FAR_DAY)
    all_pattern = np.concatenate([pattern, new_pattern])
    people = np.array([1.7, 1.6, 2.0, 1.8, 3.8, 1.6, 1.0])[all_pattern]
    total = n + b + a
    tenancies = Tenancies(
        premise=np.concatenate([np.arange(n), extra]),
        opened=np.concatenate([opened, before_opened, after_opened]),
        closed=np.concatenate([closed, before_closed, far_a]),
        close_reason=np.concatenate([reason, before_reason, np.zeros(a, np.int64)]),
        left=np.concatenate([left, np.where(before_reason == MOVED_OUT, before_closed, far_b), far_a]),
        cause=np.concatenate([cause, np.zeros(b + a, np.int64)]),
        cause_from=np.concatenate([cause_from, far_x]),
        cause_to=np.concatenate([cause_to, far_x]),
        person=np.zeros(total, np.int64),
        customer=np.zeros(total, np.int64),
        is_business=all_pattern == BUSINESS,
        pattern=all_pattern,
        n_people=np.where(all_pattern == BUSINESS, 0, np.clip(draw.poisson(people - 1) + 1, 1, 7)),
        number=(premises.number[0] if n else 0) * 2 + draw.permutation(total),
    )
    old, new = _pair_movers(
        tenancies.opened,
        tenancies.closed,
        (tenancies.close_reason == MOVED_OUT) & ~tenancies.is_business,
        (tenancies.opened > start - 800) & ~tenancies.is_business & (draw.random(total) < 0.8),
        tenancies.premise,
    )
    # A moving household keeps its way of life.
    tenancies.pattern[new] = tenancies.pattern[old]
    tenancies.n_people[new] = tenancies.n_people[old]
    return tenancies, old, new


def _birth_days(draw: np.random.Generator, pattern: Ints, end_day: int) -> Ints:
    """Birth days that fit the pattern of life (students are young, the retired are not)."""
    youngest = np.array([23, 64, 22, 19, 28, 27, 30])[pattern]
    oldest = np.array([64, 92, 62, 27, 52, 66, 68])[pattern]
    return (end_day - 365.25 * draw.uniform(youngest, oldest)).astype(np.int64)


def make_population(config: WorldConfig, block: int) -> Population:
    """The premises, tenancies, persons and CIS customers of one block; fixed by the seed and the block."""
    streams = Streams(config.seed, block)
    premises = make_premises(config, block, streams)
    tenancies, old, new = make_tenancies(config, premises, streams)
    draw = streams.get("persons")
    t = len(tenancies)

    is_second = np.zeros(t, bool)
    is_second[new] = True
    holders = np.flatnonzero(~is_second)
    person_of = np.zeros(t, np.int64)
    person_of[holders] = np.arange(len(holders))
    person_of[new] = person_of[old]
    tenancies.person[:] = person_of
    latest = holders.copy()
    latest[person_of[old]] = new

    # Others in the household whom the CRM knows: partners and grown-up children, often with the same surname.
    lives_now = (tenancies.closed >= config.end_day) & ~tenancies.is_business & (tenancies.n_people >= 2)
    hosts = np.flatnonzero(lives_now & (draw.random(t) < 0.3))
    role = np.where(draw.random(len(hosts)) < 0.6, 1, 2)
    h, m = len(holders), len(hosts)
    count = h + m
    given = draw.integers(0, len(GIVEN), count)
    surname = draw.choice(len(SURNAMES), count, p=surname_weights())
    host_person = person_of[hosts]
    keeps_name = (role == 2) | (draw.random(m) < 0.8)
    surname[h:] = np.where(keeps_name, surname[host_person], surname[h:])
    is_junior = np.zeros(count, bool)
    is_junior[h:] = (role == 2) & (draw.random(m) < 0.25)
    given[h:] = np.where(is_junior[h:], given[host_person], given[h:])
    birth = np.empty(count, np.int64)
    birth[:h] = _birth_days(draw, tenancies.pattern[holders], config.end_day)
    birth[h:] = np.where(
        role == 2,
        birth[host_person] + 365 * draw.integers(19, 34, m),
        birth[host_person] + draw.integers(-2500, 2500, m),
    )
    birth[h:] = np.minimum(birth[h:], config.end_day - 17 * 366)

    base = int(premises.number[0]) * 4 if len(premises) else 0
    mobile = base + np.arange(count) * 2
    age = (config.end_day - birth) / 365.25
    mobile = np.where(draw.random(count) < np.where(age > 70, 0.55, 0.93), mobile, -1)
    has_line = draw.random(count) < np.where(age > 60, 0.75, 0.22)
    home = np.where(has_line | (mobile < 0), base + np.arange(count) * 2 + 1, -1)
    home[h:] = home[host_person]
    mail = np.where(draw.random(count) < np.where(age > 72, 0.45, 0.88), draw.integers(0, 4, count), -1)

    is_business = np.concatenate([tenancies.is_business[holders], np.zeros(m, bool)])
    private = np.flatnonzero(~is_business[:h])
    owner = np.full(count, -1)
    shops = np.flatnonzero(is_business)
    if len(private):
        owner[shops] = private[draw.integers(0, len(private), len(shops))]
        shares = draw.random(len(shops)) < 0.5
        mobile[shops] = np.where(shares, mobile[owner[shops]], mobile[shops])
    persons = Persons(
        tenancy=np.concatenate([latest, hosts]),
        role=np.concatenate([np.where(tenancies.is_business[holders], 3, 0), role]),
        given=given,
        surname=surname,
        is_junior=is_junior,
        birth_day=birth,
        mobile=mobile,
        home_phone=home,
        mail_kind=mail,
        business_head=draw.integers(0, len(BUSINESS_HEADS), count),
        business_tail=draw.integers(0, len(BUSINESS_TAILS), count),
        owner=owner,
        number=(int(premises.number[0]) if len(premises) else 0) * 2 + np.arange(count),
    )

    # CIS: one customer a person, except that a third of the movers were opened as somebody new.
    anew = new[draw.random(len(new)) < 0.35]
    customer_person = np.concatenate([np.arange(h), person_of[anew]])
    tenancies.customer[:] = person_of
    tenancies.customer[anew] = h + np.arange(len(anew))
    since = np.full(len(customer_person), FAR_DAY)
    np.minimum.at(since, tenancies.customer, tenancies.opened)
    numbers = (int(premises.number[0]) if len(premises) else 0) * 2 + draw.permutation(len(customer_person))
    return Population(premises, tenancies, persons, Customers(customer_person, numbers, since))
