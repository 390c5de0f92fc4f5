"""Which package may know which, read from the source: a layer that leaks is found here, not in production."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("connectors", "orchestration", "demo")

FORBIDDEN: dict[str, tuple[str, ...]] = {
    "connectors": ("dagster", "dagster_dbt", "dbt", "orchestration", "demo"),
    "orchestration/scoring": ("dagster", "dagster_dbt", "dbt", "connectors", "demo"),
    "orchestration/identity": ("dagster", "dagster_dbt", "dbt", "demo"),
    "demo/world": ("dagster", "dagster_dbt", "dbt", "orchestration"),
    "demo/systems": ("dagster", "dagster_dbt", "dbt", "orchestration"),
    "orchestration/assets": ("demo",),
}
"""Folder → packages that nothing in it imports, not even within a function."""

ONLY_IN_COMMANDS = "orchestration/cli"
"""The command line may start the demo; nothing else of orchestration knows it."""

LIMIT = 400
LONG_FILES: dict[str, str] = {}
"""File longer than the limit → why it is not two files."""


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((REPOSITORY / folder).rglob("*.py"))


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything a module imports, relative imports resolved."""
    package = path.relative_to(REPOSITORY).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            yield node.lineno, ".".join([*base, *([node.module] if node.module else [])])


def names(paths: Iterator[Path]) -> list[str]:
    return [path.relative_to(REPOSITORY).as_posix() for path in paths]


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_a_layer_does_not_look_up(folder: str) -> None:
    files = list(sources(folder))
    assert files, f"{folder}/ holds no module: the rule guards nothing"
    leaks = [
        f"{path.relative_to(REPOSITORY)}:{line} imports {name}"
        for path in files
        for line, name in imported(path)
        if name.split(".")[0] in FORBIDDEN[folder]
    ]
    assert leaks == []


def test_only_the_command_line_knows_the_demo() -> None:
    leaks = [
        f"{path.relative_to(REPOSITORY)}:{line} imports {name}"
        for path in sources("orchestration")
        if not path.is_relative_to(REPOSITORY / ONLY_IN_COMMANDS)
        for line, name in imported(path)
        if name.split(".")[0] == "demo"
    ]
    assert leaks == []


def test_the_rule_sees_relative_and_nested_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check itself, on a module made to break the rule in every way there is."""
    module = tmp_path / "connectors" / "inner" / "bad.py"
    module.parent.mkdir(parents=True)
    module.write_text("from ...demo import x\nfrom . import y\ndef f():\n    import dagster.core\n")
    monkeypatch.setitem(globals(), "REPOSITORY", tmp_path)
    assert list(imported(module)) == [(1, "demo"), (2, "connectors.inner"), (4, "dagster.core")]


def test_the_real_time_location_does_not_load_dbt() -> None:
    """Its value is that it starts at once: what it imports, it imports in a fresh interpreter."""
    script = (
        "import sys\nimport orchestration.realtime\n"
        "print(sorted(name for name in sys.modules if name in ('dagster_dbt', 'dbt', 'splink')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_is_a_package(package: str) -> None:
    folders = {path.parent for path in sources(package)}
    assert [folder.name for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


def test_every_module_says_what_belongs_in_it() -> None:
    silent = [
        path
        for path in sources(*PACKAGES)
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert names(iter(silent)) == []


def test_no_file_grows_beyond_what_can_be_read_at_once() -> None:
    lengths = {
        path.relative_to(REPOSITORY).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in sources(*PACKAGES)
    }
    long = {name: length for name, length in lengths.items() if length > LIMIT and name not in LONG_FILES}
    assert long == {}
    assert [name for name in LONG_FILES if lengths.get(name, 0) <= LIMIT] == []


@pytest.mark.parametrize(
    "module",
    [
        "connectors.formats",
        "connectors.ingest",
        "connectors.activation",
        "orchestration.scoring",
        "orchestration.identity",
        "orchestration.cli.main",
        "demo.world",
    ],
)
def test_it_can_be_imported_by_itself_and_brings_no_orchestrator(module: str) -> None:
    script = (
        f"import sys, {module}\nprint([n for n in ('dagster', 'dagster_dbt', 'dbt') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert done.stdout.strip() == "[]"
