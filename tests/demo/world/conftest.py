"""Small worlds, made once a session."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from demo.world import WorldConfig
from demo.world.billing import Metered, make_bills
from demo.world.block import make_block
from demo.world.clock import local_day
from demo.world.usage import simulate_day
from demo.world.weather import make_weather
from tests.demo.world.worlds import Made, Simulated, make


@pytest.fixture(scope="session")
def clean_world(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Perfect meters, two blocks, over the end of daylight saving."""
    config = WorldConfig(customers=70, days=8, end=date(2026, 11, 4), meters_per_block=40, has_dirt=False)
    return make(tmp_path_factory.mktemp("clean"), config)


@pytest.fixture(scope="session")
def real_world(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Faulty meters, as by default."""
    return make(tmp_path_factory.mktemp("real"), WorldConfig(customers=400, days=12))


@pytest.fixture(scope="session")
def simulated() -> Simulated:
    config = WorldConfig(customers=1_500, days=60)
    block = make_block(config, 0, make_weather(config))
    loads = {
        day: simulate_day(
            local_day(day), block.people, block.equipment, block.habits, block.weather, block.streams
        )
        for day in config.dates
    }
    imported = np.stack([load.import_wh.sum(axis=1) for load in loads.values()], axis=1)
    exported = np.stack([load.export_wh.sum(axis=1) for load in loads.values()], axis=1)
    metered = Metered(imported, exported, imported // 6, imported // 4)
    bills, payments = make_bills(
        config,
        block.people,
        block.equipment,
        block.character,
        block.expectation,
        block.weather,
        metered,
        block.streams,
    )
    return Simulated(block, metered, bills, payments, loads)
