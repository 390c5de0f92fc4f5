"""A real SFTP server (asyncssh) in a thread, well-behaved or hostile on demand.

Use ``with serve_sftp(root) as server:`` and give ``server.connection("name")`` to the transport.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncssh

from connectors.connections import SftpConnection

USERNAME = "gridcrm"
PASSWORD = "correct-horse"


class SftpTestServer:
    """The server; its attributes may be changed while it runs."""

    def __init__(self, root: Path, *, authorized_key: asyncssh.SSHKey | None = None) -> None:
        self.root = root
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.authorized_key = authorized_key
        self.port = 0
        self.extra_names: list[bytes] = []
        """Names put into every listing, whatever lies on disk."""

        self.cut_after_bytes: int | None = None
        """The connection is cut once when so many bytes were read; then None again."""

        self.truncate_to: int | None = None
        """Reads end here although the listing says otherwise."""

        self.bytes_read = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def public_host_key(self) -> str:
        return " ".join(self.host_key.export_public_key().decode().split()[:2])

    @property
    def fingerprint(self) -> str:
        return self.host_key.get_fingerprint()

    def connection(self, name: str = "test_sftp", **changes: Any) -> SftpConnection:
        values = {
            "name": name,
            "host": "127.0.0.1",
            "port": self.port,
            "username": USERNAME,
            "password": PASSWORD,
            "host_key": self.public_host_key,
            "timeout_seconds": 10,
        }
        return SftpConnection.model_validate({**values, **changes})

    def start(self) -> None:
        self._thread.start()
        self._call(self._listen())

    def stop(self) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def change_host_key(self, kind: str = "ssh-ed25519") -> None:
        """Listen again on the same port with another host key."""
        self.host_key = asyncssh.generate_private_key(kind)
        self._call(self._close())
        self._call(self._listen())

    def _call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(15)

    async def _listen(self) -> None:
        self._acceptor = await asyncssh.listen(
            "127.0.0.1",
            self.port,
            server_host_keys=[self.host_key],
            server_factory=lambda: _Login(self),
            sftp_factory=lambda channel: _Files(channel, self),
            encoding=None,
        )
        self.port = self._acceptor.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._acceptor.close()
        await self._acceptor.wait_closed()


class _Login(asyncssh.SSHServer):
    def __init__(self, server: SftpTestServer) -> None:
        self._server = server

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return self._server.authorized_key is None

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (USERNAME, PASSWORD)

    def public_key_auth_supported(self) -> bool:
        return self._server.authorized_key is not None

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return key == self._server.authorized_key


class _Files(asyncssh.SFTPServer):
    def __init__(self, channel: Any, server: SftpTestServer) -> None:
        super().__init__(channel, chroot=str(server.root).encode())
        self._server = server
        self._ssh = channel.get_connection()

    async def scandir(self, path: bytes) -> Any:
        async for entry in super().scandir(path):
            yield entry
        for name in self._server.extra_names:
            attributes = asyncssh.SFTPAttrs(permissions=0o100644, size=3, mtime=1, atime=1)
            yield asyncssh.SFTPName(name, name, attributes)

    def read(self, file_obj: Any, offset: int, size: int) -> bytes:
        server = self._server
        if server.cut_after_bytes is not None and offset + size > server.cut_after_bytes:
            server.cut_after_bytes = None
            self._ssh.abort()
            raise asyncssh.SFTPConnectionLost("cut by the test")
        if server.truncate_to is not None:
            size = max(0, min(size, server.truncate_to - offset))
        data: bytes = super().read(file_obj, offset, size)
        server.bytes_read += len(data)
        return data


@contextmanager
def serve_sftp(root: Path, **settings: Any) -> Iterator[SftpTestServer]:
    root.mkdir(parents=True, exist_ok=True)
    server = SftpTestServer(root, **settings)
    server.start()
    try:
        yield server
    finally:
        server.stop()
