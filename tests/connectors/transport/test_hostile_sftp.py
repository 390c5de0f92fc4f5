"""A hostile SFTP server's listings and files: refused or survived, in one line and without a hang.

The server is in ``tests/support/hostile_sftp.py``; ``one_line`` is what every refusal must be.
"""

from __future__ import annotations

import gzip
import hashlib
import itertools
import os
import struct
from pathlib import Path

import pytest

from connectors.formats.archive import open_payloads
from connectors.formats.base import RefusedFile
from connectors.transport import TransientTransportError, TransportError
from connectors.transport.sftp import Listing, RemoteFile, listing
from connectors.transport.sftp import packets as p
from tests.support import hostile_sftp as hostile
from tests.support.hostile_sftp import (
    DATA,
    REMOTE,
    HostileServer,
    Request,
    one_line,
    session,
)
from tests.support.sftp_server import SftpTestServer, serve_sftp

pytestmark = pytest.mark.usefixtures("no_traceback")


def listed(server: SftpTestServer) -> Listing:
    with session(server) as sftp:
        return sftp.list("/in")


def test_the_server_is_honest_unless_told_otherwise(server: HostileServer, tmp_path: Path) -> None:
    with session(server) as sftp:
        (remote,) = sftp.list("/in").files
        assert remote == REMOTE
        assert sftp.download(remote, tmp_path / "part").sha256 == hashlib.sha256(DATA).hexdigest()
        assert sftp.read_bytes("/in/a.csv") == DATA


# Names and listings


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (b"../../etc/cron.d/evil", "path"),
        (b"/etc/cron.d/evil", "path"),
        (b"..\\evil.csv", "path"),
        (b"", "path"),
        (b"evil\n2026-01-01 all is well.csv", "control"),
        (b"evil\x1b[2J.csv", "control"),
        (b"evil\x00.csv", "control"),
        ("evil\u202evsc.exe".encode(), "control"),
        ("evil\u200b.csv".encode(), "control"),
        ("evil\u2028.csv".encode(), "control"),
        (b"evil\xff\xfe.csv", "UTF-8"),
        (b"evil\xc0\xaf.csv", "UTF-8"),
        (b"\xed\xa0\x80.csv", "UTF-8"),
        (b"x" * 100_000, "longer"),
    ],
)
def test_a_name_that_is_no_name(server: HostileServer, name: bytes, why: str) -> None:
    answer_listing(server, [(name, hostile.attributes(3)), (b"good.csv", hostile.attributes(3))])
    found = listed(server)
    assert [file.name for file in found.files] == ["good.csv"]
    assert found.names == {"good.csv"}
    (refused,) = found.refused
    assert why in refused.reason
    assert (refused.name + refused.reason).isprintable()
    assert len(refused.name) < 1000


@pytest.mark.parametrize(
    ("about", "why"),
    [
        (hostile.attributes(3, hostile.LINK), "symbolic link"),
        (hostile.attributes(3, hostile.PIPE), "no regular file"),
        (hostile.attributes(2**63), "impossible"),
        (hostile.attributes(2**64 - 1), "impossible"),  # what a negative size looks like
    ],
)
def test_an_entry_that_is_no_file_to_take(server: HostileServer, about: bytes, why: str) -> None:
    answer_listing(server, [(b"evil.csv", about)])
    found = listed(server)
    assert found.files == []
    assert [(entry.name, why in entry.reason) for entry in found.refused] == [("evil.csv", True)]


def test_an_entry_without_attributes_is_asked_about(server: HostileServer) -> None:
    nothing = struct.pack(">I", 0)
    answer_listing(server, [(b"a.csv", nothing)])
    assert listed(server).files == [REMOTE]
    server.answers[p.LSTAT] = lambda request: hostile.packet(p.ATTRS, request.number, nothing)
    assert "neither" in listed(server).refused[0].reason


def test_a_name_listed_twice(server: HostileServer) -> None:
    alike, other = hostile.attributes(3), hostile.attributes(4)
    answer_listing(
        server, [(b"same.csv", alike), (b"same.csv", alike), (b"two.csv", alike), (b"two.csv", other)]
    )
    found = listed(server)
    assert [file.name for file in found.files] == ["same.csv"]
    assert [entry.name for entry in found.refused] == ["two.csv"]


def test_a_listing_that_never_ends(server: HostileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "ENTRY_LIMIT", 1000)
    count = itertools.count()
    server.answers[p.READDIR] = lambda request: hostile.names(
        request.number, [(b"%d.csv" % next(count), hostile.attributes(3)) for _ in range(100)]
    )
    with session(server) as sftp, one_line(match="listing /in on .*more than 1,000 names"):
        sftp.list("/in")
    assert next(count) <= 1200


