"""How a transport says that it could not do its work.

Belongs here: the errors shared by the transports. Does not belong here: errors about content.
"""

from connectors.errors import GridCRMError


class TransportError(GridCRMError):
    """The other end cannot be reached, does not let us in, or does not give what was asked."""


class TransientTransportError(TransportError):
    """The same, where trying again may help: a lost connection, a server too busy."""
