"""Copybook records: files with totals and with parents, and one case for every way records are framed."""

from __future__ import annotations

from typing import Any

from tests.connectors.formats.corpus import Case
from tests.connectors.formats.encode import binary, packed, rdw, text, zoned
from tests.connectors.formats.test_copybook import SETTINGS, bill, header, rates, trailer
from tests.connectors.formats.test_copybook_hierarchy import SETTINGS as HIERARCHY
from tests.connectors.formats.test_copybook_layouts import NESTED, meter, site

MULTI = (header(), bill(1, "10.50"), rates("0.1", "0.2"), bill(2, "-3"), rates("0.3"), trailer(2, "7.50"))
SITES = (
    site(meter("AAA", 1, -2, 3), meter("BBB", 9), notes=("n1", "n2")),
    site(),
    site(meter("CCC", 5, 6, 7, 8), notes=("x",)),
)
FAMILY = tuple(
    text(line, 4) for line in ("C001", "A010", "B100", "A0x0", "B101", "C002", "A011", "B102", "Z...")
)

NUMBERS = """
       01 R.
          05 A PIC S9(5)V99 COMP-3.
          05 B PIC S9(9) COMP.
          05 C PIC 9(4) COMP-5.
          05 D COMP-1.
          05 E COMP-2.
          05 F PIC S9(3).
          05 G PIC -(4)9.99.
          05 H PIC S9(4) SIGN LEADING SEPARATE.
          05 I PIC N(2).
          05 J PIC 9(3) COMP-6.
          05 K PIC S9(20) COMP-3.
          05 L PIC S9(4) COMP SYNC OCCURS 2.
          05 M PIC X(5) JUST.
"""
NUMBER = (
    packed(-12345, 7) + binary(42, 4) + binary(65535, 2) + b"\x42\x2a\x80\x00" + b"\xc2\x2a\x80" + b"\x00" * 5
    + zoned(-42, 3, signed=True) + text("  -12.50", 8) + text("-0042", 5) + "é€".encode("utf-16-be")
    + b"\x01\x23" + packed(10**19, 20) + b"\x00" + binary(1, 2) + binary(2, 2) + text("   ab", 5)
)  # fmt: skip
TWIN = "       01 R.\n          05 A PIC X(4).\n          05 B PIC S9(3).\n          05 C PIC Z9.9-.\n"
LENGTH = """
       01 R.
          05 LEN PIC 9(3).
          05 N PIC 9.
          05 A OCCURS 0 TO 5 DEPENDING ON N PIC X(2).
"""


def chain(big_endian: bool, inclusive: bool) -> Any:
    """Counts records by their descriptor words, one after the other."""

    def count(data: bytes) -> int:
        at = records = 0
        while at < len(data):
            word = data[at : at + 4]
            length = int.from_bytes(word[:2], "big" if big_endian else "little")
            if not big_endian and not length:
                length = int.from_bytes(word[2:], "little")
            at += length + (0 if inclusive else 4)
            records += 1
        return records

    return count


def lines(data: bytes) -> int:
    """Lines of text, a last one without its end included, and without an old end-of-file mark."""
    body = data.removesuffix(b"\x1a") if data.endswith((b"\n\x1a",)) or data == b"\x1a" else data
    return body.count(b"\n") + (not body.endswith(b"\n") and bool(body))


def file(records: tuple[bytes, ...], big_endian: bool = True, inclusive: bool = True) -> bytes:
    """Records behind their descriptor words."""
    return b"".join(rdw(one, big_endian=big_endian, inclusive=inclusive) for one in records)


def blocks(*records: tuple[bytes, ...]) -> bytes:
    """Records in blocks, all behind descriptor words."""
    return b"".join(rdw(file(some)) for some in records)


def with_length(*items: str) -> bytes:
    """A record that holds its length."""
    return zoned(4 + 2 * len(items), 3) + zoned(len(items), 1) + b"".join(text(item, 2) for item in items)


WORDS = (
    b"\x00\x04\x00\x00",
    b"\x00\x09\x00\x00",
    b"\xff\xff",
    b"\x00\x00",
    b"\x40\x40",
    b"\xf0\xf1",
    b"\x0c",
    b"B",
)
NO_TOTALS = {**SETTINGS, "control_totals": []}
VARIABLE = {"copybook": NESTED, "record_format": "V"}
WHOLE = chain(True, True)

CASES = [
    Case("copybook", SETTINGS, (file(MULTI),), WHOLE, WORDS, "copybook with totals"),
    Case("copybook", NO_TOTALS, (file(MULTI),), WHOLE, WORDS, "copybook without totals"),
    Case("copybook", HIERARCHY, (file(FAMILY),), WHOLE, WORDS, "copybook with parents"),
    Case("copybook", VARIABLE, (file(SITES),), WHOLE, WORDS, "copybook tables in tables"),
    Case(
        "copybook",
        {**VARIABLE, "rdw_big_endian": False, "rdw_inclusive": False},
        (file(SITES, big_endian=False, inclusive=False),),
        chain(False, False),
        WORDS,
        "copybook little-endian exclusive words",
    ),
    Case(
        "copybook",
        {**NO_TOTALS, "record_format": "VB"},
        (blocks(MULTI[:3], MULTI[3:5], MULTI[5:]),),
        None,
        WORDS,
        "copybook blocks",
    ),
    Case(
        "copybook",
        {"copybook": NUMBERS, "file_header_bytes": 2, "file_footer_bytes": 3},
        (b"HD" + NUMBER * 3 + b"END",),
        lambda data: (len(data) - 5) // len(NUMBER),
        (b"\x00", b"\xff", b"\x40", b"\x0c", b"\xd8\x00", b"\x7f\xff"),
        "copybook every number",
    ),
    Case(
        "copybook",
        {"copybook": TWIN, "code_page": "ascii", "record_format": "lines"},
        (b"Smit04K 9.5-\r\nab  01p12.0 \nxy\n", b"Smit04K 9.5-"),
        lines,
        (b"\n", b"\r\n", b"\x1a", b" ", b"-", b"}"),
        "copybook ASCII lines",
    ),
    Case(
        "copybook",
        {"copybook": LENGTH, "record_format": "length_field", "length_field": "LEN"},
        (with_length("aa", "bb") + with_length() + with_length("cc"),),
        None,
        (zoned(4, 3), zoned(0, 3), zoned(6, 3), b"\x40", b"\xf1"),
        "copybook length field",
    ),
]
