"""X12 814 and 997: requests and answers, on files that are wrong in one place."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.connectors.formats.corpus.x12 import ANSWER, REQUEST
from tests.connectors.formats.edi import x12
from tests.connectors.formats.sink import MemorySink, decoded


def _decoded(*transactions: list[str], **settings: Any) -> MemorySink:
    return decoded(x12(list(transactions)), "x12", settings)[0]


def test_a_request_is_a_row_a_line() -> None:
    first, second = _decoded(REQUEST).rows("service_requests")
    assert first == {
        "_record_no": 6, "transaction_id": "X1", "original_transaction_id": "ORIG1", "purpose_code": "13",
        "line_no": "1", "services": "EL CE", "action": "enroll", "action_code": "021", "status": "request",
        "status_code": "7", "service_point_id": "10089010238", "account_id": "ACC1",
        "customer_name": "A. CUSTOMER", "effective_at": datetime(2026, 2, 1, 6, tzinfo=UTC),
        "created_at": datetime(2026, 1, 15, 14, 30, tzinfo=UTC), "reason_code": None, "reason_text": None,
        "sender_id": "006929509", "receiver_id": "957877905", "control_number": "0001",
    }  # fmt: skip
    assert (second["status"], second["action"]) == ("rejected", "inquire")
    assert (second["reason_code"], second["reason_text"]) == ("A76 A13", "NOT FOUND")


def test_lines_of_two_requests_are_kept_apart() -> None:
    accepted = ["814", "BGN*11*X2*20260116*****", "REF*Q5**E2", "LIN*1*SH*EL", "ASI*WQ*024"]
    rows = _decoded(REQUEST, accepted).rows("service_requests")
    assert [(row["transaction_id"], row["service_point_id"], row["status"]) for row in rows] == [
        ("X1", "10089010238", "request"), ("X1", None, "rejected"), ("X2", "E2", "accepted"),
    ]  # fmt: skip
    assert [row["customer_name"] for row in rows] == ["A. CUSTOMER", "A. CUSTOMER", None]


@pytest.mark.parametrize(
    ("body", "rules"),
    [
        (
            ["BGN*13*X", "N1*8R*B"],
            [(3, "no_request"), (4, "no_request"), (5, "no_request"), (6, "no_request")],
        ),
        (["LIN*1*SH*EL", "REF*Q5**E"], [(4, "no_action"), (5, "parent_quarantined")]),
        (["LIN*1*SH*EL", "ASI*ZZ*021"], [(4, "unknown_status"), (5, "parent_quarantined")]),
        (
            ["LIN*1*SH*EL", "ASI*7*021", "DTM*150*20260230"],
            [(4, "bad_time"), (5, "parent_quarantined"), (6, "parent_quarantined")],
        ),
        (["DTM*150*20260230", "LIN*1*SH*EL", "ASI*7*021"], [(4, "bad_time")]),
        (["LIN*1*SH*EL", "ASI*7*021", "QTY*QD*1"], [(6, "unknown_segment")]),
    ],
)
def test_a_wrong_request_is_put_aside(body: list[str], rules: list[tuple[int, str]]) -> None:
    assert _decoded(["814", *body]).rules == rules


def test_a_status_of_a_site_is_a_setting() -> None:
    body = ["814", "LIN*1*SH*EL", "ASI*ZZ*021"]
    (row,) = _decoded(body, status_codes={"ZZ": "completed"}).rows("service_requests")
    assert row["status"] == "completed"


def test_an_acknowledgement_is_a_row_an_answer_and_never_the_wrong_data_itself() -> None:
    data = x12([ANSWER], ta1="TA1*000000904*260114*0900*E*017")
    rows = decoded(data, "x12", {})[0].rows("acknowledgements")
    shown = {row["level"]: row for row in rows}
    assert [row["_record_no"] for row in rows] == [2, 7, 8, 9, 10]
    interchange, group = shown["interchange"], shown["group"]
    assert (interchange["status"], interchange["error_codes"]) == ("accepted_with_errors", "017")
    assert interchange["interchange_control_number"] == "000000904"
    assert (shown["segment"]["segment_tag"], shown["segment"]["segment_position"]) == ("QTY", 12)
    assert (shown["element"]["element_position"], shown["element"]["error_codes"]) == ("1", "7")
    assert (shown["transaction"]["status"], shown["transaction"]["error_codes"]) == ("rejected", "5 3")
    assert (group["declared_transactions"], group["accepted_transactions"]) == (1, 0)
    assert {row["group_control_number"] for row in rows} == {None, "5"}
    assert {row["transaction_control_number"] for row in rows} == {None, "0001"}
    assert not any("ZZ" in str(row.values()) for row in rows)


def test_a_999_is_read_as_a_997() -> None:
    rows = _decoded(["999", "AK1*PT*5", "AK2*867*0001", "IK5*A", "AK9*A*1*1*1"]).rows("acknowledgements")
    assert [(row["level"], row["status"]) for row in rows] == [
        ("transaction", "accepted"),
        ("group", "accepted"),
    ]


def test_an_unknown_answer_is_put_aside() -> None:
    assert _decoded(["997", "AK1*PT*5", "AK9*?*1*x*1"]).rules == [(5, "unknown_acknowledgement")]
    assert _decoded(["997", "AK1*PT*5", "AK9*A*1*x*1"]).rules == [(5, "bad_count")]
