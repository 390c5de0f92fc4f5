"""IntervalReadings to columns: those the parser read one by one, and those taken as runs.

Belongs here: where in a reading its texts stand, and texts → columns, in the order of the file. Does not
belong here: resources (``feed``), what a reading is worth (``decoder``).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from connectors.formats.digits import parse_scaled
from connectors.formats.meter_xml.pending import (
    NONE,
    Columns,
    Pending,
    Qualities,
    Spans,
    as_spans,
    read_numbers,
)
from connectors.formats.meter_xml.rules import FINE
from connectors.formats.meter_xml.runs import Run, RunsOf
from connectors.formats.text_lines import Bytes

READING, BLOCK = "IntervalReading", "IntervalBlock"
LEAVES = {"value": "value", "cost": "cost", "currency": "currency"}
"""Columns by the tags directly in a reading, and one below."""
INNER = {("timePeriod", "start"): "time", ("timePeriod", "duration"): "seconds",
         ("ReadingQuality", "quality"): "quality"}  # fmt: skip
_PATHS = {**LEAVES, **{"/".join(path): name for path, name in INNER.items()}}
RUNS = RunsOf(READING, BLOCK, frozenset((*_PATHS, "consumptionTier", "tou", "cpp")))
"""Readings that may be taken as a run; tier, time of use and critical peak say nothing of the value."""
_NUMBERS = ("time", "seconds", "value", "cost", "currency")
_ROWS = 8192


class ReadingColumns:
    """Gathers readings in the order of the file and hands them to :class:`Pending` in batches."""

    def __init__(self, pending: Pending, qualities: Qualities) -> None:
        self._pending = pending
        self._qualities = qualities
        self._singles: list[tuple[int, int, int, int, dict[str, str]]] = []
        self._runs: list[tuple[int, int, Run]] = []

    def add(self, record_no: int, offset: int, holder: int, rule: int, texts: dict[str, str]) -> None:
        """Take one reading."""
        self._singles.append((record_no, offset, holder, rule, texts))
        if len(self._singles) >= _ROWS:
            self.flush()

    def add_run(self, record_no: int, holder: int, run: Run) -> None:
        """Take a run whose first reading has that record number."""
        if self._runs and self._runs[-1][2].view is not run.view:
            self.flush()
        self._runs.append((record_no, holder, run))

    def flush(self) -> None:
        """Hand over what was gathered."""
        parts = [part for part in (self._single_columns(), self._run_columns()) if part]
        self._singles, self._runs = [], []
        if len(parts) == 1:
            self._pending.add(parts[0])
        elif parts:
            both = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
            order = np.argsort(both["record_no"], kind="stable")
            self._pending.add({name: column[order] for name, column in both.items()})

    def _single_columns(self) -> Columns:
        rows = self._singles
        if not rows:
            return {}
        count = len(rows)
        view, (starts, ends) = as_spans([row[4].get(name) for name in _NUMBERS for row in rows])
        spans = {
            name: (starts[i * count : (i + 1) * count], ends[i * count : (i + 1) * count])
            for i, name in enumerate(_NUMBERS)
        }
        found = read_numbers(view, spans, count)
        number = self._qualities.number
        found["quality"] = np.array([number(row[4].get("quality", "")) for row in rows], dtype=np.int32)
        found["updated"] = np.full(count, NONE, dtype=np.int64)
        for i, name in enumerate(("record_no", "offset", "holder")):
            found[name] = np.array([row[i] for row in rows], dtype=np.int64)
        own = np.array([row[3] for row in rows], dtype=np.int8)
        found["rule"] = np.where(own != FINE, own, found["rule"])
        return found

    def _run_columns(self) -> Columns:
        runs = self._runs
        if not runs:
            return {}
        view = runs[0][2].view
        counts = [run.count for _, _, run in runs]
        count = sum(counts)
        spans = {}
        for path, name in _PATHS.items():
            if any(path in run.fields for _, _, run in runs):
                given = [run.fields.get(path) or _absent(run.count) for _, _, run in runs]
                spans[name] = (
                    np.concatenate([starts for starts, _ in given]),
                    np.concatenate([ends for _, ends in given]),
                )
        found = read_numbers(view, spans, count)
        found["quality"] = self._run_qualities(view, spans, count)
        found["updated"] = np.full(count, NONE, dtype=np.int64)
        found["record_no"] = np.concatenate([np.arange(run.count) + first for first, _, run in runs])
        found["offset"] = np.concatenate([run.offsets for _, _, run in runs])
        found["holder"] = np.repeat(np.array([holder for _, holder, _ in runs], dtype=np.int64), counts)
        return found

    def _run_qualities(self, view: Bytes, spans: Mapping[str, Spans], count: int) -> npt.NDArray[np.int32]:
        """Numbers of the qualities of runs: codes of one or two digits together, others one by one."""
        found = np.zeros(count, dtype=np.int32)
        if "quality" not in spans:
            return found
        starts, ends = spans["quality"]
        codes, bad = parse_scaled(view, starts, ends, 0)
        is_plain = ~bad & (codes >= 0) & (ends - starts == np.where(codes < 10, 1, 2))
        known, inverse = np.unique(codes[is_plain], return_inverse=True)
        numbers = [self._qualities.number(str(code)) for code in known.tolist()]
        found[is_plain] = np.array(numbers, dtype=np.int32)[inverse]
        for row in np.flatnonzero(~is_plain & (ends > starts)):
            found[row] = self._qualities.number(view[starts[row] : ends[row]].tobytes().decode())
        return found


def _absent(count: int) -> Spans:
    """Empty texts."""
    none = np.zeros(count, dtype=np.int64)
    return none, none
