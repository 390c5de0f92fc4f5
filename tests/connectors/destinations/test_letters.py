"""Letters: approved words only, a page a person would accept, one file a letter, and the manifest last."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pypdf import PdfReader

from connectors.activation import Activation, PushConfig, PushReport, load_pushes
from connectors.destinations import DestinationRefusedError
from connectors.destinations.letters.page import render
from connectors.destinations.letters.templates import (
    FOLDER,
    LetterError,
    LetterRow,
    Templates,
    readable_name,
)
from connectors.destinations.sftp_letters import file_name
from connectors.paths import Paths
from tests.conftest import REPOSITORY
from tests.connectors.activation.helpers import DAY, FixedConnections
from tests.support.sftp_server import SftpTestServer

LETTER: dict[str, Any] = {
    "letter_id": "L-1",
    "customer_id": "Cab12",
    "account_no": "000012345678",
    "full_name": "María-José Hernández & Sons",
    "address_line": "1428 East Millrace Court Apt 4",
    "city": "Cedar Hollow",
    "state_code": "WI",
    "postcode": "53998",
    "content_id": "LTR_REMINDER_FRIENDLY_EN",
    "language": "en",
    "tone": "friendly",
    "amount_due_usd": "1284.07",
    "due_date": dt.date(2026, 10, 23),
    "bill_id": "000000123456",
    "purpose": "collections",
    "withheld_reason": None,
}
CONTENT_IDS = sorted(Templates.load().content_ids)


@pytest.fixture
def push() -> PushConfig:
    declared = load_pushes(REPOSITORY / "orchestration" / "pushes")["letters"]
    destination = declared.destination.model_copy(
        update={"connection": "test_sftp", "directory": "/incoming"}
    )
    return declared.model_copy(update={"destination": destination})


def letters(*changes: dict[str, Any]) -> pa.Table:
    rows = [{**LETTER, **change} for change in changes]
    columns = {}
    for name in LETTER:
        cells = [row[name] for row in rows]
        if name == "amount_due_usd":
            columns[name] = pa.array(cells, pa.string()).cast(pa.decimal128(12, 2))
        else:
            columns[name] = pa.array(cells, pa.date32() if name == "due_date" else pa.string())
    return pa.table(columns)


def send(paths: Paths, sftp: SftpTestServer, push: PushConfig, rows: pa.Table) -> PushReport:
    activation = Activation(paths, FixedConnections(sftp.connection()), backoff_seconds=0.01)  # type: ignore[arg-type]
    try:
        return activation.send(push, activation.plan(push, rows, DAY), dry_run=False)
    finally:
        activation.close()


def manifests(sftp: SftpTestServer) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted((sftp.root / "incoming").glob("*.manifest.json"))]


def page_text(content: bytes) -> str:
    return " ".join(" ".join(page.extract_text() for page in PdfReader(io.BytesIO(content)).pages).split())


@pytest.mark.parametrize("content_id", CONTENT_IDS)
def test_every_template_makes_one_complete_page(
    paths: Paths, sftp: SftpTestServer, push: PushConfig, content_id: str
) -> None:
    language = content_id[-2:].lower()
    send(paths, sftp, push, letters({"content_id": content_id, "language": language.upper()}))
    (entry,) = manifests(sftp)[0]["files"]
    text = page_text((sftp.root / "incoming" / entry["file"]).read_bytes())
    assert entry["pages"] == 1
    for part in (
        "Riverbend Power & Light",
        "María-José Hernández & Sons",
        "1428 East Millrace Court Apt 4",
        "Cedar Hollow, WI 53998",
        "000012345678",
        "000000123456",
        "$1,284.07",
        "1-800-555-0142",
        "L-1",
        *(
            ["October 23, 2026", "Page 1 of 1"]
            if language == "en"
            else ["23 de octubre de 2026", "Página 1 de 1"]
        ),
    ):
        assert part in text, part
    assert not re.search(r"[{}]", text)
    assert not re.search(r"disconnect|shut off|cortar|suspender", text, re.IGNORECASE)


def test_the_manifest_vouches_for_each_file(paths: Paths, sftp: SftpTestServer, push: PushConfig) -> None:
    report = send(paths, sftp, push, letters({}, {"letter_id": "L:2", "account_no": "000000000002"}))
    assert (report.sent, report.ok) == (2, True)
    (manifest,) = manifests(sftp)
    assert (manifest["letters"], manifest["pages"], manifest["operation"]) == (2, 2, "upsert")
    for entry in manifest["files"]:
        content = (sftp.root / "incoming" / entry["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
        assert len(content) == entry["bytes"]
        assert len(PdfReader(io.BytesIO(content)).pages) == entry["pages"]
    assert [entry["letter_id"] for entry in manifest["files"]] == ["L-1", "L:2"]


def test_the_same_letter_is_the_same_bytes_and_its_fonts_are_inside(
    paths: Paths, tmp_path: Path, sftp: SftpTestServer, push: PushConfig
) -> None:
    send(paths, sftp, push, letters({}))
    first = (sftp.root / "incoming" / "L-1.pdf").read_bytes()
    send(Paths(tmp_path / "other"), sftp, push, letters({}))
    assert (sftp.root / "incoming" / "L-1.pdf").read_bytes() == first
    fonts = PdfReader(io.BytesIO(first)).pages[0]["/Resources"]["/Font"]  # type: ignore[index]
    embedded = [font.get_object() for font in fonts.values()]
    assert any("/FontFile2" in font["/FontDescriptor"] for font in embedded if "/FontDescriptor" in font)


def test_a_letter_goes_once_whatever_becomes_of_its_row(
    paths: Paths, sftp: SftpTestServer, push: PushConfig
) -> None:
    send(paths, sftp, push, letters({}))
    before = (sftp.root / "incoming" / "L-1.pdf").read_bytes()
    for row in ({"amount_due_usd": "5.00"}, {"withheld_reason": "paid"}, {"letter_id": "L-2"}):
        send(paths, sftp, push, letters(row))
    assert [entry["letter_id"] for manifest in manifests(sftp) for entry in manifest["files"]] in (
        ["L-1", "L-2"],
        ["L-2", "L-1"],
    )
    assert (sftp.root / "incoming" / "L-1.pdf").read_bytes() == before


def test_an_unknown_content_id_stops_everything_even_in_a_dry_run(
    paths: Paths, sftp: SftpTestServer, push: PushConfig
) -> None:
    rows = letters({}, {"letter_id": "L-2", "content_id": "LTR_FINAL_THREAT_EN"})
    activation = Activation(paths, FixedConnections(sftp.connection()))  # type: ignore[arg-type]
    plan = activation.plan(push, rows, DAY)
    for dry_run in (True, False):
        with pytest.raises(
            DestinationRefusedError, match=r"LTR_FINAL_THREAT_EN \(1 letters\) is not an approved"
        ):
            activation.send(push, plan, dry_run=dry_run)
    assert list((sftp.root / "incoming").iterdir()) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"postcode": None}, "postcode is empty"),
        ({"full_name": "  "}, "full_name is empty"),
        ({"amount_due_usd": "0.00"}, "amount_due_usd is not above zero"),
        ({"language": "es"}, "LTR_REMINDER_FRIENDLY_EN is written in en, but the customer reads es"),
        ({"full_name": "王小明"}, "full_name has a character that the letter's font cannot print"),
    ],
)
def test_a_row_that_makes_no_letter_is_left_out_with_the_reason(
    paths: Paths, sftp: SftpTestServer, push: PushConfig, change: dict[str, Any], words: str
) -> None:
    report = send(paths, sftp, push, letters({}, {"letter_id": "L-2", **change}))
    assert (report.sent, report.failed) == (1, 1)
    assert words in report.messages[0]
    assert "王小明" not in report.messages[0]
    assert [path.name for path in (sftp.root / "incoming").glob("*.pdf")] == ["L-1.pdf"]


@pytest.mark.parametrize("language", ["fr", None])
def test_who_reads_another_language_gets_english(
    paths: Paths, sftp: SftpTestServer, push: PushConfig, language: str | None
) -> None:
    assert send(paths, sftp, push, letters({"language": language})).sent == 1


def test_a_long_letter_runs_over_to_numbered_pages(
    paths: Paths, sftp: SftpTestServer, push: PushConfig
) -> None:
    texts = {name: LETTER[name] for name in LetterRow.__dataclass_fields__ if name != "amount_due_usd"}
    row = LetterRow(**texts, amount_due_usd=Decimal("5.00"))
    templates = Templates.load()
    letter = templates.fill(row, DAY, push.destination.sender)  # type: ignore[union-attr]
    long = type(letter)(**{**letter.__dict__, "paragraphs": letter.paragraphs * 12})
    content, pages = render(long)
    assert pages > 2
    for number, page in enumerate(PdfReader(io.BytesIO(content)).pages, start=1):
        text = page.extract_text()
        assert f"Page {number} of {pages}" in text
        assert "Riverbend Power & Light" in text
        assert ("Cedar Hollow, WI 53998" in text) == (number == 1)


def test_an_unknown_placeholder_names_file_line_and_key(tmp_path: Path) -> None:
    text = (FOLDER / "templates.yaml").read_text()
    broken = tmp_path / "templates.yaml"
    broken.write_text(text.replace("According to our records", "You owe {balance}", 1))
    with pytest.raises(
        LetterError, match=r"templates\.yaml:\d+: LTR_REMINDER_FRIENDLY_EN\.paragraphs\.0: .*\{balance\}"
    ):
        Templates.load(broken)


def test_two_ids_never_share_a_file() -> None:
    assert file_name("a:b") != file_name("a_b")
    assert file_name("a_b") == "a_b.pdf"
    assert "/" not in file_name("../../etc/passwd")
    assert not file_name("../x").startswith(".")


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("NATALIE SCHOENQUIST", "Natalie Schoenquist"),
        ("SIOBHAN MCDONALD-O'NEILL", "Siobhan McDonald-O'Neill"),
        ("Anna de Vries", "Anna de Vries"),
    ],
)
def test_a_name_in_capitals_is_greeted_as_one_writes_it(name: str, written: str) -> None:
    assert readable_name(name) == written
