"""Every decoder against damaged files: nothing crashes, nothing hangs, nothing is dropped in silence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.formats import format_names
from tests.connectors.formats.corpus import Case, cases
from tests.connectors.formats.torture import hold, mutated

REPOSITORY = Path(__file__).resolve().parents[3]
by_case = pytest.mark.parametrize("case", cases(), ids=str)
quick = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))


def test_every_format_is_tortured() -> None:
    assert {case.format for case in cases()} == set(format_names())


@by_case
def test_whole_files_are_taken(case: Case) -> None:
    assert case.seeds
    assert all(hold(seed, case) for seed in case.seeds)


@by_case
@quick
@given(data=st.data())
def test_a_damaged_file_balances_or_is_refused(case: Case, data: st.DataObject) -> None:
    hold(data.draw(mutated(case)), case)


@by_case
@quick
@given(data=st.binary(max_size=200))
def test_any_bytes_balance_or_are_refused(case: Case, data: bytes) -> None:
    hold(data, case)


@pytest.mark.parametrize("format", format_names())
def test_a_short_run_of_the_fuzzer(format: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--runs", "1500", format],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert f"{format}: 1500 inputs" in done.stdout
