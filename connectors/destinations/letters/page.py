"""How a letter looks: US Letter, letterhead, address for a #10 window envelope, amount due, contact, page
number.

Belongs here: fonts, positions, the drawing. Does not belong here: words (``templates``) and files.

Positions are chosen so that the sheet, folded in three, shows the address and nothing else in the window
(7/8 in from the left, 1/2 in from the bottom of a 4 1/8 in envelope). Fonts are embedded, as print vendors
ask; the same letter is the same bytes each time, so that its hash can name it.
"""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import LETTER
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import inch
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Flowable, Frame, KeepTogether, PageTemplate, Paragraph, Spacer
from reportlab.platypus import Table as GridTable

from connectors.destinations.letters.templates import Letter, LetterError

_WIDTH, _HEIGHT = LETTER
_LEFT = 1.0 * inch
_RIGHT = _WIDTH - 1.0 * inch
_TEXT_WIDTH = _RIGHT - _LEFT
_ADDRESS_TOP = _HEIGHT - 2.3 * inch
_SUBJECT_TOP = _HEIGHT - 3.72 * inch
_LATER_TOP = _HEIGHT - 1.5 * inch
_FOOT = 1.15 * inch
_INK = HexColor("#1d2429")
_GRAY = HexColor("#5a666e")
_TINT = HexColor("#f1f5f7")

_REGULAR, _BOLD = "Letter", "Letter-Bold"


def render(letter: Letter) -> tuple[bytes, int]:
    """The letter as PDF, and its number of pages.

    Raises:
        LetterError: a character of the row has no glyph in the font; the message names no value.
    """
    _register_fonts()
    _check_glyphs(letter)
    pages = [0]
    buffer = io.BytesIO()
    document = BaseDocTemplate(
        buffer,
        pagesize=LETTER,
        invariant=1,
        pageCompression=1,
        title=letter.labels.reference.format(letter_id=letter.row.letter_id),
        author=letter.sender.name,
        lang="es-US" if letter.language == "es" else "en-US",
    )
    document.addPageTemplates(
        [
            PageTemplate(
                "first", [_frame(_SUBJECT_TOP)], onPage=_first_page(letter), autoNextPageTemplate="later"
            ),
            PageTemplate("later", [_frame(_LATER_TOP)], onPage=lambda canvas, _: _letterhead(canvas, letter)),
        ]
    )
    document.build(_story(letter), canvasmaker=_numbered(letter, pages))
    return buffer.getvalue(), pages[0]


def _frame(top: float) -> Frame:
    return Frame(_LEFT, _FOOT, _TEXT_WIDTH, top - _FOOT, 0, 0, 0, 0)


def _style(name: str, **changes: Any) -> ParagraphStyle:
    settings = {"fontName": _REGULAR, "fontSize": 11.5, "leading": 16, "textColor": _INK, **changes}
    return ParagraphStyle(name, **settings)


def _story(letter: Letter) -> list[Flowable]:
    body = _style("body", spaceAfter=9)
    accent = HexColor(letter.sender.color)
    first, *others = letter.paragraphs
    story: list[Flowable] = [
        _text(letter.subject, _style("subject", fontName=_BOLD, fontSize=14, leading=18, textColor=accent)),
        Spacer(1, 12),
        _text(letter.greeting, body),
        _text(first, body),
        Spacer(1, 3),
        _amount_table(letter),
        Spacer(1, 12),
        *(_text(paragraph, body) for paragraph in others),
        KeepTogether(
            [
                Spacer(1, 4),
                _text(letter.closing, body),
                _text(letter.labels.department, _style("department", fontName=_BOLD, spaceBefore=4)),
                _text(letter.sender.name, _style("sender")),
            ]
        ),
    ]
    return story


def _amount_table(letter: Letter) -> Flowable:
    labels, row = letter.labels, letter.row
    heading = _style("heading", fontSize=9, leading=11, textColor=_GRAY)
    value = _style("value", fontSize=11.5, leading=14)
    heading_right = _style("heading_right", fontSize=9, leading=11, textColor=_GRAY, alignment=TA_RIGHT)
    amount = _style("amount", fontName=_BOLD, fontSize=14, leading=16, alignment=TA_RIGHT)
    table = GridTable(
        [
            [
                _text(labels.account, heading),
                _text(labels.bill, heading),
                _text(labels.due, heading),
                _text(labels.amount, heading_right),
            ],
            [
                _text(row.account_no, value),
                _text(row.bill_id, value),
                _text(labels.day(row.due_date), value),
                _text(row.amount_due, amount),
            ],
        ],
        colWidths=[_TEXT_WIDTH * share for share in (0.23, 0.23, 0.31, 0.23)],
    )
    table.setStyle(
        [
            ("BACKGROUND", (0, 0), (-1, -1), _TINT),
            ("LINEABOVE", (0, 0), (-1, 0), 1.2, HexColor(letter.sender.color)),
            ("VALIGN", (0, 0), (-1, -1), "BOTTOM"),
            ("LEFTPADDING", (0, 0), (-1, -1), 9),
            ("RIGHTPADDING", (0, 0), (-1, -1), 9),
            ("TOPPADDING", (0, 0), (-1, 0), 8),
            ("BOTTOMPADDING", (0, 0), (-1, 0), 1),
            ("TOPPADDING", (0, 1), (-1, 1), 1),
            ("BOTTOMPADDING", (0, 1), (-1, 1), 9),
        ]
    )
    return table


