"""From landed bytes to raw: decode, balance, publish; the same for a file, for events, and for a replay.

Belongs here: one file by its row in the ledger. Does not belong here: bringing it (``file_feed``,
``http_feed``), choosing what to decode again (``replay``), the formats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from connectors.connections import Connections
from connectors.errors import GridCRMError
from connectors.formats import ControlTotal, DecodeResult, RefusedFile, decode
from connectors.formats.archive import ArchiveLimits, open_payloads
from connectors.formats.openpgp import OpenPgpKeys
from connectors.ingest.config import FeedConfig
from connectors.ingest.discover import ContractSink, Plan, plan
from connectors.ingest.ledger import Ledger
from connectors.ingest.quarantine import quarantine_path
from connectors.ingest.report import FileOutcome
from connectors.ingest.staging import Publisher, StagedTables, load_date_of, raw_schema
from connectors.paths import Paths

_NO_COUNTS: dict[str, Any] = {
    "records_read": 0,
    "loaded": 0,
    "superseded": 0,
    "quarantined": 0,
    "records_by_type": {},
    "row_counts": {},
    "reasons": {},
}


@dataclass(frozen=True)
class Decoded:
    """Staged tables of one file, and the account of it."""

    staged: StagedTables
    result: DecodeResult
    found: Plan


@dataclass(frozen=True)
class LandedFiles:
    """The landed bytes of one feed. Call under the feed's lock."""

    paths: Paths
    ledger: Ledger
    feed: FeedConfig
    keys: OpenPgpKeys | None = None

    @property
    def publisher(self) -> Publisher:
        """What moves staged tables into raw."""
        return Publisher(self.paths, self.ledger)

    # Once a run, not once a file: a copybook takes longer to parse than a small file to decode.
    @cached_property
    def _declared(self) -> dict[str, pa.Schema]:
        return self.feed.schemas()

    @cached_property
    def _raw_schemas(self) -> dict[str, pa.Schema]:
        return {table: raw_schema(schema) for table, schema in self._declared.items()}

    def publish(self, row: Mapping[str, Any]) -> FileOutcome:
        """Decode the bytes of ``row`` and publish them, in place of what an earlier decoding published and of
        the contents whose name they took. A refusal is kept in the ledger with its reason.
        """
        source, sha256, name = self.feed.source, row["sha256"], row["name"]
        fingerprint = self.feed.settings_fingerprint
        try:
            done = self.decode(row, self.publisher.staging(source, row["file_id"]))
        except GridCRMError as error:
            totals = _totals(error.control_totals) if isinstance(error, RefusedFile) else []
            if row["state"] == "published":
                # Decoded again and refused now: what was published from these bytes stays as it is.
                return FileOutcome(name, row["file_id"], "refused", control_totals=totals, message=str(error))
            self.ledger.decoded(
                source, sha256, "refused", reason=str(error), control_totals=totals,
                settings_fingerprint=fingerprint, undeclared={}, **_NO_COUNTS,
            )  # fmt: skip
            return FileOutcome.from_ledger(self.row(sha256), "refused")
        result = done.result
        # What was refused is mended by what came instead, whatever becomes of what was published.
        is_kept = self.feed.file is None or self.feed.file.on_changed == "keep"
        states = ("refused",) if is_kept else ("refused", "published")
        replaced = self.ledger.replaced_by(source, sha256, states)
        self.publisher.publish(
            source,
            sha256,
            done.staged.targets(self.paths, load_date_of(row)),
            {
                "reason": None,
                "records_read": result.records_read,
                "loaded": result.loaded,
                "superseded": result.superseded,
                "quarantined": result.quarantined,
                "records_by_type": dict(result.records_by_type),
                "row_counts": dict(result.rows),
                "control_totals": _totals(result.control_totals),
                "reasons": dict(result.reasons),
                "decoder_version": result.decoder_version,
                "settings_fingerprint": fingerprint,
                "undeclared": done.found.undeclared,
            },
            takes_place_of=replaced,
        )
        message = f"takes the place of {', '.join(old['file_id'] for old in replaced)}" if replaced else ""
        outcome = FileOutcome.from_ledger(
            self.row(sha256), "quarantined_some" if result.quarantined else "loaded", message
        )
        changes = done.staged.changes
        newly = changes.newly_open if changes else result.quarantined
        return replace(outcome, healed=changes.healed if changes else 0, newly_quarantined=newly)

    def decode(self, row: Mapping[str, Any], folder: Path) -> Decoded:
        """Decode the bytes of ``row`` into ``folder``; nothing is published.

        Raises RefusedFile when the account does not balance or the format refuses; ``folder`` is then gone.
        """
        feed = self.feed
        landed = landing_path(self.paths, feed.source, row["file_id"], row["name"])

        def payloads() -> Iterator[tuple[str, BinaryIO]]:
            return open_payloads(landed, name=row["name"], limits=_limits(feed), keys=self.keys)

        earlier = quarantine_path(self.paths, feed.source, row["file_id"], load_date_of(row))
        found = plan(feed, payloads, self._declared)
        schemas = self._raw_schemas
        if any(schema is not self._declared.get(table) for table, schema in found.schemas.items()):
            schemas = {table: raw_schema(schema) for table, schema in found.schemas.items()}
        with StagedTables(folder, feed.source, row["file_id"], row["name"], schemas, earlier) as staged:
            total: DecodeResult | None = None
            for member, stream in payloads():
                # A name that the file itself begins with is its own, unpacked: no archive was there.
                staged.member = None if row["name"].startswith(member) else member
                sink = ContractSink(feed, staged, found, member)
                part = decode(stream, feed.format, found.settings_of(member), sink, name=member)
                total = part if total is None else _added(total, part)
            if total is None:
                raise RefusedFile(f"{row['name']}: the archive holds no file")
            _require_balance(total, staged)
        return Decoded(staged, total, found)

    def row(self, sha256: str) -> dict[str, Any]:
        """The ledger's row of a content that was taken."""
        row = self.ledger.get(self.feed.source, sha256)
        if row is None:
            raise GridCRMError(f"feed {self.feed.source}: the ledger lost the row of content {sha256[:16]}")
        return row


