"""What ``gridcrm formats`` tells a newcomer, and that the page about formats leaves none out."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from connectors.formats import format_named, format_names
from orchestration.cli.formats import about
from orchestration.cli.main import app

REPOSITORY = Path(__file__).resolve().parents[3]


def test_all_formats_are_listed_with_what_they_are() -> None:
    said = CliRunner().invoke(app, ["formats"])
    assert said.exit_code == 0
    assert [line.split()[0] for line in said.output.splitlines()[: len(format_names())]] == format_names()


@pytest.mark.parametrize("name", format_names())
def test_a_format_says_what_becomes_of_its_records_and_what_may_be_set(name: str) -> None:
    text = about(name)
    assert "Belongs here" in text
    for key, field in format_named(name).settings.model_fields.items():
        assert f"  {key}  (" in text
        assert field.description, f"{name}.{key} has no description"


def test_an_unknown_format_is_one_line() -> None:
    said = CliRunner().invoke(app, ["formats", "nem21"])
    assert said.exit_code == 2
    assert "'nem21' is not known" in said.output


def test_the_page_about_formats_names_each() -> None:
    page = (REPOSITORY / "docs" / "formats.md").read_text(encoding="utf-8")
    missing = [name for name in format_names() if f"`{name}`" not in page]
    assert missing == []
