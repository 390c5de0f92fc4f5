"""Guards judge counts; each names what was found and what was allowed."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.activation import Guards
from connectors.activation.guards import violations

QUIET = {"rows": 100, "creates": 0, "updates": 0, "deletes": 0, "acknowledged": 100}


@pytest.mark.parametrize(
    ("guards", "counts", "words"),
    [
        ({}, {}, None),
        ({}, {"rows": 0, "deletes": 100}, "the model is empty"),
        ({"allow_empty": True, "max_delete_share": 1}, {"rows": 0, "deletes": 100}, None),
        ({}, {"deletes": 10}, None),
        ({}, {"deletes": 11}, "11 deletes are 11.0% of 100 rows, max_delete_share is 10.0%"),
        ({"max_delete_count": 5}, {"deletes": 6}, "6 deletes, max_delete_count is 5"),
        ({}, {"updates": 30, "creates": 20}, None),
        ({}, {"updates": 31, "creates": 20}, "51 creates and updates are 51.0% of 100 rows"),
        ({"max_change_count": 5}, {"updates": 6}, "6 creates and updates, max_change_count is 5"),
        ({}, {"acknowledged": 3, "deletes": 2, "rows": 1}, None),
        ({"share_from_rows": 1}, {"acknowledged": 3, "deletes": 2, "rows": 1}, "2 deletes are 66.7%"),
        ({}, {"acknowledged": 0, "creates": 100}, None),
        ({"max_first_run_count": 99}, {"acknowledged": 0, "creates": 100}, "max_first_run_count is 99"),
        ({"max_change_share": 3}, {"creates": 300}, None),
    ],
)
def test_a_guard(guards: dict[str, Any], counts: dict[str, int], words: str | None) -> None:
    found = violations(Guards.model_validate(guards), **{**QUIET, **counts})
    if words is None:
        assert found == ()
    else:
        assert words in "; ".join(found)
