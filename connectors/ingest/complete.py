"""When a file on a server is whole: a marker beside it, a manifest that lists it, a size that stands still.

Belongs here: the rules of a feed's ``complete``. Does not belong here: bringing the file.
"""

from __future__ import annotations

import csv
import hashlib
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from connectors.ingest.settings import DoneMarker, FileConfig, Manifest, Stable
from connectors.transport import TransportError
from connectors.transport.sftp import Listing, RemoteFile, SftpTransport

Triple = tuple[str, int, int]
MAX_MANIFEST_BYTES = 32 * 1024 * 1024
_HASHES = {32: "md5", 40: "sha1", 64: "sha256"}
_SUM_LINE = re.compile(r"^\\?([0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{64}) [ *](.+)$")
_IS_HASH = re.compile(r"^(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{64})$")


@dataclass(frozen=True)
class Listed:
    """What a manifest says of a file; a size or a hash it does not give is None."""

    size: int | None
    digest: str | None

    def disagrees(self, part: Path, sha256: str) -> str | None:
        """Why the downloaded ``part`` is not the file that was listed; None when it is."""
        if self.digest is None:
            return None
        kind = _HASHES[len(self.digest)]
        found = sha256
        if kind != "sha256":
            with part.open("rb") as stream:
                found = hashlib.file_digest(stream, kind).hexdigest()
        if found != self.digest:
            return f"its {kind} is {found[:12]}…, the manifest says {self.digest[:12]}…: ask for it again"
        return None


@dataclass(frozen=True)
class Look:
    """What one look at the server found: whole files, those that are not yet (with why), what is refused."""

    ready: list[RemoteFile]
    waiting: list[str]
    refused: list[tuple[str, str]]
    listed: Mapping[str, Listed]


def triple(remote: RemoteFile) -> Triple:
    """By what a sighting is known again."""
    return remote.path, remote.size, remote.modified_at


class Completeness:
    """The rule of one feed, asked about one directory."""

    def __init__(self, config: FileConfig) -> None:
        self._config, self._rule = config, config.complete

    def is_wanted(self, name: str) -> bool:
        """Whether ``name`` is a file of the feed: it matches, and is neither marker nor manifest."""
        if isinstance(self._rule, DoneMarker) and name.endswith(self._rule.done_marker):
            return False
        if isinstance(self._rule, Manifest) and self._rule.names.matches(name):
            return False
        return self._config.names.matches(name)

    def look(
        self,
        sftp: SftpTransport,
        known: Collection[Triple],
        in_window: Callable[[RemoteFile], bool] = lambda _: True,
        *,
        waits: bool = True,
    ) -> Look:
        """List the directory and apply the rule; with ``waits`` false, sizes are not watched."""
        listing = sftp.list(self._config.directory, self._is_listed)
        refused = [(entry.name, entry.reason) for entry in listing.refused]
        files = [item for item in listing.files if self.is_wanted(item.name) and in_window(item)]
        rule = self._rule
        if isinstance(rule, DoneMarker):
            return self._marked(files, listing, rule, refused)
        if isinstance(rule, Manifest):
            return self._listed(sftp, files, listing, rule, refused)
        waiting: list[str] = []
        if isinstance(rule, Stable):
            files, waiting = _old_enough(files, listing, rule, known)
        if rule != "none" and waits:
            files, growing = self._stable(sftp, files, known)
            waiting += growing
        return Look(files, waiting, refused, {})

    def _is_listed(self, name: str) -> bool:
        is_manifest = isinstance(self._rule, Manifest) and self._rule.names.matches(name)
        return is_manifest or self.is_wanted(name)

    @staticmethod
    def _marked(
        files: list[RemoteFile], listing: Listing, rule: DoneMarker, refused: list[tuple[str, str]]
    ) -> Look:
        suffix = rule.done_marker
        ready = [
            item
            for item in files
            if f"{item.name}{suffix}" in listing.names or f"{Path(item.name).stem}{suffix}" in listing.names
        ]
        waiting = [f"{item.name}: no {suffix} beside it yet" for item in files if item not in ready]
        return Look(ready, waiting, refused, {})

    @staticmethod
    def _listed(
        sftp: SftpTransport,
        files: list[RemoteFile],
        listing: Listing,
        rule: Manifest,
        refused: list[tuple[str, str]],
    ) -> Look:
        listed: dict[str, Listed] = {}
        # By name, so that of two manifests that list a file the later one (by its date) counts.
        for manifest in (item for item in listing.files if rule.names.matches(item.name)):
            if manifest.size > MAX_MANIFEST_BYTES:
                refused.append((manifest.name, f"a manifest of {manifest.size} bytes is not read"))
                continue
            try:
                listed |= read_manifest(sftp.read_bytes(manifest.path).decode("utf-8-sig", "replace"))
            except TransportError as error:
                refused.append((manifest.name, str(error)))
        ready, waiting = [], []
        for item in files:
            said = listed.get(item.name)
            if said is None:
                waiting.append(f"{item.name}: no manifest lists it yet")
            elif said.size is not None and said.size != item.size:
                waiting.append(f"{item.name}: {item.size} bytes, the manifest says {said.size}")
            else:
                ready.append(item)
        return Look(ready, waiting, refused, listed)

    def _stable(
        self, sftp: SftpTransport, files: list[RemoteFile], known: Collection[Triple]
    ) -> tuple[list[RemoteFile], list[str]]:
        fresh = {item for item in files if triple(item) not in known}
        if not fresh:
            return files, []
        time.sleep(self._config.stable_seconds)
        later = set(sftp.list(self._config.directory, self.is_wanted).files)
        growing = {item for item in fresh if item not in later}
        return (
            [item for item in files if item not in growing],
            [f"{item.name}: its size still changes" for item in files if item in growing],
        )


