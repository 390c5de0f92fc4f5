"""Writers of the formats under test, value by value, independent of the decoders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Context, Decimal

EXACT = Context(prec=60)  # decimal arithmetic rounds to 28 digits otherwise


def packed(value: int | Decimal, digits: int, scale: int = 0, *, signed: bool = True) -> bytes:
    """COMP-3."""
    unscaled = int(Decimal(value).scaleb(scale, EXACT))
    sign = ("d" if unscaled < 0 else "c") if signed else "f"
    text = str(abs(unscaled)).rjust(digits, "0") + sign
    return bytes.fromhex(text if len(text) % 2 == 0 else "0" + text)


def zoned(value: int | Decimal, digits: int, scale: int = 0, *, signed: bool = False) -> bytes:
    """DISPLAY in EBCDIC, the sign over the last digit."""
    unscaled = int(Decimal(value).scaleb(scale, EXACT))
    data = bytearray(0xF0 | int(c) for c in str(abs(unscaled)).rjust(digits, "0"))
    if signed:
        data[-1] = (0xD0 if unscaled < 0 else 0xC0) | (data[-1] & 0x0F)
    return bytes(data)


def binary(value: int | Decimal, size: int, scale: int = 0, *, signed: bool = False) -> bytes:
    """COMP, big-endian."""
    return int(Decimal(value).scaleb(scale, EXACT)).to_bytes(size, "big", signed=signed)


def text(value: str, width: int, code_page: str = "cp037") -> bytes:
    """PIC X."""
    return value.ljust(width).encode(code_page)


def rdw(record: bytes, *, inclusive: bool = True, big_endian: bool = True) -> bytes:
    """A record behind its descriptor word."""
    length = len(record) + (4 if inclusive else 0)
    return length.to_bytes(2, "big" if big_endian else "little") + b"\x00\x00" + record


def nem12(
    days: Iterable[str], *, nmi: str = "6100000123", minutes: int = 30, unit: str = "KWH", suffix: str = "E1"
) -> str:
    """A NEM12 file of one channel around the given 300 and other records."""
    head = ["100,NEM12,202608190000,RIVERB,GRIDCRM", f"200,{nmi},E1B1,1,{suffix},N1,M100,{unit},{minutes},"]
    return "\r\n".join([*head, *days, "900"]) + "\r\n"


def day(
    date: str = "20260818",
    values: Sequence[object] | None = None,
    *,
    quality: str = "A",
    updated: str = "20260819010101",
    reason: str = "",
    text: str = "",
) -> str:
    """A 300 record; 48 values of 0.125 unless given."""
    numbers = ["0.125"] * 48 if values is None else [str(value) for value in values]
    return ",".join(["300", date, *numbers, quality, reason, text, updated, ""])


def cmep(
    triplets: Sequence[tuple[str, str, object]],
    *,
    meter: str = "M1",
    account: str = "",
    stamp: str = "202606020800",
    purpose: str = "OK",
    commodity: str = "E",
    units: str = "KWH",
    constant: str = "1.0",
    interval: str = "00000100",
) -> bytes:
    """One MEPMD01 record of (time, quality, value) triplets."""
    fields = ["MEPMD01", "20080501", "SENDER", "", "RIVERB", account, stamp, meter, purpose, commodity, units,
              constant, interval, str(len(triplets))]  # fmt: skip
    return ",".join([*fields, *(str(part) for triplet in triplets for part in triplet)]).encode() + b"\n"


def mpan(first_twelve: str) -> str:
    """An MPAN core with its check digit."""
    weights = (3, 5, 7, 13, 17, 19, 23, 29, 31, 37, 41, 43)
    total = sum(int(digit) * weight for digit, weight in zip(first_twelve, weights, strict=True))
    return f"{first_twelve}{total % 11 % 10}"


def d0010(
    *body: str,
    file_id: str = "0000475656",
    flow: str = "D0010002",
    created: str = "20160302153151",
    use: str = "OPER",
    trailer: str | None = None,
) -> bytes:
    """A D0010 file with the trailer that its body wants, unless one is given."""
    groups = sum(line.startswith("026|") for line in body)
    right = f"ZPT|{file_id}|{len(body)}||{groups}|20160302154650|"
    head = f"ZHV|{file_id}|{flow}|D|UDMS|X|MRCY|{created}||||{use}|"
    return "".join(f"{line}\r\n" for line in (head, *body, right if trailer is None else trailer)).encode()
