"""What the meters of the town say, and what goes wrong with it: see town.py for who lives there."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from tests.dbt_project.raw_tables import at, service_point, write


def reading_kwh(day: date, slot: int, point: int) -> float:
    """What the meter at premise ``point`` counts in a quarter-hour of a market day."""
    return round(
        0.2 + 0.1 * np.sin(slot / 96 * 2 * np.pi) + 0.01 * point + 0.001 * ((day.day * 7 + slot) % 10), 3
    )


GAP_DAY, LOST_DAY, SPIKE_DAY = date(2026, 11, 5), date(2026, 11, 10), date(2026, 11, 8)
FROZEN_DAY, ZERO_DAY, ODD_DAY = date(2026, 11, 6), date(2026, 11, 7), date(2026, 11, 9)
CORRECTED_DAY, CORRECTION_DELIVERED = date(2026, 11, 3), date(2026, 11, 12)
#: What the correction adds to every quarter-hour of the day.
CORRECTION_KWH = 0.5


def write_reads(root: Path, day: date) -> None:
    """The nightly file of a market day (UTC-6 all year): 96 values a register, troubles included."""
    rows: list[tuple[Any, ...]] = []
    start = datetime(day.year, day.month, day.day, 6, tzinfo=UTC)
    registers = [(n, "E1", "import") for n in (1, 2, 3, 4, 5, 7)] + [(1, "B1", "export")]
    for record, (point, register, direction) in enumerate(registers, start=1):
        for slot in range(96):
            value, flag = reading_kwh(day, slot, point), "A"
            if direction == "export":
                value = 0.3 if 40 <= slot < 60 else 0.0
            if point == 2 and day == GAP_DAY and 40 <= slot < 44:
                continue
            if point == 3 and day == LOST_DAY:
                continue
            if point == 4 and day == SPIKE_DAY and slot == 48:
                value = 40.0
            if point == 5 and day == FROZEN_DAY:
                value = 0.123
            if point == 5 and day == ZERO_DAY:
                value = 0.0
            if point == 5 and day == ODD_DAY:
                value = -0.5 if slot == 0 else value
                flag = "E" if 5 <= slot < 9 else "N" if 40 <= slot < 44 else "A"
                value = 0.0 if flag == "N" else value
            rows.append(
                (
                    service_point(point),
                    register,
                    f"M{point:07d}",
                    direction,
                    "kWh",
                    start + timedelta(minutes=15 * slot),
                    900,
                    Decimal(str(value)).quantize(Decimal("0.000001")),
                    flag,
                    None,
                    None,
                    None,
                    start + timedelta(hours=26),
                    record * 2,
                )
            )
    write(root, "mdm/interval_reads", rows, day, f"reads{day:%Y%m%d}")


def write_correction(root: Path) -> None:
    """Ann's corrected day, delivered nine days later."""
    start = datetime(CORRECTED_DAY.year, CORRECTED_DAY.month, CORRECTED_DAY.day, 6, tzinfo=UTC)
    rows = [
        (
            service_point(1),
            "E1",
            "M0000001",
            "import",
            "kWh",
            start + timedelta(minutes=15 * slot),
            900,
            Decimal(str(round(reading_kwh(CORRECTED_DAY, slot, 1) + CORRECTION_KWH, 3))),
            "A",
            None,
            None,
            None,
            at(CORRECTION_DELIVERED),
            2,
        )
        for slot in range(96)
    ]
    write(
        root,
        "mdm/interval_reads",
        rows,
        CORRECTION_DELIVERED,
        "correction",
    )
