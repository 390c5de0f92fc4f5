"""NEM12: our decoder against nemreader, the parser on PyPI, and against DuckDB reading the bytes as CSV.

Belongs here: running the three on one file of 100,000 meter days, after seeing that they read the same. Does
not belong here: what the file looks like; see ``meter_days``.

Ours makes the canonical rows, all fifteen columns with exact decimals, and throws them away. nemreader makes
its tuples of floats. DuckDB cuts the lines into text columns, as many as the longest line has, and counts
what is in each, so that none is left unread; it converts nothing. Noted beside it are its other ways: lines
split into lists, and only one column asked for.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from math import fsum
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from nemreader import read_nem_file

from benchmarks.measure import Comparison, Measure, in_turn
from benchmarks.meter_days import write_meter_days
from connectors.formats import Reject, decode

METER_DAYS = 100_000
_MOST_FIELDS = 295  # 288 values of five minutes and seven others
_READ_CSV = "read_csv('{path}', header = false, auto_detect = false, quote = '', escape = '', {more})"


class CountingSink:
    """Counts rows; with ``keeps_sums`` their sum by service point and register as well."""

    def __init__(self, *, keeps_sums: bool = False) -> None:
        self.rows = 0
        self.sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        self._keeps_sums = keeps_sums

    def write(self, table: str, batch: pa.RecordBatch) -> None:
        """Take rows."""
        self.rows += batch.num_rows
        if self._keeps_sums:
            keys = ["service_point_id", "register_id"]
            sums = pa.Table.from_batches([batch]).group_by(keys).aggregate([("value", "sum")])
            for row in sums.to_pylist():
                self.sums[row[keys[0]], row[keys[1]]] += row["value_sum"]

    def reject(self, reject: Reject) -> None:
        """Nothing of the file is wrong."""
        raise RuntimeError(f"line {reject.record_no}: {reject.reason}")


def ours(path: Path, sink: CountingSink) -> None:
    """Decode to the canonical rows."""
    with path.open("rb") as stream:
        decode(stream, "nem12", {}, sink, name=path.name)


def measure() -> Measure:
    """Interval values a second: ours ÷ nemreader's, ours ÷ DuckDB's."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "meter_days.csv"
        values = write_meter_days(path, METER_DAYS)
        _check_same(path, values)
        works: list[Callable[[], object]] = [
            lambda: ours(path, CountingSink()),
            lambda: _duckdb(_columns(path)),
            lambda: _duckdb(_lists(path)),
            lambda: _duckdb(_one_column(path)),
            lambda: read_nem_file(str(path)),
        ]
        # All are warm from the check, in which nemreader took most of a minute.
        taken = in_turn(*works, warm=False)
        rate, columns, lists, one_column, theirs = (values / one for one in taken)
        return Measure(
            "nem12",
            [
                Comparison("nemreader", rate, theirs, "values/s", target=50),
                Comparison("duckdb_csv", rate, columns, "values/s", target=0.5),
            ],
            {
                "values": values,
                "megabytes": round(path.stat().st_size / 1e6, 1),
                "duckdb_lines_split_into_lists": round(lists),
                "duckdb_one_column_only": round(one_column),
            },
        )


def _check_same(path: Path, values: int) -> None:
    """Raise unless all three read everything; our sums are nemreader's, register by register."""
    sink = CountingSink(keeps_sums=True)
    ours(path, sink)
    readings = read_nem_file(str(path)).readings
    theirs = {
        (nmi, suffix): reads for nmi, registers in readings.items() for suffix, reads in registers.items()
    }
    if not sink.rows == values == sum(len(reads) for reads in theirs.values()):
        raise RuntimeError("the values read are not those written")
    if sink.sums.keys() != theirs.keys():
        raise RuntimeError("the registers are not the same")
    for key, reads in theirs.items():
        scale = 1000 if reads[0].uom.upper() == "WH" else 1
        if abs(float(sink.sums[key]) - fsum(read.read_value for read in reads) / scale) > 1e-6:
            raise RuntimeError(f"the sums of {key} differ")
    fields, filled = _fields(path)
    if sum(_duckdb(_columns(path))) != filled or _duckdb(_lists(path))[0] != fields:
        raise RuntimeError("DuckDB did not read every field")
    _duckdb(_one_column(path))


def _fields(path: Path) -> tuple[int, int]:
    """How many fields the file has, and how many of them hold something."""
    data = np.frombuffer(path.read_bytes().replace(b"\r\n", b"\n"), dtype=np.uint8)
    ends = np.flatnonzero((data == ord(",")) | (data == ord("\n")))
    return len(ends), int((np.diff(ends, prepend=-1) > 1).sum())


def _duckdb(query: str) -> tuple[int, ...]:
    """The one row of a query, asked of a database of its own."""
    with duckdb.connect() as connection:
        row: tuple[int, ...] = connection.execute(query).fetchall()[0]
        return row


def _wide(path: Path) -> str:
    columns = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(_MOST_FIELDS))
    more = f"delim = ',', null_padding = true, columns = {{{columns}}}"
    return _READ_CSV.format(path=path, more=more)


def _columns(path: Path) -> str:
    """Every field of every line, in columns."""
    return f"select {', '.join(f'count(c{i})' for i in range(_MOST_FIELDS))} from {_wide(path)}"


def _one_column(path: Path) -> str:
    """The lines are cut into columns, of which one is kept."""
    return f"select count(c98) from {_wide(path)}"


def _lists(path: Path) -> str:
    """Lines as they are, and each split into a list."""
    lines = _READ_CSV.format(path=path, more="delim = '\x01', columns = {'line': 'VARCHAR'}")
    return f"select sum(len(string_split(line, ','))) from {lines}"
