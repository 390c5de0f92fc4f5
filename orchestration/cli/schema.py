"""``gridcrm schema``: the keys of a configuration file, for editors.

Belongs here: the command. Does not belong here: the schema itself (``connectors.ingest.schema``).
"""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Kind(StrEnum):
    """Files that have a schema."""

    FEED = "feed"


def schema(
    kind: Annotated[Kind, typer.Argument(help="Which file: feed.")],
    out: Annotated[Path | None, typer.Option("--out", help="Write it here instead of printing it.")] = None,
) -> None:
    """Print the JSON schema of a feed's defs.yaml, with every key's meaning and each format's settings.

    Editors that know YAML schemas complete and check with it: the first line of each feed names
    orchestration/feeds/feed.schema.json, which this command writes.
    """
    from connectors.ingest.schema import feed_schema

    del kind  # there is one so far
    text = json.dumps(feed_schema(), indent=1, ensure_ascii=False, default=str) + "\n"
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")
