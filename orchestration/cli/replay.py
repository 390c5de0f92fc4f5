"""``gridcrm replay``: decode again from landing, after a feed, a setting or a decoder was mended.

Belongs here: the command's options, its table and its JSON. Does not belong here: choosing and decoding
(``connectors.ingest.replay``).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from connectors.ingest import FeedConfig, Replayed

EXIT_QUARANTINED = 3
"""Exit code when something is still set aside or refused afterwards, as of ``gridcrm decode``."""


def replay(
    feed: Annotated[str | None, typer.Option(help="One feed; all of them without.")] = None,
    file: Annotated[list[str] | None, typer.Option(help="A file, by its name or its id; repeatable.")] = None,
    rule: Annotated[str | None, typer.Option(help="Files with a record set aside by this rule.")] = None,
    outdated: Annotated[
        bool, typer.Option("--outdated", help="Files decoded by an older decoder or under other settings.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="Every landed file.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
    data: Annotated[
        Path | None, typer.Option(help="The data root; by default GRIDCRM_DATA or ./data.")
    ] = None,
) -> None:
    """Decode landed files again and say which records were healed.

    Without a choice: files that were refused and files with records in quarantine. Each file's rows and
    quarantine are replaced at once. Rows of a database are read again by key.

    Exit code 0: nothing is set aside any more; 3: something is; 2: an error.
    """
    from connectors.connections import load_connections
    from connectors.ingest import Choice, FeedError, Ingest, load_feeds
    from connectors.yaml_config import nearest
    from orchestration.settings import Settings

    env = dict(os.environ) | ({"GRIDCRM_DATA": str(data)} if data is not None else {})
    settings = Settings.from_env(env)
    feeds = load_feeds(settings.feeds)
    if feed is not None and feed not in feeds:
        raise FeedError(f"there is no feed '{feed}'{nearest(feed, feeds)}")
    chosen = [feeds[feed]] if feed is not None else _of_files(feeds)
    choice = Choice(tuple(file or ()), rule, outdated, everything)
    ingest = Ingest(settings.paths, load_connections(settings.connections, settings.environment()))
    try:
        if feed is None and file:
            chosen = [f for f in chosen if _has_all(ingest.ledger.rows(f.source), file)] or chosen[:1]
        found = {f.source: ingest.replay(f, choice, dry_run=dry_run) for f in chosen}
    finally:
        ingest.close()
    if as_json:
        typer.echo(json.dumps(_account(found, dry_run), ensure_ascii=False, default=str))
    else:
        _show(found, {f.source: f for f in chosen}, dry_run)
    if any(done.still_bad or done.newly_bad or done.state == "refused" for done in _all(found)):
        raise typer.Exit(EXIT_QUARANTINED)


def _of_files(feeds: Mapping[str, FeedConfig]) -> list[FeedConfig]:
    """Feeds with landed bytes; a database is read again only when it is named."""
    return [feed for feed in feeds.values() if feed.kind != "sql"]


def _has_all(rows: Sequence[Mapping[str, object]], files: Sequence[str]) -> bool:
    known = {row[key] for row in rows for key in ("name", "file_id", "sha256")}
    return all(file in known for file in files)


def _all(found: Mapping[str, Sequence[Replayed]]) -> list[Replayed]:
    return [done for several in found.values() for done in several]


def _account(found: Mapping[str, Sequence[Replayed]], dry_run: bool) -> dict[str, object]:
    done = _all(found)
    return {
        "dry_run": dry_run,
        "files": len(done),
        "healed": sum(item.healed for item in done),
        "still_bad": sum(item.still_bad for item in done),
        "newly_bad": sum(item.newly_bad for item in done),
        "refused": sum(item.state == "refused" for item in done),
        "feeds": {source: [asdict(item) for item in several] for source, several in found.items()},
    }


def _show(found: Mapping[str, Sequence[Replayed]], feeds: Mapping[str, FeedConfig], dry_run: bool) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    if not _all(found):
        console.print("Nothing to replay: no file was refused and no record is in quarantine.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("feed")
    table.add_column("file", overflow="fold")
    table.add_column("state")
    for title in ("loaded before", "loaded", "healed", "still bad", "newly bad"):
        table.add_column(title, justify="right")
    for source, several in found.items():
        for item in several:
            counts = (item.loaded_before, item.loaded, item.healed, item.still_bad, item.newly_bad)
            name = escape(item.name) + (f"\n[dim]{escape(item.message)}[/dim]" if item.message else "")
            table.add_row(source, name, item.state, *(f"{count:,}" for count in counts))
    console.print(table)
    console.print("\nNothing was written: this was a dry run." if dry_run else _advice(found, feeds))


def _advice(found: Mapping[str, Sequence[Replayed]], feeds: Mapping[str, FeedConfig]) -> str:
    """What has to run so that the change reaches the marts."""
    changed = {source: [i for i in items if i.is_changed] for source, items in found.items()}
    changed = {source: items for source, items in changed.items() if items}
    if not changed:
        return "\nNothing changed."
    words = []
    for source, items in changed.items():
        days = sorted(item.load_date for item in items if item.load_date)
        if feeds[source].partitioned and days:
            words.append(f"materialize the job reads for the business dates {days[0]} to {days[-1]}")
    words.append("run the job warehouse")
    return f"\nRaw changed: {', then '.join(words)}."
