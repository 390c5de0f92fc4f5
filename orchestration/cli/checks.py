"""What the doctor looks at without leaving this machine.

Belongs here: one function an area, each giving a list of findings and raising nothing for what is wrong.
Does not belong here: talking to other systems (:mod:`.reach`) and showing the findings (:mod:`.doctor`).
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Final, Literal, TypeVar

from connectors.activation import PushConfig, load_pushes
from connectors.connections import Connections, load_connections
from connectors.errors import GridCRMError
from connectors.ingest import FeedConfig, load_feed
from connectors.ingest.loading import FILE_NAME
from connectors.paths import Paths
from orchestration.settings import Settings

State = Literal["ok", "wrong", "note"]
T = TypeVar("T")

PYTHONS: Final = ((3, 11), (3, 13))
MIN_FREE_BYTES: Final = 2 * 1024**3


@dataclass(frozen=True)
class Finding:
    """One thing looked at: whether it is right, and what to do when it is not. Holds no secret."""

    area: str
    name: str
    state: State
    message: str
    advice: str = ""


def installation() -> Iterator[Finding]:
    """Python, and every package the project declares, against the versions it declares."""
    version = sys.version_info[:2]
    text = ".".join(map(str, sys.version_info[:3]))
    if PYTHONS[0] <= version <= PYTHONS[1]:
        yield Finding("installation", "python", "ok", text)
    else:
        yield Finding("installation", "python", "wrong", text, "use Python 3.11, 3.12 or 3.13")
    try:
        required = metadata.requires("gridcrm") or []
    except metadata.PackageNotFoundError:
        yield Finding("installation", "gridcrm", "wrong", "not installed", "run `make install`")
        return
    yield from _packages(required)


def _packages(required: Iterable[str]) -> Iterator[Finding]:
    from packaging.requirements import Requirement

    right = 0
    for text in required:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            found = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            yield Finding(
                "installation",
                requirement.name,
                "wrong",
                f"absent; {requirement} is needed",
                "run `make install`",
            )
            continue
        if requirement.specifier.contains(found, prereleases=True):
            right += 1
        else:
            yield Finding(
                "installation",
                requirement.name,
                "wrong",
                f"{found} is installed; {requirement} is needed",
                "run `make install`",
            )
    yield Finding("installation", "packages", "ok", f"{right} at the versions the project declares")


def data_root(paths: Paths) -> Iterator[Finding]:
    """Whether the data root is there, can be written, and has room."""
    root = paths.root
    parent = next(folder for folder in (root, *root.parents) if folder.exists())
    if not os.access(parent, os.W_OK):
        yield Finding(
            "data", "root", "wrong", f"{root} cannot be written", "set GRIDCRM_DATA to a folder of your own"
        )
        return
    if not root.exists():
        yield Finding("data", "root", "note", f"{root} is not there yet", "`make demo` makes and fills it")
        return
    for name in ("landing", "raw", "state"):
        folder = root / name
        if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
            yield Finding(
                "data", name, "wrong", f"{folder} cannot be written", "give it to the user that runs GridCRM"
            )
    free = shutil.disk_usage(root).free
    state: State = "ok" if free >= MIN_FREE_BYTES else "wrong"
    advice = "" if state == "ok" else "free some space, or set GRIDCRM_DATA to a larger disk"
    yield Finding("data", "root", state, f"{root}, {free / 1024**3:.0f} GiB free", advice)


def warehouse(paths: Paths) -> Iterator[Finding]:
    """Whether dbt has built the warehouse and what was published from it; the file itself is not opened."""
    if not paths.warehouse.is_file():
        yield Finding(
            "data", "warehouse", "note", "not built yet", "materialize it: the job `full`, or `make demo`"
        )
        return
    published = list(paths.published.rglob("*.parquet"))
    size = paths.warehouse.stat().st_size / 1024**2
    built = datetime.fromtimestamp(paths.warehouse.stat().st_mtime, UTC)
    yield Finding(
        "data",
        "warehouse",
        "ok",
        f"{size:.0f} MiB, last written {built:%Y-%m-%d %H:%M} UTC, {len(published)} models published",
    )


def dbt_manifest(settings: Settings) -> Iterator[Finding]:
    """Whether the manifest is there and fits the project's files."""
    manifest = settings.dbt_project / "target" / "manifest.json"
    if not (settings.dbt_project / "dbt_project.yml").is_file():
        yield Finding(
            "dbt", "project", "wrong", f"no dbt project in {settings.dbt_project}", "set GRIDCRM_DBT_PROJECT"
        )
        return
    # Outside production it is parsed again as soon as somebody needs it.
    bad: State = "wrong" if settings.deployment == "production" else "note"
    if not manifest.is_file():
        yield Finding("dbt", "manifest", bad, "not there", "run `make manifest`")
        return
    made = manifest.stat().st_mtime
    newer = sorted(
        file.relative_to(settings.dbt_project).as_posix()
        for part in ("dbt_project.yml", "models", "macros", "tests", "seeds")
        for file in _files(settings.dbt_project / part)
        if file.stat().st_mtime > made
    )
    if newer:
        message = f"older than {newer[0]} and {len(newer) - 1} more"
        yield Finding("dbt", "manifest", bad, message, "run `make manifest`")
    else:
        yield Finding("dbt", "manifest", "ok", "fits the project's files")