def test_a_listing_of_nothing_that_never_ends(server: HostileServer) -> None:
    server.answers[p.READDIR] = lambda request: hostile.names(request.number, [])
    with session(server) as sftp, one_line(match="does not end"):
        sftp.list("/in")


def answer_listing(server: HostileServer, entries: list[tuple[bytes, bytes]]) -> None:
    server.answers[p.READDIR] = lambda request: (
        None if server.requests[-2].kind == p.READDIR else hostile.names(request.number, entries)
    )


# Files


def refused_download(server: SftpTestServer, folder: Path, match: str, remote: RemoteFile = REMOTE) -> None:
    """The file is not taken, nothing of it stays, and the session goes on with the next file."""
    with session(server) as sftp:
        with one_line(match=match):
            sftp.download(remote, folder / "part")
        assert sftp.size("/nowhere") is None
    assert not (folder / "part").exists()
    assert not (folder / "part.json").exists()


def test_an_endless_file(server: HostileServer, tmp_path: Path) -> None:
    server.answers[p.READ] = lambda r: hostile.packet(p.DATA, r.number, p.string(b"x" * r.length))
    for size in (len(DATA), 3_000_000):
        remote = RemoteFile("a.csv", "/in/a.csv", size, 1)
        server.answers[p.FSTAT] = lambda r, size=size: hostile.packet(
            p.ATTRS, r.number, hostile.attributes(size)
        )
        refused_download(server, tmp_path, "longer than", remote)
    with session(server) as sftp, one_line(match="larger than the 1,000,000 bytes"):
        sftp.read_bytes("/in/a.csv", limit_bytes=1_000_000)


def test_a_size_that_lies(server: HostileServer, tmp_path: Path) -> None:
    for size in (len(DATA) - 1, len(DATA) + 1, 0):
        refused_download(server, tmp_path, "changed|longer", RemoteFile("a.csv", "/in/a.csv", size, 1))
    lie = hostile.attributes(len(DATA) + 1)
    server.answers[p.FSTAT] = server.answers[p.LSTAT] = lambda r: hostile.packet(p.ATTRS, r.number, lie)
    remote = RemoteFile("a.csv", "/in/a.csv", len(DATA) + 1, 1)
    with session(server) as sftp, one_line(match="10001 bytes listed, 10000 read, 10001 there now"):
        sftp.download(remote, tmp_path / "part")


def test_a_size_that_no_disk_has(server: HostileServer, tmp_path: Path) -> None:
    refused_download(server, tmp_path, "free on this disk", RemoteFile("a.csv", "/in/a.csv", 2**62, 1))
    assert p.READ not in {request.kind for request in server.requests}


def test_a_file_that_is_written_to_while_it_is_read(server: HostileServer, tmp_path: Path) -> None:
    later = hostile.attributes(len(DATA), modified_at=hostile.MODIFIED_AT + 1)
    server.answers[p.LSTAT] = lambda r: (
        hostile.packet(p.ATTRS, r.number, later) if "a.csv" in r.path else None
    )
    refused_download(server, tmp_path, "written to while it was read")


@pytest.mark.parametrize("size", [3, 100])
def test_a_link_put_in_place_of_a_file_after_the_listing(tmp_path: Path, size: int) -> None:
    with serve_sftp(tmp_path / "remote") as server, session(server) as sftp:
        (server.root / "a.csv").write_bytes(b"abc")
        (server.root / "secret").write_bytes(b"s" * size)
        (remote,) = sftp.list("/", lambda name: name == "a.csv").files
        (server.root / "a.csv").unlink()
        (server.root / "a.csv").symlink_to("secret")
        with one_line(match="symbolic link now" if size == 3 else "changed"):
            sftp.download(remote, tmp_path / "part")
        assert not (tmp_path / "part").exists()


def test_a_file_that_goes_away_does_not_keep_others(tmp_path: Path) -> None:
    with serve_sftp(tmp_path / "remote") as server, session(server) as sftp:
        for number in range(50):
            (server.root / f"{number:02d}.csv").write_bytes(b"%d" % number * 100)
        remotes = sftp.list("/").files
        (server.root / "07.csv").unlink()
        (server.root / "08.csv").write_bytes(b"more than was listed" * 100)
        results = list(sftp.download_many(remotes, lambda remote: tmp_path / "parts" / remote.name))
    assert [remote for remote, _ in results] == remotes
    failed = {remote.name: str(result) for remote, result in results if isinstance(result, TransportError)}
    assert failed.keys() == {"07.csv", "08.csv"}
    assert "reading /07.csv on 127.0.0.1" in failed["07.csv"]
    assert len(list((tmp_path / "parts").iterdir())) == 48


def test_more_data_than_was_asked_for(server: HostileServer, tmp_path: Path) -> None:
    data = p.string(b"x" * (len(DATA) + 2))
    server.answers[p.READ] = lambda r: hostile.packet(p.DATA, r.number, data)
    refused_download(server, tmp_path, "10,002 bytes came where 10,001 were asked for")


