"""What people type after --set, YAML's traps included."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.cli.settings import SetOptionError, parse_settings, parse_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("+10:00", "+10:00"),  # YAML 1.1 would read 600
        ("-06:00", "-06:00"),
        ("no", "no"),
        ("N", "N"),
        ("012", "012"),
        ("2026-11-15", "2026-11-15"),
        ("cp037", "cp037"),
        ("4", 4),
        ("-4", -4),
        ("0.5", 0.5),
        ("true", True),
        ("", None),
        ("null", None),
        ("[a, 2]", ["a", 2]),
        ("{group: CUSTOMER-REC}", {"group": "CUSTOMER-REC"}),
        ('"4"', "4"),
        ("|", "|"),
        (":", ":"),
    ],
)
def test_a_value_means_what_it_says(text: str, value: object) -> None:
    assert parse_value(text) == value


def test_dots_set_within_groups_and_later_options_win() -> None:
    assert parse_settings(
        ["records.C.group=CUSTOMER-REC", "records.C.table=customer", "records.C.table=who"]
    ) == {"records": {"C": {"group": "CUSTOMER-REC", "table": "who"}}}


def test_a_value_may_hold_an_equals_sign() -> None:
    assert parse_settings(["delimiter=="]) == {"delimiter": "="}


def test_at_reads_a_file_and_at_alone_merges_a_mapping(tmp_path: Path) -> None:
    (tmp_path / "a.cpy").write_text("       01 REC.\n")
    (tmp_path / "s.yaml").write_text("record_format: V\nrecords: {A: {table: a}}\n")
    assert parse_settings(
        ["records.B.table=b", f"@{tmp_path / 's.yaml'}", f"copybook=@{tmp_path / 'a.cpy'}"]
    ) == {
        "records": {"A": {"table": "a"}, "B": {"table": "b"}},
        "record_format": "V",
        "copybook": "       01 REC.\n",
    }


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["utc_offset"], "key=value"),
        (["=1"], "key=value"),
        (["a..b=1"], "key=value"),
        (["a=1", "a.b=2"], "already a value"),
        (["copybook=@nowhere.cpy"], "nowhere.cpy"),
        (["@nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_a_wrong_option_is_named(options: list[str], part: str) -> None:
    with pytest.raises(SetOptionError, match=part):
        parse_settings(options)


def test_a_broken_settings_file_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("a: 1\nb: [1\n")
    with pytest.raises(SetOptionError, match=r"s\.yaml, line"):
        parse_settings([f"@{tmp_path / 's.yaml'}"])
    (tmp_path / "t.yaml").write_text("- a\n")
    with pytest.raises(SetOptionError, match="mapping"):
        parse_settings([f"@{tmp_path / 't.yaml'}"])
