"""NEM12 files of any size, the same bytes every time: the input of the measures ``nem12`` and ``growth``.

Belongs here: what such a file looks like in practice. Does not belong here: timing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache
from itertools import islice
from pathlib import Path
from random import Random

_SEED = 20261125
_DAYS_A_CHANNEL = 25
_DISTINCT_DAYS = 997
_FIRST_DAY = date(2026, 3, 1)
# Suffix, unit, decimals and largest value of a register, and how often it comes.
_REGISTERS = [("E1", "KWH", 3, 3.0)] * 5 + [("B1", "kWh", 3, 5.0), ("Q1", "KVARH", 2, 1.0)] + [
    ("K1", "kvarh", 3, 0.2), ("E2", "Wh", 0, 2500.0), ("E1", "KWH", 5, 40.0)
]  # fmt: skip
_MINUTES = [15] * 8 + [30, 5]
_QUALITIES = ["A"] * 16 + ["S53", "F14", "E52", "V"]
_REASONS = {"S53": "51", "F14": "79", "E52": ""}


def write_meter_days(path: Path, meter_days: int, *, copies: int = 1) -> int:
    """Write a file of so many 300 records and return the number of its interval values.

    Meters measure 5, 15 or 30 minutes, in five kinds of registers; one day in twenty has two qualities told
    by 400 records, three are substituted or estimated. Values differ in length, as real ones do: they are of
    a few watt hours at night and of kilowatt hours in the evening, with and without trailing zeros. With
    ``copies``, all of it comes again that often, of other meters.
    """
    with path.open("w", encoding="ascii", newline="\r\n") as file:
        file.write("100,NEM12,202604010600,GRIDCRM,BENCH\n")
        days = list(islice(_days(), meter_days)) if copies > 1 else islice(_days(), meter_days)
        values = 0
        for copy in range(copies):
            for count, head, text in days:
                values += count
                file.write(head.replace("{NMI}", f"{copy:02d}") + text if head else text)
        file.write("900\n")
    return values


def _days() -> Iterator[tuple[int, str, str]]:
    """Number of values of one 300 record after the other, the 200 before it if any, itself and its 400."""
    chance, pools = Random(_SEED), _pools()
    dates = [(_FIRST_DAY + timedelta(day)).strftime("%Y%m%d") for day in range(_DAYS_A_CHANNEL)]
    channel = 0
    while True:
        suffix, unit, _, _ = _REGISTERS[channel % len(_REGISTERS)]
        pool = pools[channel % len(_REGISTERS)]
        length = _MINUTES[channel // len(_REGISTERS) % len(_MINUTES)]
        count = 1440 // length
        head = (
            f"200,{{NMI}}{channel:08d},E1B1Q1K1E2,01,{suffix},N1,SN{channel:07d},{unit},{length},20260601\n"
        )
        for number, day in enumerate(dates):
            quality = _QUALITIES[chance.randrange(len(_QUALITIES))]
            text = pool[chance.randrange(_DISTINCT_DAYS)]
            # The text of a day at five minutes serves the longer intervals with its first values.
            cut = text if count == 288 else text[: _nth_comma(text, count)]
            reason = _REASONS.get(quality, "")
            record = f"300,{day},{cut},{quality},{reason},,{day}235959,{day}235959\n"
            if quality == "V":
                middle = chance.randrange(1, count)
                record += f"400,1,{middle},A,,\n400,{middle + 1},{count},S53,51,Comms fault\n"
            yield count, "" if number else head, record
        channel += 1


@cache
def _pools() -> list[list[str]]:
    """Days of 288 values as text, for each kind of register."""
    chance = Random(_SEED)
    return [_values(chance, decimals, most) for _, _, decimals, most in _REGISTERS]


def _values(chance: Random, decimals: int, most: float) -> list[str]:
    days = []
    for _ in range(_DISTINCT_DAYS):
        level = [chance.betavariate(0.7, 3.0) * most for _ in range(288)]
        texts = [f"{value:.{decimals}f}" for value in level]
        # Some systems leave out trailing zeros, and the zero is often just that.
        days.append(",".join(text.rstrip("0").rstrip(".") or "0" if decimals and chance.random() < 0.2
                             else text for text in texts))  # fmt: skip
    return days


def _nth_comma(text: str, number: int) -> int:
    at = -1
    for _ in range(number):
        at = text.index(",", at + 1)
    return at
