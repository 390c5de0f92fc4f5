"""The product's own transports and pushes against the simulated systems, and the outcomes of them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import create_engine, text

from connectors.activation import Activation, load_pushes
from connectors.connections import check, load_connections
from connectors.ingest import Ingest, load_feeds
from connectors.paths import Paths
from demo.systems import Systems
from demo.systems.outcomes import play

ORCHESTRATION = Path(__file__).resolve().parents[3] / "orchestration"
SUNDAY, MONDAY = date(2026, 11, 15), date(2026, 11, 16)


@pytest.fixture(scope="module")
def utility(tmp_path_factory, write_truth):
    paths = Paths(tmp_path_factory.mktemp("pushed") / "data")
    with Systems(paths) as systems:
        write_truth(paths)
        yield systems


@pytest.fixture(scope="module")
def connections(utility):
    return load_connections(ORCHESTRATION / "connections.yaml", utility.env)


def test_every_connection_of_the_demo_answers(connections):
    results = [check(connections.get(name)) for name in connections.names]
    assert len(results) == 11
    assert [result.message for result in results if not result.ok] == []


@pytest.mark.parametrize(
    ("connection", "variable", "value"),
    [
        ("cis_sftp", "GRIDCRM_SFTP_PASSWORD", "wrong"),
        ("crm_sql", "GRIDCRM_PG_PASSWORD", "wrong"),
        ("campaign_http", "GRIDCRM_CAMPAIGN_TOKEN", "wrong"),
        (
            "mdm_sftp",
            "GRIDCRM_SFTP_HOST_KEY",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGUgZ3JpZGNybSBub3QgdGhpcyBob3N0IGtleSAh",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line_without_the_secret(utility, connection, variable, value):
    env = {**utility.env, variable: value}
    result = check(load_connections(ORCHESTRATION / "connections.yaml", env).get(connection))
    assert not result.ok
    assert connection in result.message
    assert "\n" not in result.message
    assert not any(utility.env[name] in result.message for name in utility.env if name.endswith("PASSWORD"))


def rows_of(columns, n: int, **values) -> pa.Table:
    """``n`` rows with the push's columns: given ones, null otherwise."""
    arrow = {"date": pa.date32(), "int": pa.int32(), "double": pa.float64(), "boolean": pa.bool_()}
    arrays = {}
    for name, column in columns.items():
        kind = pa.decimal128(12, 2) if column.family == "decimal" else arrow.get(column.family, pa.string())
        value = values.get(name)
        arrays[name] = pa.array(value if isinstance(value, list) else [value] * n, kind)
    arrays["withheld_reason"] = pa.array(values.get("withheld_reason", [None] * n), pa.string())
    return pa.table(arrays)


def test_what_is_pushed_is_played_and_what_comes_back_is_taken_in_once(utility, connections, pg_url):
    pushes = load_pushes(ORCHESTRATION / "pushes")
    customers = [f"C{n}" for n in range(40)]
    rows = {
        "dialer_call_list": {
            "call_key": [f"C{n}:{MONDAY}" for n in range(40)],
            "customer_id": customers,
            "account_no": [f"{n:012d}" for n in range(40)],
            "phone_e164": "+16085550123",
            "call_date": MONDAY,
            "window_start_local": "17:30",
            "window_end_local": "18:30",
            "time_zone": "America/Chicago",
            "purpose": "collections",
            "priority": 1,
            "content_id": "CALL",
            "language": "en",
            "max_attempts": 2,
            "withheld_reason": ["disputed"] + [None] * 39,
        },
        "letters": {
            "letter_id": [f"L-{n}" for n in range(40)],
            "customer_id": customers,
            "account_no": [f"{n:012d}" for n in range(40)],
            "full_name": "Alex Example",
            "address_line": "1 Example Street",
            "city": "Riverbend",
            "state_code": "WI",
            "postcode": "53999",
            "content_id": "LTR_REMINDER_FRIENDLY_EN",
            "language": "en",
            "tone": "friendly",
            "amount_due_usd": Decimal("12.34"),
            "due_date": date(2026, 11, 1),
            "bill_id": "1",
            "purpose": "collections",
        },
        "campaign_audience": {
            "member_key": [f"aud:C{n}" for n in range(40)],
            "audience_id": "aud",
            "customer_id": customers,
            "email": ["malformed"] + [f"c{n}@example.com" for n in range(1, 40)],
            "offer_id": "tou_tariff",
            "content_id": "MAIL",
            "language": "en",
            "propensity": 0.5,
        },
        "crm_customer_score": {"customer_id": customers, "as_of_date": SUNDAY, "value_band": "A"},
    }
    activation = Activation(utility.paths, connections)
    reports = {}
    for name, values in rows.items():
        push = pushes[name]
        plan = activation.plan(push, rows_of(push.columns, 40, **values), SUNDAY)
        reports[name] = activation.send(push, plan, dry_run=False)
    activation.close()
    assert {name: (report.sent_rows, report.failed) for name, report in reports.items()} == {
        "dialer_call_list": (39, 0),
        "letters": (40, 0),
        "campaign_audience": (39, 1),
        "crm_customer_score": (40, 0),
    }
    engine = create_engine(pg_url(utility.env, "crm"))
    with engine.connect() as connection:
        assert connection.execute(text("select count(*) from crm_inbox.customer_score")).scalar_one() == 40
    engine.dispose()

    summary = play(utility.paths, SUNDAY, seed=20261115)
    assert summary.refused_drops == ()
    calls = pd.read_csv(utility.paths.demo / "sftp/dialer/outgoing/outcomes_20261116.csv", dtype=str)
    assert set(calls["call_key"]) == {f"C{n}:{MONDAY}" for n in range(1, 40)}
    assert set(calls["phone"]) == {"+16085550123"}
    assert summary.letters == {"mailed": 40, "printed": 40}
    events = summary.campaign_events
    assert events["delivered"] + events.get("bounced", 0) == 39
    assert play(utility.paths, SUNDAY, seed=20261115).is_empty

    ingest = Ingest(utility.paths, connections)
    feeds = load_feeds(ORCHESTRATION / "feeds")
    taken = {name: ingest.run(feeds[name]) for name in ("dialer", "print", "campaign")}
    assert {name: report.rows for name, report in taken.items()} == {
        "dialer": {"call": sum(summary.calls.values())},
        "print": {"letter_status": sum(summary.letters.values())},
        "campaign": {"event": sum(summary.campaign_events.values())},
    }
    assert all(report.balance_ok and not report.refused for report in taken.values())
    assert [sum(ingest.run(feeds[name]).rows.values()) for name in taken] == [0, 0, 0]
    responded = [
        event
        for file in (utility.paths.raw / "campaign/event").rglob("*.parquet")
        for event in pq.read_table(file, partitioning=None).to_pylist()
        if event["event"] == "responded"
    ]
    assert len(responded) == summary.campaign_events["responded"]
    assert all(event["value_usd"] > 0 for event in responded)
