"""What a sensor asks for: one run for what is pending, the same run for the same files."""

from __future__ import annotations

from datetime import date

from connectors.ingest import FeedConfig, PendingFile, load_feeds
from orchestration.sensors import request_for
from orchestration.settings import Settings


def feed(settings: Settings, name: str) -> FeedConfig:
    return load_feeds(settings.feeds)[name]


def test_pending_files_become_one_run_over_their_dates(settings: Settings) -> None:
    files = [PendingFile("b.zip", 20, date(2026, 8, 20)), PendingFile("a.zip", 10, date(2026, 8, 18))]
    request = request_for(feed(settings, "mdm"), files)
    assert request.tags["dagster/asset_partition_range_start"] == "2026-08-18"
    assert request.tags["dagster/asset_partition_range_end"] == "2026-08-20"


def test_the_same_files_give_the_same_run_key_in_any_order(settings: Settings) -> None:
    files = [PendingFile("b.zip", 20, date(2026, 8, 20)), PendingFile("a.zip", 10, date(2026, 8, 18))]
    assert (
        request_for(feed(settings, "mdm"), files).run_key
        == request_for(feed(settings, "mdm"), files[::-1]).run_key
    )


def test_a_changed_size_is_another_run(settings: Settings) -> None:
    one = [PendingFile("a.zip", 10, date(2026, 8, 18))]
    other = [PendingFile("a.zip", 11, date(2026, 8, 18))]
    assert (
        request_for(feed(settings, "mdm"), one).run_key != request_for(feed(settings, "mdm"), other).run_key
    )
