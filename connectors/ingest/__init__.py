"""Ingestion: how a file, a table or an event stream becomes raw, once and with nothing lost.

Belongs here: feeds, landing, ledger, quarantine, publishing into raw. Does not belong here: protocols
(``connectors.transport``), formats (``connectors.formats``), anything behind raw.
"""

from connectors.ingest.config import FeedConfig, FeedError
from connectors.ingest.ledger import Ledger, LedgerError
from connectors.ingest.loading import feed_files, load_feed, load_feeds
from connectors.ingest.replay import Choice, Replayed
from connectors.ingest.report import FeedReport, FileOutcome, PendingFile
from connectors.ingest.service import Ingest

__all__ = [
    "Choice",
    "FeedConfig",
    "FeedError",
    "FeedReport",
    "FileOutcome",
    "Ingest",
    "Ledger",
    "LedgerError",
    "PendingFile",
    "Replayed",
    "feed_files",
    "load_feed",
    "load_feeds",
]
