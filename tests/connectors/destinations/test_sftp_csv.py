"""A list by SFTP: whole files only, a manifest last, and no cell that a spreadsheet would run."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.activation import Activation, PushConfig
from connectors.destinations import DestinationRefusedError
from connectors.destinations.settings import Column
from connectors.destinations.sftp_csv import csv_bytes
from connectors.paths import Paths
from tests.connectors.activation.helpers import COLUMNS, DAY, FixedConnections, make_push, make_rows
from tests.support.sftp_server import SftpTestServer

DESTINATION = {
    "kind": "sftp_csv",
    "connection": "test_sftp",
    "directory": "/incoming",
    "file_name": "list_{as_of_date:%Y%m%d}_{batch}.csv",
    "recall_file_name": "recall_{as_of_date:%Y%m%d}_{batch}.csv",
}


def list_push(**changes: Any) -> PushConfig:
    return make_push(name="list", destination={**DESTINATION, **changes}, on_missing="keep")


def activate(paths: Paths, sftp: SftpTestServer, **changes: Any) -> Activation:
    return Activation(paths, FixedConnections(sftp.connection(**changes)), backoff_seconds=0.01)  # type: ignore[arg-type]


def drops(sftp: SftpTestServer) -> list[tuple[dict[str, Any], list[dict[str, str]]]]:
    """Every manifest with the rows of its file, whose size and hash are checked."""
    found = []
    for manifest_file in sorted((sftp.root / "incoming").glob("*.manifest.json")):
        manifest = json.loads(manifest_file.read_text())
        (entry,) = manifest["files"]
        content = (sftp.root / "incoming" / entry["file"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (entry["bytes"], entry["sha256"])
        rows = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
        assert len(rows) == entry["rows"]
        found.append((manifest, rows))
    return found


def test_a_list_arrives_with_its_manifest(paths: Paths, sftp: SftpTestServer) -> None:
    activation, push = activate(paths, sftp), list_push()
    rows = make_rows({"C2": "2.50", "C1": -1}, day=DAY)
    report = activation.send(push, activation.plan(push, rows, DAY), dry_run=False)
    assert (report.sent, report.ok) == (2, True)
    ((manifest, listed),) = drops(sftp)
    assert manifest["push"] == "list"
    assert manifest["operation"] == "upsert"
    assert manifest["as_of_date"] == "2026-11-15"
    assert re.fullmatch(r"list_20261115_[0-9a-f]{12}\.csv", manifest["files"][0]["file"])
    assert listed == [
        {"customer_id": "C1", "full_name": "Name of C1", "amount_usd": "-1.00", "as_of_date": "2026-11-15"},
        {"customer_id": "C2", "full_name": "Name of C2", "amount_usd": "2.50", "as_of_date": "2026-11-15"},
    ]
    names = sorted(path.name for path in (sftp.root / "incoming").iterdir())
    assert len(names) == 2
    assert not any(name.endswith(".tmp") for name in names)


def test_the_second_file_holds_only_what_is_new_and_a_recall_what_is_taken_back(
    paths: Paths, sftp: SftpTestServer
) -> None:
    activation, push = activate(paths, sftp), list_push()
    for rows in (
        make_rows({"C1": 1, "C2": 2}),
        make_rows({"C1": 1, "C2": 2, "C3": 3}, {"C1": "paid"}),
        make_rows({"C4": 4}),
        make_rows({"C4": 4}),
    ):
        activation.send(push, activation.plan(push, rows, DAY), dry_run=False)
    found = {(drop[0]["operation"], *(row["customer_id"] for row in drop[1])) for drop in drops(sftp)}
    assert found == {("upsert", "C1", "C2"), ("recall", "C1"), ("upsert", "C3"), ("upsert", "C4")}
    (recall,) = [rows for manifest, rows in drops(sftp) if manifest["operation"] == "recall"]
    assert recall == [{"customer_id": "C1"}]


def test_without_a_recall_file_nothing_is_recalled_but_the_plan_says_so(
    paths: Paths, sftp: SftpTestServer
) -> None:
    activation, push = activate(paths, sftp), list_push(recall_file_name=None)
    activation.send(push, activation.plan(push, make_rows({"C1": 1}), DAY), dry_run=False)
    plan = activation.plan(push, make_rows({"C1": 1}, {"C1": "paid"}), DAY)
    assert plan.is_empty
    assert plan.not_recallable == 1


def test_a_folder_that_is_not_there_is_refused(paths: Paths, sftp: SftpTestServer) -> None:
    activation, push = activate(paths, sftp), list_push(directory="/nowhere")
    with pytest.raises(
        DestinationRefusedError, match="connection test_sftp: writing /nowhere/list_20261115_"
    ):
        activation.send(push, activation.plan(push, make_rows({"C1": 1}), DAY), dry_run=False)


def test_another_host_key_is_refused_and_nothing_goes(paths: Paths, sftp: SftpTestServer) -> None:
    activation, push = activate(paths, sftp), list_push()
    sftp.change_host_key()
    with pytest.raises(DestinationRefusedError, match="host key"):
        activation.send(push, activation.plan(push, make_rows({"C1": 1}), DAY), dry_run=False)
    assert list((sftp.root / "incoming").iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "cell", "written"),
    [
        ("string", "=1+1", "'=1+1"),
        ("string", "@SUM(A1)", "'@SUM(A1)"),
        ("string", "+1 608 555 0100", "'+1 608 555 0100"),
        ("string", "-cmd|' /C calc'!A0", "'-cmd|' /C calc'!A0"),
        ("string", "\t=1", "'\t=1"),
        ("string", "\r=1", "'\r=1"),
        ("string", "  =1", "'  =1"),
        ("string", "＝1", "'＝1"),
        ("string", "-12.50", "-12.50"),
        ("string", "-12.50+A1", "'-12.50+A1"),
        ("string", "a=1", "a=1"),
        ("string", 'say "hi", then go', 'say "hi", then go'),
        ("string", "two\nlines", "two\nlines"),
        ("phone", "+16085550100", "+16085550100"),
        ("phone", "+1608555+A1", "'+1608555+A1"),
        ("phone", "=+16085550100", "'=+16085550100"),
        ("decimal(12,2)", "-12.50", "-12.50"),
        ("int", "-7", "-7"),
        ("double", "-1e-05", "-1e-05"),
        ("string", None, ""),
    ],
)
def test_a_cell(kind: str, cell: str | None, written: str) -> None:
    rows = pa.table({"key": ["k"], "payload": [json.dumps({"cell": cell})]})
    content = csv_bytes({"cell": Column(type=kind), "other": Column()}, rows).decode()
    ((found, _),) = list(csv.reader(io.StringIO(content, newline="")))[1:]
    assert found == written


@settings(max_examples=150, deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00")))
def test_no_text_becomes_a_formula_and_none_is_lost(cell: str) -> None:
    rows = pa.table({"key": ["k"], "payload": [json.dumps({"cell": cell})]})
    content = csv_bytes({"cell": Column()}, rows).decode()
    lines = list(csv.reader(io.StringIO(content, newline="")))[1:]
    found = lines[0][0] if lines[0] else ""
    assert found.removeprefix("'") == cell.removeprefix("'")
    is_number = re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", found, re.ASCII)
    assert is_number or found.lstrip()[:1] not in {"=", "+", "-", "@"}
    assert found[:1] not in {"\t", "\r", "\n"}


def test_columns_keep_their_order(paths: Paths, sftp: SftpTestServer) -> None:
    activation, push = activate(paths, sftp), list_push()
    activation.send(push, activation.plan(push, make_rows({"C1": 1}), DAY), dry_run=False)
    (file,) = (sftp.root / "incoming").glob("list_*.csv")
    header = Path(file).read_bytes().split(b"\r\n")[0].decode()
    assert header.replace('"', "") == ",".join(COLUMNS)
