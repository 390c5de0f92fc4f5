"""Fixed EBCDIC bills by copybook: megabytes a second, and records a second against coboljsonifier.

Belongs here: a deterministic file of a billing layout that both can read, the proof that both read the same,
and the two figures. Does not belong here: what the decoder can do besides (REDEFINES, variable records …),
since coboljsonifier refuses it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.measure import Comparison, Measure, in_turn
from connectors.formats import DecodeResult, Reject, decode

COPYBOOK = """\
       01  BILL-RECORD.
           05  RECORD-TYPE             PIC X(02).
           05  COMPANY-CODE            PIC 9(04).
           05  ACCOUNT-NO              PIC 9(12).
           05  CUSTOMER-NO             PIC 9(10).
           05  CUSTOMER-NAME           PIC X(30).
           05  ADDRESS-LINE            PIC X(30).
           05  CITY                    PIC X(20).
           05  STATE-CODE              PIC X(02).
           05  POSTCODE                PIC X(09).
           05  METER-SERIAL            PIC X(12).
           05  TARIFF-CODE             PIC X(06).
           05  BILL-NO                 PIC 9(12).
           05  PERIOD-START            PIC 9(08).
           05  PERIOD-END              PIC 9(08).
           05  ISSUED-DATE             PIC 9(08).
           05  DUE-DATE                PIC 9(08).
           05  BILL-DAYS               PIC S9(04) COMP.
           05  READ-PREVIOUS           PIC S9(09) COMP.
           05  READ-CURRENT            PIC S9(09) COMP.
           05  BILLED-KWH              PIC S9(09)V999 COMP-3.
           05  DEMAND-KW               PIC S9(05)V999 COMP-3.
           05  ENERGY-CHARGE           PIC S9(09)V99 COMP-3.
           05  FIXED-CHARGE            PIC S9(07)V99 COMP-3.
           05  TAX-AMOUNT              PIC S9(07)V99 COMP-3.
           05  TOTAL-AMOUNT            PIC S9(09)V99 COMP-3.
           05  BALANCE-FORWARD         PIC S9(09)V99.
           05  ADJUSTMENT              PIC S9(07)V99.
           05  SEQUENCE-NO             PIC S9(18) COMP.
           05  READ-TYPE               PIC X(01).
           05  PAYMENT-METHOD          PIC X(02).
           05  NOTES                   PIC X(40).
           05  FILLER                  PIC X(04).
"""
RECORD_BYTES = 300
RECORDS = 700_000
PEER_RECORDS = 10_000
"""The peer reads the first so many: its time per record is the same for all, and a run stays bearable."""
SETTINGS: Mapping[str, Any] = {
    "copybook": COPYBOOK,
    "code_page": "cp500",
    "trim": "both",
    "record_table": "bill",
}
FIXED_RATE = 100.0


def make_file(path: Path, records: int) -> None:
    """Write ``records`` bills, the same ones every time."""
    columns = _columns(np.random.default_rng(20260818), min(records, 50_000))
    part = np.concatenate(columns, axis=1)
    if part.shape[1] != RECORD_BYTES:
        raise AssertionError(f"the layout has {part.shape[1]} bytes")
    with path.open("wb") as file:
        for start in range(0, records, len(part)):
            file.write(part[: records - start].tobytes())


def _columns(chance: np.random.Generator, n: int) -> list[np.ndarray]:
    """The fields of ``n`` records in the copybook's order, each ``(n, width)`` bytes."""

    def number(low: int, high: int) -> np.ndarray:
        return chance.integers(low, high, n)

    def text(words: list[str], width: int) -> np.ndarray:
        table = np.array([list(word.ljust(width)[:width].encode("cp500")) for word in words], dtype=np.uint8)
        picked: np.ndarray = table[chance.integers(0, len(words), n)]
        return picked

    def serial(width: int) -> np.ndarray:
        return _zoned(number(0, 10**width), width)

    names = [
        f"{a} {b}" for a in ("ANNE", "JÜRGEN", "MARIA LUISA", "O'BRIAN") for b in ("SMITH", "GARCÍA", "LEE")
    ]
    streets = [
        f"{k} {street}" for k in range(1, 200) for street in ("MAIN STREET", "OAK AVENUE APT 4", "RIVER RD")
    ]
    dates = np.array([20260000 + 100 * month + day for month in range(1, 13) for day in range(1, 29)])
    day = [_zoned(chance.choice(dates, n), 8) for _ in range(4)]
    return [
        text(["BI"], 2), _zoned(number(1, 30), 4), serial(12), serial(10), text(names, 30), text(streets, 30),
        text(["RIVERTON", "PORT ANNE", "SPRINGFIELD HEIGHTS"], 20), text(["TX", "CA", "NY"], 2),
        text(["787010001", "90210"], 9), text(["M100200300", "ELS 4411 2230"], 12),
        text(["TOU-A", "FLAT"], 6), serial(12), *day, _binary(number(25, 36), 2),
        _binary(number(0, 999_999), 4), _binary(number(0, 999_999), 4),
        _packed(number(0, 10**8), 12), _packed(number(0, 10**6), 8),
        _packed(number(-(10**5), 10**7), 11), _packed(number(0, 10**5), 9),
        _packed(number(-(10**4), 10**6), 9), _packed(number(-(10**5), 10**8), 11),
        _zoned(number(-(10**6), 10**6), 11, signed=True), _zoned(number(-(10**4), 10**4), 9, signed=True),
        _binary(number(-(10**12), 10**17), 8), text(["A", "E"], 1), text(["DD", "CA", "CK", ""], 2),
        text(["", "", "", "READ BY CUSTOMER", "ACCESS REFUSED, ESTIMATED FROM LAST YEAR"], 40), text([""], 4),
    ]  # fmt: skip


