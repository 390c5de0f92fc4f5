"""What holds for any bytes: counts balance, the only errors are ours, values survive the round trip."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.errors import GridCRMError
from connectors.formats import schema
from tests.connectors.formats.encode import EXACT, binary, day, nem12, packed, rdw, text, zoned
from tests.connectors.formats.sink import decoded
from tests.connectors.formats.test_copybook import SETTINGS, bill, header, one, rates, trailer

quick = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])

NEM12_FILE = nem12(
    [
        day("20260816"),
        day("20260817", quality="V"),
        "400,1,20,A,,",
        "400,21,48,S53,79,Meter fault",
        "500,N,,20260818101010,",
        day("20260816", updated="20260901000000"),
        "250,6100000123,11,1,11,11,M1,E,1.0,20260101000000,A,,,2.5,20260401000000,A,,,1.5,kWh,20260701,20260402000000,",
        "550,N,,E,",
    ]
).encode()
COPYBOOK_FILE = b"".join(
    rdw(record)
    for record in (
        header(),
        bill(1, "10.50"),
        rates("0.1", "0.2"),
        bill(2, "-3"),
        rates("0.3"),
        trailer(2, "7.50"),
    )
)
JSON_FILE = b'{"event":"use","n":1,"t":"2026-01-01T00:00:00Z"}\n{"event":"go","n":2}\n{"event":"use","n":3}\n'
CSV_FILE = b'a,b,c\n1,"x, y",2026-01-01\n2,z,2026-01-02T00:00:00-06:00\n3,,\n'


@st.composite
def mutated(draw: st.DrawFn, original: bytes) -> bytes:
    """The original after a few cuts, copies, overwrites and insertions."""
    data = bytearray(original)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        length = draw(st.integers(0, 40))
        kind = draw(st.sampled_from(["cut", "copy", "overwrite", "insert"]))
        if kind == "cut":
            del data[at : at + length]
        elif kind == "copy":
            target = draw(st.integers(0, len(data)))
            data[target:target] = data[at : at + length]
        else:
            noise = draw(
                st.binary(max_size=6) | st.sampled_from([b"\n", b"\r\n", b",", b"300,", b"900\n", b'"', b"-"])
            )
            data[at : at + (len(noise) if kind == "overwrite" else 0)] = noise
    return bytes(data)


def check(data: bytes, format: str, options: dict[str, Any]) -> None:
    """Balanced, as ``decoded`` asserts, or refused by one of our own errors."""
    with suppress(GridCRMError):
        decoded(data, format, options)


@quick
@given(mutated(NEM12_FILE))
def test_nem12_balances_whatever_happens_to_a_file(data: bytes) -> None:
    check(data, "nem12", {})


@quick
@given(
    st.lists(
        st.sampled_from([*NEM12_FILE.decode().split("\r\n"), "300", "400,", "200,,", ",,,", "1,2"]),
        max_size=12,
    )
)
def test_nem12_balances_for_records_in_any_order(records: list[str]) -> None:
    check("\n".join(["100,NEM12,202601010000,A,B", *records, "900"]).encode(), "nem12", {})


@quick
@given(mutated(COPYBOOK_FILE), st.sampled_from([{}, {"control_totals": []}]))
def test_copybook_balances_whatever_happens_to_a_file(data: bytes, change: dict[str, Any]) -> None:
    check(data, "copybook", {**SETTINGS, **change})


@quick
@given(st.binary(min_size=1, max_size=120))
def test_fixed_records_balance_for_any_bytes(data: bytes) -> None:
    fields = ("A PIC X(3)", "B PIC S9(3)V9 COMP-3", "C PIC -9.9")
    copybook = "       01 R.\n" + "".join(f"          05 {field}.\n" for field in fields)
    usable = data[: len(data) // 10 * 10]
    with suppress(GridCRMError):
        decoded(usable, "copybook", {"copybook": copybook})


@quick
@given(mutated(JSON_FILE) | st.binary(max_size=200))
def test_jsonl_balances_for_any_bytes(data: bytes) -> None:
    tables = {"use": {"columns": {"n": "int", "t": "timestamp"}}, "go": {"columns": {"n": "bigint"}}}
    check(data, "jsonl", {"discriminator": "event", "tables": tables})


@quick
@given(mutated(CSV_FILE) | st.binary(max_size=200).map(lambda noise: b"a,b,c\n" + noise))
def test_delimited_balances_for_any_bytes(data: bytes) -> None:
    check(data, "delimited", {"table": "t", "columns": {"a": "int", "b": "string", "c": "timestamp"}})


@quick
@given(mutated(SETTINGS["copybook"].encode()))
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
