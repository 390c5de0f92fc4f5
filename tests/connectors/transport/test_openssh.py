"""The SFTP transport with OpenSSH's own server, where it is installed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from connectors.transport import TransportError
from connectors.transport.hostkey import HostKeyError
from connectors.transport.sftp import Ahead, Listing, RemoteFile, SftpTransport
from tests.support.hostile_sftp import cutting_proxy
from tests.support.openssh import OpenSsh, missing, serve_openssh

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSsh]:
    with serve_openssh(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "remote"
    made.mkdir()
    return made


def listed(sftp: SftpTransport, folder: Path) -> Listing:
    return sftp.list(str(folder))


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_each_kind_of_host_key_can_be_pinned(server: OpenSsh, folder: Path, kind: str) -> None:
    (folder / "a.csv").write_bytes(b"a")
    with SftpTransport(server.connection(host_key_kind=kind)) as sftp:
        assert [file.name for file in listed(sftp, folder).files] == ["a.csv"]


def test_another_host_key_is_refused(server: OpenSsh, folder: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "other")], check=True)
    other = " ".join((folder / "other.pub").read_text().split()[:2])
    with pytest.raises(HostKeyError, match="is not the pinned one"):
        SftpTransport(server.connection(host_key=other)).__enter__()


def test_a_listing_knows_links_times_and_the_servers_clock(server: OpenSsh, folder: Path) -> None:
    (folder / "a.csv").write_bytes(b"abc")
    os.utime(folder / "a.csv", (1_700_000_000, 1_700_000_000))
    (folder / "link.csv").symlink_to("/etc/passwd")
    (folder / "sub").mkdir()
    os.mkfifo(folder / "pipe")
    (folder / os.fsdecode(b"latin\xe4.csv")).write_bytes(b"x")
    with SftpTransport(server.connection()) as sftp:
        found = listed(sftp, folder)
    assert found.files == [RemoteFile("a.csv", f"{folder}/a.csv", 3, 1_700_000_000)]
    assert {entry.name: entry.reason.rpartition(": ")[2] for entry in found.refused} == {
        "link.csv": "it is a symbolic link",
        "pipe": "it is no regular file",
        r"'latin\udce4.csv'": "it is not UTF-8",
    }
    assert found.server_clock == int(folder.stat().st_mtime)


def test_files_of_all_sizes_at_once(server: OpenSsh, folder: Path, tmp_path: Path) -> None:
    sizes = [0, 1, 9_999, 32_768, 32_769, 261_119, 261_120, 261_121, 1_048_577, 5_000_000]
    contents = {f"{number:03d}.bin": os.urandom(sizes[number % 10]) for number in range(60)}
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    with SftpTransport(server.connection()) as sftp:
        remotes = listed(sftp, folder).files
        results = list(sftp.download_many(remotes, lambda remote: tmp_path / "parts" / remote.name))
    assert [remote for remote, _ in results] == remotes
    for remote, result in results:
        assert not isinstance(result, TransportError)
        assert result.sha256 == hashlib.sha256(contents[remote.name]).hexdigest()
        assert result.resumed_from == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "parts").iterdir()} == contents


def test_other_requests_between_two_results(server: OpenSsh, folder: Path, tmp_path: Path) -> None:
    for number in range(300):
        (folder / f"{number:03d}.csv").write_bytes(b"%d" % number)
    with SftpTransport(server.connection()) as sftp:
        remotes = listed(sftp, folder).files
        for remote, result in sftp.download_many(remotes, lambda remote: tmp_path / remote.name):
            assert not isinstance(result, TransportError)
            assert sftp.read_bytes(remote.path) == (tmp_path / remote.name).read_bytes()


def test_who_stops_asking_can_go_on_with_the_session(server: OpenSsh, folder: Path, tmp_path: Path) -> None:
    for number in range(300):
        (folder / f"{number:03d}.bin").write_bytes(bytes(100_000))
    with SftpTransport(server.connection()) as sftp:
        remotes = listed(sftp, folder).files
        downloads = sftp.download_many(remotes, lambda remote: tmp_path / remote.name)
        next(downloads)
        downloads.close()
        assert len(listed(sftp, folder).files) == 300
        assert sftp.download(remotes[200], tmp_path / "one").size == 100_000


def test_a_run_of_files_asked_for_one_by_one(server: OpenSsh, folder: Path, tmp_path: Path) -> None:
    for number in range(200):
        (folder / f"{number:03d}.csv").write_bytes(b"%d" % number * 1000)
    with SftpTransport(server.connection()) as sftp:
        remotes = listed(sftp, folder).files
        (folder / "004.csv").unlink()
        ahead = Ahead(sftp, remotes[:150], lambda remote: tmp_path / remote.name)
        for remote in (remotes[0], remotes[3], remotes[199], remotes[140]):
            assert ahead.download(remote).size == remote.size
            assert (tmp_path / remote.name).read_bytes() == Path(remote.path).read_bytes()
        with pytest.raises(TransportError, match=r"004\.csv on .*no such file"):
            Ahead(sftp, remotes[4:5], lambda remote: tmp_path / remote.name).download(remotes[4])
        sftp.probe(remotes[0].path)
        with pytest.raises(TransportError, match="no such file"):
            sftp.probe(remotes[4].path)


def test_a_killed_download_goes_on(server: OpenSsh, folder: Path, tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (folder / "a.bin").write_bytes(data)
    part = tmp_path / "part"
    with SftpTransport(server.connection()) as sftp:
        (remote,) = listed(sftp, folder).files
        for there, resumed_from in ((data[:2_000_000], 2_000_000), (b"x" * 2_000_000, 0)):
            part.write_bytes(there)
            part.with_name("part.json").write_text(json.dumps(asdict(remote), sort_keys=True))
            download = sftp.download(remote, part)
            assert download.resumed_from == resumed_from
            assert download.sha256 == hashlib.sha256(data).hexdigest()
            assert part.read_bytes() == data
            assert not part.with_name("part.json").exists()


def test_a_connection_cut_at_every_64_kilobytes(server: OpenSsh, folder: Path, tmp_path: Path) -> None:
    data = os.urandom(300_000)
    (folder / "a.bin").write_bytes(data)
    with (
        cutting_proxy(server.port, 64 * 1024) as (port, sent),
        SftpTransport(server.connection(port=port)) as sftp,
    ):
        (remote,) = listed(sftp, folder).files
        download = sftp.download(remote, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == data
    assert download.sha256 == hashlib.sha256(data).hexdigest()
    assert len(sent) > 4


def test_an_upload_replaces(server: OpenSsh, folder: Path, tmp_path: Path) -> None:
    data = os.urandom(2_000_000)
    (tmp_path / "local").write_bytes(data)
    (folder / "list.csv").write_bytes(b"old")
    with SftpTransport(server.connection()) as sftp:
        for source in (tmp_path / "local", data, b""):
            sftp.put_atomic(source, f"{folder}/list.csv")
            assert (folder / "list.csv").read_bytes() == (source if isinstance(source, bytes) else data)
    assert [path.name for path in folder.iterdir()] == ["list.csv"]


@pytest.mark.skipif(os.getuid() == 0, reason="a superuser is allowed everything")
def test_what_is_not_allowed_is_said(server: OpenSsh, folder: Path, tmp_path: Path) -> None:
    (folder / "a.csv").write_bytes(b"a")
    (folder / "a.csv").chmod(0)
    with SftpTransport(server.connection()) as sftp:
        (remote,) = listed(sftp, folder).files
        with pytest.raises(TransportError, match="is not allowed to"):
            sftp.download(remote, tmp_path / "part")


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_memory_does_not_grow_with_the_file(server: OpenSsh, folder: Path, tmp_path: Path) -> None:
    with (folder / "large.bin").open("wb") as file:
        file.truncate(300_000_000)
    connection = json.dumps(server.connection().model_dump(mode="json"))
    done = subprocess.run(
        [sys.executable, "-c", ALONE, connection, str(folder), str(tmp_path / "part")],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    before, after = (int(kibibytes) for kibibytes in done.stdout.split())
    assert (tmp_path / "part").stat().st_size == 300_000_000
    assert after - before < 80 * 1024
    assert after < 200 * 1024


ALONE = """
import json, re, sys
from pathlib import Path
from connectors.connections import SftpConnection
from connectors.transport.sftp import SftpTransport
def peak():  # of this program alone; ru_maxrss remembers the process it was forked from
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
with SftpTransport(SftpConnection.model_validate(json.loads(sys.argv[1]))) as sftp:
    (remote,) = sftp.list(sys.argv[2]).files
    print(peak())
    sftp.download(remote, Path(sys.argv[3]))
    print(peak())
"""
