"""California Metering Exchange Protocol, record MEPMD01; the decoder is ``decoder``."""

from connectors.formats.cmep.decoder import FORMAT

__all__ = ["FORMAT"]
