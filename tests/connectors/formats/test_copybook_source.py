"""Copybook text as it comes: columns, comments, continuation, COPY and REPLACING."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connectors.formats import SettingsError, schema
from connectors.formats.copybook.parser import Dialect, Field, binary_size, parse_copybook
from connectors.formats.copybook.picture import parse_picture
from connectors.formats.copybook.settings import CopybookSettings
from connectors.formats.copybook.source import Source


def fields(text: str, dialect: Dialect | None = None, **source: Any) -> list[tuple[str, int]]:
    (root,) = parse_copybook(Source(text, **source), dialect)
    return [(entry.name, entry.size) for entry in root.walk() if not entry.is_group]


def only(clauses: str) -> Field:
    (root,) = parse_copybook(Source(f"01 R.\n05 A {clauses}.\n", is_free_form=True))
    return root.children[0]


def test_columns_comments_and_listing_directives_are_no_part_of_it() -> None:
    text = (
        "000100 01  R.                                                           SEQ00001\n"
        "000200*    05  OLD PIC X(9).\n"
        "000300/    NEW PAGE\n"
        "000400D    05  DEBUG-ONLY PIC X.\n"
        "       EJECT\n"
        "       SKIP1.\n"
        "000500     05  A PIC X(3).   *> inline comment. 05 B PIC X.\n"
        "000600     05  C PIC X VALUE '*>'.\n"
        "           05\tD\tPIC 9(2).\n"
    )
    assert fields(text) == [("A", 3), ("C", 1), ("D", 2)]


def test_continued_words_and_literals() -> None:
    text = (
        "       01  R.\n"
        "           05  A PIC X(30) VALUE 'it starts here. 05 NOT-A-FIELD PIC X(1)\n"
        "      -    '. and ends here'.\n"
        "           05  LONG-N\n"
        "      -        AME PIC 9(4) COMP.\n"
    )
    assert fields(text) == [("A", 30), ("LONG-NAME", 2)]


def test_copy_with_replacing_and_members_inside_members() -> None:
    text = (
        "       01  R.\n"
        "           COPY ADDRESS REPLACING ==:TAG:== BY ==HOME==\n"
        "               LEADING ==OLD== BY ==NEW==\n"
        "               ==PIC X(2)== BY ==PIC X(7)==.\n"
        "           COPY 'TAIL'.\n"
    )
    copies = {
        "address": "           05  :TAG:-STREET PIC  X(2).\n           05  OLD-CITY PIC X(3).\n"
        "           COPY ZIP IN LIB SUPPRESS.\n",
        "ZIP": "           05  OLD PIC 9(5).\n",
        "TAIL": "           05  LAST-ONE PIC X.\n",
    }
    assert fields(text, copies=copies) == [("HOME-STREET", 7), ("NEW-CITY", 3), ("OLD", 5), ("LAST-ONE", 1)]


def test_a_copied_member_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "zip.cpy").write_text("           05  ZIP PIC 9(5).\n", encoding="ascii")
    settings = {"copybook": "       01 R.\n       COPY ZIP.\n", "copies": {"ZIP": str(tmp_path / "zip.cpy")}}
    assert schema("copybook", settings)["r"].names == ["_record_no", "zip"]


def test_tags_of_the_copybook_itself_are_replaced_by_a_setting() -> None:
    settings = {"copybook": "       01 :P:-REC.\n          05 :P:-ID PIC 9.\n", "replacing": {":P:": "CU"}}
    assert schema("copybook", settings)["cu_rec"].names == ["_record_no", "cu_id"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("       COPY A.\n", "COPY A: give its text in the setting 'copies'"),
        ("       COPY LOOP.\n", "copybook LOOP line 1: COPY LOOP copies itself"),
        ("       COPY OK REPLACING ==A== ==B==.\n", "REPLACING needs ==old== BY ==new=="),
        ("       COPY OK BECAUSE.\n", "REPLACING was expected"),
        ("       COPY BROKEN.\n", "copybook BROKEN line 2: PIC Q"),
        ("       REPLACE ==A== BY ==B==.\n", "'REPLACE' is not supported"),
        ("       >>IF DEFINED X\n", "'>>IF' is not supported"),
        ("       01 R PIC X.\n       50 A PIC X.\n", "a level is 01 to 49"),
        ("       01 R PIC X(99999999).\n", "repeat count is beyond"),
        ("       01 R PIC NX.\n", "this picture is not supported"),
        ("       01 R PIC Z9PP.\n", "P in an edited picture"),
        ("       01 R PIC 9 COMP-1.\n", "USAGE FLOAT takes no PIC"),
        ("       01 R PIC\n", "ends in the middle of a clause|no period"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(text: str, message: str) -> None:
    copies = {
        "LOOP": "       COPY LOOP.\n",
        "OK": "       01 R PIC X.\n",
        "BROKEN": "\n       01 R PIC Q.\n",
    }
    with pytest.raises(SettingsError, match=message):
        parse_copybook(Source(text, copies=copies))


def test_usage_sign_and_sync_of_a_group_hold_below_it() -> None:
    text = """
       01 R COMP-3.
          05 A PIC S9(5).
          05 B PIC X(5).
          05 C PIC 9(5) DISPLAY.
          05 G SIGN LEADING SEPARATE USAGE DISPLAY.
             10 D PIC S9(5).
             10 E PIC S9(5) SIGN TRAILING.
          05 H COMP SYNC.
             10 I PIC S9(5).
