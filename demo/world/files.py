"""How files come to lie in the server's tree: written elsewhere, compared, then put in place whole.

Belongs here: temporary files, comparison, the manifest of what was written. Does not belong here: what is
in a file.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

_CHUNK = 1 << 20


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@dataclass
class Tree:
    """A folder whose files appear whole, and stay untouched where their bytes are the same."""

    root: Path
    parts: Path
    """Where files are written before they are put in place; same file system as ``root``."""
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What was written: relative path → size and SHA-256."""

    def prepare(self, *folders: str) -> None:
        """Make the folders, and an empty place for parts."""
        for folder in folders:
            (self.root / folder.strip("/")).mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.parts, ignore_errors=True)
        self.parts.mkdir(parents=True)

    @contextmanager
    def write(self, name: str) -> Iterator[BinaryIO]:
        """Write the file ``name`` (relative to the root); it is put in place when the block ends well."""
        part = self.parts / name.replace("/", "__")
        with part.open("wb") as stream:
            yield stream
        self.settle(part, name)

    def append(self, name: str, body: bytes) -> None:
        """Add bytes to a part that a later :meth:`finish` puts in place."""
        with (self.parts / name.replace("/", "__")).open("ab") as stream:
            stream.write(body)

    def append_gzip(self, name: str, body: bytes) -> None:
        """Add one gzip member (its time stamp zero, so that equal bodies give equal bytes)."""
        self.append(name, gzip.compress(body, compresslevel=1, mtime=0))

    def finish(self, name: str) -> None:
        """Put an appended part in place."""
        self.settle(self.parts / name.replace("/", "__"), name)

    def settle(self, part: Path, name: str) -> None:
        """Move a part to its name, unless the same bytes lie there already."""
        target = self.root / name
        digest = sha256_of(part)
        self.files[name] = {"size": part.stat().st_size, "sha256": digest}
        if target.is_file() and target.stat().st_size == part.stat().st_size and sha256_of(target) == digest:
            part.unlink()
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        part.replace(target)

    def close(self) -> None:
        """Remove the place for parts."""
        shutil.rmtree(self.parts, ignore_errors=True)


@dataclass(frozen=True)
class Manifest:
    """What an earlier generation wrote, kept beside the truth."""

    fingerprint: str
    summary: dict[str, Any]
    trees: dict[str, dict[str, dict[str, Any]]]

    @classmethod
    def read(cls, path: Path) -> Manifest | None:
        """The manifest at ``path``; None where there is none that can be read."""
        if not path.is_file():
            return None
        try:
            body = json.loads(path.read_text())
            return cls(body["fingerprint"], body["summary"], body["trees"])
        except (ValueError, KeyError, TypeError):
            return None  # half-written or foreign: the world is written again

    def save(self, path: Path) -> None:
        """Write the manifest by a temporary name."""
        temporary = path.with_suffix(".tmp")
        body = {"fingerprint": self.fingerprint, "summary": self.summary, "trees": self.trees}
        temporary.write_text(json.dumps(body, indent=1, sort_keys=True))
        temporary.replace(path)

    def is_intact(self, roots: dict[str, Path]) -> bool:
        """Whether every file still lies there with its size (the bytes are not read again)."""
        for tree, files in self.trees.items():
            for name, facts in files.items():
                path = roots[tree] / name
                if not path.is_file() or path.stat().st_size != facts["size"]:
                    return False
        return True

    def remove_stale(self, tree: str, root: Path, kept: dict[str, dict[str, Any]]) -> None:
        """Delete files of this earlier world that the new one does not have."""
        for name in self.trees.get(tree, {}):
            if name not in kept:
                (root / name).unlink(missing_ok=True)
