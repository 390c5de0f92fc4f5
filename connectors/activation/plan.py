"""The difference between what a model says and what a destination acknowledged, before anything is written.

Belongs here: the comparison, by key and hash, as joins over columns. Does not belong here: reading or
writing state, limits (``guards``), sending (``sender``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import duckdb
import pyarrow as pa

from connectors.activation.config import WITHHELD, PushConfig
from connectors.activation.guards import violations
from connectors.destinations.payloads import connect, literal, member, quoted

CHANGE_SCHEMA = pa.schema(
    [
        ("op", pa.string()),
        ("key", pa.string()),
        ("payload_hash", pa.string()),
        ("payload", pa.string()),
        ("old_payload", pa.string()),
    ]
)
ACKNOWLEDGED_SCHEMA = pa.schema(
    [("key", pa.string()), ("payload_hash", pa.string()), ("payload", pa.string())]
)


@dataclass(frozen=True)
class Plan:
    """What sending would do. Nothing has been written; making a plan again gives the same plan.

    ``withheld`` counts rows by reason, ``field_changes`` the rows in which each column would change.
    ``not_recallable`` counts rows that should be taken back and cannot be: letters in the post.
    """

    push: str
    destination_id: str
    as_of_date: date
    n_creates: int
    n_updates: int
    n_deletes: int
    unchanged: int
    withheld: Mapping[str, int]
    field_changes: Mapping[str, int]
    guard_violations: tuple[str, ...]
    acknowledged: int
    not_recallable: int
    unfinished_batches: int
    changes: pa.Table = field(repr=False)
    source: pa.Table = field(repr=False)
    columns: Mapping[str, bool] = field(repr=False)
    """Column name → whether it is personal; the key column first."""

    @property
    def is_empty(self) -> bool:
        """Whether sending would send nothing."""
        return not (self.n_creates or self.n_updates or self.n_deletes)

    def sample(self, limit: int = 10, *, with_values: bool = False) -> list[dict[str, Any]]:
        """The first changes of each kind: op, key, and the columns that change; values only when asked for.

        A key that is itself personal (a telephone number) is shown as the start of its hash.
        """
        names = list(self.columns)
        key_is_personal = self.columns[names[0]]
        with connect() as connection:
            connection.register("changes", self.changes)
            old = ", ".join(member("old_payload", name) for name in names)
            new = ", ".join(member("payload", name) for name in names)
            rows = connection.execute(
                f"""
                select op, key, sha256(key)[:12], [{old}], [{new}]
                from changes
                qualify row_number() over (partition by op order by key) <= ?
                order by op, key
                """,
                [limit],
            ).fetchall()
        sample: list[dict[str, Any]] = []
        for op, key, hashed, before, after in rows:
            changed = [
                (name, b, a)
                for name, b, a in zip(names, before, after, strict=True)
                if op != "update" or b != a
            ]
            shown = hashed if key_is_personal and not with_values else key
            entry: dict[str, Any] = {"op": op, "key": shown, "fields": [name for name, _, _ in changed]}
            if with_values:
                entry["values"] = {name: {"before": b, "after": a} for name, b, a in changed}
            sample.append(entry)
        return sample


def difference(
    push: PushConfig,
    source: pa.Table,
    acknowledged: pa.Table,
    *,
    can_delete: bool,
) -> tuple[pa.Table, dict[str, int]]:
    """The changes between ``source`` (rows.SOURCE_SCHEMA) and ``acknowledged`` (``key``, ``payload_hash``).

    Returns CHANGE_SCHEMA without ``old_payload``, deletes first (what must no longer be there goes before
    what is new), then by key; and the counts that are not changes: unchanged, not_recallable.
    """
    with connect() as connection:
        connection.register("source", source)
        connection.register("acknowledged", acknowledged)
        connection.execute(
            f"""
            create temp view sendable as
            select key, payload_hash, payload from source where {WITHHELD} is null;
            create temp table gone as
            select a.key, a.payload_hash
            from acknowledged as a
            anti join sendable as s on s.key = a.key
            left join source as w on w.key = a.key
            where w.key is not null or {"true" if push.on_missing == "delete" else "false"};
            """
        )
        changed = "false" if push.send_once else "s.payload_hash <> a.payload_hash"
        deletes = (
            "select 'delete' as op, key, payload_hash, null as payload from gone" if can_delete else None
        )
        upserts = f"""
            select case when a.key is null then 'create' else 'update' end as op,
                s.key, s.payload_hash, s.payload
            from sendable as s left join acknowledged as a on a.key = s.key
            where a.key is null or {changed}
        """
        selected = f"{deletes} union all {upserts}" if deletes else upserts
        changes = connection.execute(
            f"select op, key, payload_hash, payload from ({selected}) as c order by op <> 'delete', key"
        ).to_arrow_table()
        counts = {
            "unchanged": _count(
                connection,
                f"sendable as s join acknowledged as a on a.key = s.key where not ({changed})",
            ),
            "not_recallable": 0 if can_delete else _count(connection, "gone"),
        }
    return changes, counts


def with_old_payloads(changes: pa.Table, old: pa.Table) -> pa.Table:
    """``changes`` with the payload last acknowledged for the same key, found in ``old``."""
    with connect() as connection:
        connection.register("changes", changes)
        connection.register("old", old)
        return (
            connection.execute(
                """
            select c.op, c.key, c.payload_hash, c.payload, o.payload as old_payload
            from changes as c left join old as o on o.key = c.key
            order by c.op <> 'delete', c.key
            """
            )
            .to_arrow_table()
            .cast(CHANGE_SCHEMA)
        )


def describe(
    push: PushConfig,
    as_of_date: date,
    source: pa.Table,
    changes: pa.Table,
    counts: Mapping[str, int],
    *,
    acknowledged: int,
    unfinished_batches: int,
) -> Plan:
    """The plan for ``changes`` (with their old payloads): everything counted, the guards judged."""
    names = [push.key, *(name for name in push.columns if name != push.key)]
    with connect() as connection:
        connection.register("changes", changes)
        connection.register("source", source)
        ops: dict[str, int] = dict(
            connection.execute("select op, count(*) from changes group by op").fetchall()
        )
        withheld: dict[str, int] = dict(
            connection.execute(
                f"select {WITHHELD}, count(*) from source where {WITHHELD} is not null"
                " group by 1 order by 2 desc, 1"
            ).fetchall()
        )
        differs = ", ".join(
            f"count(*) filter ({member('old_payload', name)} is distinct from {member('payload', name)})"
            f" as {quoted(name)}"
            for name in names
        )
        row = (
            connection.execute(f"select {differs} from changes where op = {literal('update')}").fetchone()
            or ()
        )
    creates, updates, deletes = (ops.get(op, 0) for op in ("create", "update", "delete"))
    return Plan(
        push=push.name,
        destination_id=push.destination_id,
        as_of_date=as_of_date,
        n_creates=creates,
        n_updates=updates,
        n_deletes=deletes,
        unchanged=counts["unchanged"],
        withheld=withheld,
        field_changes={name: count for name, count in zip(names, row, strict=True) if count},
        guard_violations=violations(
            push.guards,
            rows=source.num_rows,
            creates=creates,
            updates=updates,
            deletes=deletes,
            acknowledged=acknowledged,
        ),
        acknowledged=acknowledged,
        not_recallable=counts["not_recallable"],
        unfinished_batches=unfinished_batches,
        changes=changes,
        source=source,
        columns={name: push.columns[name].personal for name in names},
    )


def _count(connection: duckdb.DuckDBPyConnection, relation: str) -> int:
    row = connection.execute(f"select count(*) from {relation}").fetchone()
    return int(row[0]) if row else 0
