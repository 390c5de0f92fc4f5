"""Requests that fail for a while, fail for good, and pages behind a cursor."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from connectors.connections import check
from connectors.transport import TransportError
from connectors.transport.http import HttpError, HttpTransport, TransientHttpError
from tests.support.http_server import TOKEN, EventServer, serve_events

PAGES = {
    "cursor_parameter": "after",
    "limit_parameter": "limit",
    "page_size": 10,
    "records": "events",
    "next_cursor": "next_cursor",
}


@pytest.fixture
def server() -> Iterator[EventServer]:
    with serve_events() as running:
        running.events = [{"event_id": f"E{number}"} for number in range(25)]
        yield running


def test_pages_until_there_are_no_more(server: EventServer) -> None:
    with HttpTransport(server.connection()) as http:
        pages = list(http.pages("/api/v1/events", cursor=None, **PAGES))
        again = list(http.pages("/api/v1/events", cursor="25", **PAGES))
    assert [len(page.records) for page in pages] == [10, 10, 5]
    assert pages[-1].next_cursor == "25"
    assert again == []


def test_what_is_transient_is_tried_again(server: EventServer) -> None:
    server.failures = [(503, {}), (429, {"Retry-After": "0.3"}), (500, {})]
    with HttpTransport(server.connection(), backoff_seconds=0.01) as http:
        began = time.monotonic()
        response = http.request("GET", "/api/v1/events")
    assert response.status_code == 200
    assert time.monotonic() - began >= 0.3, "Retry-After was not respected"
    assert len(server.requests) == 4


def test_what_stays_busy_is_said_so(server: EventServer) -> None:
    server.failures = [(503, {})] * 9
    with (
        HttpTransport(server.connection("campaign_http"), attempts=3, backoff_seconds=0.01) as http,
        pytest.raises(TransientHttpError, match="campaign_http: GET /api/v1/events: the service answers 503"),
    ):
        http.request("GET", "/api/v1/events")
    assert len(server.requests) == 3


def test_what_is_refused_is_not_tried_again(server: EventServer) -> None:
    server.failures = [(422, {})]
    with HttpTransport(server.connection()) as http, pytest.raises(HttpError) as caught:
        http.request("GET", "/api/v1/events")
    assert caught.value.status == 422
    assert "as the test wishes" in caught.value.body
    assert len(server.requests) == 1


def test_a_wrong_token_is_one_line_without_it(server: EventServer) -> None:
    result = check(server.connection("campaign_http", token="wr0ng", health_path="/api/v1/events"))
    assert not result.ok
    assert "campaign_http" in result.message
    assert "does not accept the token" in result.message
    assert "wr0ng" not in result.message
    assert TOKEN not in repr(server.connection())


def test_nobody_there(server: EventServer) -> None:
    connection = server.connection(base_url="http://127.0.0.1:1")
    with (
        HttpTransport(connection, backoff_seconds=0.01) as http,
        pytest.raises(TransportError, match="cannot be reached: ConnectError"),
    ):
        http.request("GET", "/")


def test_an_answer_without_the_list_is_an_error(server: EventServer) -> None:
    with (
        HttpTransport(server.connection()) as http,
        pytest.raises(TransportError, match="the answer has no list 'members' of objects"),
    ):
        list(http.pages("/api/v1/events", cursor=None, **{**PAGES, "records": "members"}))
