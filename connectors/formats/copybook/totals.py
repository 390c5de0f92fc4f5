"""Control totals of a copybook file: what its trailer declares against what the records hold.

Belongs here: reading the ``control_totals`` setting and keeping the sums. Does not belong here: decoding.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field as Setting

from connectors.formats.base import ControlTotal, FormatSettings, Number, RefusedFile, SettingsError

_FOUND = re.compile(r"^\s*(count|sum)\(\s*(\*|\w+)(?:\.(\w+))?\s*\)\s*$")
_DECLARED = re.compile(r"^\s*(\w+)\.(\w+)\s*$")


class TotalSettings(FormatSettings):
    """A control total: ``declared: trailer.bill_amount``, ``equals: sum(bill.amount)`` or ``count(bill)``."""

    name: str = Setting(description="What people call it.")
    declared: str = Setting(description="Where the file declares it: table.column, in exactly one record.")
    equals: str = Setting(description="What it must equal: count(table), count(*) or sum(table.column).")


@dataclass(frozen=True)
class _Total:
    name: str
    declared: tuple[str, str]
    function: str
    table: str
    column: str | None


class Totals:
    """Sums and counts of one file; records in quarantine count, since the sender counted them too."""

    def __init__(self, settings: Sequence[TotalSettings], schemas: Mapping[str, pa.Schema]) -> None:
        self._totals = [_parse(total, schemas) for total in settings]
        self._sums: dict[tuple[str, str], Number] = {}
        self._counts: dict[str, int] = {}
        self._declared: dict[tuple[str, str], list[Number | None]] = {}
        self._wanted = {(t.table, t.column) for t in self._totals if t.column}
        self._trailers = {t.declared for t in self._totals}

    def count(self, table: str, records: int) -> None:
        """Count physical records of a table."""
        self._counts[table] = self._counts.get(table, 0) + records

    def add(self, table: str, columns: Mapping[str, pa.Array]) -> None:
        """Take the values of decoded records, before any of them is put aside for another field."""
        for name, array in columns.items():
            key = (table, name)
            if key in self._wanted:
                # Whole numbers are summed as decimals: a sum of 64 bits would wrap around in silence.
                exact = array.cast(pa.decimal128(38, 0)) if pa.types.is_int64(array.type) else array
                found = pc.sum(exact).as_py()
                self._sums[key] = self._sums.get(key, 0) + (found or 0)
            if key in self._trailers:
                self._declared.setdefault(key, []).extend(array.to_pylist())

    def verify(self, file_name: str) -> list[ControlTotal]:
        """The totals, all of them right; raises :class:`RefusedFile` naming the first that is not."""
        totals = [self._result(total) for total in self._totals]
        for total, result in zip(self._totals, totals, strict=True):
            if result.ok:
                continue
            where = ".".join(total.declared)
            if result.declared is None:
                seen = len(self._declared.get(total.declared, []))
                detail = f"{where} is declared in {seen} readable records instead of exactly 1"
            else:
                detail = f"{where} declares {result.declared}, found {result.found}"
            raise RefusedFile(
                f"{file_name}: control total '{result.name}': {detail}; ask for the file again", totals
            )
        return totals

    def _result(self, total: _Total) -> ControlTotal:
        values = self._declared.get(total.declared, [])
        declared = values[0] if len(values) == 1 else None
        if total.function == "count":
            found: Number = (
                sum(self._counts.values()) if total.table == "*" else self._counts.get(total.table, 0)
            )
        else:
            found = self._sums.get((total.table, str(total.column)), Decimal(0))
        return ControlTotal(total.name, declared, found, declared is not None and declared == found)


def _parse(total: TotalSettings, schemas: Mapping[str, pa.Schema]) -> _Total:
    key = f"setting 'control_totals': '{total.name}'"
    declared, found = _DECLARED.match(total.declared), _FOUND.match(total.equals)
    if declared is None:
        raise SettingsError(f"{key}: declared must be table.column, not '{total.declared}'")
    if found is None or (found[1] == "sum") != bool(found[3]) or (found[2] == "*" and found[1] == "sum"):
        raise SettingsError(
            f"{key}: equals must be count(table), count(*) or sum(table.column), not '{total.equals}'"
        )
    wanted = [(declared[1], declared[2])] + ([(found[2], found[3])] if found[2] != "*" else [])
    for table, column in wanted:
        if table not in schemas:
            raise SettingsError(f"{key}: there is no table '{table}'; tables are {', '.join(schemas)}")
        if column is not None and column not in schemas[table].names:
            raise SettingsError(f"{key}: table '{table}' has no column '{column}'")
        kind = schemas[table].field(column).type if column else pa.int64()
        if not (pa.types.is_int64(kind) or pa.types.is_decimal(kind)):
            raise SettingsError(f"{key}: column '{table}.{column}' is not an exact number")
    return _Total(total.name, (declared[1], declared[2]), found[1], found[2], found[3])
