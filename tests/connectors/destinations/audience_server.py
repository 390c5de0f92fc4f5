"""A real HTTP server that behaves as the campaign tool does: idempotency keys, a result per member, limits,
moods."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from connectors.connections import HttpConnection

TOKEN = "s3cr3t-token"


class AudienceServer:
    """``POST /api/v1/audiences/{id}/members`` and ``DELETE …/members/{key}``."""

    def __init__(self) -> None:
        self.members: dict[tuple[str, str], dict[str, Any]] = {}
        self.applied: Counter[str] = Counter()
        """How often each member was really written; a replayed request writes nothing."""

        self.requests: list[tuple[str, str, str]] = []
        self.moods: list[int | tuple[int, dict[str, str]] | str] = []
        """What the next requests meet: a status, a status with headers, ``drop`` (no answer), ``drop
        after`` (done, but no answer)."""

        self.rejects: dict[str, str] = {}
        self.poison: set[str] = set()
        """Members whose presence makes the whole request a 400."""

        self.seconds_per_request = 0.0
        self._answers: dict[str, tuple[bytes, bytes]] = {}
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def connection(self, name: str = "test_http", **changes: Any) -> HttpConnection:
        base_url = f"http://127.0.0.1:{self._server.server_port}"
        values = {"name": name, "base_url": base_url, "token": TOKEN, "timeout_seconds": 2}
        return HttpConnection.model_validate({**values, **changes})

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def post(self, audience: str, body: bytes, key: str) -> tuple[int, bytes]:
        with self._lock:
            if key in self._answers:
                known, answer = self._answers[key]
                return (200, answer) if known == body else (422, b'{"error": "key used for another request"}')
            members = json.loads(body)["members"]
            if any(member["member_key"] in self.poison for member in members):
                return 400, b'{"error": "malformed member"}'
            results = []
            for member in members:
                name = member["member_key"]
                if words := self.rejects.get(name):
                    results.append({"member_key": name, "status": "rejected", "reason": words})
                    continue
                self.members[audience, name] = member
                self.applied[name] += 1
                results.append({"member_key": name, "status": "accepted"})
            answer = json.dumps({"results": results}).encode()
            self._answers[key] = (body, answer)
            return 200, answer

    def delete(self, audience: str, name: str) -> tuple[int, bytes]:
        with self._lock:
            found = self.members.pop((audience, name), None)
            return (204, b"") if found else (404, b'{"error": "no such member"}')

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                audience = unquote(self.path.split("/")[4])
                self._meet(lambda: outer.post(audience, body, self.headers["Idempotency-Key"]))

            def do_DELETE(self) -> None:
                parts = self.path.split("/")
                self._meet(lambda: outer.delete(unquote(parts[4]), unquote(parts[6])))

            def _meet(self, act: Any) -> None:
                time.sleep(outer.seconds_per_request)
                outer.requests.append((self.command, self.path, self.headers.get("Idempotency-Key", "")))
                mood = outer.moods.pop(0) if outer.moods else None
                if mood == "drop":
                    self.close_connection = True
                elif mood == "drop after":
                    act()
                    self.close_connection = True
                elif isinstance(mood, int):
                    self._answer(mood, b'{"error": "as the test wishes"}', {})
                elif isinstance(mood, tuple):
                    self._answer(mood[0], b"", mood[1])
                elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
                    self._answer(401, b'{"error": "who are you"}', {})
                else:
                    self._answer(*act(), {})

            def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: Any) -> None:
                """Quiet."""

        return Handler


@contextmanager
def serve_audience() -> Iterator[AudienceServer]:
    server = AudienceServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()
