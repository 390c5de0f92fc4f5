"""A proxy on 127.0.0.1 that breaks the connection after so many bytes of answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class CutProxy:
    """Passes bytes on; ``cut_after`` bytes of answer on any one connection end it hard. None passes all."""

    def __init__(self, target_port: int) -> None:
        self.cut_after: int | None = None
        self._target = target_port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                threading.Thread(target=self._pass, args=(client, server, False), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, True), daemon=True).start()

    def _pass(self, origin: socket.socket, to: socket.socket, is_answer: bool) -> None:
        passed = 0
        with suppress(OSError):
            while data := origin.recv(65536):
                passed += len(data)
                if is_answer and self.cut_after is not None and passed > self.cut_after:
                    break
                to.sendall(data)
        for one in (origin, to):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@contextmanager
def serve_cut(target_port: int) -> Iterator[CutProxy]:
    proxy = CutProxy(target_port)
    try:
        yield proxy
    finally:
        proxy.close()
