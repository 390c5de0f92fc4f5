"""The account of one block of segments: which rule each broke, if any, and what was loaded.

Belongs here: collecting verdicts and settling them. Does not belong here: the rules.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from connectors.formats.base import DecodeResult, Reject, TableSink
from connectors.formats.columns import BoolMask
from connectors.formats.segments.scan import Segments, Tags
from connectors.formats.text_lines import Ints


class Verdicts:
    """For each segment of a block the first rule it broke; ``reasons`` names the rules and says why."""

    def __init__(self, count: int, reasons: Mapping[str, str]) -> None:
        self._reasons = reasons
        self._codes = {rule: code for code, rule in enumerate(reasons, 1)}
        self.code = np.zeros(count, dtype=np.int16)

    def fail(self, rows: Ints, rule: str) -> None:
        """Mark segments; an earlier finding stays."""
        if len(rows):
            self.code[rows[self.code[rows] == 0]] = self._codes[rule]

    def is_bad(self, rows: Ints) -> BoolMask:
        """Which of the rows broke a rule."""
        bad: BoolMask = self.code[rows] != 0
        return bad

    def settle(self, result: DecodeResult, sink: TableSink, segments: Segments, tags: Tags) -> None:
        """Count the block's segments and hand the bad ones to quarantine, in file order."""
        bad = np.flatnonzero(self.code)
        result.records_read += len(segments)
        result.loaded += len(segments) - len(bad)
        counts = np.bincount(tags.of(segments), minlength=len(tags.names))
        for name, count in zip(tags.names, counts.tolist(), strict=True):
            result.add_type(name or "other", count)
        rules = list(self._reasons.items())
        for row in bad.tolist():
            rule, reason = rules[self.code[row] - 1]
            number, offset = int(segments.number[row]), segments.offset(row)
            result.reject(sink, Reject(number, offset, segments.raw(row), rule, reason))
