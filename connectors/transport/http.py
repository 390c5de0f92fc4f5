"""HTTP by httpx: bearer token, retries of what is transient, pages by cursor.

Belongs here: requests to a service. Does not belong here: what its records mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import httpx
import tenacity

from connectors.connections import HttpConnection
from connectors.transport.errors import TransientTransportError, TransportError

_TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_MAX_WAIT_SECONDS = 30.0


class HttpError(TransportError):
    """The service answered that it will not; ``status`` is its code, ``body`` the start of its own words."""

    def __init__(self, message: str, status: int, body: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = body


class TransientHttpError(TransientTransportError):
    """The service is busy or unreachable; ``retry_after`` seconds where it said so."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True)
class Page:
    """One page of records as the service sent them, and the cursor behind it."""

    records: list[dict[str, Any]]
    next_cursor: str | None


class HttpTransport:
    """One service; a context manager. ``attempts`` includes the first.

    ``backoff_seconds`` is the first wait.
    """

    def __init__(
        self, connection: HttpConnection, *, attempts: int = 4, backoff_seconds: float = 0.2
    ) -> None:
        self.connection = connection
        self._attempts = attempts
        self._backoff_seconds = backoff_seconds
        token = connection.token
        self._client = httpx.Client(
            base_url=connection.base_url,
            headers={"Authorization": f"Bearer {token.get_secret_value()}"} if token else {},
            timeout=connection.timeout_seconds,
            # A redirect could carry the token to another host.
            follow_redirects=False,
        )

    def __enter__(self) -> HttpTransport:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections kept open."""
        self._client.close()

    def describe(self) -> str:
        """One line for ``gridcrm doctor``.

        Raises TransportError when the service does not answer or refuses us.
        """
        try:
            self.request("GET", self.connection.health_path)
        except HttpError as error:
            if error.status in (401, 403):
                raise
        return f"{self.connection.base_url} answers"

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """A successful response. Retries lost connections, 429 and 5xx; so send writes with an idempotency
        key.

        Raises HttpError for what trying again cannot mend, TransientHttpError when all attempts failed.
        """
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._attempts),
            retry=tenacity.retry_if_exception_type(TransientHttpError),
            wait=self._wait,
            reraise=True,
        )
        return retrying(self._once, method, path, params, json, headers)

    def pages(
        self,
        path: str,
        *,
        cursor: str | None,
        cursor_parameter: str,
        limit_parameter: str,
        page_size: int,
        records: str,
        next_cursor: str,
    ) -> Iterator[Page]:
        """Pages from behind ``cursor`` until one is empty or the cursor stands still."""
        while True:
            params: dict[str, str | int] = {limit_parameter: page_size}
            if cursor is not None:
                params[cursor_parameter] = cursor
            page = self._page(path, params, records, next_cursor)
            if not page.records:
                return
            yield page
            if page.next_cursor is None or page.next_cursor == cursor:
                return
            cursor = page.next_cursor

    def _page(self, path: str, params: Mapping[str, str | int], records: str, next_cursor: str) -> Page:
        where = f"connection {self.connection.name}: GET {path}"
        try:
            body = self.request("GET", path, params=params).json()
        except ValueError:
            raise TransportError(f"{where}: the answer is not JSON") from None
        found = body.get(records) if isinstance(body, dict) else None
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise TransportError(f"{where}: the answer has no list '{records}' of objects")
        cursor = body.get(next_cursor)
        return Page(found, None if cursor is None else str(cursor))

    def _once(
        self,
        method: str,
        path: str,
        params: Mapping[str, str | int] | None,
        json: Any,
        headers: Mapping[str, str] | None,
    ) -> httpx.Response:
        where = f"connection {self.connection.name}: {method} {path}"
        try:
            response = self._client.request(method, path, params=params, json=json, headers=headers)
        except httpx.TransportError as error:
            raise TransientHttpError(
                f"{where}: {self.connection.base_url} cannot be reached: {type(error).__name__}"
            ) from None
        status = response.status_code
        if status in _TRANSIENT_STATUS:
            raise TransientHttpError(f"{where}: the service answers {status}", _retry_after(response))
        if status in (401, 403):
            raise HttpError(f"{where}: the service does not accept the token ({status})", status, "")
        if not response.is_success:
            raise HttpError(f"{where}: the service answers {status}", status, response.text[:500])
        return response

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, TransientHttpError) and error.retry_after is not None:
            return min(error.retry_after, _MAX_WAIT_SECONDS)
        return min(self._backoff_seconds * 2.0 ** (state.attempt_number - 1), _MAX_WAIT_SECONDS)


def _retry_after(response: httpx.Response) -> float | None:
    try:
        return max(0.0, float(response.headers["Retry-After"]))
    except (KeyError, ValueError):
        return None
