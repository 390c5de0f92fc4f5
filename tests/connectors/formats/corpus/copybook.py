"""Copybook records: a multi-record file with a trailer, behind record descriptor words, and fixed records."""

from __future__ import annotations

from tests.connectors.formats.corpus import Case
from tests.connectors.formats.encode import rdw
from tests.connectors.formats.test_copybook import SETTINGS, bill, header, rates, trailer

FILE = b"".join(
    rdw(record)
    for record in (
        header(),
        bill(1, "10.50"),
        rates("0.1", "0.2"),
        bill(2, "-3"),
        rates("0.3"),
        trailer(2, "7.50"),
    )
)

CASES = [
    Case("copybook", SETTINGS, (FILE,), name="copybook with totals"),
    Case("copybook", {**SETTINGS, "control_totals": []}, (FILE,), name="copybook without totals"),
]
