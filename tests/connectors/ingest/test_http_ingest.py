"""Events behind a cursor: each once, also after a kill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.ingest import FeedConfig, Ingest
from connectors.ingest.decoding import LandedFiles
from connectors.paths import Paths
from connectors.transport import TransportError
from tests.support.http_server import EventServer
from tests.support.ingest import make_connections, make_feed, raw_rows

EVENTS = """
source: mail
description: Events for tests.
owner: testers
connection: test_http
kind: http
schedule: "0 * * * *"
contract: quarantine
http: {path: /api/v1/events, page_size: 10}
tables:
  event:
    description: One row an event.
    key: [event_id]
    columns:
      event_id: {type: string, description: Event}
      occurred_at: {type: timestamp, description: When}
      value_usd: {type: "decimal(12,2)", description: Value}
"""


def event(number: int) -> dict[str, object]:
    return {"event_id": f"E{number}", "occurred_at": "2026-11-15T12:00:00-06:00", "value_usd": 12.5}


@pytest.fixture
def feed(tmp_path: Path) -> FeedConfig:
    return make_feed(tmp_path / "feeds", EVENTS)


@pytest.fixture
def ingest(tmp_path: Path, paths: Paths, events: EventServer) -> Iterator[Ingest]:
    opened = Ingest(paths, make_connections(tmp_path, events.connection()))
    yield opened
    opened.close()


def test_each_event_comes_once(ingest: Ingest, feed: FeedConfig, events: EventServer, paths: Paths) -> None:
    events.events = [event(number) for number in range(25)]
    assert len(ingest.pending(feed)) == 1
    first = ingest.run(feed)
    assert first.rows == {"event": 25}
    assert first.balance_ok
    assert ingest.pending(feed) == []
    assert ingest.run(feed).rows == {}
    events.events.append(event(25))
    assert ingest.run(feed).rows == {"event": 1}
    rows = raw_rows(paths, "mail", "event")
    assert sorted(rows["event_id"].to_pylist()) == sorted(f"E{number}" for number in range(26))
    assert str(rows["value_usd"][0].as_py()) == "12.50"
    landed = sorted(path for path in (paths.landing / "mail").glob("*/*.jsonl"))
    assert len(landed) == 2


def test_a_kill_after_landing_loses_nothing(
    ingest: Ingest, feed: FeedConfig, events: EventServer, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    events.events = [event(number) for number in range(5)]

    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(LandedFiles, "publish", killed)
        with pytest.raises(KeyboardInterrupt):
            ingest.run(feed)
    assert ingest.pending(feed) == [], "the cursor moved with the landing"
    assert ingest.run(feed).rows == {"event": 5}
    assert ingest.run(feed).rows == {}
    assert raw_rows(paths, "mail", "event").num_rows == 5


def test_an_event_that_does_not_fit_goes_aside(
    ingest: Ingest, feed: FeedConfig, events: EventServer, paths: Paths
) -> None:
    events.events = [event(1), {**event(2), "occurred_at": "yesterday"}, event(3)]
    (outcome,) = ingest.run(feed).files
    assert (outcome.state, outcome.records_read, outcome.loaded) == ("quarantined_some", 3, 2)
    (kept,) = raw_rows(paths, "gridcrm", "quarantine").to_pylist()
    assert b"yesterday" in kept["raw"]


def test_a_service_that_fails_in_the_middle_moves_no_cursor(
    ingest: Ingest, feed: FeedConfig, events: EventServer, paths: Paths
) -> None:
    events.events = [event(number) for number in range(25)]
    events.failures = []
    served = events.requests

    class FailLater(list):  # type: ignore[type-arg]
        def __bool__(self) -> bool:
            return len(served) > 1

        def pop(self, index: int = 0) -> tuple[int, dict[str, str]]:
            return 400, {}

    events.failures = FailLater()
    with pytest.raises(TransportError, match="the service answers 400"):
        ingest.run(feed)
    assert raw_rows(paths, "mail", "event").num_rows == 0
    events.failures = []
    assert ingest.run(feed).rows == {"event": 25}
