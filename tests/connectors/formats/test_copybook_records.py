"""How records are told apart: blocks, descriptor words, length fields, lines, and what breaks them."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.formats import RefusedFile, SettingsError, schema
from connectors.formats.copybook import records
from tests.connectors.formats.encode import binary, packed, rdw, text, zoned
from tests.connectors.formats.sink import MemorySink, decoded

COPYBOOK = "       01 R.\n          05 ID PIC 9(3).\n          05 NAME PIC X(5).\n"


def run(data: bytes, copybook: str = COPYBOOK, **settings: Any) -> MemorySink:
    return decoded(data, "copybook", {"copybook": copybook, **settings})[0]


def record(number: int, name: str = "name") -> bytes:
    return zoned(number, 3) + text(name, 5)


def bdw(*inside: bytes, inclusive: bool = True, extended: bool = False) -> bytes:
    body = b"".join(inside)
    length = len(body) + (4 if inclusive else 0)
    return ((1 << 31) | length).to_bytes(4, "big") + body if extended else rdw(body, inclusive=inclusive)


@pytest.mark.parametrize("inclusive", [True, False])
@pytest.mark.parametrize("extended", [True, False])
def test_blocks_of_records_behind_descriptor_words(inclusive: bool, extended: bool) -> None:
    data = b"".join(
        bdw(*(rdw(record(n)) for n in block), inclusive=inclusive, extended=extended)
        for block in ((1, 2, 3), (4,), (5, 6))
    )
    sink = run(data, record_format="VB", bdw_inclusive=inclusive)
    assert [row["id"] for row in sink.rows("r")] == [1, 2, 3, 4, 5, 6]
    assert [row["_record_no"] for row in sink.rows("r")] == [1, 2, 3, 4, 5, 6]


def test_a_reject_in_a_block_is_found_at_its_offset() -> None:
    data = bdw(rdw(record(1))) + bdw(rdw(record(2)), rdw(text("xxxname", 8)))
    (reject,) = run(data, record_format="VB").rejects
    assert (reject.record_no, reject.rule) == (3, "bad_value")
    assert data[reject.byte_offset + 4 :] == reject.raw


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (bdw(rdw(record(1)))[:-1], "truncated at byte offset 0: .* 15 bytes of a block of 16"),
        (bdw(rdw(record(1))[:-1]), "the block at byte offset 0 ends in the middle of a record"),
        (bdw(rdw(record(1))) + b"\x00\x00\x00\x01", "impossible .* word 00000001 at byte offset 16"),
        (b"\xff\xff\xff\xff" + record(1), "impossible block descriptor word"),
        (bdw(rdw(record(1)), b"\x00\x0c\x01\x00"), "spanned records"),
        (bdw(rdw(record(1))) + b"\x00", "bytes of a block descriptor word"),
    ],
)  # fmt: skip
def test_a_broken_block_refuses_the_file(data: bytes, message: str) -> None:
    with pytest.raises(RefusedFile, match=message):
        run(data, record_format="VB")


VARIABLE = """
       01 R.
          05 KIND PIC X.
          05 REC-LEN {usage}.
          05 N PIC 9.
          05 A OCCURS 0 TO 4 DEPENDING ON N PIC X(2).
