"""Files over SFTP: which are complete, bringing each once by content, decoding from landing.

Belongs here: the run of a feed of kind ``file``, and decoding of landed bytes (events over HTTP land too).
Does not belong here: the protocol, the formats, publishing.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from connectors.errors import GridCRMError
from connectors.formats import DecodeResult, RefusedFile, decode
from connectors.formats.archive import open_payloads
from connectors.ingest.config import DoneMarker, FeedConfig, FileConfig
from connectors.ingest.ledger import Ledger
from connectors.ingest.report import FeedReport, FileOutcome, PendingFile
from connectors.ingest.staging import Publisher, StagedTables, load_date_of, raw_schema
from connectors.paths import Paths
from connectors.transport import TransientTransportError, TransportError
from connectors.transport.sftp import Ahead, Listing, RemoteFile, SftpTransport

Progress = Callable[[str], None]
_NO_COUNTS: dict[str, Any] = {
    "records_read": 0,
    "loaded": 0,
    "superseded": 0,
    "quarantined": 0,
    "records_by_type": {},
    "row_counts": {},
    "reasons": {},
}


@dataclass(frozen=True)
class FileFeedRun:
    """What a run of a file feed works with."""

    paths: Paths
    ledger: Ledger
    feed: FeedConfig
    progress: Progress

    @property
    def _publisher(self) -> Publisher:
        return Publisher(self.paths, self.ledger)

    # Once a run, not once a file: a copybook takes longer to parse than a small file to decode.
    @cached_property
    def _raw_schemas(self) -> dict[str, pa.Schema]:
        return {table: raw_schema(schema) for table, schema in self.feed.schemas().items()}

    @cached_property
    def _fingerprint(self) -> str:
        return self.feed.fingerprint()

    @property
    def _file(self) -> FileConfig:
        if self.feed.file is None:
            raise TypeError(f"feed {self.feed.source} is not of kind file")
        return self.feed.file

    def run(self, sftp: SftpTransport, start: date | None, end: date | None, report: FeedReport) -> None:
        """Bring and publish what is complete and in the window. Call under the feed's lock."""
        for row in self.ledger.rows(self.feed.source, states=["landed"]):
            # Landed by a run that was killed before it published.
            report.files.append(self.decode_landed(row))
        listing = sftp.list(self._file.directory, self._is_wanted)
        for refused in listing.refused:
            report.files.append(FileOutcome(refused.name, "", "refused", message=refused.reason))
        known = self.ledger.sightings(self.feed.source)
        files = [item for item in listing.files if in_window(self._date(item), start, end)]
        ready = self._complete(sftp, listing, files, known, report)
        done = {outcome.file_id for outcome in report.files}
        fresh = (item for item in ready if self._file.verify == "content" or _triple(item) not in known)
        ahead = Ahead(sftp, fresh, self._part)
        for number, remote in enumerate(ready, start=1):
            outcome = self._take(ahead, remote, known, done)
            if outcome is not None:
                report.files.append(outcome)
                rows = sum(outcome.rows.values())
                self.progress(
                    f"{self.feed.source}: file {number} of {len(ready)}: {remote.name}: "
                    f"{outcome.state}, {rows:,} rows"
                )

    def pending(self, sftp: SftpTransport) -> list[PendingFile]:
        """Files the listing shows and the ledger has not; completeness by marker is respected."""
        listing = sftp.list(self._file.directory, self._is_wanted)
        known = self.ledger.sightings(self.feed.source)
        complete = self._file.complete
        return [
            PendingFile(item.name, item.size, self._date(item))
            for item in listing.files
            if _triple(item) not in known
            and not (isinstance(complete, DoneMarker) and not _is_marked(item.name, complete, listing))
        ]

    def decode_landed(self, row: Mapping[str, Any]) -> FileOutcome:
        """Decode the landed bytes of ``row`` and publish them.

        A refusal is kept in the ledger with its reason.
        """
        source, sha256, name = self.feed.source, row["sha256"], row["name"]
        landed = landing_path(self.paths, source, row["file_id"], name)
        staging = self._publisher.staging(source, row["file_id"])
        try:
            with StagedTables(staging, source, row["file_id"], name, self._raw_schemas) as staged:
                result = self._decode(landed, staged)
                _require_balance(result, staged)
        except GridCRMError as error:
            totals = _totals(error.control_totals) if isinstance(error, RefusedFile) else []
            if row["state"] == "published":
                # Decoded again and refused now: what was published from these bytes stays as it is.
                return FileOutcome(name, row["file_id"], "refused", control_totals=totals, message=str(error))
            self.ledger.update(
                source, sha256, state="refused", reason=str(error), control_totals=totals,
                settings_fingerprint=self._fingerprint, **_NO_COUNTS,
            )  # fmt: skip
            return FileOutcome.from_ledger(self._row(sha256), "refused")
        self._publisher.publish(
            source,
            sha256,
            staged.targets(self.paths, load_date_of(row)),
            {
                "reason": None,
                "records_read": result.records_read,
                "loaded": result.loaded,
                "superseded": result.superseded,
                "quarantined": result.quarantined,
                "records_by_type": dict(result.records_by_type),
                "row_counts": dict(result.rows),
                "control_totals": _totals(result.control_totals),
                "reasons": dict(result.reasons),
                "decoder_version": result.decoder_version,
                "settings_fingerprint": self._fingerprint,
            },
        )
        return FileOutcome.from_ledger(
            self._row(sha256), "quarantined_some" if result.quarantined else "loaded"
        )

    def _decode(self, landed: Path, staged: StagedTables) -> DecodeResult:
        total: DecodeResult | None = None
        for inner, stream in open_payloads(landed):
            part = decode(stream, self.feed.format, self.feed.decode_settings, staged, name=inner)
            total = part if total is None else _added(total, part)
        if total is None:
            raise RefusedFile(f"{landed.name}: the archive holds no file")
        return total

    def _complete(
        self,
        sftp: SftpTransport,
        listing: Listing,
        files: list[RemoteFile],
        known: Mapping[tuple[str, int, int], str],
        report: FeedReport,
    ) -> list[RemoteFile]:
        config = self._file
        if isinstance(config.complete, DoneMarker):
            ready = [item for item in files if _is_marked(item.name, config.complete, listing)]
            report.waiting.extend(
                f"{item.name}: no {config.complete.done_marker} beside it yet"
                for item in files
                if item not in ready
            )
            return ready
        if config.complete == "none":
            return files
        fresh = {item for item in files if _triple(item) not in known}
        if not fresh:
            return files
        time.sleep(config.stable_seconds)
        later = set(sftp.list(config.directory, self._is_wanted).files)
        growing = {item for item in fresh if item not in later}
        report.waiting.extend(f"{item.name}: its size still changes" for item in growing)
        return [item for item in files if item not in growing]

    def _take(
        self,
        ahead: Ahead,
        remote: RemoteFile,
        known: Mapping[tuple[str, int, int], str],
        done: set[str],
    ) -> FileOutcome | None:
        source = self.feed.source
        sha256 = known.get(_triple(remote))
        row = self.ledger.get(source, sha256) if sha256 else None
        if row is None or self._file.verify == "content":
            part = self._part(remote)
            try:
                download = ahead.download(remote)
            except TransientTransportError:
                raise
            except TransportError as error:
                return FileOutcome(remote.name, "", "refused", message=str(error))
            row = self.ledger.get(source, download.sha256)
            if row is None:
                row = self._land(remote, part, download.sha256, download.size)
            part.unlink(missing_ok=True)
        again = row["state"] != "landed"
        self.ledger.sight(
            source, remote.path, remote.size, remote.modified_at, row["sha256"],
            again=again and _triple(remote) not in known,
        )  # fmt: skip
        if row["file_id"] in done:
            # Landed by a killed run and reported at the beginning of this one.
            return None
        if row["state"] == "published":
            same = "" if row["name"] == remote.name else f"same content as {row['name']}"
            return FileOutcome.from_ledger({**row, "name": remote.name}, "known", same)
        # Landed now, or refused before: a refusal is tried again, since its cause may be mended.
        return self.decode_landed(row)

    def _part(self, remote: RemoteFile) -> Path:
        return self.paths.landing / self.feed.source / ".part" / _part_name(remote)

    def _land(self, remote: RemoteFile, part: Path, sha256: str, size: int) -> dict[str, Any]:
        """Keep the bytes, then note them: killed between, the next run puts them in the same place."""
        source, file_id = self.feed.source, sha256[:16]
        target = landing_path(self.paths, source, file_id, remote.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, target)
        self.ledger.add(
            {
                "source": source,
                "sha256": sha256,
                "file_id": file_id,
                "path": remote.path,
                "name": remote.name,
                "size_bytes": size,
                "business_date": self._date(remote),
                "state": "landed",
            }
        )
        return self._row(sha256)

    def _row(self, sha256: str) -> dict[str, Any]:
        row = self.ledger.get(self.feed.source, sha256)
        if row is None:
            raise GridCRMError(f"feed {self.feed.source}: the ledger lost the row of content {sha256[:16]}")
        return row

    def _is_wanted(self, name: str) -> bool:
        marker = self._file.complete
        is_marker = isinstance(marker, DoneMarker) and name.endswith(marker.done_marker)
        return self._file.names.matches(name) and not is_marker

    def _date(self, remote: RemoteFile) -> date | None:
        return self._file.names.business_date(remote.name)


