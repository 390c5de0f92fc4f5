"""What may not lie in the repository: paths of one machine, addresses of a package index, data, secrets."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
TEXT = {".py", ".sql", ".yml", ".yaml", ".toml", ".md", ".cfg", ".cpy", ".svg", ".lock", ".txt", ".sh", ""}

# Put together from parts, so that this file does not hold what it looks for.
INDEX_ADDRESSES = re.compile(
    "|".join((r"files\.python" + "hosted", r"pypi\." + "org", r"--(extra-)?index" + "-url"))
)
MACHINE_PATHS = re.compile(
    r"(?<![\w./~-])/(?:" + "|".join(("work", "root", "home/" + r"\w+", "Users/" + r"\w+")) + r")/\w"
)
PRIVATE_KEYS = re.compile("-----BEGIN " + r"[A-Z ]*PRIVATE KEY-----")
DATA = {".parquet", ".duckdb", ".db", ".sqlite", ".dat", ".zip", ".gz", ".pdf", ".xlsx", ".wal"}
MAX_BYTES = 512 * 1024


@pytest.fixture(scope="module")
def committed() -> list[Path]:
    """Every file git keeps."""
    done = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip("this is not a git work tree")
    return [path for name in done.stdout.split("\0") if name and (path := REPOSITORY / name).is_file()]


def lines_with(pattern: re.Pattern[str], files: list[Path]) -> list[str]:
    found = []
    for path in files:
        if path.suffix in TEXT:
            for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
                if pattern.search(line):
                    found.append(f"{path.relative_to(REPOSITORY)}:{number}")
    return found


@pytest.mark.parametrize(
    ("pattern", "hit", "miss"),
    [
        (INDEX_ADDRESSES, "https://pypi." + "org/simple", "the package index"),
        (MACHINE_PATHS, "see /ro" + "ot/x", "/cis/outgoing, home/x, ../shared/realdata"),
        (PRIVATE_KEYS, "-----BEGIN OPENSSH " + "PRIVATE KEY-----", "ssh-ed25519 AAAA"),
    ],
    ids=["index", "path", "key"],
)
def test_the_patterns_find_what_they_look_for(pattern: re.Pattern[str], hit: str, miss: str) -> None:
    assert pattern.search(hit)
    assert not pattern.search(miss)


def test_no_address_of_a_package_index(committed: list[Path]) -> None:
    assert lines_with(INDEX_ADDRESSES, committed) == []


def test_no_path_of_one_machine(committed: list[Path]) -> None:
    assert lines_with(MACHINE_PATHS, committed) == []


def test_no_private_key(committed: list[Path]) -> None:
    assert lines_with(PRIVATE_KEYS, committed) == []


def test_no_data_and_nothing_large(committed: list[Path]) -> None:
    data = [path.relative_to(REPOSITORY).as_posix() for path in committed if path.suffix in DATA]
    assert data == []
    large = [
        path.relative_to(REPOSITORY).as_posix()
        for path in committed
        if path.stat().st_size > MAX_BYTES and path.name != "requirements.lock"
    ]
    assert large == []


def test_every_pinned_package_has_a_hash(committed: list[Path]) -> None:
    locks = [path for path in committed if path.name == "requirements.lock"]
    assert REPOSITORY / "requirements.lock" in locks
    for lock in locks:
        blocks = re.split(r"\n(?=[A-Za-z0-9])", lock.read_text(encoding="utf-8").strip())
        pinned = [block for block in blocks if re.match(r"[A-Za-z0-9][\w.\-]*(\[[\w,]+\])?==", block)]
        assert len(pinned) > 20
        assert [block.splitlines()[0] for block in pinned if "--hash=sha256:" not in block] == []
