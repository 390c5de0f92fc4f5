"""PICTURE strings: what kind of value a field holds and how many bytes it takes.

Belongs here: the PICTURE clause alone. Does not belong here: USAGE and other clauses; see ``parser``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from connectors.formats.base import SettingsError

MAX_DIGITS = 38
"""Decimal digits Arrow's decimal128 holds; COBOL itself stops at 31."""
MAX_REPEAT = 1_000_000


@dataclass(frozen=True)
class Picture:
    """What a PICTURE clause says.

    ``size`` counts bytes as characters, two for each national or double-byte one. ``scale`` counts digits
    right of the point, leading P included; ``has_point`` says that the point is a byte.
    """

    is_text: bool
    size: int
    digits: int = 0
    scale: int = 0
    is_signed: bool = False
    is_overpunched: bool = False
    is_edited: bool = False
    has_point: bool = False
    trailing_p: int = 0
    double_byte: str = ""  # N national, G graphic

    @property
    def precision(self) -> int:
        """Digits of the value, scaling positions included."""
        return max(self.digits + self.trailing_p, self.scale, 1)


def parse_picture(text: str, place: str = "copybook", *, is_decimal_comma: bool = False) -> Picture:
    """Read a PICTURE string; raises :class:`SettingsError` for one that cannot be decoded."""
    where = f"{place}: PIC {text[:40]}"
    if any(int(count) > MAX_REPEAT for count in re.findall(r"\((\d{1,12})\)", text)):
        raise SettingsError(f"{where}: the repeat count is beyond {MAX_REPEAT}")
    expanded = re.sub(r"(.)\((\d{1,12})\)", lambda m: m[1] * int(m[2]), text.upper())
    expanded = expanded.replace("CR", "c").replace("DB", "d")
    if is_decimal_comma:
        expanded = expanded.translate(str.maketrans(",.", ".,"))
    symbols = set(expanded)
    if not expanded or "(" in symbols or ")" in symbols:
        raise SettingsError(f"{where}: the repeat count cannot be read")
    if len(symbols & set("NG")) == 1 and symbols <= set("NGB/0"):
        return Picture(is_text=True, size=2 * len(expanded), double_byte=(symbols & set("NG")).pop())
    if symbols <= set("XA9B/0") and symbols & set("XA"):
        return Picture(is_text=True, size=len(expanded))
    if symbols - set("9SVPZ*+-.,$B/0cd"):
        raise SettingsError(
            f"{where}: this picture is not supported "
            "(text X A N G, numbers 9 S V P and Z * + - $ . , B / CR DB)"
        )
    return _number(expanded, symbols, where)


def _number(expanded: str, symbols: set[str], where: str) -> Picture:
    point = next((i for i, c in enumerate(expanded) if c in "V."), None)
    digit_at = [i for i, c in enumerate(expanded) if c in "9Z*"]
    for floating in "+-$":
        # Of a floating string the first symbol is only the sign; the others give way to digits.
        digit_at += [i for i, c in enumerate(expanded) if c == floating][1:]
    digit_at.sort()
    p_at = [i for i, c in enumerate(expanded) if c == "P"]
    # A P left of all digits moves the point left, one right of them moves it right.
    leading_p = sum(1 for i in p_at if digit_at and i < digit_at[0])
    trailing_p = len(p_at) - leading_p
    digits = len(digit_at)
    scale = leading_p + digits if leading_p else sum(1 for i in digit_at if point is not None and i > point)
    edited = bool(symbols & set("Z*+-.,$B/0cd"))
    if edited and p_at:
        raise SettingsError(f"{where}: P in an edited picture is not supported")
    if not digits or digits + trailing_p > MAX_DIGITS or scale > MAX_DIGITS:
        raise SettingsError(f"{where}: a number needs 1 to {MAX_DIGITS} digits")
    # V and P take no byte, CR and DB two; S none either: the sign rides on a digit.
    size = len(expanded) - sum(expanded.count(c) for c in "VPS") + expanded.count("c") + expanded.count("d")
    return Picture(
        is_text=False,
        size=size,
        digits=digits,
        scale=scale,
        is_signed=bool(symbols & set("S+-cd")),
        is_overpunched="S" in symbols,
        is_edited=edited,
        has_point="." in symbols,
        trailing_p=trailing_p,
    )
