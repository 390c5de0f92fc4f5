"""The one door to ingestion: run a feed, ask what is pending, decode again from landing.

Belongs here: opening the right transport under the feed's lock. Does not belong here: how a kind of feed
works.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import sqlalchemy as sa

from connectors.connections import Connections
from connectors.errors import GridCRMError
from connectors.ingest.config import FeedConfig
from connectors.ingest.decoding import openpgp_keys
from connectors.ingest.file_feed import FileFeedRun
from connectors.ingest.http_feed import HttpFeedRun
from connectors.ingest.ledger import LEDGER_SCHEMA, Ledger
from connectors.ingest.parquet import remove_leftovers
from connectors.ingest.quarantine import QUARANTINE_SCHEMA
from connectors.ingest.replay import Choice, Replayed, heal_rows, replay
from connectors.ingest.report import FeedReport, PendingFile
from connectors.ingest.sql_feed import SqlFeedRun
from connectors.ingest.staging import Publisher, raw_schema, write_empty
from connectors.paths import Paths
from connectors.transport.http import HttpTransport
from connectors.transport.sftp import SftpTransport
from connectors.transport.sql import SqlTransport

Progress = Callable[[str], None]


def _quiet(message: str) -> None:
    del message


class Ingest:
    """Ingestion over one data root and one set of connections.

    ``ledger_url`` is a SQLite file under the root unless given. Two processes may run feeds at once; two runs
    of the same feed follow each other, the second waiting at most ``lock_timeout_seconds``.
    """

    def __init__(
        self,
        paths: Paths,
        connections: Connections,
        *,
        ledger_url: str | sa.URL | None = None,
        lock_timeout_seconds: float = 900,
    ) -> None:
        self._paths = paths
        self._connections = connections
        self._lock_timeout_seconds = lock_timeout_seconds
        paths.state.mkdir(parents=True, exist_ok=True)
        url = ledger_url or sa.URL.create("sqlite", database=str(paths.state / "ledger.db"))
        self.ledger = Ledger(url, paths.state / "locks")

    def close(self) -> None:
        """Let go of the ledger."""
        self.ledger.close()

    def run(
        self,
        feed: FeedConfig,
        *,
        start: date | None = None,
        end: date | None = None,
        progress: Progress | None = None,
    ) -> FeedReport:
        """Take everything new of ``feed``: files with a business date in [start, end], changed rows, new
        events.

        A file that is refused leaves the others loaded; the report says what became of each. Raises
        TransportError when the source cannot be reached, and what was published before stays.
        """
        told = progress or _quiet
        report = FeedReport(feed.source)
        with self.ledger.feed_lock(feed.source, self._lock_timeout_seconds):
            self._ensure_tables(feed)
            self._recover(feed, report)
            try:
                self._run(feed, start, end, report, told)
            finally:
                self.export_ledger()
        return report

    def replay(
        self,
        feed: FeedConfig,
        choice: Choice | None = None,
        *,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> list[Replayed]:
        """Decode the chosen landed files again, or read a database's rows in quarantine again; says what
        changed. With ``dry_run`` nothing is written.

        Raises GridCRMError for a file that was never taken, and for a dry run of a database.
        """
        if feed.kind == "sql":
            if dry_run:
                raise GridCRMError(
                    f"feed {feed.source} reads a database: its rows are read again, which a dry run cannot do"
                )
            self.run(feed, progress=progress)
        with self.ledger.feed_lock(feed.source, self._lock_timeout_seconds):
            if not dry_run:
                self._recover(feed, FeedReport(feed.source))
            if feed.kind == "sql":
                found = heal_rows(self._paths, self.ledger, feed)
            else:
                found = []
                keys = openpgp_keys(feed, self._connections)
                chosen = choice or Choice()
                for done in replay(self._paths, self.ledger, feed, chosen, dry_run=dry_run, keys=keys):
                    found.append(done)
                    (progress or _quiet)(f"{feed.source}: {done.name}: {done.state}, {done.healed} healed")
            if not dry_run:
                self.export_ledger()
        return found

    def pending(self, feed: FeedConfig) -> list[PendingFile]:
        """What the source shows and the ledger has not; only looks."""
        if feed.kind == "file":
            with SftpTransport(self._connections.sftp(feed.connection)) as sftp:
                return FileFeedRun(self._paths, self.ledger, feed, _quiet).pending(sftp)
        if feed.kind == "sql":
            with SqlTransport(self._connections.sql(feed.connection)) as sql:
                return SqlFeedRun(self._paths, self.ledger, feed, _quiet).pending(sql)
        with HttpTransport(self._connections.http(feed.connection)) as http:
            return HttpFeedRun(self._paths, self.ledger, feed, _quiet).pending(http)

    def ensure_tables(self, feed: FeedConfig) -> None:
        """A file without rows for every raw table of the feed, the quarantine and the ledger's copy."""
        with self.ledger.feed_lock(feed.source, self._lock_timeout_seconds):
            self._ensure_tables(feed)

    def export_ledger(self) -> None:
        """Bring the warehouse's copy of the ledger up to date."""
        self.ledger.to_parquet(self._paths.raw / "gridcrm" / "ingestion_ledger")

    def _ensure_tables(self, feed: FeedConfig) -> None:
        for table, schema in feed.schemas().items():
            whole = raw_schema(schema, with_deletes=feed.kind == "sql")
            write_empty(self._paths, feed.source, table, whole)
        with self.ledger.books_lock():
            remove_leftovers(self._paths.raw / "gridcrm" / "quarantine")
            remove_leftovers(self._paths.raw / "gridcrm" / "ingestion_ledger")
            write_empty(self._paths, "gridcrm", "quarantine", QUARANTINE_SCHEMA)
            write_empty(self._paths, "gridcrm", "ingestion_ledger", LEDGER_SCHEMA)

    def _recover(self, feed: FeedConfig, report: FeedReport) -> None:
        for name in Publisher(self._paths, self.ledger).recover(feed.source):
            report.messages.append(f"{name}: a run that was killed while publishing was finished")

    def _run(
        self, feed: FeedConfig, start: date | None, end: date | None, report: FeedReport, told: Progress
    ) -> None:
        if feed.kind == "file":
            keys = openpgp_keys(feed, self._connections)
            with SftpTransport(self._connections.sftp(feed.connection)) as sftp:
                FileFeedRun(self._paths, self.ledger, feed, told, keys).run(sftp, start, end, report)
        elif feed.kind == "sql":
            with SqlTransport(self._connections.sql(feed.connection)) as sql:
                SqlFeedRun(self._paths, self.ledger, feed, told).run(sql, report)
        else:
            with HttpTransport(self._connections.http(feed.connection)) as http:
                HttpFeedRun(self._paths, self.ledger, feed, told).run(http, report)
