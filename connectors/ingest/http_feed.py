"""Events over HTTP: pages behind a cursor become one landed file of JSON lines, decoded as any file.

Belongs here: the run of a feed of kind ``http``. Does not belong here: the protocol, decoding, publishing.

The cursor moves in the same ledger transaction that notes the landed file: a kill before it reads the pages
again, a kill after it finds the file and decodes it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from connectors.ingest.config import FeedConfig, HttpFeedConfig
from connectors.ingest.decoding import LandedFiles, landing_path, progress_line
from connectors.ingest.ledger import Ledger, now
from connectors.ingest.parquet import sync
from connectors.ingest.report import FeedReport, PendingFile
from connectors.paths import Paths
from connectors.transport.http import HttpTransport, Page

_PAGES_A_FILE = 200


@dataclass(frozen=True)
class HttpFeedRun:
    """What a run of an HTTP feed works with."""

    paths: Paths
    ledger: Ledger
    feed: FeedConfig
    progress: Callable[[str], None]

    @property
    def _http(self) -> HttpFeedConfig:
        if self.feed.http is None:
            raise TypeError(f"feed {self.feed.source} is not of kind http")
        return self.feed.http

    def run(self, http: HttpTransport, report: FeedReport) -> None:
        """Read what is behind the cursor, land it, publish it. Call under the feed's lock."""
        landed = LandedFiles(self.paths, self.ledger, self.feed)
        while self._land(http):
            pass
        # The pulls of this run and of one that was killed after landing.
        for row in self.ledger.rows(self.feed.source, states=["landed"]):
            outcome = landed.publish(row)
            report.files.append(outcome)
            self.progress(progress_line(self.feed, outcome))

    def pending(self, http: HttpTransport) -> list[PendingFile]:
        """One entry when there is something behind the cursor; its size is not known before it is read."""
        cursor = self.ledger.cursor(self.feed.source, self._http.path)
        page = next(self._pages(http, cursor, page_size=1), None)
        return [] if page is None else [PendingFile(self._http.path, len(page.records), None)]

    def _pages(self, http: HttpTransport, cursor: str | None, page_size: int) -> Iterator[Page]:
        return http.pages(
            self._http.path,
            cursor=cursor,
            cursor_parameter=self._http.cursor_parameter,
            limit_parameter=self._http.limit_parameter,
            page_size=page_size,
            records=self._http.records,
            next_cursor=self._http.next_cursor,
        )

    def _land(self, http: HttpTransport) -> bool:
        """Land up to ``_PAGES_A_FILE`` pages; whether there may be more."""
        source, endpoint = self.feed.source, self._http.path
        start = cursor = self.ledger.cursor(source, endpoint)
        part = self.paths.landing / source / ".part" / "events.jsonl"
        part.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        pages = 0
        with part.open("wb") as local:
            for page in self._pages(http, cursor, self._http.page_size):
                for record in page.records:
                    line = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
                    local.write(line)
                    digest.update(line)
                pages += 1
                cursor = page.next_cursor or cursor
                if pages == _PAGES_A_FILE:
                    break
        sha256, size = digest.hexdigest(), part.stat().st_size
        if not pages or self.ledger.get(source, sha256) is not None:
            # Nothing new, or the very same events again from a service that hands out no cursor.
            part.unlink()
            if cursor is not None and cursor != start:
                self.ledger.set_cursor(source, endpoint, cursor)
            return False
        moment = now()
        name = f"{endpoint.rsplit('/', 1)[-1]}-{moment:%Y%m%dT%H%M%S%f}.jsonl"
        target = landing_path(self.paths, source, sha256[:16], name)
        target.parent.mkdir(parents=True, exist_ok=True)
        sync(part)
        os.replace(part, target)
        sync(target.parent)
        row = {
            "source": source, "sha256": sha256, "file_id": sha256[:16], "path": f"http:{endpoint}",
            "name": name, "size_bytes": size, "business_date": moment.date(), "state": "landed",
        }  # fmt: skip
        self.ledger.add_with_cursor(row, endpoint, cursor or "")
        return pages == _PAGES_A_FILE
