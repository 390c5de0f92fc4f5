"""When a file is whole: what a manifest says of it, and how old it must be."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from connectors.ingest import FeedError, Ingest
from connectors.ingest.complete import Listed, read_manifest
from tests.support.ingest import calls_csv, make_feed

SHA, MD5 = "ab" * 32, "CD" * 16


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            f"{SHA}  a.csv\n{MD5} *sub/b.csv\n",
            {"a.csv": Listed(None, SHA), "b.csv": Listed(None, "cd" * 16)},
        ),
        (f"name,size,sha256\na.csv,12,{SHA}\n", {"a.csv": Listed(12, SHA)}),
        ('"a b.csv";7\r\n# nothing\r\n', {"a b.csv": Listed(7, None)}),
        (f"a.csv\t0\t{MD5}\nnot a line\n", {"a.csv": Listed(0, MD5.lower())}),
        ("", {}),
        ("\ufeffa.csv|3".lstrip("\ufeff"), {"a.csv": Listed(3, None)}),
        (f"{SHA[:-1]}  short.csv\n", {}),
    ],
    ids=["sums", "columns-with-header", "quoted-and-windows", "tabs", "empty", "bar", "short-hash"],
)
def test_manifests_of_every_shape(text: str, found: dict[str, Listed]) -> None:
    assert read_manifest(text) == found


@pytest.fixture
def feed(tmp_path: Path):
    return make_feed(tmp_path / "feeds", file__complete={"manifest": "MANIFEST_{business_date:%Y%m%d}*.txt"})


def test_a_file_waits_until_a_manifest_lists_it_with_its_size(ingest: Ingest, feed, out: Path) -> None:
    data = calls_csv(1, 3)
    (out / "calls_20261101.csv").write_bytes(data)
    (out / "calls_20261102.csv").write_bytes(calls_csv(2, 2))
    assert ingest.pending(feed) == []
    digest = hashlib.sha256(data).hexdigest()
    (out / "MANIFEST_20261101.txt").write_text(
        f"calls_20261101.csv,{len(data)},{digest}\ncalls_20261102.csv,{len(calls_csv(2, 9))}\n"
    )
    assert [item.name for item in ingest.pending(feed)] == ["calls_20261101.csv"]
    report = ingest.run(feed)
    assert report.rows == {"call": 3}
    (words,) = report.waiting
    assert words.startswith("calls_20261102.csv:")
    assert "the manifest says" in words


@pytest.mark.parametrize("kind", ["sha256", "md5", "sha1"])
def test_another_hash_than_the_listed_one_refuses_the_file(
    ingest: Ingest, feed, out: Path, kind: str
) -> None:
    data, other = calls_csv(1, 3), calls_csv(1, 3).replace(b",0\n", b",7\n")
    digest = hashlib.new(kind, data).hexdigest()
    (out / "calls_20261101.csv").write_bytes(other)
    (out / "MANIFEST_20261101.txt").write_text(f"{digest}  calls_20261101.csv\n")
    (refused,) = ingest.run(feed).refused
    assert f"its {kind} is" in refused.message
    assert ingest.ledger.rows("calls") == [], "what was damaged on its way is not kept as what was sent"
    (out / "calls_20261101.csv").write_bytes(data)
    assert ingest.run(feed).rows == {"call": 3}


def test_a_young_file_waits_though_its_size_stands_still(ingest: Ingest, tmp_path: Path, out: Path) -> None:
    rule = {"stable_size": True, "min_age": "5m"}
    feed = make_feed(tmp_path / "feeds", file__complete=rule, file__stable_seconds=0)
    for day in (1, 2):
        (out / f"calls_2026110{day}.csv").write_bytes(calls_csv(day, 3))
    old = time.time() - 600
    os.utime(out / "calls_20261101.csv", (old, old))
    report = ingest.run(feed)
    assert report.rows == {"call": 3}
    (words,) = report.waiting
    assert "calls_20261102.csv: written" in words
    assert "300 s are wanted" in words


def test_a_server_whose_clock_is_ahead_makes_a_file_wait(ingest: Ingest, tmp_path: Path, out: Path) -> None:
    rule = {"stable_size": True, "min_age": "5m"}
    feed = make_feed(tmp_path / "feeds", file__complete=rule, file__stable_seconds=0)
    for day, ago in ((1, -3600), (2, -3600 + 600)):
        (out / f"calls_2026110{day}.csv").write_bytes(calls_csv(day, 3))
        moment = time.time() - ago
        os.utime(out / f"calls_2026110{day}.csv", (moment, moment))
    report = ingest.run(feed)
    assert [outcome.name for outcome in report.files] == ["calls_20261102.csv"]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("stabel_size", "'stabel_size' is no rule; did you mean 'stable_size'?"),
        ({"done_mark": ".done"}, "'done_mark' is no rule; did you mean 'done_marker'?"),
        ({"manifest": "M_{business_date:%H}"}, "business_date takes"),
        ({"stable_size": True, "min_age": "soon"}, "must be a number with s, m, h or d"),
    ],
)
def test_a_rule_that_is_none(tmp_path: Path, rule: object, message: str) -> None:
    with pytest.raises(FeedError, match=r"calls/defs.yaml:\d+: file.complete") as caught:
        make_feed(tmp_path / "feeds", file__complete=rule)
    assert message in str(caught.value)