def test_crumbs(server: HostileServer, tmp_path: Path) -> None:
    server.answers[p.READ] = lambda r: hostile.packet(p.DATA, r.number, p.string(b"x"))
    refused_download(server, tmp_path, "in crumbs")
    assert len(server.requests) < 400


def test_answers_without_data(server: HostileServer, tmp_path: Path) -> None:
    server.answers[p.READ] = lambda r: hostile.packet(p.DATA, r.number, p.string(b""))
    refused_download(server, tmp_path, "0 bytes came")
    with session(server) as sftp, one_line(match="without a byte"):
        sftp.read_bytes("/in/a.csv")


def test_short_answers_are_asked_for_again(server: HostileServer, tmp_path: Path) -> None:
    def short(request: Request) -> bytes | None:
        piece = DATA[request.offset : request.offset + min(request.length, 999)]
        return hostile.packet(p.DATA, request.number, p.string(piece)) if piece else None

    server.answers[p.READ] = short
    with session(server) as sftp:
        sftp.download(REMOTE, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == DATA


def test_answers_in_any_order(server: HostileServer, tmp_path: Path) -> None:
    data = os.urandom(300_000)
    server.files["a.csv"] = data
    kept: list[bytes] = []

    def shuffled(request: Request) -> bytes | None:
        kept.append(server.honest(request, True))
        whole = request.offset + request.length > len(data)
        return b"".join(reversed(kept)) if whole else b""

    server.answers[p.READ] = shuffled
    with session(server) as sftp:
        (remote,) = sftp.list("/in").files
        download = sftp.download(remote, tmp_path / "part")
    assert len(kept) > 5
    assert (tmp_path / "part").read_bytes() == data
    assert download.sha256 == hashlib.sha256(data).hexdigest()


def test_an_answer_that_is_held_back_while_others_come(server: HostileServer, tmp_path: Path) -> None:
    size = 100_000_000
    about, piece = hostile.attributes(size), bytes(32 * 1024)
    server.answers[p.FSTAT] = lambda r: hostile.packet(p.ATTRS, r.number, about)
    server.answers[p.READ] = lambda r: (
        hostile.packet(p.DATA, r.number, p.string(piece[: r.length])) if r.offset else b""
    )
    with session(server, timeout_seconds=1) as sftp, one_line(TransientTransportError, match="no answer"):
        sftp.download(RemoteFile("a.csv", "/in/a.csv", size, 1), tmp_path / "part")
    asked = sum(request.length for request in server.requests if request.kind == p.READ)
    assert asked < 10_000_000, "what cannot be written yet is kept without a bound"


def test_a_packed_bomb_is_brought_and_not_unpacked(server: HostileServer, tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(64 * 1024 * 1024))
    server.files["a.csv"] = bomb
    with session(server) as sftp:
        sftp.download(sftp.list("/in").files[0], tmp_path / "bomb.gz")
    payloads = open_payloads(tmp_path / "bomb.gz")
    _, stream = next(payloads)
    with pytest.raises(RefusedFile, match=r"bomb\.gz"):
        stream.read()


def test_an_upload_where_the_server_cannot_replace(server: HostileServer) -> None:
    handle = p.string(b"h")
    server.answers[p.OPEN] = lambda r: hostile.packet(p.HANDLE, r.number, handle)
    server.answers[p.LSTAT] = lambda r: hostile.packet(p.ATTRS, r.number, hostile.attributes(len(DATA)))
    with session(server) as sftp:
        sftp.put_atomic(DATA, "/out/list.csv")
    assert [(request.kind, request.path) for request in server.requests[-3:]] == [
        (p.LSTAT, "/out/list.csv"),
        (p.REMOVE, "/out/list.csv"),
        (p.RENAME, "/out/.list.csv.tmp"),
    ]


def test_an_upload_that_does_not_arrive(server: HostileServer) -> None:
    server.answers[p.OPEN] = lambda r: hostile.packet(p.HANDLE, r.number, p.string(b"h"))
    server.answers[p.LSTAT] = lambda r: hostile.packet(p.ATTRS, r.number, hostile.attributes(5))
    with session(server) as sftp:
        with pytest.raises(TransientTransportError, match="10000 bytes sent, 5 arrived"):
            sftp.put_atomic(DATA, "/out/list.csv")
        server.answers[p.WRITE] = lambda r: hostile.status(r.number, 4, "no space")
        with one_line(match="writing /out/list.csv on .*the server says: no space"):
            sftp.put_atomic(DATA, "/out/list.csv")
    assert p.RENAME not in {request.kind for request in server.requests}


def test_a_file_that_cannot_be_written_here(server: HostileServer, tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"")
    with session(server) as sftp, one_line(match="it cannot be written here: Not a directory"):
        sftp.download(REMOTE, tmp_path / "taken" / "part")
