"""One file decoded on its own, anywhere: tables as Parquet, the account as JSON.

Belongs here: unpacking, decoding and writing one file for a person at a terminal. Does not belong here:
feeds and their ledger (``connectors.ingest``).
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, TypedDict

import pyarrow as pa
import pyarrow.parquet as pq

from connectors.formats.archive import ArchiveLimits, open_payloads
from connectors.formats.base import DecodeResult, Number, RefusedFile, Reject
from connectors.formats.openpgp import OpenPgpKeys
from connectors.formats.registry import decode, schema

# Meter formats speak of reads in one way, whatever the file was.
_FILE_NAMES = {"interval_reads": "reads"}
REJECTS = "rejects"
_REJECT_SCHEMA = pa.schema(
    [
        ("payload", pa.string()),
        ("record_no", pa.int64()),
        ("byte_offset", pa.int64()),
        ("raw", pa.binary()),
        ("rule", pa.string()),
        ("reason", pa.string()),
    ]
)
_REJECTS_AT_ONCE = 10_000


class RecordCounts(TypedDict):
    """Physical records of a file."""

    read: int
    loaded: int
    superseded: int
    quarantined: int


class DecodeSummary(TypedDict):
    """The account of one file, ready for JSON.

    ``rows`` by table; a total beyond the digits of a JSON number is text.
    """

    file: str
    format: str
    sha256: str
    records: RecordCounts
    rows: dict[str, int]
    control_totals: list[dict[str, Any]]
    reasons: dict[str, int]


def decode_file(
    path: Path,
    format: str,
    settings: Mapping[str, Any],
    out_dir: Path | None = None,
    *,
    limits: ArchiveLimits | None = None,
    keys: OpenPgpKeys | None = None,
) -> DecodeSummary:
    """Decode one file, also out of archives and messages, and write its tables into ``out_dir`` if given.

    Every table that has rows becomes ``{table}.parquet`` (``reads.parquet`` for interval reads), records in
    quarantine ``rejects.parquet``. Raises :class:`RefusedFile` and writes nothing when the file is refused,
    :class:`~connectors.formats.SettingsError` for wrong settings.
    """
    tables = schema(format, settings)
    try:
        sha256 = _sha256(path)
    except OSError as error:
        raise RefusedFile(f"{path.name}: cannot be read: {error.strerror}") from None
    total = DecodeResult()
    with _ParquetSink(out_dir) as sink:
        sink.tables = list(tables)
        for name, stream in open_payloads(path, limits=limits, keys=keys):
            sink.payload = name
            _add(total, decode(stream, format, settings, sink, name=name))
        if not total.records_read and not total.decoder_version:
            raise RefusedFile(f"{path.name}: the archive holds no file")
        sink.publish()
    return {
        "file": path.name,
        "format": format,
        "sha256": sha256,
        "records": {
            "read": total.records_read,
            "loaded": total.loaded,
            "superseded": total.superseded,
            "quarantined": total.quarantined,
        },
        "rows": {_FILE_NAMES.get(table, table): rows for table, rows in sorted(total.rows.items())},
        "control_totals": [
            {"name": t.name, "declared": _plain(t.declared), "found": _plain(t.found), "ok": t.ok}
            for t in total.control_totals
        ],
        "reasons": dict(sorted(total.reasons.items())),
    }


def _plain(number: Number | None) -> int | float | str | None:
    """A JSON number where that says the same, else the exact digits as text."""
    if not isinstance(number, Decimal):
        return number
    return float(number) if Decimal(str(float(number))) == number else str(number)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _add(total: DecodeResult, part: DecodeResult) -> None:
    """Add the account of one payload to that of the file."""
    total.records_read += part.records_read
    total.loaded += part.loaded
    total.superseded += part.superseded
    total.quarantined += part.quarantined
    total.control_totals += part.control_totals
    total.decoder_version = part.decoder_version
    for name in ("rows", "reasons", "records_by_type"):
        into, other = getattr(total, name), getattr(part, name)
        for key, count in other.items():
            into[key] = into.get(key, 0) + count


class _ParquetSink:
    """One Parquet file a table in a folder of its own beside the target; moved there when all went well."""

    def __init__(self, out_dir: Path | None) -> None:
        self.payload = ""
        self.tables: list[str] = []
        self._out = out_dir
        self._staging: Path | None = None
        self._writers: dict[str, pq.ParquetWriter] = {}
        self._rejects: list[dict[str, Any]] = []
        self._stack = ExitStack()

    def __enter__(self) -> _ParquetSink:
        if self._out is not None:
            self._out.mkdir(parents=True, exist_ok=True)
            self._staging = Path(tempfile.mkdtemp(prefix=".decode-", dir=self._out))
            self._stack.callback(shutil.rmtree, self._staging, ignore_errors=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        self._stack.close()

    def write(self, table: str, batch: pa.RecordBatch) -> None:
        """Append rows to a table's file."""
        if self._staging is None:
            return
        name = _FILE_NAMES.get(table, table)
        if name not in self._writers:
            self._writers[name] = pq.ParquetWriter(
                self._staging / f"{name}.parquet", batch.schema, compression="zstd"
            )
        self._writers[name].write_batch(batch)

    def reject(self, reject: Reject) -> None:
        """Append to the rejects."""
        self._rejects.append({"payload": self.payload, **vars(reject)})
        if len(self._rejects) >= _REJECTS_AT_ONCE:
            self._flush_rejects()

    def publish(self) -> None:
        """Move the finished files into the target folder, in place of those of an earlier run."""
        self._flush_rejects()
        self._close()
        if self._staging is not None and self._out is not None:
            for table in [*self.tables, REJECTS]:
                (self._out / f"{_FILE_NAMES.get(table, table)}.parquet").unlink(missing_ok=True)
            for file in self._staging.iterdir():
                file.replace(self._out / file.name)

    def _flush_rejects(self) -> None:
        if self._rejects:
            self.write(REJECTS, pa.RecordBatch.from_pylist(self._rejects, _REJECT_SCHEMA))
            self._rejects = []

    def _close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}