"""


def with_length(length: bytes, *items: str) -> bytes:
    return text("K", 1) + length + zoned(len(items), 1) + b"".join(text(item, 2) for item in items)


@pytest.mark.parametrize(
    ("usage", "encode", "size"),
    [
        ("PIC 9(4) COMP", lambda n: binary(n, 2), 2),
        ("PIC 9(4) COMP-5", lambda n: n.to_bytes(2, "little"), 2),
        ("PIC 9(3) COMP-3", lambda n: packed(n, 3), 2),
        ("PIC 9(4)", lambda n: zoned(n, 4), 4),
    ],
)
@pytest.mark.parametrize("adjustment", [0, 4])
def test_a_field_that_holds_the_length_of_its_record(
    usage: str, encode: Any, size: int, adjustment: int
) -> None:
    contents = [("aa", "bb"), (), ("cc",)] * 100 + [("dd", "dd")] * 200
    data = b"".join(with_length(encode(2 + size + 2 * len(items) - adjustment), *items) for items in contents)
    sink = run(
        data,
        VARIABLE.format(usage=usage),
        record_format="length_field",
        length_field="REC-LEN",
        length_adjustment=adjustment,
        comp5_big_endian=False,
    )
    assert [tuple(row["a"]) for row in sink.rows("r")] == contents


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (with_length(zoned(8, 4), "aa") + with_length(zoned(3, 4)), "REC-LEN holds no possible record"),
        (with_length(zoned(8, 4), "aa") + with_length(b"\x40" * 4), "no possible .* at byte offset 9"),
        (with_length(zoned(8, 4), "aa")[:-1], "truncated at byte offset 0: the last record has 7 bytes of 8"),
        (with_length(zoned(8, 4), "aa") + b"\xd2", "a record up to its REC-LEN"),
    ],
)  # fmt: skip
def test_a_length_that_is_none_refuses_the_file(data: bytes, message: str) -> None:
    with pytest.raises(RefusedFile, match=message):
        run(data, VARIABLE.format(usage="PIC 9(4)"), record_format="length_field", length_field="REC-LEN")


def test_lines_of_an_ascii_twin_lost_their_trailing_spaces() -> None:
    sink = run(b"001abc\r\n002\n003abcde\n\n004abcdef\n005x", code_page="ascii", record_format="lines")
    assert [(row["_record_no"], row["id"], row["name"]) for row in sink.rows("r")] == [
        (1, 1, "abc"), (2, 2, None), (3, 3, "abcde"), (6, 5, "x"),
    ]  # fmt: skip
    assert sink.rules == [(4, "empty_record"), (5, "record_too_long")]
    assert sink.rejects[1].raw == b"004abcdef"
    assert sink.rejects[1].byte_offset == 22


def test_the_end_of_file_mark_of_old_systems_is_no_record() -> None:
    assert len(run(b"001abc\r\n\x1a", code_page="ascii", record_format="lines").rows("r")) == 1


def test_many_short_lines_of_a_long_layout_are_filled_up_in_bounded_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(records, "PADDED_BYTES", 4096)
    copybook = "       01 R.\n          05 ID PIC 9(3).\n          05 NAME PIC X(1000).\n"
    data = b"".join(b"%03d%s\n" % (n % 1000, b"x" * (n % 7)) for n in range(5000))
    sink = run(data, copybook, code_page="ascii", record_format="lines")
    assert [row["_record_no"] for row in sink.rows("r")] == list(range(1, 5001))
    assert sink.rows("r")[6]["name"] == "xxxxxx"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"record_format": "lines"}, "EBCDIC cannot lie in lines"),
        (
            {
                "record_format": "lines",
                "code_page": "ascii",
                "copybook": "       01 R.\n          05 A PIC 9(3) COMP-3.\n",
            },
            "A, which is binary or packed, cannot lie in lines",
        ),
        ({"record_format": "length_field"}, "belong together"),
        ({"length_field": "ID"}, "belong together"),
        ({"record_format": "length_field", "length_field": "NAME"}, "'NAME' is not a whole number"),
        ({"record_format": "length_field", "length_field": "NOPE"}, "'NOPE' is not a field"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        schema("copybook", {"copybook": COPYBOOK, **settings})


@pytest.mark.parametrize("footer", [0, 3, 20])
def test_header_and_footer_across_blocks(footer: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"\x00" * 5 + b"".join(record(n) for n in range(9)) + b"\xff" * footer
    for size in (4, 8, 13, 64):
        monkeypatch.setattr(records, "BLOCK_BYTES", size)
        sink = run(data, file_header_bytes=5, file_footer_bytes=footer)
        assert [row["id"] for row in sink.rows("r")] == list(range(9))


def test_a_file_shorter_than_its_header_or_footer_is_refused() -> None:
    with pytest.raises(RefusedFile, match="shorter than its file header of 50 bytes"):
        run(record(1), file_header_bytes=50)
    with pytest.raises(RefusedFile, match="shorter than its file footer of 50 bytes"):
        run(record(1), file_footer_bytes=50)


def test_a_fixed_record_may_be_longer_than_its_copybook() -> None:
    data = (record(1) + b"\x00" * 4) + (record(2) + b"\x00" * 4)
    assert [row["id"] for row in run(data, record_length=12).rows("r")] == [1, 2]
