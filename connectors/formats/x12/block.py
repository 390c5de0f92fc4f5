"""One block of segments as the readers of transaction sets see it.

Belongs here: tags, which rows have one, the verdicts, texts of rows that may be absent. Does not belong here:
any transaction set.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.formats.columns import BoolMask
from connectors.formats.segments.account import Verdicts
from connectors.formats.segments.scan import Segments, Tags
from connectors.formats.segments.trail import Trail
from connectors.formats.text_lines import Ints

ENVELOPE = ("ISA", "TA1", "GS", "ST", "SE", "GE", "IEA")
_SHARED = ("ST", "SE", "REF", "DTM", "N1", "N2", "N3", "N4", "PER", "NM1", "AMT", "LX", "MSG", "NTE")
KNOWN = {
    "867": (
        *_SHARED, "BPT", "PTD", "QTY", "MEA", "CUR", "PRF", "PID", "LIN", "UIT", "MAN", "SII", "CTT", "LQ",
        "PSA", "ITA", "SAC", "SLN", "PO3", "IN1", "IN2", "VRC", "TXI",
    ),
    "814": (*_SHARED, "BGN", "LIN", "ASI", "PAM", "PID", "SI", "YNQ", "LS", "LE"),
    "997": ("ST", "SE", "AK1", "AK2", "AK3", "AK4", "AK5", "AK9"),
    "999": ("ST", "SE", "AK1", "AK2", "IK3", "IK4", "IK5", "AK9", "CTX"),
}  # fmt: skip
"""The segments that each transaction set may hold; another one goes to quarantine."""

TAGS = Tags(list(dict.fromkeys([*ENVELOPE, *(tag for tags in KNOWN.values() for tag in tags)])))

REASONS = {
    "unknown_set": "the transaction set is none that is read here",
    "unknown_segment": "the tag is not one of this transaction set",
    "parent_quarantined": "the segment it belongs to is in quarantine",
    "no_service_point": "no REF before it gives a service point; see the setting service_point_qualifiers",
    "orphan": "no PTD before it says what it is part of",
    "no_product": "PTD does not say what kind of usage follows",
    "unknown_qualifier": "the qualifier of the quantity is not known; see the setting quantity_qualifiers",
    "bad_value": "a quantity or a read is not a number with at most 6 decimals",
    "unknown_unit": "the unit is not known; see the setting units",
    "bad_time": "a date or time is not one, or does not exist in the time zone",
    "no_time": "neither the quantity nor its loop gives the end of the period",
    "duplicate_time": "the end of the interval is given twice",
    "no_interval_length": "REF*MT does not end in minutes; see the setting interval_minutes",
    "bad_interval": "the interval does not end a whole number of its lengths after midnight",
    "bad_period": "the period ends before it begins",
    "no_request": "the transaction says nothing about a service: it has no LIN",
    "no_action": "no ASI of its LIN says what is asked or answered",
    "unknown_status": "the code of request or answer is not known; see the setting status_codes",
    "unknown_acknowledgement": "the code of the answer is not known",
    "bad_count": "a count is not a whole number",
}
"""Every rule of this format, and what it means."""


@dataclass
class Block:
    """Segments and what is known of each: tag, transaction set (−1 outside of any, 0 for an unknown one)."""

    segments: Segments
    kind: Ints
    set: Ints
    verdicts: Verdicts
    sender: Trail  # of the group
    receiver: Trail
    sent_at: Trail
    control_number: Trail  # of the transaction

    def rows(self, tag: str, within: Ints) -> Ints:
        """The segments of one tag among ``within``."""
        return within[self.kind[within] == TAGS[tag]]

    def envelope_columns(self, rows: Ints) -> dict[str, pa.Array]:
        """Sender, receiver and control number at the given rows (ascending)."""
        return {
            "sender_id": self.sender.at(rows),
            "receiver_id": self.receiver.at(rows),
            "control_number": self.control_number.at(rows),
        }

    def text(self, rows: Ints, element: int, encoding: str = "ascii") -> pa.Array:
        """An element as text, null where it is empty or the row is −1."""
        texts = self.segments.element_text(np.maximum(rows, 0), element, encoding)
        return null_where(texts, rows < 0)


def null_where(texts: pa.Array, is_absent: BoolMask) -> pa.Array:
    """Texts with null for the empty and for the absent ones."""
    absent = pc.or_(pc.equal(texts, ""), pa.array(is_absent))
    return pc.if_else(absent, pa.scalar(None, pa.string()), texts)


def words(texts: list[pa.Array]) -> pa.Array:
    """Some columns as one, the texts of a row parted by a space; null where all are.

    Not by Arrow's own skipping of nulls, which forgets rows that are all null.
    """
    filled = pc.binary_join_element_wise(*(pc.fill_null(one, "") for one in texts), " ")
    trimmed = pc.utf8_trim_whitespace(pc.replace_substring_regex(filled, " +", " "))
    return null_where(trimmed, np.zeros(len(trimmed), dtype=bool))


def owners(openers: Ints, rows: Ints) -> Ints:
    """The index of the last opener before each of the rows, −1 where there is none."""
    return np.searchsorted(openers, rows, side="right") - 1


def first_of(owner: Ints, rows: Ints, count: int) -> Ints:
    """For each of ``count`` owners the first of the rows that it owns, −1 where it owns none."""
    found = np.full(count, -1, dtype=np.int64)
    kept = owner >= 0
    found[owner[kept][::-1]] = rows[kept][::-1]
    return found


def joined(texts: pa.Array, owner: Ints, count: int, separator: str) -> pa.Array:
    """The texts of each of ``count`` owners (ascending) in one, null where there are none."""
    kept = np.flatnonzero((owner >= 0) & pc.is_valid(texts).to_numpy(zero_copy_only=False))
    offsets = np.searchsorted(owner[kept], np.arange(count + 1))
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), texts.take(pa.array(kept)))
    return null_where(pc.binary_join(lists, separator), np.zeros(count, dtype=bool))
