"""The copybook reader against files and expected records that others made."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.connectors.formats.sink import decoded


def _run(folder: Path, data: str, copybook: str, **settings: Any) -> tuple[Any, Any]:
    file = next((folder / data).iterdir())
    return decoded(file.read_bytes(), "copybook", {"copybook": str(folder / copybook), **settings})


def _expected(file: Path) -> list[dict[str, Any]]:
    text = file.read_text(encoding="utf-8")
    if text.startswith("["):
        found: list[dict[str, Any]] = json.loads(text, parse_float=Decimal)
        return found
    return [json.loads(line, parse_float=Decimal) for line in text.strip("\n").split("\n")]


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    """Nested groups flattened, names as columns, what is empty left out."""
    flat: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, dict):
            flat |= _flat(value)
        elif value not in (None, ""):
            flat[name.lower()] = value
    return flat


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None and name != "_record_no"}


@pytest.fixture
def cobol(realdata: Path) -> Path:
    return realdata / "cobol"


def test_fixed_records_equal_the_expected_ones(cobol: Path) -> None:
    sink, result = _run(cobol, "test3_data", "test3_copybook.cob")
    expected = _expected(cobol / "test3_expected" / "test3_trim_right.txt")
    assert result.loaded == 1000
    assert [_plain(row) for row in sink.rows("transdata")][: len(expected)] == [_flat(r) for r in expected]


@pytest.mark.parametrize("trim", ["left", "none", "both"])
def test_trimming_is_a_setting(cobol: Path, trim: str) -> None:
    sink, _ = _run(cobol, "test3_data", "test3_copybook.cob", trim=trim)
    expected = _expected(cobol / "test3_expected" / f"test3_trim_{trim}.txt")
    assert [_plain(row) for row in sink.rows("transdata")][: len(expected)] == [_flat(r) for r in expected]


def test_little_endian_rdw_with_two_record_types(cobol: Path) -> None:
    sink, result = _run(
        cobol,
        "test4_data",
        "test4_copybook.cob",
        code_page="ascii",
        trim="both",
        record_format="V",
        rdw_big_endian=False,
        rdw_inclusive=False,
        discriminator="SEGMENT-ID",
        records={
            "C": {"group": "STATIC-DETAILS", "table": "company"},
            "P": {"group": "CONTACTS", "table": "contact"},
        },
    )
    assert result.records_by_type == {"C": 316, "P": 684}
    by_number = {row["_record_no"]: row for table in ("company", "contact") for row in sink.rows(table)}
    branch = {"C": "STATIC_DETAILS", "P": "CONTACTS"}
    for record in _expected(cobol / "test4_expected" / "test4.txt"):
        row = _plain(by_number[record["Record_Id"] + 1])
        wanted = _flat({k: record[k] for k in ("SEGMENT_ID", "COMPANY_ID", branch[record["SEGMENT_ID"]])})
        if wanted.get("taxpayer_type") == "N":
            # A number lies over the text here. The expected text lost its control characters where ours has
            # spaces; the number is what counts.
            assert row["taxpayer_str"].replace(" ", "") == wanted.pop("taxpayer_str").replace(" ", "")
        assert {name: row.get(name) for name in wanted} == wanted


def test_every_kind_of_number(cobol: Path) -> None:
    sink, _ = _run(cobol, "test6_data", "test6_copybook.cob", floating_point="ieee754")
    rows = sink.rows("record")
    expected = [_flat(record) for record in _expected(cobol / "test6_expected" / "test6.txt")]
    assert len(rows) == len(expected) == 100
    for row, record in zip(rows, expected, strict=True):
        for name in ("float_01", "double_01"):
            assert row.pop(name) == pytest.approx(float(record.pop(name)), rel=1e-6)
        assert _plain(row) == record


def test_fillers_are_dropped_and_named_fields_of_filler_groups_kept(cobol: Path) -> None:
    sink, result = _run(cobol, "test7_data", "test7_fillers.cob", trim="both")
    assert result.loaded == 1000
    found = [_plain(row) for row in sink.rows("record")]
    expected = [_flat(record) for record in _expected(cobol / "test7_expected" / "test7a.txt")]
    assert all(record in found for record in expected)
    assert not any("filler" in name for name in sink.table("record").column_names)


@pytest.mark.parametrize("code_page", ["cp037", "cp1140", "cp1141", "cp1148", "cp273", "cp500"])
def test_code_pages(cobol: Path, code_page: str) -> None:
    sink, _ = _run(
        cobol,
        "test9_data",
        "test9_copybook.cob",
        code_page=code_page,
        keep_control_characters=True,
        trim="none",
    )
    name = "test9_cp037_ext.txt" if code_page == "cp037" else f"test9_{code_page}.txt"
    found = {(_shown(row["company_name_np"]), row["amount"]) for row in sink.rows("transdata")}
    expected = {
        (_shown(record["COMPANY_NAME_NP"]), record["AMOUNT"])
        for record in _expected(cobol / "test9_expected" / name)
    }
    assert len(expected) > 50
    assert expected <= found


def _shown(text: str) -> str:
    """Text with its line ends alike and its upper control characters blank, as the expected files have them;
    of the two overlines in use they prefer the other one in 273."""
    text = re.sub("[\x85\r]", "\n", text)
    return re.sub("[\x80-\x9f]", " ", text).replace("\u203e", "\xaf").strip(" ")


def test_display_numbers_blank_is_null_and_letters_are_quarantined(cobol: Path) -> None:
    sink, result = _run(cobol, "test19_display_num", "test19_display_num.cob")
    expected = [
        {k: v for k, v in _flat(record).items() if k not in ("file_id", "record_id")}
        for record in _expected(cobol / "test19_display_num_expected" / "test19.txt")
    ]
    # Two deviations, both on purpose: a blank fraction is null rather than 0.00 (record 6), and a number that
    # holds letters puts its record into quarantine rather than being null (record 7).
    assert expected[5].pop("ws_amount_fraction") == 0
    assert [_plain(row) for row in sink.rows("ws_input_record")] == expected[:6]
    assert sink.rules == [(7, "bad_value")]
    assert result.quarantined == 1
