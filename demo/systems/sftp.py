"""The SFTP server of the simulated utility, and of the real sample files.

Belongs here: authentication, the closed root, which folders a client may write. Does not belong here: files.
"""

from __future__ import annotations

import asyncio
import hmac
import socket
from collections.abc import Sequence
from pathlib import Path

import asyncssh

from demo.systems.environment import USERNAME, write_private

_WRITING = asyncssh.FXF_WRITE | asyncssh.FXF_APPEND | asyncssh.FXF_CREAT | asyncssh.FXF_TRUNC


def host_key(file: Path) -> asyncssh.SSHKey:
    """The ed25519 host key kept in this file, generated on first use."""
    if not file.is_file():
        key = asyncssh.generate_private_key("ssh-ed25519", comment="")
        write_private(file, key.export_private_key().decode())
    return asyncssh.read_private_key(file)


def public_host_key(key: asyncssh.SSHKey) -> str:
    """``ssh-ed25519 AAAA…``, as a client pins it."""
    return " ".join(key.export_public_key().decode().split()[:2])


class _PasswordLogin(asyncssh.SSHServer):
    """One user, one password, compared in constant time."""

    def __init__(self, username: str, password: str, sessions: set[asyncssh.SSHServerConnection]) -> None:
        self._username, self._password = username.encode(), password.encode()
        self._sessions = sessions

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._session = conn
        self._sessions.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc  # a client may go as it likes
        self._sessions.discard(self._session)

    def password_auth_supported(self) -> bool:
        return True

    def begin_auth(self, username: str) -> bool:
        del username  # everybody has to authenticate
        return True

    def validate_password(self, username: str, password: str) -> bool:
        right_user = hmac.compare_digest(username.encode(), self._username)
        return hmac.compare_digest(password.encode(), self._password) and right_user


class _ClosedTree(asyncssh.SFTPServer):
    """Files below one root; changes only in the folders that are meant to receive."""

    def __init__(self, channel: asyncssh.SSHServerChannel, root: Path, writable: Sequence[str]) -> None:
        super().__init__(channel, chroot=str(root).encode())
        self._root = str(root.resolve()).encode()
        self._writable = tuple(folder.encode().strip(b"/") + b"/" for folder in writable)

    def _check(self, *paths: bytes) -> None:
        """Refuse what would change anything outside the writable folders."""
        for path in paths:
            inside = self.map_path(path)[len(self._root) :].lstrip(b"/")
            if not inside.startswith(self._writable):
                raise asyncssh.SFTPPermissionDenied("This folder is read-only")

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        if pflags & _WRITING:
            self._check(path)
        return super().open(path, pflags, attrs)

    def open56(self, path: bytes, desired_access: int, flags: int, attrs: asyncssh.SFTPAttrs) -> object:
        if desired_access & ~(asyncssh.ACE4_READ_DATA | asyncssh.ACE4_READ_ATTRIBUTES):
            self._check(path)
        return super().open56(path, desired_access, flags, attrs)

    def setstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> object:  # type: ignore[override]
        self._check(path)
        return super().setstat(path, attrs)

    def remove(self, path: bytes) -> object:  # type: ignore[override]
        self._check(path)
        return super().remove(path)

    def mkdir(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> object:  # type: ignore[override]
        self._check(path)
        return super().mkdir(path, attrs)

    def rmdir(self, path: bytes) -> object:  # type: ignore[override]
        self._check(path)
        return super().rmdir(path)

    def rename(self, oldpath: bytes, newpath: bytes) -> object:  # type: ignore[override]
        self._check(oldpath, newpath)
        return super().rename(oldpath, newpath)

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> object:  # type: ignore[override]
        self._check(oldpath, newpath)
        return super().posix_rename(oldpath, newpath)

    def symlink(self, oldpath: bytes, newpath: bytes) -> object:  # type: ignore[override]
        del oldpath, newpath
        raise asyncssh.SFTPPermissionDenied("Links are not served")

    def link(self, oldpath: bytes, newpath: bytes) -> object:  # type: ignore[override]
        del oldpath, newpath
        raise asyncssh.SFTPPermissionDenied("Links are not served")


class SftpServer:
    """Serves ``root`` to the user ``gridcrm``; folders in ``writable`` take files, the others only give."""

    def __init__(self, root: Path, key: asyncssh.SSHKey, password: str, writable: Sequence[str]) -> None:
        self._root = root
        self._key = key
        self._password = password
        self._writable = writable
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._sessions: set[asyncssh.SSHServerConnection] = set()

    async def start(self, server: socket.socket) -> None:
        """Listen on a bound socket."""
        self._acceptor = await asyncssh.listen(
            sock=server,
            server_host_keys=[self._key],
            server_factory=lambda: _PasswordLogin(USERNAME, self._password, self._sessions),
            sftp_factory=lambda channel: _ClosedTree(channel, self._root, self._writable),
            allow_scp=False,
            line_editor=False,
        )

    async def stop(self) -> None:
        """Take no more sessions and end those there are: a client that stays must not hold us up."""
        if self._acceptor is not None:
            self._acceptor.close()
        for session in tuple(self._sessions):
            session.abort()
        while self._sessions:
            await asyncio.sleep(0.01)
