"""D0010: every record of the catalogue, two meters below one MPAN, a suspect and a withdrawn read."""

from __future__ import annotations

from tests.connectors.formats.corpus import Case
from tests.connectors.formats.corpus.cmep import lines
from tests.connectors.formats.encode import d0010, mpan

FILE = d0010(
    f"026|{mpan('120002330596')}|V|",
    "027|20|Dog on site|",
    "028|F75A 00802|D|",
    "029|x|",
    "030|S|20160222000000|56311.0|||T|N|",
    "028|NEW 1|I|",
    "030|S|20160222000000|0.0|||T|N|",
    "030|MD|20160222000000|12.5|20160222000000|3|T|N|",
    f"026|{mpan('190000105981')}|U|",
    "028|S95105287|R|",
    "030|TO|20160224000000|81641.0|||F|P|",
    "032|09|F|",
    "033|x|",
    "028|S95105287|W|",
    "030|TO|20160225000000|||||N|",
)
TOKENS = (b"\n", b"\r\n", b"|", b"026|", b"028|", b"030|", b"ZPT|", b"ZHV|", b" ", b"-", b"20161030013000")

CASES = [
    Case("d0010", {}, (FILE,), lines, TOKENS),
    Case("d0010", {"unit": "WH", "time_zone": "UTC", "test_files": "take"}, (FILE,), lines, TOKENS,
         name="d0010 in watt-hours"),
]  # fmt: skip
