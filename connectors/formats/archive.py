"""Files inside files: the payloads of archives, compressed and encrypted files, nested, within limits.

Belongs here: which container a file is, and opening one inside another safely. Does not belong here: how one
is unpacked (``unpacking``), how one is decrypted (``openpgp``), what the payloads hold.

The first bytes decide, not the name. Nothing is ever extracted by name: a payload is a stream, a zip inside
another container lies in a temporary file without a name, so a name inside an archive cannot become a path.
What archives carry that is no delivery is left out: folders, and what macOS adds beside each file. Everything
else that is not a regular file (links, devices) refuses the whole archive. An empty member is a payload: its
decoder says that it is empty.
"""

from __future__ import annotations

import io
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from connectors.formats.base import RefusedFile
from connectors.formats.openpgp import OpenPgpKeys, decrypted, is_encrypted
from connectors.formats.unpacking import (
    BLOCK,
    COMPRESSIONS,
    check_directory,
    is_tar,
    refusals,
    tar_members,
    zip_members,
)

_ZIP, _EMPTY_ZIP = b"PK\x03\x04", b"PK\x05\x06"
_UNREAD = {
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!": "RAR",
    b"\x1f\x9d": "compress (.Z)",
    b"\x04\x22\x4d\x18": "LZ4",
    b"MSCF": "cabinet",
}
_SUFFIXES = {".tgz": ".tar", ".tbz2": ".tar", ".txz": ".tar", ".gz": "", ".bz2": "", ".xz": "", ".zst": "",
             ".pgp": "", ".gpg": "", ".asc": ""}  # fmt: skip
_BESIDE = ("__MACOSX", ".DS_Store")
_SPOOL_IN_MEMORY = 8 * 1024 * 1024
_LONGEST_NAME = 200


@dataclass(frozen=True)
class ArchiveLimits:
    """What one landed file may unpack to, all its payloads and layers together."""

    max_bytes: int = 16 * 1024**3
    """Most bytes that any layer of the file may unpack to."""
    max_ratio: int = 1000
    """Most times that any layer may be larger than the landed file; deflate itself cannot pass 1032."""
    max_members: int = 10_000
    """Most members of all archives in the file."""
    max_depth: int = 3
    """Most containers around a payload: a gzip in a zip is two, a .tar.gz is two."""
    ratio_from_bytes: int = 1024 * 1024
    """Below this size the ratio is not asked: one line repeated packs well and harms nobody."""


def open_payloads(
    path: Path,
    *,
    name: str | None = None,
    limits: ArchiveLimits | None = None,
    keys: OpenPgpKeys | None = None,
) -> Iterator[tuple[str, BinaryIO]]:
    """Yield ``(name, stream)`` of every payload in a landed file, which may be the file itself.

    A name says the way to the payload, for messages and quarantine: ``bundle.zip!june/reads.csv``; it begins
    with ``name``, or with that of the path. A stream is valid until the next one is asked for. With ``keys``
    every payload must come out of an encrypted message. Raises :class:`RefusedFile` for what is damaged,
    encrypted otherwise, of an unknown kind or beyond the limits, also while a payload is read.
    """
    with path.open("rb") as raw:
        called = name or path.name
        walk = _Walk(called, path.stat().st_size, limits or ArchiveLimits(), keys)
        yield from walk.payloads(raw, called, 0, is_opened=False)


