"""From the settings of a push to the destination that does the work.

Belongs here: the choice by ``kind``. Does not belong here: anything a destination does.
"""

from __future__ import annotations

from connectors.connections import Connections
from connectors.destinations.base import Destination
from connectors.destinations.settings import (
    CsvSettings,
    HttpSettings,
    LettersSettings,
    SqlSettings,
)


def open_destination(
    settings: SqlSettings | CsvSettings | LettersSettings | HttpSettings, connections: Connections
) -> Destination:
    """The destination of ``settings``; nothing is connected until the first batch.

    Raises:
        ConnectionConfigError: the connection is unknown, of another kind, or lacks a variable.
    """
    # Each destination brings its own libraries; planning a CSV file should not import reportlab.
    if isinstance(settings, SqlSettings):
        from connectors.destinations.sql_upsert import SqlUpsert

        return SqlUpsert(settings, connections.sql(settings.connection))
    if isinstance(settings, CsvSettings):
        from connectors.destinations.sftp_csv import SftpCsv

        return SftpCsv(settings, connections.sftp(settings.connection))
    if isinstance(settings, LettersSettings):
        from connectors.destinations.sftp_letters import SftpLetters

        return SftpLetters(settings, connections.sftp(settings.connection))
    from connectors.destinations.http_audience import HttpAudience

    return HttpAudience(settings, connections.http(settings.connection))
