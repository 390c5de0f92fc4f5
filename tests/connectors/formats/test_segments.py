"""The splitter against one that walks over characters: the same segments, elements and components."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.formats.mscons.syntax import EdifactSyntax
from connectors.formats.segments.scan import BLANKS, Delimiters, Segments, Tags
from connectors.formats.segments.stream import read_segments
from connectors.formats.segments.times import RepeatedHour, TimeZone
from connectors.formats.segments.trail import Trail

SIGNS = Delimiters(*b":+'?")
texts = st.text(alphabet="AB1:+'? \n\xc4", max_size=60)
"""Mostly signs, so that every neighbourhood of them comes up."""


def _walked(text: str) -> list[tuple[str, list[list[str]]]]:
    """Segments of a text, each raw and as elements of components, by one step a character."""
    found: list[tuple[str, list[list[str]]]] = []
    raw, elements, is_released = "", [[""]], False
    for char in [*text, None]:
        if char is None or (char == "'" and not is_released):
            raw = raw.lstrip(BLANKS.decode())
            if raw:
                elements[0][0] = elements[0][0].lstrip(BLANKS.decode())
                found.append((raw, elements))
            raw, elements, is_released = "", [[""]], False
            continue
        raw += char
        if is_released or char not in "?+:":
            elements[-1][-1] += char
            is_released = False
        elif char == "?":
            is_released = True
        elif char == "+":
            elements.append([""])
        else:
            elements[-1].append("")
    return found


@settings(max_examples=600, deadline=None)
@given(texts)
def test_segments_are_those_of_a_walk(text: str) -> None:
    expected = _walked(text)
    segments = Segments(text.encode("latin-1"), SIGNS, 7, 100)
    assert [segments.raw(row).decode("latin-1") for row in range(len(segments))] == [
        raw for raw, _ in expected
    ]
    assert segments.number.tolist() == list(range(7, 7 + len(expected)))
    rows = np.arange(len(segments))
    for element in range(1, 4):
        for component in range(3):
            found = segments.text(rows, element, component, "latin-1").to_pylist()
            wanted = [
                elements[element][component]
                if element < len(elements) and component < len(elements[element])
                else ""
                for _, elements in expected
            ]
            assert [one.rstrip(" ") for one in found] == [one.rstrip(" ") for one in wanted]
    places = Tags(["A", "AB", "BA1"]).of(segments).tolist()
    for place, (raw, elements) in zip(places, expected, strict=True):
        if "?" not in raw:
            assert place == {"A": 1, "AB": 2, "BA1": 3}.get(elements[0][0], 0)


@settings(max_examples=200, deadline=None)
@given(texts, st.integers(1, 9))
def test_a_stream_gives_the_segments_of_the_whole(text: str, size: int) -> None:
    data = b"UNB+A'" + text.replace("U", "A").encode("latin-1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("connectors.formats.segments.stream.BLOCK_BYTES", size)
        blocks = read_segments(io.BytesIO(data), EdifactSyntax(), len, "test")
        found = [(block.raw(row), block.offset(row)) for block in blocks for row in range(len(block))]
    whole = Segments(data, SIGNS, 1, 0)
    assert found == [(whole.raw(row), whole.offset(row)) for row in range(len(whole))]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(st.sampled_from(["set", "reset", "both", "none"]), max_size=8), max_size=4))
def test_a_trail_is_a_variable_that_is_set_and_forgotten(blocks: list[list[str]]) -> None:
    trail, now, number = Trail(pa.int64()), None, 0
    for block in blocks:
        setters = [at for at, step in enumerate(block) if step in ("set", "both")]
        resets = [at for at, step in enumerate(block) if step in ("reset", "both")]
        values = [number + at for at in setters]
        wanted = []
        for at, step in enumerate(block):
            now = number + at if step in ("set", "both") else None if step == "reset" else now
            wanted.append(now)
        trail.follow(
            np.array(setters, dtype=np.int64), pa.array(values, pa.int64()), np.array(resets, dtype=np.int64),
            len(block),
        )  # fmt: skip
        assert trail.at(np.arange(len(block))).to_pylist() == wanted
        number += len(block)


def test_tags_that_cannot_be_told_apart_are_said_when_the_program_starts() -> None:
    with pytest.raises(ValueError, match="cannot be told"):
        Tags(["AAQ", "AA1"])


def test_an_hour_that_the_clock_skips_is_no_time_and_one_that_it_repeats_is_two() -> None:
    zone = TimeZone("Europe/Berlin", "test")
    local = np.array(["2026-03-29T02:30", "2026-10-25T02:30", "2026-07-01T00:00"], "M8[us]").astype(np.int64)
    first, second, absent = zone.to_utc(local)
    assert absent.tolist() == [True, False, False]
    assert ((second - first) // 60_000_000).tolist()[1:] == [60, 0]
    fixed, again, absent = TimeZone("-06:00", "test").to_utc(local)
    assert ((fixed - local) // 3_600_000_000).tolist() == [6, 6, 6]
    assert (fixed == again).all()
    assert not absent.any()


def test_a_repeated_label_is_remembered_over_a_block() -> None:
    hours = RepeatedHour()
    series, kinds = np.array([1, 1, 2]), np.array([0, 0, 0])
    assert hours.is_second(series, np.array([5, 6, 5]), kinds, np.array([0, 1, 2])).tolist() == [False] * 3
    again = hours.is_second(np.array([2, 2, 3]), np.array([5, 6, 5]), kinds, np.array([0, 1, 2]))
    assert again.tolist() == [True, False, False]
