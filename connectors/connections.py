"""Which systems there are and how to reach them: ``connections.yaml`` with its secrets left in the
environment.

Belongs here: the description of a connection, and the check whether it answers. Does not belong here: moving
data; that is ``connectors.transport``.

Any value of a connection may be ``{env: NAME}``. Values are read when the connection is asked for, so that a
variable missing for one system does not stop the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from sqlalchemy import URL

from connectors.errors import GridCRMError
from connectors.yaml_config import YamlFile, nearest, read_yaml, validate


class ConnectionConfigError(GridCRMError):
    """A connection is unknown, badly described, or lacks an environment variable."""


class _Base(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    description: str = ""


class SftpConnection(_Base):
    """An SFTP server with one pinned host key, and a password or a private key file."""

    kind: Literal["sftp"] = "sftp"
    host: str
    port: int = Field(default=22, ge=1, le=65535)
    username: str
    password: SecretStr | None = None
    private_key_path: Path | None = None
    private_key_passphrase: SecretStr | None = None
    host_key: str = Field(description="as in known_hosts without the name: 'ssh-ed25519 AAAA…'")
    timeout_seconds: float = Field(default=20.0, gt=0)

    @model_validator(mode="after")
    def _one_way_in(self) -> SftpConnection:
        if self.password is None and self.private_key_path is None:
            raise ValueError("needs password or private_key_path")
        return self


class SqlConnection(_Base):
    """A database SQLAlchemy speaks to."""

    kind: Literal["sql"] = "sql"
    drivername: str = "postgresql+psycopg2"
    host: str | None = None
    port: int | None = Field(default=None, ge=1, le=65535)
    database: str
    username: str | None = None
    password: SecretStr | None = None
    timeout_seconds: float = Field(default=20.0, gt=0)

    @property
    def url(self) -> URL:
        """The SQLAlchemy URL; its text form hides the password."""
        return URL.create(
            self.drivername,
            username=self.username,
            password=self.password.get_secret_value() if self.password else None,
            host=self.host,
            port=self.port,
            database=self.database,
        )


class HttpConnection(_Base):
    """An HTTP service, with a bearer token where it asks for one."""

    kind: Literal["http"] = "http"
    base_url: str = Field(pattern=r"^https?://")
    token: SecretStr | None = None
    timeout_seconds: float = Field(default=20.0, gt=0)
    health_path: str = "/"


Connection = SftpConnection | SqlConnection | HttpConnection
_KINDS: dict[str, type[SftpConnection | SqlConnection | HttpConnection]] = {
    "sftp": SftpConnection,
    "sql": SqlConnection,
    "http": HttpConnection,
}


class Connections:
    """The connections of one file, resolved against one environment."""

    def __init__(self, file: YamlFile, env: Mapping[str, str]) -> None:
        self._file = file
        self._env = env
        for name, entry in file.data.items():
            self._check_keys(name, entry)

    @property
    def names(self) -> list[str]:
        """Every connection in the order of the file."""
        return list(self._file.data)

    def get(self, name: str) -> Connection:
        """The connection ``name``.

        Raises ConnectionConfigError: unknown name, missing variable, wrong value.
        """
        if name not in self._file.data:
            raise ConnectionConfigError(
                f"connection '{name}' is not in {self._file.path.name}{nearest(name, self._file.data)}"
            )
        entry = {key: self._value(name, key, value) for key, value in self._file.data[name].items()}
        model = _KINDS[entry["kind"]]
        return validate(
            model, self._file, {**entry, "name": name}, place=(name,), error=ConnectionConfigError
        )

    def sftp(self, name: str) -> SftpConnection:
        """The connection ``name``, which must be of kind sftp."""
        connection = self.get(name)
        if not isinstance(connection, SftpConnection):
            raise ConnectionConfigError(
                f"connection '{name}' is of kind {connection.kind}, sftp is needed here"
            )
        return connection

    def sql(self, name: str) -> SqlConnection:
        """The connection ``name``, which must be of kind sql."""
        connection = self.get(name)
        if not isinstance(connection, SqlConnection):
            raise ConnectionConfigError(
                f"connection '{name}' is of kind {connection.kind}, sql is needed here"
            )
        return connection

    def http(self, name: str) -> HttpConnection:
        """The connection ``name``, which must be of kind http."""
        connection = self.get(name)
        if not isinstance(connection, HttpConnection):
            raise ConnectionConfigError(
                f"connection '{name}' is of kind {connection.kind}, http is needed here"
            )
        return connection

    def resolve(self, value: str | Mapping[str, str], what: str) -> str:
        """A value that stands in another file: itself, or what ``{env: NAME}`` names.

        Raises ConnectionConfigError for a variable that is not set; ``what`` says who needs it.
        """
        if isinstance(value, str):
            return value
        variable = value.get("env", "")
        if found := self._env.get(variable):
            return found
        raise ConnectionConfigError(f"{what} needs the environment variable {variable}, which is not set")

    def _check_keys(self, name: str, entry: Any) -> None:
        if not isinstance(entry, dict):
            raise self._file.error((name,), "must be a mapping with a key 'kind'", ConnectionConfigError)
        kind = entry.get("kind")
        if kind not in _KINDS:
            where = (name, "kind") if "kind" in entry else (name,)
            raise self._file.error(
                where, f"kind must be one of {', '.join(sorted(_KINDS))}", ConnectionConfigError
            )
        known = set(_KINDS[kind].model_fields) - {"name"}
        for key in entry:
            if key not in known:
                raise self._file.error(
                    (name, key), f"unknown key{nearest(str(key), known)}", ConnectionConfigError
                )

    def _value(self, name: str, key: str, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        variable = value.get("env")
        if not isinstance(variable, str) or set(value) - {"env", "default"}:
            raise self._file.error(
                (name, key), "must be a value or {env: NAME}, with a default if wanted", ConnectionConfigError
            )
        if self._env.get(variable):
            return self._env[variable]
        if "default" in value:
            return value["default"]
        raise ConnectionConfigError(
            f"connection '{name}' needs the environment variable {variable} ({key}), which is not set"
        )


def load_connections(path: Path, env: Mapping[str, str]) -> Connections:
    """The connections described in ``path``.

    Raises ConnectionConfigError naming file, line and key of a mistake.
    """
    return Connections(read_yaml(path, ConnectionConfigError), env)


@dataclass(frozen=True)
class CheckResult:
    """Whether one connection answers, in one line."""

    name: str
    ok: bool
    message: str


def check(connection: Connection) -> CheckResult:
    """Log in to ``connection`` and out again; never raises for what is wrong at the other end."""
    # The transports import the models above, so they are imported here.
    from connectors.transport.http import HttpTransport
    from connectors.transport.sftp import SftpTransport
    from connectors.transport.sql import SqlTransport

    try:
        if isinstance(connection, SftpConnection):
            with SftpTransport(connection) as sftp:
                message = sftp.describe()
        elif isinstance(connection, SqlConnection):
            with SqlTransport(connection) as sql:
                message = sql.describe()
        else:
            with HttpTransport(connection) as http:
                message = http.describe()
    except GridCRMError as error:
        return CheckResult(connection.name, False, str(error))
    return CheckResult(connection.name, True, message)
