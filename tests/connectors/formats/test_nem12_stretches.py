"""NEM12 cut into stretches: wherever it is cut, and however it is read, the outcome is the same."""

from __future__ import annotations

import io
from decimal import Decimal
from typing import Any, cast

import pytest

from connectors.formats import RefusedFile, decode
from connectors.formats.nem12 import survey
from tests.connectors.formats.corpus import nem12 as corpus
from tests.connectors.formats.encode import day, nem12
from tests.connectors.formats.sink import MemorySink, decoded

CHANNEL = "200,6100000777,E1B1,1,B1,M7,M200,Wh,15,"
_JULY = [day(f"202607{n:02d}", values=[f"{n}.{i:03d}" for i in range(48)]) for n in range(1, 29)]
_OTHER_JULY = [day(f"202607{n:02d}", values=[n * 1000] * 96) for n in range(1, 10)]
MANY = nem12(
    [
        *_JULY,
        day("20260801", quality="V"),
        "400,1,20,A,,",
        "400,21,48,S53,79,Meter fault",
        "500,N,,20260818101010,",
        "rubbish",
        day("20260702", updated="20260901000000", values=[7] * 48),
        "200,6100000777,E1B1,1,B1,M7,M200,Wh,15,",
        *_OTHER_JULY,
        day("20260710", values=["x"] * 96),
        "500,N,,20260818101010,",
        day("20260705", updated="20260701000000", values=[1] * 96),
        *corpus.WRAPPED.decode().split("\r\n")[1:-2],
    ]
).encode()


def _everything(data: bytes) -> tuple[Any, ...]:
    sink, result = decoded(data, "nem12", {})
    counts = (result.records_read, result.loaded, result.superseded, result.records_by_type)
    return sink.rows("interval_reads"), sink.rows("register_reads"), sink.rejects, counts


@pytest.mark.parametrize("size", [64, 150, 700, 5_000])
@pytest.mark.parametrize(
    "data",
    [MANY, corpus.FILE, corpus.WRAPPED, corpus.REGISTERS.encode()],
    ids=["many", "all", "wrapped", "cr"],
)
def test_it_does_not_matter_where_a_file_is_cut(
    data: bytes, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _everything(data)
    monkeypatch.setattr(survey, "_READ_BYTES", size)
    monkeypatch.setattr(survey, "STRETCH_FIELDS", 1)
    # Kept in memory as they were found, read again, or some of them so and some so.
    for kept in (survey.KEPT_BYTES, 0, len(data) // 2):
        monkeypatch.setattr(survey, "KEPT_BYTES", kept)
        assert _everything(data) == whole


def test_a_correction_far_behind_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "_READ_BYTES", 256)
    monkeypatch.setattr(survey, "STRETCH_FIELDS", 1)
    sink, result = decoded(MANY, "nem12", {})
    rows = sink.rows("interval_reads")
    assert result.superseded == 2  # what was corrected, and an older version that came later
    corrected = [row["value"] for row in rows if row["interval_start_at"].isoformat()[:13] == "2026-07-01T20"]
    assert corrected == [7, 7, *[Decimal(2)] * 4]
    other = [row["value"] for row in rows if row["interval_start_at"].isoformat()[:13] == "2026-07-04T20"]
    assert other == [Decimal("5.012"), Decimal("5.013"), *[Decimal(5)] * 4]


class _Once(io.RawIOBase):
    """A stream that can be read once, as a member of an archive."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._rest = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._rest.readinto(memoryview(buffer)[:1000])


def test_what_is_unpacked_on_the_way_is_read_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = MemorySink()
    result = decode(cast(Any, _Once(MANY)), "nem12", {}, sink, name="member")
    assert result.is_balanced
    assert (sink.rows("interval_reads"), sink.rejects) == (_everything(MANY)[0], _everything(MANY)[2])


def test_a_file_that_begins_within_its_stream() -> None:
    stream = io.BytesIO(b"elsewhere" + MANY)
    stream.seek(len(b"elsewhere"))
    sink = MemorySink()
    decode(stream, "nem12", {}, sink, name="part")
    assert sink.rows("interval_reads") == _everything(MANY)[0]


def test_a_file_that_shrinks_while_it_is_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "KEPT_BYTES", 0)

    class Shrinking(io.BytesIO):
        def seek(self, offset: int, whence: int = 0) -> int:
            self.truncate(1000)
            return super().seek(offset, whence)

    with pytest.raises(RefusedFile, match="became shorter while it was read"):
        decode(Shrinking(MANY), "nem12", {}, MemorySink(), name="file")


def test_records_without_end_behind_one_day_refuse_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "MOST_BYTES", 1_000)
    monkeypatch.setattr(survey, "_READ_BYTES", 512)
    monkeypatch.setattr(survey, "STRETCH_FIELDS", 1)
    with pytest.raises(RefusedFile, match="line 3: more than 1000 bytes before the next"):
        decoded(nem12([day(), *["500,N,,20260819101010,"] * 100]).encode(), "nem12", {})
