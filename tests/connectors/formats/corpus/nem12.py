"""NEM12 and NEM13: every kind of record, corrections, ranges of quality, wrapped lines."""

from __future__ import annotations

import re

from tests.connectors.formats.corpus import Case
from tests.connectors.formats.encode import day, nem12

_READ = (
    "250,6100000123,11,1,11,11,M1,E,1.0,20260101000000,A,,,2.5,20260401000000,A,,,1.5,kWh,20260701,"
    "20260402000000,"
)
_WRAPPED = day("20260818").replace("0.125,", "0.125,\r\n", 20).replace("\r\n0.125,\r\n", "0.125,\r\n", 17)

FILE = nem12(
    [
        day("20260816"),
        day("20260817", quality="V"),
        "400,1,20,A,,",
        "400,21,48,S53,79,Meter fault",
        "500,N,,20260818101010,",
        day("20260816", updated="20260901000000"),
        _READ,
        "550,N,,E,",
    ]
).encode()
WRAPPED = nem12([day("20260816"), _WRAPPED, "500,N,,20260818101010,", day("20260819")]).encode()
REGISTERS = "\r".join(["100,NEM13,202604020000,A,B", _READ, "550,N,,E,", _READ, "550,A,SO1,A,SO2", "900"])

_BLANK = b" \t\r\x00\x1a"
_KINDS = (b"100", b"200", b"250", b"300", b"400", b"500", b"550", b"900")


def count_records(data: bytes) -> int:
    """Lines with something on them, less those that go on with a 300 record: one line after the other."""
    text = data.removeprefix(b"\xef\xbb\xbf")
    if b"\n" not in text:
        text = text.replace(b"\r", b"\n")
    lines = [stripped for line in text.split(b"\n") if (stripped := line.strip(_BLANK))]
    records, at, values = 0, 0, 0
    while at < len(lines):
        line = lines[at]
        records, at = records + 1, at + 1
        if _kind(line) == b"200":
            fields = line.split(b",")
            minutes = fields[8].strip() if len(fields) > 8 else b""
            values = 1440 // int(minutes) if minutes.isdigit() and 0 < int(minutes) <= 1440 else 0
        elif _kind(line) == b"300" and _begins_record(line) and max(line) < ord("A"):
            pieces = [line]
            while at < len(lines) and len(pieces) <= values and not _begins_record(lines[at]):
                if any(_is_whole(record, values) for record in _joined(pieces)):
                    break
                pieces.append(lines[at])
                at += 1
    return records


def _kind(line: bytes) -> bytes:
    return line[:3] if line[:3] in _KINDS and line[3:4] in (b"", b",") else b""


def _begins_record(line: bytes) -> bool:
    """Whether the fields that tell a record from a row of values are those of its kind."""
    kind, fields = _kind(line), [*line.split(b",")]
    second, count = fields[1] if len(fields) > 1 else b"", len(fields)
    if kind == b"100":
        return second.lstrip().removeprefix(b'"').upper().startswith(b"NEM")
    if kind == b"200":
        return count > 8 and not re.search(rb"\d", fields[7])
    if kind == b"250":
        return count > 8 and re.fullmatch(rb"[A-Za-z]?", fields[7].strip()) is not None
    if kind == b"300":
        return count > 2 and re.fullmatch(rb"[0-9]{8}", second) is not None
    if kind == b"400":
        return count > 3 and fields[3].lstrip()[:1].isalpha()
    if kind in (b"500", b"550"):
        return count > 2 and re.fullmatch(rb"[A-Za-z]?", second.strip()) is not None
    return kind == b"900" and not line[3:].replace(b",", b"").strip()


def _joined(pieces: list[bytes]) -> list[bytes]:
    """A wrapped record as it stands, and with a comma where a cut has none."""
    parted = pieces[0]
    for piece in pieces[1:]:
        parted += piece if parted.endswith(b",") or piece.startswith(b",") else b"," + piece
    return [b"".join(pieces), parted]


def _is_whole(record: bytes, values: int) -> bool:
    fields = record.split(b",")
    return len(fields) > values + 2 and bool(re.fullmatch(rb"[AEFNSV][0-9]{0,2}", fields[values + 2].strip()))


CASES = [
    Case(
        "nem12",
        {},
        (FILE, WRAPPED, REGISTERS.encode()),
        count=count_records,
        tokens=(b"\n", b"\r\n", b"\r", b",", b"300,", b"300,20260816,", b"200,", b"900\n", b'"', b"-", b" "),
    )
]
