"""The copybook reader against files and expected records that others made."""

from __future__ import annotations

import json
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


@pytest.mark.parametrize(
    ("data", "expected", "code_page"),
    [("test4_data", "test4.txt", "ascii"), ("test4a_data", "test4a.txt", "latin-1")],
)
def test_little_endian_rdw_with_two_record_types(
    cobol: Path, data: str, expected: str, code_page: str
) -> None:
    sink, result = _run(
        cobol,
        data,
        "test4_copybook.cob",
        code_page=code_page,
        control_characters="drop",
        trim="both",
        record_format="V",
        rdw_big_endian=False,
        rdw_inclusive=False,
        discriminator="SEGMENT-ID",
        records={
            "C": {"group": "STATIC-DETAILS", "table": "company"},
            "P": {"group": "CONTACTS", "table": "contact", "parent": "company"},
        },
    )
    assert result.records_by_type == {"C": 316, "P": 684}
    by_number = {row["_record_no"]: row for table in ("company", "contact") for row in sink.rows(table)}
    branch = {"C": "STATIC_DETAILS", "P": "CONTACTS"}
    for record in _expected(cobol / "test4_expected" / expected):
        row = _plain(by_number[record["Record_Id"] + 1])
        wanted = _flat({k: record[k] for k in ("SEGMENT_ID", "COMPANY_ID", branch[record["SEGMENT_ID"]])})
        assert {name: row.get(name) for name in wanted} == wanted
        if record["SEGMENT_ID"] == "P":
            # Their hierarchy ids name the file and the number of the root record.
            assert record["Seg_Id0"] == f"A_0_{row['_parent_no'] - 1}"
            assert by_number[row["_parent_no"]]["company_id"] == row["company_id"]


def test_every_kind_of_number(cobol: Path) -> None:
    sink, _ = _run(cobol, "test6_data", "test6_copybook.cob", floating_point="ieee754")
    rows = sink.rows("record")
    expected = [_flat(record) for record in _expected(cobol / "test6_expected" / "test6.txt")]
    assert len(rows) == len(expected) == 100
    for row, record in zip(rows, expected, strict=True):
        for name in ("float_01", "double_01"):
            assert row.pop(name) == pytest.approx(float(record.pop(name)), rel=1e-6)
        assert _plain(row) == record


