"""How an error of a connector becomes the failure of a step.

Belongs here: which errors a retry may cure, and showing one clear line instead of a stack. Does not belong
here: the errors themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from connectors.destinations.base import DestinationUnavailableError
from connectors.errors import GridCRMError
from connectors.transport.errors import TransientTransportError

TRANSIENT = (TransientTransportError, DestinationUnavailableError)
RETRIES = dg.RetryPolicy(max_retries=3, delay=10, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)


@contextmanager
def one_clear_line() -> Iterator[None]:
    """Turn a :class:`GridCRMError` into a step failure that says its one line.

    Only what a second try may cure is retried: a wrong password stays wrong.
    """
    try:
        yield
    except GridCRMError as error:
        raise dg.Failure(description=str(error), allow_retries=isinstance(error, TRANSIENT)) from error
