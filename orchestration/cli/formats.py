"""``gridcrm formats``: which formats there are, and what one of them takes, makes and may be told.

Belongs here: showing what the decoders say of themselves. Does not belong here: saying it; that is each
decoder's docstring, its schema and the descriptions of its settings.
"""

from __future__ import annotations

import inspect
import sys
from typing import Annotated

import typer


def formats(
    name: Annotated[str | None, typer.Argument(help="One format, in full; all of them without.")] = None,
) -> None:
    """List the formats that files may have, or tell all about one."""
    from connectors.formats import format_named, format_names

    if name is None:
        for known in format_names():
            typer.echo(f"{known:10} {format_named(known).description}")
        typer.echo("\ngridcrm formats NAME tells what becomes of which record, and what may be set.")
    else:
        typer.echo(about(name))


def about(name: str) -> str:
    """What a format takes, in its decoder's own words, and its settings.

    Raises SettingsError for an unknown name.
    """
    from connectors.formats import format_named

    entry = format_named(name)
    said = inspect.cleandoc(sys.modules[entry.decode.__module__].__doc__ or "")
    lines = [f"{entry.name}, version {entry.version}", "", said, "", "Settings:"]
    for key, field in entry.settings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        lines.append(f"  {key}  ({'required' if field.is_required() else f'default {default!r}'})")
        if field.description:
            lines.append(f"      {field.description}")
    return "\n".join(lines)
