"""Many files at once for somebody who asks for one after the other.

Belongs here: handing out results in the order they are asked for. Does not belong here: how they are brought.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from connectors.transport.errors import TransportError
from connectors.transport.sftp.fetch import Download
from connectors.transport.sftp.listing import RemoteFile
from connectors.transport.sftp.transport import SftpTransport


class Ahead:
    """Brings ``remotes`` by ``download_many``, and gives each when ``download`` asks for it.

    To be asked in the order of ``remotes``, where any may be left out; a file that is not among them is
    brought by itself.
    """

    def __init__(
        self, sftp: SftpTransport, remotes: Iterable[RemoteFile], part_for: Callable[[RemoteFile], Path]
    ) -> None:
        wanted = list(remotes)
        self._sftp = sftp
        self._part_for = part_for
        self._expected = set(wanted)
        self._results = sftp.download_many(wanted, part_for)

    def download(self, remote: RemoteFile) -> Download:
        """As :meth:`SftpTransport.download`, into the part of ``part_for``."""
        if remote in self._expected:
            for brought, result in self._results:
                self._expected.discard(brought)
                if brought == remote:
                    if isinstance(result, TransportError):
                        raise result
                    return result
        # Not expected, or the run of them ended by an error that was raised already.
        return self._sftp.download(remote, self._part_for(remote))
