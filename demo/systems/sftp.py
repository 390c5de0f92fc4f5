"""The SFTP server of the simulated utility, and of the real sample files.

Belongs here: authentication, the closed root, which folders a client may write. Does not belong here: files.
"""

from __future__ import annotations

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

    def __init__(self, username: str, password: str) -> None:
        self._username, self._password = username.encode(), password.encode()

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

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:  # noqa: D102
        if pflags & _WRITING:
            self._check(path)
        return super().open(path, pflags, attrs)

    def open56(self, path: bytes, desired_access: int, flags: int, attrs: asyncssh.SFTPAttrs) -> object:  # noqa: D102
        if desired_access & ~(asyncssh.ACE4_READ_DATA | asyncssh.ACE4_READ_ATTRIBUTES):
            self._check(path)
        return super().open56(path, desired_access, flags, attrs)

    def setstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> object:  # type: ignore[override]  # noqa: D102
        self._check(path)
        return super().setstat(path, attrs)

    def remove(self, path: bytes) -> object:  # type: ignore[override]  # noqa: D102
        self._check(path)
        return super().remove(path)

    def mkdir(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> object:  # type: ignore[override]  # noqa: D102
        self._check(path)
        return super().mkdir(path, attrs)

    def rmdir(self, path: bytes) -> object:  # type: ignore[override]  # noqa: D102
        self._check(path)
        return super().rmdir(path)

    def rename(self, oldpath: bytes, newpath: bytes) -> object:  # type: ignore[override]  # noqa: D102
        self._check(oldpath, newpath)
        return super().rename(oldpath, newpath)

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> object:  # type: ignore[override]  # noqa: D102
        self._check(oldpath, newpath)
        return super().posix_rename(oldpath, newpath)

    def symlink(self, oldpath: bytes, newpath: bytes) -> object:  # type: ignore[override]  # noqa: D102
        raise asyncssh.SFTPPermissionDenied("Links are not served")

    def link(self, oldpath: bytes, newpath: bytes) -> object:  # type: ignore[override]  # noqa: D102
        raise asyncssh.SFTPPermissionDenied("Links are not served")


async def serve_sftp(
    server: socket.socket, root: Path, key: asyncssh.SSHKey, password: str, writable: Sequence[str]
) -> asyncssh.SSHAcceptor:
    """Serve ``root`` on a bound socket to the user ``gridcrm``; close what is returned to end it."""
    return await asyncssh.listen(
        sock=server,
        server_host_keys=[key],
        server_factory=lambda: _PasswordLogin(USERNAME, password),
        sftp_factory=lambda channel: _ClosedTree(channel, root, writable),
        allow_scp=False,
        line_editor=False,
    )
