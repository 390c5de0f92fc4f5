"""SFTP by paramiko: pinned host key, resumable downloads, names that stay names, uploads that appear whole.

Belongs here: files on an SFTP server. Does not belong here: which files a feed wants and what is in them.
"""

from __future__ import annotations

import hashlib
import json
import logging
import socket
import stat
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any

import paramiko
from pydantic import SecretStr

from connectors.connections import SftpConnection
from connectors.transport.errors import TransientTransportError, TransportError
from connectors.transport.hostkey import HostKey

# paramiko logs a traceback for each lost connection; the errors raised here say the same in one line.
logging.getLogger("paramiko").addHandler(logging.NullHandler())

_CHUNK_BYTES = 256 * 1024
_RESUME_CHECK_BYTES = 64 * 1024
_WINDOW_BYTES = 16 * 1024 * 1024  # paramiko's 2 MiB halves the speed over a wide-area link
_PREFETCH_REQUESTS = 64
_ATTEMPTS = 3


@dataclass(frozen=True)
class RemoteFile:
    """A regular file in a listing; ``modified_at`` is the server's word, in seconds."""

    name: str
    path: str
    size: int
    modified_at: int


@dataclass(frozen=True)
class RefusedEntry:
    """An entry that is not taken, whatever it holds; ``name`` is escaped: to be shown, not to be used."""

    name: str
    reason: str


@dataclass(frozen=True)
class Listing:
    """The regular files of a directory, all its safe names, and what was refused and why."""

    files: list[RemoteFile]
    names: frozenset[str]
    refused: list[RefusedEntry]


@dataclass(frozen=True)
class Download:
    """A finished download: hash and size of the bytes, and how many an earlier attempt had brought."""

    sha256: str
    size: int
    resumed_from: int


def unsafe_name(name: str) -> str | None:
    """Why ``name`` cannot be one plain file name here; None when it can."""
    if name in ("", ".", "..") or "/" in name or "\\" in name:
        return "it is a path, not a name"
    if any(unicodedata.category(char) in ("Cc", "Cf", "Cs") for char in name):
        return "it has control characters"
    if len(name.encode("utf-8", "surrogateescape")) > 240:
        return "it is longer than 240 bytes"
    return None


