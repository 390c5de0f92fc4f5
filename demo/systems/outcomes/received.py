"""What really arrived in an incoming folder: files that a manifest vouches for.

Belongs here: reading manifests and checking every file's size and SHA-256. Does not belong here: what the
files say.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd

LIST_COLUMNS = (
    *("call_key", "customer_id", "account_no", "phone_e164", "call_date", "window_start_local"),
    *("window_end_local", "time_zone", "purpose", "max_attempts"),
)


@dataclass(frozen=True)
class Drop:
    """One batch whose manifest and files agree."""

    batch_id: str
    operation: str
    """``upsert``, or ``recall`` of earlier rows."""
    key: str
    entries: tuple[dict[str, Any], ...]
    """The manifest's own entries, one a file."""
    files: tuple[Path, ...]


def read_drops(incoming: Path) -> tuple[list[Drop], list[str]]:
    """The batches below a folder in order of arrival, and why others were not taken (file and reason)."""
    drops: list[Drop] = []
    refused: list[str] = []
    manifests = [file for file in incoming.rglob("*.json") if not file.name.startswith(".")]
    for file in sorted(manifests, key=lambda found: (found.stat().st_mtime_ns, found.name)):
        try:
            drops.append(_read_drop(file))
        except (ValueError, KeyError, TypeError, AttributeError):
            refused.append(f"{file.name}: not a manifest")
        except _DamagedError as error:
            refused.append(f"{file.name}: {error}")
    return drops, refused


class _DamagedError(Exception):
    """The files are not what the manifest says."""


def _read_drop(manifest: Path) -> Drop:
    content = json.loads(manifest.read_text(encoding="utf-8"))
    entries = tuple(content["files"])
    files = []
    for entry in entries:
        file = manifest.parent / Path(entry["file"]).name
        if not file.is_file():
            raise _DamagedError(f"{file.name} is missing")
        data = file.read_bytes()
        if len(data) != entry["bytes"] or sha256(data).hexdigest() != entry["sha256"]:
            raise _DamagedError(f"{file.name} differs from its hash")
        files.append(file)
    return Drop(
        batch_id=str(content.get("batch_id") or manifest.parent.name),
        operation=str(content.get("operation", "upsert")),
        key=str(content.get("key", "")),
        entries=entries,
        files=tuple(files),
    )


def call_list(drops: list[Drop]) -> pd.DataFrame:
    """The rows that stand: a later row replaces an earlier one of its key, a recalled row is gone.

    Columns are those of the list, as text, and ``list_id``.
    """
    frames = [
        pd.read_csv(file, dtype=str, keep_default_na=False).assign(
            list_id=file.stem, _is_recall=drop.operation == "recall"
        )
        for drop in drops
        for file in drop.files
    ]
    if not frames:
        return pd.DataFrame(columns=[*LIST_COLUMNS, "list_id"], dtype=str)
    rows = pd.concat(frames, ignore_index=True).drop_duplicates("call_key", keep="last")
    rows = rows[~rows["_is_recall"].astype(bool)].drop(columns="_is_recall")
    return rows.sort_values("call_key", ignore_index=True)
