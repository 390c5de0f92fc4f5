"""Ports, secrets and the file ``demo.env`` that tells everybody else where the systems are.

Belongs here: what must stay the same from one start to the next. Does not belong here: the servers.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from connectors.paths import Paths
from demo.systems.errors import SystemsError

HOST = "127.0.0.1"
USERNAME = "gridcrm"
OUTGOING = tuple(
    f"{system}/outgoing" for system in ("cis", "mdm", "ami", "han", "oms", "weather", "dialer", "print")
)
INCOMING = ("dialer/incoming", "print/incoming")


@dataclass(frozen=True)
class Places:
    """Where the simulated systems keep their own files, all below ``data/demo``."""

    root: Path

    @classmethod
    def of(cls, paths: Paths) -> Places:
        """The places below this data root."""
        return cls(paths.demo)

    @property
    def env_file(self) -> Path:
        """``NAME=value`` lines for connections.yaml; readable by the owner alone, since it holds secrets."""
        return self.root / "demo.env"

    @property
    def credentials_file(self) -> Path:
        """The generated passwords and token."""
        return self.root / "credentials.json"

    @property
    def host_key_file(self) -> Path:
        """The SFTP server's private host key."""
        return self.root / "sftp_host_key"

    @property
    def sftp(self) -> Path:
        """The root of the SFTP server."""
        return self.root / "sftp"

    @property
    def postgres(self) -> Path:
        """PostgreSQL's data directory."""
        return self.root / "postgres"

    @property
    def postgres_log(self) -> Path:
        """What PostgreSQL says."""
        return self.root / "postgres.log"

    @property
    def campaign_db(self) -> Path:
        """The campaign tool's audiences and events."""
        return self.root / "campaign.db"

    @property
    def outcomes_db(self) -> Path:
        """What the outcomes player has already played."""
        return self.root / "outcomes.db"

    @property
    def lock_file(self) -> Path:
        """Held by the process that serves; the system releases it when that process dies."""
        return self.root / "systems.lock"

    @property
    def running_file(self) -> Path:
        """There once all systems answer: the process id of the server."""
        return self.root / "systems.json"

    @property
    def log(self) -> Path:
        """What the serving process says."""
        return self.root / "systems.log"

    def create(self) -> None:
        """Make the folders of the SFTP tree; nothing that exists is touched."""
        for folder in (*OUTGOING, *INCOMING):
            (self.sftp / folder).mkdir(parents=True, exist_ok=True)


@dataclass(frozen=True)
class Credentials:
    """Secrets generated once per data root. ``repr`` shows none of them."""

    sftp_password: str
    pg_password: str
    campaign_token: str

    def __repr__(self) -> str:
        return "Credentials(…)"

    @classmethod
    def load_or_create(cls, places: Places) -> Credentials:
        """Those of this data root; a lost file is only replaced while there is no database that needs it."""
        file = places.credentials_file
        if file.is_file():
            try:
                return cls(**json.loads(file.read_text()))
            except (ValueError, TypeError) as error:
                raise SystemsError(f"{file} cannot be read: run `make clean` and start again") from error
        if (places.postgres / "PG_VERSION").exists():
            raise SystemsError(f"{file} is gone, and the demo's database needs it: run `make clean`")
        made = cls(*(secrets.token_urlsafe(24) for _ in range(3)))
        write_private(file, json.dumps(made.__dict__))
        return made


def write_private(file: Path, text: str) -> None:
    """Write for the owner alone, through a temporary name, so that a reader never sees half of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    temporary.replace(file)


def read_env(file: Path) -> dict[str, str]:
    """The ``NAME=value`` lines of ``demo.env``; empty when there is none."""
    if not file.is_file():
        return {}
    lines = (line for line in file.read_text(encoding="utf-8").splitlines() if "=" in line)
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def write_env(file: Path, values: Mapping[str, str]) -> None:
    """Replace ``demo.env`` as a whole."""
    lines = ["# Written by demo.systems at each start: where the simulated systems listen."]
    write_private(file, "\n".join([*lines, *(f"{name}={value}" for name, value in values.items())]) + "\n")


def remembered_port(values: Mapping[str, str], name: str) -> int | None:
    """The port of the last start, if the file has one that can be a port."""
    text = values.get(name, "")
    if name.endswith("_URL"):
        text = text.rpartition(":")[2]
    return int(text) if text.isdigit() and 0 < int(text) < 65536 else None


def listen(port: int | None) -> socket.socket:
    """A listening socket on 127.0.0.1: on this port if it is free, otherwise on any free one."""
    for candidate in (port, 0):
        if candidate is None:
            continue
        server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((HOST, candidate))
            server.listen(128)  # at once: two that are only bound could share the port
        except OSError:
            server.close()
            continue
        return server
    raise SystemsError(f"no free TCP port on {HOST}: end some other server and try again")


def free_port(port: int | None) -> int:
    """This port if it is free, otherwise any free one; for a server that must bind by itself."""
    with listen(port) as server:
        return int(server.getsockname()[1])