def landing_path(paths: Paths, source: str, file_id: str, name: str) -> Path:
    """Where the original bytes are kept; ``name`` was found safe by the transport."""
    return paths.landing / source / file_id / name


def in_window(day: date | None, start: date | None, end: date | None) -> bool:
    """Whether a file of ``day`` is asked for; a file without a date is, unless a window is given."""
    if day is None:
        return start is None and end is None
    return (start is None or day >= start) and (end is None or day <= end)


def _triple(remote: RemoteFile) -> tuple[str, int, int]:
    return remote.path, remote.size, remote.modified_at


def _is_marked(name: str, marker: DoneMarker, listing: Listing) -> bool:
    suffix = marker.done_marker
    return f"{name}{suffix}" in listing.names or f"{Path(name).stem}{suffix}" in listing.names


def _part_name(remote: RemoteFile) -> str:
    return hashlib.sha256(remote.path.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _totals(totals: Any) -> list[dict[str, Any]]:
    """Control totals for the ledger's JSON; sums of money stay exact as text."""
    return [
        {
            key: value if isinstance(value, bool | int | str | None) else str(value)
            for key, value in asdict(item).items()
        }
        for item in totals
    ]


def _added(left: DecodeResult, right: DecodeResult) -> DecodeResult:
    def merged(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
        return {key: one.get(key, 0) + other.get(key, 0) for key in {**one, **other}}

    return DecodeResult(
        records_read=left.records_read + right.records_read,
        loaded=left.loaded + right.loaded,
        superseded=left.superseded + right.superseded,
        quarantined=left.quarantined + right.quarantined,
        rows=merged(left.rows, right.rows),
        records_by_type=merged(left.records_by_type, right.records_by_type),
        control_totals=[*left.control_totals, *right.control_totals],
        reasons=merged(left.reasons, right.reasons),
        decoder_version=right.decoder_version,
    )


def _require_balance(result: DecodeResult, staged: StagedTables) -> None:
    """What the decoder says must add up and be what it handed over; otherwise nothing is published."""
    rows = {table: count for table, count in result.rows.items() if count}
    if not result.is_balanced or rows != staged.rows or result.quarantined != staged.rejects:
        raise RefusedFile(
            f"the account does not balance: {result.records_read} records read, {result.loaded} loaded, "
            f"{result.superseded} superseded, {result.quarantined} quarantined; "
            f"{sum(staged.rows.values())} rows and {staged.rejects} rejects handed over",
            result.control_totals,
        )