def _files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
    elif place.is_dir():
        yield from (file for file in place.rglob("*") if file.is_file())


def dagster_home(paths: Paths, env: Mapping[str, str]) -> Iterator[Finding]:
    """Where Dagster keeps its runs."""
    named = env.get("DAGSTER_HOME")
    home = Path(named) if named else paths.dagster
    if not home.is_dir():
        state: State = "wrong" if named else "note"
        advice = "make that folder and copy dagster.yaml into it" if named else "`make ui` makes it"
        yield Finding("dagster", "home", state, f"{home} is not there", advice)
    elif not (home / "dagster.yaml").is_file():
        yield Finding(
            "dagster",
            "home",
            "wrong",
            f"{home} has no dagster.yaml",
            "copy dagster.yaml of the repository into it",
        )
    else:
        yield Finding("dagster", "home", "ok", str(home))


@dataclass
class Configuration:
    """What could be read: everything that has a mistake is missing here, and is a finding instead."""

    connections: Connections | None
    feeds: dict[str, FeedConfig]
    pushes: dict[str, PushConfig]


def configuration(settings: Settings) -> tuple[Configuration, list[Finding]]:
    """Read connections, feeds and pushes; each mistake is a finding that names file, line and key."""
    findings: list[Finding] = []
    load = partial(load_connections, settings.connections, settings.environment())
    connections = _attempt(findings, "connections", settings.connections.name, load)
    feeds: dict[str, FeedConfig] = {}
    files = sorted(settings.feeds.glob(f"*/{FILE_NAME}"))
    for path in files:
        feed = _attempt(findings, "feeds", path.parent.name, partial(load_feed, path))
        if feed is not None:
            feeds[feed.source] = feed
    if not files:
        findings.append(
            Finding("feeds", settings.feeds.name, "wrong", "no feed is declared", "set GRIDCRM_FEEDS")
        )
    elif len(feeds) == len(files):
        findings.append(Finding("feeds", settings.feeds.name, "ok", f"{len(feeds)} feeds read"))
    pushes: dict[str, PushConfig] = {}
    for folder in (settings.pushes, settings.pushes / "realtime"):
        if folder == settings.pushes or folder.is_dir():
            found = _attempt(findings, "pushes", folder.name, partial(load_pushes, folder))
            if found is not None:
                pushes |= found
                findings.append(Finding("pushes", folder.name, "ok", f"{len(found)} pushes read"))
    if connections is not None:
        findings += _unknown_connections(connections, feeds, pushes)
    return Configuration(connections, feeds, pushes), findings


def _unknown_connections(
    connections: Connections, feeds: Mapping[str, FeedConfig], pushes: Mapping[str, PushConfig]
) -> Iterator[Finding]:
    users = [("feeds", name, feed.connection) for name, feed in feeds.items()]
    users += [("pushes", name, push.destination.connection) for name, push in pushes.items()]
    for area, name, connection in users:
        if connection not in connections.names:
            yield Finding(
                area, name, "wrong", f"uses the connection '{connection}', which is not described",
                "describe it in connections.yaml, or correct its name",
            )  # fmt: skip


def _attempt(findings: list[Finding], area: str, name: str, load: Callable[[], T]) -> T | None:
    """What ``load`` gives, or None and its one-line error as a finding."""
    try:
        return load()
    except GridCRMError as error:
        findings.append(Finding(area, name, "wrong", str(error), "mend the line that is named"))
        return None
