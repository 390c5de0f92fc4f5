"""An SFTP server that lies, stalls and rambles on demand, and a wire that breaks.

``HostileServer`` is real SSH (asyncssh) under hand-made SFTP packets: it serves ``files`` as any other would
but for the kinds of request in ``answers``. ``serve_bytes`` is no SSH at all, ``cutting_proxy`` cuts the
connection to a real server. Belongs here: misbehaviour, and the form of every refusal (``one_line``). Does
not belong here: what must come of which.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from connectors.errors import GridCRMError
from connectors.transport import TransportError
from connectors.transport.sftp import RemoteFile, SftpTransport, packets
from connectors.transport.sftp.packets import Fields
from tests.support.sftp_server import SftpTestServer, _Login

MODIFIED_AT = 1_700_000_000
DATA = b"0123456789" * 1000
REMOTE = RemoteFile("a.csv", "/in/a.csv", len(DATA), MODIFIED_AT)
"""What ``serve_hostile(root, {"a.csv": DATA})`` serves."""

REGULAR, LINK, FOLDER, PIPE = 0o100644, 0o120777, 0o040755, 0o010644


@dataclass(frozen=True)
class Request:
    """One request: its kind and number, and the path, offset and length where it has them."""

    kind: int
    number: int
    path: str = ""
    offset: int = 0
    length: int = 0


Hook = Callable[[Request], "bytes | None"]


def packet(kind: int, number: int, body: bytes = b"") -> bytes:
    return struct.pack(">IBI", len(body) + 5, kind, number) + body


def status(number: int, code: int, text: str = "") -> bytes:
    return packet(packets.STATUS, number, struct.pack(">I", code) + packets.string(text) + packets.string(""))


def attributes(size: int, mode: int = REGULAR, modified_at: int = MODIFIED_AT) -> bytes:
    return struct.pack(">IQIII", 0x1 | 0x4 | 0x8, size, mode, modified_at, modified_at)


def names(number: int, entries: list[tuple[bytes, bytes]]) -> bytes:
    body = b"".join(packets.string(name) + packets.string(b"") + about for name, about in entries)
    return packet(packets.NAME, number, struct.pack(">I", len(entries)) + body)


class HostileServer(SftpTestServer):
    """``answers[kind]`` gives the bytes to send, b"" for none, or None for the honest answer."""

    def __init__(self, root: Path, files: dict[str, bytes]) -> None:
        super().__init__(root)
        self.files = files
        self.answers: dict[int, Hook] = {}
        self.version: bytes | None = None
        """Sent in place of an honest VERSION; b"" for nothing at all."""

        self.accepts_sftp = True
        self.stalls_opening = False
        self.drips = False
        """A byte follows now and then whatever was sent."""

        self.requests: list[Request] = []

    async def _listen(self) -> None:
        self._acceptor = await asyncssh.listen(
            "127.0.0.1",
            self.port,
            server_host_keys=[self.host_key],
            server_factory=lambda: _RawLogin(self),
            encoding=None,
            window=2**24,
        )
        self.port = self._acceptor.sockets[0].getsockname()[1]

    def honest(self, request: Request, listed: bool) -> bytes:
        number, name = request.number, request.path.rpartition("/")[2]
        data = self.files.get(name, b"")
        if request.kind in (packets.OPEN, packets.LSTAT) and name not in self.files:
            return status(number, 2, "no such file")
        if request.kind in (packets.OPEN, packets.OPENDIR):
            return packet(packets.HANDLE, number, packets.string(request.path))
        if request.kind in (packets.FSTAT, packets.LSTAT):
            return packet(packets.ATTRS, number, attributes(len(data)))
        if request.kind == packets.READ:
            piece = data[request.offset : request.offset + request.length]
            return packet(packets.DATA, number, packets.string(piece)) if piece else status(number, 1)
        if request.kind == packets.READDIR and not listed:
            entries = [(name.encode(), attributes(len(data))) for name, data in self.files.items()]
            return names(number, entries)
        return status(number, 1 if request.kind == packets.READDIR else 0)


class _RawLogin(_Login):
    def session_requested(self) -> Any:
        server = self._server
        assert isinstance(server, HostileServer)
        return _RawSession(server)


class _RawSession(asyncssh.SSHServerSession[bytes]):
    def __init__(self, server: HostileServer) -> None:
        self._server = server
        self._received = b""
        self._listed: set[str] = set()

    def connection_made(self, chan: Any) -> None:
        self._channel = chan
        if self._server.stalls_opening:
            # asyncssh answers each request with a yes or a no; None is how its channel waits for more.
            chan._orig_chan._process_subsystem_request = lambda packet: None

    def subsystem_requested(self, subsystem: str) -> Any:
        return self._server.accepts_sftp

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self._received += data
        while len(self._received) >= 4:
            end = 4 + int.from_bytes(self._received[:4], "big")
            if len(self._received) < end:
                return
            body, self._received = self._received[4:end], self._received[end:]
            with suppress(BrokenPipeError):
                self._channel.write(self._answer(body))
                if self._server.drips and body[0] != packets.INIT:
                    self._drip()

    def _drip(self) -> None:
        with suppress(BrokenPipeError):
            self._channel.write(b"\x00")
            asyncio.get_running_loop().call_later(0.1, self._drip)

    def _answer(self, body: bytes) -> bytes:
        if body[0] == packets.INIT:
            honest = packet(packets.VERSION, 3)
            return honest if self._server.version is None else self._server.version
        request = _parsed(body)
        self._server.requests.append(request)
        hook = self._server.answers.get(request.kind)
        answer = hook(request) if hook else None
        if answer is None:
            answer = self._server.honest(request, request.path in self._listed)
        if request.kind == packets.READDIR:
            self._listed.add(request.path)
        return answer


def _parsed(body: bytes) -> Request:
    fields = Fields(memoryview(body)[1:])
    kind, number, path = body[0], fields.uint32(), fields.string().decode()
    if kind == packets.READ:
        return Request(kind, number, path, fields.uint64(), fields.uint32())
    return Request(kind, number, path)


@contextmanager
def serve_hostile(root: Path, files: dict[str, bytes]) -> Iterator[HostileServer]:
    root.mkdir(parents=True, exist_ok=True)
    server = HostileServer(root, files)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def serve_bytes(first: bytes, then: bytes = b"") -> Iterator[int]:
    """A port where each connection gets ``first`` and then ``then`` again and again, or silence."""
    is_over = threading.Event()

    def serve(client: socket.socket) -> None:
        with client, suppress(OSError):
            client.settimeout(0.1)
            client.sendall(first)
            while not is_over.is_set():
                if then:
                    with suppress(TimeoutError):
                        client.sendall(then)
                else:
                    is_over.wait(0.1)

    with _accepting(serve, is_over) as port:
        yield port


@contextmanager
def cutting_proxy(
    target: int, each_bytes: int, times: int | None = None, at_cut: Callable[[], None] | None = None
) -> Iterator[tuple[int, list[int]]]:
    """A port before ``target`` that breaks off each connection when the server has sent ``each_bytes``.

    Only the first ``times`` connections are cut. Gives the port, and a list that grows by the bytes of each.
    """
    is_over, sent = threading.Event(), list[int]()

    def forward(source: socket.socket, sink: socket.socket, allowed: int | None, number: int) -> None:
        with suppress(OSError):
            while not is_over.is_set() and (data := source.recv(4096)):
                if allowed is not None:
                    data = data[: allowed - sent[number]]
                    sent[number] += len(data)
                sink.sendall(data)
                if allowed is not None and sent[number] >= allowed:
                    if at_cut is not None:
                        at_cut()
                    break
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve(client: socket.socket) -> None:
        number = len(sent)
        sent.append(0)
        is_cut = times is None or number < times
        with client, socket.create_connection(("127.0.0.1", target)) as server:
            upward = threading.Thread(target=forward, args=(client, server, None, number), daemon=True)
            upward.start()
            forward(server, client, each_bytes if is_cut else None, number)
            upward.join(5)

    with _accepting(serve, is_over) as port:
        yield port, sent


@contextmanager
def _accepting(serve: Callable[[socket.socket], None], is_over: threading.Event) -> Iterator[int]:
    workers: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)

        def accept() -> None:
            while not is_over.is_set():
                with suppress(TimeoutError):
                    worker = threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True)
                    worker.start()
                    workers.append(worker)

        acceptor = threading.Thread(target=accept, daemon=True)
        acceptor.start()
        try:
            yield listener.getsockname()[1]
        finally:
            is_over.set()
            for thread in (acceptor, *workers):
                thread.join(5)


@contextmanager
def one_line(kind: type[GridCRMError] = TransportError, match: str = ".") -> Iterator[None]:
    """What is raised inside is one clear line."""
    with pytest.raises(kind, match=match) as caught:
        yield
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 400
    assert "connection test_sftp" in message
    assert "127.0.0.1:" in message


def session(server: SftpTestServer, **changes: object) -> SftpTransport:
    return SftpTransport(server.connection(**changes))
