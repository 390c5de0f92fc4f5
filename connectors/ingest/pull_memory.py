"""What a pull may remember of the last one, so that it need not count all of raw again.

Belongs here: keeping and doubting these notes. Does not belong here: what is done with them.

Notes can only save work, never decide: they hold as long as raw has exactly the files they were taken of, and
a count that then does not agree with the source makes the pull look at everything.
"""

from __future__ import annotations

import hashlib
import json
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from connectors.ingest.ledger import Ledger, now

_KINDS: dict[str, type[date]] = {"datetime": datetime, "date": date}


class Memory:
    """The notes on one table, in the ledger beside its cursor."""

    def __init__(self, ledger: Ledger, source: str, table: str, raw: Path) -> None:
        self._ledger, self._source, self._table, self._raw = ledger, source, table, raw
        text = ledger.cursor(source, table)
        noted = json.loads(text) if text else {}
        # Before there were notes, the cursor stood alone, and was a moment.
        self._notes: dict[str, Any] = (
            noted if isinstance(noted, dict) else {"cursor": noted, "kind": "datetime"}
        )
        self.raw_files = self._files()

    @property
    def cursor(self) -> Any:
        """The highest cursor that was read, None at first."""
        value, kind = self._notes.get("cursor"), self._notes.get("kind")
        return _KINDS[kind].fromisoformat(value) if isinstance(value, str) and kind in _KINDS else value

    @property
    def rows(self) -> int | None:
        """Rows of the source that raw knew of after the last pull; None when raw is not as it was then."""
        return self._notes.get("rows") if self._notes.get("files") == _digest(self.raw_files) else None

    def is_swept_within(self, every: timedelta | None) -> bool:
        """Whether all keys were compared less than ``every`` ago."""
        swept = self._notes.get("swept_at")
        return every is not None and swept is not None and now() - datetime.fromisoformat(swept) < every

    def keep(self, cursor: Any, rows: int, *, is_swept: bool) -> None:
        """Note how the table stands after a pull."""
        notes = {
            "cursor": _plain(cursor),
            "kind": type(cursor).__name__,
            "rows": rows,
            "files": _digest(self._files()),
            "swept_at": now().isoformat() if is_swept else self._notes.get("swept_at"),
        }
        self._ledger.set_cursor(self._source, self._table, json.dumps(notes))

    def _files(self) -> list[str]:
        return sorted(path.name for path in self._raw.glob("*/*.parquet") if not path.name.startswith("_"))


def _digest(files: list[str]) -> str:
    return hashlib.sha256("\n".join(files).encode()).hexdigest()[:16]


def _plain(cursor: Any) -> Any:
    if isinstance(cursor, datetime | date):
        return cursor.isoformat()
    return int(cursor) if isinstance(cursor, Decimal) else cursor
