"""One session with one SFTP server: list, download, upload, look and delete.

Belongs here: what a feed or a destination asks for, retries, errors in one line. Does not belong here: how
it is done, see the modules beside this one.
"""

from __future__ import annotations

import io
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import BinaryIO

from connectors.connections import SftpConnection
from connectors.transport.errors import TransientTransportError, TransportError
from connectors.transport.sftp import faults, packets
from connectors.transport.sftp.faults import (
    LOST,
    NotThereError,
    ProtocolError,
    RefusedError,
    StalledError,
    StatusError,
    explained,
)
from connectors.transport.sftp.fetch import Download, Fetch, Pace
from connectors.transport.sftp.listing import Listing, ListingBuilder, RemoteFile, unsafe_name
from connectors.transport.sftp.login import Channel, log_in
from connectors.transport.sftp.packets import Attributes, Fields
from connectors.transport.sftp.wire import Wire, expect

_WINDOW_BYTES = 8 * 1024 * 1024  # paramiko's 2 MiB halves the speed over a wide-area link
_ATTEMPTS = 3
_SMALL_FILE_BYTES = 16 * 1024 * 1024
_WRITES_IN_FLIGHT = 32
_EMPTY_ANSWERS = 100
# The packet SSH may use, and how much is asked for at once. A large packet costs paramiko no more work than a
# small one, and is lost whole when the connection is: so a line that breaks is asked for little at a time.
_FULL = (256 * 1024, Pace(read_bytes=255 * 1024, flight_bytes=_WINDOW_BYTES, files=128))
_GENTLE = (32 * 1024, Pace(read_bytes=16 * 1024, flight_bytes=256 * 1024, files=8))


