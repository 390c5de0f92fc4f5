"""ANSI X12 of US retail markets: 867 usage, 814 service requests, 997; the decoder is ``decoder``."""

from connectors.formats.x12.decoder import FORMAT

__all__ = ["FORMAT"]
