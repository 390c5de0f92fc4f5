"""Archives, and one file decoded on its own."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from connectors.formats import RefusedFile, SettingsError, decode_file
from connectors.formats.archive import open_payloads
from connectors.formats.nem12 import decoder as nem12
from tests.connectors.formats.encode import day, rdw
from tests.connectors.formats.encode import nem12 as nem12_text
from tests.connectors.formats.test_copybook import SETTINGS, bill, header, rates, trailer

GOOD = nem12_text([day()])
HALF = nem12_text([day(), day("20260819", quality="X")])


def _zip(path: Path, **members: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


def test_account_and_tables_of_a_zipped_meter_file(tmp_path: Path) -> None:
    file = _zip(tmp_path / "NEM12#1#A#B.zip", one=HALF, two=GOOD)
    account = decode_file(file, "nem12", {}, tmp_path / "out")
    assert json.loads(json.dumps(account)) == account
    assert account["records"] == {"read": 9, "loaded": 8, "superseded": 0, "quarantined": 1}
    assert account["rows"] == {"reads": 96}
    assert account["reasons"] == {"bad_quality": 1}
    assert len(account["control_totals"]) == 4
    assert len(account["sha256"]) == 64
    assert pq.read_table(tmp_path / "out" / "reads.parquet").num_rows == 96
    (reject,) = pq.read_table(tmp_path / "out" / "rejects.parquet").to_pylist()
    assert (reject["payload"], reject["record_no"], reject["rule"]) == (
        "NEM12#1#A#B.zip!one",
        4,
        "bad_quality",
    )


def test_a_file_a_record_type_for_copybooks(tmp_path: Path) -> None:
    file = tmp_path / "extract.dat"
    file.write_bytes(
        b"".join(rdw(r) for r in (header(), bill(1, "10.50"), rates("0.1"), trailer(1, "10.50")))
    )
    account = decode_file(file, "copybook", SETTINGS, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "header.parquet", "bill.parquet", "rates.parquet", "trailer.parquet"
    }  # fmt: skip
    assert account["control_totals"][1] == {
        "name": "amount",
        "declared": 10.5,
        "found": 10.5,
        "ok": True,
    }


def test_a_second_run_leaves_nothing_of_the_first(tmp_path: Path) -> None:
    file = tmp_path / "reads.csv"
    for text, names in ((HALF, {"reads.parquet", "rejects.parquet"}), (GOOD, {"reads.parquet"})):
        file.write_text(text)
        decode_file(file, "nem12", {}, tmp_path / "out")
        assert {path.name for path in (tmp_path / "out").iterdir()} == names


def test_a_refused_file_writes_nothing(tmp_path: Path) -> None:
    file = _zip(tmp_path / "reads.zip", one=GOOD, two=GOOD[:-8])
    with pytest.raises(RefusedFile, match="truncated"):
        decode_file(file, "nem12", {}, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    with pytest.raises(RefusedFile, match=r"absent.csv: cannot be read: No such file"):
        decode_file(tmp_path / "absent.csv", "nem12", {})
    with pytest.raises(SettingsError):
        decode_file(file, "nem12", {"key": 1})


def test_gzip_and_plain_files(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(GOOD.encode()))
    (tmp_path / "misnamed.zip").write_text(GOOD)
    assert [name for name, _ in open_payloads(tmp_path / "a.csv.gz")] == ["a.csv"]
    for name in ("a.csv.gz", "misnamed.zip"):
        assert decode_file(tmp_path / name, "nem12", {})["records"]["loaded"] == 4


def test_damaged_archives_are_refused(tmp_path: Path) -> None:
    good = _zip(tmp_path / "good.zip", one=GOOD * 50).read_bytes()
    packed = gzip.compress(GOOD.encode())
    damaged = {
        "cut.zip": good[:-30],
        "flipped.zip": good[:60] + b"\xff\xff\xff" + good[63:],
        "empty.zip": b"PK\x05\x06" + b"\x00" * 18,
        "cut.gz": packed[:-10],
        "flipped.gz": packed[:30] + b"\xff\xff" + packed[32:],
        "nothing.gz": b"\x1f\x8b",
    }
    for name, data in damaged.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(RefusedFile, match=name.replace(".", r"\.")):
            decode_file(tmp_path / name, "nem12", {})


def test_a_large_file_is_mapped_from_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nem12, "_IN_MEMORY", 1000)
    record = day("20260819")
    text = nem12_text([day(), record[:100] + "\r\n" + record[100:], day("20260820", quality="X")])
    (tmp_path / "reads.csv").write_text(text)
    account = decode_file(tmp_path / "reads.csv", "nem12", {})
    assert (account["rows"], account["reasons"]) == ({"reads": 96}, {"bad_quality": 1})
