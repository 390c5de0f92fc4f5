"""What lies on the server: the same every time, whole, and touched only when it changed."""

from __future__ import annotations

import tracemalloc
from datetime import date, timedelta
from pathlib import Path

import pytest

from demo.world import WorldConfig, WorldError, generate
from tests.demo.world.worlds import Made, make

CONFIG = WorldConfig(customers=30, days=4)


def _stats(root: Path) -> dict[str, tuple[int, int]]:
    return {
        str(p.relative_to(root)): (p.stat().st_mtime_ns, p.stat().st_ino)
        for p in root.rglob("*")
        if p.is_file()
    }


def _bytes(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    one, two = make(tmp_path / "one", CONFIG), make(tmp_path / "two", CONFIG)
    assert _bytes(one.sftp) == _bytes(two.sftp)
    assert _bytes(one.truth) == _bytes(two.truth)
    other = make(tmp_path / "other", WorldConfig(customers=30, days=4, seed=7))
    name = "cis/outgoing/CIS.EXTRACT.D261112.dat"
    assert (other.sftp / name).read_bytes() != (one.sftp / name).read_bytes()


def test_second_generation_touches_nothing(tmp_path: Path) -> None:
    made = make(tmp_path, CONFIG)
    before = _stats(tmp_path)
    again = generate(CONFIG, made.sftp, made.truth)
    assert again.is_unchanged
    assert not made.summary.is_unchanged
    assert (again.files, again.bytes, again.accounts) == (
        made.summary.files,
        made.summary.bytes,
        made.summary.accounts,
    )
    assert _stats(tmp_path) == before


def test_a_lost_file_comes_back_and_the_others_stay_as_they_were(tmp_path: Path) -> None:
    made = make(tmp_path, CONFIG)
    lost = made.sftp / "weather/outgoing/weather_20261113.csv"
    body, before = lost.read_bytes(), _stats(made.sftp)
    lost.unlink()
    assert not generate(CONFIG, made.sftp, made.truth).is_unchanged
    after = _stats(made.sftp)
    name = str(lost.relative_to(made.sftp))
    assert lost.read_bytes() == body
    assert {k: v for k, v in after.items() if k != name} == {k: v for k, v in before.items() if k != name}


def test_another_world_replaces_the_old_one_and_leaves_the_files_of_others(tmp_path: Path) -> None:
    made = make(tmp_path, CONFIG)
    theirs = made.sftp / "dialer/outgoing/outcomes_20261116.csv"
    theirs.write_text("written by somebody else")
    shorter = WorldConfig(customers=20, days=2)
    generate(shorter, made.sftp, made.truth)
    assert theirs.read_text() == "written by somebody else"
    assert not (made.sftp / "cis/outgoing/CIS.EXTRACT.D261112.dat").exists()
    fresh = make(tmp_path / "fresh", shorter)
    theirs.unlink()
    assert _bytes(made.sftp) == _bytes(fresh.sftp)


def test_every_business_date_has_every_file_and_the_marker(real_world: Made) -> None:
    names = {str(p.relative_to(real_world.sftp)) for p in real_world.sftp.rglob("*") if p.is_file()}
    expected: set[str] = set()
    for offset in range(12):
        day = date(2026, 11, 4) + timedelta(days=offset)
        expected |= {
            f"cis/outgoing/CIS.EXTRACT.D{day:%y%m%d}.dat",
            f"cis/outgoing/CIS.EXTRACT.D{day:%y%m%d}.done",
            f"mdm/outgoing/NEM12#{day:%Y%m%d}00#RIVERB#GRIDCRM.zip",
            f"ami/outgoing/AMI_{day:%Y%m%d}_00.cmep.gz",
            f"han/outgoing/appliance_{day:%Y%m%d}.jsonl.gz",
            f"oms/outgoing/outages_{day:%Y%m%d}.csv",
            f"weather/outgoing/weather_{day:%Y%m%d}.csv",
            f"dialer/outgoing/outcomes_{day:%Y%m%d}.csv",
        }
    assert names == expected
    assert real_world.summary.files == len(expected)
    leftovers = [p.name for p in real_world.sftp.parent.iterdir() if p.name.startswith(".")]
    assert leftovers == []


def test_memory_is_bounded_by_the_block_not_the_world(tmp_path: Path) -> None:
    def peak(customers: int, name: str) -> int:
        tracemalloc.start()
        folder = tmp_path / name
        config = WorldConfig(customers=customers, days=2, meters_per_block=250)
        generate(config, folder / "sftp", folder / "truth")
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(250, "first")  # caches filled once are not growth
    assert peak(1_500, "six blocks") < 1.3 * peak(250, "one block")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"customers": 0}, "customers"),
        ({"days": 0}, "days"),
        ({"meters_per_block": 50_001}, "meters_per_block"),
    ],
)
def test_an_impossible_world_is_refused_by_name(settings: dict[str, int], named: str) -> None:
    with pytest.raises(WorldError, match=named):
        WorldConfig(**settings)  # type: ignore[arg-type]


def test_more_shards_than_names_is_refused() -> None:
    with pytest.raises(WorldError, match="99"):
        WorldConfig(customers=1_000, meters_per_block=10)


def test_an_unknown_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorldError, match="warehouse"):
        generate(CONFIG, tmp_path / "sftp", tmp_path / "truth", {"warehouse": None})  # type: ignore[dict-item]
