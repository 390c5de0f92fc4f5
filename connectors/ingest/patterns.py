"""File names: which belong to a feed, and the business date they carry.

Belongs here: the small pattern language of feeds. Does not belong here: listing a server, or trusting a name
as a path; that is ``connectors.transport.sftp``.
"""

from __future__ import annotations

import re
from datetime import date, datetime

_DIRECTIVES = {"%Y": r"\d{4}", "%y": r"\d{2}", "%m": r"\d{2}", "%d": r"\d{2}", "%j": r"\d{3}"}
_DATE = re.compile(r"\{business_date:([^{}]+)\}")
_GLOB = re.compile(r"\{business_date:[^{}]+\}|\*|\?|\[[^\]/]+\]|[^*?\[{]+|.")


class NamePattern:
    """``NEM12#{business_date:%Y%m%d}*.zip``: a glob with a date, or a regular expression when it starts with
    ``^``.

    A regular expression may hold the same ``{business_date:…}``. Raises ValueError for a pattern that is
    neither.
    """

    def __init__(self, pattern: str) -> None:
        dates = _DATE.findall(pattern)
        if len(dates) > 1:
            raise ValueError("has more than one {business_date:…}")
        self._format = dates[0] if dates else None
        if pattern.startswith("^"):
            text = _DATE.sub(lambda match: _date_group(match[1]), pattern)
        else:
            text = "".join(self._translate(part) for part in _GLOB.findall(pattern))
        try:
            self._expression = re.compile(text)
        except re.error as error:
            raise ValueError(f"is not a pattern: {error}") from None

    @property
    def has_date(self) -> bool:
        """Whether names carry their business date."""
        return self._format is not None

    def matches(self, name: str) -> bool:
        """Whether ``name`` belongs to the feed (and its date, if any, is a day of the calendar)."""
        found = self._expression.fullmatch(name)
        if not found or self._format is None:
            return found is not None
        return self.business_date(name) is not None

    def business_date(self, name: str) -> date | None:
        """The date in ``name``; None without one, or when the digits are no day of the calendar."""
        found = self._expression.fullmatch(name)
        if not found or self._format is None:
            return None
        try:
            return datetime.strptime(found["business_date"], self._format).date()
        except ValueError:
            return None

    @staticmethod
    def _translate(part: str) -> str:
        if match := _DATE.fullmatch(part):
            return _date_group(match[1])
        if part == "*":
            return "[^/]*"
        if part == "?":
            return "[^/]"
        if part.startswith("[") and len(part) > 2:
            inner = part[1:-1]
            return f"[^{inner[1:]}]" if inner.startswith("!") else f"[{inner}]"
        return re.escape(part)


def _date_group(directives: str) -> str:
    parts = re.findall(r"%.|[^%]+", directives)
    for part in parts:
        if part.startswith("%") and part not in _DIRECTIVES:
            raise ValueError(f"business_date takes {', '.join(_DIRECTIVES)}, not {part}")
    return f"(?P<business_date>{''.join(_DIRECTIVES.get(part, re.escape(part)) for part in parts)})"
