"""CMEP: amounts and dials, days and months, empty times, a failed read, a correction, autumn."""

from __future__ import annotations

from tests.connectors.formats.corpus import Case
from tests.connectors.formats.encode import cmep


def lines(data: bytes) -> int:
    """Lines with something on them, by splitting."""
    blanks = bytes([0x00, 0x09, 0x0D, 0x1A, 0x20])
    return sum(1 for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip(blanks))


HOURS = [(f"20260601{hour:02d}00", "R0", "0.125") for hour in range(1, 5)]
FILE = b"".join(
    [
        cmep(HOURS),
        cmep([("202606010000", "R0", "100"), ("202606010400", "R0", "100.5")], units="KWHREG"),
        cmep(
            [("202606010015", "E4", "1"), ("", "R", "2"), ("", "N32", "7")], meter="M2", interval="00000015"
        ),
        cmep([("202606020000", "R0", "24.5")], meter="M2", interval="00010000", constant="40"),
        cmep([("202607010000", "A", "3")], meter="G1", commodity="G", units="CCF", interval="01000000"),
        cmep([("202606010100", "R0", "0.5")], stamp="202606030000", purpose="RESEND"),
        cmep([], meter="M3"),
        b"MEPAD01,19970912,SENDER,,,,202606020800\n",
    ]
)
AUTUMN = cmep([(f"202611010{hour}00", "R0", "1") for hour in (0, 1, 1, 2)])
TOKENS = (b"\n", b"\r\n", b",", b",,", b"MEPMD01,", b"00000100", b"N1", b"-", b".", b'"', b"202606010000")

CASES = [
    Case("cmep", {}, (FILE,), lines, TOKENS),
    Case(
        "cmep",
        {"time_zone": "America/Los_Angeles", "time_label": "start", "final_line_end": "optional"},
        (FILE, AUTUMN, FILE.rstrip()),
        lines,
        TOKENS,
        name="cmep in local time",
    ),
]
