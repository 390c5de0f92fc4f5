"""Members of an audience in the campaign tool, over HTTP.

Belongs here: requests as the tool's API wants them, and its result for each member. Does not belong here:
connections and the repetition of a failed request (``connectors.transport.http``).

A batch is one POST under an Idempotency-Key derived from its rows: repeated after a lost answer, the tool
gives the same answer and does nothing. Members are removed one by one; one that is not there is removed
already.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from connectors.connections import HttpConnection
from connectors.destinations.base import (
    Batch,
    Delivery,
    DestinationRefusedError,
    DestinationUnavailableError,
)
from connectors.destinations.settings import Column, HttpSettings
from connectors.transport import TransientTransportError, TransportError
from connectors.transport.http import HttpError, HttpTransport

_ATTEMPTS = 6
# The request itself is at fault, perhaps for one member of it: smaller requests find which.
_PERHAPS_ONE_MEMBER = frozenset({400, 413, 422})
_ACCEPTED = frozenset({"accepted", "ok", "created", "updated"})


class HttpAudience:
    """Posts and removes members."""

    # The transport repeats each request, so that one refused for its rate does not repeat those before it.
    attempts = 1

    def __init__(
        self, settings: HttpSettings, connection: HttpConnection, *, backoff_seconds: float = 0.5
    ) -> None:
        self._settings = settings
        self._http = HttpTransport(connection, attempts=_ATTEMPTS, backoff_seconds=backoff_seconds)
        self._seconds_between = 1.0 / settings.max_requests_per_second
        self._next_at = 0.0
        self.batch_size = settings.batch_size
        self.group_column: str | None = settings.group_column

    def check(self, rows: pa.Table) -> None:
        """The tool itself judges members."""

    def deliver(self, batch: Batch) -> Delivery:
        """Post or remove the members of one audience."""
        members = _members(batch)
        if not members:
            return Delivery()
        group = str(members[0][1].get(self._settings.group_column) or "")
        if not group:
            reason = f"{self._settings.group_column} is empty"
            return Delivery({key: reason for key, _ in members})
        path = self._settings.path.replace("{audience_id}", quote(group, safe=""))
        rejected: dict[str, str] = {}
        if batch.op == "delete":
            for key, _ in members:
                if words := self._remove(f"{path}/{quote(key, safe='')}"):
                    rejected[key] = words
        else:
            self._post(path, batch, members, batch.batch_id, rejected)
        return Delivery(rejected)

    def delivered(self, batch: Batch) -> bool | None:
        """The tool does not say without doing; posting again under the same key is harmless."""
        return None

    def withdraw(self, batch: Batch) -> None:
        """An interrupted request leaves nothing that could be withdrawn."""

    def close(self) -> None:
        """Close connections kept open."""
        self._http.close()

    def _post(
        self,
        path: str,
        batch: Batch,
        members: list[tuple[str, dict[str, Any]]],
        idempotency_key: str,
        rejected: dict[str, str],
    ) -> None:
        try:
            with self._answered():
                response = self._http.request(
                    "POST",
                    path,
                    json={"members": [member for _, member in members]},
                    headers={"Idempotency-Key": idempotency_key},
                )
        except _RefusedRequestError as error:
            if len(members) == 1:
                rejected[members[0][0]] = error.words
                return
            middle = len(members) // 2
            for half, part in (("a", members[:middle]), ("b", members[middle:])):
                self._post(path, batch, part, f"{idempotency_key}.{half}", rejected)
            return
        results = _results(response.content, batch.key_column)
        for key, _ in members:
            status, words = results.get(key, ("", "the answer has no result for this member"))
            if status not in _ACCEPTED:
                rejected[key] = words or f"status {status}"

    def _remove(self, path: str) -> str | None:
        """Why the member could not be removed; None when it is gone."""
        try:
            with self._answered():
                self._http.request("DELETE", path)
        except _RefusedRequestError as error:
            return None if error.status in (404, 410) else error.words
        return None

    @contextmanager
    def _answered(self) -> Iterator[None]:
        """Keep to the tool's rate, and turn the transport's errors into those the sender knows."""
        wait = self._next_at - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        self._next_at = time.monotonic() + self._seconds_between
        try:
            yield
        except TransientTransportError as error:
            raise DestinationUnavailableError(str(error), getattr(error, "retry_after", None)) from None
        except HttpError as error:
            if error.status in _PERHAPS_ONE_MEMBER or error.status in (404, 409, 410):
                raise _RefusedRequestError(error) from None
            advice = "; check the token of this connection" if error.status in (401, 403) else ""
            raise DestinationRefusedError(f"{error}{advice}") from None
        except TransportError as error:
            raise DestinationRefusedError(str(error)) from None


class _RefusedRequestError(Exception):
    def __init__(self, error: HttpError) -> None:
        super().__init__(str(error))
        self.status = error.status
        self.words = f"{error.status}: {_own_words(error.body)}"


def _members(batch: Batch) -> list[tuple[str, dict[str, Any]]]:
    """Key and JSON object of each row, by key: numbers as numbers, decimals as text so that no cent is
    lost."""
    ordered = batch.rows.sort_by("key")
    pairs = zip(ordered.column("key").to_pylist(), ordered.column("payload").to_pylist(), strict=True)
    return [
        (key, {name: _value(text, batch.columns[name]) for name, text in json.loads(payload or "{}").items()})
        for key, payload in pairs
    ]


def _value(text: str | None, column: Column) -> Any:
    if text is None:
        return None
    match column.family:
        case "int" | "bigint":
            return int(text)
        case "double":
            return float(text)
        case "boolean":
            return text == "true"
        case "json":
            return json.loads(text)
        case _:
            return text


def _results(content: bytes, key_column: str) -> dict[str, tuple[str, str]]:
    """Status and words for each member, by key; empty where the answer is not as agreed."""
    try:
        answer = json.loads(content)
    except ValueError:
        return {}
    results = answer.get("results") if isinstance(answer, dict) else None
    found: dict[str, tuple[str, str]] = {}
    for entry in results if isinstance(results, list) else []:
        if isinstance(entry, dict) and isinstance(entry.get(key_column), str):
            words = entry.get("reason") or entry.get("message") or entry.get("error") or ""
            found[entry[key_column]] = (str(entry.get("status", "")), str(words))
    return found


def _own_words(body: str) -> str:
    try:
        answer = json.loads(body)
    except ValueError:
        return " ".join(body.split())[:200]
    words = answer.get("error") or answer.get("message") if isinstance(answer, dict) else None
    return str(words or body)[:200]
