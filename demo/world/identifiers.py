"""How the world's row numbers become the identifiers that its systems print.

Belongs here: account, customer, premise, service-point, meter, bill, payment and phone numbers, and
addresses. Does not belong here: who owns them.
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from demo.world.config import Ints
from demo.world.population import Persons, Premises
from demo.world.vocab import (
    AREA_CODES,
    BUSINESS_HEADS,
    BUSINESS_TAILS,
    CITIES,
    GIVEN,
    STREETS,
    SURNAMES,
    take,
)

MAIL_HOSTS = ("example.com", "mail.example.com", "example.org", "example.net")
BILL_SLOTS = 100
"""Bill numbers an account may use: months up to 49, re-bills 50 above."""


def padded(numbers: Ints, width: int) -> pa.Array:
    """Integers as text with leading zeros."""
    return pc.utf8_lpad(pa.array(numbers, type=pa.int64()).cast(pa.string()), width=width, padding="0")


def joined(separator: str, *parts: pa.Array | str) -> pa.Array:
    """Columns of text joined row by row."""
    return pc.binary_join_element_wise(*parts, separator)


def decimals(values: Ints, precision: int, scale: int) -> pa.Array:
    """Integers in units of 10^−scale as exact decimals."""
    unit = pa.scalar(Decimal(1).scaleb(-scale)).cast(pa.decimal128(scale + 1, scale))
    whole = pa.array(np.asarray(values, np.int64)).cast(pa.decimal128(19, 0))
    return pc.multiply(whole, unit).cast(pa.decimal128(precision, scale))


def account_numbers(numbers: Ints) -> Ints:
    """Account numbers: a serial with a check digit; printed with 12 digits and two leading zeros."""
    serial = 400_000_000 + numbers
    return serial * 10 + (serial * 7) % 11 % 10


def customer_numbers(numbers: Ints) -> Ints:
    """CIS customer numbers, printed with 10 digits."""
    return 1_000_000 + numbers * 3


def premise_numbers(numbers: Ints) -> Ints:
    """Premise numbers, printed with 10 digits."""
    return 2_000_000 + numbers * 2


def service_points(numbers: Ints) -> pa.Array:
    """NMIs: ten characters, one a premise."""
    return padded(6_100_000_000 + numbers + 100, 10)


def meter_serials(numbers: Ints) -> pa.Array:
    """Meter serials: twelve characters."""
    return joined("", "RB", padded((numbers * 7919 + 10_000_000) % 9_999_999_999, 10))


def bill_numbers(account_serials: Ints, month: Ints) -> Ints:
    """Bill numbers by account and month index (re-bills lie 50 above)."""
    return 300_000_000_000 + account_serials * BILL_SLOTS + month


def phone_digits(serials: Ints) -> pa.Array:
    """Ten-digit phone numbers that nobody can have; null where the serial is negative.

    The first 60,000 are exchange 555 of six area codes; further ones lie in area codes N9X, which the
    numbering plan reserves for its own expansion and never assigns.
    """
    spread = (serials * 7919) % 10_000
    few = AREA_CODES[(serials // 10_000) % 6] * 10_000_000 + 555 * 10_000 + spread
    beyond = np.maximum(serials - 60_000, 0)
    block = beyond // 10_000
    code = 290 + (block // 800 // 10 % 8) * 100 + block // 800 % 10
    many = code * 10_000_000 + (200 + block % 800) * 10_000 + spread
    return pa.array(np.where(serials < 60_000, few, many), mask=serials < 0).cast(pa.string())


def full_addresses(premises: Premises, index: Ints, streets: pa.Array | None = None) -> pa.Array:
    """Address lines of the premises at ``index``, with streets spelled by the given table."""
    line = joined(
        " ",
        pa.array(premises.house_no[index]).cast(pa.string()),
        take(streets or pa.array(STREETS), premises.street[index]),
    )
    unit = pa.array(premises.unit[index])
    with_unit = joined("", line, " APT ", unit.cast(pa.string()))
    return pc.if_else(pc.greater(unit, 0), with_unit, line)


def cities(premises: Premises, index: Ints) -> pa.Array:
    """Town names of the premises at ``index``."""
    return take(CITIES, premises.city[index])


def business_names(persons: Persons, index: Ints) -> pa.Array:
    """Names of the businesses at ``index``."""
    return joined(
        " ",
        take(BUSINESS_HEADS, persons.business_head[index]),
        take(BUSINESS_TAILS, persons.business_tail[index]),
    )


def mail_addresses(persons: Persons, index: Ints, shift: Ints | int = 0) -> pa.Array:
    """E-mail addresses of persons (null where they have none); ``shift`` gives a person another."""
    given = pc.utf8_lower(take(GIVEN, persons.given[index]))
    surname = pc.replace_substring(pc.utf8_lower(take(SURNAMES, persons.surname[index])), "'", "")
    kind = (persons.mail_kind[index] + shift) % 4
    digits = pa.array((persons.number[index] * 7919 + 31) % 983).cast(pa.string())
    host = take(MAIL_HOSTS, kind)
    dotted = joined("", given, ".", surname, digits, "@", host)
    short = joined("", pc.utf8_slice_codeunits(given, 0, 1), surname, digits, "@", host)
    text = pc.if_else(pa.array(kind % 2 == 0), dotted, short)
    return pc.if_else(pa.array(persons.mail_kind[index] >= 0), text, pa.scalar(None, pa.string()))
