"""Account alerts from a live ledger to the CRM's inbox: a missed payment appears, a payment takes it away."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest
import sqlalchemy as sa

from connectors.activation import Activation, load_pushes
from connectors.paths import Paths
from demo.systems.crm_inbox import DDL as INBOX_DDL
from demo.world.ddl import COLLECTIONS_DDL
from orchestration.alerts import SCHEMA, account_alerts, last_change
from tests.conftest import REPOSITORY
from tests.connectors.activation.helpers import FixedConnections
from tests.support.postgres import PostgresTestServer, serve_postgres

TODAY = date(2026, 11, 16)
PUSH = "crm_account_alert"
LEDGER_ROWS = """
insert into collections.invoice values
    (1, '000000000001', 'b1', '2026-10-01', '2026-10-20', 90, 90, 'open', '2026-11-16 08:00+00'),
    (2, '000000000002', 'b2', '2026-11-01', '2026-11-30', 50, 50, 'open', '2026-11-01 08:00+00'),
    (3, '000000000003', 'b3', '2026-10-01', '2026-10-20', 70, 70, 'disputed', '2026-10-21 08:00+00');
insert into collections.dispute values
    (1, '000000000003', 3, '2026-10-21 08:00+00', null, 'meter', 'open', '2026-10-21 08:00+00');
insert into collections.account_flag values
    ('000000000001', 'medical', '2026-01-01', null, '2026-01-01 08:00+00');
"""


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresTestServer]:
    with serve_postgres() as server:
        yield server


@pytest.fixture
def database(postgres: PostgresTestServer) -> str:
    return postgres.create_database()


@pytest.fixture
def ledger(postgres: PostgresTestServer, database: str) -> Iterator[sa.Engine]:
    engine = postgres.engine(database)
    with engine.begin() as connection:
        for statements in (COLLECTIONS_DDL, INBOX_DDL, LEDGER_ROWS):
            connection.execute(sa.text(statements))
    yield engine
    engine.dispose()


def alerts(engine: sa.Engine) -> set[tuple[str, str]]:
    table = account_alerts(engine, TODAY)
    assert table.schema == SCHEMA
    return set(zip(table["account_no"].to_pylist(), table["alert"].to_pylist(), strict=True))


def test_only_what_is_due_open_or_disputed_is_an_alert(ledger: sa.Engine) -> None:
    assert alerts(ledger) == {
        ("000000000001", "missed_payment"),
        ("000000000001", "protected_customer"),
        ("000000000003", "dispute_open"),
    }


def test_an_empty_ledger_has_no_alert_and_no_change(ledger: sa.Engine) -> None:
    with ledger.begin() as connection:
        for table in ("invoice", "payment", "dispute", "account_flag"):
            connection.execute(sa.text(f"delete from collections.{table}"))
    assert alerts(ledger) == set()
    assert last_change(ledger) is None


def test_a_change_moves_the_cursor(ledger: sa.Engine) -> None:
    before = last_change(ledger)
    with ledger.begin() as connection:
        connection.execute(
            sa.text("update collections.invoice set updated_at = '2026-11-17' where invoice_id = 2")
        )
    after = last_change(ledger)
    assert before is not None
    assert after is not None
    assert after > before


def test_a_payment_takes_the_alert_off_the_agents_screen(
    ledger: sa.Engine, postgres: PostgresTestServer, database: str, paths: Paths
) -> None:
    push = load_pushes(REPOSITORY / "orchestration" / "pushes" / "realtime")[PUSH]
    activation = Activation(paths, FixedConnections(postgres.connection(database, "crm_sql")))

    def send() -> set[tuple[str, str]]:
        activation.send(push, activation.plan(push, account_alerts(ledger, TODAY), TODAY), dry_run=False)
        with ledger.connect() as connection:
            shown = connection.execute(sa.text("select account_no, alert from crm_inbox.account_alert"))
            return {(row.account_no, row.alert) for row in shown}

    assert ("000000000001", "missed_payment") in send()
    with ledger.begin() as connection:
        connection.execute(
            sa.text("update collections.invoice set open_usd = 0, status = 'paid' where invoice_id = 1")
        )
    assert ("000000000001", "missed_payment") not in send()
