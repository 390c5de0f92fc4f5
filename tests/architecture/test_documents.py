"""README and CONTRIBUTING say what is so: their snippets run, their commands and files exist."""

from __future__ import annotations

import importlib.util
import re
import sys
from datetime import date
from pathlib import Path
from types import ModuleType

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from typer.main import get_command

from connectors.activation import load_pushes
from connectors.connections import load_connections
from connectors.formats import RefusedFile, decode_file, registry
from connectors.ingest import load_feed
from orchestration.cli.main import app
from orchestration.scoring import SCORES, ScoreContext
from orchestration.settings import HERE, Settings

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENTS = ("README.md", "CONTRIBUTING.md")


def text(document: str) -> str:
    return (REPOSITORY / document).read_text(encoding="utf-8")


def blocks() -> dict[str, str]:
    """Code blocks that say in their first line which file they are."""
    found = {}
    for document in DOCUMENTS:
        for body in re.findall(r"```\w+\n(.*?)```", text(document), re.DOTALL):
            if name := re.match(r"(?:#|--) (\S+\.(?:py|ya?ml|sql))\n", body):
                found[name[1]] = body
    return found


def written(name: str, folder: Path) -> Path:
    # A feed is read from a folder that is called as it.
    path = (
        folder / Path(name).parent.name / Path(name).name if "/feeds/" in name else folder / Path(name).name
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(blocks()[name], encoding="utf-8")
    return path


def module(name: str, folder: Path) -> ModuleType:
    path = written(name, folder)
    spec = importlib.util.spec_from_file_location(f"document_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


def test_the_feed_loads(tmp_path: Path) -> None:
    feed = load_feed(written("orchestration/feeds/assistance/defs.yaml", tmp_path))
    assert feed.schemas()["grant"].names == [
        "_record_no",
        "grant_id",
        "account_no",
        "amount_usd",
        "granted_on",
    ]


def test_the_connection_loads(tmp_path: Path) -> None:
    env = {
        "COUNTY_SFTP_HOST": "sftp.example.org",
        "COUNTY_SFTP_USERNAME": "us",
        "COUNTY_SFTP_KEY_FILE": "key",
        "COUNTY_SFTP_HOST_KEY": "ssh-ed25519 AAAA",
    }
    connections = load_connections(written("orchestration/connections.yaml", tmp_path), env)
    assert connections.sftp("county_sftp").host == "sftp.example.org"


def test_the_push_loads_and_its_model_has_its_columns(tmp_path: Path) -> None:
    written("orchestration/pushes/crm_complaint_risk.yaml", tmp_path)
    push = load_pushes(tmp_path)["crm_complaint_risk"]
    sql = blocks()[f"dbt_project/models/push/{push.model}.sql"]
    final = sql.split("final as (")[1]
    for column in [*push.columns, "withheld_reason"]:
        assert re.search(rf"(\.|as ){column}\b", final), column
    real = load_connections(HERE / "connections.yaml", {})
    assert push.destination.connection in real.names


def test_the_score_runs_under_its_contract(tmp_path: Path) -> None:
    score = module("orchestration/scoring/complaints.py", tmp_path).SCORE
    assert score.name not in SCORES
    ctx = ScoreContext(as_of_date=date(2026, 11, 15))
    customers = pd.DataFrame(
        {"customer_id": ["C1", "C2", "C3"], "is_deceased": [False, False, True], "consent_version": ["1"] * 3}
    )
    days_ago = [("C1", 3, "complaint"), ("C1", 40, "complaint"), ("C2", 50, "billing"), ("C2", 60, "billing")]
    end = pd.Timestamp(ctx.feature_cutoff_at)
    contacts = pd.DataFrame(
        {
            "customer_id": [who for who, _, _ in days_ago],
            "started_at": [end - pd.Timedelta(days=days, hours=1) for _, days, _ in days_ago],
            "topic": [topic for _, _, topic in days_ago],
        }
    )
    result = score.run({"customer_360": customers, "fct_interaction": contacts}, ctx)
    assert list(result.table.columns) == score.schema.names
    by_id = result.table.set_index("subject_id")
    assert by_id.loc["C1", "n_complaints"] == 2
    assert by_id.loc["C1", "score"] > by_id.loc["C2", "score"]
    assert by_id.loc["C3", "ineligible_reason"] == "deceased"
    assert result.passed_gate
    assert "AUC 1.000" in result.gate_message


def test_the_format_decodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module("connectors/formats/f4r.py", tmp_path)
    monkeypatch.setitem(registry._MODULES, "f4r", "document_f4r")
    file = tmp_path / "a.f4r"
    file.write_bytes(b"R6100000123 bad\nR610000012320261115000012345\nT1\n")
    account = decode_file(file, "f4r", {"decimals": 2}, tmp_path / "out")
    assert account["records"] == {"read": 3, "loaded": 2, "superseded": 0, "quarantined": 1}
    row = pq.read_table(tmp_path / "out" / "register_reads.parquet").to_pylist()[0]
    assert (row["_record_no"], row["service_point_id"], str(row["current_read"])) == (
        2,
        "6100000123",
        "123.450",
    )
    file.write_bytes(b"T7\n")
    with pytest.raises(RefusedFile, match="trailer counts 7"):
        decode_file(file, "f4r", {})


def test_every_block_that_names_a_file_is_tried_here() -> None:
    assert set(blocks()) == {
        "orchestration/feeds/assistance/defs.yaml",
        "orchestration/connections.yaml",
        "orchestration/scoring/complaints.py",
        "orchestration/pushes/crm_complaint_risk.yaml",
        "dbt_project/models/push/push_crm_complaint_risk.sql",
        "workspace.production.yaml",
        "connectors/formats/f4r.py",
    }
    servers = yaml.safe_load(blocks()["workspace.production.yaml"])["load_from"]
    assert {server["grpc_server"]["location_name"] for server in servers} == {"batch", "realtime"}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_exist(document: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", text("Makefile"), re.MULTILINE))
    code = " ".join(re.findall(r"```sh\n.*?```|`make [^`]*`", text(document), re.DOTALL))
    assert set(re.findall(r"\bmake ([a-z]+)\b", code)) <= targets
    commands = set(getattr(get_command(app), "commands", {}))
    assert set(re.findall(r"\bgridcrm ([a-z]+)", text(document))) <= commands


@pytest.mark.parametrize("document", DOCUMENTS)
def test_settings_exist(document: str) -> None:
    known = (HERE / "settings.py").read_text() + (HERE / "connections.yaml").read_text()
    known += (REPOSITORY / "connectors" / "paths.py").read_text()
    assert [name for name in set(re.findall(r"GRIDCRM_[A-Z_]+", text(document))) if name not in known] == []
    assert Settings.from_env({}).deployment == "development"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_files_that_are_named_exist(document: str) -> None:
    linked = {link.split("#")[0] for link in re.findall(r"\]\(([^)h][^)]*)\)", text(document))}
    named = set(re.findall(r"`([\w./]+/[\w.]*\.(?:py|ya?ml|sql|md|svg))`", text(document)))
    folders = set(
        re.findall(r"`((?:connectors|orchestration|dbt_project|demo|tests)/[\w/]*/)`", text(document))
    )
    new = {"dbt_project/models/staging/assistance/"}
    missing = [
        name for name in linked | named | folders if name not in new and not (REPOSITORY / name).exists()
    ]
    assert missing == []
