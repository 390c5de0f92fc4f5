"""The legacy CRM's contacts: the same people as in the mainframe, typed by other hands at other times.

Belongs here: which people the CRM knows and how it spells them. Does not belong here: what they said or
were offered (crm.py, campaigns.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from demo.world.block import Block
from demo.world.config import FAR_DAY, Ints
from demo.world.identifiers import (
    account_numbers,
    business_names,
    cities,
    full_addresses,
    joined,
    mail_addresses,
    padded,
    phone_digits,
)
from demo.world.ledger import dates, moments
from demo.world.vocab import (
    GIVEN,
    POSTCODES,
    STREETS,
    SURNAMES,
    TYPO_VARIANTS,
    long_street_table,
    nickname_table,
    take,
    typo_table,
)

_PHONE_STYLES = (r"(\1) \2-\3", r"\1-\2-\3", r"\1.\2.\3", r"+1 \1 \2 \3", r"\1\2\3", r"1-\1-\2-\3")
NULL = pa.scalar(None, pa.string())


@dataclass(frozen=True)
class Contacts:
    """Contacts of a block: which person each is, and its row for the CRM."""

    person: Ints
    number: Ints
    created: Ints
    updated: Ints
    has_mail: pa.Array
    table: pa.Table

    @property
    def ids(self) -> pa.Array:
        """Contact ids."""
        return self.table["contact_id"].combine_chunks()


def contact_ids(numbers: Ints) -> pa.Array:
    """``K`` and seven digits."""
    return joined("", "K", padded(numbers, 7))


def make_contacts(block: Block) -> Contacts:
    """The contacts of the block's people: most once, some twice, some not at all."""
    draw = block.streams.get("contacts")
    persons, tenancies = block.people.persons, block.people.tenancies
    config = block.config
    everybody = np.arange(len(persons))
    known = everybody[
        draw.random(len(everybody))
        < np.where(persons.role == 0, 0.92, np.where(persons.role == 3, 0.85, 1.0))
    ]
    twice = known[draw.random(len(known)) < 0.08]
    who = np.concatenate([known, twice])
    n = len(who)
    is_second = np.arange(n) >= len(known)
    number = block.first_serial + 1 + draw.permutation(n)
    shop = persons.role[who] == 3
    names = _names(block, who, shop, draw)
    opened = tenancies.opened[persons.tenancy[who]]
    # A mover's contact may date from the former home.
    former = _former_tenancy(block)[who]
    keeps_old = (former >= 0) & (draw.random(n) < 0.6)
    at = np.where(keeps_old, former, persons.tenancy[who])
    created = np.clip(
        np.where(former >= 0, tenancies.opened[at], opened) + draw.integers(0, 400, n),
        None,
        config.end_day - 1,
    )
    created = np.where(is_second, np.maximum(created, config.end_day - draw.integers(2, 700, n)), created)
    fresh = draw.random(n) < 0.12
    updated = np.where(fresh, config.end_day - draw.integers(0, 90, n), created + draw.integers(0, 300, n))
    updated = np.clip(updated, created, config.end_day)

    member = (persons.role[who] == 1) | (persons.role[who] == 2)
    p_account = np.where(member, 0.12, np.where(is_second, 0.25, 0.6))
    account = pa.array(draw.random(n) < p_account)
    mail = mail_addresses(persons, who)
    other = mail_addresses(persons, who, 1)
    u = draw.random(n)
    mail = pc.if_else(pa.array(u < 0.62), mail, pc.if_else(pa.array(u < 0.74), other, NULL))
    mail = pc.if_else(pa.array(draw.random(n) < 0.1), pc.utf8_upper(mail), mail)
    birth = persons.birth_day[who]
    birth = np.where(shop | (draw.random(n) < 0.58), FAR_DAY, birth)
    place = tenancies.premise[at]
    table = pa.table(
        {
            "contact_id": contact_ids(number),
            "full_name": names[0],
            "given_name": names[1],
            "surname": names[2],
            "email": mail,
            "phone": _phones(block, who, draw),
            "address_line": _addresses(block, place, draw),
            "city": pc.if_else(pa.array(draw.random(n) < 0.06), NULL, cities(block.people.premises, place)),
            "postcode": _postcodes(block, place, draw),
            "account_no": pc.if_else(account, padded(account_numbers(tenancies.number[at]), 12), NULL),
            "birth_date": dates(birth),
            "created_at": moments(created, 9 * 3600 + number % 25_000),
            "updated_at": moments(updated, 9 * 3600 + 25_000 + number % 9_000),
        }
    )
    return Contacts(who, number, created, updated, pc.is_valid(mail), table)


