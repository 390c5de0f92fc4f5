"""How things are shown in the UI: Markdown tables, pictures, column schemas.

Belongs here: turning values into metadata. Does not belong here: computing them. Nothing shown here holds a
personal value: counts, names of files and fields, sums.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[object]], rest: int = 0) -> str:
    """A Markdown table; ``rest`` more rows are counted, not shown. No rows: a dash."""
    if not rows:
        return "–"
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines += ["| " + " | ".join(_cell(v) for v in row) + " |" for row in rows]
    if rest > 0:
        lines.append(f"\n… and {rest:,} more")
    return "\n".join(lines)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}"
    return str(value).replace("|", "\\|").replace("\n", " ")


def owner(name: str) -> str:
    """An owner as Dagster takes it: an e-mail address, or ``team:name`` for everything else."""
    return name if "@" in name or name.startswith("team:") else f"team:{name}"


def picture(png: bytes, title: str) -> dg.MetadataValue:
    """A PNG that the UI shows inside its metadata table."""
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{base64.b64encode(png).decode()})")


def table_schema(columns: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """``dagster/column_schema`` from name → (type, description); nothing where no column is declared."""
    if not columns:
        return {}
    return {
        "dagster/column_schema": dg.TableSchema(
            [dg.TableColumn(name, type=kind, description=about) for name, (kind, about) in columns.items()]
        )
    }
