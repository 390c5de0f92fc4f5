"""What holds for any bytes: counts balance, the only errors are ours, values survive the round trip."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.errors import GridCRMError
from connectors.formats import schema
from tests.connectors.formats.corpus import Case
from tests.connectors.formats.corpus import nem12 as nem12_corpus
from tests.connectors.formats.encode import EXACT, binary, day, nem12, packed, text, zoned
from tests.connectors.formats.sink import decoded
from tests.connectors.formats.test_copybook import SETTINGS, one
from tests.connectors.formats.torture import hold, mutated

NEM12 = nem12_corpus.CASES[0]
COPYBOOK_TEXT = Case("copybook", {}, (SETTINGS["copybook"].encode(),))
quick = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@quick
@given(
    st.lists(
        st.sampled_from([*NEM12.seeds[0].decode().split("\r\n"), "300", "400,", "200,,", ",,,", "1,2"]),
        max_size=12,
    )
)
def test_nem12_balances_for_records_in_any_order(records: list[str]) -> None:
    hold("\n".join(["100,NEM12,202601010000,A,B", *records, "900"]).encode(), NEM12)


@quick
@given(st.binary(min_size=1, max_size=120))
def test_fixed_records_balance_for_any_bytes(data: bytes) -> None:
    fields = ("A PIC X(3)", "B PIC S9(3)V9 COMP-3", "C PIC -9.9")
    copybook = "       01 R.\n" + "".join(f"          05 {field}.\n" for field in fields)
    usable = data[: len(data) // 10 * 10]
    with suppress(GridCRMError):
        decoded(usable, "copybook", {"copybook": copybook})


@quick
@given(mutated(COPYBOOK_TEXT))
def test_a_damaged_copybook_is_read_or_refused(data: bytes) -> None:
    with suppress(GridCRMError):
        schema("copybook", {**SETTINGS, "copybook": data.decode("latin-1") + "\n"})


@quick
@given(st.integers(1, 31), st.integers(0, 31), st.data())
def test_packed_and_zoned_round_trip(digits: int, scale: int, data: st.DataObject) -> None:
    scale = min(scale, digits)
    unscaled = data.draw(st.integers(-(10**digits) + 1, 10**digits - 1))
    value = Decimal(unscaled).scaleb(-scale, EXACT)
    picture = f"S9({digits - scale})" if scale < digits else "S"
    picture += f"V9({scale})" if scale else ""
    expected = value if scale or digits > 18 else int(value)
    assert one(f"PIC {picture} COMP-3", packed(value, digits, scale))[0] == expected
    assert one(f"PIC {picture}", zoned(value, digits, scale, signed=True))[0] == expected


@quick
@given(st.sampled_from([(4, 2), (9, 4), (18, 8), (25, 11)]), st.data())
def test_binary_round_trip(shape: tuple[int, int], data: st.DataObject) -> None:
    digits, size = shape
    value = data.draw(st.integers(-(10**digits) + 1, 10**digits - 1))
    assert one(f"PIC S9({digits}) COMP", binary(value, size, signed=True))[0] == value


@quick
@given(st.lists(st.decimals(0, 999_999, places=3), min_size=48, max_size=48))
def test_interval_values_round_trip(values: list[Decimal]) -> None:
    rows = decoded(nem12([day(values=values)]).encode(), "nem12", {})[0].rows("interval_reads")
    assert [row["value"] for row in rows] == values


@quick
@given(st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=12))
def test_text_round_trip(value: str) -> None:
    expected = value.rstrip(" ") or None
    assert one("PIC X(12)", text(value, 12, "cp037"))[0] == expected
