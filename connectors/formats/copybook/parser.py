"""COBOL copybooks: source text to a tree of fields with sizes.

Belongs here: the language of data descriptions (levels, PICTURE, USAGE, OCCURS, REDEFINES). Does not belong
here: bytes of data; see ``values`` for those and ``layout`` for offsets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import Enum

from connectors.formats.base import SettingsError

MAX_DIGITS = 38
"""Decimal digits Arrow's decimal128 holds; COBOL itself stops at 31."""


class Usage(Enum):
    """How a number lies in bytes."""

    DISPLAY = "display"
    BINARY = "binary"
    PACKED = "packed"
    FLOAT = "float"
    DOUBLE = "double"


_USAGES = {
    "DISPLAY": Usage.DISPLAY,
    "COMP": Usage.BINARY,
    "COMP-0": Usage.BINARY,
    "COMP-4": Usage.BINARY,
    "COMP-5": Usage.BINARY,
    "BINARY": Usage.BINARY,
    "COMP-1": Usage.FLOAT,
    "COMP-2": Usage.DOUBLE,
    "COMP-3": Usage.PACKED,
    "PACKED-DECIMAL": Usage.PACKED,
}


@dataclass(frozen=True)
class Picture:
    """What a PICTURE clause says.

    ``scale`` counts digits right of the point, leading P included; ``has_point`` says that the point is a
    byte.
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

    @property
    def precision(self) -> int:
        """Digits of the value, scaling positions included."""
        return max(self.digits + self.trailing_p, self.scale, 1)


@dataclass
class Field:
    """One data description entry; a group has children and no picture. ``is_native`` marks COMP-5."""

    level: int
    name: str
    line: int
    picture: Picture | None = None
    usage: Usage = Usage.DISPLAY
    is_native: bool = False
    is_sign_leading: bool = False
    is_sign_separate: bool = False
    redefines: str | None = None
    occurs_min: int = 1
    occurs_max: int = 1
    is_repeated: bool = False
    depending_on: str | None = None
    children: list[Field] = field(default_factory=list)

    @property
    def is_filler(self) -> bool:
        """Unnamed space; an elementary filler never becomes a column."""
        return self.name == "FILLER"

    @property
    def is_group(self) -> bool:
        """Whether this entry only holds others."""
        return self.picture is None and self.usage not in (Usage.FLOAT, Usage.DOUBLE)

    @property
    def column(self) -> str:
        """The name in lower snake case."""
        return self.name.lower().replace("-", "_")

    def walk(self) -> Iterator[Field]:
        """This field and everything under it, in source order."""
        yield self
        for child in self.children:
            yield from child.walk()

    @property
    def element_size(self) -> int:
        """Bytes of one occurrence of an elementary field."""
        if self.usage is Usage.FLOAT:
            return 4
        if self.usage is Usage.DOUBLE:
            return 8
        assert self.picture is not None
        if self.picture.is_text or self.picture.is_edited:
            return self.picture.size
        digits = self.picture.digits
        if self.usage is Usage.PACKED:
            return digits // 2 + 1
        if self.usage is Usage.BINARY:
            return binary_size(digits)
        return digits + (1 if self.is_sign_separate else 0)


def binary_size(digits: int) -> int:
    """Bytes of a COMP number: 2, 4 or 8 up to 18 digits, beyond that the fewest that hold them signed."""
    for limit, size in ((4, 2), (9, 4), (18, 8)):
        if digits <= limit:
            return size
    return -(-((10**digits).bit_length() + 1) // 8)


def parse_picture(text: str, line: int = 0) -> Picture:
    """Read a PICTURE string; raises :class:`SettingsError` for one that cannot be decoded."""
    expanded = re.sub(r"(.)\((\d+)\)", lambda m: m[1] * int(m[2]), text.upper())
    expanded = expanded.replace("CR", "c").replace("DB", "d")
    symbols = set(expanded)
    where = f"copybook line {line}: PIC {text}"
    if not expanded or "(" in symbols or ")" in symbols:
        raise SettingsError(f"{where}: the repeat count cannot be read")
    if symbols <= set("XA9B/0") and symbols & set("XA"):
        return Picture(is_text=True, size=len(expanded))
    if symbols - set("9SVPZ*+-.,$B/0cd"):
        raise SettingsError(
            f"{where}: this picture is not supported (text X A, numbers 9 S V P and Z * + - . ,)"
        )
    edited = bool(symbols & set("Z*+-.,$B/0cd"))
    point = next((i for i, c in enumerate(expanded) if c in "V."), None)
    digit_at = [i for i, c in enumerate(expanded) if c in "9Z*"]
    p_at = [i for i, c in enumerate(expanded) if c == "P"]
    # A P left of all digits moves the point left, one right of them moves it right.
    leading_p = sum(1 for i in p_at if digit_at and i < digit_at[0])
    trailing_p = len(p_at) - leading_p
    digits = len(digit_at)
    scale = sum(1 for i in digit_at if point is not None and i > point)
    if leading_p:
        scale = leading_p + digits
    size = len(expanded) - expanded.count("V") - len(p_at) + expanded.count("c") + expanded.count("d")
    # S counts no byte of its own, and in an edited picture the sign rides on the last digit.
    size -= expanded.count("S")
    if not digits or digits + trailing_p > MAX_DIGITS or scale > MAX_DIGITS:
        raise SettingsError(f"{where}: a number needs 1 to {MAX_DIGITS} digits")
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


def parse_copybook(text: str, *, is_free_form: bool = False) -> list[Field]:
    """Parse a copybook into its 01-level fields.

    Columns 1–6 and 73–80 are cut unless ``is_free_form``. Raises :class:`SettingsError` naming the line.
    """
    roots: list[Field] = []
    stack: list[Field] = []
    for words, line in _statements(text, is_free_form):
        if not words[0].isdigit():
            raise SettingsError(f"copybook line {line}: a level number was expected, not '{words[0][:30]}'")
        level = int(words[0])
        if level in (66, 78, 88):
            continue
        entry = _parse_entry(level, words[1:], line)
        while stack and (stack[-1].level >= level):
            stack.pop()
        if stack:
            if not stack[-1].is_group:
                raise SettingsError(
                    f"copybook line {line}: {entry.name} lies under {stack[-1].name}, which has a PIC"
                )
            _inherit(stack[-1], entry)
            stack[-1].children.append(entry)
        else:
            roots.append(entry)
        stack.append(entry)
    if not roots:
        raise SettingsError(
            "setting 'copybook': no field found in columns 8–72; one in free form needs is_free_form: true"
        )
    for root in roots:
        for entry in root.walk():
            _check(entry)
    return roots


def _inherit(parent: Field, entry: Field) -> None:
    """USAGE and SIGN of a group hold for what lies under it."""
    if entry.usage is Usage.DISPLAY and parent.usage is not Usage.DISPLAY:
        entry.usage, entry.is_native = parent.usage, parent.is_native
    if parent.is_sign_separate and not entry.is_sign_separate:
        entry.is_sign_separate, entry.is_sign_leading = True, parent.is_sign_leading


def _check(entry: Field) -> None:
    where = f"copybook line {entry.line}: {entry.name}"
    if entry.is_group:
        if not entry.children:
            raise SettingsError(f"{where} has neither a PIC nor fields under it")
        return
    if entry.picture is None:
        return
    if entry.picture.precision > 18 and entry.picture.trailing_p:
        raise SettingsError(f"{where}: more than 18 digits together with P right of them is not supported")
    is_number = entry.usage is not Usage.DISPLAY
    if is_number and (entry.picture.is_text or entry.picture.is_edited):
        entry.usage = Usage.DISPLAY  # inherited from a group; text and edited numbers are always characters
    if entry.picture.is_text or entry.picture.is_edited:
        entry.is_sign_separate = False
    if entry.is_sign_separate and entry.usage is not Usage.DISPLAY:
        entry.is_sign_separate = False
    if entry.is_sign_separate and not entry.picture.is_signed:
        entry.picture = replace(entry.picture, is_signed=True)


def _statements(text: str, is_free_form: bool) -> Iterator[tuple[list[str], int]]:
    """Sentences up to their period, as words, each with the line it starts on."""
    words: list[str] = []
    start = 0
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.rstrip("\r\n\x1a")
        if not is_free_form:
            indicator = line[6:7]
            if indicator in ("*", "/", "D", "d") or line.startswith("*"):
                continue
            line = line[7:72]
        elif line.lstrip().startswith("*"):
            continue
        for word in re.findall(r"'[^']*'\.?|\"[^\"]*\"\.?|[^\s'\"]+", line):
            if not words:
                start = number
            ends = word.endswith(".")
            bare = word[:-1] if ends else word.rstrip(",;")
            if bare:
                words.append(bare if bare[:1] in "'\"" else bare.upper())
            if ends and words:
                yield words, start
                words = []
    if words:
        raise SettingsError(f"copybook line {start}: the entry has no period at its end")


_CLAUSES = {
    "REDEFINES", "PIC", "PICTURE", "USAGE", "OCCURS", "SIGN", "LEADING", "TRAILING", "VALUE", "VALUES",
    "JUSTIFIED", "JUST", "BLANK", "SYNC", "SYNCHRONIZED", "EXTERNAL", "GLOBAL", "INDEXED",
    "ASCENDING", "DESCENDING", *_USAGES,
}  # fmt: skip


def _parse_entry(level: int, words: list[str], line: int) -> Field:
    words = [re.sub(r"^COMPUTATIONAL", "COMP", word) for word in words]
    name = "FILLER"
    if words and words[0] not in _CLAUSES:
        name = words.pop(0)
    entry = Field(level=level, name=name, line=line)
    at = 0

    def take(optional: tuple[str, ...] = ()) -> str:
        nonlocal at
        while at < len(words) and words[at] in optional:
            at += 1
        if at >= len(words):
            raise SettingsError(f"copybook line {line}: {name} ends in the middle of a clause")
        at += 1
        return words[at - 1]

    def skip(*optional: str) -> bool:
        nonlocal at
        if at < len(words) and words[at] in optional:
            at += 1
            return True
        return False

    def number(word: str) -> int:
        if not word.isdigit() or not int(word) <= 1_000_000:
            raise SettingsError(f"copybook line {line}: {name}: OCCURS needs a number, not '{word[:30]}'")
        return int(word)

    while at < len(words):
        clause = take()
        if clause == "REDEFINES":
            entry.redefines = take()
        elif clause in ("PIC", "PICTURE"):
            entry.picture = parse_picture(take(("IS",)), line)
        elif clause == "USAGE" or clause in _USAGES:
            usage = take(("IS",)) if clause == "USAGE" else clause
            if usage not in _USAGES:
                raise SettingsError(f"copybook line {line}: {name}: USAGE {usage} is not supported")
            entry.usage = _USAGES[usage]
            entry.is_native = usage == "COMP-5"
        elif clause in ("SIGN", "LEADING", "TRAILING"):
            side = take(("IS",)) if clause == "SIGN" else clause
            if side not in ("LEADING", "TRAILING"):
                raise SettingsError(
                    f"copybook line {line}: {name}: SIGN is LEADING or TRAILING, not '{side[:30]}'"
                )
            entry.is_sign_leading = side == "LEADING"
            entry.is_sign_separate = skip("SEPARATE")
            skip("CHARACTER")
        elif clause == "OCCURS":
            entry.is_repeated = True
            entry.occurs_min = entry.occurs_max = number(take())
            if skip("TO"):
                entry.occurs_max = number(take())
            skip("TIMES")
            if skip("DEPENDING"):
                entry.depending_on = take(("ON",))
            if entry.occurs_max < max(entry.occurs_min, 1):
                raise SettingsError(f"copybook line {line}: {name}: OCCURS must have a maximum of at least 1")
        elif clause in ("INDEXED", "ASCENDING", "DESCENDING", "VALUE", "VALUES"):
            # Names of indexes and keys, and initial values: nothing that lies in the data.
            while at < len(words) and words[at] not in _CLAUSES:
                at += 1
        elif clause in ("SYNC", "SYNCHRONIZED"):
            raise SettingsError(
                f"copybook line {line}: {name}: SYNCHRONIZED adds bytes that depend on the compiler; "
                "write them as FILLER instead"
            )
        elif clause in ("JUSTIFIED", "JUST"):
            skip("RIGHT")
        elif clause == "BLANK":
            take(("WHEN",))
        elif clause not in ("EXTERNAL", "GLOBAL"):
            raise SettingsError(f"copybook line {line}: {name}: clause '{clause[:30]}' is not known")
    return entry
