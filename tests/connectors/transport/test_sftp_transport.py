"""What an SFTP server may do to us, and what comes of it."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path

import asyncssh
import pytest

from connectors.connections import check
from connectors.transport import TransportError
from connectors.transport.hostkey import HostKeyError
from connectors.transport.sftp import RefusedEntry, SftpTransport, unsafe_name
from tests.support.sftp_server import PASSWORD, SftpTestServer, serve_sftp


@pytest.fixture
def server(tmp_path: Path):
    with serve_sftp(tmp_path / "remote") as running:
        yield running


def put(server: SftpTestServer, name: str, data: bytes) -> None:
    (server.root / name).write_bytes(data)


def test_an_unpinned_host_key_is_refused_before_the_password_is_sent(server: SftpTestServer) -> None:
    pinned, expected = server.public_host_key, server.fingerprint
    server.change_host_key()
    with pytest.raises(HostKeyError) as caught:
        SftpTransport(server.connection("cis_sftp", host_key=pinned)).__enter__()
    message = str(caught.value)
    assert f"127.0.0.1:{server.port}" in message
    assert expected in message
    assert server.fingerprint in message
    assert "cis_sftp" in message
    assert "\n" not in message


def test_a_host_key_of_another_type_is_refused_too(server: SftpTestServer) -> None:
    pinned = server.public_host_key
    server.change_host_key("ecdsa-sha2-nistp256")
    with pytest.raises(HostKeyError, match="not the pinned one"):
        SftpTransport(server.connection(host_key=pinned)).__enter__()


def test_an_rsa_host_key_can_be_pinned(server: SftpTestServer) -> None:
    server.change_host_key("ssh-rsa")
    with SftpTransport(server.connection()) as sftp:
        assert sftp.list("/").files == []


@pytest.mark.parametrize(
    "text", ["", "ssh-ed25519", "ssh-ed25519 not-base64!", "ssh-rsa AAAAC3NzaC1lZDI1NTE5"]
)
def test_a_pinned_key_that_is_none_is_said_so(server: SftpTestServer, text: str) -> None:
    with pytest.raises(HostKeyError, match="is not a public key"):
        SftpTransport(server.connection(host_key=text)).__enter__()


def test_a_wrong_password_names_connection_host_and_user_but_not_the_password(server: SftpTestServer) -> None:
    with pytest.raises(TransportError) as caught:
        SftpTransport(server.connection("cis_sftp", password="wrong-horse")).__enter__()
    message = str(caught.value)
    assert message == (
        f"connection cis_sftp: 127.0.0.1:{server.port} does not let user gridcrm in: wrong password"
    )


def test_a_private_key_lets_us_in(tmp_path: Path) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    plain, locked = tmp_path / "key", tmp_path / "locked"
    plain.write_bytes(key.export_private_key())
    locked.write_bytes(key.export_private_key(passphrase="open sesame"))
    with serve_sftp(tmp_path / "remote", authorized_key=key.convert_to_public()) as server:
        for changes in (
            {"private_key_path": plain},
            {"private_key_path": locked, "private_key_passphrase": "open sesame"},
        ):
            with SftpTransport(server.connection(password=None, **changes)) as sftp:
                assert sftp.list("/").files == []
        with pytest.raises(TransportError, match="private key cannot be read"):
            SftpTransport(server.connection(password=None, private_key_path=locked)).__enter__()
        with pytest.raises(TransportError, match="it wants publickey"):
            SftpTransport(server.connection()).__enter__()


def test_a_server_that_is_not_there(server: SftpTestServer) -> None:
    with pytest.raises(TransportError, match=r"connection test_sftp: 127\.0\.0\.1:1 cannot be reached"):
        SftpTransport(server.connection(port=1)).__enter__()


def test_check_says_it_in_one_line(server: SftpTestServer) -> None:
    good, bad = check(server.connection()), check(server.connection(password="no"))
    assert good.ok
    assert not bad.ok
    assert PASSWORD not in good.message + bad.message
    assert "no" not in bad.message.split()[-1]


def test_names_that_are_paths_or_have_control_characters_are_refused(
    server: SftpTestServer, tmp_path: Path
) -> None:
    put(server, "good.csv", b"x")
    server.extra_names = [
        b"../evil.csv",
        b"/etc/evil.csv",
        b"a\\evil.csv",
        b"evil\n.csv",
        b"ev\xc2\x80il.csv",
    ]
    with SftpTransport(server.connection()) as sftp:
        listing = sftp.list("/")
    assert [item.name for item in listing.files] == ["good.csv"]
    assert len(listing.refused) == 5
    assert all("\n" not in entry.name + entry.reason for entry in listing.refused)
    assert listing.names == {"good.csv"}


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a\x00b", "a\u202eb", "x" * 241])
def test_unsafe_names(name: str) -> None:
    assert unsafe_name(name)


@pytest.mark.parametrize("name", ["NEM12#2026111501#RIVERB#GRIDCRM.zip", "ä b.csv", "...x"])
def test_safe_names(name: str) -> None:
    assert unsafe_name(name) is None


def test_a_symbolic_link_is_refused_and_a_folder_passed_over(server: SftpTestServer, tmp_path: Path) -> None:
    put(server, "real.csv", b"x")
    os.symlink("/etc/passwd", server.root / "link.csv")
    (server.root / "folder.csv").mkdir()
    with SftpTransport(server.connection()) as sftp:
        listing = sftp.list("/", lambda name: name.endswith(".csv"))
    assert [item.name for item in listing.files] == ["real.csv"]
    assert listing.refused == [RefusedEntry("link.csv", "refused in /: it is a symbolic link")]


def test_a_cut_download_goes_on_where_it_stopped(server: SftpTestServer, tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    put(server, "big.bin", data)
    server.cut_after_bytes = 2_000_000
    part = tmp_path / "big.part"
    with SftpTransport(server.connection()) as sftp:
        (remote,) = sftp.list("/").files
        download = sftp.download(remote, part)
    assert part.read_bytes() == data
    assert download.sha256 == hashlib.sha256(data).hexdigest()
    assert server.cut_after_bytes is None


def test_a_killed_download_goes_on_in_the_next_process(server: SftpTestServer, tmp_path: Path) -> None:
    data = os.urandom(1_000_000)
    put(server, "big.bin", data)
    part = tmp_path / "big.part"
    with SftpTransport(server.connection()) as sftp:
        (remote,) = sftp.list("/").files
        sftp.download(remote, part)
        # What a kill leaves: a shorter part, and the note of what it is a part of.
        note = part.with_name("big.part.json")
        part.write_bytes(data[:600_000])
        note.write_text(json.dumps(asdict(remote), sort_keys=True))
        server.bytes_read = 0
        download = sftp.download(remote, part)
        assert download.resumed_from == 600_000
        assert part.read_bytes() == data
        assert server.bytes_read < 500_000 + 64 * 1024

        part.write_bytes(b"x" * 600_000)
        note.write_text(json.dumps(asdict(remote), sort_keys=True))
        download = sftp.download(remote, part)
        assert download.resumed_from == 0, "a part with other bytes was gone on from"
        assert part.read_bytes() == data


def test_a_file_that_ends_early_is_not_taken(server: SftpTestServer, tmp_path: Path) -> None:
    put(server, "short.csv", b"x" * 100_000)
    server.truncate_to = 40_000
    with SftpTransport(server.connection()) as sftp:
        (remote,) = sftp.list("/").files
        with pytest.raises(
            TransportError, match="changed while it was read: 100000 bytes listed, 40000 read"
        ):
            sftp.download(remote, tmp_path / "part")
    assert not (tmp_path / "part").exists()


@pytest.mark.parametrize("from_file", [False, True])
def test_an_upload_appears_whole_and_replaces(
    server: SftpTestServer, tmp_path: Path, from_file: bool
) -> None:
    data = os.urandom(700_000)
    put(server, "list.csv", b"old")
    put(server, ".list.csv.tmp", b"left by a killed attempt, and longer" * 50_000)
    source: bytes | Path = data
    if from_file:
        source = tmp_path / "local"
        source.write_bytes(data)
    with SftpTransport(server.connection()) as sftp:
        sftp.put_atomic(source, "/list.csv")
        assert sftp.size("/list.csv") == len(data)
        assert sftp.read_bytes("/list.csv") == data
        sftp.remove("/list.csv")
        sftp.remove("/list.csv")
        assert sftp.size("/list.csv") is None
    assert list(server.root.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(server: SftpTestServer) -> None:
    with (
        SftpTransport(server.connection("cis_sftp")) as sftp,
        pytest.raises(TransportError, match=r"cis_sftp: listing /nowhere on .*: no such file or directory"),
    ):
        sftp.list("/nowhere")