def _old_enough(
    files: list[RemoteFile], listing: Listing, rule: Stable, known: Collection[Triple]
) -> tuple[list[RemoteFile], list[str]]:
    """Split by age. SFTP tells no time: ours is taken, or the latest that the listing shows when that is
    later, so that a server whose clock is ahead only makes a file wait.
    """
    moment = max([time.time(), *(item.modified_at for item in listing.files)])
    least = rule.min_age.total_seconds()
    young = {item for item in files if triple(item) not in known and moment - item.modified_at < least}
    words = [
        f"{item.name}: written {max(0, moment - item.modified_at):.0f} s ago, {least:.0f} s are wanted"
        for item in files
        if item in young
    ]
    return [item for item in files if item not in young], words


def read_manifest(text: str) -> dict[str, Listed]:
    """The files that a manifest lists, by name; lines that list none (a header, a comment) are passed over.

    Two shapes are read: ``<hash>  <name>`` as ``sha256sum`` and ``md5sum`` write it, and columns in the order
    name, size, hash (the last may be absent), separated by comma, semicolon, tab or bar.
    """
    return dict(_entries(text.splitlines()))


def _entries(lines: Iterable[str]) -> Iterator[tuple[str, Listed]]:
    for line in lines:
        if match := _SUM_LINE.match(line.strip()):
            yield _base(match[2]), Listed(None, match[1].lower())
            continue
        separator = next((mark for mark in ",;\t|" if mark in line), None)
        if separator is None:
            continue
        cells = [cell.strip() for cell in next(csv.reader([line], delimiter=separator))]
        if len(cells) > 1 and cells[1].isascii() and cells[1].isdigit():
            found = next((cell.lower() for cell in cells[2:] if _IS_HASH.match(cell)), None)
            yield _base(cells[0]), Listed(int(cells[1]), found)


def _base(name: str) -> str:
    """The last part of a name: a manifest may list its files with their folder."""
    return name.replace("\\", "/").rsplit("/", 1)[-1]
