"""The one error of the simulated systems.

Belongs here: that class alone, so that every module of the package can raise it without a cycle.
"""

from __future__ import annotations

from connectors.errors import GridCRMError


class SystemsError(GridCRMError):
    """A simulated system could not start, or was asked for something it cannot play."""
