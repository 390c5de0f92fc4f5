"""Files inside files: the payloads of a .zip or .gz, within limits.

Belongs here: opening archives safely. Does not belong here: what the payloads hold. Nothing is ever
extracted to disk, so a name inside an archive cannot become a path.
"""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from connectors.formats.base import RefusedFile

MAX_BYTES = 16 * 1024**3
"""Most bytes one payload may unpack to."""
MAX_RATIO = 1000
"""Most times a payload may be larger than its packed form; deflate itself cannot pass 1032."""
MAX_MEMBERS = 10_000
_RATIO_FROM = 1024 * 1024  # a small file of one repeated line packs well and harms nobody
_ZIP, _GZIP = b"PK\x03\x04", b"\x1f\x8b"
_EMPTY_ZIP = b"PK\x05\x06"


def open_payloads(
    path: Path, *, max_bytes: int = MAX_BYTES, max_ratio: int = MAX_RATIO
) -> Iterator[tuple[str, BinaryIO]]:
    """Yield ``(name, stream)`` of every payload: members of a zip, the content of a gzip, or the file itself.

    The first bytes decide, not the name. A stream is valid until the next one is asked for. Raises
    :class:`RefusedFile` for a damaged, encrypted or oversized archive, also while a payload is read.
    """
    with path.open("rb") as raw:
        magic = raw.read(4)
        raw.seek(0)
        if magic in (_ZIP, _EMPTY_ZIP):
            yield from _zip_payloads(path, raw, max_bytes, max_ratio)
        elif magic.startswith(_GZIP):
            name = path.name.removesuffix(".gz")
            with _refusals(path.name), gzip.GzipFile(fileobj=raw, mode="rb") as content:
                yield (
                    name,
                    _limited(cast(BinaryIO, content), path.name, path.stat().st_size, max_bytes, max_ratio),
                )
        else:
            yield path.name, raw


def _zip_payloads(
    path: Path, raw: BinaryIO, max_bytes: int, max_ratio: int
) -> Iterator[tuple[str, BinaryIO]]:
    with _refusals(path.name), zipfile.ZipFile(raw) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        if len(members) > MAX_MEMBERS:
            raise RefusedFile(f"{path.name}: {len(members)} members, more than the {MAX_MEMBERS} allowed")
        for member in members:
            if member.flag_bits & 1:
                raise RefusedFile(f"{path.name}: a member is encrypted; ask for it without a password")
            with archive.open(member) as content:
                packed = cast(BinaryIO, content)
                yield (
                    _plain(member.filename),
                    _limited(packed, path.name, member.compress_size, max_bytes, max_ratio),
                )


def _plain(name: str) -> str:
    """The last part of a member's name, for messages."""
    return name.replace("\\", "/").rsplit("/", 1)[-1]


@contextmanager
def _refusals(name: str) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zipfile.LargeZipFile, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise RefusedFile(f"{name}: damaged archive ({error}); ask for the file again") from None
    except (NotImplementedError, RuntimeError) as error:
        raise RefusedFile(f"{name}: the archive cannot be read ({error})") from None


def _limited(source: BinaryIO, name: str, packed: int, max_bytes: int, max_ratio: int) -> BinaryIO:
    return io.BufferedReader(_Limited(source, name, packed, max_bytes, max_ratio), 1024 * 1024)


class _Limited(io.RawIOBase):
    """A payload that refuses to grow beyond its limits, and names the archive when it is damaged."""

    def __init__(self, source: BinaryIO, name: str, packed: int, max_bytes: int, max_ratio: int) -> None:
        super().__init__()
        self._source = source
        self._name = name
        self._most = min(max_bytes, max(packed * max_ratio, _RATIO_FROM))
        self._count = 0

    def readable(self) -> bool:
        """A payload is only read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read on, counting."""
        with _refusals(self._name):
            data = self._source.read(len(buffer))
        self._count += len(data)
        if self._count > self._most:
            raise RefusedFile(
                f"{self._name}: unpacks to more than {self._most} bytes; raise the limit if this is right"
            )
        buffer[: len(data)] = data
        return len(data)
