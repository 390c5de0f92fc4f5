"""gridcrm doctor against real servers: what it finds right, what it finds wrong, and what it never says."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from typer.testing import CliRunner, Result

from orchestration.cli.main import app
from orchestration.settings import HERE
from tests.support.http_server import TOKEN, serve_events
from tests.support.postgres import PostgresTestServer, serve_postgres
from tests.support.sftp_server import PASSWORD, SftpTestServer, serve_sftp

FEEDS = HERE / "feeds"
PUSHES = HERE / "pushes"


@pytest.fixture(scope="module")
def sftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpTestServer]:
    root = tmp_path_factory.mktemp("sftp")
    for folder in ("oms/outgoing", "dialer/incoming", "dialer/outgoing"):
        (root / folder).mkdir(parents=True)
    (root / "oms" / "outgoing" / "outages_20261115.csv").write_text("outage_id\n")
    with serve_sftp(root) as server:
        yield server


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresTestServer]:
    with serve_postgres() as server:
        yield server


@pytest.fixture(scope="module")
def http() -> Iterator[str]:
    with serve_events() as server:
        yield server.connection().base_url


class Deployment:
    """Feeds, pushes, connections, a dbt project, and the environment that names them."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.folder = folder
        self.env = env

    def run(self, *options: str) -> Result:
        with pytest.MonkeyPatch.context() as patch:
            for name in list(os.environ):
                if name.startswith(("GRIDCRM_", "DAGSTER_HOME")):
                    patch.delenv(name)
            for name, value in self.env.items():
                patch.setenv(name, value)
            return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["doctor", *options])

    def findings(self, *options: str) -> dict[tuple[str, str], dict[str, Any]]:
        done = self.run("--json", *options)
        found = json.loads(done.stdout)
        assert done.exit_code == (1 if found["wrong"] else 0)
        return {(f["area"], f["name"]): f for f in found["findings"]}


def wrong(findings: dict[tuple[str, str], dict[str, Any]]) -> set[tuple[str, str]]:
    return {key for key, finding in findings.items() if finding["state"] == "wrong"}


@pytest.fixture
def deployment(tmp_path: Path, sftp: SftpTestServer, postgres: PostgresTestServer, http: str) -> Deployment:
    database = postgres.create_database()
    engine = postgres.engine(database)
    with engine.begin() as session:
        for schema, table, columns in _tables():
            session.execute(sa.text(f"create schema if not exists {schema}"))
            typed = ", ".join(f"{column} text" for column in columns)
            session.execute(sa.text(f"create table {schema}.{table} ({typed})"))
    engine.dispose()
    for name in ("feeds", "pushes", "dbt/target", "data", "dagster"):
        (tmp_path / name).mkdir(parents=True)
    for feed in ("oms", "collections", "campaign"):
        shutil.copytree(FEEDS / feed, tmp_path / "feeds" / feed)
    for push in ("dialer_call_list", "crm_inbound_card"):
        shutil.copy(PUSHES / f"{push}.yaml", tmp_path / "pushes")
    (tmp_path / "dbt" / "dbt_project.yml").write_text("name: x\n")
    (tmp_path / "dbt" / "target" / "manifest.json").write_text("{}")
    (tmp_path / "dagster" / "dagster.yaml").write_text("{}\n")
    server = {
        "kind": "sftp",
        "host": "127.0.0.1",
        "port": sftp.port,
        "username": "gridcrm",
        "password": {"env": "SFTP_PASSWORD"},
        "host_key": sftp.public_host_key,
    }
    base = {
        "kind": "sql",
        "host": "127.0.0.1",
        "port": postgres.port,
        "username": "gridcrm",
        "password": {"env": "PG_PASSWORD"},
        "database": database,
    }
    connections = {
        "oms_sftp": server,
        "dialer_sftp": server,
        "collections_sql": base,
        "crm_sql": base,
        "campaign_http": {"kind": "http", "base_url": http, "token": {"env": "HTTP_TOKEN"}},
    }
    (tmp_path / "connections.yaml").write_text(yaml.safe_dump(connections))
    return Deployment(
        tmp_path,
        {
            "GRIDCRM_DATA": str(tmp_path / "data"),
            "GRIDCRM_FEEDS": str(tmp_path / "feeds"),
            "GRIDCRM_PUSHES": str(tmp_path / "pushes"),
            "GRIDCRM_CONNECTIONS": str(tmp_path / "connections.yaml"),
            "GRIDCRM_DBT_PROJECT": str(tmp_path / "dbt"),
            "DAGSTER_HOME": str(tmp_path / "dagster"),
            "SFTP_PASSWORD": PASSWORD,
            "PG_PASSWORD": postgres.password,
            "HTTP_TOKEN": TOKEN,
        },
    )


