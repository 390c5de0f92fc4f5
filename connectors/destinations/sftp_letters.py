"""Letters for the print vendor: one PDF a letter by SFTP, the manifest of the batch last.

Belongs here: rows into letters, files and manifest. Does not belong here: words and looks
(``connectors.destinations.letters``).

The vendor takes what a manifest names. A letter's file bears its letter_id and its bytes depend on its row
alone, so a batch sent twice is the same files.
"""

from __future__ import annotations

import hashlib
import re
from datetime import date
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa

from connectors.connections import SftpConnection
from connectors.destinations.base import Batch, Delivery, DestinationRefusedError
from connectors.destinations.letters.page import render
from connectors.destinations.letters.templates import LetterError, LetterRow, Templates
from connectors.destinations.payloads import text_columns
from connectors.destinations.settings import LettersSettings
from connectors.destinations.sftp_csv import answered, manifest_bytes
from connectors.transport.sftp import SftpTransport

_REQUIRED = (
    *("letter_id", "content_id", "full_name", "address_line", "city", "state_code", "postcode", "account_no"),
    *("bill_id", "amount_due_usd", "due_date"),
)
# A language we do not write in, or none, gets the English letter: no reason to leave anybody out.
_FIELDS = (*_REQUIRED, "language")


class SftpLetters:
    """Writes each row as one letter."""

    group_column: str | None = None
    attempts = 4

    def __init__(self, settings: LettersSettings, connection: SftpConnection) -> None:
        self._settings = settings
        self._sftp = SftpTransport(connection)
        self._templates = Templates.load()
        self.batch_size = settings.batch_size

    def check(self, rows: pa.Table) -> None:
        """Raise DestinationRefusedError where a row asks for a letter that nobody approved: then none is
        sent."""
        asked = text_columns(rows, ["content_id"]).column("content_id").value_counts().to_pylist()
        unknown = {
            str(entry["values"]): entry["counts"]
            for entry in asked
            if entry["values"] not in self._templates.content_ids
        }
        if unknown:
            listed = ", ".join(
                f"{content_id} ({count} letters)" for content_id, count in sorted(unknown.items())
            )
            raise DestinationRefusedError(
                f"letters: content_id {listed} is not an approved template; nothing was sent. "
                f"Known are {', '.join(sorted(self._templates.content_ids))}"
            )

    def deliver(self, batch: Batch) -> Delivery:
        """Put every letter, then the manifest; a row that makes no letter is left out with the reason."""
        if batch.op != "upsert":
            raise DestinationRefusedError(f"push {batch.push}: a letter cannot be recalled")
        rejected: dict[str, str] = {}
        entries: list[dict[str, Any]] = []
        for key, values in self._rows(batch):
            try:
                row = _letter_row(values, self._templates)
                content, pages = render(self._templates.fill(row, batch.as_of_date, self._settings.sender))
            except LetterError as error:
                rejected[key] = str(error)
                continue
            name = file_name(row.letter_id)
            with answered():
                self._sftp.put_atomic(content, str(PurePosixPath(self._settings.directory) / name))
            entries.append(
                {
                    "letter_id": row.letter_id,
                    "file": name,
                    "sha256": hashlib.sha256(content).hexdigest(),
                    "bytes": len(content),
                    "pages": pages,
                    "account_no": row.account_no,
                }
            )
        if entries:
            self._put_manifest(batch, entries)
        return Delivery(rejected, tuple(entry["file"] for entry in entries))

    def delivered(self, batch: Batch) -> bool:
        """Whether the manifest is there: without it nothing is printed."""
        with answered():
            return self._sftp.size(str(self._manifest(batch))) is not None

    def withdraw(self, batch: Batch) -> None:
        """Remove letters that got no manifest."""
        with answered():
            for _, values in self._rows(batch):
                name = file_name(values["letter_id"] or "")
                self._sftp.remove(str(PurePosixPath(self._settings.directory) / name))

    def close(self) -> None:
        """End the session."""
        self._sftp.close()

    def _put_manifest(self, batch: Batch, entries: list[dict[str, Any]]) -> None:
        manifest = {
            "batch_id": batch.batch_id,
            "push": batch.push,
            "operation": "upsert",
            "as_of_date": batch.as_of_date.isoformat(),
            "key": batch.key_column,
            "letters": len(entries),
            "pages": sum(entry["pages"] for entry in entries),
            "files": entries,
        }
        with answered():
            self._sftp.put_atomic(manifest_bytes(manifest), str(self._manifest(batch)))

    def _manifest(self, batch: Batch) -> PurePosixPath:
        name = f"letters_{batch.as_of_date:%Y%m%d}_{batch.batch_id[:12]}.manifest.json"
        return PurePosixPath(self._settings.directory) / name

    @staticmethod
    def _rows(batch: Batch) -> list[tuple[str, dict[str, str | None]]]:
        ordered = batch.rows.sort_by("key")
        return list(
            zip(ordered.column("key").to_pylist(), text_columns(ordered, _FIELDS).to_pylist(), strict=True)
        )


def file_name(letter_id: str) -> str:
    """The PDF's name; where the id has characters that names should not have, a hash keeps two ids apart."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", letter_id).lstrip(".")[:120]
    if safe != letter_id:
        safe = f"{safe}-{hashlib.sha256(letter_id.encode()).hexdigest()[:8]}"
    return f"{safe}.pdf"


def _letter_row(values: dict[str, str | None], templates: Templates) -> LetterRow:
    """One row as a letter needs it. Raises LetterError naming the column, never its value."""
    for name in _REQUIRED:
        if not (values[name] or "").strip():
            raise LetterError(f"{name} is empty")
    filled = {name: (value or "").strip() for name, value in values.items()}
    written, spoken = templates.language(filled["content_id"]), filled["language"].lower()[:2]
    if spoken != written and spoken in templates.languages:
        raise LetterError(
            f"template {filled['content_id']} is written in {written}, but the customer reads {spoken}"
        )
    amount = Decimal(filled["amount_due_usd"])
    if amount <= 0:
        raise LetterError("amount_due_usd is not above zero: there is nothing to remind of")
    texts = {name: filled[name] for name in _REQUIRED if name not in ("amount_due_usd", "due_date")}
    return LetterRow(**texts, amount_due_usd=amount, due_date=date.fromisoformat(filled["due_date"]))
