"""A push is a page of YAML; a mistake in it names file, line and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.activation import PushError, load_pushes
from tests.conftest import REPOSITORY

GOOD = """\
name: card
description: A card.
owner: team:test
model: push_card
key: customer_id
purpose: service
destination:
  kind: sql_upsert
  connection: crm_sql
  table: card
columns:
  customer_id: string
  amount_usd: decimal(12,2)
guards:
  max_delete_share: 0.1
"""


def load(folder: Path, text: str) -> None:
    (folder / "card.yaml").write_text(text)
    load_pushes(folder)


def test_the_six_pushes_of_the_repository_load_and_name_their_models() -> None:
    pushes = load_pushes(REPOSITORY / "orchestration" / "pushes")
    assert {name: push.model for name, push in pushes.items()} == {
        name: f"push_{name}"
        for name in (
            *("campaign_audience", "crm_customer_score", "crm_inbound_card", "crm_next_best_action"),
            *("dialer_call_list", "letters"),
        )
    }
    assert all(
        push.schedule and push.description and push.owner.startswith("team:") for push in pushes.values()
    )
    assert not pushes["letters"].destination.can_delete
    assert pushes["dialer_call_list"].destination.can_delete


def test_a_good_push_loads(tmp_path: Path) -> None:
    load(tmp_path, GOOD)


@pytest.mark.parametrize(
    ("find", "put", "line", "key", "words"),
    [
        (
            "max_delete_share",
            "max_delet_share",
            15,
            "guards.max_delet_share",
            "did you mean 'max_delete_share'",
        ),
        ("kind: sql_upsert", "kind: carrier_pigeon", 7, "destination", "carrier_pigeon"),
        ("decimal(12,2)", "decimal(12,20)", 13, "columns.amount_usd.type", "scale ≤ precision"),
        ("customer_id: string", "customer_id: strin", 12, "columns.customer_id.type", "not one of"),
        ("key: customer_id", "key: customer", 1, "the file", "not among the columns"),
        ("amount_usd:", "p_home:", 1, "the file", "occupancy never leaves"),
        ("purpose: service", "purpose: spam", 6, "purpose", "collections"),
        ("owner: team:test\n", "", 1, "owner", "missing"),
        ("name: card", "name: cart", 1, "name", "the file's own name"),
        ("0.1", "1.1", 15, "guards.max_delete_share", "less than or equal to 1"),
    ],
)
def test_a_mistake_names_file_line_and_key(
    tmp_path: Path, find: str, put: str, line: int, key: str, words: str
) -> None:
    assert find in GOOD
    with pytest.raises(PushError) as caught:
        load(tmp_path, GOOD.replace(find, put, 1))
    message = str(caught.value)
    assert message.startswith(f"card.yaml:{line}: {key}"), message
    assert words in message
    assert "\n" not in message


def test_letters_must_be_declared_as_what_cannot_be_recalled(tmp_path: Path) -> None:
    text = (REPOSITORY / "orchestration" / "pushes" / "letters.yaml").read_text()
    (tmp_path / "letters.yaml").write_text(text.replace("send_once: true", "send_once: false"))
    with pytest.raises(PushError, match="cannot be recalled"):
        load_pushes(tmp_path)


def test_a_folder_without_pushes_says_so(tmp_path: Path) -> None:
    with pytest.raises(PushError, match="no push is declared"):
        load_pushes(tmp_path)


@pytest.mark.parametrize(
    "name", ["list.csv", "../list_{batch}.csv", "list_{batch}_{customer}.csv", ".{batch}"]
)
def test_a_file_name_must_be_plain_and_unique(tmp_path: Path, name: str) -> None:
    text = (REPOSITORY / "orchestration" / "pushes" / "dialer_call_list.yaml").read_text()
    good = 'file_name: "call_list_{as_of_date:%Y%m%d}_{batch}.csv"'
    (tmp_path / "dialer_call_list.yaml").write_text(text.replace(good, f'file_name: "{name}"', 1))
    with pytest.raises(PushError, match=r"dialer_call_list.yaml:\d+: destination.*file_name"):
        load_pushes(tmp_path)
