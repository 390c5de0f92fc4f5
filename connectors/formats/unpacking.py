"""How one container is unpacked: zip, tar, and the compressions around a single file.

Belongs here: streams out of streams, with bounded memory whatever a header claims. Does not belong here: how
much may be unpacked, and containers in each other (``archive``).
"""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

import pyarrow as pa

from connectors.formats.base import RefusedFile, read_exactly

BLOCK = 512
"""A tar block, and the bytes that tell what a container is."""
_CHUNK = 64 * 1024
_XZ_MEMORY = 256 * 1024 * 1024  # xz at its strongest setting needs 65 MB
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
_DIRECTORY_ENTRY = 1024  # bytes of a member in a zip's directory, a long name included
_TAR_EXTRA = 1024 * 1024  # bytes of a long name or of extended attributes
_DAMAGES = (
    zipfile.BadZipFile, zipfile.LargeZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError,
    ValueError, IndexError, struct.error,  # what zipfile makes of impossible places and names
)  # fmt: skip
_TAR_REGULAR, _TAR_FOLDER = (b"0", b"\0", b"7"), b"5"


def _damaged(name: str, why: str) -> RefusedFile:
    return RefusedFile(f"{name}: damaged archive ({why}); ask for the file again")


@contextmanager
def refusals(name: str) -> Iterator[None]:
    """Faults of a container become refusals that name the file; faults of the disk stay what they are."""
    try:
        yield
    except _DAMAGES as error:
        raise _damaged(name, str(error)) from None
    except (NotImplementedError, RuntimeError) as error:
        raise RefusedFile(f"{name}: the archive cannot be read ({error})") from None
    except (OSError, pa.ArrowException) as error:
        # bzip2 and zstd say so of damaged data, without the number that a fault of the system has; a place
        # that cannot be sought to is one that a damaged directory gave.
        if getattr(error, "errno", None) not in (None, errno.EINVAL):
            raise
        raise _damaged(name, str(error)) from None


class _Inflated(io.RawIOBase):
    """A stream out of a bzip2 or xz one; several streams one after the other are one content."""

    def __init__(self, source: BinaryIO, begin: Callable[[], Any], padding: bytes) -> None:
        super().__init__()
        self._source, self._begin, self._padding = source, begin, padding
        self._inflater: Any = begin()
        self._is_done = False

    def readable(self) -> bool:
        """It is only read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Unpack on, never more than is asked for."""
        while not self._is_done:
            if self._inflater.eof:
                rest = self._inflater.unused_data.lstrip(self._padding)
                while not rest and (part := self._source.read(_CHUNK)):
                    rest = part.lstrip(self._padding)
                if not rest:
                    self._is_done = True
                    break
                self._inflater = self._begin()
                data = self._inflater.decompress(rest, len(buffer))
            else:
                part = self._source.read(_CHUNK) if self._inflater.needs_input else b""
                if not part and self._inflater.needs_input:
                    raise EOFError("it ends before its content does")
                data = self._inflater.decompress(part, len(buffer))
            if data:
                buffer[: len(data)] = data
                return len(data)
        return 0


def _gzip(source: io.BufferedReader) -> BinaryIO:
    return cast(BinaryIO, gzip.GzipFile(fileobj=source, mode="rb"))


def _bzip2(source: io.BufferedReader) -> BinaryIO:
    return cast(BinaryIO, _Inflated(cast(BinaryIO, source), bz2.BZ2Decompressor, b""))


def _xz(source: io.BufferedReader) -> BinaryIO:
    def begin() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)

    return cast(BinaryIO, _Inflated(cast(BinaryIO, source), begin, b"\0"))


def _zstd(source: io.BufferedReader) -> BinaryIO:
    # Arrow's own zstd; it takes no window beyond 128 MB.
    return cast(BinaryIO, pa.CompressedInputStream(pa.PythonFile(source, mode="r"), "zstd"))


COMPRESSIONS: tuple[tuple[bytes, Callable[[io.BufferedReader], BinaryIO]], ...] = (
    (b"\x1f\x8b", _gzip),
    (b"BZh", _bzip2),
    (b"\xfd7zXZ\x00", _xz),
    (b"\x28\xb5\x2f\xfd", _zstd),
)
"""How a compressed file is opened, by its first bytes."""


def check_directory(raw: BinaryIO, name: str, max_members: int) -> None:
    """Refuse a zip whose directory is too large to be read into memory, before that is done."""
    raw.seek(0, io.SEEK_END)
    size = raw.tell()
    raw.seek(max(0, size - 22 - 65_535))
    tail = raw.read()
    at = tail.rfind(b"PK\x05\x06")
    if at >= 0 and len(tail) - at >= 22:
        (directory,) = struct.unpack_from("<L", tail, at + 12)
        if directory == 0xFFFFFFFF and at >= 20 and tail[at - 20 : at - 16] == b"PK\x06\x07":
            (place,) = struct.unpack_from("<Q", tail, at - 12)
            raw.seek(min(place, size))
            record = raw.read(56)
            if record[:4] == b"PK\x06\x06" and len(record) == 56:
                (directory,) = struct.unpack_from("<Q", record, 40)
        if directory > max(max_members, 64) * _DIRECTORY_ENTRY:
            raise RefusedFile(f"{name}: more than the {max_members} members allowed")
    raw.seek(0)


