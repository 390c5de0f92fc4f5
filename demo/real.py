"""``make real``: sample files of others, from the same SFTP server, through the same feeds and jobs.

Belongs here: laying out the feeds, running them, showing the counts. Does not belong here: what the files
must total, which a test says.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import duckdb
import yaml
from rich.console import Console
from rich.table import Table

from connectors.ingest import feed_files, load_feeds
from connectors.paths import Paths
from demo.flow import environment
from demo.runs import instance, run_job
from demo.systems.realdata import RealDataServer

FEEDS = Path(__file__).resolve().parent / "real_feeds"


def run_real(paths: Paths, folder: Path, console: Console) -> None:
    """Serve ``folder``, take every file of it, carry the meter reads on to the daily facts, show the balance.

    Raises:
        GridCRMError: the folder is not one of sample files, or a run fails.
    """
    feeds = lay_feeds(paths, folder)
    with RealDataServer(paths, folder) as server, _environment(paths, server.env, feeds):
        from orchestration.definitions import build_defs
        from orchestration.jobs import brings_reads
        from orchestration.partitions import range_tags
        from orchestration.settings import Settings

        settings = Settings.from_env()
        with console.status("definitions"):
            definitions = build_defs(settings)
        # The samples carry no business date; they are taken under the day they were first seen.
        today = date.today()
        with instance(paths) as opened:
            others = [name for name, feed in load_feeds(settings.feeds).items() if not brings_reads(feed)]
            for job in ("reads", *(f"ingest_{source}_job" for source in others)):
                with console.status(f"job {job}"):
                    run_job(
                        opened,
                        definitions.resolve_job_def(job),
                        range_tags(settings.first_business_date, today),
                        on_step=lambda step, seconds: None,
                    )
    console.print(balance(paths))


def lay_feeds(paths: Paths, folder: Path) -> Path:
    """The feeds of the samples, beside the copybooks they name; returns their folder."""
    feeds = paths.root / "feeds"
    shutil.copytree(FEEDS, feeds, dirs_exist_ok=True)
    for feed in feed_files(feeds):
        settings = yaml.safe_load(feed.read_text(encoding="utf-8"))["attributes"]["file"]["settings"]
        if copybook := settings.get("copybook"):
            shutil.copyfile(folder / "cobol" / copybook, feed.with_name(copybook))
    return feeds


def balance(paths: Paths) -> Table:
    """One row a feed: files, records read and what became of them, rows."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("feed", "files", "records read", "loaded", "superseded", "quarantined", "refused files"):
        table.add_column(name, justify="left" if name == "feed" else "right", no_wrap=True)
    query = f"""
        select source, count(*) filter (state = 'published'), sum(records_read)::bigint, sum(loaded)::bigint,
            sum(superseded)::bigint, sum(quarantined)::bigint, count(*) filter (state = 'refused')
        from read_parquet('{paths.raw}/gridcrm/ingestion_ledger/**/*.parquet')
        group by source order by source
    """
    with duckdb.connect() as connection:
        for row in connection.execute(query).fetchall():
            table.add_row(*(f"{v:,}" if isinstance(v, int) else str(v) for v in row))
    return table


@contextmanager
def _environment(paths: Paths, env: dict[str, str], feeds: Path) -> Iterator[None]:
    with environment(paths, env | {"GRIDCRM_FEEDS": str(feeds)}):
        yield
