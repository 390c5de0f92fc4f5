"""What a run of a feed did, file by file.

Belongs here: plain results. Does not belong here: showing them; that is the CLI and Dagster.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

FileState = Literal["loaded", "known", "refused", "quarantined_some"]


@dataclass(frozen=True)
class FileOutcome:
    """One file, or one pull of a table. ``rows`` are rows published by this run, none for a known file."""

    name: str
    file_id: str
    state: FileState
    records_read: int = 0
    loaded: int = 0
    superseded: int = 0
    quarantined: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    control_totals: list[dict[str, Any]] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)
    message: str = ""
    business_date: date | None = None
    size_bytes: int = 0
    decoder_version: str = ""
    undeclared: dict[str, dict[str, str]] = field(default_factory=dict)
    """By table: column → whether it was taken or left out; ``*`` is a whole record type."""

    healed: int = 0
    """Records that an earlier decoding had set aside and this one took."""

    newly_quarantined: int = 0

    @property
    def is_new(self) -> bool:
        """Whether this run published it."""
        return self.state in ("loaded", "quarantined_some")

    @property
    def is_balanced(self) -> bool:
        """Every record is accounted for; a refused file has no account."""
        return (
            self.state == "refused" or self.records_read == self.loaded + self.superseded + self.quarantined
        )

    @classmethod
    def from_ledger(cls, row: Mapping[str, Any], state: FileState, message: str = "") -> FileOutcome:
        """The outcome a ledger row tells of."""
        is_new = state in ("loaded", "quarantined_some")
        return cls(
            name=row["name"],
            file_id=row["file_id"],
            state=state,
            records_read=row["records_read"],
            loaded=row["loaded"],
            superseded=row["superseded"],
            quarantined=row["quarantined"],
            rows=dict(row["row_counts"]) if is_new else {},
            control_totals=list(row["control_totals"]),
            reasons=dict(row["reasons"]),
            message=message or row["reason"] or "",
            business_date=row["business_date"],
            size_bytes=row["size_bytes"],
            decoder_version=row.get("decoder_version") or "",
            undeclared=dict(row.get("undeclared") or {}),
        )


@dataclass(frozen=True)
class PendingFile:
    """What a source shows and the ledger has not; of a SQL table ``size`` is the number of changed rows."""

    name: str
    size: int
    business_date: date | None


@dataclass
class FeedReport:
    """One run of one feed."""

    feed: str
    files: list[FileOutcome] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    """Files that are not complete yet, each with why."""

    messages: list[str] = field(default_factory=list)
    """What a person should know besides, e.g. a run that was finished after a kill."""

    @property
    def rows(self) -> dict[str, int]:
        """Rows published by this run, by table."""
        totals: dict[str, int] = {}
        for outcome in self.files:
            for table, count in outcome.rows.items():
                totals[table] = totals.get(table, 0) + count
        return totals

    @property
    def balance_ok(self) -> bool:
        """Every record of every file is loaded, superseded or quarantined."""
        return all(outcome.is_balanced for outcome in self.files)

    @property
    def business_dates(self) -> list[date]:
        """Load dates with rows published by this run, in order."""
        return sorted(
            {outcome.business_date for outcome in self.files if outcome.is_new and outcome.business_date}
        )

    @property
    def refused(self) -> list[FileOutcome]:
        """The files that were refused, each with its reason."""
        return [outcome for outcome in self.files if outcome.state == "refused"]

    def count(self, state: FileState) -> int:
        """How many files came out so."""
        return sum(outcome.state == state for outcome in self.files)
