"""Learning without labels, where it goes wrong: too little data, and namesakes taken for one person."""

from __future__ import annotations

import pytest

from orchestration.identity.matching import blend, is_about_namesakes
from orchestration.identity.model import COMPARISONS

BIRTH = next(c for c in COMPARISONS if c.name == "birth")
PRIORS = [(level.m, level.u) for level in BIRTH.levels]


@pytest.mark.parametrize("comparison", COMPARISONS, ids=lambda c: c.name)
def test_priors_are_distributions_and_speak_the_right_way(comparison: object) -> None:
    levels = comparison.levels  # type: ignore[attr-defined]
    for kind in ("m", "h", "u"):
        assert sum(getattr(level, kind) for level in levels) == pytest.approx(1, abs=0.002), kind
    assert levels[0].m > levels[0].u
    assert levels[-1].m < levels[-1].u


def test_with_few_records_the_priors_weigh_more() -> None:
    learnt = [0.5, 0.2, 0.1, 0.2]
    u = [level.u for level in BIRTH.levels]
    few, many = (blend(BIRTH, list(learnt), list(u), share)[0][0] for share in (0.1, 0.9))
    assert 0.5 < many < few < BIRTH.levels[0].m


def test_where_nothing_was_learnt_the_prior_stands() -> None:
    blended = blend(BIRTH, [], [None] * 4, 0.9)
    assert blended == [pytest.approx(pair, abs=0.001) for pair in PRIORS]


def test_what_speaks_against_a_match_by_agreeing_is_not_believed() -> None:
    assert blend(BIRTH, [0.0001, 0.0, 0.0, 0.9999], [0.3, 0.1, 0.1, 0.5], 1.0) == PRIORS


def test_a_block_whose_same_people_have_other_birth_dates_is_about_namesakes() -> None:
    assert is_about_namesakes({"birth": [0.35, 0.0, 0.02, 0.63], "phone": [0.5, 0.5]})
    assert not is_about_namesakes({"birth": [0.85, 0.08, 0.03, 0.04], "phone": [0.5, 0.5]})
    assert not is_about_namesakes({"phone": [0.5, 0.5], "birth": [0.9, 0.1, None, None]})
