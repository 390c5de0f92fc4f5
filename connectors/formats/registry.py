"""The formats by name.

Belongs here: finding a format and calling it. Does not belong here: what any of them does.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, BinaryIO

import pyarrow as pa

from connectors.formats.base import DecodeResult, Format, RefusedFile, SettingsError, TableSink

# Loaded on first use: a feed of JSON lines does not pay for the code pages of a mainframe.
_MODULES = {
    "cmep": "connectors.formats.cmep",
    "copybook": "connectors.formats.copybook",
    "d0010": "connectors.formats.d0010",
    "delimited": "connectors.formats.delimited",
    "espi": "connectors.formats.espi",
    "iec61968": "connectors.formats.iec61968",
    "jsonl": "connectors.formats.jsonl",
    "mscons": "connectors.formats.mscons",
    "nem12": "connectors.formats.nem12",
    "x12": "connectors.formats.x12",
}


def format_names() -> list[str]:
    """The names a feed may give as ``format``, sorted."""
    return sorted(_MODULES)


def format_named(name: str) -> Format:
    """The format of that name; raises :class:`SettingsError` listing the known ones."""
    if name not in _MODULES:
        raise SettingsError(
            f"setting 'format': '{name}' is not known; use one of {', '.join(format_names())}"
        )
    found: Format = import_module(_MODULES[name]).FORMAT
    return found


def decode(
    stream: BinaryIO, format: str, settings: Mapping[str, Any], sink: TableSink, *, name: str = ""
) -> DecodeResult:
    """Decode one file into ``sink`` and account for every record.

    ``name`` is the file's name, for messages only. Raises :class:`RefusedFile` when nothing of the file may
    be used (the caller then discards what the sink took) and :class:`SettingsError` for wrong settings.
    """
    entry = format_named(format)
    result = entry.decode(stream, settings, sink, name or "file")
    result.decoder_version = f"{entry.name}/{entry.version}"
    if not result.is_balanced:
        raise RefusedFile(
            f"{name or 'file'}: {result.records_read} records read but {result.loaded} loaded + "
            f"{result.superseded} superseded + {result.quarantined} quarantined; this is a fault of the "
            f"{entry.name} decoder, keep the file and report it"
        )
    return result


def schema(format: str, settings: Mapping[str, Any]) -> dict[str, pa.Schema]:
    """The tables :func:`decode` writes under these settings, by name, each with ``_record_no`` first."""
    return format_named(format).schema(settings)
