"""A sink that keeps everything, and the invariant every decoding must hold."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from connectors.formats import DecodeResult, Reject, decode, schema


class MemorySink:
    """Tables and rejects in memory."""

    def __init__(self) -> None:
        self.batches: dict[str, list[pa.RecordBatch]] = {}
        self.rejects: list[Reject] = []

    def write(self, table: str, batch: pa.RecordBatch) -> None:
        batch.validate(full=True)
        self.batches.setdefault(table, []).append(batch)

    def reject(self, reject: Reject) -> None:
        self.rejects.append(reject)

    def table(self, name: str) -> pa.Table:
        return pa.Table.from_batches(self.batches[name]) if name in self.batches else pa.table({})

    def rows(self, name: str) -> list[dict[str, Any]]:
        return self.table(name).to_pylist()

    @property
    def rules(self) -> list[tuple[int, str]]:
        """Record number and rule of every reject."""
        return [(reject.record_no, reject.rule) for reject in self.rejects]


def decoded(data: bytes, format: str, settings: Mapping[str, Any]) -> tuple[MemorySink, DecodeResult]:
    """Decode bytes and check what must hold for every file."""
    sink = MemorySink()
    result = decode(io.BytesIO(data), format, settings, sink, name="test file")
    assert result.records_read == result.loaded + result.superseded + result.quarantined
    assert result.quarantined == len(sink.rejects) == sum(result.reasons.values())
    schemas = schema(format, settings)
    for name, batches in sink.batches.items():
        assert all(batch.schema.equals(schemas[name]) for batch in batches)
        assert result.rows[name] == sum(batch.num_rows for batch in batches)
    return sink, result
