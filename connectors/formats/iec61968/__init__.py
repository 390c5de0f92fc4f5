"""IEC 61968-9 MeterReadings messages (CIM XML); the decoder is ``decoder``."""

from connectors.formats.iec61968.decoder import FORMAT

__all__ = ["FORMAT"]