class SftpTransport:
    """One session with one server; a context manager. Not for several threads at once."""

    def __init__(self, connection: SftpConnection) -> None:
        self.connection = connection
        self._host = f"{connection.host}:{connection.port}"
        self._channel: Channel | None = None
        self._wire: Wire | None = None

    def __enter__(self) -> SftpTransport:
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the session; a second time does nothing."""
        if self._channel is not None:
            self._channel.close()
        self._channel = self._wire = None

    def describe(self) -> str:
        """One line for ``gridcrm doctor``."""
        return f"{self._host} answers with the pinned host key and lets {self.connection.username} in"

    def list(self, directory: str, wanted: Callable[[str], bool] | None = None) -> Listing:
        """The files of ``directory`` whose name is ``wanted``, by name.

        A name that is a path or has control characters, and a symbolic link, are refused and listed as such.
        Raises TransportError for a directory that is not there or does not end.
        """
        with self._clear(f"listing {directory}") as wire:
            handle = wire.call(packets.OPENDIR, packets.string(directory), packets.HANDLE).string()
            builder = ListingBuilder(directory, wanted, lambda path: _look(wire, path))
            empty = 0
            with _until_the_end():
                while empty < _EMPTY_ANSWERS:
                    answer = wire.call(packets.READDIR, packets.string(handle), packets.NAME)
                    empty = 0 if builder.take(answer) else empty + 1
                raise ProtocolError("a listing without names that does not end")
            wire.call(packets.CLOSE, packets.string(handle), packets.STATUS)
            return builder.finish()

    def download(self, remote: RemoteFile, part: Path) -> Download:
        """Bring ``remote`` into ``part``, going on where an earlier attempt of the same file stopped.

        Bytes already there count only when path, size and time are as then and their end equals the server's.
        Raises TransportError when the file is no longer as listed. A lost connection is opened again as long
        as each brings something.
        """
        ((_, result),) = self.download_many([remote], lambda _: part)
        if isinstance(result, TransportError):
            raise result
        return result

    def download_many(
        self, remotes: Iterable[RemoteFile], part_for: Callable[[RemoteFile], Path]
    ) -> Iterator[tuple[RemoteFile, Download | TransportError]]:
        """Bring each of ``remotes`` into its own part, as ``download`` does, many at once; in their order.

        A file that cannot be taken comes with its error, and the others go on. Up to 128 files are brought
        before they are asked for. Raises TransientTransportError when the server is lost for good: what was
        not given yet is to be asked for again, and goes on from its parts.
        """
        fetch = Fetch(remotes, part_for, self._explain_file)
        is_gentle, is_alone, failures, progress = False, False, 0, 0
        try:
            while True:
                packet_bytes, pace = _GENTLE if is_gentle else _FULL
                try:
                    wire = self._wire or self._open(packet_bytes)
                    yield from fetch.run(wire, replace(pace, files=1) if is_alone else pace)
                    return
                except ProtocolError as error:
                    # One file at a time shows over which of them the server loses its senses.
                    self.close()
                    if is_alone:
                        fetch.refuse_first(error)
                    is_alone = not is_alone
                except (TransientTransportError, StalledError, *LOST) as error:
                    lost = self._lost("downloading", error)
                    failures = 1 if fetch.progress > progress else failures + 1
                    if failures == _ATTEMPTS:
                        raise lost from None
                    is_gentle, progress = True, fetch.progress
                    time.sleep(0.2 * failures)
        except GeneratorExit:
            # Somebody stopped asking for files; what is still to come belongs to nobody.
            self.close()
            raise
        finally:
            fetch.release()

    def put_atomic(self, source: bytes | Path, remote_path: str) -> None:
        """Write a file so that no reader sees half of it: under a temporary name, size checked, renamed.

        An existing file of that name is replaced. The temporary name is the same each time, so that what a
        killed attempt left is overwritten.
        """
        target = PurePosixPath(remote_path)
        if reason := unsafe_name(target.name):
            raise TransportError(f"connection {self.connection.name}: cannot write {target.name!a}: {reason}")
        temporary = str(target.with_name(f".{target.name}.tmp"))
        with (
            io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as local,
            self._clear(f"writing {remote_path}") as wire,
        ):
            size = _write(wire, local, temporary)
            if (found := _look(wire, temporary).size) != size:
                raise TransientTransportError(
                    f"connection {self.connection.name}: {remote_path}: {size} bytes sent, {found} arrived"
                )
            _replace(wire, temporary, remote_path)

    def read_bytes(self, remote_path: str, limit_bytes: int = _SMALL_FILE_BYTES) -> bytes:
        """A small file as bytes; raises TransportError when it is larger than ``limit_bytes``."""
        with self._clear(f"reading {remote_path}") as wire:
            opening = packets.opening(remote_path, packets.READING)
            handle = wire.call(packets.OPEN, opening, packets.HANDLE).string()
            data = bytearray()
            with _until_the_end():
                while True:
                    request = packets.reading(handle, len(data), wire.read_bytes)
                    piece = wire.call(packets.READ, request, packets.DATA).bulk()
                    if not piece:
                        raise ProtocolError("data without a byte")
                    data += piece
                    if len(data) > limit_bytes:
                        raise RefusedError(f"it is larger than the {limit_bytes:,} bytes allowed here")
            wire.call(packets.CLOSE, packets.string(handle), packets.STATUS)
            return bytes(data)

    def probe(self, remote_path: str) -> None:
        """Open a file and read its first byte; raises TransportError when that is not allowed."""
        with self._clear(f"reading {remote_path}") as wire:
            opening = packets.opening(remote_path, packets.READING)
            handle = wire.call(packets.OPEN, opening, packets.HANDLE).string()
            with _until_the_end():
                wire.call(packets.READ, packets.reading(handle, 0, 1), packets.DATA)
            wire.call(packets.CLOSE, packets.string(handle), packets.STATUS)

    def size(self, remote_path: str) -> int | None:
        """Bytes of a regular file, None when there is none of that name."""
        try:
            with self._clear(f"looking at {remote_path}") as wire:
                attributes = _look(wire, remote_path)
        except NotThereError:
            return None
        return attributes.size if stat.S_ISREG(attributes.mode or 0) else None

    def remove(self, remote_path: str) -> None:
        """Delete a file; one that is not there is deleted already."""
        with suppress(NotThereError), self._clear(f"deleting {remote_path}") as wire:
            wire.call(packets.REMOVE, packets.string(remote_path), packets.STATUS)

    def _open(self, packet_bytes: int = _FULL[0]) -> Wire:
        self._channel = log_in(self.connection, _WINDOW_BYTES, packet_bytes)
        self._wire = Wire(self._channel, self.connection.timeout_seconds, _WINDOW_BYTES)
        with self._clear("beginning SFTP") as wire:
            wire.start()
            return wire

    @contextmanager
    def _clear(self, action: str) -> Iterator[Wire]:
        """A session; what goes wrong in it becomes one line that names connection, server and action.

        Unless the server only said no, the session is over: what else it sends would be misunderstood.
        """
        wire = self._wire or self._open()
        try:
            yield wire
        except StatusError as error:
            raise self._explain(action, error) from None
        except (ProtocolError, RefusedError) as error:
            self.close()
            raise self._explain(action, error) from None
        except (StalledError, *LOST) as error:
            raise self._lost(action, error) from None

    def _lost(self, action: str, error: Exception) -> TransportError:
        """End the session, and say what it ended of."""
        cause = self._channel.cause() if self._channel is not None else None
        self.close()
        return self._explain(action, error if isinstance(error, StalledError) else cause or error)

    def _explain(self, action: str, error: Exception) -> TransportError:
        connection = self.connection
        where = f"connection {connection.name}: {action} on {self._host}"
        return explained(error, where, connection.username)

    def _explain_file(self, remote: RemoteFile, error: Exception) -> TransportError:
        if isinstance(error, OSError):
            error = RefusedError(f"it cannot be written here: {error.strerror or error}")
        return self._explain(f"reading {remote.path}", error)


@contextmanager
def _until_the_end() -> Iterator[None]:
    """The server's word that there is no more ends what is inside."""
    try:
        yield
    except StatusError as error:
        if error.code != faults.EOF:
            raise


def _look(wire: Wire, path: str) -> Attributes:
    return wire.call(packets.LSTAT, packets.string(path), packets.ATTRS).attributes()


def _write(wire: Wire, source: BinaryIO, path: str) -> int:
    """The bytes of ``source`` into ``path``; how many."""
    opening = packets.opening(path, packets.WRITING)
    handle = wire.call(packets.OPEN, opening, packets.HANDLE).string()
    size, in_flight = 0, 0

    def written(kind: int, fields: Fields) -> None:
        nonlocal in_flight
        in_flight -= 1
        expect(kind, fields, packets.STATUS)

    while chunk := source.read(wire.write_bytes):
        wire.send(packets.WRITE, packets.writing(handle, size, chunk), written)
        size += len(chunk)
        in_flight += 1
        while in_flight >= _WRITES_IN_FLIGHT:
            wire.pump()
    while in_flight:
        wire.pump()
    wire.call(packets.CLOSE, packets.string(handle), packets.STATUS)
    return size


def _replace(wire: Wire, temporary: str, path: str) -> None:
    """Rename over what is there; a server without OpenSSH's extension lets us do it only in two steps."""
    names = packets.string(temporary) + packets.string(path)
    if b"posix-rename@openssh.com" in wire.extensions:
        wire.call(packets.EXTENDED, packets.string(b"posix-rename@openssh.com") + names, packets.STATUS)
        return
    with suppress(StatusError):
        _look(wire, path)
        wire.call(packets.REMOVE, packets.string(path), packets.STATUS)
    wire.call(packets.RENAME, names, packets.STATUS)
