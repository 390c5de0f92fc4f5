"""SFTP on paramiko's SSH: pinned host key, many files in flight, names that stay names, uploads appear whole.

``transport`` is what others use: a session with one server; ``ahead`` brings the files of a run. Behind them,
``login`` lets us in, ``wire`` speaks SFTP in ``packets``, ``listing`` decides what is a file, ``fetch`` gets
files into a ``part`` each, ``faults`` puts into one line what went wrong.

Belongs here: files on an SFTP server. Does not belong here: which files a feed wants and what is in them.
"""

from connectors.transport.sftp.ahead import Ahead
from connectors.transport.sftp.fetch import Download
from connectors.transport.sftp.listing import Listing, RefusedEntry, RemoteFile, unsafe_name
from connectors.transport.sftp.transport import SftpTransport

__all__ = ["Ahead", "Download", "Listing", "RefusedEntry", "RemoteFile", "SftpTransport", "unsafe_name"]
