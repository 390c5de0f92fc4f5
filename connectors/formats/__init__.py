"""Legacy formats: bytes in, Arrow batches, rejects and control totals out.

Belongs here: one module a format and the registry that finds them. Does not belong here: where bytes come
from, where tables go, what a reading means to a customer.

Every physical record of a file ends up loaded, superseded or quarantined, and the counts balance; a file
whose own control totals do not hold is refused as a whole.
"""

from connectors.formats.base import (
    RECORD_NO,
    ControlTotal,
    DecodeResult,
    Format,
    RefusedFile,
    Reject,
    SettingsError,
    TableSink,
)
from connectors.formats.registry import decode, format_named, format_names, schema
from connectors.formats.single_file import DecodeSummary, decode_file

__all__ = [
    "RECORD_NO",
    "ControlTotal",
    "DecodeResult",
    "DecodeSummary",
    "Format",
    "RefusedFile",
    "Reject",
    "SettingsError",
    "TableSink",
    "decode",
    "decode_file",
    "format_named",
    "format_names",
    "schema",
]
