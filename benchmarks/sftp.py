"""SFTP downloads against OpenSSH's own ``sftp`` client: loopback, the same sshd, the same disk.

One file of 1 GB, and 10,000 files of 10 kB by the faster of the client's two ways, ``get -r`` and ``get *``.
Each run logs in, lists, downloads into an empty folder and logs out; ours also hashes each file, which the
client does not. What both brought is compared by hash before anything is timed. Peak memory is that of a
process that does nothing but the large download (Linux only).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import Comparison, Measure, in_turn, seconds
from connectors.connections import SftpConnection
from connectors.transport import TransportError
from connectors.transport.sftp import SftpTransport
from tests.support.openssh import OpenSsh, missing, serve_openssh

_LARGE_BYTES = 1_000_000_000
_SMALL_BYTES = 10_000
_SMALL_FILES = 10_000


def measure() -> Measure:
    """Exit code 2 where OpenSSH is not installed."""
    if why := missing():
        print(f"{why}; on Debian: apt-get install openssh-server openssh-client", file=sys.stderr)
        raise SystemExit(2)
    with tempfile.TemporaryDirectory(prefix="bench-sftp-") as name:
        root = Path(name)
        _make_input(root / "remote")
        with serve_openssh(root / "sshd") as server:
            bench = _Bench(root, server)
            bench.verify()
            large = in_turn(bench.ours_large, bench.peer_large)
            other_way = seconds(bench.peer_small_by_pattern), seconds(bench.peer_small)
            by_pattern = other_way[0] < other_way[1]
            peer_small = bench.peer_small_by_pattern if by_pattern else bench.peer_small
            small = in_turn(bench.ours_small, peer_small)
            peak = bench.peak_mebibytes()
    return Measure(
        "sftp",
        [
            Comparison(
                "one file of 1 GB", _LARGE_BYTES / 1e6 / large[0], _LARGE_BYTES / 1e6 / large[1], "MB/s", 0.5
            ),
            Comparison(
                "10,000 files of 10 kB", _SMALL_FILES / small[0], _SMALL_FILES / small[1], "files/s", 1.5
            ),
        ],
        notes={
            "peer": "OpenSSH sftp, default cipher, " + ("get *" if by_pattern else "get -r"),
            "peak_mebibytes_of_the_large_download": peak,
        },
    )


class _Bench:
    """The downloads; each empties its folder first, so that nothing is there to go on from."""

    def __init__(self, root: Path, server: OpenSsh) -> None:
        self._remote = root / "remote"
        self._ours, self._peer = root / "ours", root / "peer"
        self._server = server

    def ours_large(self) -> None:
        _download(self._server.connection(), self._remote / "large", _emptied(self._ours))

    def peer_large(self) -> None:
        self._server.client(f"get {self._remote}/large/large.bin {_emptied(self._peer)}/")

    def ours_small(self) -> None:
        _download(self._server.connection(), self._remote / "small", _emptied(self._ours))

    def peer_small(self) -> None:
        self._server.client(f"get -r {self._remote}/small {_emptied(self._peer)}/")

    def peer_small_by_pattern(self) -> None:
        self._server.client(f"get {self._remote}/small/* {_emptied(self._peer)}/")

    def verify(self) -> None:
        """Both bring all files, byte for byte."""
        for which in ("large", "small"):
            expected = _hashes(self._remote / which)
            ours: Callable[[], None] = getattr(self, f"ours_{which}")
            peer: Callable[[], None] = getattr(self, f"peer_{which}")
            ours()
            peer()
            for folder in (self._ours, self._peer):
                if _hashes(folder) != expected:
                    raise RuntimeError(f"{which}: what is in {folder.name} is not what is on the server")

    def peak_mebibytes(self) -> int | None:
        """The resident memory of a process that downloads the large file, at its highest."""
        if sys.platform != "linux":
            return None
        connection = self._server.connection().model_dump(mode="json")
        arguments = [json.dumps(connection), str(self._remote / "large"), str(_emptied(self._ours))]
        done = subprocess.run(
            [sys.executable, "-c", _ALONE, *arguments], check=True, capture_output=True, text=True
        )
        return int(done.stdout)


_ALONE = """
import json, re, sys
from pathlib import Path
from benchmarks.sftp import _download
from connectors.connections import SftpConnection
_download(SftpConnection.model_validate(json.loads(sys.argv[1])), Path(sys.argv[2]), Path(sys.argv[3]))
print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""


def _download(connection: SftpConnection, remote: Path, folder: Path) -> None:
    with SftpTransport(connection) as sftp:
        listing = sftp.list(str(remote))
        for file, result in sftp.download_many(listing.files, lambda file: folder / file.name):
            if isinstance(result, TransportError) or result.size != file.size:
                raise RuntimeError(f"{file.name}: {result}")


def _make_input(remote: Path) -> None:
    (remote / "large").mkdir(parents=True)
    (remote / "small").mkdir()
    with (remote / "large" / "large.bin").open("wb") as file:
        for _ in range(100):
            file.write(os.urandom(_LARGE_BYTES // 100))
    for number in range(_SMALL_FILES):
        (remote / "small" / f"reads_{number:05d}.csv").write_bytes(os.urandom(_SMALL_BYTES))


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def _hashes(folder: Path) -> dict[str, str]:
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found
