"""A list as CSV, dropped by SFTP: the file under a temporary name, renamed, then a manifest that makes it
count.

Belongs here: the file, its manifest, and keeping cells harmless. Does not belong here: SFTP itself
(``connectors.transport.sftp``).

The reader at the other end takes a file when its ``<stem>.manifest.json`` is there: names, rows, bytes and
SHA-256. Names are derived from the content, so a file dropped twice is the same file.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv

from connectors.connections import SftpConnection
from connectors.destinations.base import Batch, Delivery, DestinationRefusedError, DestinationUnavailableError
from connectors.destinations.payloads import connect, literal, quoted, text_columns
from connectors.destinations.settings import Column, CsvSettings
from connectors.transport import TransientTransportError, TransportError
from connectors.transport.sftp import SftpTransport

# What a spreadsheet takes for a formula, also after blanks and in full width; a tab or line break ends up
# there too.
_FORMULA = r"^([\t\r\n]|\s*[=+\-@＝＋－＠])"
_PLAIN_NUMBER = r"^-?[0-9]+(\.[0-9]+)?$"
_E164 = r"^\+[1-9][0-9]{6,14}$"


class SftpCsv:
    """Writes each batch as one CSV file with its manifest."""

    group_column: str | None = None
    attempts = 4

    def __init__(self, settings: CsvSettings, connection: SftpConnection) -> None:
        self._settings = settings
        self._sftp = SftpTransport(connection)
        self.batch_size = settings.batch_size

    def check(self, rows: pa.Table) -> None:
        """Nothing in a row can stop a CSV file."""

    def deliver(self, batch: Batch) -> Delivery:
        """Put the file, then the manifest; both whole or not at all."""
        path = self._path(batch)
        content = csv_bytes(self._columns(batch), batch.rows)
        manifest = {
            "batch_id": batch.batch_id,
            "push": batch.push,
            "operation": "recall" if batch.op == "delete" else "upsert",
            "as_of_date": batch.as_of_date.isoformat(),
            "key": batch.key_column,
            "files": [
                {
                    "file": path.name,
                    "rows": batch.rows.num_rows,
                    "bytes": len(content),
                    "sha256": hashlib.sha256(content).hexdigest(),
                }
            ],
        }
        with answered():
            self._sftp.put_atomic(content, str(path))
            self._sftp.put_atomic(manifest_bytes(manifest), str(manifest_path(path)))
        return Delivery(artifacts=(path.name, manifest_path(path).name))

    def delivered(self, batch: Batch) -> bool:
        """Whether the manifest is there: without it nobody takes the file."""
        with answered():
            return self._sftp.size(str(manifest_path(self._path(batch)))) is not None

    def withdraw(self, batch: Batch) -> None:
        """Remove a file that got no manifest."""
        with answered():
            self._sftp.remove(str(self._path(batch)))

    def close(self) -> None:
        """End the session."""
        self._sftp.close()

    def _path(self, batch: Batch) -> PurePosixPath:
        name = self._settings.file_name if batch.op == "upsert" else self._settings.recall_file_name
        if name is None:
            raise DestinationRefusedError(
                f"push {batch.push}: nothing can be recalled without recall_file_name"
            )
        return PurePosixPath(self._settings.directory) / name.format(
            as_of_date=batch.as_of_date, batch=batch.batch_id[:12]
        )

    @staticmethod
    def _columns(batch: Batch) -> dict[str, Column]:
        if batch.op == "upsert":
            return dict(batch.columns)
        return {batch.key_column: batch.columns[batch.key_column]}


def csv_bytes(columns: dict[str, Column], rows: pa.Table) -> bytes:
    """``rows`` (``key``, ``payload``) as CSV in UTF-8 with a header, by key; empty for null; lines end in
    CR LF.

    A text cell that a spreadsheet could run as a formula gets an apostrophe in front. Numbers stay as they
    are, and so does a telephone number in E.164 where the column is declared ``phone``.
    """
    selected = ", ".join(f"{_harmless(name, column)} as {quoted(name)}" for name, column in columns.items())
    with connect() as connection:
        connection.register("cells", text_columns(rows, columns))
        table = connection.execute(f"select {selected} from cells").to_arrow_table()
    buffer = io.BytesIO()
    pa_csv.write_csv(table, buffer, pa_csv.WriteOptions(quoting_style="needed", eol="\r\n"))
    return buffer.getvalue()


def _harmless(name: str, column: Column) -> str:
    cell = quoted(name)
    if column.is_number or column.family in ("boolean", "date", "timestamp"):
        return cell
    safe = _E164 if column.family == "phone" else _PLAIN_NUMBER
    is_formula = f"regexp_matches({cell}, {literal(_FORMULA)})"
    is_safe = f"regexp_matches({cell}, {literal(safe)})"
    return f"case when {is_formula} and not {is_safe} then chr(39) || {cell} else {cell} end"


def manifest_path(path: PurePosixPath) -> PurePosixPath:
    """The manifest that belongs to a file."""
    return path.with_name(f"{path.stem}.manifest.json")


def manifest_bytes(manifest: dict[str, Any]) -> bytes:
    """A manifest as the same bytes each time."""
    return (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode()


@contextmanager
def answered() -> Iterator[None]:
    """Turn a transport's errors into the two that the sender knows."""
    try:
        yield
    except TransientTransportError as error:
        raise DestinationUnavailableError(str(error)) from None
    except TransportError as error:
        raise DestinationRefusedError(str(error)) from None
