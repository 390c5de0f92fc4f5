"""What a listing may say: names that are one plain file name here, regular files with a size, each once.

Belongs here: deciding what of a directory is a file to take. Does not belong here: asking for it; which files
a feed wants.
"""

from __future__ import annotations

import stat
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from connectors.transport.sftp.faults import RefusedError
from connectors.transport.sftp.packets import Attributes, Fields

ENTRY_LIMIT = 250_000
"""Names in one directory; a listing that goes on is refused, since a server could go on for ever."""

_LARGEST_SIZE = 2**63 - 1


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
    """The regular files of a directory, all its safe names, and what was refused and why.

    ``server_clock`` is the newest time the server gave for the directory itself or ``None``: its clock has
    reached it, whatever ours says. Files cannot set it, as they can their own times.
    """

    files: list[RemoteFile]
    names: frozenset[str]
    refused: list[RefusedEntry]
    server_clock: int | None = None


def unsafe_name(name: str) -> str | None:
    """Why ``name`` cannot be one plain file name here; None when it can."""
    if name in ("", ".", "..") or "/" in name or "\\" in name:
        return "it is a path, not a name"
    if any("\udc80" <= char <= "\udcff" for char in name):
        return "it is not UTF-8"
    if any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in name):
        return "it has control characters"
    if len(name.encode("utf-8")) > 240:
        return "it is longer than 240 bytes"
    return None


class ListingBuilder:
    """Takes the entries as they come; ``look`` asks the server for what the listing leaves open."""

    def __init__(
        self, directory: str, wanted: Callable[[str], bool] | None, look: Callable[[str], Attributes]
    ) -> None:
        self._directory = directory
        self._wanted = wanted
        self._look = look
        self._entries: dict[str, Attributes] = {}
        self._refused: dict[str, str] = {}
        self._count = 0
        self._clock: int | None = None

    def take(self, answer: Fields) -> int:
        """The entries of one answer NAME; how many. Raises RefusedError beyond ENTRY_LIMIT."""
        number = answer.uint32()
        for _ in range(number):
            raw = answer.string()
            answer.string()  # the line ``ls -l`` would show
            self._add(raw.decode("utf-8", "surrogateescape"), answer.attributes())
        return number

    def finish(self) -> Listing:
        """All of it, by name."""
        files: list[RemoteFile] = []
        folder = str(PurePosixPath(self._directory))
        folder = folder if folder.endswith("/") else f"{folder}/"
        for name, attributes in sorted(self._entries.items()):
            if name in self._refused or (self._wanted is not None and not self._wanted(name)):
                continue
            path = f"{folder}{name}"
            if attributes.mode is None or attributes.size is None:
                attributes = self._look(path)
            reason = _refusal(attributes)
            if reason:
                self._refused[name] = f"refused in {self._directory}: {reason}"
            elif attributes.size is not None and not stat.S_ISDIR(attributes.mode or 0):
                files.append(RemoteFile(name, path, attributes.size, attributes.modified_at or 0))
        refused = [RefusedEntry(name, reason) for name, reason in sorted(self._refused.items())]
        return Listing(files, frozenset(self._entries), refused, self._clock)

    def _add(self, name: str, attributes: Attributes) -> None:
        self._count += 1
        if self._count > ENTRY_LIMIT:
            raise RefusedError(
                f"more than {ENTRY_LIMIT:,} names; move files that were taken to another directory"
            )
        if name == ".":
            self._clock = attributes.modified_at
        elif name == "..":
            return
        elif reason := unsafe_name(name):
            # The name is the attack: show it escaped, and never use it.
            self._refused[ascii(name[:80])] = f"its name was refused in {self._directory}: {reason}"
        elif self._entries.setdefault(name, attributes) != attributes:
            # Named twice alike happens when files are renamed while a server lists.
            self._refused[name] = f"refused in {self._directory}: it is listed twice and not alike"


def _refusal(attributes: Attributes) -> str | None:
    mode = attributes.mode
    if mode is None or attributes.size is None:
        return "the server says neither there nor when asked what it is and how large"
    if stat.S_ISLNK(mode):
        return "it is a symbolic link"
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        return "it is no regular file"
    if attributes.size > _LARGEST_SIZE:
        return f"its size of {attributes.size} bytes is impossible"
    return None
