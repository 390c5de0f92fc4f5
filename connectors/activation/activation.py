"""Plan and send: the two things a caller does with a push.

Belongs here: putting state, comparison, guards and sender together. Does not belong here: any of their work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from connectors.activation.config import WITHHELD, PushConfig
from connectors.activation.locking import sole_sender
from connectors.activation.plan import ACKNOWLEDGED_SCHEMA, Plan, describe, difference, with_old_payloads
from connectors.activation.receipts import RECEIPT_SCHEMA, export_receipts, read_receipts
from connectors.activation.rows import canonical
from connectors.activation.sender import Progress, Sender, Tally
from connectors.activation.state import State
from connectors.connections import Connections
from connectors.destinations import open_destination
from connectors.errors import GridCRMError
from connectors.paths import Paths


class GuardError(GridCRMError):
    """A plan breaks a limit of its push; nothing was sent."""


@dataclass(frozen=True)
class PushReport:
    """What sending did.

    Of the model's rows, ``sent_rows + failed + withheld + unchanged`` is all of them; ``sent`` adds the
    deletes. ``settled`` rows belong to batches that an interrupted run had left open. ``messages`` hold no
    personal value.
    """

    push: str
    is_dry_run: bool
    sent: int
    sent_rows: int
    failed: int
    failed_deletes: int
    withheld: int
    withheld_by_reason: Mapping[str, int]
    unchanged: int
    settled: int
    batches: int
    messages: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every row that was to be sent was taken."""
        return not (self.failed or self.failed_deletes)


class Activation:
    """Sends what differs from what was acknowledged.

    State is ``activation.db`` in the state folder, or ``state_url`` (PostgreSQL where several machines send).
    """

    def __init__(
        self,
        paths: Paths,
        connections: Connections,
        *,
        state_url: str | sa.URL | None = None,
        backoff_seconds: float = 0.5,
        lock_wait_seconds: float = 60.0,
    ) -> None:
        self._folder = paths.state
        self._connections = connections
        self._state = State(state_url) if state_url else State.in_folder(paths.state)
        self._backoff_seconds = backoff_seconds
        self._lock_wait_seconds = lock_wait_seconds

    def close(self) -> None:
        """Let go of the state."""
        self._state.close()

    def plan(self, push: PushConfig, rows: pa.Table, as_of_date: date) -> Plan:
        """What sending ``rows`` (the push's model, with ``withheld_reason``) would do. Writes nothing.

        Raises:
            RowsError: the rows are not what the push declares.
        """
        return self._plan(push, canonical(rows, push), as_of_date)

    def send(
        self,
        push: PushConfig,
        plan: Plan,
        *,
        dry_run: bool = True,
        override_guards: bool = False,
        progress: Progress | None = None,
    ) -> PushReport:
        """Carry out ``plan``. A dry run checks what can be checked from here and writes nothing anywhere.

        Batches that an interrupted run left open are settled first. The rows are then compared once more
        with what is acknowledged by now, so that a plan made before another run sends nothing twice.

        Raises:
            GuardError: the plan breaks a guard and ``override_guards`` is not given.
            DestinationRefusedError: the destination takes nothing for now: credentials, a missing table, a
                letter without a template. Rows of finished batches stay sent.
            DestinationUnavailableError: a batch of an interrupted run cannot be settled now.
            SendInProgressError: another process is sending to the same destination.
        """
        if not dry_run and not override_guards:
            _refuse_if_guarded(plan)
        destination = open_destination(push.destination, self._connections)
        try:
            destination.check(plan.changes.filter(pc.not_equal(plan.changes.column("op"), "delete")))
            if dry_run:
                return _report(plan, Tally(), is_dry_run=True)
            with sole_sender(self._state.engine, self._folder, push.destination_id, self._lock_wait_seconds):
                sender = Sender(
                    self._state, push, destination, backoff_seconds=self._backoff_seconds, progress=progress
                )
                sender.settle(plan.source)
                current = self._plan(push, plan.source, plan.as_of_date)
                if not override_guards:
                    _refuse_if_guarded(current)
                sender.send(current.changes, plan.as_of_date)
                return _report(current, sender.tally, is_dry_run=False)
        finally:
            destination.close()

    def adopt_baseline(self, push: PushConfig, rows: pa.Table) -> int:
        """Remember the sendable ``rows`` as acknowledged without sending them; returns how many.

        For a destination that another system has filled so far: without it, a first run would send
        everything again, letters too.
        """
        source = canonical(rows, push)
        sendable = source.filter(pc.is_null(source.column(WITHHELD)))
        with sole_sender(self._state.engine, self._folder, push.destination_id, self._lock_wait_seconds):
            return self._state.adopt(push.destination_id, sendable.select(ACKNOWLEDGED_SCHEMA.names))

    def receipts(self) -> pa.Table:
        """Every receipt, oldest first: what became of each row that was sent."""
        return pa.Table.from_batches(read_receipts(self._state.engine), RECEIPT_SCHEMA)

    def export_receipts(self, folder: Path) -> int:
        """Write the receipts as Parquet for the warehouse; returns how many files were new or had grown."""
        return export_receipts(self._state.engine, folder)

    def _plan(self, push: PushConfig, source: pa.Table, as_of_date: date) -> Plan:
        acknowledged = self._state.acknowledged(push.destination_id)
        changes, counts = difference(push, source, acknowledged, can_delete=push.destination.can_delete)
        return describe(
            push,
            as_of_date,
            source,
            with_old_payloads(changes, self._old_payloads(push, changes)),
            counts,
            acknowledged=acknowledged.num_rows,
            unfinished_batches=self._state.count_open(push.destination_id),
        )

    def _old_payloads(self, push: PushConfig, changes: pa.Table) -> pa.Table:
        """The last acknowledged payloads of updated and deleted rows; read in chunks, only those are kept."""
        changed = changes.filter(pc.not_equal(changes.column("op"), "create")).column("key")
        if not len(changed):
            return ACKNOWLEDGED_SCHEMA.empty_table()
        keys = changed.combine_chunks()
        chunks = self._state.payloads(push.destination_id)
        return pa.Table.from_batches(
            (chunk.filter(pc.is_in(chunk.column("key"), value_set=keys)) for chunk in chunks),
            ACKNOWLEDGED_SCHEMA,
        )


def _refuse_if_guarded(plan: Plan) -> None:
    if plan.guard_violations:
        raise GuardError(
            f"push {plan.push}: nothing was sent: {'; '.join(plan.guard_violations)}. "
            "Look at the plan; raise the guard in its YAML, or override it for this run"
        )


def _report(plan: Plan, tally: Tally, *, is_dry_run: bool) -> PushReport:
    return PushReport(
        push=plan.push,
        is_dry_run=is_dry_run,
        sent=tally.sent_rows + tally.sent_deletes,
        sent_rows=tally.sent_rows,
        failed=tally.failed_rows,
        failed_deletes=tally.failed_deletes,
        withheld=sum(plan.withheld.values()),
        withheld_by_reason=plan.withheld,
        unchanged=plan.unchanged,
        settled=tally.settled_rows,
        batches=tally.batches,
        messages=tuple(tally.messages),
    )
