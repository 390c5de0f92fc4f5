"""A copybook feed names its copybook, and what that copies, by files beside the feed."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.ingest import FeedError, load_feed

FEED = """\
type: orchestration.components.Feed
attributes:
  source: bills
  description: Bills of the mainframe.
  owner: billing-systems
  connection: cis_sftp
  kind: file
  schedule: "15 3 * * *"
  contract: freeze
  file:
    directory: /out
    pattern: "*.dat"
    complete: none
    format: copybook
    settings:
      copybook: books/bill.cpy
      copies: {ADDRESS: books/address.cpy}
  tables:
    bill:
      description: One row a bill.
      columns: {bill_no: Number of the bill}
"""


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    books = tmp_path / "bills" / "books"
    books.mkdir(parents=True)
    (books / "bill.cpy").write_text(
        "       01 BILL.\n          05 BILL-NO PIC 9(6).\n          COPY ADDRESS.\n", encoding="ascii"
    )
    (books / "address.cpy").write_text("          05 CITY PIC X(20).\n", encoding="ascii")
    path = tmp_path / "bills" / "defs.yaml"
    path.write_text(FEED, encoding="utf-8")
    return path


def test_a_copied_member_lies_beside_the_feed_and_is_part_of_the_fingerprint(feed: Path) -> None:
    before = load_feed(feed)
    assert before.schemas()["bill"].names == ["_record_no", "bill_no", "city"]
    fingerprint = before.settings_fingerprint
    (feed.parent / "books" / "address.cpy").write_text("          05 CITY PIC X(30).\n", encoding="ascii")
    assert load_feed(feed).settings_fingerprint != fingerprint


def test_a_copied_member_that_is_missing_names_the_key(feed: Path) -> None:
    (feed.parent / "books" / "address.cpy").unlink()
    with pytest.raises(FeedError, match=r"copies.ADDRESS: this file does not exist beside the feed"):
        load_feed(feed)
