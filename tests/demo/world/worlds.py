"""What a small world is in these tests: on disk, or simulated in memory."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from demo.world import WorldConfig, WorldSummary, generate
from demo.world.billing import Bills, Metered, Payments
from demo.world.block import Block
from demo.world.usage import DayLoad


@dataclass(frozen=True)
class Made:
    """A world on disk."""

    config: WorldConfig
    sftp: Path
    truth: Path
    summary: WorldSummary

    def truth_table(self, name: str) -> pa.Table:
        return pq.read_table(self.truth / f"{name}.parquet")


def make(folder: Path, config: WorldConfig) -> Made:
    return Made(
        config, folder / "sftp", folder / "truth", generate(config, folder / "sftp", folder / "truth")
    )


@dataclass(frozen=True)
class Simulated:
    """A block in memory: enough households to see causes by."""

    block: Block
    metered: Metered
    bills: Bills
    payments: Payments
    loads: dict[date, DayLoad]
