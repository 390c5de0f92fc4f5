"""The closing summary of ``make demo``: what came in, what was made of it, what went out, what came back.

Belongs here: showing the books in a screen or two. Does not belong here: reading them (books.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from connectors.paths import Paths
from demo.books import Books, Row, collect

_METRICS_PER_SCORE = 2
_REASONS_SHOWN = 3


def print_summary(paths: Paths, console: Console, *, seconds: float) -> None:
    """Read the books under ``paths`` and show them; ``seconds`` is how long the demo took."""
    began = datetime.now(UTC) - timedelta(seconds=seconds)
    console.print(render(collect(paths, since=began), paths, seconds))


# -- showing
# ---------------------------------------------------------------------------------------------------


def render(books: Books, paths: Paths, seconds: float) -> RenderableType:
    """The summary as something rich can print."""
    heading = Text.assemble(
        ("GridCRM", "bold"),
        f"  Riverbend Power & Light, as of {books.as_of_date or 'no date yet'}",
        (f"   {duration(seconds)}", "dim"),
    )
    parts: list[RenderableType] = ["", heading, _section("Came in", _feeds_table(books.feeds))]
    if books.identity:
        parts.append(_section("Unified", _identity_line(books.identity)))
    if books.scores:
        parts.append(_section("Scored", _scores_table(books.scores, books.evaluation)))
    if books.pushes:
        parts.append(_section("Went out", _pushes_table(books.pushes)))
    if books.outcomes:
        parts.append(_section("Came back the day after", _outcomes_table(books.outcomes)))
    return Group(*parts, _section("Where to look next", _next_steps(paths)))


def _table(*columns: tuple[str, str]) -> Table:
    """Columns by name and ``left``, ``right`` or ``wrap``; numbers are never cut, only texts wrap."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name, how in columns:
        table.add_column(
            name, justify="right" if how == "right" else "left", no_wrap=how != "wrap", overflow="fold"
        )
    return table


def _section(title: str, content: RenderableType) -> Group:
    return Group("", Text(title, "bold"), Padding(content, (0, 0, 0, 2)))


def _feeds_table(feeds: Sequence[Row]) -> Table:
    numbers = ("files", "new", "records", "rows")
    table = _table(("feed", "left"), *((name, "right") for name in numbers), ("account", "wrap"))
    for feed in feeds:
        cells = (number(feed[name]) for name in ("files", "new_files", "read", "rows"))
        table.add_row(feed["source"], *cells, _account(feed))
    return table


def _account(feed: Row) -> Text:
    """Every record accounted for, and every control total that the source declared found again."""
    parts = {name: feed[name] for name in ("loaded", "superseded", "quarantined") if feed[name]}
    account = ", ".join(f"{number(n)} {name}" for name, n in parts.items())
    if set(parts) == {"loaded"}:
        account = "all loaded"
    differing = feed["totals"] - feed["totals_ok"]
    if feed["read"] != sum(parts.values()):
        return Text(f"✗ records are missing: {account}", "red")
    if differing:
        return Text(f"✗ {count(differing, 'control total')} not met", "red")
    totals = f"{count(feed['totals'], 'control total')} met" if feed["totals"] else ""
    refused = f"{count(feed['refused'], 'file')} refused" if feed["refused"] else ""
    said = "; ".join(filter(None, (account, totals, refused)))
    return Text(f"✓ {said}", "yellow" if refused or feed["quarantined"] else "green")


def _identity_line(identity: Row) -> str:
    sources = ", ".join(f"{number(n)} {source}" for source, n in identity["by_source"].items())
    people, records = number(identity["customers"]), number(identity["records"])
    return f"{people} customers from {records} records ({sources})"


def _scores_table(scores: Sequence[Row], evaluation: Sequence[Row]) -> Table:
    table = _table(("score", "left"), ("subjects", "right"), ("eligible", "right"), ("evaluation", "wrap"))
    for score in scores:
        mine = [row for row in evaluation if row["score"] == score["score"]]
        shown = "; ".join(_measure(row) for row in headline(mine)) or "–"
        table.add_row(score["score"], number(score["subjects"]), number(score["eligible"]), shown)
    return table


def headline(evaluation: Sequence[Row]) -> list[Row]:
    """The two measures to show of a score: against the truth first, then on unseen rows, with a baseline."""
    ranked = sorted(
        evaluation, key=lambda row: (row["slice"] != "truth", row["slice"] != "unseen", not _is_compared(row))
    )
    chosen: list[Row] = []
    for row in ranked:
        if len(chosen) < _METRICS_PER_SCORE and all(row["metric"] != other["metric"] for other in chosen):
            chosen.append(row)
    return chosen


def _is_compared(row: Row) -> bool:
    return row["baseline"] is not None and row["baseline"] == row["baseline"]  # NaN differs from itself


def _measure(row: Row) -> str:
    name = str(row["metric"]).replace("_", " ")
    baseline = f" against {decimal(row['baseline'])}" if _is_compared(row) else ""
    against_truth = " (truth)" if row["slice"] == "truth" else ""
    return f"{name} {decimal(row['value'])}{baseline}{against_truth}"


def _pushes_table(pushes: Sequence[Row]) -> Table:
    table = _table(
        ("push", "left"),
        *((name, "right") for name in ("planned", "sent", "new", "rejected", "withheld")),
        ("because", "wrap"),
    )
    for push in pushes:
        table.add_row(
            push["push"],
            *(number(push[name]) for name in ("rows", "sent", "new_sent", "rejected", "withheld")),
            kinds_text(push["reasons"], _REASONS_SHOWN),
        )
    return table


def _outcomes_table(outcomes: Sequence[Row]) -> Table:
    table = _table(("outcome", "left"), ("events", "right"), ("of which", "wrap"))
    for outcome in outcomes:
        table.add_row(outcome["source"], number(outcome["total"]), kinds_text(outcome["kinds"], 6))
    return table


def _next_steps(paths: Paths) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="cyan", overflow="fold")
    table.add_column()
    table.add_row("make ui", "the Dagster UI and the dbt docs, over what was just made")
    table.add_row(
        ".venv/bin/gridcrm doctor",
        "what is configured, reachable and wrong, while make ui serves the systems",
    )
    table.add_row(_short(paths.published), "every unified and push table as Parquet")
    table.add_row(_short(paths.scores / "model_eval"), "each score against its baseline and the truth")
    return table


def _short(path: Path) -> str:
    """Relative to the working directory where that is shorter to read."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


# -- words and numbers
# -----------------------------------------------------------------------------------------


def number(value: int) -> str:
    """Whole numbers for people: 0 as a dash, 12,345 as it is, from ten million on 8.6 M."""
    if not value:
        return "–"
    return f"{value / 1e6:,.1f} M" if value >= 10_000_000 else f"{value:,}"


def decimal(value: float) -> str:
    """Three significant digits, thousands separated, no exponent."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def count(n: int, noun: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{number(n)} {noun}{'' if n == 1 else 's'}"


def duration(seconds: float) -> str:
    """``48 s``, ``2 min 05 s``."""
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


def kinds_text(kinds: Mapping[str, int], shown: int) -> str:
    """``no consent 12, hold-out 5, 3 other``: the largest first."""
    ranked = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    texts = [f"{str(name).replace('_', ' ')} {number(n)}" for name, n in ranked[:shown]]
    rest = sum(n for _, n in ranked[shown:])
    return ", ".join(texts + ([f"other {number(rest)}"] if rest else []))
