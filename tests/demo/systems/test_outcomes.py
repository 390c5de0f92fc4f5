"""The day after a push: only what arrived whole is played, by the truth, once, and always the same way."""

from __future__ import annotations

import json
from datetime import date
from hashlib import sha256
from pathlib import Path

import pandas as pd
import pytest

from connectors.paths import Paths
from demo.systems import SystemsError
from demo.systems.campaign import CampaignStore
from demo.systems.environment import Places
from demo.systems.outcomes import play

FRIDAY = date(2026, 11, 13)  # the push; Saturday is played
MONDAY = date(2026, 11, 16)  # the push; Tuesday is played
N = 400  # people whom write_truth knows


@pytest.fixture
def world(paths: Paths, write_truth) -> Paths:
    Places.of(paths).create()
    write_truth(paths)
    return paths


def drop(folder: Path, batch: str, files: dict[str, bytes], operation: str = "upsert", **extra) -> None:
    """A batch as the product drops it: files first, then the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for name, content in files.items():
        (folder / name).write_bytes(content)
        entries.append({"file": name, "bytes": len(content), "sha256": sha256(content).hexdigest(), **extra})
    manifest = {"batch_id": batch, "operation": operation, "key": "call_key", "files": entries}
    (folder / f"{batch}.manifest.json").write_text(json.dumps(manifest))


def call_rows(call_date: date, numbers=range(N), window=("17:30", "18:30"), attempts=2, **fixed) -> bytes:
    return (
        pd.DataFrame(
            {
                "call_key": [f"C{n}:{call_date}" for n in numbers],
                "customer_id": [f"C{n}" for n in numbers],
                "account_no": [f"{n:012d}" for n in numbers],
                "phone_e164": [f"+1608555{n:04d}" for n in numbers],
                "call_date": call_date.isoformat(),
                "window_start_local": window[0],
                "window_end_local": window[1],
                "time_zone": "America/Chicago",
                "purpose": "collections",
                "priority": 1,
                "content_id": "help",
                "language": "en",
                "max_attempts": attempts,
                **fixed,
            }
        )
        .to_csv(index=False, lineterminator="\r\n")
        .encode()
    )


def drop_list(paths: Paths, batch: str, content: bytes, operation: str = "upsert") -> None:
    drop(paths.demo / "sftp/dialer/incoming", batch, {f"{batch}.csv": content}, operation)


def calls(paths: Paths, day: str) -> pd.DataFrame:
    return pd.read_csv(paths.demo / f"sftp/dialer/outgoing/outcomes_{day}.csv", dtype=str)


def tree(paths: Paths) -> dict[str, bytes]:
    outgoing = paths.demo / "sftp"
    return {str(file): file.read_bytes() for file in sorted(outgoing.glob("*/outgoing/*"))}


def test_calls_follow_the_truth_by_slot_and_stay_within_window_and_attempts(world):
    drop_list(world, "evening", call_rows(date(2026, 11, 17)))
    summary = play(world, MONDAY, seed=1)
    out = calls(world, "20261117")
    assert sum(summary.calls.values()) == len(out)
    first = out[out["attempt_no"] == "1"].set_index("account_no")
    assert len(first) == N
    right = first["disposition"] == "answered_rpc"
    even = first.index.astype(int) % 2 == 0
    assert right[even].mean() == pytest.approx(0.6, abs=0.1)
    assert right[~even].mean() == pytest.approx(0.05, abs=0.04)
    assert right["000000000000"]  # certain in the truth
    at = pd.to_datetime(out["dialed_at"], utc=True).dt.tz_convert("America/Chicago")
    assert out["dialed_at"].str.endswith("-06:00").all()
    assert at.dt.strftime("%Y-%m-%d %H:%M").between("2026-11-17 17:30", "2026-11-17 18:30").all()
    ended = out["disposition"].isin(["answered_rpc", "answered_wrong", "refused"])
    retried = set(out.loc[out["attempt_no"] == "2", "call_key"])
    assert retried == set(
        first.loc[~first["disposition"].isin(["answered_rpc", "answered_wrong", "refused"]), "call_key"]
    )
    assert (out["talk_seconds"].astype(int) > 0).eq(ended).all()
    assert out["agent_id"].notna().eq(ended).all()
    assert out["call_id"].is_unique


def test_weekends_and_other_hours_are_not_evenings(world):
    drop_list(world, "saturday", call_rows(date(2026, 11, 14), attempts=1))
    drop_list(world, "morning", call_rows(date(2026, 11, 17), window=("09:00", "10:00"), attempts=1))
    for as_of, day in ((FRIDAY, "20261114"), (MONDAY, "20261117")):
        play(world, as_of, seed=1)
        assert (calls(world, day)["disposition"] == "answered_rpc").mean() < 0.09


def test_people_behind_with_payments_hang_up_more_often(world):
    drop_list(world, "odd", call_rows(date(2026, 11, 17), attempts=1, window=("09:00", "10:00")))
    play(world, MONDAY, seed=3)
    out = calls(world, "20261117")
    late = out["account_no"].astype(int) % 4 != 0
    refused = out["disposition"] == "refused"
    assert refused[late].mean() > refused[~late].mean() + 0.05


def test_a_second_play_writes_nothing_and_another_root_plays_the_same(world, tmp_path, write_truth):
    def push(paths: Paths) -> None:
        drop_list(paths, "evening", call_rows(date(2026, 11, 17)))
        drop(paths.demo / "sftp/print/incoming/b1", "b1", {"L1.pdf": b"%PDF-1", "L2.pdf": b"%PDF-2"})
        store = CampaignStore(Places.of(paths).campaign_db)
        store.add_members("aud", [member(n) for n in range(N)])
        store.close()

    push(world)
    first = play(world, MONDAY, seed=7)
    assert not first.is_empty
    before = tree(world)
    stamps = {name: Path(name).stat().st_mtime_ns for name in before}
    assert play(world, MONDAY, seed=7).is_empty
    assert tree(world) == before
    assert {name: Path(name).stat().st_mtime_ns for name in before} == stamps

    other = Paths(tmp_path / "other")
    Places.of(other).create()
    write_truth(other)
    push(other)
    assert play(other, MONDAY, seed=7) == first
    assert list(tree(other).values()) == list(before.values())
    assert events(other) == events(world)


def test_another_seed_plays_another_day(world):
    drop_list(world, "evening", call_rows(date(2026, 11, 17)))
    first = play(world, MONDAY, seed=1).calls
    (world.demo / "sftp/dialer/outgoing/outcomes_20261117.csv").unlink()
    assert play(world, MONDAY, seed=2).calls != first


def test_a_later_list_adds_its_rows_to_the_same_day_without_touching_played_ones(world):
    drop_list(world, "early", call_rows(date(2026, 11, 17), range(100)))
    play(world, MONDAY, seed=1)
    before = calls(world, "20261117")
    drop_list(world, "late", call_rows(date(2026, 11, 17), range(50, 150), window=("10:00", "11:00")))
    play(world, MONDAY, seed=1)
    after = calls(world, "20261117")
    pd.testing.assert_frame_equal(after.iloc[: len(before)], before)
    assert set(after.iloc[len(before) :]["call_key"]) == {f"C{n}:2026-11-17" for n in range(100, 150)}


def test_history_of_that_day_from_before_is_kept(world):
    file = world.demo / "sftp/dialer/outgoing/outcomes_20261117.csv"
    drop_list(world, "evening", call_rows(date(2026, 11, 17), range(3)))
    play(world, MONDAY, seed=1)
    header, *lines = file.read_text().splitlines()
    history = "old1,,,,000000000009,6085550000,2026-11-17T09:00:00-06:00,A001,answered_rpc,60,1,true"
    file.write_text(f"{header}\n{history}\n")
    play(world, MONDAY, seed=1)
    assert file.read_text().splitlines() == [header, history, *lines]


def test_recalled_rows_are_not_called_and_updated_rows_are_called_as_updated(world):
    drop_list(world, "a", call_rows(date(2026, 11, 17), range(10)))
    drop_list(world, "b", call_rows(date(2026, 11, 17), [4], window=("08:00", "08:30"), attempts=1))
    drop_list(world, "c", b"call_key\r\nC7:2026-11-17\r\n", operation="recall")
    play(world, MONDAY, seed=1)
    out = calls(world, "20261117")
    assert set(out["call_key"]) == {f"C{n}:2026-11-17" for n in range(10) if n != 7}
    assert out.loc[out["call_key"] == "C4:2026-11-17", "dialed_at"].str.contains("T08:").all()
    assert out.loc[out["call_key"] == "C4:2026-11-17", "list_id"].tolist() == ["b"]


def test_a_row_that_allows_no_attempt_is_not_called(world):
    drop_list(world, "capped", call_rows(date(2026, 11, 17), attempts=0))
    assert play(world, MONDAY, seed=1).is_empty


def test_only_rows_for_the_next_day_are_called(world):
    drop_list(world, "today", call_rows(MONDAY))
    drop_list(world, "in two days", call_rows(date(2026, 11, 18)))
    assert play(world, MONDAY, seed=1).is_empty


@pytest.mark.parametrize("damage", ["changed", "truncated", "missing", "no manifest", "not json", "outside"])
def test_a_damaged_drop_is_refused_and_named(world, damage):
    incoming = world.demo / "sftp/dialer/incoming"
    drop_list(world, "bad", call_rows(date(2026, 11, 17)))
    file, manifest = incoming / "bad.csv", incoming / "bad.manifest.json"
    match damage:
        case "changed":
            file.write_bytes(file.read_bytes().replace(b"+1608", b"+1609"))
        case "truncated":
            file.write_bytes(file.read_bytes()[:-40])
        case "missing":
            file.unlink()
        case "no manifest":
            manifest.unlink()
        case "not json":
            manifest.write_text("{")
        case "outside":
            manifest.write_text(manifest.read_text().replace("bad.csv", "../../../demo.env"))
    drop_list(world, "good", call_rows(date(2026, 11, 17), [1]))
    summary = play(world, MONDAY, seed=1)
    assert set(calls(world, "20261117")["call_key"]) == {"C1:2026-11-17"}
    expected = 0 if damage == "no manifest" else 1
    assert len(summary.refused_drops) == expected
    assert all(reason.startswith("bad.manifest.json: ") for reason in summary.refused_drops)


def test_an_account_nobody_knows_is_never_reached(world):
    drop_list(world, "unknown", call_rows(date(2026, 11, 17), range(1_000, 1_200)))
    play(world, MONDAY, seed=1)
    assert "answered_rpc" not in set(calls(world, "20261117")["disposition"])


def test_letters_are_printed_mailed_and_delivered_days_later(world):
    folder = world.demo / "sftp/print/incoming"
    for parity, account in ((0, "000000000000"), (1, "000000000001")):
        names = {f"L{parity}-{n}.pdf": b"%PDF-" + bytes([n]) for n in range(60)}
        drop(folder / f"batch{parity}", f"batch{parity}", names, account_no=account)
    assert play(world, MONDAY, seed=1).letters == {"mailed": 120, "printed": 120}
    later = [play(world, date(2026, 11, day), seed=1).letters for day in range(17, 24)]
    assert later[0] == {}  # two days at least
    assert sum(count for counts in later for count in counts.values()) == 120
    ends = pd.concat(
        pd.read_csv(file) for file in (world.demo / "sftp/print/outgoing").glob("letters_*.csv")
    ).query("status in ['delivered', 'returned']")
    moved = ends["letter_id"].str.startswith("L1")
    assert (ends["status"] == "returned")[moved].mean() > 0.5  # the household left
    assert (ends["status"] == "returned")[~moved].mean() < 0.15
    assert ends["letter_id"].is_unique


def test_days_not_played_are_made_up_for(world):
    drop(world.demo / "sftp/print/incoming/b", "b", {f"L{n}.pdf": b"%PDF" for n in range(20)})
    play(world, MONDAY, seed=1)
    assert sum(play(world, date(2026, 11, 29), seed=1).letters.values()) == 20


def member(n: int) -> dict[str, str]:
    return {
        "member_key": f"aud:C{n}",
        "customer_id": f"C{n}",
        "email": f"c{n}@example.com",
        "offer_id": "tou_tariff",
    }


def events(paths: Paths) -> list[dict]:
    store = CampaignStore(Places.of(paths).campaign_db)
    try:
        return store.events(0, 5_000)
    finally:
        store.close()


def test_members_respond_by_the_truth_of_their_offer_and_channel(world):
    store = CampaignStore(Places.of(world).campaign_db)
    store.add_members("aud", [member(n) for n in range(N + 20)])  # the last twenty nobody knows
    store.remove_member("aud", "aud:C5")
    store.close()
    play(world, MONDAY, seed=1)
    frame = pd.DataFrame(events(world))
    number = frame["customer_id"].str.slice(1).astype(int)
    responded = set(number[frame["event"] == "responded"])
    assert len(responded) / (N / 2) == pytest.approx(0.5, abs=0.1)
    assert all(n % 2 for n in responded)  # 0.0 for the even ones, and no letter was sent
    assert set(range(N, N + 20)) <= set(number[frame["event"] == "bounced"])
    assert 5 not in set(number)
    reached = set(number[frame["event"] == "delivered"])
    assert reached.isdisjoint(number[frame["event"] == "bounced"])
    assert responded <= set(number[frame["event"] == "opened"]) <= reached
    at = frame.pivot_table(
        index="customer_id", columns="event", values="occurred_at", aggfunc="first"
    ).dropna(subset=["responded"])
    assert ((at["delivered"] < at["opened"]) & (at["opened"] < at["responded"])).all()
    assert frame["occurred_at"].str.startswith("2026-11-17T").all()
    assert frame.loc[frame["event"] == "responded", "value_usd"].astype(float).between(15, 140).all()
    assert frame.loc[frame["event"] != "responded", "value_usd"].isna().all()


def test_a_member_added_later_is_the_only_one_who_gets_a_message(world):
    for n in (1, 2):
        store = CampaignStore(Places.of(world).campaign_db)
        store.add_members("aud", [member(n)])
        store.close()
        play(world, MONDAY, seed=1)
    keys = [event["member_key"] for event in events(world) if event["event"] in ("delivered", "bounced")]
    assert keys == ["aud:C1", "aud:C2"]


def test_without_the_truth_there_is_one_clear_line(paths):
    Places.of(paths).create()
    drop_list(paths, "evening", call_rows(date(2026, 11, 17)))
    with pytest.raises(SystemsError, match=r"contact\.parquet is not there"):
        play(paths, MONDAY, seed=1)


def test_nothing_pushed_is_nothing_played(world):
    assert play(world, MONDAY, seed=1).is_empty
    assert tree(world) == {}
