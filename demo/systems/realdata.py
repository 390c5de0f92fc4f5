"""Real sample files, served read-only by the utility's own SFTP server.

Belongs here: which folder of the samples appears where on the server. Does not belong here: what the files
must total, which the tests of ``make real`` say.
"""

from __future__ import annotations

import asyncio
import shutil
import threading
from pathlib import Path
from types import TracebackType

from connectors.paths import Paths
from demo.systems import sftp
from demo.systems.environment import HOST, USERNAME, Credentials, Places, listen
from demo.systems.errors import SystemsError

# Folder on the server: folders of the samples whose files it shows.
LAYOUT = {
    "nem12": ("nem12/unzipped", "nem12/market_test"),
    "invalid": ("nem12/invalid",),
    "cobol": ("cobol",),
    "greenbutton": ("greenbutton", "greenbutton/abridged"),
    "mscons": ("mscons",),
}


class RealDataServer:
    """An SFTP server over copies of the sample files in ``folder``, as a context manager.

    The copies lie in ``data/demo/realdata`` with the names that others gave them; ``/cobol`` keeps its
    sub-folders. The server runs in a thread, so it ends with the process.
    """

    def __init__(self, paths: Paths, folder: Path) -> None:
        self._places = Places.of(paths)
        self._folder = folder
        self._root = paths.demo / "realdata"
        self._env: dict[str, str] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def env(self) -> dict[str, str]:
        """``GRIDCRM_SFTP_…`` for connections.yaml; empty before ``start``."""
        return dict(self._env)

    def __enter__(self) -> RealDataServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> RealDataServer:
        """Copy what is not there yet, then serve; raises :class:`SystemsError` when a folder is missing."""
        if self._thread is not None:
            return self
        self._copy()
        credentials = Credentials.load_or_create(self._places)
        key = sftp.host_key(self._places.host_key_file)
        server = listen(None)
        self._loop = loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=loop.run_forever, name="realdata-sftp", daemon=True)
        self._thread.start()
        self._server = sftp.SftpServer(self._root, key, credentials.sftp_password, writable=())
        asyncio.run_coroutine_threadsafe(self._server.start(server), loop).result(30)
        self._env = {
            "GRIDCRM_SFTP_HOST": HOST,
            "GRIDCRM_SFTP_PORT": str(server.getsockname()[1]),
            "GRIDCRM_SFTP_USERNAME": USERNAME,
            "GRIDCRM_SFTP_PASSWORD": credentials.sftp_password,
            "GRIDCRM_SFTP_HOST_KEY": sftp.public_host_key(key),
        }
        return self

    def stop(self) -> None:
        """End the server and its thread; a second call does nothing."""
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        self._env = {}
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._server.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def _copy(self) -> None:
        for name, sources in LAYOUT.items():
            for source in sources:
                folder = self._folder / source
                if not folder.is_dir():
                    raise SystemsError(f"{folder} is not there: give the folder that holds nem12/ and cobol/")
                for file in sorted(found for found in folder.rglob("*") if found.is_file()):
                    copy = self._root / name / file.relative_to(folder)
                    if copy.is_file() and copy.stat().st_size == file.stat().st_size:
                        continue
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, copy)
