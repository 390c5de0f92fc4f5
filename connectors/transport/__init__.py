"""Moving bytes and rows over SFTP, SQL and HTTP; nothing here knows what they mean.

Belongs here: protocols, identity of the other end, retries of what is transient. Does not belong here:
formats, feeds, ledgers.
"""

from connectors.transport.errors import TransientTransportError, TransportError

__all__ = ["TransientTransportError", "TransportError"]
