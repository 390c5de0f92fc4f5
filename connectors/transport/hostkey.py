"""Pinned SSH host keys.

Belongs here: reading a pinned key and comparing it with the one a server shows. Does not belong here:
learning keys from servers; nothing in this project does that.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

import paramiko

from connectors.transport.errors import TransportError


class HostKeyError(TransportError):
    """The server shows another host key than the pinned one, or the pinned one cannot be read."""


@dataclass(frozen=True)
class HostKey:
    """A public key: its type and its bytes."""

    kind: str
    blob: bytes

    @classmethod
    def parse(cls, text: str, connection: str) -> HostKey:
        """``ssh-ed25519 AAAA… [comment]``; raises HostKeyError naming the connection."""
        parts = text.split()
        try:
            kind, blob = parts[0], base64.b64decode(parts[1], validate=True)
        except (IndexError, binascii.Error):
            kind, blob = "", b""
        named = blob[4 : 4 + int.from_bytes(blob[:4], "big")].decode("ascii", "replace")
        if not kind or named != kind:
            raise HostKeyError(
                f"connection {connection}: host_key is not a public key; "
                "give it as 'ssh-ed25519 AAAA…', as the server's owner publishes it"
            )
        return cls(kind, blob)

    @property
    def fingerprint(self) -> str:
        """As ``ssh-keygen -lf`` shows it: ``SHA256:…``."""
        digest = base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")
        return f"SHA256:{digest}"

    def prefer(self, transport: paramiko.Transport) -> None:
        """Ask the server for this type of key first, since a server may have several."""
        options = transport.get_security_options()
        # An RSA key goes by the names of its signature algorithms.
        wanted = {"rsa-sha2-512", "rsa-sha2-256"} if self.kind == "ssh-rsa" else {self.kind}
        first = [kind for kind in options.key_types if kind in wanted]
        options.key_types = (*first, *(kind for kind in options.key_types if kind not in wanted))

    def require(self, shown: paramiko.PKey, connection: str, host: str) -> None:
        """Raise HostKeyError unless ``shown`` is exactly this key."""
        found = HostKey(shown.get_name(), shown.asbytes())
        if found.blob != self.blob:
            raise HostKeyError(
                f"connection {connection}: host key of {host} is not the pinned one: expected {self.kind} "
                f"{self.fingerprint}, found {found.kind} {found.fingerprint}; nothing was sent. "
                "Ask the server's owner before changing host_key"
            )
