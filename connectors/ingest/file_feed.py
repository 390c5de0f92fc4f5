"""Files over SFTP: bringing each once by content.

Belongs here: the run of a feed of kind ``file``. Does not belong here: when a file is whole (``complete``),
the protocol, decoding and publishing (``decoding``).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

from connectors.formats.openpgp import OpenPgpKeys
from connectors.ingest.complete import Completeness, Listed, Triple, triple
from connectors.ingest.config import FeedConfig
from connectors.ingest.decoding import LandedFiles, Progress, landing_path, progress_line
from connectors.ingest.ledger import Ledger
from connectors.ingest.parquet import sync
from connectors.ingest.report import FeedReport, FileOutcome, PendingFile
from connectors.ingest.settings import FileConfig
from connectors.paths import Paths
from connectors.transport import TransientTransportError, TransportError
from connectors.transport.sftp import Ahead, RemoteFile, SftpTransport


@dataclass(frozen=True)
class FileFeedRun:
    """What a run of a file feed works with."""

    paths: Paths
    ledger: Ledger
    feed: FeedConfig
    progress: Progress
    keys: OpenPgpKeys | None = None

    @cached_property
    def _landed(self) -> LandedFiles:
        return LandedFiles(self.paths, self.ledger, self.feed, self.keys)

    @property
    def _file(self) -> FileConfig:
        if self.feed.file is None:
            raise TypeError(f"feed {self.feed.source} is not of kind file")
        return self.feed.file

    def run(self, sftp: SftpTransport, start: date | None, end: date | None, report: FeedReport) -> None:
        """Bring and publish what is complete and in the window. Call under the feed's lock."""
        for row in self.ledger.rows(self.feed.source, states=["landed"]):
            # Landed by a run that was killed before it published.
            report.files.append(self._landed.publish(row))
        known = self.ledger.sightings(self.feed.source)
        look = Completeness(self._file).look(
            sftp, known, lambda item: in_window(self._date(item), start, end)
        )
        report.waiting.extend(look.waiting)
        for name, reason in look.refused:
            report.files.append(FileOutcome(name, "", "refused", message=reason))
        done = {outcome.file_id for outcome in report.files}
        # Many files are on their way at once; they are taken one after the other, in the listing's order.
        fresh = (item for item in look.ready if self._file.verify == "content" or triple(item) not in known)
        ahead = Ahead(sftp, fresh, self._part)
        for number, remote in enumerate(look.ready, start=1):
            outcome = self._take(ahead, remote, known, done, look.listed.get(remote.name))
            if outcome is not None:
                report.files.append(outcome)
                place = f"file {number} of {len(look.ready)}: "
                self.progress(progress_line(self.feed, outcome, place))

    def pending(self, sftp: SftpTransport) -> list[PendingFile]:
        """Files the listing shows and the ledger has not; marker, manifest and age are respected."""
        known = self.ledger.sightings(self.feed.source)
        look = Completeness(self._file).look(sftp, known, waits=False)
        return [
            PendingFile(item.name, item.size, self._date(item))
            for item in look.ready
            if triple(item) not in known
        ]

    def _take(
        self,
        ahead: Ahead,
        remote: RemoteFile,
        known: Mapping[Triple, str],
        done: set[str],
        listed: Listed | None,
    ) -> FileOutcome | None:
        source = self.feed.source
        sha256 = known.get(triple(remote))
        row = self.ledger.get(source, sha256) if sha256 else None
        if row is None or self._file.verify == "content":
            part = self._part(remote)
            try:
                download = ahead.download(remote)
            except TransientTransportError:
                raise
            except TransportError as error:
                return FileOutcome(remote.name, "", "refused", message=str(error))
            if listed is not None and (reason := listed.disagrees(part, download.sha256)):
                part.unlink(missing_ok=True)
                return FileOutcome(remote.name, "", "refused", message=f"{remote.name}: {reason}")
            row = self.ledger.get(source, download.sha256)
            if row is None:
                row = self._land(remote, part, download.sha256, download.size)
            part.unlink(missing_ok=True)
        again = row["state"] != "landed"
        self.ledger.sight(
            source, remote.path, remote.size, remote.modified_at, row["sha256"],
            again=again and triple(remote) not in known,
        )  # fmt: skip
        if row["file_id"] in done:
            # Landed by a killed run and reported at the beginning of this one.
            return None
        if row["state"] == "published":
            same = "" if row["name"] == remote.name else f"same content as {row['name']}"
            return FileOutcome.from_ledger({**row, "name": remote.name}, "known", same)
        # Landed now; or refused before, which is tried again since its cause may be mended; or superseded
        # before, and what took its place is now itself replaced by it.
        return self._landed.publish(row)

    def _land(self, remote: RemoteFile, part: Path, sha256: str, size: int) -> dict[str, Any]:
        """Keep the bytes, then note them: killed between, the next run puts them in the same place."""
        source, file_id = self.feed.source, sha256[:16]
        target = landing_path(self.paths, source, file_id, remote.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        sync(part)
        os.replace(part, target)
        sync(target.parent)
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
        return self._landed.row(sha256)

    def _part(self, remote: RemoteFile) -> Path:
        return self.paths.landing / self.feed.source / ".part" / _part_name(remote)

    def _date(self, remote: RemoteFile) -> date | None:
        return self._file.names.business_date(remote.name)


def in_window(day: date | None, start: date | None, end: date | None) -> bool:
    """Whether a file of ``day`` is asked for; a file without a date is, unless a window is given."""
    if day is None:
        return start is None and end is None
    return (start is None or day >= start) and (end is None or day <= end)


def _part_name(remote: RemoteFile) -> str:
    return hashlib.sha256(remote.path.encode("utf-8", "surrogateescape")).hexdigest()[:16]
