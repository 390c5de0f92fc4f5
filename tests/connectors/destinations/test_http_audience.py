"""The campaign tool over real HTTP: limits, lost answers, single refusals, and nothing applied twice."""

from __future__ import annotations

import json
import time
from typing import Any

import pyarrow as pa
import pytest

import connectors.destinations.http_audience as http_audience
from connectors.activation import Activation, PushConfig, PushReport
from connectors.destinations import DestinationRefusedError
from connectors.paths import Paths
from tests.connectors.activation.helpers import DAY, NO_GUARDS, FixedConnections
from tests.connectors.destinations.audience_server import AudienceServer

PUSH = PushConfig.model_validate(
    {
        "name": "audience",
        "description": "Members.",
        "owner": "team:test",
        "model": "push_audience",
        "key": "member_key",
        "purpose": "marketing",
        "destination": {
            "kind": "http_audience",
            "connection": "test_http",
            "batch_size": 4,
            "max_requests_per_second": 1000,
        },
        "columns": {
            "member_key": "string",
            "audience_id": "string",
            "email": {"type": "string", "personal": True},
            "propensity": {"type": "double", "compared": False},
            "rank": "int",
            "limit_usd": "decimal(12,2)",
            "is_new": "boolean",
            "extra": "json",
        },
        "guards": NO_GUARDS,
    }
)


def members(
    *keys: str, audience: str = "spring/2026", rank: int = 1, withheld: set[str] | None = None
) -> pa.Table:
    count = len(keys)
    return pa.table(
        {
            "member_key": pa.array(keys, pa.string()),
            "audience_id": pa.array([audience] * count, pa.string()),
            "email": pa.array([f"{key}@example.org" for key in keys], pa.string()),
            "propensity": pa.array([0.25] * count, pa.float64()),
            "rank": pa.array([rank] * count, pa.int64()),
            "limit_usd": pa.array(["10.10"] * count, pa.string()).cast(pa.decimal128(12, 2)),
            "is_new": pa.array([True] * count, pa.bool_()),
            "extra": pa.array(['{"a": [1]}'] * count, pa.string()),
            "withheld_reason": pa.array(
                ["no_consent" if key in (withheld or set()) else None for key in keys], pa.string()
            ),
        }
    )


@pytest.fixture(autouse=True)
def few_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_audience, "_ATTEMPTS", 4)


def send(paths: Paths, audience: AudienceServer, rows: pa.Table, **changes: Any) -> PushReport:
    connections = FixedConnections(audience.connection(**changes))
    activation = Activation(paths, connections, backoff_seconds=0.01)  # type: ignore[arg-type]
    try:
        return activation.send(PUSH, activation.plan(PUSH, rows, DAY), dry_run=False)
    finally:
        activation.close()


def test_members_arrive_with_their_types(paths: Paths, audience: AudienceServer) -> None:
    assert send(paths, audience, members("camp:C1")).sent == 1
    assert audience.members["spring/2026", "camp:C1"] == {
        "member_key": "camp:C1",
        "audience_id": "spring/2026",
        "email": "camp:C1@example.org",
        "propensity": 0.25,
        "rank": 1,
        "limit_usd": "10.10",
        "is_new": True,
        "extra": {"a": [1]},
    }
    assert audience.requests[0][1] == "/api/v1/audiences/spring%2F2026/members"


def test_one_audience_a_request_and_batches_of_the_size_given(paths: Paths, audience: AudienceServer) -> None:
    rows = pa.concat_tables([members(*"abcdef"), members("x", audience="fall")])
    report = send(paths, audience, rows)
    assert (report.sent, report.batches) == (7, 3)
    keys = [key for _, _, key in audience.requests]
    assert len(set(keys)) == 3
    assert all(keys)


def test_who_is_withheld_is_removed_and_removal_may_be_repeated(
    paths: Paths, audience: AudienceServer
) -> None:
    send(paths, audience, members("a/b", "c"))
    del audience.members["spring/2026", "c"]
    report = send(paths, audience, members("a/b", "c", withheld={"a/b", "c"}))
    assert audience.members == {}
    assert (report.sent, report.ok) == (2, True)


def test_a_limit_is_waited_out_as_asked(paths: Paths, audience: AudienceServer) -> None:
    audience.moods = [(429, {"Retry-After": "1"}), 503]
    started = time.monotonic()
    assert send(paths, audience, members("a")).sent == 1
    assert time.monotonic() - started >= 1
    assert audience.applied["a"] == 1


@pytest.mark.parametrize("mood", ["drop", "drop after", 500, 502])
def test_a_lost_answer_is_asked_for_again_under_the_same_key(
    paths: Paths, audience: AudienceServer, mood: int | str
) -> None:
    audience.moods = [mood]
    assert send(paths, audience, members("a", "b")).sent == 2
    assert len({key for _, _, key in audience.requests}) == 1
    assert audience.applied == {"a": 1, "b": 1}


def test_a_tool_that_stays_away_is_reported_and_settled_later(paths: Paths, audience: AudienceServer) -> None:
    audience.moods = ["drop after", 500, 500, 500]
    report = send(paths, audience, members("a"))
    assert (report.sent, report.failed) == (0, 1)
    assert "1 rows are still to be sent: connection test_http: POST" in report.messages[0]
    again = send(paths, audience, members("a"))
    assert (again.settled, again.unchanged) == (1, 1)
    assert audience.applied == {"a": 1}


def test_a_refused_member_does_not_hold_up_the_others(paths: Paths, audience: AudienceServer) -> None:
    audience.rejects = {"b": "b@example.org has unsubscribed"}
    report = send(paths, audience, members("a", "b", "c"))
    assert (report.sent, report.failed) == (2, 1)
    assert report.messages == ("push audience: 1 rows were not taken: <email> has unsubscribed",)
    audience.rejects = {}
    again = send(paths, audience, members("a", "b", "c"))
    assert (again.sent, again.unchanged) == (1, 2)
    assert audience.applied == {"a": 1, "b": 1, "c": 1}


def test_a_member_that_spoils_the_request_is_found(paths: Paths, audience: AudienceServer) -> None:
    audience.poison = {"c"}
    report = send(paths, audience, members("a", "b", "c", "d"))
    assert (report.sent, report.failed) == (3, 1)
    assert report.messages == ("push audience: 1 rows were not taken: 400: malformed member",)
    assert audience.applied == {"a": 1, "b": 1, "d": 1}


def test_a_member_without_a_result_is_not_taken_as_sent(
    paths: Paths, audience: AudienceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = json.dumps({"results": [{"member_key": "a", "status": "accepted"}]}).encode()
    monkeypatch.setattr(audience, "post", lambda *_: (200, answer))
    report = send(paths, audience, members("a", "b"))
    assert (report.sent, report.failed) == (1, 1)
    assert "no result for this member" in report.messages[0]


def test_a_wrong_token_is_one_clear_line_and_nothing_is_in_doubt(
    paths: Paths, audience: AudienceServer
) -> None:
    with pytest.raises(DestinationRefusedError) as caught:
        send(paths, audience, members("a"), token="stolen-token")
    message = str(caught.value)
    assert "connection test_http" in message
    assert "does not accept the token (401)" in message
    assert "stolen-token" not in message
    assert len(audience.requests) == 1
    report = send(paths, audience, members("a"))
    assert (report.sent, report.settled) == (1, 0)
