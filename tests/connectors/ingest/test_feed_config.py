"""A mistake in a feed names file, line and key, and what was probably meant."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from connectors.ingest import FeedError, load_feed, load_feeds
from tests.support.ingest import CALLS, make_feed

FEEDS = Path(__file__).parents[3] / "orchestration" / "feeds"


def test_every_feed_loads_and_describes_every_column() -> None:
    feeds = load_feeds(FEEDS)
    assert sorted(feeds) == [
        "campaign", "cis", "collections", "crm", "dialer", "han", "mdm", "oms", "print", "weather",
    ]  # fmt: skip
    for feed in feeds.values():
        for name, schema in feed.schemas().items():
            described = feed.tables[name].columns
            for column in schema.names:
                if column != "_record_no":
                    assert described[column].description, f"{feed.source}.{name}.{column}"
        assert feed.description
        assert feed.owner
    assert [name for name, feed in feeds.items() if feed.partitioned] == ["mdm"]


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
        ("owner: testers", "ownr: testers", "calls.yaml:4: ownr: unknown key; did you mean 'owner'?"),
        (
            "  directory: /out",
            "  direktory: /out",
            "calls.yaml:10: file.direktory: unknown key; did you mean 'directory'?",
        ),
        (
            "    key: [call_id]",
            "    keys: [call_id]",
            "calls.yaml:18: tables.call.keys: unknown key; did you mean 'key'?",
        ),
        (
            "key: [call_id]",
            "key: [cal_id]",
            "calls.yaml:18: tables.call.key: 'cal_id' is no column; did you mean 'call_id'?",
        ),
        (
            "type: timestamp",
            "type: timestmp",
            "calls.yaml:21: tables.call.columns.dialed_at.type: type 'timestmp' is not known",
        ),
        (
            "talk_seconds: {type: int,",
            "talk_seconds: {",
            "calls.yaml:22: tables.call.columns.talk_seconds: needs a type",
        ),
        (
            "format: delimited",
            "format: delimitted",
            "calls.yaml:13: file.format: unknown format 'delimitted'; did you mean 'delimited'?",
        ),
        ("{business_date:%Y%m%d}", "{business_date:%H}", "calls.yaml:11: file.pattern: business_date takes"),
        ('pattern: "calls_', 'pattern: "^calls_(', "calls.yaml:11: file.pattern: is not a pattern"),
        ("source: calls", "source: cals", "calls.yaml:2: source: must be 'calls', as the file is named"),
        ("kind: file", "kind: sql", "a feed of kind sql takes no section 'file'"),
        ("owner: testers\n", "", "calls.yaml:2: owner: this key is required and missing"),
        ('schedule: "0 * * * *"', "schedule: hourly", "calls.yaml:7: schedule: String should match pattern"),
        ("owner: testers", "source: calls", "calls.yaml:4: source: the key is given twice, first on line 2"),
        ("owner: testers", "owner: [", "calls.yaml:6: not valid YAML"),
        (
            'delimiter: ","',
            'delimitr: ","',
            "calls.yaml:14: file.settings: format delimited: setting 'delimitr'",
        ),
        ("complete: none", "complete: {done_mark: .done}", "calls.yaml:12: file.complete"),
    ],
)
def test_a_mistake_names_file_line_and_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in CALLS
    path = tmp_path / "calls.yaml"
    path.write_text(CALLS.replace(old, new, 1))
    with pytest.raises(FeedError) as caught:
        load_feed(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_copybook_that_is_not_there(tmp_path: Path) -> None:
    text = (FEEDS / "cis.yaml").read_text()
    (tmp_path / "cis.yaml").write_text(text)
    with pytest.raises(FeedError, match=r"cis.yaml:\d+: file.settings.copybook: this file does not exist"):
        load_feed(tmp_path / "cis.yaml")


def test_a_sql_table_needs_key_and_cursor(tmp_path: Path) -> None:
    text = (FEEDS / "collections.yaml").read_text().replace("    cursor: updated_at\n", "", 1)
    (tmp_path / "collections.yaml").write_text(text)
    with pytest.raises(
        FeedError, match=r"collections.yaml:\d+: tables.invoice: a table of a sql feed needs 'cursor'"
    ):
        load_feed(tmp_path / "collections.yaml")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="the folder of feeds feds/ does not exist"):
        load_feeds(tmp_path / "feds")


def test_the_fingerprint_follows_the_settings(tmp_path: Path) -> None:
    feed = make_feed(tmp_path)
    assert make_feed(tmp_path).fingerprint() == feed.fingerprint()
    assert make_feed(tmp_path, file__settings={"delimiter": ";"}).fingerprint() != feed.fingerprint()
