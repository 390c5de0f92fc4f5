"""MSCONS: intervals, dial reads, sums, states, periods, with and without UNA, several interchanges."""

from __future__ import annotations

from tests.connectors.formats.corpus import Case
from tests.connectors.formats.edi import interchange, message, point, value, with_other_signs

BLANKS = b"\x00\t\n\r\x1a "


def count(data: bytes) -> int:
    """Segments by a walk over the characters: UNA, and each text up to a terminator that is not released."""
    at = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    found, is_head, release, marks, end = 0, True, b"?", b":+'", b"'"
    while True:
        while at < len(data) and data[at] in BLANKS:
            at += 1
        if at >= len(data):
            return found
        if is_head:
            release, marks, end, is_head = b"?", b":+'", b"'", False
            if data[at : at + 3] == b"UNA":
                signs = data[at + 3 : at + 9]
                release = b"" if signs[3:4] == b" " else signs[3:4]
                marks, end = signs[0:2] + signs[5:6], signs[5:6]
        start, tag_end = at, -1
        while at < len(data) and data[at : at + 1] != end:
            if tag_end < 0 and data[at] in marks:
                tag_end = at
            at += 2 if data[at : at + 1] == release else 1
        found += at > start
        is_head = data[start : tag_end if tag_end >= 0 else at] == b"UNZ"
        at += 1


INTERVALS = interchange(
    message(
        *point(
            *value("0,015", "202610250000?+00", "202610250015?+00"),
            "STS+Z34++Z87", "STS+Z32++Z92",
            *value("1,5:KWH", "202610250015?+00", "202610250030?+00", "67"),
            *value("7:KWT", "202610250030?+00", "202610250045?+00", "20"),
            *value("-3", "2026102502", "2026102503", format="203"),
            *value("12", "202610010000?+02", "202611010000?+01"),
        ),
    ),
    message(
        *point("QTY+220:1234,5", "DTM+9:20261001:102", "DTM+7:202610010000?+00:303",
               "QTY+220:99", "DTM+324:202610010000202610010100:719", product="1-1?:1.8.0:SRW"),
        reference="2",
    ),
    message("BGM+313+9+9", reference="3", type="CONTRL"),
    una="UNA:+,? '", between="\r\n",
)  # fmt: skip
GROUPED = (
    b"UNB+UNOC:3+A+B+261001:0400+R9'UNG+MSCONS+A+B+261001:0400+G1+UN+D:04B'"
    + "".join(
        f"{one}'" for one in message(*point(*value("1.5", "202607010000", "202607010015", format="203")))
    ).encode()
    + b"UNE+1+G1'UNZ+1+R9'"
)
OTHER_SIGNS = with_other_signs(
    interchange(message(*point(*value("2", "202607010000?+00", "202607010015?+00"))))
)

CASES = [
    Case(
        "mscons", {}, (INTERVALS, GROUPED, OTHER_SIGNS, INTERVALS + b"\n" + OTHER_SIGNS + GROUPED), count,
        tokens=(b"'", b"+", b":", b"?", b"??", b"'QTY+220:1'", b"'LIN+2'", b"'UNA:+,? '", b"\r\n", b"UNZ"),
    ),
]  # fmt: skip
