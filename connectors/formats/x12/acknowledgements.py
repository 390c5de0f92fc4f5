"""997, 999 and TA1: what the other side made of what it was sent, to rows of ``acknowledgements``.

Belongs here: the answers. Does not belong here: what they answer. A 997 is whole in a block. The copy of a
wrong element that an AK4 may carry is not taken over: it can be anything of anybody.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.formats.base import RECORD_NO
from connectors.formats.columns import as_mask
from connectors.formats.digits import parse_scaled
from connectors.formats.text_lines import Ints
from connectors.formats.x12.block import Block, owners, words
from connectors.formats.x12.codes import ACKNOWLEDGED, ACKNOWLEDGEMENTS

_MOST = 2**31 - 1


def read_acknowledgements(block: Block, within: Ints) -> list[tuple[str, pa.RecordBatch]]:
    """Rows out of the segments ``within`` 997 and 999 transactions; bad ones get their verdict."""
    groups, transactions = block.rows("AK1", within), block.rows("AK2", within)
    heads = block.rows("ST", within)
    batches = []
    for level, tags, codes in (
        ("segment", ("AK3", "IK3"), (4,)),
        ("element", ("AK4", "IK4"), (3,)),
        ("transaction", ("AK5", "IK5"), (2, 3, 4, 5, 6)),
        ("group", ("AK9",), (5, 6, 7, 8, 9)),
    ):
        rows = np.sort(np.concatenate([block.rows(tag, within) for tag in tags]))
        columns = _above(block, rows, heads, groups, transactions if level != "group" else rows[:0])
        columns["error_codes"] = words([block.text(rows, element) for element in codes])
        if level == "segment":
            columns["segment_tag"] = block.text(rows, 1)
            columns["segment_position"] = _count(block, rows, 2)
        elif level == "element":
            columns["element_position"] = block.text(rows, 1)
        else:
            columns |= _status(block, rows, 1)
        if level == "group":
            for name, element in (
                ("declared_transactions", 2), ("received_transactions", 3), ("accepted_transactions", 4)
            ):  # fmt: skip
                columns[name] = _count(block, rows, element)
        batches.append(_batch(block, rows, level, columns))
    return batches


def read_interchange_acknowledgements(block: Block, rows: Ints) -> list[tuple[str, pa.RecordBatch]]:
    """Rows out of TA1 segments; bad ones get their verdict."""
    columns = {
        "interchange_control_number": block.text(rows, 1),
        "error_codes": block.text(rows, 5),
        **_status(block, rows, 4),
    }
    return [_batch(block, rows, "interchange", columns)]


def _above(block: Block, rows: Ints, heads: Ints, groups: Ints, sets: Ints) -> dict[str, pa.Array]:
    """What AK1 and AK2 before each row say, in the same transaction."""
    columns: dict[str, pa.Array] = {}
    for openers, names in (
        (groups, ("functional_code", "group_control_number")),
        (sets, ("transaction_set", "transaction_control_number")),
    ):
        last = owners(openers, rows)
        above = openers[np.maximum(last, 0)] if len(openers) else np.full(len(rows), -1)
        is_same = (last >= 0) & (owners(heads, above) == owners(heads, rows))
        above = np.where(is_same, above, -1)
        columns |= {name: block.text(above, element) for element, name in enumerate(names, 1)}
    return columns


def _status(block: Block, rows: Ints, element: int) -> dict[str, pa.Array]:
    code = block.text(rows, element)
    position = pc.index_in(code, pa.array(list(ACKNOWLEDGED)))
    block.verdicts.fail(rows[as_mask(position.is_null())], "unknown_acknowledgement")
    return {"status": pa.array(list(ACKNOWLEDGED.values())).take(position), "status_code": code}


def _count(block: Block, rows: Ints, element: int) -> pa.Array:
    starts, ends = block.segments.span(rows, element)
    numbers, bad = parse_scaled(block.segments.view, starts, ends, 0)
    bad |= (numbers < 0) | (numbers > _MOST)
    block.verdicts.fail(rows[bad & (ends > starts)], "bad_count")
    return pa.array(np.where(bad, 0, numbers).astype(np.int32), mask=bad)


def _batch(block: Block, rows: Ints, level: str, columns: dict[str, pa.Array]) -> tuple[str, pa.RecordBatch]:
    columns[RECORD_NO.name] = pa.array(block.segments.number[rows])
    columns["level"] = pa.array([level] * len(rows), pa.string())
    columns |= block.envelope_columns(rows)
    arrays = [columns.get(field.name, pa.nulls(len(rows), field.type)) for field in ACKNOWLEDGEMENTS]
    batch = pa.RecordBatch.from_arrays(arrays, schema=ACKNOWLEDGEMENTS)
    return "acknowledgements", batch.filter(pa.array(~block.verdicts.is_bad(rows)))
