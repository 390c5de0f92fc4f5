"""The mainframe's extract through its own feed: control totals decide before anything is published."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from connectors.ingest import FeedConfig, Ingest, load_feeds
from connectors.paths import Paths
from tests.support.ingest import make_connections, raw_rows
from tests.support.sftp_server import SftpTestServer

FEEDS = Path(__file__).parents[3] / "orchestration" / "feeds"


def text(value: str, width: int) -> bytes:
    return value.ljust(width).encode("cp037")


def digits(value: int, width: int) -> bytes:
    return str(value).rjust(width, "0").encode("cp037")


def packed(value: int, count: int) -> bytes:
    nibbles = str(abs(value)).rjust(count, "0") + ("d" if value < 0 else "c")
    return bytes.fromhex(nibbles.rjust(len(nibbles) + len(nibbles) % 2, "0"))


def record(kind: str, *fields: bytes) -> bytes:
    body = text(kind, 1) + b"".join(fields)
    return (len(body) + 4).to_bytes(2, "big") + b"\0\0" + body


def bill(number: int, cents: int) -> bytes:
    dates = [digits(day, 8) for day in (20261001, 20261101, 20261102, 20261120)]
    amounts = [packed(512_345, 10), packed(cents, 9)]
    return record("B", digits(number, 12), digits(77, 12), *dates, *amounts, text("A", 1), text("N", 1))


def extract(
    amounts: list[int], *, declared_bills: int | None = None, declared_cents: int | None = None
) -> bytes:
    header = record(
        "H", text("CISNIGHT", 8), digits(20261115, 8), digits(20261115233000, 14), text("CIS1", 8)
    )
    bills = [bill(number, cents) for number, cents in enumerate(amounts, start=1)]
    count = len(amounts) if declared_bills is None else declared_bills
    cents = sum(amounts) if declared_cents is None else declared_cents
    counts = [0, 0, 0, 0, count, 0]
    trailer = record("Z", *(value.to_bytes(4, "big") for value in counts), packed(cents, 13), packed(0, 13))
    return header + b"".join(bills) + trailer


@pytest.fixture
def feed() -> FeedConfig:
    return load_feeds(FEEDS)["cis"]


@pytest.fixture
def ingest(tmp_path: Path, paths: Paths, server: SftpTestServer) -> Ingest:
    return Ingest(paths, make_connections(tmp_path, server.connection("cis_sftp")))


def drop(server: SftpTestServer, data: bytes, day: int = 15) -> None:
    folder = server.root / "cis" / "outgoing"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"CIS.EXTRACT.D2611{day:02d}.dat").write_bytes(data)
    (folder / f"CIS.EXTRACT.D2611{day:02d}.done").touch()


def test_an_extract_loads_with_its_totals(
    ingest: Ingest, feed: FeedConfig, server: SftpTestServer, paths: Paths
) -> None:
    drop(server, extract([10_050, 2_001, -500]))
    (outcome,) = ingest.run(feed).files
    assert outcome.state == "loaded", outcome.message
    assert outcome.rows == {"header": 1, "bill": 3, "trailer": 1}
    totals = {total["name"]: (total["declared"], total["found"]) for total in outcome.control_totals}
    assert totals["bills"] == (3, 3)
    assert totals["bill amount"] == ("115.51", "115.51")
    rows = raw_rows(paths, "cis", "bill").to_pylist()
    assert sorted(str(row["amount"]) for row in rows) == ["-5.00", "100.50", "20.01"]
    assert {(row["bill_no"], row["due_date"]) for row in rows} == {
        (1, 20261120),
        (2, 20261120),
        (3, 20261120),
    }
    assert raw_rows(paths, "cis", "customer").num_rows == 0
    assert ingest.run(feed).rows == {}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (extract([100, 200], declared_bills=3), "bills"),
        (extract([100, 200], declared_cents=301), "bill amount"),
        (extract([100, 200])[:-7], "CIS.EXTRACT.D261115.dat"),
        (extract([100, 200])[:-60], "CIS.EXTRACT.D261115.dat"),
        (b"", "CIS.EXTRACT.D261115.dat"),
    ],
    ids=["count", "sum", "truncated in the trailer", "truncated before the trailer", "empty"],
)
def test_a_wrong_or_missing_trailer_refuses_the_file_and_loses_nothing(
    ingest: Ingest, feed: FeedConfig, server: SftpTestServer, paths: Paths, data: bytes, said: str
) -> None:
    drop(server, data)
    drop(server, extract([700]), day=14)
    report = ingest.run(feed)
    (refused,) = report.refused
    assert said in refused.message
    assert "\n" not in refused.message
    assert report.rows == {"header": 1, "bill": 1, "trailer": 1}, "the other file of the feed is loaded"
    assert raw_rows(paths, "cis", "bill").num_rows == 1
    assert (paths.landing / "cis" / refused.file_id / "CIS.EXTRACT.D261115.dat").read_bytes() == data

    # The sender puts it right under the same name.
    drop(server, extract([100, 200]))
    assert ingest.run(feed).rows == {"header": 1, "bill": 2, "trailer": 1}


def test_the_copybook_is_the_contract() -> None:
    assert yaml.safe_load((FEEDS / "cis" / "defs.yaml").read_text())["attributes"]["file"]["settings"][
        "copybook"
    ] == ("cis_extract.cpy")
    lines = (FEEDS / "cis" / "cis_extract.cpy").read_text().splitlines()
    assert max(map(len, lines)) <= 72
    assert sum("REDEFINES HEADER-REC" in line for line in lines) == 7
