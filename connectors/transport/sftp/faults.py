"""What goes wrong with a server, and the one line that says it.

Belongs here: errors that know neither connection nor server yet, and how they become errors that do. Does
not belong here: deciding what is wrong.
"""

from __future__ import annotations

import unicodedata

import paramiko

from connectors.transport.errors import TransientTransportError, TransportError

OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, OP_UNSUPPORTED = 0, 1, 2, 3, 4, 8
"""Codes of the answer STATUS."""

_MEANINGS = {
    OK: "success", EOF: "end of file", NO_SUCH_FILE: "no such file or directory",
    PERMISSION_DENIED: "permission denied", FAILURE: "failure", 5: "bad message", 6: "no connection",
    7: "connection lost", OP_UNSUPPORTED: "operation unsupported",
}  # fmt: skip

LOST = (EOFError, OSError, paramiko.SSHException)
"""What a connection raises that is no more."""


class ProtocolError(Exception):
    """The server sends what is no SFTP, or no answer to what was asked."""


class StatusError(Exception):
    """The server says that a request failed, with a code and in its own words."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(shown(text) or _MEANINGS.get(code, f"status {code}"))
        self.code = code


class RefusedError(Exception):
    """What the server gives is understood and not taken."""


class StalledError(Exception):
    """The server keeps us waiting longer than is allowed."""


class NotThereError(TransportError):
    """There is nothing of that name."""


def explained(error: Exception, where: str, username: str) -> TransportError:
    """``error`` as one line that begins with ``where``: connection, action, server."""
    if isinstance(error, TransportError):
        return error
    if isinstance(error, StatusError):
        if error.code == NO_SUCH_FILE:
            return NotThereError(f"{where}: no such file or directory")
        if error.code == PERMISSION_DENIED:
            return TransportError(f"{where}: user {username} is not allowed to")
        return TransportError(f"{where}: the server says: {error}")
    if isinstance(error, ProtocolError):
        return TransportError(f"{where}: the server does not keep to SFTP version 3: it sent {error}")
    if isinstance(error, RefusedError):
        return TransportError(f"{where}: {error}")
    if isinstance(error, StalledError):
        return TransientTransportError(f"{where}: {error}")
    return TransientTransportError(f"{where}: the connection was lost: {one_line(error)}")


def one_line(error: BaseException) -> str:
    """What an error says, or its kind when it says nothing."""
    return shown(str(error)) or type(error).__name__


def shown(text: str) -> str:
    """A server's words as one short line without control characters: to be read by people."""
    plain = "".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in text[:200])
    return " ".join(plain.split())
