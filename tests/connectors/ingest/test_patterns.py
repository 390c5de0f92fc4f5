"""Which names belong to a feed, and the day they are about."""

from __future__ import annotations

from datetime import date

import pytest

from connectors.ingest.patterns import NamePattern


@pytest.mark.parametrize(
    ("pattern", "name", "day"),
    [
        (
            "NEM12#{business_date:%Y%m%d}[0-9][0-9]#RIVERB#*.zip",
            "NEM12#2026111501#RIVERB#GRIDCRM.zip",
            date(2026, 11, 15),
        ),
        ("CIS.EXTRACT.D{business_date:%y%m%d}.dat", "CIS.EXTRACT.D261115.dat", date(2026, 11, 15)),
        ("J{business_date:%Y%j}.txt", "J2026319.txt", date(2026, 11, 15)),
        (r"^out_{business_date:%Y-%m-%d}_\d+\.csv$", "out_2026-11-15_7.csv", date(2026, 11, 15)),
    ],
)
def test_a_name_with_a_date(pattern: str, name: str, day: date) -> None:
    names = NamePattern(pattern)
    assert names.matches(name)
    assert names.business_date(name) == day


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("CIS.EXTRACT.D{business_date:%y%m%d}.dat", "CIS.EXTRACT.D261115.done"),
        ("CIS.EXTRACT.D{business_date:%y%m%d}.dat", "CIS.EXTRACT.D261315.dat"),
        ("CIS.EXTRACT.D{business_date:%y%m%d}.dat", "CISxEXTRACTxD261115xdat"),
        ("a?.csv", "a.csv"),
        ("a[!0-9].csv", "a5.csv"),
        ("*.csv", "a.csv\n"),
    ],
)
def test_a_name_of_another_feed(pattern: str, name: str) -> None:
    assert not NamePattern(pattern).matches(name)


def test_a_name_without_a_date() -> None:
    names = NamePattern("a?.[ct]sv")
    assert names.matches("ab.tsv")
    assert names.business_date("ab.tsv") is None
    assert not names.has_date