class SftpTransport:
    """One session with one server; a context manager. Not for several threads at once."""

    def __init__(self, connection: SftpConnection) -> None:
        self.connection = connection
        self._host = f"{connection.host}:{connection.port}"
        self._transport: paramiko.Transport | None = None
        self._client: paramiko.SFTPClient | None = None

    def __enter__(self) -> SftpTransport:
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the session; a second time does nothing."""
        if self._transport is not None:
            self._transport.close()
        self._transport = self._client = None

    def describe(self) -> str:
        """One line for ``gridcrm doctor``."""
        return f"{self._host} answers with the pinned host key and lets {self.connection.username} in"

    def list(self, directory: str, wanted: Callable[[str], bool] | None = None) -> Listing:
        """The files of ``directory`` whose name is ``wanted``, by name.

        A name that is a path or has control characters, and a symbolic link, are refused and listed as such.
        """
        with self._clear(f"listing {directory}"):
            entries = self._session.listdir_attr(directory)
        files: list[RemoteFile] = []
        names: set[str] = set()
        refused: list[RefusedEntry] = []
        for entry in sorted(entries, key=lambda item: item.filename):
            name, mode = entry.filename, entry.st_mode or 0
            if reason := unsafe_name(name):
                # The name is the attack: show it escaped, and never use it.
                refused.append(
                    RefusedEntry(ascii(name[:80]), f"its name was refused in {directory}: {reason}")
                )
                continue
            names.add(name)
            if wanted is not None and not wanted(name):
                continue
            if stat.S_ISLNK(mode):
                refused.append(RefusedEntry(name, f"refused in {directory}: it is a symbolic link"))
            elif stat.S_ISREG(mode):
                path = str(PurePosixPath(directory) / name)
                files.append(RemoteFile(name, path, entry.st_size or 0, entry.st_mtime or 0))
        return Listing(files, frozenset(names), refused)

    def download(self, remote: RemoteFile, part: Path) -> Download:
        """Bring ``remote`` into ``part``, going on where an earlier attempt of the same file stopped.

        Bytes already there count only when path, size and time are as then and their end equals the server's.
        Raises TransportError when the file is no longer as listed; retries a lost connection.
        """
        part.parent.mkdir(parents=True, exist_ok=True)
        first_offset: int | None = None
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                result = self._download_once(remote, part)
            except TransientTransportError:
                if attempt == _ATTEMPTS:
                    raise
                self.close()
                time.sleep(0.2 * attempt)
                self._open()
            else:
                return Download(
                    result.sha256, result.size, result.resumed_from if first_offset is None else first_offset
                )
        raise AssertionError("unreachable: the last attempt returns or raises")

    def put_atomic(self, source: bytes | Path, remote_path: str) -> None:
        """Write a file so that no reader sees half of it: under a temporary name, size checked, renamed.

        An existing file of that name is replaced. The temporary name is the same each time, so that what a
        killed attempt left is overwritten.
        """
        target = PurePosixPath(remote_path)
        if reason := unsafe_name(target.name):
            raise TransportError(f"connection {self.connection.name}: cannot write {target.name!a}: {reason}")
        temporary = str(target.with_name(f".{target.name}.tmp"))
        with self._clear(f"writing {remote_path}"):
            with self._session.open(temporary, "wb") as remote:
                remote.set_pipelined(True)
                size = 0
                for chunk in _chunks(source):
                    remote.write(chunk)
                    size += len(chunk)
            if (found := self._session.stat(temporary).st_size) != size:
                raise TransientTransportError(
                    f"connection {self.connection.name}: {remote_path}: {size} bytes sent, {found} arrived"
                )
            self._session.posix_rename(temporary, remote_path)

    def read_bytes(self, remote_path: str) -> bytes:
        """A small file as bytes."""
        with self._clear(f"reading {remote_path}"), self._session.open(remote_path, "rb") as remote:
            remote.prefetch()
            data: bytes = remote.read()
            return data

    def probe(self, remote_path: str) -> None:
        """Open a file and read its first byte; raises TransportError when that is not allowed."""
        with self._clear(f"reading {remote_path}"), self._session.open(remote_path, "rb") as remote:
            remote.read(1)

    def size(self, remote_path: str) -> int | None:
        """Bytes of a regular file, None when there is none of that name."""
        try:
            with self._clear(f"looking at {remote_path}"):
                attributes = self._session.lstat(remote_path)
        except _NotThereError:
            return None
        return attributes.st_size if stat.S_ISREG(attributes.st_mode or 0) else None

    def remove(self, remote_path: str) -> None:
        """Delete a file; one that is not there is deleted already."""
        with suppress(_NotThereError), self._clear(f"deleting {remote_path}"):
            self._session.remove(remote_path)

    @property
    def _session(self) -> paramiko.SFTPClient:
        if self._client is None:
            self._open()
        if self._client is None:
            raise TransportError(f"connection {self.connection.name}: no session")
        return self._client

    def _open(self) -> None:
        connection = self.connection
        pinned = HostKey.parse(connection.host_key, connection.name)
        try:
            sock = socket.create_connection(
                (connection.host, connection.port), timeout=connection.timeout_seconds
            )
        except OSError as error:
            raise TransientTransportError(
                f"connection {connection.name}: {self._host} cannot be reached: {error.strerror or error}"
            ) from None
        transport = paramiko.Transport(sock, default_window_size=_WINDOW_BYTES)
        transport.banner_timeout = transport.auth_timeout = connection.timeout_seconds
        try:
            pinned.prefer(transport)
            transport.start_client(timeout=connection.timeout_seconds)
            # Before a user name or a password goes over the wire.
            pinned.require(transport.get_remote_server_key(), connection.name, self._host)
            self._authenticate(transport)
            client = paramiko.SFTPClient.from_transport(transport)
            if client is None:
                raise TransportError(f"connection {connection.name}: {self._host} offers no SFTP")
            channel = client.get_channel()
            if channel is not None:
                channel.settimeout(connection.timeout_seconds)
        except TransportError:
            transport.close()
            raise
        except (paramiko.SSHException, EOFError, OSError) as error:
            transport.close()
            raise TransientTransportError(
                f"connection {connection.name}: {self._host} broke off the SSH handshake: {_one_line(error)}"
            ) from None
        self._transport, self._client = transport, client

    def _authenticate(self, transport: paramiko.Transport) -> None:
        connection = self.connection
        who = f"connection {connection.name}: {self._host} does not let user {connection.username} in"
        try:
            if connection.private_key_path is not None:
                transport.auth_publickey(connection.username, self._private_key())
            elif connection.password is not None:
                transport.auth_password(connection.username, connection.password.get_secret_value())
        except paramiko.BadAuthenticationType as error:
            raise TransportError(f"{who}: it wants {', '.join(error.allowed_types)}") from None
        except paramiko.AuthenticationException:
            secret = "private key" if connection.private_key_path else "password"
            raise TransportError(f"{who}: wrong {secret}") from None

    def _private_key(self) -> paramiko.PKey:
        connection, path = self.connection, self.connection.private_key_path
        passphrase = connection.private_key_passphrase
        try:
            return paramiko.PKey.from_path(str(path), _passphrase(passphrase))
        except (OSError, ValueError, TypeError, paramiko.SSHException) as error:
            raise TransportError(
                f"connection {connection.name}: private key cannot be read: {type(error).__name__}"
            ) from None

    def _download_once(self, remote: RemoteFile, part: Path) -> Download:
        note = part.with_name(f"{part.name}.json")
        identity = json.dumps(asdict(remote), sort_keys=True)
        if not (part.exists() and note.exists() and note.read_text(encoding="utf-8") == identity):
            part.unlink(missing_ok=True)
            note.write_text(identity, encoding="utf-8")
        digest = hashlib.sha256()
        with self._clear(f"reading {remote.path}"), self._session.open(remote.path, "rb") as source:
            offset = self._verified_offset(source, remote, part, digest)
            with part.open("ab") as local:
                source.seek(offset)
                if remote.size > offset:
                    _quiet_prefetch(source)
                    source.prefetch(remote.size, max_concurrent_requests=_PREFETCH_REQUESTS)
                position = offset
                while position < remote.size:
                    chunk = source.read(min(_CHUNK_BYTES, remote.size - position))
                    if not chunk:
                        break
                    local.write(chunk)
                    digest.update(chunk)
                    position += len(chunk)
            now = self._session.stat(remote.path).st_size
        if position != remote.size or now != remote.size:
            part.unlink(missing_ok=True)
            note.unlink(missing_ok=True)
            raise TransportError(
                f"connection {self.connection.name}: {remote.path} changed while it was read: "
                f"{remote.size} bytes listed, {position} read, {now} there now; it is taken when complete"
            )
        note.unlink(missing_ok=True)
        return Download(digest.hexdigest(), position, offset)

    def _verified_offset(
        self, source: paramiko.SFTPFile, remote: RemoteFile, part: Path, digest: hashlib._Hash
    ) -> int:
        """How far ``part`` is good; feeds its bytes to ``digest``.

        Starts again from 0 when its end differs.
        """
        offset = part.stat().st_size if part.exists() else 0
        if not 0 < offset <= remote.size:
            part.unlink(missing_ok=True)
            return 0
        start = max(0, offset - _RESUME_CHECK_BYTES)
        source.seek(start)
        theirs = source.read(offset - start)
        with part.open("rb") as local:
            local.seek(start)
            if local.read() != theirs:
                part.unlink()
                return 0
            local.seek(0)
            while chunk := local.read(_CHUNK_BYTES):
                digest.update(chunk)
        return offset

    @contextmanager
    def _clear(self, action: str) -> Iterator[None]:
        """Turn what paramiko raises into one line that names connection, server and action."""
        where = f"connection {self.connection.name}: {action} on {self._host}"
        try:
            yield
        except TransportError:
            raise
        except FileNotFoundError:
            raise _NotThereError(f"{where}: no such file or directory") from None
        except PermissionError:
            raise TransportError(f"{where}: user {self.connection.username} is not allowed to") from None
        except (EOFError, ConnectionError, TimeoutError, paramiko.SSHException) as error:
            self.close()
            raise TransientTransportError(f"{where}: the connection was lost: {_one_line(error)}") from None
        except OSError as error:
            if self._transport is None or not self._transport.is_active():
                self.close()
                raise TransientTransportError(
                    f"{where}: the connection was lost: {_one_line(error)}"
                ) from None
            raise TransportError(f"{where}: {_one_line(error)}") from None


class _NotThereError(TransportError):
    pass


def _quiet_prefetch(source: paramiko.SFTPFile) -> None:
    """Let the thread that asks ahead end without a traceback on a lost connection; the reader reports it."""
    ask = getattr(source, "_prefetch_thread")  # noqa: B009 - not part of the declared interface

    def ask_quietly(*arguments: Any) -> None:
        with suppress(EOFError, OSError, paramiko.SSHException):
            ask(*arguments)

    setattr(source, "_prefetch_thread", ask_quietly)  # noqa: B010


def _passphrase(secret: SecretStr | None) -> Any:
    # paramiko declares text and hands it to a library that takes bytes only.
    return secret.get_secret_value().encode() if secret else None


def _chunks(source: bytes | Path) -> Iterator[bytes]:
    if isinstance(source, bytes):
        for start in range(0, len(source), _CHUNK_BYTES):
            yield source[start : start + _CHUNK_BYTES]
        return
    with source.open("rb") as local:
        while chunk := local.read(_CHUNK_BYTES):
            yield chunk


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