def _text(words: str, style: ParagraphStyle) -> Paragraph:
    return Paragraph(escape(words), style)


def _first_page(letter: Letter) -> Callable[[Canvas, Any], None]:
    def draw(canvas: Canvas, _: Any) -> None:
        _letterhead(canvas, letter)
        row, labels = letter.row, letter.labels
        canvas.setFillColor(_INK)
        canvas.setFont(_REGULAR, 11.5)
        lines = [row.full_name, row.address_line, f"{row.city}, {row.state_code} {row.postcode}"]
        for number, line in enumerate(lines):
            canvas.drawString(_LEFT, _ADDRESS_TOP - number * 15, line)
        # Right of the window, which ends 5 3/8 in from the left.
        canvas.drawRightString(_RIGHT, _ADDRESS_TOP, labels.day(letter.letter_date))

    return draw


def _letterhead(canvas: Canvas, letter: Letter) -> None:
    sender = letter.sender
    top = _HEIGHT - 0.82 * inch
    canvas.setFillColor(HexColor(sender.color))
    canvas.setFont(_BOLD, 17)
    canvas.drawString(_LEFT, top, sender.name)
    canvas.setFillColor(_GRAY)
    canvas.setFont(_REGULAR, 9.5)
    canvas.drawString(_LEFT, top - 14, sender.tagline)
    for number, line in enumerate([*sender.address_lines, sender.website]):
        canvas.drawRightString(_RIGHT, top + 5 - number * 11.5, line)
    canvas.setStrokeColor(HexColor(sender.color))
    canvas.setLineWidth(1.2)
    canvas.line(_LEFT, top - 27, _RIGHT, top - 27)


def _footer(canvas: Canvas, letter: Letter, page: int, pages: int) -> None:
    labels, sender = letter.labels, letter.sender
    canvas.setStrokeColor(HexColor("#c9d2d7"))
    canvas.setLineWidth(0.5)
    canvas.line(_LEFT, 0.95 * inch, _RIGHT, 0.95 * inch)
    canvas.setFillColor(_GRAY)
    canvas.setFont(_REGULAR, 9)
    canvas.drawString(_LEFT, 0.76 * inch, labels.questions.format(phone=sender.phone, hours=letter.hours))
    canvas.drawString(_LEFT, 0.58 * inch, labels.reference.format(letter_id=letter.row.letter_id))
    canvas.drawRightString(_RIGHT, 0.58 * inch, labels.page.format(page=page, pages=pages))


def _numbered(letter: Letter, count: list[int]) -> type[Canvas]:
    """A canvas that holds pages back until their number is known, then adds each foot."""

    class NumberedCanvas(Canvas):
        def __init__(self, *arguments: Any, **settings: Any) -> None:
            super().__init__(*arguments, **settings)
            self._held: list[dict[str, Any]] = []

        def showPage(self) -> None:  # noqa: N802 - reportlab's name
            self._held.append(dict(self.__dict__))
            self._startPage()

        def save(self) -> None:
            count[0] = len(self._held)
            for number, held in enumerate(self._held, start=1):
                self.__dict__.update(held)
                _footer(self, letter, number, count[0])
                super().showPage()
            super().save()

    return NumberedCanvas


@cache
def _register_fonts() -> frozenset[int]:
    """Register the two faces; returns the characters that both can draw."""
    folder = _font_folder()
    characters: list[set[int]] = []
    for name, file in ((_REGULAR, "STIXGeneral.ttf"), (_BOLD, "STIXGeneralBol.ttf")):
        font = TTFont(name, str(folder / file))
        pdfmetrics.registerFont(font)
        characters.append(set(font.face.charToGlyph))
    return frozenset(set.intersection(*characters))


def _font_folder() -> Path:
    # matplotlib brings free fonts with a wide range of letters; finding it does not need importing it.
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or spec.origin is None:
        raise LetterError("letters need the fonts that come with matplotlib, which is not installed")
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"


def _check_glyphs(letter: Letter) -> None:
    known = _register_fonts()
    row = letter.row
    fields = (
        "full_name",
        "address_line",
        "city",
        "state_code",
        "postcode",
        "account_no",
        "bill_id",
        "letter_id",
    )
    for field in fields:
        if any(ord(character) not in known for character in getattr(row, field)):
            raise LetterError(f"{field} has a character that the letter's font cannot print")
