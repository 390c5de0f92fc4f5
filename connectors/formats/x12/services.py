"""814: what is asked for and answered about service at a service point, to rows of ``service_requests``.

Belongs here: the loops of an 814. Does not belong here: other transaction sets. An 814 is whole in a block.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.formats.columns import as_mask
from connectors.formats.segments.times import timestamps
from connectors.formats.text_lines import Ints
from connectors.formats.x12.block import Block, first_of, joined, null_where, owners, words
from connectors.formats.x12.codes import ACTIONS, OTHER_ACTION, SERVICE_REQUESTS, Codes
from connectors.formats.x12.syntax import read_times, reference

_EFFECTIVE = ("150", "151", "007")
_CUSTOMER = "8R"
_REASON = "7G"
_SERVICE_ELEMENTS = range(3, 16, 2)
"""Those of LIN that name a product: every second one."""


class Services:
    """The 814 transactions of one file."""

    def __init__(self, codes: Codes) -> None:
        self.codes = codes

    def read(self, block: Block, within: Ints) -> list[tuple[str, pa.RecordBatch]]:
        """One row a LIN of the segments ``within`` 814 transactions; bad ones get their verdict."""
        heads, lines = block.rows("ST", within), block.rows("LIN", within)
        count, verdicts = len(lines), block.verdicts
        transaction, head_of, line = owners(heads, within), owners(heads, lines), owners(lines, within)
        empty = np.setdiff1d(np.arange(-1, len(heads)), head_of)
        verdicts.fail(within[np.isin(transaction, empty)], "no_request")
        # A line goes on to the next one, or to the end of its transaction.
        line = np.where(np.concatenate([head_of, [-1]])[line] == transaction, line, -1)
        line_of = np.full(len(block.segments), -1, dtype=np.int64)
        line_of[within] = line
        columns = self._transaction(block, within, heads, head_of)
        actions = first_of(line_of[block.rows("ASI", within)], block.rows("ASI", within), count)
        verdicts.fail(lines[actions < 0], "no_action")
        status_code, action_code = block.text(actions, 1), block.text(actions, 2)
        position = pc.index_in(status_code, pa.array(list(self.codes.statuses)))
        verdicts.fail(lines[(actions >= 0) & as_mask(position.is_null())], "unknown_status")
        columns |= {
            "_record_no": pa.array(block.segments.number[lines]),
            "line_no": block.text(lines, 1),
            "services": words([block.text(lines, element) for element in _SERVICE_ELEMENTS]),
            "status": pa.array(list(self.codes.statuses.values())).take(position),
            "status_code": status_code,
            "action": pc.fill_null(
                pa.array(list(ACTIONS.values())).take(pc.index_in(action_code, pa.array(list(ACTIONS)))),
                OTHER_ACTION,
            ),
            "action_code": action_code,
        }
        columns |= self._line(block, within, lines, line_of)
        members = within[(line >= 0) & ~np.isin(within, lines) & ~np.isin(within, block.rows("SE", within))]
        verdicts.fail(members[verdicts.is_bad(lines[line_of[members]])], "parent_quarantined")
        batch = pa.RecordBatch.from_arrays(
            [columns[field.name] for field in SERVICE_REQUESTS], schema=SERVICE_REQUESTS
        )
        return [("service_requests", batch.filter(pa.array(~verdicts.is_bad(lines))))]

    def _transaction(self, block: Block, within: Ints, heads: Ints, head_of: Ints) -> dict[str, pa.Array]:
        """What the head of a transaction says, one entry a line."""
        begins, names = block.rows("BGN", within), block.rows("N1", within)
        names = names[block.segments.equals(names, (_CUSTOMER,), 1) == 0]
        begin = first_of(owners(heads, begins), begins, len(heads))
        name = first_of(owners(heads, names), names, len(heads))
        utc, _, bad = read_times(block.segments, np.maximum(begin, 0), self.codes.time_zone, (3, 4, 5))
        absent = begin < 0
        block.verdicts.fail(begin[bad & ~absent], "bad_time")
        columns = {
            "transaction_id": block.text(begin, 2),
            "original_transaction_id": block.text(begin, 6),
            "purpose_code": block.text(begin, 1),
            "created_at": timestamps(utc, bad | absent),
            "customer_name": block.text(name, 2, self.codes.settings.encoding),
            **block.envelope_columns(heads),
        }
        index = pa.array(head_of)
        return {key: column.take(index) for key, column in columns.items()}

    def _line(self, block: Block, within: Ints, lines: Ints, line_of: Ints) -> dict[str, pa.Array]:
        """Service point, account, date and reason of each line; the head's where the line has none."""
        segments, settings, count = block.segments, self.codes.settings, len(lines)
        references, times = block.rows("REF", within), block.rows("DTM", within)
        texts = reference(segments, references, settings.encoding)
        columns = {}
        for column, qualifiers in (
            ("service_point_id", settings.service_point_qualifiers),
            ("account_id", settings.account_qualifiers),
        ):
            found = [
                self._first_text(block, within, lines, line_of, references, texts, qualifier)
                for qualifier in qualifiers
            ]
            columns[column] = pc.coalesce(*found, pa.nulls(count, pa.string()))
        utc, _, bad = read_times(segments, times, self.codes.time_zone, (2, 3, 4))
        is_inner = line_of[times] >= 0
        block.verdicts.fail(lines[line_of[times[bad & is_inner]]], "bad_time")
        block.verdicts.fail(times[bad & ~is_inner], "bad_time")
        effective = np.full(count, -1, dtype=np.int64)
        for qualifier in reversed(_EFFECTIVE):
            mine = np.flatnonzero((segments.equals(times, (qualifier,), 1) == 0) & ~bad)
            first = first_of(line_of[times[mine]], mine, count)
            effective = np.where(first >= 0, first, effective)
        at = np.maximum(effective, 0)
        moments = utc[at] if len(utc) else np.zeros(count, dtype=np.int64)
        columns["effective_at"] = timestamps(moments, effective < 0)
        reasons = references[segments.equals(references, (_REASON,), 1) == 0]
        mine = line_of[reasons]
        columns["reason_code"] = joined(block.text(reasons, 2), mine, count, " ")
        columns["reason_text"] = joined(block.text(reasons, 3, settings.encoding), mine, count, "; ")
        return columns

    def _first_text(
        self,
        block: Block,
        within: Ints,
        lines: Ints,
        line_of: Ints,
        references: Ints,
        texts: pa.Array,
        qualifier: str,
    ) -> pa.Array:
        """The first reference of a qualifier: in the line, else in the head of its transaction."""
        heads = block.rows("ST", within)
        mine = np.flatnonzero(block.segments.equals(references, (qualifier,), 1) == 0)
        of_line = first_of(line_of[references[mine]], mine, len(lines))
        in_head = mine[line_of[references[mine]] < 0]
        of_head = first_of(owners(heads, references[in_head]), in_head, len(heads))
        which = np.where(of_line >= 0, of_line, of_head[owners(heads, lines)]) if len(lines) else of_line
        if not len(texts):
            return pa.nulls(len(lines), pa.string())
        return null_where(texts.take(pa.array(np.maximum(which, 0))), which < 0)
