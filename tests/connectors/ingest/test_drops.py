"""A feed's files come encrypted or nested, with the feed's own keys and limits."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from pysequoia import Tsk, encrypt

from connectors.connections import ConnectionConfigError, load_connections
from connectors.ingest import Ingest
from connectors.paths import Paths
from tests.support.ingest import calls_csv, make_connections, make_feed, raw_rows
from tests.support.sftp_server import PASSWORD, SftpTestServer

UTILITY, SENDER, STRANGER = (Tsk.generate(f"{name} <{name}@example.org>") for name in "usx")


def sealed(data: bytes, by: Tsk) -> bytes:
    message: bytes = encrypt(data, [UTILITY.extract_certificate()], signer=by.signer(), armor=False)
    return message


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, object]:
    (tmp_path / "key.asc").write_text(str(UTILITY))
    (tmp_path / "sender.asc").write_text(str(SENDER.extract_certificate()))
    return {"private_key_path": {"env": "KEY_FILE"}, "signed_by": str(tmp_path / "sender.asc")}


def opened(tmp_path: Path, paths: Paths, server: SftpTestServer, **env: str) -> Ingest:
    make_connections(tmp_path, server.connection())
    variables = {"TEST_SFTP_PASSWORD": PASSWORD, **env}
    return Ingest(paths, load_connections(tmp_path / "connections.yaml", variables))


def test_a_sealed_file_is_taken_and_one_that_is_not_as_agreed_is_refused(
    tmp_path: Path, paths: Paths, server: SftpTestServer, out: Path, keys: dict[str, object]
) -> None:
    feed = make_feed(tmp_path / "feeds", file__decrypt=keys)
    (out / "calls_20261101.csv.pgp").write_bytes(sealed(calls_csv(1, 3), SENDER))
    (out / "calls_20261102.csv.pgp").write_bytes(sealed(calls_csv(2, 3), STRANGER))
    (out / "calls_20261103.csv").write_bytes(calls_csv(3, 3))
    ingest = opened(tmp_path, paths, server, KEY_FILE=str(tmp_path / "key.asc"))
    report = ingest.run(feed)
    assert report.rows == {"call": 3}
    assert [refused.name for refused in report.refused] == ["calls_20261102.csv.pgp", "calls_20261103.csv"]
    assert "is not encrypted" in report.refused[1].message
    assert {row["call_id"] for row in raw_rows(paths, "calls", "call").to_pylist()} == {
        "D01-0", "D01-1", "D01-2",
    }  # fmt: skip
    assert ingest.replay(feed)[0].state == "refused", "a replay has the keys too"
    ingest.close()


def test_a_key_that_nobody_named_is_one_line(
    tmp_path: Path, paths: Paths, server: SftpTestServer, keys: dict[str, object]
) -> None:
    ingest = opened(tmp_path, paths, server)
    said = "feed calls: decrypt needs the environment variable KEY_FILE, which is not set"
    with pytest.raises(ConnectionConfigError, match=said):
        ingest.run(make_feed(tmp_path / "feeds", file__decrypt=keys))
    ingest.close()


@pytest.mark.parametrize(
    ("limit", "value"), [("max_members", 1), ("max_bytes", 20), ("max_depth", 1)], ids=lambda v: str(v)
)
def test_an_archive_keeps_to_the_limits_of_its_feed(
    ingest: Ingest, tmp_path: Path, out: Path, limit: str, value: int
) -> None:
    inner, outer = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        for day in (1, 2):
            archive.writestr(f"{day}.csv", calls_csv(day, 2))
    with zipfile.ZipFile(outer, "w") as archive:
        archive.writestr("inner.zip", inner.getvalue())
    (out / "calls_20261101.csv.zip").write_bytes(outer.getvalue())
    (refused,) = ingest.run(make_feed(tmp_path / "feeds", file__archive={limit: value})).refused
    assert "calls_20261101.csv.zip" in refused.message
    assert ingest.run(make_feed(tmp_path / "feeds")).rows == {"call": 4}
