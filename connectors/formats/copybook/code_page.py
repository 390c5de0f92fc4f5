"""Code pages as lookup tables: characters, digits and overpunched signs of all 256 bytes.

Belongs here: what a single byte means on a site. Does not belong here: whole values; see ``text`` and
``numbers``.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import ebcdic  # noqa: F401 - registers the EBCDIC code pages Python lacks
import numpy as np
import numpy.typing as npt

from connectors.formats.base import SettingsError

INVALID = 255
"""In a table of digits: no digit."""


@dataclass(frozen=True)
class CodePage:
    """Lookup tables of 256 entries for one single-byte code page."""

    name: str
    is_ebcdic: bool
    ascii: bytes  # the ASCII character, or 0x80 where the character is not ASCII
    characters: str  # the character of each byte
    utf8_length: npt.NDArray[np.int64]  # (256,)
    low_blanks: str  # the bytes below 0x80 that are spaces
    high_blanks: tuple[bytes, ...]  # the others
    dropped: bytes  # bytes that are left out of text
    digit: npt.NDArray[np.uint8]  # digit of an unsigned zoned byte, INVALID if none
    signed_digit: npt.NDArray[np.uint8]  # digit of an overpunched byte, INVALID if none
    is_negative: npt.NDArray[np.bool_]  # sign of an overpunched byte
    sign: npt.NDArray[np.int64]  # −1 or 1, by overpunched byte
    space: int


def code_page(
    name: str, control_characters: str = "space", overrides: Mapping[str, str] | None = None
) -> CodePage:
    """The tables of a code page; raises :class:`SettingsError` for one that is unknown or not single-byte.

    ``control_characters`` become a ``space``, are to ``keep`` or to ``drop``; an undefined byte is U+FFFD;
    ``overrides`` gives characters a site has changed by byte in hex, whatever they are.
    """
    return _code_page(name, control_characters, tuple(sorted((overrides or {}).items())))


@lru_cache(maxsize=32)
def _code_page(name: str, control_characters: str, overrides: tuple[tuple[str, str], ...]) -> CodePage:
    try:
        codecs.lookup(name)
        zero, space = "0".encode(name), " ".encode(name)
        has_pairs = len("\u4e00".encode(name, errors="replace")) > 1
    except (LookupError, UnicodeError, ValueError):
        raise SettingsError(
            f"setting 'code_page': '{name}' is not a known code page, such as cp037"
        ) from None
    if zero not in (b"\xf0", b"0") or len(space) != 1 or has_pairs:
        raise SettingsError(f"setting 'code_page': '{name}' is not a single-byte EBCDIC or ASCII code page")
    characters = [bytes([value]).decode(name, errors="replace")[:1] or "\ufffd" for value in range(256)]
    control = [ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in characters]
    if control_characters != "keep":
        characters = [" " if is_control else c for c, is_control in zip(characters, control, strict=True)]
    for key, char in overrides:
        characters[int(key, 16)] = char
        control[int(key, 16)] = False
    dropped = bytes(byte for byte in range(256) if control[byte]) if control_characters == "drop" else b""
    ascii_bytes = bytes(ord(c) if ord(c) < 0x80 else 0x80 for c in characters)
    length = np.array([len(c.encode("utf-8", errors="replace")) for c in characters], dtype=np.int64)
    is_ebcdic = zero == b"\xf0"
    tables = _ebcdic_digits() if is_ebcdic else _ascii_digits()
    low_blanks = "".join(chr(value) for value in range(0x80) if characters[value] == " ")
    high_blanks = tuple(bytes([value]) for value in range(0x80, 256) if characters[value] == " ")
    digit, signed_digit, is_negative = tables
    return CodePage(
        name=name,
        is_ebcdic=is_ebcdic,
        ascii=ascii_bytes,
        characters="".join(characters),
        utf8_length=length,
        low_blanks=low_blanks,
        high_blanks=high_blanks,
        dropped=dropped,
        digit=digit,
        signed_digit=signed_digit,
        is_negative=is_negative,
        sign=1 - 2 * is_negative.astype(np.int64),
        space=space[0],
    )


_Tables = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.bool_]]


def _ebcdic_digits() -> _Tables:
    byte = np.arange(256)
    low, high = byte & 15, byte >> 4
    digit = np.full(256, INVALID, dtype=np.uint8)
    digit[0xF0:0xFA] = range(10)
    signed_digit = np.full(256, INVALID, dtype=np.uint8)
    signed = (low <= 9) & (high >= 0xA)
    signed_digit[signed] = low[signed]
    return digit, signed_digit, signed & ((high == 0xD) | (high == 0xB))


def _ascii_digits() -> _Tables:
    """EBCDIC's overpunched characters as a translation leaves them, and p–y of small machines."""
    digit = np.full(256, INVALID, dtype=np.uint8)
    digit[0x30:0x3A] = range(10)
    signed_digit, is_negative = digit.copy(), np.zeros(256, dtype=bool)
    for text, negative in (("{ABCDEFGHI", False), ("}JKLMNOPQR", True), ("pqrstuvwxy", True)):
        for value, char in enumerate(text):
            signed_digit[ord(char)] = value
            is_negative[ord(char)] = negative
    return digit, signed_digit, is_negative
