"""Green Button: usage data by NAESB's Energy Services Provider Interface; the decoder is ``decoder``."""

from connectors.formats.espi.decoder import FORMAT

__all__ = ["FORMAT"]
