"""``gridcrm decode``: one file of any known format into Parquet, with its account.

Belongs here: the command's arguments, its one JSON object and its exit code. Does not belong here: decoding.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

EXIT_QUARANTINED = 3
"""Exit code when the file was taken and some of its records were not."""


def decode(
    file: Annotated[Path, typer.Argument(help="The file to decode; .zip and .gz are opened.")],
    format: Annotated[str, typer.Option("--format", "-f", help="Its format, such as nem12 or copybook.")],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="A setting of the format, key=value; dots set within groups, @FILE gives a file's text; "
            "--set @FILE.yaml takes a whole file of settings.",
            metavar="KEY=VALUE",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the tables as Parquet into this folder.")
    ] = None,
) -> None:
    """Decode FILE, print its account as one JSON object.

    Exit code 0: every record was loaded; 3: some were quarantined; 2: the file was refused as a whole, with
    one line that says why.
    """
    from connectors.formats import decode_file
    from orchestration.cli.settings import parse_settings

    account = decode_file(file, format, parse_settings(settings or ()), out)
    # One number here; how many rows each table has, its Parquet file says.
    typer.echo(json.dumps({**account, "rows": sum(account["rows"].values())}, ensure_ascii=False))
    if account["records"]["quarantined"]:
        raise typer.Exit(EXIT_QUARANTINED)
