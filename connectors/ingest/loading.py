"""Reading feeds from disk: a folder a source, each with its ``defs.yaml`` and the layouts it names.

Belongs here: the file, its envelope, and the checks that need the decoder. Does not belong here: what the
keys mean (``config``, ``settings``).

A feed's file is one that Dagster reads as a component: ``type`` names the component, ``attributes`` is the
feed. Here only ``attributes`` counts, so that feeds load where Dagster is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from connectors.errors import GridCRMError
from connectors.formats import format_names
from connectors.ingest.config import DECLARED_BY_FEED, FeedConfig, FeedError
from connectors.ingest.contract import Mode
from connectors.yaml_config import Place, YamlFile, nearest, read_yaml, validate

FILE_NAME = "defs.yaml"
TYPE = "orchestration.components.Feed"
_ENVELOPE = ("type", "attributes", "requirements", "post_processing", "template_vars_module")


def feed_files(folder: Path) -> list[Path]:
    """The file of every feed below ``folder``, in the order of their names.

    Raises FeedError for a folder that is not there.
    """
    if not folder.is_dir():
        raise FeedError(f"the folder of feeds {folder.name}/ does not exist")
    return sorted(folder.glob(f"*/{FILE_NAME}"))


def load_feeds(folder: Path) -> dict[str, FeedConfig]:
    """Every feed of ``folder`` by source, in the order of their names.

    Raises FeedError for the first mistake.
    """
    feeds = [load_feed(path) for path in feed_files(folder)]
    return {feed.source: feed for feed in feeds}


def load_feed(path: Path) -> FeedConfig:
    """The feed described in ``path``; raises FeedError naming file, line and key of the first mistake."""
    file = _attributes(read_yaml(path, FeedError))
    feed = validate(FeedConfig, file, _with_paths(file), error=FeedError)
    if feed.source != path.parent.name:
        raise file.error(("source",), f"must be '{path.parent.name}', as the folder is named", FeedError)
    _check_types(feed, file)
    _check_keys(feed, file)
    _check_contract(feed, file)
    _check_restating(feed, file)
    try:
        decoded = feed.schemas()
    except GridCRMError as error:
        raise file.error(("file", "settings"), str(error), FeedError) from None
    for name, table in feed.tables.items():
        if name not in decoded:
            raise file.error(
                ("tables", name),
                f"format {feed.format} makes no such table{nearest(name, decoded)}",
                FeedError,
            )
        for column in table.columns:
            if column not in decoded[name].names:
                hint = nearest(column, decoded[name].names)
                raise file.error(("tables", name, "columns", column), f"is not decoded{hint}", FeedError)
    for name in decoded:
        if name not in feed.tables:
            raise file.error(("tables",), f"table '{name}' is decoded but not described here", FeedError)
    return feed


def _attributes(file: YamlFile) -> YamlFile:
    """What stands under ``attributes``; keys in messages are those of the feed, lines those of the file."""
    for key in file.data:
        if key not in _ENVELOPE:
            hint = nearest(key, _ENVELOPE)
            if key in FeedConfig.model_fields or key == "contract":
                hint = "; the feed's keys stand under 'attributes'"
            raise file.error((key,), f"unknown key{hint}", FeedError)
    if file.data.get("type") != TYPE:
        raise file.error(("type",), f"must be {TYPE}", FeedError)
    if not isinstance(file.data.get("attributes"), dict):
        raise file.error(("attributes",), "must be a mapping with the keys of the feed", FeedError)
    return file.section("attributes")


def _with_paths(file: YamlFile) -> Mapping[str, Any]:
    """A copybook, and what it copies, is named relative to the feed's folder."""
    section = file.data.get("file")
    if not isinstance(section, dict) or not isinstance(settings := section.get("settings"), dict):
        return file.data
    if not isinstance(settings.get("copybook"), str):
        return file.data

    def beside(value: str, *key: str) -> str:
        found = (file.path.parent / value).resolve()
        if not found.is_file():
            raise file.error(
                ("file", "settings", *key), "this file does not exist beside the feed", FeedError
            )
        return str(found)

    settings = {**settings, "copybook": beside(settings["copybook"], "copybook")}
    if isinstance(copies := settings.get("copies"), dict):
        settings["copies"] = {
            name: beside(value, "copies", name) if isinstance(value, str) and "\n" not in value else value
            for name, value in copies.items()
        }
    return {**file.data, "file": {**section, "settings": settings}}


def _check_types(feed: FeedConfig, file: YamlFile) -> None:
    needs_types = feed.kind != "file" or feed.format in DECLARED_BY_FEED
    if feed.format not in format_names():
        raise file.error(("file", "format"), f"unknown format '{feed.format}'", FeedError)
    for name, table in feed.tables.items():
        for column, config in table.columns.items():
            if needs_types and config.type is None:
                raise file.error(("tables", name, "columns", column), "needs a type", FeedError)
            if not needs_types and config.type is not None:
                place = ("tables", name, "columns", column, "type")
                raise file.error(place, f"format {feed.format} brings its own types", FeedError)


def _check_keys(feed: FeedConfig, file: YamlFile) -> None:
    for name, table in feed.tables.items():
        for key in ("key", "cursor"):
            if feed.kind == "sql" and not getattr(table, key):
                raise file.error(("tables", name), f"a table of a sql feed needs '{key}'", FeedError)
        columns = [("key", column) for column in table.key]
        columns += [("cursor", table.cursor)] if table.cursor else []
        for key, column in columns:
            if column not in table.columns:
                hint = nearest(column, table.columns)
                raise file.error(("tables", name, key), f"'{column}' is no column{hint}", FeedError)


def _check_contract(feed: FeedConfig, file: YamlFile) -> None:
    """A promise nobody keeps is a mistake: what a format cannot evolve is refused here."""
    if feed.format == "delimited" and feed.kind == "file":
        return
    for name, table in feed.tables.items():
        own = table.contract.types if table.contract else None
        places: list[tuple[Place, Mode | None]] = [(("tables", name, "contract"), own)]
        places += [
            (("tables", name, "columns", column, "contract"), config.contract)
            for column, config in table.columns.items()
        ]
        places.append((("contract", "types"), feed.schema_contract.types))
        for place, mode in places:
            if mode == "evolve":
                raise file.error(
                    place,
                    "types evolve in delimited files only; say quarantine (the record is put aside and "
                    "replayed after a fix) or freeze",
                    FeedError,
                )


def _check_restating(feed: FeedConfig, file: YamlFile) -> None:
    """Partitioned facts restate the days of rows that come; rows that go would leave theirs stale."""
    if feed.file is None or not feed.partitioned:
        return
    if feed.file.on_changed != "keep":
        place = ("file", "on_changed") if "on_changed" in file.data["file"] else ("partitioned",)
        raise file.error(
            place,
            "a partitioned feed keeps every version, so that a restated day sees them all: "
            "set file.on_changed to keep",
            FeedError,
        )
