"""SFTP on paramiko's SSH: pinned host key, many files in flight, names that stay names, uploads appear whole.

``transport`` is what others use: a session with one server. Behind it, ``login`` lets us in, ``wire`` speaks
SFTP in ``packets``, ``listing`` decides what is a file, ``fetch`` brings files into a ``part`` each.

Belongs here: files on an SFTP server. Does not belong here: which files a feed wants and what is in them.
"""

from connectors.transport.sftp.fetch import Download
from connectors.transport.sftp.listing import Listing, RefusedEntry, RemoteFile, unsafe_name
from connectors.transport.sftp.transport import SftpTransport

__all__ = ["Download", "Listing", "RefusedEntry", "RemoteFile", "SftpTransport", "unsafe_name"]
