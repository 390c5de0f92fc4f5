"""Words of eight bytes against plain parsing, and local time against the standard library's zones."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.formats.digits import parse_scaled
from connectors.formats.local_time import add_months, minute_labels, second_parts, utc_by_order, zone
from connectors.formats.words import decimals, padded, text_keys

EPOCH = datetime(1970, 1, 1)
ZONES = [
    "UTC",
    "America/Los_Angeles",
    "Europe/London",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "America/Sao_Paulo",
]


def spans(texts: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All texts in one buffer, and where each starts and ends."""
    ends = np.cumsum([len(text) + 1 for text in texts]) - 1
    starts = ends - np.array([len(text) for text in texts])
    return padded(",".join(texts).encode("latin-1")), starts, ends


def minutes(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(minutes=1)


numbers = st.one_of(
    st.text("0123456789.-", max_size=10),
    st.text("0123456789.-+e x\0", max_size=24),
    st.decimals(-(10**9), 10**9, places=3).map(lambda value: f"{value:f}"),
)


@given(st.lists(numbers, min_size=1, max_size=30), st.sampled_from([0, 3, 6, 9, 12]))
def test_decimals_are_those_of_plain_parsing(texts: list[str], scale: int) -> None:
    data, starts, ends = spans(texts)
    values, bad = decimals(data, starts, ends, scale)
    expected, wrong = parse_scaled(data, starts, ends, scale)
    assert bad.tolist() == wrong.tolist()
    assert values[~bad].tolist() == expected[~bad].tolist()


@given(st.lists(st.text("ab\0", max_size=20), min_size=1, max_size=20))
def test_keys_are_equal_for_equal_texts_only(texts: list[str]) -> None:
    keys = text_keys(*spans(texts)).tolist()
    assert len(set(keys)) == len(set(texts))
    assert [keys[texts.index(text)] for text in texts] == keys


@pytest.mark.parametrize("name", ZONES)
def test_labels_are_the_moments_of_the_zone(name: str) -> None:
    place, known = zone(name), ZoneInfo(name)
    # Any minute, and every minute that matters around the changes of offset.
    labels = np.random.default_rng(0).integers(0, minutes(datetime(2037, 1, 1)), 2_000)
    around = np.add.outer(place.change, np.arange(-720, 721, 15)).ravel()[:: max(len(place.change) // 40, 1)]
    labels = np.concatenate([labels, around[(around > 0) & (around < minutes(datetime(2037, 1, 1)))]])
    first, second, missing = place.moments(labels)
    for label, *found, is_missing in zip(labels, first, second, missing, strict=True):
        local = (EPOCH + timedelta(minutes=int(label))).replace(tzinfo=known)
        moments = [
            minutes((local.replace(fold=fold) - local.replace(fold=fold).utcoffset()).replace(tzinfo=None))
            for fold in (0, 1)
        ]
        assert is_missing == (moments[0] > moments[1])
        assert is_missing or found == moments


def test_the_second_pass_is_told_by_order() -> None:
    clock = ["00:45", "01:00", "01:15", "01:30", "01:45", "01:00", "01:15", "01:30", "01:45", "02:00"]
    labels = np.array([[minutes(datetime.fromisoformat(f"2026-11-01 {time}")) for time in clock]])
    utc, missing = utc_by_order(labels, zone("America/Los_Angeles"))
    assert np.diff(utc).tolist() == [[15] * 9]
    assert not missing.any()


@given(st.datetimes(datetime(1970, 1, 1), datetime(2099, 12, 31)))
def test_times_read_back(moment: datetime) -> None:
    texts = [f"{moment:%Y%m%d%H%M}", f"{moment:%Y%m%d%H%M%S}"]
    data, starts, ends = spans(texts)
    labels, bad = minute_labels(data, starts, ends)
    assert labels.tolist() == [minutes(moment)] * 2
    assert second_parts(data, starts, ends).tolist() == [0, moment.second]
    assert not bad.any()


def test_what_is_no_time_is_told() -> None:
    texts = ["202613010000", "202602290000", "202600010000", "202606000000", "202606012500", "202606010060",
             "202606010000600"[:14], "20260601000060", "2026060100", "", "202606O10000", "190001010000",
             "210001010000", "2026060100000", "202606012401"]  # fmt: skip
    good = ["202402290000", "202606012400", "20260601000059"]
    data, starts, ends = spans(texts + good)
    assert minute_labels(data, starts, ends)[1].tolist() == [True] * len(texts) + [False] * len(good)


def test_months_end_where_the_calendar_says() -> None:
    starts = [datetime(2026, 1, 31, 5), datetime(2026, 3, 31), datetime(2024, 2, 29), datetime(2026, 12, 15)]
    moved = add_months(np.array([minutes(start) for start in starts]), np.array([1, -1, 12, 1]))
    assert [EPOCH + timedelta(minutes=int(label)) for label in moved] == [
        datetime(2026, 2, 28, 5), datetime(2026, 2, 28), datetime(2025, 2, 28), datetime(2027, 1, 15)
    ]  # fmt: skip
