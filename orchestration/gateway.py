"""What assets reach the world through.

Belongs here: the Dagster resource that opens connectors with this deployment's settings. Does not belong
here: dbt (assets/warehouse/dbt.py), what connectors do once opened, or when.

https://docs.dagster.io/guides/build/external-resources
"""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

import dagster as dg

from connectors.activation import Activation
from connectors.connections import Connections, load_connections
from connectors.ingest import Ingest
from connectors.paths import Paths
from orchestration.settings import Settings


class Gateway(dg.ConfigurableResource):
    """Opens the ingestion and the activation of one data root, lazily, so that loading needs no server."""

    is_dry_run: bool = True

    _settings: Settings | None = None

    @classmethod
    def of(cls, settings: Settings) -> Gateway:
        """The gateway of these settings."""
        gateway = cls(is_dry_run=settings.is_dry_run_default)
        gateway._settings = settings
        return gateway

    @property
    def settings(self) -> Settings:
        """The settings given, or those of the environment (in a process that rebuilt the resource)."""
        if self._settings is None:
            self._settings = Settings.from_env()
        return self._settings

    @property
    def paths(self) -> Paths:
        """The folders of this deployment."""
        return self.settings.paths

    def connections(self) -> Connections:
        """Every connection that ``connections.yaml`` declares, not opened yet."""
        return load_connections(self.settings.connections, self.settings.environment())

    def ingest(self) -> Ingest:
        """Files and tables in."""
        return Ingest(self.paths, self.connections())

    def activation(self) -> Activation:
        """Rows out."""
        return Activation(self.paths, self.connections())

    def today(self) -> date:
        """The calendar date where the utility is."""
        return datetime.now(ZoneInfo(self.settings.time_zone)).date()
