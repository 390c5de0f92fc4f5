"""The text of a copybook: from lines as a mainframe keeps them to sentences of words.

Belongs here: reference format (columns 1–6, 7, 73–80), comments, continuation, COPY and REPLACING. Does not
belong here: what a sentence means; see ``parser``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from connectors.formats.base import SettingsError

_WORD = re.compile(r"==(?:(?!==).)*==\.?|'(?:[^']|'')*'\.?|\"(?:[^\"]|\"\")*\"\.?|[^\s'\"]+", re.DOTALL)
_LISTING = {"EJECT", "SKIP1", "SKIP2", "SKIP3", "EJECT.", "SKIP1.", "SKIP2.", "SKIP3."}
_TEXT_END = 72


@dataclass(frozen=True)
class Sentence:
    """Words up to a period, upper case but for literals; ``place`` says where they begin."""

    words: list[str]
    place: str


@dataclass(frozen=True)
class Source:
    """A copybook and what it may copy.

    ``copies`` holds texts (or paths of them) by member name, ``replacing`` what is put for what in the
    copybook itself: ``{":TAG:": "CUST"}``.
    """

    text: str
    is_free_form: bool = False
    copies: Mapping[str, str] = field(default_factory=dict)
    replacing: Mapping[str, str] = field(default_factory=dict)

    def sentences(self) -> Iterator[Sentence]:
        """All sentences, copied members in their places; raises :class:`SettingsError` naming the line."""
        replacing = [_replacement("", old, new) for old, new in self.replacing.items()]
        yield from self._member(self.text, "copybook", replacing, ())

    def _member(
        self, text: str, name: str, replacing: list[_Replacement], above: tuple[str, ...]
    ) -> Iterator[Sentence]:
        plain = "\n".join(_logical_lines(text, self.is_free_form, name))
        for one in replacing:
            plain = one.apply(plain)
        for sentence in _split(plain, name):
            if sentence.words[0] == "COPY":
                yield from self._copied(sentence, above)
            else:
                yield sentence

    def _copied(self, sentence: Sentence, above: tuple[str, ...]) -> Iterator[Sentence]:
        words = sentence.words[1:]
        name = words.pop(0).strip("'\"").upper() if words else ""
        if words[:1] in (["OF"], ["IN"]):
            words = words[2:]
        if words[:1] == ["SUPPRESS"]:
            words = words[1:]
        by_name = {key.upper(): value for key, value in self.copies.items()}
        if name not in by_name:
            raise SettingsError(
                f"{sentence.place}: COPY {name[:30]}: give its text in the setting 'copies', by this name"
            )
        if name in above:
            raise SettingsError(f"{sentence.place}: COPY {name[:30]} copies itself")
        replacing = _replacements(words, sentence.place)
        text = text_or_file(by_name[name], f"copies.{name}")
        yield from self._member(text, f"copybook {name}", replacing, (*above, name))


def text_or_file(value: str, key: str) -> str:
    """The text itself where it has several lines, else what the file of that name holds."""
    if "\n" in value:
        return value
    try:
        return Path(value).read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a file name"
        raise SettingsError(f"format copybook: setting '{key}': cannot read '{value}': {reason}") from None


def _logical_lines(text: str, is_free_form: bool, name: str) -> list[str]:
    """One text for every source line, empty for comments, so that numbers of lines stay right."""
    lines: list[str] = []
    last = -1  # the line a continuation goes on from
    for raw in text.splitlines():
        line = raw.expandtabs(8).rstrip("\r\n\x1a")
        indicator = "" if is_free_form else line[6:7]
        is_comment = (indicator in ("*", "/", "D", "d") and bool(indicator)) or line.lstrip().startswith("*")
        body = line if is_free_form else line[7:_TEXT_END]
        words = body.split()
        if is_comment or not words or words[0].upper() in _LISTING:
            lines.append("")
            continue
        if words[0].startswith(">>") or words[0].upper() in ("REPLACE", "++INCLUDE", "-INC"):
            raise SettingsError(
                f"{name} line {len(lines) + 1}: '{words[0][:30]}' is not supported; give the copybook as the "
                "compiler sees it, or use the settings 'copies' and 'replacing'"
            )
        body = _without_inline_comment(body)
        if indicator == "-" and last >= 0:
            lines[last] = _continued(lines[last], body)
            lines.append("")
            continue
        lines.append(body)
        last = len(lines) - 1
    return lines


def _without_inline_comment(body: str) -> str:
    at = body.find("*>")
    while at >= 0:
        before = body[:at]
        if before.count("'") % 2 == 0 and before.count('"') % 2 == 0:
            return before
        at = body.find("*>", at + 2)
    return body


def _continued(before: str, body: str) -> str:
    """A literal goes on behind the quote of the next line, a word at its first character."""
    for quote in ("'", '"'):
        if before.count(quote) % 2:
            return before.ljust(_TEXT_END - 7) + body.lstrip().removeprefix(quote)
    return before.rstrip() + body.lstrip()


def _split(text: str, name: str) -> Iterator[Sentence]:
    words: list[str] = []
    start = 0
    for match in _WORD.finditer(text):
        word = match[0]
        if not words:
            start = match.start()
        ends = word.endswith(".")
        bare = word[:-1] if ends else word.rstrip(",;")
        if bare:
            words.append(bare if bare[:1] in "'\"" or bare.startswith("==") else bare.upper())
        if ends and words:
            yield Sentence(words, _place(text, start, name))
            words = []
    if words:
        raise SettingsError(f"{_place(text, start, name)}: the entry has no period at its end")


def _place(text: str, at: int, name: str) -> str:
    return f"{name} line {text.count(chr(10), 0, at) + 1}"


@dataclass(frozen=True)
class _Replacement:
    pattern: re.Pattern[str]
    new: str

    def apply(self, text: str) -> str:
        """Put the new words for the old ones; the number of lines stays."""
        return self.pattern.sub(lambda match: self.new + "\n" * match[0].count("\n"), text)


def _replacements(words: list[str], place: str) -> list[_Replacement]:
    """The ``REPLACING ==old== BY ==new== …`` of a COPY sentence."""
    found: list[_Replacement] = []
    if not words:
        return found
    if words.pop(0) != "REPLACING":
        raise SettingsError(f"{place}: COPY: REPLACING was expected behind the name")
    while words:
        side = words.pop(0) if words[0] in ("LEADING", "TRAILING") else ""
        if len(words) < 3 or words[1] != "BY":
            raise SettingsError(f"{place}: COPY: REPLACING needs ==old== BY ==new==")
        found.append(_replacement(side, words[0].strip("="), words[2].strip("=")))
        words = words[3:]
    return found


def _replacement(side: str, old: str, new: str) -> _Replacement:
    pattern = r"\s+".join(re.escape(word) for word in old.split())
    if not pattern:
        raise SettingsError("setting 'replacing': nothing cannot be replaced")
    # A word is replaced whole; a tag in colons or brackets stands for part of one.
    before = r"(?<![\w-])" if old.strip()[0].isalnum() else ""
    after = r"(?![\w-])" if old.strip()[-1].isalnum() else ""
    if side == "LEADING":
        after = r"(?=[\w-])"
    if side == "TRAILING":
        before = r"(?<=[\w-])"
    return _Replacement(re.compile(before + pattern + after, re.IGNORECASE), new.strip())
