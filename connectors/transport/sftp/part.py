"""The local side of a download: a part file that only ever grows by bytes the server gave in their order.

So its length is how far it is good, whatever moment the process dies; a note beside it says what it is a
part of. Belongs here: writing, hashing, resuming. Does not belong here: asking a server.
"""

from __future__ import annotations

import hashlib
import json
import os
import queue
import shutil
import threading
from dataclasses import asdict
from pathlib import Path

from connectors.transport.sftp.faults import RefusedError
from connectors.transport.sftp.listing import RemoteFile

SMALL_BYTES = 32 * 1024
"""Up to here a file comes in one answer: there is no part of it to go on from, so no note is written."""

_CHECK_BYTES = 64 * 1024
_CHECK_AGAIN_BYTES = 4 * 1024  # what this process wrote itself is doubted less
_HASH_ASIDE_BYTES = 1024 * 1024
_SPARE_BYTES = 64 * 1024 * 1024
_BLOCK_BYTES = 1024 * 1024


class PartFile:
    """One part; ``begin`` before each attempt, ``append`` what comes, then ``finish`` or ``discard``."""

    def __init__(self, remote: RemoteFile, path: Path) -> None:
        self.resumed_from: int | None = None
        """Bytes an earlier process had brought; None before the first attempt."""

        self._remote = remote
        self._path = path
        self._file = -1
        self._position = 0
        self._doubted = 0
        self._hash: _Hash | None = None

    @property
    def position(self) -> int:
        """Where in the file the next bytes belong."""
        return self._position - self._doubted

    def begin(self) -> int:
        """Open the part; the offset from which the server is to be read.

        It lies a little before the end of what is there: the bytes between must come again and be the same.
        Raises RefusedError when the file does not fit on this disk, OSError when it cannot be written.
        """
        if self._file < 0:
            is_small = self._remote.size <= SMALL_BYTES
            self._position = 0 if is_small else self._claim()
            self._file = _opened(self._path, os.O_TRUNC if is_small else os.O_APPEND)
            self._hash = _Hash() if self._remote.size <= _HASH_ASIDE_BYTES else _HashAside()
            self._hash_what_is_there()
        check = _CHECK_BYTES if self.resumed_from is None else _CHECK_AGAIN_BYTES
        if self.resumed_from is None:
            self.resumed_from = self._position
        self._doubted = min(check, self._position)
        return self.position

    def append(self, data: memoryview) -> bool:
        """The next bytes; False when they are not those that were there, and all of it starts again at 0."""
        if self._doubted:
            again, data = data[: self._doubted], data[self._doubted :]
            if os.pread(self._file, len(again), self.position) != again:
                self._start_over()
                return False
            self._doubted -= len(again)
        while data:
            written = os.write(self._file, data)
            self._hashing.update(data[:written])
            self._position += written
            data = data[written:]
        return True

    def finish(self) -> str:
        """Close it and return the SHA-256 of all its bytes."""
        digest = self._hashing.hexdigest()
        self.release()
        if self._remote.size > SMALL_BYTES:
            self._note.unlink(missing_ok=True)
        return digest

    def release(self) -> None:
        """Close the file and keep what is there for another time."""
        if self._hash is not None:
            self._hash.close()
            self._hash = None
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def discard(self) -> None:
        """Close and remove it."""
        self.release()
        self._path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    @property
    def _note(self) -> Path:
        return self._path.with_name(f"{self._path.name}.json")

    @property
    def _hashing(self) -> _Hash:
        if self._hash is None:
            raise RuntimeError("a part is written between begin and finish")
        return self._hash

    def _claim(self) -> int:
        """How many bytes there are already a part of just this file; anything else is removed."""
        identity = json.dumps(asdict(self._remote), sort_keys=True)
        try:
            if self._note.read_text(encoding="utf-8") == identity:
                length = self._path.stat().st_size
                if length <= self._remote.size:
                    return length
        except (FileNotFoundError, UnicodeDecodeError):
            pass
        self._path.unlink(missing_ok=True)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self._path.parent).free
        if self._remote.size + _SPARE_BYTES > free:
            raise RefusedError(
                f"{self._remote.size:,} bytes are listed and only {free:,} are free on this disk"
            )
        self._note.write_text(identity, encoding="utf-8")
        return 0

    def _hash_what_is_there(self) -> None:
        for offset in range(0, self._position, _BLOCK_BYTES):
            block = os.pread(self._file, min(_BLOCK_BYTES, self._position - offset), offset)
            self._hashing.update(memoryview(block))

    def _start_over(self) -> None:
        os.ftruncate(self._file, 0)
        self._position = self._doubted = 0
        self.resumed_from = 0
        self._hashing.restart()


def _opened(path: Path, flag: int) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | flag
    try:
        return os.open(path, flags, 0o666)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, flags, 0o666)


class _Hash:
    """SHA-256 on the spot."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def update(self, data: memoryview) -> None:
        self._digest.update(data)

    def restart(self) -> None:
        self._digest = hashlib.sha256()

    def hexdigest(self) -> str:
        return self._digest.hexdigest()

    def close(self) -> None:
        """Nothing to end."""


class _HashAside(_Hash):
    """SHA-256 in a thread of its own: hashlib works beside the thread that writes."""

    def __init__(self) -> None:
        super().__init__()
        self._blocks: queue.Queue[memoryview | None] = queue.Queue(maxsize=4)
        self._thread = threading.Thread(target=self._run, name="sftp-sha256", daemon=True)
        self._thread.start()

    def update(self, data: memoryview) -> None:
        self._blocks.put(data)

    def restart(self) -> None:
        self._blocks.join()
        super().restart()

    def hexdigest(self) -> str:
        self.close()
        return super().hexdigest()

    def close(self) -> None:
        if self._thread.is_alive():
            self._blocks.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (block := self._blocks.get()) is not None:
            self._digest.update(block)
            self._blocks.task_done()
