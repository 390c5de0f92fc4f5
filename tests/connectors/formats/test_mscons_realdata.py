"""MSCONS against a real file: a month of quarter-hours, edited by hand before it was published."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pyarrow.compute as pc
from pydifact.segmentcollection import RawSegmentCollection

from tests.connectors.formats.sink import decoded


def _sample(realdata: Path) -> bytes:
    return (realdata / "mscons" / "MSCONS_TL_SAMPLE01.txt").read_bytes()


def test_every_quarter_hour_of_the_sample_is_loaded_where_begins_count(realdata: Path) -> None:
    sink, result = decoded(_sample(realdata), "mscons", {"interval_seconds": 900})
    table = sink.table("interval_reads")
    assert table.num_rows == 2_976
    assert pc.sum(table["value"]).as_py() == Decimal("680.282")
    assert pc.unique(table["interval_seconds"]).to_pylist() == [900]
    assert (result.records_read, result.quarantined) == (8_945, 0)
    assert [(total.name, total.declared) for total in result.control_totals] == [
        ("counted_by_unz", 1), ("counted_by_unt", 8_942)
    ]  # fmt: skip


def test_by_its_own_periods_one_ends_before_it_begins_and_is_put_aside(realdata: Path) -> None:
    """20 December, 16:45 to 16:00: what the length was is not for us to say."""
    data = _sample(realdata)
    sink, result = decoded(data, "mscons", {})
    assert sink.rules == [(5677, "bad_interval"), (5678, "parent_quarantined"), (5679, "parent_quarantined")]
    aside = sink.rejects[0]
    assert aside.raw == b"QTY+220:0,074" == data[aside.byte_offset :][: len(aside.raw)]
    values = sink.table("interval_reads")["value"]
    assert (len(values) + 1, pc.sum(values).as_py() + Decimal("0.074")) == (2_976, Decimal("680.282"))
    assert result.is_balanced


def test_pydifact_finds_the_same_segments(realdata: Path) -> None:
    data = _sample(realdata)
    assert (
        len(RawSegmentCollection.from_str(data.decode()).segments)
        == decoded(data, "mscons", {})[1].records_read
    )
