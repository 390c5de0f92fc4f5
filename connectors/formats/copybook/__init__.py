"""COBOL records laid out by a copybook; the decoder is ``decoder``."""

from connectors.formats.copybook.decoder import FORMAT

__all__ = ["FORMAT"]
