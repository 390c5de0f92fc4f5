"""The component types of GridCRM: what a page of YAML below ``feeds/`` becomes in Dagster.

Belongs here: from a feed's file to its assets, job, sensor and schedule, and how Dagster's own tools (``dg``,
the UI's component docs) see it. Does not belong here: what the keys mean (``connectors.ingest``), what an
asset shows (``assets/raw``), or anything that no feed makes.

https://docs.dagster.io/guides/build/components
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg
from dagster.components.scaffold.scaffold import Scaffolder, ScaffoldRequest, scaffold_with
from pydantic import BaseModel

from connectors.ingest import FeedConfig, load_feed, load_feeds
from connectors.ingest.loading import FILE_NAME, TYPE
from orchestration.assets.raw.feeds import build_feed_assets
from orchestration.jobs import ingest_job
from orchestration.partitions import business_dates
from orchestration.schedules import pull_schedules
from orchestration.sensors import feed_sensor
from orchestration.settings import Settings

_TEMPLATE = """\
type: {type}
attributes:
  source: {source}
  description: What it brings, in a sentence.
  owner: team-that-answers-for-it
  connection: {source}_sftp
  kind: file
  schedule: "15 3 * * *"
  contract: quarantine
  freshness: {{fail_after: 26h}}
  file:
    directory: /outgoing
    pattern: "{source}_{{business_date:%Y%m%d}}.csv"
    complete: {{done_marker: .done}}
    format: delimited
    settings: {{delimiter: ",", header: true}}
  tables:
    record:
      description: One row a record.
      key: [record_id]
      columns:
        record_id: {{type: string, description: Number of the record}}
"""


class FeedScaffolder(Scaffolder[BaseModel]):
    """``dg scaffold defs orchestration.components.Feed <source>``: a delimited file, to be changed."""

    def scaffold(self, request: ScaffoldRequest[BaseModel]) -> None:
        """Write ``defs.yaml`` for a source that is called as the folder."""
        folder = request.target_path
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE_NAME).write_text(
            _TEMPLATE.format(type=TYPE, source=folder.name.replace("-", "_")), encoding="utf-8"
        )


@scaffold_with(FeedScaffolder)
class Feed(dg.Component):
    """Files, tables or events of one source system, taken once and with nothing lost.

    A feed in a known format is this page and nothing else. It becomes one raw asset a table
    (``raw/<source>/<table>``) with checks that its records balance and its control totals hold, a job
    ``ingest_<source>_job``, a sensor for what is new, and for databases a schedule. ``gridcrm doctor`` says
    whether the source can be reached and read; ``gridcrm schema feed`` prints the keys for editors.
    """

    def __init__(self, feed: FeedConfig) -> None:
        self.feed = feed

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The keys under ``attributes``."""
        return FeedConfig

    @classmethod
    def get_spec(cls) -> dg.ComponentTypeSpec:
        """What the catalogue of components says of it."""
        return dg.ComponentTypeSpec(
            description=cls.__doc__,
            owners=["team:data-platform"],
            tags=["ingestion"],
            produces=["asset", "asset_check", "job", "schedule", "sensor"],
        )

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Feed:
        """The feed of a folder; read by :func:`connectors.ingest.load_feed`, which checks it as a whole."""
        del attributes  # one word about a mistake, ours: it names file, line and key
        tree = context.component_tree
        known = tree.feeds if isinstance(tree, FeedTree) else {}
        return cls(known.get(context.path.name) or load_feed(context.path / FILE_NAME))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Assets, job, sensor and schedule of the feed."""
        tree = context.component_tree
        settings = tree.settings if isinstance(tree, FeedTree) else Settings.from_env()
        return feed_defs(self.feed, settings)


def feed_defs(feed: FeedConfig, settings: Settings) -> dg.Definitions:
    """What one feed brings to the code location."""
    job = ingest_job(feed)
    partitions = business_dates(settings.first_business_date, settings.time_zone)
    return dg.Definitions(
        assets=[build_feed_assets(feed, partitions, settings.time_zone)],
        jobs=[job],
        sensors=[feed_sensor(feed, job, settings)],
        schedules=pull_schedules(feed, job, settings),
    )


class FeedTree(dg.ComponentTree):
    """The folder of feeds that the settings name, loaded as Dagster loads a ``defs`` folder.

    ``dg`` reads the folder of ``[tool.dg.project]``; this one also reads that of a test or of the demo, and
    hands its components the settings they are built for.
    """

    settings: Settings
    feeds: Mapping[str, FeedConfig]

    @classmethod
    def of(cls, settings: Settings) -> FeedTree:
        """The tree of ``settings.feeds``. Raises FeedError with file, line and key of the first mistake."""
        tree = cls(defs_module=_folder_module(settings.feeds), project_root=settings.feeds.parent)
        object.__setattr__(tree, "settings", settings)
        object.__setattr__(tree, "feeds", load_feeds(settings.feeds))
        return tree

    def definitions(self) -> dg.Definitions:
        """Everything that the folder's components define, and the catalogue of components for the UI."""
        with warnings.catch_warnings():
            # The link from an asset to its line of YAML is marked as beta by Dagster; we do not build on it.
            warnings.simplefilter("ignore", dg.BetaWarning)
            return self.build_defs()


def _folder_module(folder: Path) -> ModuleType:
    """A module for a folder that need not be on Python's path: feeds are YAML, nothing of it is imported."""
    module = ModuleType(f"feeds_of_{folder.parent.name}")
    attributes: dict[str, Any] = {"__file__": None, "__path__": [str(folder)]}
    vars(module).update(attributes)
    return module
