"""The campaign tool of the simulated utility: audiences in, events out, over HTTP.

Belongs here: the API as a vendor would offer it (bearer token, idempotency keys, a result per member, a rate
limit) and its store. Does not belong here: who opens or responds, which the outcomes player decides.
"""

from __future__ import annotations

import hmac
import json
import math
import re
import socket
import sqlite3
import time
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

MAX_MEMBERS = 1_000
MAX_EVENTS = 5_000
_EMAIL = re.compile(r"[^@\s,;]+@[^@\s,;.]+(\.[^@\s,;.]+)+")
_SCHEMA = """
create table if not exists member (
    audience_id text not null, member_key text not null, customer_id text, email text not null,
    fields text not null, received_at real not null, removed_at real,
    primary key (audience_id, member_key)
);
create table if not exists answer (
    idempotency_key text primary key, request_sha256 text not null,
    status integer not null, body text not null
);
create table if not exists event (
    position integer primary key autoincrement, event_id text not null unique, audience_id text not null,
    member_key text not null, customer_id text, event text not null, occurred_at text not null, value_usd text
);
create index if not exists event_member on event (audience_id, member_key);
"""


@dataclass(frozen=True)
class RateLimit:
    """A token bucket: ``burst`` calls at once, ``per_second`` calls after that."""

    burst: int = 50
    per_second: float = 50.0


class CampaignStore:
    """Audiences, answers already given and events, in one SQLite file.

    The server writes through one instance; the outcomes player opens another one from its own process.
    """

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self.connection = sqlite3.connect(file, timeout=30, isolation_level=None)
        self.connection.execute("pragma journal_mode=wal")
        self.connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Give the file back."""
        self.connection.close()

    @contextmanager
    def transaction(self) -> Generator[sqlite3.Connection]:
        """All or nothing, taking the write lock at once."""
        self.connection.execute("begin immediate")
        try:
            yield self.connection
        except BaseException:
            self.connection.execute("rollback")
            raise
        self.connection.execute("commit")

    def add_members(self, audience_id: str, members: list[Any]) -> list[dict[str, str]]:
        """Insert or replace the acceptable members; one result for each, in the order given."""
        now = time.time()
        results: list[dict[str, str]] = []
        rows: list[tuple[Any, ...]] = []
        seen: set[Any] = set()
        for member in members:
            key = member.get("member_key") if isinstance(member, dict) else None
            reason = _refusal(member, key, seen)
            results.append(
                {"member_key": str(key or ""), "status": "rejected", "reason": reason}
                if reason
                else {"member_key": str(key), "status": "accepted"}
            )
            if not reason:
                seen.add(key)
                rows.append(
                    (audience_id, key, member.get("customer_id"), member["email"], json.dumps(member), now)
                )
        self.connection.executemany(
            "insert into member values (?, ?, ?, ?, ?, ?, null)"
            " on conflict (audience_id, member_key) do update set customer_id = excluded.customer_id,"
            " email = excluded.email, fields = excluded.fields, received_at = excluded.received_at,"
            " removed_at = null",
            rows,
        )
        return results

    def remove_member(self, audience_id: str, member_key: str) -> bool:
        """Mark the member as removed; false when the audience has no such member."""
        cursor = self.connection.execute(
            "update member set removed_at = ?"
            " where audience_id = ? and member_key = ? and removed_at is null",
            (time.time(), audience_id, member_key),
        )
        return cursor.rowcount > 0

    def members(self, audience_id: str | None = None) -> list[dict[str, Any]]:
        """The current members, of one audience or of all, each as it was sent and with its audience."""
        rows = self.connection.execute(
            "select audience_id, fields from member where removed_at is null"
            " and (? is null or audience_id = ?) order by audience_id, member_key",
            (audience_id, audience_id),
        )
        return [{**json.loads(fields), "audience_id": audience} for audience, fields in rows]

    def members_without_events(self) -> list[dict[str, Any]]:
        """The current members to whom nothing has happened yet."""
        rows = self.connection.execute(
            "select audience_id, member_key, customer_id, json_extract(fields, '$.offer_id') from member"
            " where removed_at is null and not exists (select 1 from event"
            " where event.audience_id = member.audience_id and event.member_key = member.member_key)"
            " order by audience_id, member_key"
        )
        names = ("audience_id", "member_key", "customer_id", "offer_id")
        return [dict(zip(names, row, strict=True)) for row in rows]

    def add_events(self, events: Iterable[tuple[Any, ...]]) -> int:
        """Append rows of the table's columns after ``position``; returns how many ids were not yet known."""
        before = self.connection.total_changes
        with self.transaction() as connection:
            connection.executemany(
                "insert into event"
                " (event_id, audience_id, member_key, customer_id, event, occurred_at, value_usd)"
                " values (?, ?, ?, ?, ?, ?, ?) on conflict (event_id) do nothing",
                events,
            )
        return self.connection.total_changes - before

    def events(self, after: int, limit: int) -> list[dict[str, Any]]:
        """Events behind this cursor, oldest first; ``position`` is the cursor."""
        cursor = self.connection.execute(
            "select position, event_id, audience_id, member_key, customer_id, event, occurred_at, value_usd"
            " from event where position > ? order by position limit ?",
            (after, limit),
        )
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]


