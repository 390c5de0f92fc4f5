"""Tables of a live database: a run of a feed of kind ``sql``.

Belongs here: all tables of a feed at one moment, and what is pending. Does not belong here: the pull of one
table (``sql_pull``), the database protocol.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from connectors.ingest.config import FeedConfig
from connectors.ingest.ledger import Ledger
from connectors.ingest.report import FeedReport, FileOutcome, PendingFile
from connectors.ingest.sql_pull import ReconciliationError, SchemaContractError, TablePull, source_name
from connectors.paths import Paths
from connectors.transport import TransientTransportError, TransportError
from connectors.transport.sql import SqlTransport


@dataclass(frozen=True)
class SqlFeedRun:
    """What a run of a SQL feed works with."""

    paths: Paths
    ledger: Ledger
    feed: FeedConfig
    progress: Callable[[str], None]

    def run(self, sql: SqlTransport, report: FeedReport) -> None:
        """Pull every table at one moment of the database. Call under the feed's lock.

        A table that is refused leaves the others loaded. Raises TransientTransportError when the database
        is lost on the way; what was published before stays.
        """
        if self.feed.sql is None:
            raise TypeError(f"feed {self.feed.source} is not of kind sql")
        committed = self.feed.sql.consistency == "committed"
        with sql.snapshot(committed=committed, readers=self.feed.sql.readers) as snapshot:
            for table, config in self.feed.tables.items():
                try:
                    with snapshot.part():
                        outcome = TablePull(self.paths, self.ledger, self.feed, snapshot, table).run()
                except TransientTransportError:
                    raise
                except (SchemaContractError, ReconciliationError, TransportError) as error:
                    outcome = FileOutcome(
                        source_name(self.feed, table, config), "", "refused", message=str(error)
                    )
                report.files.append(outcome)
                rows = sum(outcome.rows.values())
                self.progress(f"{self.feed.source}: {outcome.name}: {outcome.state}, {rows:,} rows")

    def pending(self, sql: SqlTransport) -> list[PendingFile]:
        """Tables with rows above the cursor of the last run, and how many."""
        found = []
        with sql.snapshot(committed=True) as snapshot:
            for table in self.feed.tables:
                pull = TablePull(self.paths, self.ledger, self.feed, snapshot, table)
                if count := pull.changed():
                    found.append(PendingFile(pull.source_name, count, None))
        return found