def _former_tenancy(block: Block) -> Ints:
    """For each person the tenancy lived in before, −1 for those who never moved."""
    tenancies, persons = block.people.tenancies, block.people.persons
    former = np.full(len(persons), -1)
    everybody = np.arange(len(tenancies))
    earlier = everybody[persons.tenancy[tenancies.person] != everybody]
    former[tenancies.person[earlier]] = earlier
    return former


def _names(
    block: Block, who: Ints, shop: np.ndarray, draw: np.random.Generator
) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Full, given and surname columns, with nicknames, slips, swapped fields and several orders."""
    persons, n = block.people.persons, len(who)
    variant = draw.integers(0, TYPO_VARIANTS, n)
    given_slip = take(typo_table(GIVEN), persons.given[who] * TYPO_VARIANTS + variant)
    surname_slip = take(typo_table(SURNAMES), persons.surname[who] * TYPO_VARIANTS + variant)
    u, v, w = draw.random(n), draw.random(n), draw.random(n)
    given = take(GIVEN, persons.given[who])
    given = pc.if_else(pa.array(u < 0.16), take(nickname_table(), persons.given[who]), given)
    given = pc.if_else(pa.array((u > 0.16) & (u < 0.21)), given_slip, given)
    given = pc.if_else(pa.array(u > 0.97), joined("", pc.utf8_slice_codeunits(given, 0, 1), "."), given)
    surname = pc.if_else(pa.array(v < 0.07), surname_slip, take(SURNAMES, persons.surname[who]))
    surname = pc.if_else(pa.array(persons.is_junior[who]), joined("", surname, " Jr"), surname)
    plain = joined(" ", given, surname)
    full = pc.if_else(pa.array(w < 0.13), pc.utf8_upper(joined(", ", surname, given)), plain)
    full = pc.if_else(pa.array((w > 0.13) & (w < 0.18)), joined("", plain, " "), full)
    swapped = pa.array(v > 0.98)
    first, last = pc.if_else(swapped, surname, given), pc.if_else(swapped, given, surname)
    absent = pa.array((draw.random(n) < 0.32) | shop)
    company = business_names(persons, who)
    company = pc.if_else(
        pa.array(w < 0.3), pc.replace_substring_regex(company, r" (LLC|Inc|Co)$", ""), company
    )
    full = pc.if_else(pa.array(shop), company, full)
    return full, pc.if_else(absent, NULL, first), pc.if_else(absent, NULL, last)


def _phones(block: Block, who: Ints, draw: np.random.Generator) -> pa.Array:
    """One phone a contact in one of six styles; partners often give the line at home."""
    persons, n = block.people.persons, len(who)
    prefers_home = draw.random(n) < np.where(persons.role[who] > 0, 0.4, 0.12)
    home, mobile = persons.home_phone[who], persons.mobile[who]
    serial = np.where((prefers_home & (home >= 0)) | (mobile < 0), home, mobile)
    serial = np.where(draw.random(n) < 0.17, -1, serial)
    digits = phone_digits(serial)
    style = draw.choice(len(_PHONE_STYLES), n, p=[0.42, 0.22, 0.1, 0.08, 0.12, 0.06])
    result = digits
    for number, pattern in enumerate(_PHONE_STYLES):
        styled = pc.replace_substring_regex(digits, pattern=r"^(\d{3})(\d{3})(\d{4})$", replacement=pattern)
        result = pc.if_else(pa.array(style == number), styled, result)
    return result


def _addresses(block: Block, place: Ints, draw: np.random.Generator) -> pa.Array:
    premises, n = block.people.premises, len(place)
    u = draw.random(n)
    line = full_addresses(premises, place)
    long = full_addresses(premises, place, long_street_table())
    slips = typo_table(STREETS).take(pa.array(np.arange(len(STREETS)) * TYPO_VARIANTS))
    wrong = full_addresses(premises, place, slips)
    line = pc.if_else(pa.array(u < 0.3), long, line)
    line = pc.if_else(pa.array((u > 0.3) & (u < 0.36)), wrong, line)
    line = pc.if_else(pa.array(draw.random(n) < 0.5), pc.replace_substring(line, " APT ", " #"), line)
    line = pc.if_else(pa.array((u > 0.36) & (u < 0.46)), pc.utf8_upper(line), line)
    return pc.if_else(pa.array(u > 0.91), NULL, line)


def _postcodes(block: Block, place: Ints, draw: np.random.Generator) -> pa.Array:
    n = len(place)
    code = pa.array(POSTCODES[block.people.premises.city[place]]).cast(pa.string())
    u = draw.random(n)
    longer = joined("", code, "-", padded(block.people.premises.house_no[place] % 10_000, 4))
    return pc.if_else(pa.array(u < 0.05), longer, pc.if_else(pa.array(u > 0.94), NULL, code))
