"""Decimal texts as scaled integers, and values repeated: against the plain way of doing it."""

from __future__ import annotations

import re
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.formats.digits import parse_scaled
from connectors.formats.repeat import repeat_texts
from tests.connectors.formats.encode import EXACT

_PLAIN = re.compile(r"-?(\d+\.?\d*|\.\d+)")
_NUMBERS = st.from_regex(r"-?[0-9]{0,14}(\.[0-9]{0,8})?", fullmatch=True)
_TEXTS = _NUMBERS | st.text("0123456789.-+e \xff", max_size=22)


def _expected(text: str, scale: int) -> int | None:
    if not _PLAIN.fullmatch(text) or len(text.removeprefix("-")) > 20:
        return None
    value = Decimal(text).scaleb(scale, EXACT)
    return int(value) if value == int(value) and abs(value) < 10**18 else None


@settings(deadline=None)
@given(st.lists(_TEXTS, min_size=1, max_size=40), st.lists(st.integers(0, 19), min_size=40, max_size=40))
def test_numbers_equal_decimal(texts: list[str], scales: list[int]) -> None:
    data = np.frombuffer(",".join([*texts, ""]).encode("latin-1"), dtype=np.uint8)
    ends = np.flatnonzero(data == ord(","))
    starts = np.concatenate([[0], ends[:-1] + 1])
    for scale in (6, 0, np.array(scales[: len(texts)])):
        values, bad = parse_scaled(data, starts, ends, scale)
        each = np.broadcast_to(scale, len(texts)).tolist()
        expected = [_expected(text, one) for text, one in zip(texts, each, strict=True)]
        assert [None if b else int(v) for v, b in zip(values, bad, strict=True)] == expected


@pytest.mark.parametrize(
    "text", [".", "-", "-.", "1..2", "1.2.3", "123456.7.", "1234.5678.9", "1-", "--1", ""]
)
def test_what_looks_like_a_number_is_none(text: str) -> None:
    for before in ("", "0" * 20):
        data = np.frombuffer(f"{before}{text}".encode() or b"0", dtype=np.uint8)
        start = np.array([len(before)])
        _, bad = parse_scaled(data, start, start + len(text), 6)
        assert bad.tolist() == [True]


@settings(deadline=None)
@given(
    st.sampled_from(["", "[ab]", "[ab]{3}", "[ab]{0,3}"]).flatmap(
        lambda shape: st.lists(
            st.tuples(st.none() | st.from_regex(shape, fullmatch=True), st.sampled_from([1, 2, 6, 24, 48])),
            max_size=8,
        )
    ),
    st.integers(0, 2),
)
def test_texts_are_repeated(pairs: list[tuple[str | None, int]], skipped: int) -> None:
    column = pa.array([*["xyz"] * skipped, *(text for text, _ in pairs)], pa.string()).slice(skipped)
    repeated = repeat_texts(column, np.array([count for _, count in pairs], dtype=np.int64))
    repeated.validate(full=True)
    assert repeated.to_pylist() == [text for text, count in pairs for _ in range(count)]
