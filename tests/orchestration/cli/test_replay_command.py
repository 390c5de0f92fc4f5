"""gridcrm replay and gridcrm schema as somebody types them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from connectors.connections import load_connections
from connectors.ingest import Ingest, load_feeds
from connectors.paths import Paths
from orchestration.cli.main import app
from orchestration.settings import HERE
from tests.support.sftp_server import PASSWORD, serve_sftp

OUTAGES = b"""outage_id,feeder,premise_no,started_at,restored_at,cause
O1,F1,P1,2026-11-15T01:00:00Z,2026-11-15T02:00:00Z,storm
O2,F1,P2,yesterday,2026-11-15T02:00:00Z,storm
O3,F1,P3,2026-11-15T01:00:00Z
"""


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One feed with one file taken: a record loaded, two set aside. The server is gone afterwards."""
    shutil.copytree(HERE / "feeds" / "oms", tmp_path / "feeds" / "oms")
    out = tmp_path / "remote" / "oms" / "outgoing"
    out.mkdir(parents=True)
    (out / "outages_20261115.csv").write_bytes(OUTAGES)
    with serve_sftp(tmp_path / "remote") as server:
        entry = server.connection().model_dump(mode="json", exclude={"name"}, exclude_none=True)
        entry["password"] = {"env": "SFTP_PASSWORD"}
        (tmp_path / "connections.yaml").write_text(yaml.safe_dump({"oms_sftp": entry}))
        env = {"SFTP_PASSWORD": PASSWORD}
        ingest = Ingest(Paths(tmp_path / "data"), load_connections(tmp_path / "connections.yaml", env))
        ingest.run(load_feeds(tmp_path / "feeds")["oms"])
        ingest.close()
    monkeypatch.setenv("GRIDCRM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("GRIDCRM_FEEDS", str(tmp_path / "feeds"))
    monkeypatch.setenv("GRIDCRM_CONNECTIONS", str(tmp_path / "connections.yaml"))
    return tmp_path


def gridcrm(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, list(arguments))


def mend(deployment: Path) -> None:
    feed = deployment / "feeds" / "oms" / "defs.yaml"
    feed.write_text(feed.read_text().replace("started_at: {type: timestamp", "started_at: {type: string"))


def test_a_dry_run_says_what_a_fix_would_heal_and_the_replay_heals_it(deployment: Path) -> None:
    before = gridcrm("replay")
    assert before.exit_code == 3
    assert "Nothing changed." in before.stdout
    mend(deployment)
    trial = gridcrm("replay", "--feed", "oms", "--dry-run", "--json")
    account = json.loads(trial.stdout)
    assert (account["dry_run"], account["files"], account["healed"], account["still_bad"]) == (True, 1, 1, 1)
    assert (account["feeds"]["oms"][0]["loaded_before"], account["feeds"]["oms"][0]["loaded"]) == (1, 2)
    done = gridcrm("replay", "--rule", "bad_value")
    assert done.exit_code == 3, "a record of three fields is still set aside"
    assert "outages_20261115.csv" in done.stdout
    assert "run the job warehouse" in done.stdout
    assert gridcrm("replay", "--rule", "bad_value").stdout.startswith("Nothing to replay")
    assert json.loads(gridcrm("replay", "--json").stdout)["healed"] == 0


def test_one_file_is_chosen_by_its_name_whatever_its_feed(deployment: Path) -> None:
    account = json.loads(gridcrm("replay", "--file", "outages_20261115.csv", "--json").stdout)
    assert [item["name"] for item in account["feeds"]["oms"]] == ["outages_20261115.csv"]
    absent = gridcrm("replay", "--file", "outages_x.csv")
    assert absent.exit_code == 2
    assert "never took a file 'outages_x.csv'" in absent.stderr


def test_a_feed_that_is_none_is_named(deployment: Path) -> None:
    wrong = gridcrm("replay", "--feed", "omss")
    assert wrong.exit_code == 2
    assert wrong.stderr == "gridcrm: there is no feed 'omss'; did you mean 'oms'?\n"


def test_outdated_files_are_found_by_their_settings(deployment: Path) -> None:
    assert gridcrm("replay", "--outdated").stdout.startswith("Nothing to replay")
    mend(deployment)
    assert json.loads(gridcrm("replay", "--outdated", "--json").stdout)["healed"] == 1


def test_the_schema_is_printed_and_written(tmp_path: Path) -> None:
    printed = gridcrm("schema", "feed")
    assert printed.exit_code == 0
    assert gridcrm("schema", "feed", "--out", str(tmp_path / "s.json")).exit_code == 0
    written = json.loads((tmp_path / "s.json").read_text())
    assert written == json.loads(printed.stdout)
    branches = written["$defs"]["FileConfig"]["allOf"]
    nem12 = next(b for b in branches if b["if"]["properties"]["format"]["const"] == "nem12")
    assert "utc_offset" in nem12["then"]["properties"]["settings"]["properties"]
