"""D0010, meter readings of the UK data transfer catalogue; the decoder is ``decoder``."""

from connectors.formats.d0010.decoder import FORMAT

__all__ = ["FORMAT"]
