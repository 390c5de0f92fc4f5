"""Records of one channel whose times overlap: which reads stay, and which records are superseded.

Belongs here: corrections and repetitions within one file. Does not belong here: those between files, which
keep every version.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from connectors.formats.columns import BoolMask
from connectors.formats.digits import Ints

_TABLES = ("interval_reads", "register_reads")
_NEVER = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Resolved:
    """For each batch the rows that stay, and the records of which none did."""

    kept: list[BoolMask]
    superseded: npt.NDArray[np.int64]


def resolve(batches: Sequence[tuple[str, pa.RecordBatch]]) -> Resolved:
    """Keep one read of each service point, register, kind of read and moment.

    A value goes before none, whatever the order, since a read that failed takes nothing back; then the later
    time stamp wins, then the later record. A record that is left without a row is superseded.
    """
    keys = [
        _codes([_text(batch, name) for _, batch in batches]) for name in ("service_point_id", "register_id")
    ]
    keys.append(np.repeat([_TABLES.index(table) for table, _ in batches], [b.num_rows for _, b in batches]))
    moment = np.concatenate([_moment(table, batch) for table, batch in batches])
    kind = np.concatenate([_kind(table, batch) for table, batch in batches])
    has_value = np.concatenate([_has_value(table, batch) for table, batch in batches])
    stamp = np.concatenate([_ints(batch, "updated_at") for _, batch in batches])
    record = np.concatenate([_ints(batch, "_record_no") for _, batch in batches])
    order = np.lexsort((record, stamp, has_value, kind, moment, *keys))
    same = np.ones(max(len(order) - 1, 0), dtype=bool)
    for column in (kind, moment, *keys):
        same &= column[order][1:] == column[order][:-1]
    kept = np.ones(len(order), dtype=bool)
    kept[order[:-1][same]] = False
    gone = np.setdiff1d(record, record[kept])
    edges = np.cumsum([batch.num_rows for _, batch in batches])[:-1]
    return Resolved(np.split(kept, edges), gone)


def _text(batch: pa.RecordBatch, name: str) -> pa.StringArray:
    return batch.column(batch.schema.get_field_index(name))


def _codes(columns: list[pa.StringArray]) -> Ints:
    encoded = pa.concat_arrays(columns).dictionary_encode()
    codes: Ints = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes


def _ints(batch: pa.RecordBatch, name: str) -> Ints:
    column = _text(batch, name).cast(pa.int64())
    found: Ints = column.fill_null(_NEVER).to_numpy(zero_copy_only=False)
    return found


def _moment(table: str, batch: pa.RecordBatch) -> Ints:
    return _ints(batch, "interval_start_at" if table == "interval_reads" else "read_to_at")


def _kind(table: str, batch: pa.RecordBatch) -> Ints:
    """What must be equal beside channel and moment: the interval's length, or where an amount begins."""
    return _ints(batch, "interval_seconds" if table == "interval_reads" else "read_from_at")


def _has_value(table: str, batch: pa.RecordBatch) -> BoolMask:
    if table == "interval_reads":
        valid: BoolMask = _text(batch, "value").is_valid().to_numpy(zero_copy_only=False)
        return valid
    valid = _text(batch, "current_read").is_valid().to_numpy(zero_copy_only=False)
    return valid | np.asarray(_text(batch, "quantity").is_valid().to_numpy(zero_copy_only=False))
