"""NEM12 and NEM13: every kind of record, corrections, ranges of quality."""

from __future__ import annotations

from tests.connectors.formats.corpus import Case
from tests.connectors.formats.encode import day, nem12

FILE = nem12(
    [
        day("20260816"),
        day("20260817", quality="V"),
        "400,1,20,A,,",
        "400,21,48,S53,79,Meter fault",
        "500,N,,20260818101010,",
        day("20260816", updated="20260901000000"),
        "250,6100000123,11,1,11,11,M1,E,1.0,20260101000000,A,,,2.5,20260401000000,A,,,1.5,kWh,20260701,20260402000000,",
        "550,N,,E,",
    ]
).encode()

CASES = [Case("nem12", {}, (FILE,), tokens=(b"\n", b"\r\n", b",", b"300,", b"900\n", b'"', b"-"))]