def zip_members(archive: zipfile.ZipFile, name: str) -> Iterator[tuple[zipfile.ZipInfo, BinaryIO]]:
    """The members that are not folders, each open until the next is asked for."""
    for member in archive.infolist():
        if member.is_dir():
            continue
        if member.flag_bits & 1:
            raise RefusedFile(f"{name}: a member is encrypted; ask for it without a password")
        if member.compress_type not in _ZIP_METHODS:
            raise RefusedFile(f"{name}: a member is packed by another method than deflate or bzip2")
        with archive.open(member) as content:
            yield member, cast(BinaryIO, content)


def is_tar(head: bytes) -> bool:
    """Whether a block is the head of a tar member: its checksum says so, older than any magic."""
    if len(head) < BLOCK or not head[0]:
        return False
    declared = _octal(head[148:156])
    return declared is not None and declared == sum(head[:148]) + 8 * ord(" ") + sum(head[156:BLOCK])


def tar_members(source: BinaryIO, name: str) -> Iterator[tuple[str, bool, BinaryIO]]:
    """Name, whether it is a regular file, and content of every member but folders, in one pass.

    A content is to be read to its end before the next member is asked for. Long names and sizes come from
    GNU's and POSIX's extra records. Raises :class:`RefusedFile` for an archive that is damaged or cut.
    """
    longer: dict[str, str] = {}
    while True:
        head = read_exactly(source, BLOCK)
        if not any(head) and len(head) == BLOCK:
            while source.read(_CHUNK):  # blocks of zeros up to the next record
                pass
            return
        if not is_tar(head):
            raise _damaged(name, "no tar header where one must be")
        kind = head[156:157]
        size = _octal(head[124:136])
        if "size" in longer:
            size = int(longer["size"]) if longer["size"].isdecimal() and len(longer["size"]) < 20 else None
        if size is None:
            raise _damaged(name, "a tar member without a size")
        content = _Content(source, size, name)
        if kind in (b"x", b"L"):
            if size > _TAR_EXTRA:
                raise RefusedFile(f"{name}: a tar member has a name or attributes beyond all measure")
            text = content.read()
            content.finish()
            longer |= {"path": _text(text.rstrip(b"\0"))} if kind == b"L" else _attributes(text)
            continue
        if kind in (b"g", b"K"):
            content.finish()
            continue
        prefix = _text(head[345:500].split(b"\0", 1)[0]) if head[257:263] == b"ustar\0" else ""
        own = _text(head[:100].split(b"\0", 1)[0])
        member = longer.get("path") or (f"{prefix}/{own}" if prefix else own)
        longer = {}
        if kind != _TAR_FOLDER and not (kind in _TAR_REGULAR[:2] and member.endswith("/")):
            yield member, kind in _TAR_REGULAR, cast(BinaryIO, content)
        content.finish()


class _Content(io.RawIOBase):
    """The bytes of one tar member."""

    def __init__(self, source: BinaryIO, size: int, name: str) -> None:
        super().__init__()
        self._source, self._left, self._name = source, size, name
        self._padding = -size % BLOCK

    def readable(self) -> bool:
        """It is only read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read on within the member."""
        data = self._source.read(min(len(buffer), self._left))
        if not data and self._left and len(buffer):
            raise _damaged(self._name, "cut within a tar member")
        self._left -= len(data)
        buffer[: len(data)] = data
        return len(data)

    def finish(self) -> None:
        """Go to the next header."""
        while self.read(_CHUNK):
            pass
        read_exactly(self._source, self._padding)


def _octal(text: bytes) -> int | None:
    """A number of a tar header: octal digits, or binary behind a set high bit."""
    if text[0] & 0x80:
        return int.from_bytes(bytes([text[0] & 0x7F]) + text[1:], "big")
    digits = text.strip(b" \0")
    if not digits or digits.strip(b"01234567"):
        return None if digits else 0
    return int(digits, 8)


def _attributes(text: bytes) -> dict[str, str]:
    """Path and size out of POSIX's extended attributes, lines of ``length key=value``."""
    found: dict[str, str] = {}
    while text:
        length, _, _ = text.partition(b" ")
        count = int(length) if length.isdigit() and len(length) < 8 else 0
        if count <= len(length) + 1 or count > len(text):
            break
        key, _, value = text[len(length) + 1 : count - 1].partition(b"=")
        if key in (b"path", b"size"):
            found[key.decode()] = _text(value)
        text = text[count:]
    return found


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")
