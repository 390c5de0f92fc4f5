"""The campaign tool behaves as its vendor documents: token, idempotency, results per member, rate limit."""

from __future__ import annotations

import httpx
import pytest

from demo.systems import Systems
from demo.systems.campaign import CampaignStore, RateLimit
from demo.systems.environment import Places


@pytest.fixture
def client(systems):
    with httpx.Client(
        base_url=systems.env["GRIDCRM_CAMPAIGN_URL"],
        headers={"Authorization": f"Bearer {systems.env['GRIDCRM_CAMPAIGN_TOKEN']}"},
    ) as session:
        yield session


def post(client: httpx.Client, audience: str, members: list, key: str) -> httpx.Response:
    return client.post(
        f"/api/v1/audiences/{audience}/members",
        json={"members": members},
        headers={"Idempotency-Key": key},
    )


def member(key: str, email: str = "someone@example.com") -> dict:
    return {"member_key": key, "customer_id": "C1", "email": email, "offer_id": "solar"}


def test_members_are_judged_one_by_one(client):
    answer = post(
        client,
        "judged",
        [
            member("a:1"),
            member("a:2", "not-an-address"),
            member("a:3", ""),
            member("a:4", "two@@example.com"),
            member("a:5", "x@example.com; y@example.com"),
            member("a:1"),
            {"email": "someone@example.com"},
        ],
        "judged-1",
    )
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [result["status"] for result in results] == ["accepted"] + ["rejected"] * 6
    assert [result.get("reason") for result in results[1:]] == [
        "email address is malformed",
        "email is required",
        "email address is malformed",
        "email address is malformed",
        "duplicate member_key in request",
        "member_key is required",
    ]
    held = client.get("/api/v1/audiences/judged/members").json()["members"]
    assert [row["member_key"] for row in held] == ["a:1"]


def test_the_same_key_is_answered_again_and_takes_nothing_twice(client):
    first = post(client, "twice", [member("b:1")], "twice-1")
    client.delete("/api/v1/audiences/twice/members/b:1").raise_for_status()
    again = post(client, "twice", [member("b:1")], "twice-1")
    assert again.json() == first.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert client.get("/api/v1/audiences/twice/members").json()["members"] == []


def test_a_key_used_for_another_request_is_refused(client):
    post(client, "other", [member("c:1")], "other-1")
    assert post(client, "other", [member("c:2")], "other-1").status_code == 422
    assert post(client, "another", [member("c:1")], "other-1").status_code == 422


def test_a_member_sent_again_is_replaced_and_can_be_removed_once(client):
    post(client, "replaced", [member("d:1")], "replaced-1")
    post(client, "replaced", [member("d:1", "new@example.com")], "replaced-2")
    held = client.get("/api/v1/audiences/replaced/members").json()["members"]
    assert [row["email"] for row in held] == ["new@example.com"]
    assert client.delete("/api/v1/audiences/replaced/members/d:1").status_code == 204
    assert client.delete("/api/v1/audiences/replaced/members/d:1").status_code == 404


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({}, b'{"members": [{}]}', 400),
        ({"Idempotency-Key": "bad-1"}, b"not json", 400),
        ({"Idempotency-Key": "bad-2"}, b'{"members": []}', 400),
        ({"Idempotency-Key": "bad-3"}, b"[1]", 400),
        ({"Idempotency-Key": "bad-4"}, b'{"members": [' + b"{}," * 1_000 + b"{}]}", 413),
    ],
)
def test_malformed_requests_are_refused(client, headers, content, status):
    answer = client.post("/api/v1/audiences/bad/members", content=content, headers=headers)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])


@pytest.mark.parametrize("token", ["", "Bearer wrong", "Basic x"])
def test_a_wrong_token_is_refused_everywhere(systems, token):
    url = systems.env["GRIDCRM_CAMPAIGN_URL"]
    for path in ("/", "/api/v1/health", "/api/v1/events", "/api/v1/audiences/x/members"):
        assert httpx.get(url + path, headers={"Authorization": token}).status_code == 401


def test_nothing_else_is_there(client):
    assert client.get("/").status_code == 404


def test_events_are_paged_by_cursor_and_each_is_kept_once(systems, client):
    store = CampaignStore(Places.of(systems.paths).campaign_db)  # as the outcomes player opens it
    rows = [
        (f"e{n}", "aud", f"m{n}", f"C{n}", "opened", "2026-11-16T15:00:00Z", "1.50" if n else None)
        for n in range(5)
    ]
    assert store.add_events(rows) == 5
    assert store.add_events(rows) == 0
    store.close()
    seen, cursor = [], ""
    while page := client.get("/api/v1/events", params={"after": cursor, "limit": 2}).json():
        if not page["events"]:
            break
        assert len(page["events"]) <= 2
        seen += page["events"]
        cursor = page["next_cursor"]
    assert [event["event_id"] for event in seen] == [row[0] for row in rows]
    assert set(seen[0]) == {
        *("event_id", "audience_id", "member_key", "customer_id", "event", "occurred_at", "value_usd")
    }
    assert seen[0]["value_usd"] is None
    assert client.get("/api/v1/events", params={"after": cursor}).json()["next_cursor"] == cursor
    assert client.get("/api/v1/events", params={"limit": "many"}).status_code == 400


def test_too_many_calls_are_told_when_to_come_back(paths):
    with Systems(paths, campaign_limit=RateLimit(burst=3, per_second=0.5)) as systems:
        answers = [
            httpx.get(
                systems.env["GRIDCRM_CAMPAIGN_URL"] + "/api/v1/events",
                headers={"Authorization": f"Bearer {systems.env['GRIDCRM_CAMPAIGN_TOKEN']}"},
            )
            for _ in range(4)
        ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[3].headers["Retry-After"] == "2"