def _tables() -> Iterator[tuple[str, str, list[str]]]:
    """Schema, name and columns of every table that the copied feed and push speak of."""
    feed = yaml.safe_load((FEEDS / "collections" / "defs.yaml").read_text())["attributes"]
    for name, table in feed["tables"].items():
        yield feed["sql"]["schema"], table.get("name", name), list(table["columns"])
    push = yaml.safe_load((PUSHES / "crm_inbound_card.yaml").read_text())
    yield push["destination"]["schema"], push["destination"]["table"], list(push["columns"])


def test_where_all_is_well_it_says_so(deployment: Deployment) -> None:
    findings = deployment.findings()
    assert wrong(findings) == set()
    for name in ("oms_sftp", "dialer_sftp", "collections_sql", "crm_sql", "campaign_http"):
        assert findings["connections", name]["state"] == "ok"
    assert findings["feeds", "oms"]["message"] == (
        "/oms/outgoing: 1 files, 1 of them the feed's; outages_20261115.csv can be read"
    )
    assert findings["feeds", "campaign"]["message"] == "/api/v1/events: the token is accepted, no event yet"
    assert findings["pushes", "crm_inbound_card"]["message"] == "crm_inbox.inbound_card can be written"
    assert findings["data", "warehouse"]["state"] == "note"


def test_the_table_marks_right_and_wrong_and_hides_secrets(deployment: Deployment, postgres: Any) -> None:
    deployment.env["SFTP_PASSWORD"] = "not-the-password"
    done = deployment.run()
    assert done.exit_code == 1
    assert "✓" in done.stdout
    assert "✗" in done.stdout
    assert "→" in done.stdout
    for secret in ("not-the-password", PASSWORD, TOKEN, postgres.password):
        assert secret not in done.stdout


def test_a_wrong_password_is_named_by_its_connection(deployment: Deployment) -> None:
    deployment.env |= {"SFTP_PASSWORD": "x", "PG_PASSWORD": "x"}
    findings = deployment.findings()
    for name in ("oms_sftp", "dialer_sftp", "collections_sql", "crm_sql"):
        assert findings["connections", name]["state"] == "wrong"
        assert name in findings["connections", name]["message"]
    assert findings["connections", "campaign_http"]["state"] == "ok"


def test_an_unknown_host_key_is_refused(deployment: Deployment) -> None:
    path = deployment.folder / "connections.yaml"
    connections = yaml.safe_load(path.read_text())
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBYpjvmBhNVbvBW6fHTNlK3ILyCt2JTVEpFy1aWT3zJu"
    connections["oms_sftp"] = {**connections["oms_sftp"], "host_key": other}
    path.write_text(yaml.safe_dump(connections))
    findings = deployment.findings()
    assert wrong(findings) == {("connections", "oms_sftp")}
    assert "host key" in findings["connections", "oms_sftp"]["message"]


def test_a_missing_variable_stops_only_its_connection(deployment: Deployment) -> None:
    del deployment.env["HTTP_TOKEN"]
    findings = deployment.findings()
    assert wrong(findings) == {("connections", "campaign_http")}
    assert "HTTP_TOKEN" in findings["connections", "campaign_http"]["message"]


def test_a_directory_a_table_and_a_right_that_are_missing(
    deployment: Deployment, sftp: SftpTestServer, postgres: PostgresTestServer
) -> None:
    feed = deployment.folder / "feeds" / "oms" / "defs.yaml"
    feed.write_text(feed.read_text().replace("/oms/outgoing", "/oms/elsewhere"))
    database = yaml.safe_load((deployment.folder / "connections.yaml").read_text())["crm_sql"]["database"]
    engine = postgres.engine(database)
    with engine.begin() as session:
        session.execute(sa.text("drop table collections.dispute"))
        role = f"reader_{database}"
        session.execute(sa.text(f"create role {role} login password 'readonly'"))
        session.execute(sa.text(f"grant usage on schema crm_inbox to {role}"))
        session.execute(sa.text(f"grant select on all tables in schema crm_inbox to {role}"))
    engine.dispose()
    path = deployment.folder / "connections.yaml"
    connections = yaml.safe_load(path.read_text())
    connections["crm_sql"] = {**connections["crm_sql"], "username": role, "password": "readonly"}
    path.write_text(yaml.safe_dump(connections))
    findings = deployment.findings()
    assert wrong(findings) == {("feeds", "oms"), ("feeds", "collections"), ("pushes", "crm_inbound_card")}
    assert "/oms/elsewhere" in findings["feeds", "oms"]["message"]
    assert "dispute" in findings["feeds", "collections"]["message"]
    assert "insert, update, delete" in findings["pushes", "crm_inbound_card"]["message"]


