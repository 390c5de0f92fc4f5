"""Batches out, answers in: what happens between the outbox and the destination.

Belongs here: forming batches, trying them, settling what an earlier process left open. Does not belong
here: what is to be sent (``plan``), how it is remembered (``state``), protocols
(``connectors.destinations``).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
import tenacity

from connectors.activation.config import WITHHELD, PushConfig
from connectors.activation.state import OpenBatch, State
from connectors.destinations import (
    Batch,
    Delivery,
    Destination,
    DestinationRefusedError,
    DestinationUnavailableError,
)
from connectors.destinations.base import BatchOp
from connectors.destinations.payloads import connect, member

_MAX_WAIT_SECONDS = 60.0
_SHORTEST_REDACTED = 3

Progress = Callable[[str], None]


@dataclass
class Tally:
    """What became of the rows of one send."""

    sent_rows: int = 0
    sent_deletes: int = 0
    failed_rows: int = 0
    failed_deletes: int = 0
    settled_rows: int = 0
    batches: int = 0
    words: Counter[str] = field(default_factory=Counter)
    messages: list[str] = field(default_factory=list)


class Sender:
    """Sends the batches of one push to one open destination."""

    def __init__(
        self,
        state: State,
        push: PushConfig,
        destination: Destination,
        *,
        backoff_seconds: float = 0.5,
        progress: Progress | None = None,
    ) -> None:
        self._state = state
        self._push = push
        self._destination = destination
        self._backoff_seconds = backoff_seconds
        self._progress = progress or (lambda _: None)
        self.tally = Tally()

    def settle(self, source: pa.Table) -> None:
        """Bring every batch that an earlier process left open to an end.

        A batch whose rows may all still go is sent again, unchanged. Where a row is withheld by now (or
        gone), nothing of the batch is repeated: if it arrived it is acknowledged, if not it is forgotten,
        and where the destination cannot tell, its rows are planned anew as uncertain, so that the withheld
        ones are deleted there.
        """
        sendable = source.filter(pc.is_null(source.column(WITHHELD))).column("key").combine_chunks()
        for found in self._state.open_batches(self._push.destination_id):
            batch = self._batch(found.batch_id, found.op, found.as_of_date, found.rows)
            may_go = (
                found.op == "delete"
                or pc.all(pc.is_in(found.rows.column("key"), value_set=sendable), min_count=0).as_py()
            )
            if may_go:
                answer = self._deliver(batch)
                self._state.finish(batch.batch_id, answer.rejected, keep_payload=not self._push.send_once)
                self.tally.settled_rows += batch.rows.num_rows - len(answer.rejected)
                self._count_words(batch, answer)
                outcome = "sent again"
            else:
                outcome = self._settle_stale(batch, found)
            self.tally.messages.append(
                f"push {self._push.name}: batch {batch.batch_id[:12]} of an interrupted run "
                f"({batch.rows.num_rows} rows) was {outcome}"
            )

    def send(self, changes: pa.Table, as_of_date: date) -> None:
        """Send the changes of a plan, batch by batch; stops at the first that cannot be delivered now."""
        batches = list(self._form(changes))
        for number, (op, rows) in enumerate(batches):
            content_hash = _content_hash(op, rows)
            generation = self._state.generation(self._push.destination_id, content_hash)
            batch_id = hashlib.sha256(
                f"{self._push.destination_id}\n{content_hash}\n{generation}".encode()
            ).hexdigest()
            self._state.begin(
                batch_id=batch_id,
                destination=self._push.destination_id,
                push=self._push.name,
                op=op,
                as_of_date=as_of_date,
                content_hash=content_hash,
                rows=rows,
            )
            batch = self._batch(batch_id, op, as_of_date, rows)
            try:
                answer = self._deliver(batch)
            except DestinationUnavailableError as error:
                left = sum(len(later) for _, later in batches[number:])
                self.tally.messages.append(
                    f"push {self._push.name}: {left} rows are still to be sent: {error}"
                )
                for later_op, later in batches[number:]:
                    self._count(later_op, sent=0, failed=later.num_rows)
                break
            self._state.finish(batch_id, answer.rejected, keep_payload=not self._push.send_once)
            self._count(op, sent=rows.num_rows - len(answer.rejected), failed=len(answer.rejected))
            self._count_words(batch, answer)
            self.tally.batches += 1
            self._progress(f"{self._push.name}: batch {number + 1} of {len(batches)}, {rows.num_rows} rows")
        self.tally.messages.extend(
            f"push {self._push.name}: {count} rows were not taken: {words}"
            for words, count in self.tally.words.most_common(20)
        )

    def _settle_stale(self, batch: Batch, found: OpenBatch) -> str:
        arrived = False if found.attempt == 0 else self._destination.delivered(batch)
        if arrived:
            self._state.finish(batch.batch_id, {}, keep_payload=not self._push.send_once)
            self.tally.settled_rows += batch.rows.num_rows
            return "found to have arrived"
        if arrived is None:
            self._state.mark_uncertain(batch.batch_id)
            return "planned anew, since rows of it are withheld now and nobody knows whether it arrived"
        if found.attempt:
            self._destination.withdraw(batch)
        self._state.forget(batch.batch_id)
        return "withdrawn: it had not arrived, and rows of it are withheld now"

    def _deliver(self, batch: Batch) -> Delivery:
        def once() -> Delivery:
            self._state.attempt(batch.batch_id)
            return self._destination.deliver(batch)

        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._destination.attempts),
            retry=tenacity.retry_if_exception_type(DestinationUnavailableError),
            wait=self._wait,
            reraise=True,
        )
        try:
            return redacted(batch, retrying(once))
        except DestinationRefusedError:
            # Nothing of it was taken: the rows are as before, not in doubt.
            self._state.forget(batch.batch_id)
            raise

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = getattr(error, "retry_after_seconds", None)
        if asked is not None:
            return min(float(asked), _MAX_WAIT_SECONDS)
        return min(self._backoff_seconds * 2.0 ** (state.attempt_number - 1), _MAX_WAIT_SECONDS)

    def _form(self, changes: pa.Table) -> Iterator[tuple[BatchOp, pa.Table]]:
        """Deletes first, then upserts by key; a group never shares a batch with another.

        ``changes`` come in that order already, and are cut without copying unless there are groups. A delete
        travels with the payload last acknowledged: some destinations need more than the key to find a row.
        """
        group = self._destination.group_column
        payload = "case when op = 'delete' then old_payload else payload end"
        of_group = f"coalesce({member(payload, group)}, '')" if group else "''"
        with connect() as connection:
            connection.register("changes", changes)
            runs = connection.execute(
                f"select op <> 'delete', {of_group}, count(*) from changes group by 1, 2 order by 1, 2"
            ).fetchall()
            if group:
                changes = connection.execute(
                    f"select * from changes order by op <> 'delete', {of_group}, key"
                ).to_arrow_table()
        start = 0
        for is_upsert, _, size in runs:
            for first in range(start, start + size, self._destination.batch_size):
                rows = changes.slice(first, min(self._destination.batch_size, start + size - first))
                sent = rows.column("payload" if is_upsert else "old_payload")
                columns = [rows.column("op"), rows.column("key"), rows.column("payload_hash"), sent]
                yield (
                    "upsert" if is_upsert else "delete",
                    pa.table(columns, ["op", "key", "payload_hash", "payload"]),
                )
            start += size

    def _batch(self, batch_id: str, op: str, as_of_date: date, rows: pa.Table) -> Batch:
        return Batch(
            batch_id=batch_id,
            push=self._push.name,
            op="delete" if op == "delete" else "upsert",
            as_of_date=as_of_date,
            key_column=self._push.key,
            columns=self._push.columns,
            rows=rows.select(["key", "payload"]),
        )

    def _count(self, op: BatchOp, *, sent: int, failed: int) -> None:
        if op == "delete":
            self.tally.sent_deletes += sent
            self.tally.failed_deletes += failed
        else:
            self.tally.sent_rows += sent
            self.tally.failed_rows += failed

    def _count_words(self, batch: Batch, answer: Delivery) -> None:
        self.tally.words.update(answer.rejected.values())


def redacted(batch: Batch, answer: Delivery) -> Delivery:
    """The destination's own words with the row's values replaced by their columns' names.

    Replaced are values of personal columns, and any value with a digit or an @ in it: a message may be
    shown to people and kept in receipts, a customer's value may not. Only rejected rows are looked at, one
    by one.
    """
    if not answer.rejected:
        return answer
    keys = pa.array(list(answer.rejected), pa.string())
    rows = batch.rows.filter(pc.is_in(batch.rows.column("key"), value_set=keys))
    words = dict(answer.rejected)
    for key, payload in zip(rows.column("key").to_pylist(), rows.column("payload").to_pylist(), strict=True):
        values = {value: name for name, value in json.loads(payload or "{}").items() if value}
        for value in sorted(values, key=len, reverse=True):
            name = values[value]
            is_telling = any(char.isdigit() or char == "@" for char in value)
            if len(value) >= _SHORTEST_REDACTED and (batch.columns[name].personal or is_telling):
                words[key] = words[key].replace(value, f"<{name}>")
    return replace(answer, rejected=words)


def _content_hash(op: str, rows: pa.Table) -> str:
    with connect() as connection:
        connection.register("rows", rows)
        row = connection.execute(
            "select sha256(string_agg(key || chr(31) || payload_hash, chr(30) order by key)) from rows"
        ).fetchone()
    return hashlib.sha256(f"{op}\n{row[0] if row else ''}".encode()).hexdigest()
