"""A mistake in a feed names file, line and key, and what was probably meant."""

from __future__ import annotations

import shutil
import textwrap
from datetime import timedelta
from pathlib import Path

import pytest

from connectors.ingest import FeedError, load_feed, load_feeds
from connectors.ingest.loading import TYPE
from tests.support.ingest import CALLS, make_feed

FEEDS = Path(__file__).parents[3] / "orchestration" / "feeds"


def written(folder: Path, source: str, attributes: str) -> Path:
    """A feed's file; line n of ``attributes`` is line n + 2 of it."""
    path = folder / source / "defs.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"type: {TYPE}\nattributes:\n" + textwrap.indent(attributes, "  ") + "\n")
    return path


def test_every_feed_loads_and_describes_every_column() -> None:
    feeds = load_feeds(FEEDS)
    assert sorted(feeds) == [
        "ami", "campaign", "cis", "collections", "crm", "dialer", "han", "mdm", "oms", "print", "weather",
    ]  # fmt: skip
    for feed in feeds.values():
        for name, schema in feed.schemas().items():
            described = feed.tables[name].columns
            for column in schema.names:
                if column != "_record_no":
                    assert described[column].description, f"{feed.source}.{name}.{column}"
        assert feed.description
        assert feed.owner
    assert [name for name, feed in feeds.items() if feed.partitioned] == ["ami", "mdm"]


def test_decoder_settings_take_columns_from_the_tables() -> None:
    feeds = load_feeds(FEEDS)
    assert feeds["weather"].decode_settings["columns"]["temperature_c"] == "decimal(5,2)"
    assert feeds["han"].decode_settings["tables"]["appliance_event"]["values"] == [
        "timer_set",
        "manual_start",
    ]
    assert feeds["collections"].sql is not None
    assert feeds["collections"].sql.overlap == timedelta(hours=2)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("owner: testers", "ownr: testers", ":5: ownr: unknown key; did you mean 'owner'?"),
        (
            "  directory: /out",
            "  direktory: /out",
            ":11: file.direktory: unknown key; did you mean 'directory'?",
        ),
        (
            "    key: [call_id]",
            "    keys: [call_id]",
            ":19: tables.call.keys: unknown key; did you mean 'key'?",
        ),
        (
            "key: [call_id]",
            "key: [cal_id]",
            ":19: tables.call.key: 'cal_id' is no column; did you mean 'call_id'?",
        ),
        (
            "type: timestamp",
            "type: timestmp",
            ":22: tables.call.columns.dialed_at.type: type 'timestmp' is not known",
        ),
        (
            "talk_seconds: {type: int,",
            "talk_seconds: {",
            ":23: tables.call.columns.talk_seconds: needs a type",
        ),
        (
            "format: delimited",
            "format: delimitted",
            ":14: file.format: unknown format 'delimitted'; did you mean 'delimited'?",
        ),
        (
            "{business_date:%Y%m%d}",
            "{business_date:%H}",
            ":12: file.pattern: business_date takes",
        ),
        ('pattern: "calls_', 'pattern: "^calls_(', ":12: file.pattern: is not a pattern"),
        (
            "source: calls",
            "source: cals",
            ":3: source: must be 'calls', as the folder is named",
        ),
        ("kind: file", "kind: sql", "a feed of kind sql takes no section 'file'"),
        ("owner: testers\n", "", ":2: owner: this key is required and missing"),
        (
            'schedule: "0 * * * *"',
            "schedule: hourly",
            ":8: schedule: String should match pattern",
        ),
        (
            "owner: testers",
            "source: calls",
            ":5: attributes.source: the key is given twice, first on line 3",
        ),
        ("owner: testers", "owner: [", ":7: not valid YAML"),
        (
            'delimiter: ","',
            'delimitr: ","',
            ":15: file.settings: format delimited: setting 'delimitr'",
        ),
        ("complete: none", "complete: {done_mark: .done}", ":13: file.complete"),
    ],
)
def test_a_mistake_names_file_line_and_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in CALLS
    path = written(tmp_path, "calls", CALLS.strip().replace(old, new, 1))
    with pytest.raises(FeedError) as caught:
        load_feed(path)
    assert str(caught.value).startswith("calls/defs.yaml:")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_copybook_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "cis").mkdir()
    shutil.copy(FEEDS / "cis" / "defs.yaml", tmp_path / "cis")
    with pytest.raises(FeedError, match=r"defs.yaml:\d+: file.settings.copybook: this file does not exist"):
        load_feed(tmp_path / "cis" / "defs.yaml")


def test_a_sql_table_needs_key_and_cursor(tmp_path: Path) -> None:
    text = (FEEDS / "collections" / "defs.yaml").read_text().replace("      cursor: updated_at\n", "", 1)
    (tmp_path / "collections").mkdir()
    path = tmp_path / "collections" / "defs.yaml"
    path.write_text(text)
    with pytest.raises(
        FeedError, match=r"collections/defs.yaml:\d+: tables.invoice: a table of a sql feed needs 'cursor'"
    ):
        load_feed(path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="the folder of feeds feds/ does not exist"):
        load_feeds(tmp_path / "feds")


def test_the_fingerprint_follows_the_settings(tmp_path: Path) -> None:
    feed = make_feed(tmp_path)
    assert make_feed(tmp_path).settings_fingerprint == feed.settings_fingerprint
    other = make_feed(tmp_path, file__settings={"delimiter": ";"})
    assert other.settings_fingerprint != feed.settings_fingerprint
