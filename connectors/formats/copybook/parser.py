"""COBOL copybooks: sentences to a tree of fields with sizes.

Belongs here: the language of data descriptions (levels, USAGE, OCCURS, REDEFINES, SIGN …). Does not belong
here: lines and COPY (``source``), PICTURE (``picture``), offsets (``layout``), bytes of data (``values``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import Enum

from connectors.formats.base import SettingsError
from connectors.formats.copybook.picture import MAX_REPEAT, Picture, parse_picture
from connectors.formats.copybook.source import Source


class Usage(Enum):
    """How a value lies in bytes."""

    DISPLAY = "display"
    BINARY = "binary"
    PACKED = "packed"
    UNSIGNED_PACKED = "unsigned packed"
    FLOAT = "float"
    DOUBLE = "double"
    INDEX = "index"
    POINTER = "pointer"


_USAGES = {
    "DISPLAY": Usage.DISPLAY,
    "DISPLAY-1": Usage.DISPLAY,
    "NATIONAL": Usage.DISPLAY,
    "COMP": Usage.BINARY,
    "COMP-0": Usage.BINARY,
    "COMP-4": Usage.BINARY,
    "COMP-5": Usage.BINARY,
    "BINARY": Usage.BINARY,
    "COMP-1": Usage.FLOAT,
    "COMP-2": Usage.DOUBLE,
    "COMP-3": Usage.PACKED,
    "PACKED-DECIMAL": Usage.PACKED,
    "COMP-6": Usage.UNSIGNED_PACKED,
    "INDEX": Usage.INDEX,
    "POINTER": Usage.POINTER,
    "POINTER-32": Usage.POINTER,
    "FUNCTION-POINTER": Usage.POINTER,
    "PROCEDURE-POINTER": Usage.POINTER,
}
_BY_ITSELF = {Usage.FLOAT: 4, Usage.DOUBLE: 8, Usage.INDEX: 4, Usage.POINTER: 4}
"""Bytes of the usages that take no PICTURE (a PROCEDURE-POINTER has 8)."""
_NO_NUMBER = {66, 77, 78, 88}


@dataclass(frozen=True)
class Dialect:
    """How a compiler reads a copybook: the comma as decimal mark, and the bytes of a COMP number.

    ``binary_size`` is ``2-4-8`` (IBM), ``1-2-4-8`` or ``1--8``, the fewest that hold it (Micro Focus).
    """

    is_decimal_comma: bool = False
    binary_size: str = "2-4-8"


@dataclass
class Field:
    """One data description entry; a group has children and no size of its own. ``is_native`` marks COMP-5.

    ``blank`` and ``invalid`` are what the settings say of this field: see ``settings.FieldSettings``.
    """

    level: int
    name: str
    place: str
    picture: Picture | None = None
    usage: Usage = Usage.DISPLAY
    has_usage: bool = False
    is_native: bool = False
    has_sign: bool = False
    is_sign_leading: bool = False
    is_sign_separate: bool = False
    is_synchronized: bool = False
    is_justified: bool = False
    is_blank_when_zero: bool = False
    redefines: str | None = None
    occurs_min: int = 1
    occurs_max: int = 1
    is_repeated: bool = False
    depending_on: str | None = None
    size: int = 0
    blank: str | None = None
    invalid: str = "reject"
    children: list[Field] = field(default_factory=list)

    @property
    def is_filler(self) -> bool:
        """Unnamed space; an elementary filler never becomes a column."""
        return self.name == "FILLER"

    @property
    def is_hidden(self) -> bool:
        """Whether no column is made of it: a filler, or an address in a process that is gone."""
        return self.is_filler or self.usage is Usage.POINTER

    @property
    def is_group(self) -> bool:
        """Whether this entry only holds others."""
        return self.picture is None and not (self.usage in _BY_ITSELF and not self.children)

    @property
    def column(self) -> str:
        """The name in lower snake case."""
        return self.name.lower().replace("-", "_")

    def walk(self) -> Iterator[Field]:
        """This field and everything under it, in source order."""
        yield self
        for child in self.children:
            yield from child.walk()

    def finish(self, dialect: Dialect) -> None:
        """Check an entry whose children are known and set its size."""
        where = f"{self.place}: {self.name}"
        if self.is_group:
            if not self.children:
                raise SettingsError(f"{where} has neither a PIC nor fields under it")
            return
        if self.picture is None:
            self.size = self.size or _BY_ITSELF[self.usage]
            return
        if self.usage in _BY_ITSELF:
            raise SettingsError(f"{where}: USAGE {self.usage.name} takes no PIC")
        if self.picture.is_text or self.picture.is_edited:
            self.usage = Usage.DISPLAY  # inherited from a group; text and edited numbers are characters
        if self.picture.is_text or self.picture.is_edited or self.usage is not Usage.DISPLAY:
            self.is_sign_separate = False
        if self.is_sign_separate and not self.picture.is_signed:
            self.picture = replace(self.picture, is_signed=True)
        self.size = self._bytes(self.picture, dialect)

    def _bytes(self, picture: Picture, dialect: Dialect) -> int:
        if picture.is_text or picture.is_edited:
            return picture.size
        if self.usage is Usage.PACKED:
            return picture.digits // 2 + 1
        if self.usage is Usage.UNSIGNED_PACKED:
            return (picture.digits + 1) // 2
        if self.usage is Usage.BINARY:
            return binary_size(picture.digits, dialect.binary_size, picture.is_signed)
        return picture.digits + (1 if self.is_sign_separate else 0)


def binary_size(digits: int, rule: str = "2-4-8", is_signed: bool = True) -> int:
    """Bytes of a COMP number: by the rule up to 18 digits, beyond that the fewest that hold them signed."""
    if digits > 18:
        return -(-((10**digits).bit_length() + 1) // 8)
    if rule == "1--8":
        return -(-((10**digits - 1).bit_length() + int(is_signed)) // 8)
    for limit, size in ((2, 1), (4, 2), (9, 4), (18, 8)):
        if digits <= limit and (size > 1 or rule == "1-2-4-8"):
            return size
    raise AssertionError(digits)


def parse_copybook(source: Source, dialect: Dialect | None = None) -> list[Field]:
    """Parse a copybook into its 01-level fields; raises :class:`SettingsError` naming the line."""
    dialect = dialect or Dialect()
    roots: list[Field] = []
    stack: list[Field] = []
    for sentence in source.sentences():
        words, place = sentence.words, sentence.place
        if not words[0].isdigit():
            raise SettingsError(f"{place}: a level number was expected, not '{words[0][:30]}'")
        level = int(words[0])
        if level in _NO_NUMBER:
            continue
        if not 1 <= level <= 49:
            raise SettingsError(f"{place}: a level is 01 to 49, 66, 77 or 88, not {words[0][:30]}")
        entry = _Entry(level, words[1:], place, dialect).parse()
        while stack and (stack[-1].level >= level):
            stack.pop()
        if stack:
            above = stack[-1]
            if above.picture is not None:
                raise SettingsError(f"{place}: {entry.name} lies under {above.name}, which has a PIC")
            _inherit(above, entry)
            above.children.append(entry)
        else:
            roots.append(entry)
        stack.append(entry)
    if not roots:
        raise SettingsError(
            "setting 'copybook': no field found in columns 8–72; one in free form needs is_free_form: true"
        )
    for root in roots:
        for entry in root.walk():
            entry.finish(dialect)
    return roots


def _inherit(above: Field, entry: Field) -> None:
    """USAGE, SIGN and SYNCHRONIZED of a group hold for what lies under it."""
    if not entry.has_usage and above.has_usage:
        entry.usage, entry.is_native, entry.has_usage = above.usage, above.is_native, True
    if not entry.has_sign and above.has_sign:
        entry.has_sign = True
        entry.is_sign_leading, entry.is_sign_separate = above.is_sign_leading, above.is_sign_separate
    entry.is_synchronized = entry.is_synchronized or above.is_synchronized


_CLAUSES = {
    "REDEFINES", "PIC", "PICTURE", "USAGE", "OCCURS", "SIGN", "LEADING", "TRAILING", "VALUE", "VALUES",
    "JUSTIFIED", "JUST", "BLANK", "SYNC", "SYNCHRONIZED", "EXTERNAL", "GLOBAL", "INDEXED",
    "ASCENDING", "DESCENDING", *_USAGES,
}  # fmt: skip


class _Entry:
    """One sentence of a data description, clause by clause."""

    def __init__(self, level: int, words: list[str], place: str, dialect: Dialect) -> None:
        self.words = [re.sub(r"^COMPUTATIONAL", "COMP", word) for word in words]
        self.at = 0
        self.dialect = dialect
        name = "FILLER"
        if self.words and self.words[0] not in _CLAUSES:
            name = self.words.pop(0)
        self.entry = Field(level=level, name=name, place=place)
        self.where = f"{place}: {name[:40]}"

    def parse(self) -> Field:
        """The field the sentence describes."""
        while self.at < len(self.words):
            clause = self._take()
            if clause in _USAGES or clause == "USAGE":
                self._usage(self._take("IS") if clause == "USAGE" else clause)
            elif clause in ("SIGN", "LEADING", "TRAILING"):
                self._sign(self._take("IS") if clause == "SIGN" else clause)
            elif clause in ("INDEXED", "ASCENDING", "DESCENDING", "VALUE", "VALUES"):
                # Names of indexes and keys, and initial values: nothing that lies in the data.
                while self.at < len(self.words) and self.words[self.at] not in _CLAUSES:
                    self.at += 1
            else:
                self._clause(clause)
        return self.entry

    def _clause(self, clause: str) -> None:
        entry = self.entry
        if clause == "REDEFINES":
            entry.redefines = self._take()
        elif clause in ("PIC", "PICTURE"):
            picture = self._take("IS")
            entry.picture = parse_picture(
                picture, entry.place, is_decimal_comma=self.dialect.is_decimal_comma
            )
        elif clause == "OCCURS":
            self._occurs()
        elif clause in ("SYNC", "SYNCHRONIZED"):
            entry.is_synchronized = True
            self._skip("LEFT", "RIGHT")
        elif clause in ("JUSTIFIED", "JUST"):
            entry.is_justified = True
            self._skip("RIGHT")
        elif clause == "BLANK":
            entry.is_blank_when_zero = self._take("WHEN") in ("ZERO", "ZEROS", "ZEROES")
        elif clause not in ("EXTERNAL", "GLOBAL"):
            raise SettingsError(f"{self.where}: clause '{clause[:30]}' is not known")

    def _usage(self, usage: str) -> None:
        if usage not in _USAGES:
            raise SettingsError(f"{self.where}: USAGE {usage[:30]} is not supported")
        self.entry.usage, self.entry.has_usage = _USAGES[usage], True
        self.entry.is_native = usage == "COMP-5"
        if usage == "PROCEDURE-POINTER":
            self.entry.size = 8

    def _sign(self, side: str) -> None:
        if side not in ("LEADING", "TRAILING"):
            raise SettingsError(f"{self.where}: SIGN is LEADING or TRAILING, not '{side[:30]}'")
        self.entry.has_sign = True
        self.entry.is_sign_leading = side == "LEADING"
        self.entry.is_sign_separate = self._skip("SEPARATE")
        self._skip("CHARACTER")

    def _occurs(self) -> None:
        entry = self.entry
        entry.is_repeated = True
        entry.occurs_min = entry.occurs_max = self._number()
        if self._skip("TO"):
            entry.occurs_max = self._number()
        self._skip("TIMES")
        if self._skip("DEPENDING"):
            entry.depending_on = self._take("ON")
            if entry.occurs_min == entry.occurs_max:
                entry.occurs_min = 0  # OCCURS 5 DEPENDING ON N: up to 5
            while self._skip("OF", "IN"):
                self._take()  # the group the counter lies in; the nearest field of the name is meant
        if entry.occurs_max < max(entry.occurs_min, 1):
            raise SettingsError(f"{self.where}: OCCURS must have a maximum of at least 1")

    def _number(self) -> int:
        word = self._take()
        if not (word.isascii() and word.isdigit() and len(word) <= 9 and int(word) <= MAX_REPEAT):
            raise SettingsError(f"{self.where}: OCCURS needs a number, not '{word[:30]}'")
        return int(word)

    def _take(self, *optional: str) -> str:
        self._skip(*optional)
        if self.at >= len(self.words):
            raise SettingsError(f"{self.where} ends in the middle of a clause")
        self.at += 1
        return self.words[self.at - 1]

    def _skip(self, *optional: str) -> bool:
        if self.at < len(self.words) and self.words[self.at] in optional:
            self.at += 1
            return True
        return False