def _by_amount(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted((_plain(row) for row in rows), key=lambda row: row["amount"])


def test_fillers_are_left_out_and_named_fields_of_filler_groups_kept(cobol: Path) -> None:
    sink, result = _run(cobol, "test7_data", "test7_fillers.cob", trim="both")
    assert result.loaded == 1000
    expected = [_flat(record) for record in _expected(cobol / "test7_expected" / "test7a.txt")]
    assert _by_amount(sink.rows("record"))[: len(expected)] == expected
    # The other reading leaves out the groups without a name, too.
    less = [_flat(record) for record in _expected(cobol / "test7_expected" / "test7.txt")]
    unnamed = ("str1", "str2", "str4")
    assert [{k: v for k, v in row.items() if k not in unnamed} for row in expected] == less


@pytest.mark.parametrize("name", ["test7b.txt", "test7c.txt", "test7d.txt"])
def test_fillers_become_columns_by_a_setting(cobol: Path, name: str) -> None:
    sink, _ = _run(cobol, "test7_data", "test7_fillers.cob", trim="both", keep_fillers=True)
    names = {
        "filler_after_record": "filler_1",
        "filler_after_company_prefix": "filler_2",
        "filler_after_filler_after_company_prefix": "filler_3",
        "filler_after_str2": "filler_4",
        "filler_after_str4": "filler_5",
        "filler_after_fill_field": "filler_6",
        "filler_after_filler_after_fill_field": "filler_7",
    }
    expected = [
        {names.get(key, key.replace("filler_p", "filler_")): value for key, value in _flat(record).items()}
        for record in _expected(cobol / "test7_expected" / name)
    ]
    found = _by_amount(sink.rows("record"))[: len(expected)]
    if name == "test7b.txt":
        within = ("str1", "str2", "str4", "filler_4", "filler_5")  # of groups without a name
        found = [{key: value for key, value in row.items() if key not in within} for row in found]
    assert found == expected


_CODE_PAGES = ["cp037", "cp273", "cp500", "cp1140", "cp1141", "cp1148"]


def _overrides(code_page: str) -> dict[str, str]:
    """The tables the expected files were made with hold line feed and carriage return at each other's place
    and but one upper control character; of the two overlines in use they have the other one in 273."""
    upper = {f"{b:02X}": " " for b in range(256) if 0x80 <= ord(bytes([b]).decode(code_page)) < 0xA0}
    site = {"0D": "\n", "25": "\r", "15": "\x85"} | ({"BC": "\xaf"} if code_page == "cp273" else {})
    return upper | site


@pytest.mark.parametrize("code_page", _CODE_PAGES)
def test_code_pages(cobol: Path, code_page: str) -> None:
    sink, result = _run(
        cobol,
        "test9_data",
        "test9_copybook.cob",
        code_page=code_page,
        code_page_overrides=_overrides(code_page),
        control_characters="keep",
        trim="none",
    )
    name = "test9_cp037_ext.txt" if code_page == "cp037" else f"test9_{code_page}.txt"
    expected = [_flat(record) for record in _expected(cobol / "test9_expected" / name)]
    assert result.loaded == 1000
    assert len(expected) == 60
    assert [_plain(row) for row in sink.rows("transdata")][:60] == expected


def test_a_code_page_without_control_characters(cobol: Path) -> None:
    sink, _ = _run(
        cobol,
        "test9_data",
        "test9_copybook.cob",
        code_page_overrides={"0D": "\n", "25": "\r", "15": "\x85"},
        trim="both",
    )
    expected = [_flat(r) for r in _expected(cobol / "test9_expected" / "test9_cp037.txt")]
    found = [_plain(row) for row in sink.rows("transdata")][: len(expected)]
    for row in found:
        # What they cut off are spaces and line ends, ours are spaces.
        row["company_name_np"] = row["company_name_np"].strip(" \r\n")
    assert found == expected


def test_a_code_page_of_a_site_given_byte_by_byte(cobol: Path) -> None:
    def character(byte: int) -> str:
        plain = bytes([byte]).decode("cp037")
        if plain in "\"'\\":
            return " "
        if plain in "\xa6\xad":
            return {"\xa6": "|", "\xad": "-"}[plain]
        return plain.swapcase() if plain.isascii() and plain.isprintable() else " "

    table = {f"{byte:02X}": character(byte) for byte in range(256)}
    sink, _ = _run(cobol, "test9_data", "test9_copybook.cob", code_page_overrides=table, trim="none")
    expected = [_flat(r) for r in _expected(cobol / "test9_expected" / "test9_cp_custom.txt")]
    assert [_plain(row) for row in sink.rows("transdata")][: len(expected)] == expected


_BLANK_IS_ZERO = {"WS-AMOUNT-FRACTION": {"blank": "zero", "invalid": "null"}}
_LETTERS_ARE_NULL = {name: {"invalid": "null"} for name in ("WS-DATE-NUM", "WS-AMOUNT-NUMERIC")}


def _display_expected(cobol: Path) -> list[dict[str, Any]]:
    return [
        {k: v for k, v in _flat(record).items() if k not in ("file_id", "record_id")}
        for record in _expected(cobol / "test19_display_num_expected" / "test19.txt")
    ]


def test_display_numbers_equal_the_expected_ones_by_settings(cobol: Path) -> None:
    sink, result = _run(
        cobol,
        "test19_display_num",
        "test19_display_num.cob",
        fields={**_BLANK_IS_ZERO, **_LETTERS_ARE_NULL},
    )
    assert [_plain(row) for row in sink.rows("ws_input_record")] == _display_expected(cobol)
    assert result.quarantined == 0


def test_display_numbers_blank_is_null_and_letters_are_quarantined_unless_told(cobol: Path) -> None:
    sink, result = _run(cobol, "test19_display_num", "test19_display_num.cob")
    expected = _display_expected(cobol)
    assert expected[5].pop("ws_amount_fraction") == 0
    assert [_plain(row) for row in sink.rows("ws_input_record")] == expected[:6]
    assert sink.rules == [(7, "bad_value")]
    assert result.quarantined == 1