@dataclass
class _Walk:
    """One landed file on its way to its payloads, and what was unpacked of it so far."""

    file: str
    size: int
    limits: ArchiveLimits
    keys: OpenPgpKeys | None
    members: int = 0
    unpacked: dict[int, int] = field(default_factory=dict)

    def payloads(
        self, source: io.BufferedReader, name: str, depth: int, *, is_opened: bool
    ) -> Iterator[tuple[str, BinaryIO]]:
        """What is in ``source``, which lies within ``depth`` containers."""
        with refusals(self.file):
            head = source.peek(BLOCK)[:BLOCK]
        if is_encrypted(head):
            yield from self._encrypted(source, name, depth)
        elif head.startswith((_ZIP, _EMPTY_ZIP)):
            yield from self._zipped(source, name, self._deeper(depth), is_opened)
        elif is_tar(head):
            yield from self._tarred(source, name, self._deeper(depth), is_opened)
        elif compression := next((one for magic, one in COMPRESSIONS if head.startswith(magic)), None):
            with refusals(self.file):
                content = compression(source)
            deeper = self._deeper(depth)
            inner = self._limited(content, deeper)
            yield from self.payloads(inner, _without_suffix(name), deeper, is_opened=is_opened)
            self._drain(inner)
        elif kind := next((kind for magic, kind in _UNREAD.items() if head.startswith(magic)), None):
            raise RefusedFile(
                f"{self.file}: {kind} archives are not read; ask for zip, gzip, bzip2, xz, zstd or tar"
            )
        elif self.keys is not None and not is_opened:
            raise RefusedFile(f"{self.file}: is not encrypted, though this feed's files must be")
        else:
            yield name, cast(BinaryIO, source)

    def _encrypted(self, source: io.BufferedReader, name: str, depth: int) -> Iterator[tuple[str, BinaryIO]]:
        if self.keys is None:
            raise RefusedFile(
                f"{self.file}: is encrypted with OpenPGP; configure the private key to decrypt it with"
            )
        deeper = self._deeper(depth)
        limit = self._room(deeper)
        with decrypted(source, self.keys, name=self.file, max_bytes=limit) as content:
            inner = self._limited(content, deeper)
            yield from self.payloads(inner, _without_suffix(name), deeper, is_opened=True)
            self._drain(inner)

    def _zipped(
        self, source: io.BufferedReader, name: str, depth: int, is_opened: bool
    ) -> Iterator[tuple[str, BinaryIO]]:
        with self._seekable(source) as whole, refusals(self.file):
            check_directory(whole, self.file, self.limits.max_members)
            with zipfile.ZipFile(whole) as archive:
                for member, content in zip_members(archive, self.file):
                    self._count(stat.S_IFMT(member.external_attr >> 16) in (0, stat.S_IFREG))
                    if _is_beside(member.filename):
                        continue
                    inner = self._limited(content, depth)
                    inside = f"{name}!{_plain(member.filename)}"
                    yield from self.payloads(inner, inside, depth, is_opened=is_opened)
                    self._drain(inner)

    def _tarred(
        self, source: io.BufferedReader, name: str, depth: int, is_opened: bool
    ) -> Iterator[tuple[str, BinaryIO]]:
        for member, is_regular, content in tar_members(cast(BinaryIO, source), self.file):
            self._count(is_regular)
            inner = self._limited(content, depth)
            if not _is_beside(member):
                yield from self.payloads(inner, f"{name}!{_plain(member)}", depth, is_opened=is_opened)
            self._drain(inner)

    def _count(self, is_regular: bool) -> None:
        self.members += 1
        if self.members > self.limits.max_members:
            raise RefusedFile(f"{self.file}: more than the {self.limits.max_members} members allowed")
        if not is_regular:
            raise RefusedFile(f"{self.file}: a member is a link or a device, which no delivery needs")

    def _deeper(self, depth: int) -> int:
        if depth >= self.limits.max_depth:
            raise RefusedFile(f"{self.file}: more than {self.limits.max_depth} containers in each other")
        return depth + 1

    def _room(self, depth: int) -> int:
        """Bytes that may still be unpacked at a depth; all of a depth share one limit."""
        limits = self.limits
        most = min(limits.max_bytes, max(self.size * limits.max_ratio, limits.ratio_from_bytes))
        return most - self.unpacked.get(depth, 0)

    def _limited(self, content: BinaryIO, depth: int) -> io.BufferedReader:
        return io.BufferedReader(_Limited(content, self, depth), 1024 * 1024)

    @contextmanager
    def _seekable(self, source: io.BufferedReader) -> Iterator[BinaryIO]:
        """The source itself, or a copy of it in a temporary file without a name."""
        if source.seekable():
            yield source
            return
        with tempfile.SpooledTemporaryFile(_SPOOL_IN_MEMORY) as spool:
            while part := source.read(1024 * 1024):
                spool.write(part)
            spool.seek(0)
            yield cast(BinaryIO, spool)

    def _drain(self, inner: io.BufferedReader) -> None:
        """Read what a decoder left: the checksum of a container stands behind its last byte."""
        while inner.read(1024 * 1024):
            pass


class _Limited(io.RawIOBase):
    """A layer that refuses to grow beyond what is allowed, and names the file when it is damaged."""

    def __init__(self, source: BinaryIO, walk: _Walk, depth: int) -> None:
        super().__init__()
        self._source, self._walk, self._depth = source, walk, depth

    def readable(self) -> bool:
        """A payload is only read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read on, counting; fills the buffer unless the source ends."""
        filled = 0
        while filled < len(buffer):
            with refusals(self._walk.file):
                data = self._source.read(len(buffer) - filled)
            if not data:
                break
            buffer[filled : filled + len(data)] = data
            filled += len(data)
        unpacked = self._walk.unpacked
        unpacked[self._depth] = unpacked.get(self._depth, 0) + filled
        if (over := self._walk._room(self._depth)) < 0:
            raise RefusedFile(
                f"{self._walk.file}: unpacks to more than {unpacked[self._depth] + over} bytes; "
                "raise the limit if this is right"
            )
        return filled


def _plain(name: str) -> str:
    """A member's name for messages: printable, without the parts that climb, of bounded length."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    text = "".join(one if one.isprintable() else "?" for one in "/".join(parts))
    return text[-_LONGEST_NAME:]


def _is_beside(name: str) -> bool:
    """What macOS puts beside each file of an archive."""
    parts = name.replace("\\", "/").split("/")
    return parts[0] == _BESIDE[0] or parts[-1] == _BESIDE[1] or parts[-1].startswith("._")


def _without_suffix(name: str) -> str:
    for suffix, instead in _SUFFIXES.items():
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)] + instead
    return name