def landing_path(paths: Paths, source: str, file_id: str, name: str) -> Path:
    """Where the original bytes are kept; ``name`` was found safe by the transport."""
    return paths.landing / source / file_id / name


def progress_line(feed: FeedConfig, outcome: FileOutcome, place: str = "") -> str:
    """One line for whoever watches."""
    return f"{feed.source}: {place}{outcome.name}: {outcome.state}, {sum(outcome.rows.values()):,} rows"


Progress = Callable[[str], None]


def openpgp_keys(feed: FeedConfig, connections: Connections) -> OpenPgpKeys | None:
    """The keys of a feed whose files come encrypted, read from where the feed or its environment says.

    Raises ConnectionConfigError for a variable that is not set, OpenPgpKeyError for a file that is not there.
    """
    said = feed.file.decrypt if feed.file else None
    if said is None:
        return None
    what = f"feed {feed.source}: decrypt"
    signed_by = Path(connections.resolve(said.signed_by, what)) if said.signed_by else None
    passphrase = connections.resolve(said.passphrase, what) if said.passphrase else None
    return OpenPgpKeys.load(Path(connections.resolve(said.private_key_path, what)), passphrase, signed_by)


def _limits(feed: FeedConfig) -> ArchiveLimits:
    said = feed.file.archive if feed.file else None
    return ArchiveLimits(**said.model_dump(exclude_none=True)) if said else ArchiveLimits()


def _totals(totals: Iterable[ControlTotal]) -> list[dict[str, Any]]:
    """Control totals for the ledger's JSON; sums of money stay exact as text."""
    return [
        {
            "name": total.name,
            "declared": _plain(total.declared),
            "found": _plain(total.found),
            "ok": total.ok,
            "state": total.state,
        }
        for total in totals
    ]


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | None) else str(value)


def _added(left: DecodeResult, right: DecodeResult) -> DecodeResult:
    def merged(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
        return {key: one.get(key, 0) + other.get(key, 0) for key in {**one, **other}}

    return DecodeResult(
        records_read=left.records_read + right.records_read,
        loaded=left.loaded + right.loaded,
        superseded=left.superseded + right.superseded,
        quarantined=left.quarantined + right.quarantined,
        rows=merged(left.rows, right.rows),
        records_by_type=merged(left.records_by_type, right.records_by_type),
        control_totals=[*left.control_totals, *right.control_totals],
        reasons=merged(left.reasons, right.reasons),
        decoder_version=right.decoder_version,
    )


def _require_balance(result: DecodeResult, staged: StagedTables) -> None:
    """What the decoder says must add up and be what it handed over; otherwise nothing is published."""
    rows = {table: count for table, count in result.rows.items() if count}
    if not result.is_balanced or rows != staged.rows or result.quarantined != staged.rejects:
        raise RefusedFile(
            f"the account does not balance: {result.records_read} records read, {result.loaded} loaded, "
            f"{result.superseded} superseded, {result.quarantined} quarantined; "
            f"{sum(staged.rows.values())} rows and {staged.rejects} rejects handed over",
            result.control_totals,
        )