def _digits(values: np.ndarray, width: int) -> np.ndarray:
    powers = 10 ** np.arange(width - 1, -1, -1, dtype=np.int64)
    digits: np.ndarray = (np.abs(values)[:, None] // powers % 10).astype(np.uint8)
    return digits


def _zoned(values: np.ndarray, width: int, signed: bool = False) -> np.ndarray:
    data = _digits(values, width) | np.uint8(0xF0)
    if signed:
        data[:, -1] = (data[:, -1] & 0x0F) | np.where(values < 0, 0xD0, 0xC0).astype(np.uint8)
    return data


def _packed(values: np.ndarray, digits: int) -> np.ndarray:
    nibbles = _digits(values, digits + 1 - digits % 2)
    sign = np.where(values < 0, 0xD, 0xC).astype(np.uint8)[:, None]
    nibbles = np.concatenate([nibbles, sign], axis=1)
    data: np.ndarray = nibbles[:, 0::2] << 4 | nibbles[:, 1::2]
    return data


def _binary(values: np.ndarray, size: int) -> np.ndarray:
    data: np.ndarray = values.astype(f">i{size}").view(np.uint8).reshape(len(values), size)
    return data


class _Count:
    """A sink that counts and lets go, as a writer of Parquet would."""

    def write(self, table: str, batch: pa.RecordBatch) -> None:
        """Let the rows go."""

    def reject(self, reject: Reject) -> None:
        """None is expected."""
        raise AssertionError(reject.reason)


class _Keep(_Count):
    def __init__(self) -> None:
        self.batches: list[pa.RecordBatch] = []

    def write(self, table: str, batch: pa.RecordBatch) -> None:
        """Keep the rows, to be compared."""
        self.batches.append(batch)


def _ours(path: Path, sink: _Count) -> DecodeResult:
    with path.open("rb") as stream:
        return decode(stream, "copybook", SETTINGS, sink, name=path.name)


def _peer_parser(folder: Path) -> Any:
    from coboljsonifier.config.parser_type_enum import ParseType
    from coboljsonifier.copybookextractor import CopybookExtractor
    from coboljsonifier.parser import Parser

    book = folder / "bill.cpy"
    book.write_text(COPYBOOK, encoding="ascii")
    return Parser(CopybookExtractor(str(book)).dict_book_structure, ParseType.BINARY_EBCDIC).build()


def _peers(path: Path, parser: Any) -> list[dict[str, Any]]:
    """Every record as the peer's documentation has it: parse the bytes, take the value."""
    found = []
    with path.open("rb") as stream:
        while record := stream.read(RECORD_BYTES):
            parser.parse(record)
            found.append(parser.value)
    return found


def _verify(small: Path, parser: Any) -> None:
    """Every field of every record the peer reads is the same in ours; fillers aside."""
    sink = _Keep()
    _ours(small, sink)
    ours = pa.Table.from_batches(sink.batches).drop_columns(["_record_no"]).to_pylist()
    theirs = [
        {
            name.lower().replace("-", "_"): value
            for name, value in row.items()
            if not name.startswith("FILLER")
        }
        for row in _peers(small, parser)
    ]
    if ours != theirs:
        raise AssertionError("ours and the peer read different records")
    if len(ours) != PEER_RECORDS or not any(isinstance(v, Decimal) for v in ours[0].values()):
        raise AssertionError("not every record was read")


def measure() -> Measure:
    """Ours on the whole file, the peer on its beginning, in turn."""
    with tempfile.TemporaryDirectory() as folder:
        large, small = Path(folder) / "bills.dat", Path(folder) / "first.dat"
        make_file(large, RECORDS)
        with large.open("rb") as stream:
            small.write_bytes(stream.read(PEER_RECORDS * RECORD_BYTES))
        parser = _peer_parser(Path(folder))
        _verify(small, parser)
        sink = _Count()
        if _ours(large, sink).loaded != RECORDS:
            raise AssertionError("not every record was loaded")
        ours, peer = in_turn(lambda: _ours(large, sink), lambda: _peers(small, parser))
        megabytes = large.stat().st_size / 1e6
    return Measure(
        "copybook",
        [
            Comparison("throughput", megabytes / ours, FIXED_RATE, "MB/s", 1.0),
            Comparison("records", RECORDS / ours, PEER_RECORDS / peer, "records/s", 50.0),
        ],
        {"peer_version": version("coboljsonifier"), "megabytes": round(megabytes, 1)},
    )
