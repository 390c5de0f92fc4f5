"""EDIFACT MSCONS: metered services consumption reports; the decoder is ``decoder``."""

from connectors.formats.mscons.decoder import FORMAT

__all__ = ["FORMAT"]
