"""The codes that are ESPI's own (NAESB REQ.21, ``espi.xsd``), in our words.

Belongs here: qualities and services. Does not belong here: codes that ESPI has from IEC 61968-9
(``connectors.formats.meter_xml.codes``).
"""

from __future__ import annotations

QUALITY_FLAGS = {
    "0": "A", "7": "S", "8": "E", "9": "E", "10": "Q", "11": "S", "12": "E", "13": "Q", "14": "A", "15": "E",
    "16": "Q", "17": "A", "18": "A", "19": "A",
}  # fmt: skip
"""0 valid, 7 edited by hand, 8 and 9 estimated, 10 questionable, 11 derived, 12 projected, 13 mixed, 14 raw,
15 normalised for weather, 16 other, 17 validated, 18 verified, 19 revenue quality."""

ELECTRICITY = "0"
"""``ServiceCategory/kind``; whatever is not electricity can only be delivered."""
