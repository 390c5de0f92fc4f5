"""Getting in: the socket, the pinned host key, the user, the channel on which SFTP is spoken.

Belongs here: SSH. Does not belong here: SFTP. Nothing a server does before or below SFTP takes more memory
or time than is allowed here, whatever lengths it announces.
"""

from __future__ import annotations

import logging
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import paramiko
from cryptography.exceptions import InvalidSignature, InvalidTag
from pydantic import SecretStr

from connectors.connections import SftpConnection
from connectors.transport.errors import TransientTransportError, TransportError
from connectors.transport.hostkey import HostKey
from connectors.transport.sftp.faults import one_line

# paramiko logs a traceback for each lost connection; the errors raised here say the same in one line.
logging.getLogger("paramiko").addHandler(logging.NullHandler())

# AES-GCM first: one pass of the processor's own instructions, where CTR takes a second one for its MAC.
_CIPHERS_FIRST = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
_HANDSHAKE_BYTES = 1024 * 1024
_SSH_PACKET_BYTES = 1024 * 1024  # four times the largest that is announced as acceptable
# What paramiko's reading thread may die of when a server sends anything at all; it is raised again in ours.
_BROKEN = (
    paramiko.SSHException, EOFError, OSError, ValueError, LookupError, TypeError, AttributeError,
    OverflowError, struct.error, InvalidTag, InvalidSignature,
)  # fmt: skip


@dataclass(frozen=True)
class Channel:
    """An open channel of an SSH session, and what guards it."""

    transport: paramiko.Transport
    channel: paramiko.Channel
    guard: GuardedSocket

    def recv(self, nbytes: int) -> bytes:
        """As paramiko's; b"" when the connection is lost."""
        if self.channel.recv_stderr_ready():
            self.channel.recv_stderr(nbytes)  # what a server's shell prints is not SFTP
        data = self.channel.recv(nbytes)
        self.guard.renew()
        return data

    def sendall(self, data: bytes) -> None:
        """As paramiko's; OSError when the connection is lost."""
        self.channel.sendall(data)

    def cause(self) -> Exception | None:
        """What the connection died of, where that is more than its end."""
        error = self.transport.get_exception()
        return None if isinstance(error, EOFError) else error

    def close(self) -> None:
        """End the session."""
        self.transport.close()


class GuardedSocket:
    """A socket that gives only so many bytes before somebody has taken what they hold.

    paramiko believes any length a server announces and keeps all it sends; so this refuses a packet of more
    than a megabyte before it is read, and more bytes than ``allowance`` in between two calls of ``renew``.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._left = self._allowance = _HANDSHAKE_BYTES

    def allow(self, window_bytes: int) -> None:
        """From now on, as much as a window and what SSH wraps it in."""
        self._allowance = 2 * window_bytes + _HANDSHAKE_BYTES
        self.renew()

    def renew(self) -> None:
        """What came was taken."""
        self._left = self._allowance

    def recv(self, nbytes: int) -> bytes:
        """As a socket's; SSHException where that would be too much."""
        if nbytes > _SSH_PACKET_BYTES:
            raise paramiko.SSHException(f"an SSH packet of {nbytes:,} bytes was announced")
        if self._left <= 0:
            raise paramiko.SSHException("the server sends more than it was asked for")
        data = self._sock.recv(nbytes)
        self._left -= len(data)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def log_in(connection: SftpConnection, window_bytes: int, packet_bytes: int) -> Channel:
    """A channel to the server's SFTP; the host key is checked before a name or a password is sent.

    Raises HostKeyError, TransportError where the server does not let us in, TransientTransportError where it
    cannot be reached or breaks off.
    """
    host = f"{connection.host}:{connection.port}"
    pinned = HostKey.parse(connection.host_key, connection.name)
    try:
        sock = socket.create_connection(
            (connection.host, connection.port), timeout=connection.timeout_seconds
        )
    except OSError as error:
        raise TransientTransportError(
            f"connection {connection.name}: {host} cannot be reached: {error.strerror or error}"
        ) from None
    guard = GuardedSocket(sock)
    # Declared to take a socket, documented to take what behaves like one.
    like_a_socket: Any = guard
    transport = paramiko.Transport(
        like_a_socket, default_window_size=window_bytes, default_max_packet_size=packet_bytes
    )
    transport.banner_timeout = transport.auth_timeout = connection.timeout_seconds
    opening = f"connection {connection.name}: {host} broke off the SSH handshake"
    has_channel = False
    try:
        with _not_longer_than(connection.timeout_seconds, transport) as is_late:
            try:
                pinned.prefer(transport)
                options = transport.get_security_options()
                others = [name for name in options.ciphers if name not in _CIPHERS_FIRST]
                options.ciphers = (*_CIPHERS_FIRST, *others)
                transport.start_client(timeout=connection.timeout_seconds)
                # Before a user name or a password goes over the wire.
                pinned.require(transport.get_remote_server_key(), connection.name, host)
                _authenticate(transport, connection, host)
                channel = transport.open_session(timeout=connection.timeout_seconds)
                opening = f"connection {connection.name}: {host} offers no SFTP"
                has_channel = True
                channel.invoke_subsystem("sftp")
            except _BROKEN as error:
                why = one_line(error)
                if is_late.is_set():
                    why = f"it took longer than {connection.timeout_seconds:g} seconds"
                is_final = has_channel and transport.is_active()
                kind = TransportError if is_final else TransientTransportError
                raise kind(f"{opening}: {why}") from None
    except TransportError:
        transport.close()
        raise
    channel.settimeout(connection.timeout_seconds)
    guard.allow(window_bytes)
    return Channel(transport, channel, guard)


@contextmanager
def _not_longer_than(seconds: float, transport: paramiko.Transport) -> Iterator[threading.Event]:
    """Close ``transport`` after ``seconds``: some of paramiko's waits know no timeout of their own."""
    is_late = threading.Event()

    def give_up() -> None:
        is_late.set()
        transport.close()

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield is_late
    finally:
        timer.cancel()


def _authenticate(transport: paramiko.Transport, connection: SftpConnection, host: str) -> None:
    who = f"connection {connection.name}: {host} does not let user {connection.username} in"
    try:
        if connection.private_key_path is not None:
            transport.auth_publickey(connection.username, _private_key(connection))
        elif connection.password is not None:
            transport.auth_password(connection.username, connection.password.get_secret_value())
    except paramiko.BadAuthenticationType as error:
        raise TransportError(f"{who}: it wants {', '.join(error.allowed_types)}") from None
    except paramiko.AuthenticationException:
        if not transport.is_active():
            raise paramiko.SSHException("the connection was lost while logging in") from None
        secret = "private key" if connection.private_key_path else "password"
        raise TransportError(f"{who}: wrong {secret}") from None


def _private_key(connection: SftpConnection) -> paramiko.PKey:
    try:
        return paramiko.PKey.from_path(
            str(connection.private_key_path), _passphrase(connection.private_key_passphrase)
        )
    except (OSError, ValueError, TypeError, paramiko.SSHException) as error:
        raise TransportError(
            f"connection {connection.name}: private key cannot be read: {type(error).__name__}"
        ) from None


def _passphrase(secret: SecretStr | None) -> Any:
    # paramiko declares text and hands it to a library that takes bytes only.
    return secret.get_secret_value().encode() if secret else None
