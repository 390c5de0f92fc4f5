"""A real HTTP server with events behind a cursor, a bearer token, and failures on demand."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlparse

from connectors.connections import HttpConnection

TOKEN = "s3cr3t-token"


class EventServer:
    """``GET /api/v1/events?after=&limit=`` over ``events``; answers are ``failures`` while there are any."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.failures: list[tuple[int, dict[str, str]]] = []
        self.requests: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def connection(self, name: str = "test_http", **changes: Any) -> HttpConnection:
        values = {
            "name": name,
            "base_url": f"http://127.0.0.1:{self._server.server_port}",
            "token": TOKEN,
            "timeout_seconds": 5,
        }
        return HttpConnection.model_validate({**values, **changes})

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append(self.path)
                if outer.failures:
                    status, headers = outer.failures.pop(0)
                    self._answer(status, {"error": "as the test wishes"}, headers)
                elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
                    self._answer(401, {"error": "who are you"}, {})
                else:
                    query = parse_qs(urlparse(self.path).query)
                    after = int(query.get("after", ["0"])[0])
                    limit = int(query.get("limit", ["100"])[0])
                    page = outer.events[after : after + limit]
                    self._answer(200, {"events": page, "next_cursor": str(after + len(page))}, {})

            def _answer(self, status: int, body: dict[str, Any], headers: dict[str, str]) -> None:
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *arguments: Any) -> None:
                """Quiet."""

        return Handler


@contextmanager
def serve_events() -> Iterator[EventServer]:
    server = EventServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()
