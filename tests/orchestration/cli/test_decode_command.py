"""gridcrm decode, as somebody runs it in a terminal: standard output, standard error, exit code."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

KEYS = ["file", "format", "sha256", "records", "rows", "control_totals", "reasons"]


def gridcrm(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "orchestration.cli.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def nem12(path: Path, *, bad_value: bool = False, end: bool = True) -> Path:
    day = ["0.125"] * 48
    if bad_value:
        day[7] = "seven"
    lines = [
        "100,NEM12,202611150600,RIVERB,GRIDCRM",
        "200,6100000123,E1,E1,E1,N1,METER1,KWH,30,",
        f"300,20261113,{','.join(['0.25'] * 48)},A,,,20261114060000,",
        f"300,20261114,{','.join(day)},A,,,20261115060000,",
        *(["900"] if end else []),
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_file_that_is_all_right(tmp_path: Path) -> None:
    file = nem12(tmp_path / "NEM12#1.csv")
    done = gridcrm(
        "decode", file, "--format", "nem12", "--set", "utc_offset=-06:00", "--out", tmp_path / "out"
    )
    assert (done.returncode, done.stderr) == (0, "")
    account = json.loads(done.stdout)
    assert list(account) == KEYS
    assert account["file"] == "NEM12#1.csv"
    assert account["format"] == "nem12"
    assert account["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert account["records"] == {"read": 5, "loaded": 5, "superseded": 0, "quarantined": 0}
    assert account["rows"] == 96
    assert account["reasons"] == {}
    assert account["control_totals"]
    for total in account["control_totals"]:
        assert list(total) == ["name", "declared", "found", "ok"]
        assert total["ok"] is True
    reads = pq.read_table(tmp_path / "out" / "reads.parquet")
    assert reads.num_rows == 96
    assert str(min(reads["interval_start_at"].to_pylist())) == "2026-11-13 06:00:00+00:00"


def test_a_file_with_a_bad_record_ends_with_3(tmp_path: Path) -> None:
    done = gridcrm(
        "decode", nem12(tmp_path / "a.csv", bad_value=True), "--format", "nem12", "--out", tmp_path / "o"
    )
    assert done.returncode == 3
    account = json.loads(done.stdout)
    assert account["records"]["quarantined"] == 1
    assert sum(account["reasons"].values()) == 1
    assert account["rows"] == 48
    assert pq.read_table(tmp_path / "o" / "reads.parquet").num_rows == 48


def test_a_truncated_file_is_refused_with_one_line(tmp_path: Path) -> None:
    done = gridcrm(
        "decode", nem12(tmp_path / "cut.csv", end=False), "--format", "nem12", "--out", tmp_path / "o"
    )
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("gridcrm: cut.csv")
    assert "900" in line
    assert not list((tmp_path / "o").glob("*.parquet"))


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--format", "nem21"], "nem12"),
        (["--format", "nem12", "--set", "utc_ofset=+10:00"], "utc_ofset"),
        (["--format", "nem12", "--set", "utc_offset"], "key=value"),
    ],
    ids=["format", "key", "form"],
)
def test_a_wrong_word_on_the_command_line_is_named(tmp_path: Path, arguments: list[str], part: str) -> None:
    done = gridcrm("decode", nem12(tmp_path / "a.csv"), *arguments)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert part in done.stderr


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = gridcrm("decode", tmp_path / "nowhere.csv", "--format", "nem12")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "nowhere.csv" in done.stderr


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = gridcrm("--debug", "decode", tmp_path / "nowhere.csv", "--format", "nem12")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "RefusedFile" in done.stderr


def test_a_copybook_by_path_or_by_text(tmp_path: Path) -> None:
    copybook = tmp_path / "a.cpy"
    copybook.write_text(
        "       01  REC.\n           05  ACCOUNT-NO  PIC 9(4).\n           05  CITY-NAME  PIC X(6).\n"
    )
    data = tmp_path / "a.dat"
    data.write_bytes("0042Verona0043Monona".encode("cp037"))
    common = [
        "decode",
        data,
        "--format",
        "copybook",
        "--set",
        "record_format=F",
        "--set",
        "record_table=town",
    ]
    for number, value in enumerate((str(copybook), f"@{copybook}")):
        out = tmp_path / str(number)
        done = gridcrm(*common, "--set", f"copybook={value}", "--out", out)
        assert done.returncode == 0, done.stderr
        rows = pq.read_table(out / "town.parquet", columns=["account_no", "city_name"]).to_pylist()
        assert rows == [
            {"account_no": 42, "city_name": "Verona"},
            {"account_no": 43, "city_name": "Monona"},
        ]


def test_decode_loads_no_orchestrator_and_no_transport(tmp_path: Path) -> None:
    file = str(nem12(tmp_path / "a.csv"))
    script = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from orchestration.cli.main import app\n"
        f"done = CliRunner().invoke(app, ['decode', {file!r}, '--format', 'nem12'])\n"
        "assert done.exit_code == 0, done.output\n"
        "print([name for name in ('dagster', 'dbt', 'splink', 'sqlalchemy', 'paramiko')"
        " if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"
