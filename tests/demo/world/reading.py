"""A small reading of what the world writes, independent of the product's decoders."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path


def nem12_days(path: Path) -> Iterator[tuple[str, str, str, list[int], str, list[str]]]:
    """Yield (nmi, suffix, date, Wh values, update time, 400 records) of every 300 record of a zipped file."""
    with zipfile.ZipFile(path) as archive:
        (name,) = archive.namelist()
        lines = archive.read(name).decode("ascii").split("\r\n")
    assert lines[0].startswith("100,NEM12,")
    assert lines[-2:] == ["900", ""]
    nmi = suffix = ""
    for at, line in enumerate(lines[1:-2], start=1):
        part = line.split(",")
        if part[0] == "200":
            assert len(part) == 10
            nmi, suffix = part[1], part[4]
            assert (part[7], part[8]) == ("KWH", "15")
        elif part[0] == "300":
            assert len(part) == 96 + 7
            values = [round(float(v) * 1000) for v in part[2:98]]
            ranges = []
            for later in lines[at + 1 :]:
                if not later.startswith("400,"):
                    break
                ranges.append(later)
            assert part[98] == ("V" if ranges else "A")
            yield nmi, suffix, part[1], values, part[101], ranges


def rdw_records(path: Path) -> list[bytes]:
    """Records of a mainframe extract without their descriptor words."""
    body, at, result = path.read_bytes(), 0, []
    while at < len(body):
        length = int.from_bytes(body[at : at + 2], "big")
        assert body[at + 2 : at + 4] == b"\0\0"
        assert 5 <= length <= len(body) - at
        result.append(body[at + 4 : at + length])
        at += length
    return result


def packed(cells: bytes) -> int:
    """A COMP-3 number without its point."""
    digits = cells.hex()
    assert digits[-1] in "cdf"
    return int(digits[:-1]) * (-1 if digits[-1] == "d" else 1)


def zoned(cells: bytes) -> int:
    """A DISPLAY number."""
    return int(cells.decode("cp037"))
