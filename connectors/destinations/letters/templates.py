"""Approved letter texts and their placeholders.

Belongs here: reading ``templates.yaml`` and ``labels.yaml``, and filling in one letter's values. Does not
belong here: fonts and positions (``page``).
"""

from __future__ import annotations

import datetime
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from connectors.destinations.settings import Sender
from connectors.errors import GridCRMError
from connectors.yaml_config import read_yaml, validate

FOLDER = Path(__file__).resolve().parent
PLACEHOLDERS = frozenset(
    {
        *("full_name", "account_no", "bill_id", "amount_due", "due_date", "letter_date"),
        *("utility_name", "utility_phone", "utility_hours", "utility_website"),
    }
)


class LetterError(GridCRMError):
    """A template is wrong, unknown, or cannot be filled with a row."""


class Template(BaseModel):
    """One approved letter."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    language: Literal["en", "es"]
    purpose: Literal["collections", "service", "marketing"]
    tone: str
    approved_on: date
    subject: str
    greeting: str
    paragraphs: tuple[str, ...] = Field(min_length=1)
    closing: str


class Labels(BaseModel):
    """The words of the page in one language."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    date: str
    account: str
    bill: str
    due: str
    amount: str
    department: str
    questions: str
    page: str
    reference: str
    date_format: str
    months: tuple[str, ...] = Field(min_length=12, max_length=12)

    def day(self, value: datetime.date) -> str:
        """A date as it is written in this language."""
        return self.date_format.format(month=self.months[value.month - 1], day=value.day, year=value.year)


@dataclass(frozen=True)
class LetterRow:
    """What one letter is about."""

    letter_id: str
    content_id: str
    full_name: str
    address_line: str
    city: str
    state_code: str
    postcode: str
    account_no: str
    bill_id: str
    amount_due_usd: Decimal
    due_date: date

    @property
    def amount_due(self) -> str:
        """The amount as it is printed."""
        return f"${self.amount_due_usd:,.2f}"


@dataclass(frozen=True)
class Letter:
    """One letter in its final words."""

    row: LetterRow
    letter_date: date
    sender: Sender
    labels: Labels
    language: str
    subject: str
    greeting: str
    paragraphs: tuple[str, ...]
    closing: str

    @property
    def hours(self) -> str:
        """When the utility answers the telephone, in the letter's language."""
        return self.sender.hours_es if self.language == "es" else self.sender.hours


class Templates:
    """Every approved letter, checked: known placeholders only."""

    def __init__(self, templates: Mapping[str, Template], labels: Mapping[str, Labels]) -> None:
        self._templates = dict(templates)
        self._labels = dict(labels)

    @classmethod
    def load(
        cls, templates: Path = FOLDER / "templates.yaml", labels: Path = FOLDER / "labels.yaml"
    ) -> Templates:
        """Read both files.

        Raises:
            LetterError: file, line and key of the first mistake, an unknown placeholder among them.
        """
        file = read_yaml(templates, LetterError)
        loaded: dict[str, Template] = {}
        for content_id, data in file.data.items():
            template = validate(Template, file, data, (content_id,), LetterError)
            texts = {"subject": template.subject, "greeting": template.greeting, "closing": template.closing}
            for number, paragraph in enumerate(template.paragraphs):
                texts[f"paragraphs.{number}"] = paragraph
            for key, text in texts.items():
                if problem := _wrong_placeholder(text):
                    place = (content_id, *(int(part) if part.isdigit() else part for part in key.split(".")))
                    raise file.error(place, problem, LetterError)
            loaded[content_id] = template
        words = read_yaml(labels, LetterError)
        languages = {
            name: validate(Labels, words, data, (name,), LetterError) for name, data in words.data.items()
        }
        return cls(loaded, languages)

    @property
    def content_ids(self) -> frozenset[str]:
        """The approved content ids."""
        return frozenset(self._templates)

    @property
    def languages(self) -> frozenset[str]:
        """The languages there are letters in."""
        return frozenset(self._labels)

    def language(self, content_id: str) -> str:
        """The language a template is written in."""
        return self._templates[content_id].language

    def fill(self, row: LetterRow, letter_date: date, sender: Sender) -> Letter:
        """The letter for one row."""
        template = self._templates[row.content_id]
        labels = self._labels[template.language]
        values = {
            "full_name": readable_name(row.full_name),
            "account_no": row.account_no,
            "bill_id": row.bill_id,
            "amount_due": row.amount_due,
            "due_date": labels.day(row.due_date),
            "letter_date": labels.day(letter_date),
            "utility_name": sender.name,
            "utility_phone": sender.phone,
            "utility_hours": sender.hours_es if template.language == "es" else sender.hours,
            "utility_website": sender.website,
        }
        return Letter(
            row=row,
            letter_date=letter_date,
            sender=sender,
            labels=labels,
            language=template.language,
            subject=template.subject.format_map(values),
            greeting=template.greeting.format_map(values),
            paragraphs=tuple(paragraph.format_map(values) for paragraph in template.paragraphs),
            closing=template.closing.format_map(values),
        )


def _wrong_placeholder(text: str) -> str | None:
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError:
        return "a brace is not closed; write {{ or }} for a brace that is meant"
    for _, name, format_spec, conversion in parts:
        if name is None:
            continue
        if name not in PLACEHOLDERS or format_spec or conversion:
            return f"placeholder {{{name}}} is not known; known are {', '.join(sorted(PLACEHOLDERS))}"
    return None


def readable_name(name: str) -> str:
    """A name as one writes it, where a mainframe left it in capitals; any other name stays as it is.

    >>> readable_name("SIOBHAN MCDONALD-O'NEILL")
    "Siobhan McDonald-O'Neill"
    """
    if name != name.upper():
        return name
    return re.sub(r"\bMc([a-z])", lambda match: f"Mc{match[1].upper()}", name.title())