"""
    (root,) = parse_copybook(Source(text))
    found = {entry.name: entry for entry in root.walk()}
    assert [found[name].size for name in "ABCDEI"] == [3, 5, 5, 6, 5, 4]
    assert found["D"].is_sign_leading
    assert not found["E"].is_sign_leading
    assert found["I"].is_synchronized


@pytest.mark.parametrize(
    ("clauses", "size"),
    [
        ("PIC S9(4) COMP", 2),
        ("PIC S9(5) COMPUTATIONAL-4", 4),
        ("PIC S9(10) BINARY", 8),
        ("PIC S9(31) COMP", 13),
        ("PIC 9(5) COMP-6", 3),
        ("PIC 9(4) COMP-6", 2),
        ("PIC S9(31) PACKED-DECIMAL", 16),
        ("COMP-1", 4),
        ("USAGE COMPUTATIONAL-2", 8),
        ("INDEX", 4),
        ("POINTER", 4),
        ("PROCEDURE-POINTER", 8),
        ("PIC N(5) NATIONAL", 10),
        ("PIC G(5) DISPLAY-1", 10),
        ("PIC XBX/X0", 6),
        ("PIC $$$,$$9.99CR", 12),
        ("PIC SVPP99", 2),
        ("PIC X(5) JUSTIFIED RIGHT", 5),
        ("PIC 9(5) BLANK WHEN ZERO", 5),
        ("PIC IS 9(5) SIGN IS TRAILING SEPARATE CHARACTER", 6),
        ("PIC 9(2) OCCURS 3 TIMES INDEXED BY I J ASCENDING KEY IS A", 2),
        ("PIC X(3) VALUE IS 'a''b. c' GLOBAL", 3),
    ],
)
def test_sizes(clauses: str, size: int) -> None:
    assert only(clauses).size == size


@pytest.mark.parametrize(
    ("digits", "rule", "signed", "size"),
    [
        (2, "2-4-8", True, 2), (2, "1-2-4-8", True, 1), (3, "1-2-4-8", True, 2), (6, "1--8", True, 3),
        (7, "1--8", True, 4), (7, "1--8", False, 3), (12, "1--8", False, 5), (18, "1--8", True, 8),
    ],
)  # fmt: skip
def test_bytes_of_a_binary_number_by_compiler(digits: int, rule: str, signed: bool, size: int) -> None:
    assert binary_size(digits, rule, signed) == size


def test_digits_of_floating_strings_count() -> None:
    picture = parse_picture("$$,$$9.99-")
    assert (picture.digits, picture.scale, picture.size) == (6, 2, 10)
    assert parse_picture("-(4)9.99").digits == 6
    assert parse_picture("Z.ZZ9,99", is_decimal_comma=True).scale == 2


def test_every_setting_is_described_for_editors() -> None:
    described = CopybookSettings.model_json_schema()
    definitions = [described, *described["$defs"].values()]
    assert len(definitions) == 4
    for definition in definitions:
        assert definition["description"]
        for name, setting in definition["properties"].items():
            assert setting.get("description"), name


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("       01 R.\n          05 A PIC X(3)", "line 2: the entry has no period"),
        ("       01 R.\n          05 A PIC Q(3).", "line 2: PIC Q.3.: this picture is not supported"),
        ("       01 R.\n          05 A PIC 9(39).", "1 to 38 digits"),
        ("       01 R.\n          05 A PIC 9(3.", "repeat count"),
        ("       01 R.\n          05 A USAGE OBJECT.", "USAGE OBJECT is not supported"),
        ("       01 R.\n          05 A PIC G(4).", "A is PIC G: name its codec in 'double_byte_code_page'"),
        ("       01 R.\n          05 A PIC X OCCURS MANY TIMES.", "OCCURS needs a number"),
        ("       01 R.\n          05 A PIC X OCCURS 0 TIMES.", "maximum of at least 1"),
        ("       01 R.\n          05 A PIC X WHATEVER.", "clause 'WHATEVER' is not known"),
        ("       01 R.\n          05 A.\n          05 B PIC X.", "A has neither a PIC nor fields"),
        ("       01 R.\n          05 A PIC X.\n             10 B PIC X.", "lies under A, which has a PIC"),
        ("       01 R.\n          05 A PIC X.\n          05 B REDEFINES Z PIC X.", "B redefines Z"),
        ("       01 R.\n          05 B PIC X OCCURS 1 TO 3 DEPENDING ON N.", "B depends on N"),
        ("       COPY OTHER.", "COPY OTHER: give its text in the setting 'copies'"),
        ("       NO LEVEL.", "a level number was expected"),
        ("      * ONLY A COMMENT", "no field found in columns 8–72"),
    ],
)
def test_a_copybook_that_cannot_be_read_names_the_line(lines: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        schema("copybook", {"copybook": lines + "\n"})


def test_free_form_and_continued_entries() -> None:
    free = "01 R.\n05 A PIC\n X(3) VALUE 'a. b'.\n*> comment\n05 B PIC 9(2)V9 COMP-3.\n"
    (root,) = parse_copybook(Source(free, is_free_form=True))
    assert [(f.name, f.size) for f in root.children] == [("A", 3), ("B", 2)]


def test_pictures() -> None:
    assert parse_picture("S9(5)V9(2)").scale == 2
    assert parse_picture("+9(6).99").size == 10
    assert parse_picture("SPPP9(5)").scale == 8
    assert parse_picture("Z(6)VZZ-").size == 9