def _refusal(member: Any, key: Any, seen: set[Any]) -> str:
    """Why this member cannot be taken, in the tool's own words; empty when it can. Never the value itself."""
    if not isinstance(member, dict) or not isinstance(key, str) or not key:
        return "member_key is required"
    if key in seen:
        return "duplicate member_key in request"
    email = member.get("email")
    if not isinstance(email, str) or not email:
        return "email is required"
    if not _EMAIL.fullmatch(email):
        return "email address is malformed"
    return ""


class _Bucket:
    def __init__(self, limit: RateLimit) -> None:
        self._limit = limit
        self._tokens = float(limit.burst)
        self._at = time.monotonic()

    def seconds_to_wait(self) -> float:
        """Take a token and return 0, or how long until there is one."""
        now = time.monotonic()
        self._tokens = min(self._limit.burst, self._tokens + (now - self._at) * self._limit.per_second)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._limit.per_second


def campaign_app(store: CampaignStore, token: str, limit: RateLimit) -> Starlette:
    """The HTTP application: ``/api/v1/audiences/…/members``, ``/api/v1/events``, ``/api/v1/health``."""
    bucket = _Bucket(limit)
    expected = f"Bearer {token}".encode()

    def guarded(
        handler: Callable[[Request], Awaitable[Response]],
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            given = request.headers.get("authorization", "").encode()
            if not hmac.compare_digest(given, expected):
                return _problem(401, "unknown bearer token", {"WWW-Authenticate": "Bearer"})
            if wait := bucket.seconds_to_wait():
                return _problem(429, "rate limit reached", {"Retry-After": str(math.ceil(wait))})
            return await handler(request)

        return endpoint

    async def post_members(request: Request) -> Response:
        key = request.headers.get("idempotency-key")
        if not key:
            return _problem(400, "header Idempotency-Key is required")
        content = await request.body()
        fingerprint = sha256(request.url.path.encode() + b"\n" + content).hexdigest()
        with store.transaction() as connection:
            known = connection.execute(
                "select request_sha256, status, body from answer where idempotency_key = ?", (key,)
            ).fetchone()
            if known and known[0] != fingerprint:
                return _problem(422, "this Idempotency-Key was used for another request")
            if known:
                return _json(known[2], known[1], {"Idempotency-Replayed": "true"})
            try:
                members = json.loads(content)["members"]
            except (ValueError, KeyError, TypeError):
                return _problem(400, 'the body must be {"members": [...]}')
            if not isinstance(members, list) or not members:
                return _problem(400, "members must be a list of at least one")
            if len(members) > MAX_MEMBERS:
                return _problem(413, f"at most {MAX_MEMBERS} members a request")
            body = json.dumps({"results": store.add_members(request.path_params["audience_id"], members)})
            connection.execute("insert into answer values (?, ?, ?, ?)", (key, fingerprint, 200, body))
        return _json(body, 200)

    async def get_members(request: Request) -> Response:
        return JSONResponse({"members": store.members(request.path_params["audience_id"])})

    async def delete_member(request: Request) -> Response:
        found = store.remove_member(request.path_params["audience_id"], request.path_params["member_key"])
        return Response(status_code=204) if found else _problem(404, "no such member")

    async def get_events(request: Request) -> Response:
        try:
            after = int(request.query_params.get("after") or 0)
            limit = int(request.query_params.get("limit") or 500)
        except ValueError:
            return _problem(400, "after and limit are whole numbers")
        if after < 0 or not 1 <= limit <= MAX_EVENTS:
            return _problem(400, f"after starts at 0; limit is 1 to {MAX_EVENTS}")
        events = store.events(after, limit)
        cursor = events[-1]["position"] if events else after
        for event in events:
            del event["position"]
        return JSONResponse({"events": events, "next_cursor": str(cursor)})

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok", "system": request.app.title})

    async def not_found(request: Request) -> Response:
        return _problem(404, f"nothing at {request.url.path}")

    members = "/api/v1/audiences/{audience_id}/members"
    app = Starlette(
        routes=[
            Route("/api/v1/health", guarded(health)),
            Route(members, guarded(post_members), methods=["POST"]),
            Route(members, guarded(get_members), methods=["GET"]),
            Route(members + "/{member_key:path}", guarded(delete_member), methods=["DELETE"]),
            Route("/api/v1/events", guarded(get_events)),
            Route("/{anything:path}", guarded(not_found)),  # a stranger does not learn what there is
        ]
    )
    app.title = "campaign"  # type: ignore[attr-defined]
    return app


def _problem(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": detail}, status, headers)


def _json(body: str, status: int, headers: dict[str, str] | None = None) -> Response:
    return Response(body, status, headers, media_type="application/json")


class _Server(uvicorn.Server):
    """uvicorn inside our own event loop: the signals stay ours."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


class CampaignServer:
    """The application served on a bound socket."""

    def __init__(self, app: Starlette, server: socket.socket) -> None:
        self._socket = server
        self._server = _Server(
            uvicorn.Config(
                app, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=2
            )
        )

    async def serve(self) -> None:
        """Until :meth:`stop`."""
        await self._server.serve([self._socket])

    @property
    def is_up(self) -> bool:
        """Whether it answers."""
        return self._server.started

    def stop(self) -> None:
        """End after the requests in hand."""
        self._server.should_exit = True
