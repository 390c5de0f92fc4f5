"""OpenSSH's own server, where it is installed: with a configuration, keys and a port of its own.

Use ``with serve_openssh(folder) as server:`` after ``missing()`` said None. Belongs here: the server and the
command line of its client. Does not belong here: what is compared.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors.connections import SftpConnection

_HOST_KEY_KINDS = ("ed25519", "ecdsa", "rsa")


@dataclass(frozen=True)
class OpenSsh:
    """A running server; ``folder`` holds its keys and configuration."""

    folder: Path
    port: int

    def host_key(self, kind: str = "ed25519") -> str:
        """The public key of one kind as it is pinned: type and base64."""
        return " ".join((self.folder / f"host_{kind}.pub").read_text().split()[:2])

    def connection(self, *, host_key_kind: str = "ed25519", **changes: Any) -> SftpConnection:
        """What the transport takes."""
        values = {
            "name": "openssh",
            "host": "127.0.0.1",
            "port": self.port,
            "username": getpass.getuser(),
            "private_key_path": self.folder / "user",
            "host_key": self.host_key(host_key_kind),
            "timeout_seconds": 20,
        }
        return SftpConnection.model_validate({**values, **changes})

    def client(self, *commands: str, options: tuple[str, ...] = ()) -> None:
        """Run OpenSSH's ``sftp`` with ``commands`` in batch mode; CalledProcessError when one fails."""
        batch = self.folder / "batch"
        batch.write_text("\n".join(commands) + "\n")
        subprocess.run(
            [
                *("sftp", "-q", "-P", str(self.port), "-i", str(self.folder / "user"), *options),
                *("-o", f"UserKnownHostsFile={self.folder / 'known_hosts'}", "-o", "BatchMode=yes"),
                *("-F", "none", "-b", str(batch), f"{getpass.getuser()}@127.0.0.1"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )


def missing() -> str | None:
    """Why OpenSSH cannot be used here; None when it can."""
    absent = [name for name in ("sshd", "sftp", "ssh-keygen") if _program(name) is None]
    return f"OpenSSH is not installed: no {', '.join(absent)}" if absent else None


@contextmanager
def serve_openssh(folder: Path) -> Iterator[OpenSsh]:
    """Serve all this user may read and write; only the key made here is let in."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("user", *(f"host_{kind}" for kind in _HOST_KEY_KINDS)):
        kind = name.removeprefix("host_") if name != "user" else "ed25519"
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(folder / name)], check=True)
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where sshd of a superuser separates its privileges
    port = _free_port()
    server = OpenSsh(folder, port)
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {server.host_key()}\n")
    host_keys = "\n".join(f"HostKey {folder / f'host_{kind}'}" for kind in _HOST_KEY_KINDS)
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\n{host_keys}\nAuthorizedKeysFile {folder / 'user.pub'}\n"
        f"PidFile {folder / 'pid'}\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n"
        "PasswordAuthentication no\nSubsystem sftp internal-sftp\nLogLevel ERROR\n"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(_program("sshd")), "-D", "-e", "-f", str(folder / "sshd_config")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        _wait_until_it_listens(process, port, folder / "log")
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def _program(name: str) -> str | None:
    # sshd lies where a user's path seldom looks, and must be called by its whole path.
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(100):
        if process.poll() is not None:
            raise RuntimeError(f"sshd ended: {log.read_text(errors='replace').strip()}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("sshd does not listen")
