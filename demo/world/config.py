"""What a world is asked to be, and the random streams that make it.

Belongs here: the settings of one simulated utility, its fixed numbers, and how a seed becomes independent
streams. Does not belong here: anything that draws from them.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from connectors.errors import GridCRMError

GENERATOR_VERSION = "3"
"""Raised whenever the same settings would give other bytes, so that an older world is written again."""

LOCAL_TIME_ZONE = "America/Chicago"
MARKET_UTC_OFFSET_HOURS = -6
"""Market time of the meter data: Central standard time all year."""

HISTORY_MONTHS = 24
"""Months of bills and payments before the first business date."""

FAR_DAY = 99_999
"""Day number (since 1970-01-01) that stands for 'has not happened'; it lies in the year 2243."""

BASE_LOAD_KEEP = 0.15
"""Share of the standby load that an empty home still draws."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


class WorldError(GridCRMError):
    """The world cannot be made as asked."""


@dataclass(frozen=True)
class WorldConfig:
    """The settings of one simulated utility.

    ``customers`` is the number of metered premises; ``days`` market days end with ``end`` included.
    ``meters_per_block`` bounds the memory: a block is simulated and written before the next begins, and is
    one NEM12 shard a day. ``has_dirt`` off gives perfect meter data, for tests that compare energy.
    """

    customers: int = 1_000
    days: int = 90
    end: date = field(default=date(2026, 11, 15))
    seed: int = 20261115
    meters_per_block: int = 20_000
    has_dirt: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.customers <= 2_000_000:
            raise WorldError(f"customers: {self.customers} is outside 1…2,000,000")
        if not 1 <= self.days <= 730:
            raise WorldError(f"days: {self.days} is outside 1…730")
        if not 1 <= self.meters_per_block <= 50_000:
            raise WorldError(f"meters_per_block: {self.meters_per_block} is outside 1…50,000 (a NEM12 shard)")
        if self.blocks > 99:
            raise WorldError(f"{self.blocks} blocks are more than the 99 shards a file name can number")

    @property
    def start(self) -> date:
        """The first business date."""
        return self.end - timedelta(days=self.days - 1)

    @property
    def blocks(self) -> int:
        """How many blocks of meters the world has."""
        return -(-self.customers // self.meters_per_block)

    def meters_in(self, block: int) -> int:
        """Premises in the numbered block."""
        return min(self.meters_per_block, self.customers - block * self.meters_per_block)

    @property
    def start_day(self) -> int:
        """First business date as a day number since 1970-01-01."""
        return day_number(self.start)

    @property
    def end_day(self) -> int:
        """Last business date as a day number since 1970-01-01."""
        return day_number(self.end)

    @property
    def dates(self) -> list[date]:
        """Every business date, in order."""
        return [self.start + timedelta(days=i) for i in range(self.days)]

    @property
    def fingerprint(self) -> str:
        """A hash of the settings and the generator's version: equal fingerprints mean equal bytes."""
        body = json.dumps(asdict(self) | {"version": GENERATOR_VERSION}, default=str, sort_keys=True)
        return hashlib.sha256(body.encode()).hexdigest()


@dataclass(frozen=True)
class Streams:
    """Independent random generators by purpose: what one purpose draws never shifts another."""

    seed: int
    block: int

    def get(self, purpose: str, *keys: int) -> np.random.Generator:
        """The generator for a purpose within this block, and optionally a day or another key."""
        return np.random.Generator(
            np.random.SFC64(
                np.random.SeedSequence([self.seed, self.block, zlib.crc32(purpose.encode()), *keys])
            )
        )


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return (day - date(1970, 1, 1)).days


def date_of(day: int) -> date:
    """The date of a day number."""
    return date(1970, 1, 1) + timedelta(days=int(day))


def yyyymmdd(days: Ints) -> Ints:
    """Day numbers as YYYYMMDD integers; ``FAR_DAY`` and beyond become 0."""
    stamps = days.astype("datetime64[D]")
    years = stamps.astype("datetime64[Y]").astype(np.int64) + 1970
    months = stamps.astype("datetime64[M]").astype(np.int64) % 12 + 1
    day_of_month = (stamps - stamps.astype("datetime64[M]")).astype(np.int64) + 1
    return np.where(days >= FAR_DAY, 0, years * 10_000 + months * 100 + day_of_month)
