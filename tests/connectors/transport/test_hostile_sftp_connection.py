"""A hostile SFTP server's protocol and connection: refused or survived, in one line and without a hang.

The servers are in ``tests/support/hostile_sftp.py``; ``one_line`` is what every refusal must be.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from connectors.transport import TransientTransportError, TransportError
from connectors.transport.hostkey import HostKeyError
from connectors.transport.sftp import Ahead, SftpTransport
from connectors.transport.sftp import packets as p
from tests.support import hostile_sftp as hostile
from tests.support.hostile_sftp import (
    REMOTE,
    HostileServer,
    Request,
    cutting_proxy,
    one_line,
    serve_bytes,
    session,
)
from tests.support.sftp_server import serve_sftp

pytestmark = pytest.mark.usefixtures("no_traceback")


# The protocol


GARBAGE = {
    "text": b"This service allows sftp connections only.\n" * 3,
    "oversize": struct.pack(">I", 2**32 - 1) + b"x" * 100,
    "empty": bytes(100),
    "unasked": hostile.packet(p.DATA, 12345, p.string(b"x")),
    "noise": bytes(range(256)) * 10,
    "a status of old": hostile.packet(p.STATUS, 0, struct.pack(">I", 4)),
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_instead_of_sftp(server: HostileServer, garbage: bytes, tmp_path: Path) -> None:
    server.answers[p.OPEN] = server.answers[p.OPENDIR] = lambda request: garbage
    with session(server) as sftp:
        with one_line(match="does not keep to SFTP version 3"):
            sftp.list("/in")
        with one_line(match="does not keep to SFTP version 3"):
            sftp.download(REMOTE, tmp_path / "part")
    server.version = garbage
    with one_line(match="does not keep to SFTP version 3"):
        session(server).__enter__()


def test_a_file_over_which_a_server_loses_its_senses_does_not_keep_others(
    server: HostileServer, tmp_path: Path
) -> None:
    server.files = {f"{number:02d}.csv": b"%d" % number * 100 for number in range(40)}
    for kind in (p.READ, p.LSTAT):
        server.answers[kind] = lambda r: b"?" * 100 if r.path in ("/in/07.csv", "/in/31.csv") else None
    with session(server) as sftp:
        remotes = sftp.list("/in").files
        results = list(sftp.download_many(remotes, lambda remote: tmp_path / remote.name))
    assert [remote for remote, _ in results] == remotes
    failed = [result for _, result in results if isinstance(result, TransportError)]
    assert [str(error).partition(" on ")[0] for error in failed] == [
        "connection test_sftp: reading /in/07.csv",
        "connection test_sftp: reading /in/31.csv",
    ]
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.csv")} == {
        name: data for name, data in server.files.items() if name not in ("07.csv", "31.csv")
    }


WRONG: dict[str, Callable[[Request], bytes]] = {
    "another kind": lambda r: hostile.packet(p.NAME, r.number, struct.pack(">I", 0)),
    "success without a handle": lambda r: hostile.status(r.number, 0),
    "another number": lambda r: hostile.packet(p.HANDLE, r.number + 7, p.string(b"h")),
    "twice": lambda r: 2 * hostile.packet(p.HANDLE, r.number, p.string(b"h")),
    "a field beyond the packet": lambda r: hostile.packet(p.HANDLE, r.number, struct.pack(">I", 2**31)),
    "no field at all": lambda r: hostile.packet(p.HANDLE, r.number),
}


@pytest.mark.parametrize("answer", WRONG.values(), ids=WRONG.keys())
def test_an_answer_that_is_none(
    server: HostileServer, answer: Callable[[Request], bytes], tmp_path: Path
) -> None:
    server.answers[p.OPEN] = server.answers[p.OPENDIR] = answer
    with session(server) as sftp:
        with one_line(match="does not keep to SFTP version 3"):
            sftp.list("/in")
        with one_line(match="does not keep to SFTP version 3"):
            sftp.download(REMOTE, tmp_path / "part")


def test_a_listing_of_four_billion_names_in_one_packet(server: HostileServer) -> None:
    server.answers[p.READDIR] = lambda r: hostile.packet(p.NAME, r.number, struct.pack(">I", 2**32 - 1))
    with session(server) as sftp, one_line(match="middle of a field"):
        sftp.list("/in")


def test_a_server_of_an_older_version(server: HostileServer) -> None:
    server.version = hostile.packet(p.VERSION, 2)
    with one_line(match="SFTP version 3"):
        session(server).__enter__()


def test_no_sftp(server: HostileServer) -> None:
    server.accepts_sftp = False
    with one_line(match="offers no SFTP"):
        session(server).__enter__()


def test_the_words_of_a_server_are_shown_as_one_line(server: HostileServer, tmp_path: Path) -> None:
    words = "quota\r\n\x1b[31mexceeded\u202e" + "!" * 100_000
    server.answers[p.OPEN] = lambda r: hostile.status(r.number, 4, words)
    with session(server) as sftp, one_line(match=r"the server says: quota \[31mexceeded !!!"):
        sftp.download(REMOTE, tmp_path / "part")


# The connection


def test_another_host_key_after_a_lost_connection(tmp_path: Path) -> None:
    with serve_sftp(tmp_path / "remote") as server:
        data = os.urandom(3_000_000)
        (server.root / "a.bin").write_bytes(data)
        pinned = server.connection()
        with (
            cutting_proxy(server.port, 1_000_000, at_cut=server.change_host_key) as (port, _),
            SftpTransport(pinned.model_copy(update={"port": port})) as sftp,
        ):
            (remote,) = sftp.list("/").files
            ahead = Ahead(sftp, [remote], lambda _: tmp_path / "part")
            for _ in range(2):
                with one_line(HostKeyError, match="is not the pinned one"):
                    ahead.download(remote)


def test_a_connection_cut_at_every_64_kilobytes(tmp_path: Path) -> None:
    with serve_sftp(tmp_path / "remote") as server:
        data = os.urandom(400_000)
        (server.root / "a.bin").write_bytes(data)
        with (
            cutting_proxy(server.port, 64 * 1024) as (port, sent),
            SftpTransport(server.connection(port=port)) as sftp,
        ):
            (remote,) = sftp.list("/").files
            download = sftp.download(remote, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == data
    assert download.sha256 == hashlib.sha256(data).hexdigest()
    assert len(sent) > 5, "a connection carried more than it could"
    assert max(sent) <= 64 * 1024
    assert sum(sent) < 3 * len(data), "what was there was brought again"


def test_many_files_over_connections_that_are_cut(tmp_path: Path) -> None:
    with serve_sftp(tmp_path / "remote") as server:
        contents = {f"{number:03d}.bin": os.urandom(500 * number) for number in range(100)}
        for name, data in contents.items():
            (server.root / name).write_bytes(data)
        with (
            cutting_proxy(server.port, 500_000) as (port, sent),
            SftpTransport(server.connection(port=port)) as sftp,
        ):
            remotes = sftp.list("/").files
            results = list(sftp.download_many(remotes, lambda remote: tmp_path / "in" / remote.name))
    assert [remote.name for remote, _ in results] == sorted(contents)
    assert {path.name: path.read_bytes() for path in (tmp_path / "in").iterdir()} == contents
    assert len(sent) > 3


def test_a_connection_that_is_cut_and_brings_nothing(tmp_path: Path) -> None:
    with serve_sftp(tmp_path / "remote") as server:
        (server.root / "a.bin").write_bytes(bytes(100_000))
        with SftpTransport(server.connection()) as sftp:
            (remote,) = sftp.list("/").files
        with cutting_proxy(server.port, 6_000) as (port, sent), one_line(TransientTransportError):
            SftpTransport(server.connection(port=port)).download(remote, tmp_path / "part")
        assert len(sent) == 3


@pytest.mark.parametrize("kind", [p.OPENDIR, p.READDIR, p.LSTAT, p.OPEN, p.READ])
def test_a_server_that_does_not_answer(server: HostileServer, kind: int, tmp_path: Path) -> None:
    server.answers[kind] = lambda request: b""
    silence = one_line(TransientTransportError, match="no answer within 0.3 seconds")
    with session(server, timeout_seconds=0.3) as sftp, silence:
        sftp.list("/in")
        sftp.size("/in/a.csv")
        sftp.download(REMOTE, tmp_path / "part")


def test_a_server_that_sends_half_an_answer_for_ever(server: HostileServer) -> None:
    server.answers[p.OPENDIR] = lambda request: struct.pack(">IBI", 200_000, p.HANDLE, request.number)
    server.drips = True
    too_slow = one_line(TransientTransportError, match="not one whole answer within 0.9 seconds")
    with session(server, timeout_seconds=0.3) as sftp, too_slow:
        sftp.list("/in")


def test_no_answer_to_the_first_packet(server: HostileServer) -> None:
    server.version = b""
    with one_line(TransientTransportError, match="no answer within"):
        session(server, timeout_seconds=0.3).__enter__()


BEFORE_SSH = {
    "silence": (b"", b""),
    "a banner without an end": (b"", b"x" * 65536),
    "banners without an end": (b"", b"welcome\r\n" * 1000),
    "silence after the banner": (b"SSH-2.0-OpenSSH_9.2\r\n", b""),
    "another protocol": (b"HTTP/1.1 400 Bad Request\r\n\r\n", b""),
    "an older SSH": (b"SSH-1.5-old\r\n", b""),
    "a packet of four gigabytes": (b"SSH-2.0-x\r\n" + struct.pack(">I", 2**32 - 4), b"x" * 65536),
    "a packet of no bytes": (b"SSH-2.0-x\r\n" + bytes(64), bytes(4096)),
    "noise": (b"SSH-2.0-x\r\n" + bytes(range(256)), bytes(range(255, 0, -1))),
    "an unreadable offer": (b"SSH-2.0-x\r\n" + struct.pack(">IBB", 28, 8, 20) + b"\xff" * 26, b""),
}


@pytest.mark.parametrize(("first", "then"), BEFORE_SSH.values(), ids=BEFORE_SSH.keys())
def test_what_comes_is_no_ssh(server: HostileServer, first: bytes, then: bytes) -> None:
    broken_off = one_line(TransientTransportError, match="broke off the SSH handshake: .+")
    with serve_bytes(first, then) as port, broken_off:
        session(server, port=port, timeout_seconds=1).__enter__()


def test_a_channel_that_never_opens(server: HostileServer) -> None:
    server.stalls_opening = True
    with one_line(TransientTransportError, match="it took longer than 1 seconds"):
        session(server, timeout_seconds=1).__enter__()
