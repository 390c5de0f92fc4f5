"""Bringing files, many at once: requests of several files in flight, results in the order of the files.

For each file: OPEN, then FSTAT and READs that end one byte beyond the listed size, then CLOSE and LSTAT. It
is whole when exactly the listed bytes came, and neither size, time nor kind changed between FSTAT and LSTAT.
Belongs here: what is asked of the server for a file, and what of its answers is believed. Does not belong
here: the connection and its loss (a new ``Wire`` goes on where the last one ended), the local file.
"""

from __future__ import annotations

import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from connectors.transport.errors import TransportError
from connectors.transport.sftp import faults, packets
from connectors.transport.sftp.faults import RefusedError, StatusError
from connectors.transport.sftp.listing import RemoteFile
from connectors.transport.sftp.packets import Attributes, Fields
from connectors.transport.sftp.part import PartFile
from connectors.transport.sftp.wire import Wire, expect

_ANSWERS_BEFORE_JUDGING = 256
_FEWEST_BYTES_AN_ANSWER = 256

Explain = Callable[[RemoteFile, Exception], TransportError]


@dataclass(frozen=True)
class Download:
    """A finished download: hash and size of the bytes, and how many an earlier attempt had brought."""

    sha256: str
    size: int
    resumed_from: int


@dataclass(frozen=True)
class Pace:
    """How much is asked for at once: bytes a read (at most), bytes in flight, files in flight."""

    read_bytes: int
    flight_bytes: int
    files: int


class Fetch:
    """A queue of files and where each of them stands; it outlives the connections it is served by.

    ``progress`` grows with each byte and each file: a lost connection that brought some is no failure.
    """

    def __init__(
        self, remotes: Iterable[RemoteFile], part_for: Callable[[RemoteFile], Path], explain: Explain
    ) -> None:
        self.progress = 0
        self._remotes = iter(remotes)
        self._part_for = part_for
        self._explain = explain
        self._under_way: deque[_File] = deque()

    def run(self, wire: Wire, pace: Pace) -> Iterator[tuple[RemoteFile, Download | TransportError]]:
        """Go on over ``wire`` until all files are brought or refused; raises what ``wire`` raises."""
        flight = _Flight(wire, pace)
        while True:
            while self._under_way and (result := self._under_way[0].result) is not None:
                self.progress += 1
                yield self._under_way.popleft().remote, result
            self._fill(flight)
            if not self._under_way:
                return
            if self._under_way[0].result is None:
                wire.pump()

    def refuse_first(self, error: Exception) -> None:
        """The file whose turn it is is not taken, and the others go on."""
        for file in self._under_way:
            if file.result is None:
                file.refuse(error)
                return

    def release(self) -> None:
        """Close what is open here; the parts stay for another time."""
        for file in self._under_way:
            file.part.release()

    def _fill(self, flight: _Flight) -> None:
        has_more, flight.has_more = flight.has_more, False
        for file in islice(self._under_way, flight.files):
            if not file.is_on(flight):
                file.open(flight)
            elif has_more:
                file.ask()
        while len(self._under_way) < flight.files and not flight.is_full:
            remote = next(self._remotes, None)
            if remote is None:
                return
            part = PartFile(remote, self._part_for(remote))
            file = _File(remote, part, flight, self._explain, self._count)
            self._under_way.append(file)
            file.open(flight)

    def _count(self, size: int) -> None:
        self.progress += size


class _Flight:
    """What is asked and not answered, or answered and not written, on one connection."""

    def __init__(self, wire: Wire, pace: Pace) -> None:
        self.wire = wire
        self.read_bytes = min(pace.read_bytes, wire.read_bytes)
        self.files = max(1, min(pace.files, wire.handles))
        self.bytes = 0
        self.has_more = False  # some file could not ask for all of it
        self._most = pace.flight_bytes

    @property
    def is_full(self) -> bool:
        return self.bytes >= self._most


