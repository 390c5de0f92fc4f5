"""A small reading of what the world writes, independent of the product's decoders."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Iterator
from datetime import datetime
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


def cmep_days(path: Path) -> Iterator[tuple[str, str, str, list[int], str, list[str]]]:
    """The same of a gzipped CMEP file: ranges as NEM12 has them, times checked to be UTC."""
    for line in gzip.decompress(path.read_bytes()).decode("ascii").splitlines():
        part = line.split(",")
        assert (part[0], part[8], part[9], part[12], part[13]) == ("MEPMD01", "OK", "E", "00000015", "96")
        assert len(part) == 14 + 3 * 96
        times, qualities, values = (part[14 + i :: 3] for i in range(3))
        first = datetime.strptime(times[0], "%Y%m%d%H%M")
        assert (first.hour, first.minute) == (6, 15)
        assert set(times[1:]) == {""}
        at = [i for i, quality in enumerate(qualities) if quality != "R0"]
        ranges = []
        if at:
            low, high = at[0] + 1, at[-1] + 1
            ranges = [
                f"400,1,{low - 1},A,,",
                f"400,{low},{high},{qualities[at[0]]},,",
                f"400,{high + 1},96,A,,",
            ]
        suffix = {"KWH": "E1", "GKWH": "B1"}[part[10]]
        day = f"{first:%Y%m%d}"
        yield part[5], suffix, day, [round(float(v) * 1000) for v in values], f"{part[6]}00", ranges


def meter_days(path: Path) -> Iterator[tuple[str, str, str, list[int], str, list[str]]]:
    """Whatever the format of the file."""
    yield from (nem12_days if path.suffix == ".zip" else cmep_days)(path)


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
