"""What every decoder shares: the sink it writes to, the account it gives, and how it refuses.

Belongs here: the types that pass between a decoder and whoever calls it. Does not belong here: anything that
knows a format, a disk or a feed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, BinaryIO, Literal, Protocol, TypeVar

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError

from connectors.errors import GridCRMError

RECORD_NO = pa.field("_record_no", pa.int64(), nullable=False)
"""First column of every decoded table: the 1-based number of the physical record (or line) of a row."""

Number = int | Decimal


class RefusedFile(GridCRMError):  # noqa: N818 - the contract's name: a file is refused, nothing failed
    """The whole file is refused: truncated, no header, a control total that does not hold.

    Whatever was written to the sink before must be thrown away by the caller.
    """

    def __init__(self, message: str, control_totals: Sequence[ControlTotal] = ()) -> None:
        super().__init__(message)
        self.control_totals = tuple(control_totals)


class SettingsError(GridCRMError):
    """The settings of a format are wrong; the message names the key."""


@dataclass(frozen=True)
class ControlTotal:
    """One declared count or sum against what was found in the file.

    One that is not binding is told and stops nothing: it may rightly not hold, as a dial against the amounts
    between its reads when a meter was exchanged.
    """

    name: str
    declared: Number | None
    found: Number | None
    ok: bool
    is_binding: bool = True

    @property
    def state(self) -> Literal["holds", "differs", "wrong"]:
        """``wrong`` is a binding total that does not hold, ``differs`` one that is only told."""
        return "holds" if self.ok else "wrong" if self.is_binding else "differs"


@dataclass(frozen=True)
class Reject:
    """One physical record that was not loaded; ``reason`` holds no value out of the record."""

    record_no: int
    byte_offset: int
    raw: bytes
    rule: str
    reason: str
    table: str | None = None
    """The table and column whose type the value does not have, where the decoder can tell."""
    column: str | None = None


class TableSink(Protocol):
    """Where a decoder puts what it made; called many times, in file order of the chunks."""

    def write(self, table: str, batch: pa.RecordBatch) -> None:
        """Take rows of one table; their schema is exactly ``schema(format, settings)[table]``."""
        ...

    def reject(self, reject: Reject) -> None:
        """Take one record for quarantine."""
        ...


@dataclass
class DecodeResult:
    """The account of one file; ``records_read == loaded + superseded + quarantined`` always holds."""

    records_read: int = 0
    loaded: int = 0
    superseded: int = 0
    quarantined: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    records_by_type: dict[str, int] = field(default_factory=dict)
    control_totals: list[ControlTotal] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)
    decoder_version: str = ""

    def write(self, sink: TableSink, table: str, batch: pa.RecordBatch) -> None:
        """Hand rows to the sink and count them; an empty batch is not passed on."""
        if batch.num_rows:
            sink.write(table, batch)
            self.rows[table] = self.rows.get(table, 0) + batch.num_rows

    def reject(self, sink: TableSink, reject: Reject) -> None:
        """Hand one record to quarantine and count it by rule."""
        sink.reject(reject)
        self.quarantined += 1
        self.reasons[reject.rule] = self.reasons.get(reject.rule, 0) + 1

    def add_type(self, record_type: str, count: int) -> None:
        """Count records read of one type."""
        if count:
            self.records_by_type[record_type] = self.records_by_type.get(record_type, 0) + count

    @property
    def is_balanced(self) -> bool:
        """Whether every record read is accounted for."""
        return self.records_read == self.loaded + self.superseded + self.quarantined


Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Format:
    """One entry of the registry: how a format is called and what does the work."""

    name: str
    version: str
    description: str
    decode: Callable[[BinaryIO, Settings, TableSink, str], DecodeResult]
    schema: Callable[[Settings], dict[str, pa.Schema]]
    settings: type[FormatSettings]
    """The model of its settings, from which editors learn the keys."""


class FormatSettings(BaseModel):
    """Base of every format's settings: unknown keys are errors, values are not coerced silently."""

    model_config = ConfigDict(extra="forbid", frozen=True)


S = TypeVar("S", bound=FormatSettings)


def parse_settings(model: type[S], format_name: str, settings: Settings) -> S:
    """Validate ``settings`` into ``model``; raises :class:`SettingsError` naming the first wrong key."""
    try:
        return model.model_validate(dict(settings))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "settings"
        what = "is not a setting of this format" if first["type"] == "extra_forbidden" else first["msg"]
        raise SettingsError(f"format {format_name}: setting '{key}': {what}") from None


def read_exactly(stream: BinaryIO, size: int) -> bytes:
    """Read ``size`` bytes, fewer only at the end of the stream; one call to it may give less."""
    first = stream.read(size)
    if len(first) == size or not first:
        return first
    parts = [first]
    missing = size - len(first)
    while missing:
        part = stream.read(missing)
        if not part:
            break
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)
