"""AEMO NEM12 and NEM13: interval and accumulation meter data; the decoder is ``decoder``."""

from connectors.formats.nem12.decoder import FORMAT

__all__ = ["FORMAT"]