def test_a_mistake_in_a_feed_is_placed_and_the_rest_is_looked_at(
    deployment: Deployment,
) -> None:
    feed = deployment.folder / "feeds" / "oms" / "defs.yaml"
    lines = feed.read_text().splitlines()
    feed.write_text("\n".join([*lines[:3], "  conection: oms_sftp", *lines[3:]]))
    findings = deployment.findings("--offline")
    message = findings["feeds", "oms"]["message"]
    assert message.startswith("oms/defs.yaml:4: conection")
    assert findings["pushes", "pushes"]["state"] == "ok"


def test_a_connection_nobody_described_is_found_before_anything_runs(deployment: Deployment) -> None:
    feed = deployment.folder / "feeds" / "oms" / "defs.yaml"
    feed.write_text(feed.read_text().replace("connection: oms_sftp", "connection: oms_ftp"))
    findings = deployment.findings("--offline")
    assert "oms_ftp" in findings["feeds", "oms"]["message"]


def test_a_stale_manifest_and_a_home_without_its_file(deployment: Deployment) -> None:
    model = deployment.folder / "dbt" / "models" / "a.sql"
    model.parent.mkdir()
    model.write_text("select 1")
    os.utime(model, (model.stat().st_mtime + 60,) * 2)
    (deployment.folder / "dagster" / "dagster.yaml").unlink()
    findings = deployment.findings("--offline")
    assert wrong(findings) == {("dagster", "home")}
    assert findings["dbt", "manifest"]["state"] == "note"  # where it is parsed again when it is needed
    deployment.env["GRIDCRM_DEPLOYMENT"] = "production"
    findings = deployment.findings("--offline")
    assert wrong(findings) == {("dbt", "manifest"), ("dagster", "home")}
    assert "models/a.sql" in findings["dbt", "manifest"]["message"]


def test_a_setting_that_means_nothing_is_a_finding(deployment: Deployment) -> None:
    deployment.env["GRIDCRM_DEPLOYMENT"] = "prod"
    findings = deployment.findings("--offline")
    assert "GRIDCRM_DEPLOYMENT" in findings["settings", "environment"]["message"]


def test_a_data_root_that_cannot_be_made(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    findings = deployment.findings("--offline")
    assert findings["data", "root"]["state"] == "wrong"
    assert "GRIDCRM_DATA" in findings["data", "root"]["advice"]


def test_a_package_that_is_absent_or_too_old_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestration.cli import checks

    declared = ["duckdb==0.0.1", "no-such-package>=1", "pyarrow>=21", 'asyncssh>=99; extra == "demo"']
    monkeypatch.setattr(checks.metadata, "requires", lambda _: declared)
    findings = {finding.name: finding for finding in checks.installation()}
    assert findings["duckdb"].state == "wrong"
    assert findings["no-such-package"].state == "wrong"
    assert findings["packages"].message.startswith("1 at")
    assert "asyncssh" not in findings


def test_a_file_that_may_be_listed_but_not_read_is_found(
    deployment: Deployment, sftp: SftpTestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncssh

    def denied(*_: object) -> bytes:
        raise asyncssh.SFTPPermissionDenied("no")

    monkeypatch.setattr("tests.support.sftp_server._Files.open", denied, raising=False)
    findings = deployment.findings()
    assert wrong(findings) == {("feeds", "oms")}
    assert "is not allowed to" in findings["feeds", "oms"]["message"]
    assert "read its files" in findings["feeds", "oms"]["advice"]


def test_a_token_that_the_service_does_not_know_is_found(deployment: Deployment) -> None:
    deployment.env["HTTP_TOKEN"] = "not-the-token"
    findings = deployment.findings()
    assert wrong(findings) == {("feeds", "campaign")} or wrong(findings) == {("connections", "campaign_http")}
    assert "not-the-token" not in json.dumps([*findings.values()])


def test_a_landing_that_cannot_be_written_is_found(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    landing = deployment.folder / "data" / "landing"
    landing.mkdir()
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != landing and allowed(path, mode))
    findings = deployment.findings("--offline")
    assert wrong(findings) == {("data", "landing")}
