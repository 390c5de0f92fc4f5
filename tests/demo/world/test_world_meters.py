"""Meter files against the simulator's own sums, and the faults that real ones have."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np

from demo.world.block import make_block
from demo.world.clock import local_day
from demo.world.config import WorldConfig
from demo.world.grid import make_outages
from demo.world.identifiers import service_points
from demo.world.usage import simulate_day
from demo.world.weather import make_weather
from tests.demo.world.reading import meter_days
from tests.demo.world.worlds import Made


def _files(made: Made) -> list[Path]:
    return sorted([*(made.sftp / "mdm/outgoing").glob("*.zip"), *(made.sftp / "ami/outgoing").glob("*.gz")])


def test_local_days_have_92_96_and_100_quarter_hours() -> None:
    assert local_day(date(2026, 3, 8)).n_quarters == 92
    assert local_day(date(2026, 11, 1)).n_quarters == 100
    summer, winter = local_day(date(2026, 8, 18)), local_day(date(2026, 11, 2))
    assert (summer.n_quarters, summer.market_offset) == (96, 4)
    assert (winter.n_quarters, winter.market_offset) == (96, 0)
    autumn = local_day(date(2026, 11, 1)).clock_quarter
    assert list(autumn[4:12]) == [4, 5, 6, 7, 4, 5, 6, 7]


def test_energy_in_the_files_is_the_simulators_to_the_watt_hour(clean_world: Made) -> None:
    """Also over the day with 25 hours: market days of 96 quarter-hours cut from local days of 96, 100, 96."""
    config = clean_world.config
    weather = make_weather(config)
    dark_days = set(make_outages(config).day.tolist())
    for number in range(config.blocks):
        block = make_block(config, number, weather)
        series: dict[str, list[np.ndarray]] = {"import": [], "export": []}
        epochs: list[int] = []
        for offset in range(config.days + 1):
            here = local_day(config.start + timedelta(days=offset))
            load = simulate_day(here, block.people, block.equipment, block.habits, weather, block.streams)
            series["import"].append(load.import_wh)
            series["export"].append(load.export_wh)
            epochs += [here.start_epoch + 900 * i for i in range(here.n_quarters)]
        assert np.all(np.diff(epochs) == 900)
        imported, exported = (np.concatenate(series[k], axis=1) for k in ("import", "export"))
        names = service_points(block.people.premises.number).to_pylist()
        for i, day in enumerate(config.dates):
            if {config.start_day + i - 1, config.start_day + i} & dark_days:
                continue  # power cuts are tested apart
            first = epochs.index(int(np.datetime64(f"{day}T06:00", "s").astype(int)))
            heads = (f"NEM12#{day:%Y%m%d}{number:02d}#", f"AMI_{day:%Y%m%d}_{number:02d}")
            paths = [p for p in _files(clean_world) if p.name.startswith(heads)]
            assert len(paths) == 2
            found = {
                (nmi, suffix): values
                for path in paths
                for nmi, suffix, *_, values, _u, _r in meter_days(path)
            }
            for row, nmi in enumerate(names):
                assert found[nmi, "E1"] == imported[row, first : first + 96].tolist()
                if (nmi, "B1") in found:
                    assert found[nmi, "B1"] == exported[row, first : first + 96].tolist()
                else:
                    assert exported[row, first : first + 96].sum() == 0
            assert {nmi for nmi, suffix in found if suffix == "E1"} == set(names)


def test_a_power_cut_leaves_zeros_inside_it(real_world: Made) -> None:
    config = real_world.config
    outages = make_outages(config)
    text = "\n".join(p.read_text() for p in sorted((real_world.sftp / "oms/outgoing").glob("*.csv")))
    assert len(outages.day) > 0
    assert text.count("OUT") > 0
    cut = 0
    for path in _files(real_world):
        for *_, values, _update, ranges in meter_days(path):
            for line in ranges:
                if "Power outage" in line:
                    _, low, high, *_ = line.split(",")
                    assert set(values[int(low) - 1 : int(high)]) == {0}
                    cut += 1
    assert cut > 0


def test_ranges_cover_the_day_without_a_gap(real_world: Made) -> None:
    methods: Counter[str] = Counter()
    for path in _files(real_world):
        for *_, ranges in meter_days(path):
            if ranges:
                bounds = [tuple(map(int, r.split(",")[1:3])) for r in ranges]
                assert bounds[0][0] == 1
                assert bounds[-1][1] == 96
                assert all(b[0] == a[1] + 1 for a, b in pairwise(bounds))
                methods.update(r.split(",")[3] for r in ranges)
    assert methods["A"] > 0
    assert set(methods) - {"A"} <= {"S53", "F52", "E52", "A53", "A52"}
    assert len(methods) > 1


def test_the_dirt_of_real_meters_is_there(real_world: Made) -> None:
    rows: dict[tuple[str, str, str], list[tuple[str, list[int]]]] = defaultdict(list)
    by_file: Counter[tuple[str, str, str, str]] = Counter()
    for path in _files(real_world):
        for nmi, suffix, day, values, update, _ranges in meter_days(path):
            rows[nmi, suffix, day].append((update, values))
            by_file[path.name, nmi, suffix, day] += 1
    days = real_world.config.days
    meters = real_world.config.customers
    seen = {(nmi, day) for nmi, suffix, day in rows if suffix == "E1"}
    assert 0 < meters * days - len(seen) < 0.02 * meters * days  # meter-days that never came
    assert any(n == 2 for n in by_file.values())  # sent twice in one file
    corrected = [v for v in rows.values() if len({u for u, _ in v}) > 1]
    assert corrected  # a later file supersedes
    assert any(min(values) < 0 for v in rows.values() for _, values in v)
    assert any(max(values) > 9_000 for v in rows.values() for _, values in v)
    stuck = [k for k, v in rows.items() if len(set(v[0][1])) == 1 and v[0][1][0] > 0]
    assert len({k[0] for k in stuck}) >= 1
    assert len(stuck) >= 2


def test_clean_meters_report_every_day_once(clean_world: Made) -> None:
    config = clean_world.config
    count: Counter[tuple[str, str]] = Counter()
    for path in _files(clean_world):
        count.update((nmi, day) for nmi, suffix, day, *_ in meter_days(path) if suffix == "E1")
    assert len(count) == config.customers * config.days
    assert set(count.values()) == {1}


def test_shards_hold_a_block_each() -> None:
    config = WorldConfig(customers=1_000_000)
    assert config.blocks == 50
    assert sum(config.meters_in(b) for b in range(config.blocks)) == 1_000_000
