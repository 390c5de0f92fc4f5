"""An activation over a destination in memory that behaves as a test wants."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pytest

import connectors.activation.activation as activation_module
from connectors.activation import Activation
from connectors.destinations import Batch, Delivery, Destination
from connectors.paths import Paths
from tests.connectors.activation.helpers import FixedConnections


@dataclass
class Memory:
    """Holds rows by key; fails, rejects or forgets as told."""

    held: dict[str, dict[str, str | None]] = field(default_factory=dict)
    batches: list[Batch] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)
    rejects: dict[str, str] = field(default_factory=dict)
    failures: list[Exception] = field(default_factory=list)
    knows: bool | None = None
    batch_size: int = 100
    group_column: str | None = None
    attempts: int = 3
    before: Callable[[Batch], None] = lambda batch: None

    def check(self, rows: pa.Table) -> None:
        self.checked = rows.num_rows

    def deliver(self, batch: Batch) -> Delivery:
        self.before(batch)
        if self.failures:
            raise self.failures.pop(0)
        self.batches.append(batch)
        for row in batch.rows.to_pylist():
            if row["key"] in self.rejects:
                continue
            if batch.op == "delete":
                self.held.pop(row["key"], None)
            else:
                self.held[row["key"]] = json.loads(row["payload"])
        keys = set(batch.rows.column("key").to_pylist())
        return Delivery({key: words for key, words in self.rejects.items() if key in keys})

    def delivered(self, batch: Batch) -> bool | None:
        return self.knows

    def withdraw(self, batch: Batch) -> None:
        self.withdrawn.append(batch.batch_id)

    def close(self) -> None:
        pass


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    destination = Memory()

    def opened(*_: Any) -> Destination:
        return destination

    monkeypatch.setattr(activation_module, "open_destination", opened)
    return destination


@pytest.fixture
def activation(paths: Paths) -> Iterator[Activation]:
    opened = Activation(paths, FixedConnections(), backoff_seconds=0.001, lock_wait_seconds=0.3)  # type: ignore[arg-type]
    yield opened
    opened.close()
