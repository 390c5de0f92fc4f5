"""Connections come from a file and an environment; what is missing or wrong is one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.connections import (
    ConnectionConfigError,
    HttpConnection,
    SftpConnection,
    SqlConnection,
    load_connections,
)

CONNECTIONS = Path(__file__).parents[2] / "orchestration" / "connections.yaml"
ENV = {
    "GRIDCRM_SFTP_HOST": "127.0.0.1",
    "GRIDCRM_SFTP_PORT": "2222",
    "GRIDCRM_SFTP_USERNAME": "gridcrm",
    "GRIDCRM_SFTP_PASSWORD": "s3cret",
    "GRIDCRM_SFTP_HOST_KEY": "ssh-ed25519 AAAA",
    "GRIDCRM_PG_HOST": "127.0.0.1",
    "GRIDCRM_PG_PORT": "5432",
    "GRIDCRM_PG_USERNAME": "gridcrm",
    "GRIDCRM_PG_PASSWORD": "s3cret",
    "GRIDCRM_CAMPAIGN_URL": "http://127.0.0.1:8000",
    "GRIDCRM_CAMPAIGN_TOKEN": "s3cret",
}


def test_every_connection_of_the_product_resolves() -> None:
    connections = load_connections(CONNECTIONS, ENV)
    found = [connections.get(name) for name in connections.names]
    assert sum(isinstance(one, SftpConnection) for one in found) == 8
    assert {one.database for one in found if isinstance(one, SqlConnection)} == {"collections", "crm"}
    assert sum(isinstance(one, HttpConnection) for one in found) == 1
    assert "s3cret" not in repr(found)
    assert "s3cret" not in str(connections.sql("crm_sql").url)


def test_a_missing_variable_stops_only_its_connection() -> None:
    env = {name: value for name, value in ENV.items() if name != "GRIDCRM_SFTP_PASSWORD"}
    connections = load_connections(CONNECTIONS, env)
    with pytest.raises(ConnectionConfigError) as caught:
        connections.get("cis_sftp")
    assert str(caught.value) == (
        "connection 'cis_sftp' needs the environment variable GRIDCRM_SFTP_PASSWORD (password), "
        "which is not set"
    )
    assert connections.sql("crm_sql").database == "crm"


def test_an_unknown_name_or_another_kind() -> None:
    connections = load_connections(CONNECTIONS, ENV)
    with pytest.raises(
        ConnectionConfigError, match=r"connection 'cis_sfpt' is not in connections\.yaml; did you mean"
    ):
        connections.get("cis_sfpt")
    with pytest.raises(ConnectionConfigError, match="'crm_sql' is of kind sql, sftp is needed here"):
        connections.sftp("crm_sql")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:\n  kind: sftp\n  hots: x\n", "connections.yaml:3: a.hots: unknown key; did you mean 'host'?"),
        ("a:\n  kind: ftp\n", "connections.yaml:2: a.kind: kind must be one of http, sftp, sql"),
        ("a: 1\n", "connections.yaml:1: a: must be a mapping with a key 'kind'"),
        ("a:\n  kind: sql\n  database: {evn: X}\n", "yaml:3: a.database: must be a value or {env: NAME}"),
        ("a:\n  kind: sql\n  database: d\n  port: many\n", "yaml:4: a.port: Input should be a valid integer"),
        ("a: {kind: sftp, host: h, username: u, host_key: k}\n", "yaml:1: a: needs password or"),
        ("a:\n  kind: http\n", "connections.yaml:1: a.base_url: this key is required and missing"),
        ("a: [1\n", "connections.yaml:2: not valid YAML"),
        ("- a\n", "connections.yaml:1: the file must be a mapping"),
    ],
)
def test_a_mistake_names_file_line_and_key(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "connections.yaml"
    path.write_text(text)
    with pytest.raises(ConnectionConfigError) as caught:
        load_connections(path, {}).get("a")
    assert message in str(caught.value)


def test_a_default_stands_in_for_a_variable(tmp_path: Path) -> None:
    path = tmp_path / "connections.yaml"
    path.write_text("a:\n  kind: sql\n  database: {env: DB, default: crm}\n")
    assert load_connections(path, {}).sql("a").database == "crm"
    assert load_connections(path, {"DB": "other"}).sql("a").database == "other"