class _File:
    """One file on its way. The methods named for what came are called with the server's answers."""

    def __init__(
        self,
        remote: RemoteFile,
        part: PartFile,
        flight: _Flight,
        explain: Explain,
        count: Callable[[int], None],
    ) -> None:
        self.remote = remote
        self.part = part
        self.result: Download | TransportError | None = None
        self._explain = explain
        self._count = count
        self._seen: Attributes | None = None
        self._flight = flight

    def is_on(self, flight: _Flight) -> bool:
        """Whether there is nothing to begin on this connection."""
        return self._flight is flight or self.result is not None

    def open(self, flight: _Flight) -> None:
        """Begin, or begin again on a new connection."""
        self._flight = flight
        self._handle: bytes | None = None
        self._unanswered = 0
        self._answers = self._answered_bytes = 0
        self._early: dict[int, memoryview] = {}
        self._plan(0)
        self._send(packets.OPEN, packets.opening(self.remote.path, packets.READING), self._opened)

    def ask(self) -> None:
        """Ask for the next bytes, as many as may be in flight."""
        if self._handle is None or self.result is not None or self._is_starting_over:
            return
        while self._next < self._end and not self._flight.is_full:
            length = min(self._flight.read_bytes, self._end - self._next)
            self._read(self._next, length)
            self._next += length
        self._flight.has_more |= self._next < self._end

    def _plan(self, offset: int) -> None:
        self._next = offset  # the first byte that was not asked for
        self._end = self.remote.size + 1  # asks for one byte that must not be there
        self._is_starting_over = False

    def _send(self, kind: int, payload: bytes, came: Callable[[int, Fields], None]) -> None:
        def answer(found: int, fields: Fields) -> None:
            self._unanswered -= 1
            came(found, fields)
            if not self._unanswered:
                self._go_on()

        self._unanswered += 1
        self._flight.wire.send(kind, payload, answer)

    def _read(self, offset: int, length: int) -> None:
        def came(found: int, fields: Fields) -> None:
            self._flight.bytes -= length
            if self.result is None and not self._is_starting_over:
                self._came(offset, length, found, fields)

        self._flight.bytes += length
        self._send(packets.READ, packets.reading(self._handle or b"", offset, length), came)

    def _opened(self, kind: int, fields: Fields) -> None:
        try:
            self._handle = expect(kind, fields, packets.HANDLE).string()
            self._plan(self.part.begin())
        except (StatusError, RefusedError, OSError) as error:
            self.refuse(error)
        else:
            self._send(packets.FSTAT, packets.string(self._handle), self._looked)
            self.ask()

    def _looked(self, kind: int, fields: Fields) -> None:
        try:
            now = expect(kind, fields, packets.ATTRS).attributes()
        except StatusError as error:
            if error.code != faults.OP_UNSUPPORTED:
                self.refuse(error)
        else:
            self._seen = self._seen or now
            self._compare(now)

    def _came(self, offset: int, length: int, kind: int, fields: Fields) -> None:
        try:
            data = expect(kind, fields, packets.DATA).bulk()
        except StatusError as error:
            if error.code == faults.EOF:
                self._end = min(self._end, offset)
            else:
                self.refuse(error)
            return
        got, size = len(data), self.remote.size
        self._answers += 1
        self._answered_bytes += got
        if not 0 < got <= length:
            self.refuse(RefusedError(f"{got:,} bytes came where {length:,} were asked for"))
        elif offset + got > size:
            self.refuse(
                RefusedError(f"it is longer than the {size:,} bytes listed; it is taken when complete")
            )
        elif self._answers > _ANSWERS_BEFORE_JUDGING and (
            self._answered_bytes < self._answers * _FEWEST_BYTES_AN_ANSWER
        ):
            crumbs = f"{self._answered_bytes:,} bytes in {self._answers} answers"
            self.refuse(RefusedError(f"it comes in crumbs: {crumbs}"))
        else:
            if got < length and offset + got < size:
                self._read(offset + got, length - got)
            self._early[offset] = data
            self._flight.bytes += got
            self._write()

    def _write(self) -> None:
        """Bytes go into the part in their order; those that came early wait, and are still in flight."""
        try:
            while (data := self._early.pop(self.part.position, None)) is not None:
                self._flight.bytes -= len(data)
                if not self.part.append(data):
                    self._is_starting_over = True
                    self._drop_early()
                    return
                self._count(len(data))
        except OSError as error:
            self.refuse(error)

    def _drop_early(self) -> None:
        self._flight.bytes -= sum(len(data) for data in self._early.values())
        self._early.clear()

    def _go_on(self) -> None:
        """Nothing is unanswered: what is next."""
        if self._handle is None:
            return
        if self.result is None and self._is_starting_over:
            self._plan(0)
        if self.result is None and self._next < self._end:
            self.ask()
            return
        handle, self._handle = self._handle, None
        self._send(packets.CLOSE, packets.string(handle), lambda kind, fields: None)
        if self.result is None:
            self._send(packets.LSTAT, packets.string(self.remote.path), self._looked_again)

    def _looked_again(self, kind: int, fields: Fields) -> None:
        try:
            now = expect(kind, fields, packets.ATTRS).attributes()
        except StatusError as error:
            self.refuse(error)
            return
        self._compare(now)
        if self.result is None:
            self.result = Download(self.part.finish(), self.remote.size, self.part.resumed_from or 0)

    def _compare(self, now: Attributes) -> None:
        """Refuse what is no longer the file that was listed and opened."""
        size, read = self.remote.size, self.part.position
        if now.mode is not None and not stat.S_ISREG(now.mode):
            what = "a symbolic link" if stat.S_ISLNK(now.mode) else "no regular file"
            self.refuse(RefusedError(f"it was a regular file in the listing and is {what} now"))
        elif now.size not in (None, size) or (self._handle is None and read != size):
            self.refuse(
                RefusedError(
                    f"it changed while it was read: {size} bytes listed, {read} read, "
                    f"{now.size} there now; it is taken when complete"
                )
            )
        elif self._seen is not None and now.modified_at != self._seen.modified_at:
            self.refuse(RefusedError("it was written to while it was read; it is taken when it rests"))

    def refuse(self, error: Exception) -> None:
        """The file is not taken; a part is kept only where the file itself is not in doubt."""
        if self.result is not None:
            return
        self.result = self._explain(self.remote, error)
        self._drop_early()
        if isinstance(error, StatusError | OSError) and error_is_passing(error):
            self.part.release()
        else:
            self.part.discard()


def error_is_passing(error: StatusError | OSError) -> bool:
    """Whether a part is worth going on with after ``error``: the disk was full, the server in trouble."""
    return not isinstance(error, StatusError) or error.code not in (
        faults.NO_SUCH_FILE,
        faults.PERMISSION_DENIED,
    )
