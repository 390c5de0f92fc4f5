"""Single values at the edges of what a picture, a usage and a site's settings allow."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.formats import SettingsError, schema
from connectors.formats.copybook.code_page import code_page
from tests.connectors.formats.encode import binary, packed, text, zoned
from tests.connectors.formats.sink import decoded
from tests.connectors.formats.test_copybook import one

BAD = object()
IEEE: dict[str, Any] = {"floating_point": "ieee754"}


def value(picture: str, data: bytes, **options: Any) -> Any:
    """One value; ``BAD`` where its record went to quarantine as a bad value."""
    found, sink = one(picture, data, **options)
    if sink.rules:
        assert sink.rules == [(1, "bad_value")]
        return BAD
    return found


def kind(picture: str, **options: Any) -> pa.DataType:
    copybook = f"       01 R.\n          05 F {picture}.\n"
    return schema("copybook", {"copybook": copybook, **options})["r"].field("f").type


@pytest.mark.parametrize(
    ("picture", "data", "expected"),
    [
        ("PIC 9(4) COMP-5", b"\xff\xff", 65535),
        ("PIC S9(4) COMP-5", b"\x80\x00", -32768),
        ("PIC 9(9) COMP-5", b"\xff" * 4, 2**32 - 1),
        ("PIC 9(18) COMP-5", b"\xff" * 8, Decimal(2**64 - 1)),
        ("PIC S9(18) COMP-5", b"\x80" + b"\x00" * 7, -(2**63)),
        ("PIC S9(2)V99 COMP-5", b"\x7f\xff", Decimal("327.67")),
        ("PIC 9(16)V99 COMP-5", b"\xff" * 8, Decimal(2**64 - 1).scaleb(-2)),
        ("PIC 9(18) COMP", b"\x80" + b"\x00" * 7, BAD),
        ("PIC 9(4)P COMP-5", b"\xff\xff", Decimal(655350)),
        ("PIC 9(5) COMP-6", b"\x01\x23\x45", 12345),
        ("PIC 9(4) COMP-6", b"\x12\x34", 1234),
        ("PIC 9(3) COMP-6", b"\x12\x34", BAD),
        ("PIC 9(4) COMP-6", b"\x1a\x34", BAD),
        ("PIC 9(20) COMP-6", bytes.fromhex("12345678901234567890"), Decimal("12345678901234567890")),
        ("PIC S9(31) COMP-3", packed(10**31 - 1, 31), Decimal(10**31 - 1)),
        ("PIC S9(29)V99 COMP-3", packed(Decimal("-0.01"), 31, 2), Decimal("-0.01")),
        ("PIC S9(31)", zoned(-(10**31 - 1), 31, signed=True), Decimal(-(10**31 - 1))),
        ("PIC S9(31) COMP", binary(-(10**31 - 1), 13, signed=True), Decimal(-(10**31 - 1))),
        ("PIC S9(31) COMP", b"\x7f" + b"\xff" * 12, BAD),
        ("PIC S9(18) COMP-3", packed(-(10**18 - 1), 18), -(10**18 - 1)),
        ("PIC 9(18)", zoned(10**18 - 1, 18), 10**18 - 1),
        ("PIC SPPP9(5) COMP-3", packed(-12345, 5), Decimal("-0.00012345")),
        ("PIC S9(3)PPP COMP-3", packed(-123, 3), -123000),
        ("PIC 9(17)PPP", zoned(10**17 - 1, 17), Decimal((10**17 - 1) * 1000)),
        ("PIC 9(19)P(12)", zoned(10**19 - 1, 19), Decimal((10**19 - 1) * 10**12)),
        ("PIC VPP9(2)", zoned(42, 2), Decimal("0.0042")),
        ("PIC S9(4) SIGN LEADING SEPARATE", text("-0042", 5), -42),
        ("PIC S9(4) SIGN TRAILING SEPARATE", text("0042 ", 5), 42),
        ("PIC S9(4) SIGN LEADING", b"\xd0\xf0\xf4\xf2", -42),
        ("PIC 9(8)V99", zoned(4200, 10), Decimal("42.00")),
    ],
)
def test_full_ranges(picture: str, data: bytes, expected: object) -> None:
    assert value(picture, data) == expected


def test_the_type_tells_the_full_range() -> None:
    assert kind("PIC 9(18) COMP-5") == pa.decimal128(20, 0)
    assert kind("PIC S9(18) COMP-5") == pa.int64()
    assert kind("PIC S9(2)V99 COMP-5") == pa.decimal128(5, 2)
    assert kind("PIC S9(31) COMP-3") == pa.decimal128(31, 0)
    assert kind("PIC SPPP9(5)") == pa.decimal128(8, 8)


@pytest.mark.parametrize(
    ("picture", "data", "options", "expected"),
    [
        ("PIC S9(4) COMP-5", b"\xd6\xff", {"comp5_big_endian": False}, -42),
        ("PIC 9(18) COMP-5", b"\x01" + b"\x00" * 7, {"comp5_big_endian": False}, Decimal(1)),
        ("PIC S9(4) COMP", b"\xd6\xff", {"comp_big_endian": False}, -42),
        ("PIC S9(6) COMP", b"\xff\xff\xd6", {"binary_size": "1--8"}, -42),
        ("PIC S9(6) COMP", b"\xd6\xff\xff", {"binary_size": "1--8", "comp_big_endian": False}, -42),
        ("PIC 9(2) COMP", b"\xff", {"binary_size": "1-2-4-8"}, 255),
        ("COMP-1", b"\x00\x00\x2a\x42", {**IEEE, "floating_point_big_endian": False}, 42.5),
        ("COMP-2", b"\x40\x45\x40" + b"\x00" * 5, IEEE, 42.5),
        ("COMP-2", b"\xff\xf0" + b"\x00" * 6, IEEE, BAD),
        ("COMP-1", b"\x00\x80\x2a\x42", {"floating_point_big_endian": False}, 42.5),
        ("COMP-1", b"\x00" * 4, {}, 0.0),
        ("COMP-2", b"\x7f" + b"\xff" * 7, {}, pytest.approx(16.0**63)),
    ],
)  # fmt: skip
def test_byte_orders_and_sizes(picture: str, data: bytes, options: dict[str, Any], expected: object) -> None:
    assert value(picture, data, **options) == expected


SPACES, LOW, HIGH = text("", 4), b"\x00" * 4, b"\xff" * 4


@pytest.mark.parametrize(
    ("data", "options", "expected"),
    [
        (SPACES, {}, None),
        (LOW, {}, None),
        (HIGH, {}, BAD),
        (SPACES[:2] + LOW[:2], {}, None),
        (SPACES, {"blank_numeric": "reject"}, BAD),
        (LOW, {"low_values_numeric": "reject"}, BAD),
        (SPACES[:2] + LOW[:2], {"low_values_numeric": "reject"}, BAD),
        (HIGH, {"high_values_numeric": "null"}, None),
        (SPACES, {"fields": {"F": {"blank": "zero"}}}, 0),
        (LOW, {"fields": {"f": {"blank": "zero"}}}, 0),
        (SPACES, {"fields": {"F": {"blank": "reject"}}}, BAD),
        (SPACES, {"blank_numeric": "reject", "fields": {"F": {"blank": "null"}}}, None),
        (text("1 34", 4), {}, BAD),
        (text("ABCD", 4), {"fields": {"F": {"invalid": "null"}}}, None),
        (text(" 12 ", 4), {"fields": {"F": {"read_as": "text"}}}, " 12"),
    ],
)
@pytest.mark.parametrize("picture", ["PIC 9(4)", "PIC Z(4)"])
def test_numbers_that_were_never_filled_in(
    picture: str, data: bytes, options: dict[str, Any], expected: object
) -> None:
    if picture == "PIC Z(4)" and data == text("1 34", 4):
        return
    assert value(picture, data, **options) == expected


@pytest.mark.parametrize("data", [b"\x40" * 3, b"\x00" * 3, b"\xff" * 3])
def test_packed_numbers_that_were_never_filled_in(data: bytes) -> None:
    for picture in ("PIC S9(5) COMP-3", "PIC S9(4) COMP-3"):
        assert value(picture, data) is BAD
        assert value(picture, data, unfilled_packed="null") is None
    assert value("PIC S9(5) COMP-3", b"\x40\x40\x00", unfilled_packed="null") is BAD


def test_blank_when_zero_says_what_spaces_are() -> None:
    assert value("PIC 9(4) BLANK WHEN ZERO", SPACES) == 0
    assert value("PIC ZZ9.9 BLANK WHEN ZERO", text("", 5)) == 0
    assert value("PIC 9(4) BLANK WHEN ZERO", LOW) is None


def test_a_bad_nibble_is_never_a_zero() -> None:
    for nibble in range(10):
        assert value("PIC S9(3) COMP-3", bytes([0x12, 0x30 | nibble])) is BAD
    for nibble in range(10, 16):
        assert value("PIC S9(3) COMP-3", bytes([0x10 | nibble, 0x3C])) is BAD
        assert value("PIC 9(4)", b"\xf1\xf2" + bytes([0xF0 | nibble]) + b"\xf4") is BAD


@pytest.mark.parametrize(
    ("picture", "shown", "expected"),
    [
        ("PIC Z,ZZ9.99", "1,234.50", Decimal("1234.50")),
        ("PIC Z,ZZ9.99", "    0.00", Decimal("0.00")),
        ("PIC $$,$$9.99", "  $123.45", Decimal("123.45")),
        ("PIC -(4)9.99", "-1234.50", Decimal("-1234.50")),
        ("PIC +(3)9", " +42", 42),
        ("PIC 9(3)-", "042-", -42),
        ("PIC 9(3)+", "042+", 42),
        ("PIC ZZ9.99CR", " 12.50CR", Decimal("-12.50")),
        ("PIC ZZ9.99DB", " 12.50  ", Decimal("12.50")),
        ("PIC ***9.99", "**12.50", Decimal("12.50")),
        ("PIC ***.**", "***.**", Decimal("0.00")),
        ("PIC 99/99/9999", "18/08/2026", 18082026),
        ("PIC 9(3)B9(3)", "123 456", 123456),
        ("PIC Z(3)9V99", "  1250", Decimal("12.50")),
        ("PIC ZZ9.99", "1x2.50", BAD),
        ("PIC ZZ9.99", "1.2.50", BAD),
        ("PIC ZZ9.99-", "-12.50-", BAD),
        ("PIC $ZZ9", "$   ", BAD),
        ("PIC -(3)9", "   -", BAD),
    ],
)
@pytest.mark.parametrize("page", ["cp037", "ascii"])
def test_edited_numbers(picture: str, shown: str, expected: object, page: str) -> None:
    assert value(picture, text(shown, len(shown), page), code_page=page) == expected


def test_the_comma_as_decimal_mark() -> None:
    data = text("1.234,50-", 9)
    assert value("PIC Z.ZZ9,99-", data, decimal_comma=True) == Decimal("-1234.50")
    assert value("PIC 9(3)V99", zoned(12345, 5), decimal_comma=True) == Decimal("123.45")


def test_overpunch_in_ebcdic_and_in_an_ascii_twin() -> None:
    marks = "{ABCDEFGHI}JKLMNOPQR"
    for position, mark in enumerate(marks):
        expected = (10 + position % 10) * (-1 if position >= 10 else 1)
        assert value("PIC S9(2)", text("1" + mark, 2)) == expected
        assert value("PIC S9(2)", b"1" + mark.encode(), code_page="ascii") == expected
        leading = (position % 10 * 10 + 1) * (-1 if position >= 10 else 1)
        assert value("PIC S9(2) SIGN LEADING", text(mark + "1", 2)) == leading
    for digit in range(10):
        assert value("PIC S9(2)", b"1" + bytes([0x70 + digit]), code_page="ascii") == -(10 + digit)
        assert (
            value("PIC S9(4)", b"001" + b"0123456789"[digit : digit + 1], code_page="latin-1") == 10 + digit
        )


def test_ieee_floats_and_not_a_number() -> None:
    assert one("COMP-1", b"\x42\x2a\x00\x00", floating_point="ieee754")[0] == 42.5
    assert one("COMP-1", b"\x7f\xc0\x00\x00", floating_point="ieee754")[1].rules == [(1, "bad_value")]


def test_ascii_extract_of_the_same_copybook() -> None:
    copybook = "       01 R.\n          05 A PIC X(4).\n          05 B PIC S9(3).\n          05 C PIC 9(2).\n"
    sink, _ = decoded(
        b"Smit04K07" + b"Smit04{08" + b"Smit04s09", "copybook", {"copybook": copybook, "code_page": "ascii"}
    )
    assert [(row["b"], row["c"]) for row in sink.rows("r")] == [(-42, 7), (40, 8), (-43, 9)]


def test_text_beyond_ascii_and_undefined_bytes() -> None:
    assert one("PIC X(6)", "Zürich".encode("cp273"), code_page="cp273")[0] == "Zürich"
    assert one("PIC X(1)", b"\x9f", code_page="cp1140")[0] == "€"
    assert one("PIC X(3)", b"a\xffb", code_page="ascii")[0] == "a\ufffdb"
    assert one("PIC X(3)", b"a\x01b", code_page="ascii")[0] == "a b"


def test_national_and_double_byte_text() -> None:
    assert value("PIC N(6) USAGE NATIONAL", "Zürich".encode("utf-16-be")) == "Zürich"
    assert value("PIC N(3)", "a 😀".encode("utf-16-be")[:6] + b"") == "a \ufffd"
    assert value("PIC N(4)", "a 😀".encode("utf-16-be")) == "a 😀"
    assert value("PIC N(4)", "東京\u3000\u3000".encode("utf-16-be")) == "東京"
    assert value("PIC N(2)", b"\x00" * 4) is None
    assert (
        value("PIC G(2) DISPLAY-1", "東京".encode("shift_jis"), double_byte_code_page="shift_jis") == "東京"
    )
    assert value("PIC N(2)", "東京".encode("euc_jp"), double_byte_code_page="euc_jp") == "東京"
    with pytest.raises(SettingsError, match="double_byte_code_page"):
        kind("PIC G(2)", double_byte_code_page="no-such-codec")


def test_justified_text_is_padded_on_the_left() -> None:
    assert value("PIC X(5) JUSTIFIED RIGHT", text("   ab", 5)) == "ab"
    assert value("PIC X(5) JUST", text("   ab", 5), trim="none") == "   ab"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, " a b"),
        ({"trim": "both"}, "a b"),
        ({"trim": "left"}, "a b "),
        ({"trim": "none"}, " a b "),
        ({"control_characters": "keep"}, "\x00a\x01b\x02"),
        ({"control_characters": "drop"}, "ab"),
        ({"code_page_overrides": {"01": "-", "0x02": "€", 81: "A"}}, " A-b€"),
    ],
)
def test_control_characters_trimming_and_overrides(options: dict[str, Any], expected: str) -> None:
    data = b"\x00\x81\x01\x82\x02"
    assert value("PIC X(5)", data, **options) == expected


def test_a_high_control_byte_at_the_end_of_text_is_a_blank_too() -> None:
    assert bytes([0xFF]).decode("cp037") == "\x9f"
    assert value("PIC X(4)", text("ab", 2) + b"\xff\x40") == "ab"
    assert value("PIC X(2)", b"\xff\xff") is None


@pytest.mark.parametrize(
    "name",
    ["cp037", "cp273", "cp500", "cp1047", "cp1140", "cp1141", "cp1148", "cp870", "cp1025", "latin-1"],
)  # fmt: skip
def test_every_byte_of_a_code_page_reads_as_its_codec_says(name: str) -> None:
    copybook = "       01 R.\n          05 F PIC X(2).\n"
    data = b"".join(bytes([byte, byte]) for byte in range(256))
    sink, _ = decoded(
        data,
        "copybook",
        {"copybook": copybook, "code_page": name, "control_characters": "keep", "trim": "none"},
    )
    found = [row["f"] for row in sink.rows("r")]
    assert found == [bytes([byte]).decode(name, errors="replace") * 2 for byte in range(256)]


@pytest.mark.parametrize("name", ["shift_jis", "big5", "utf-16", "idna", "rot13", "hex", "nope", "cp1047x"])
def test_what_is_no_single_byte_code_page_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="code_page"):
        code_page(name)


numbers = st.lists(st.integers(-(10**18) + 1, 10**18 - 1), min_size=1, max_size=20)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 18), numbers, st.booleans(), st.data())
def test_zoned_numbers_of_any_width_equal_python_and_one_bad_byte_is_found(
    width: int, values: list[int], signed: bool, data: st.DataObject
) -> None:
    values = [(abs(v) % 10**width) * (-1 if signed and v < 0 else 1) for v in values]
    copybook = f"       01 R.\n          05 F PIC {'S' if signed else ''}9({width}).\n"
    encoded = [zoned(v, width, signed=signed) for v in values]
    sink, _ = decoded(b"".join(encoded), "copybook", {"copybook": copybook})
    assert [row["f"] for row in sink.rows("r")] == values
    which, where = data.draw(st.integers(0, len(values) - 1)), data.draw(st.integers(0, width - 1))
    wrong = data.draw(st.sampled_from([0x00, 0x40, 0xFA, 0xFF, 0x60, 0xE0 if where < width - 1 else 0x9F]))
    broken = bytearray(encoded[which])
    broken[where] = wrong
    if set(broken) <= {0x00, 0x40}:
        return
    encoded[which] = bytes(broken)
    sink, _ = decoded(b"".join(encoded), "copybook", {"copybook": copybook})
    assert sink.rules == [(which + 1, "bad_value")]
    assert [row["f"] for row in sink.rows("r")] == values[:which] + values[which + 1 :]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(st.characters(codec="cp500"), max_size=12), min_size=1, max_size=30))
def test_text_equals_python(words: list[str]) -> None:
    copybook = "       01 R.\n          05 F PIC X(12).\n"
    data = b"".join(text(word, 12, "cp500") for word in words)
    options = {"copybook": copybook, "code_page": "cp500", "control_characters": "keep"}
    sink, _ = decoded(data, "copybook", options)
    assert [row["f"] for row in sink.rows("r")] == [word.rstrip(" ") or None for word in words]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=20))
@pytest.mark.parametrize("order", [">", "<"])
def test_ieee_floats_equal_numpy(order: str, values: list[float]) -> None:
    copybook = "       01 R.\n          05 F COMP-1.\n"
    options = {
        "copybook": copybook,
        "floating_point": "ieee754",
        "floating_point_big_endian": order == ">",
    }
    sink, _ = decoded(np.array(values, dtype=f"{order}f4").tobytes(), "copybook", options)
    assert [row["f"] for row in sink.rows("r")] == values


def _refuse(change: dict[str, Any]) -> Callable[[], object]:
    return lambda: schema("copybook", {"copybook": "       01 R.\n          05 F PIC 9.\n", **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fields": {"NOPE": {"blank": "zero"}}}, "fields.NOPE"),
        ({"fields": {"F": {"blank": "one"}}}, "fields.F.blank"),
        ({"code_page_overrides": {"XYZ": "a"}}, "code_page_overrides"),
        ({"code_page_overrides": {"41": "ab"}}, "code_page_overrides"),
        ({"blank_numeric": "zero"}, "blank_numeric"),
        ({"record_format": "VBS"}, "record_format"),
    ],
)
def test_settings_name_the_wrong_key(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        _refuse(change)()
