"""kill -9 at any moment: nothing lost, nothing doubled, at each kind of destination.

Two series for each: killed at every step in turn, and killed at random moments. Then one send to the end,
and the destination must hold exactly what was to be sent, each row done once.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
import sqlalchemy as sa

from connectors.activation import Activation, PushConfig
from connectors.paths import Paths
from tests.connectors.activation.helpers import DAY, NO_GUARDS, FixedConnections, make_push, make_rows
from tests.connectors.destinations.killing import run
from tests.connectors.destinations.test_http_audience import PUSH as AUDIENCE_PUSH
from tests.connectors.destinations.test_http_audience import members
from tests.connectors.destinations.test_letters import LETTER, letters
from tests.connectors.destinations.test_sftp_csv import DESTINATION

KEYS = [f"C{number:02d}" for number in range(9)]
WITHHELD, KEPT = KEYS[:3], KEYS[3:]


@dataclass
class Case:
    """A destination, what goes there in two rounds, and how often each key has really been done there."""

    connection: Any
    push: PushConfig
    first: pa.Table
    second: pa.Table
    expected: set[str]
    held: Callable[[], set[str]]
    done: Callable[[], Counter[tuple[str, str]]]
    expected_done: Counter[tuple[str, str]]
    version: Callable[[int], pa.Table]
    """The rows of the n-th day (from 1), each key new or changed on each day."""


def sql_case(request: pytest.FixtureRequest) -> Case:
    server, database = request.getfixturevalue("postgres"), request.getfixturevalue("database")
    engine = server.engine(database)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            """
            create table customers (customer_id text primary key, full_name text, amount_usd numeric(12,2),
                as_of_date date);
            create table history (customer_id text, op text); create function keep() returns trigger
            language plpgsql as $$ begin insert into history values (coalesce(new.customer_id,
            old.customer_id), tg_op); return null; end $$; create trigger keep after insert or update or
            delete on customers for each row execute function keep();
            """
        )

    def read(query: str) -> list[Any]:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(query))]

    push = make_push(
        destination={"kind": "sql_upsert", "connection": "test_sql", "table": "customers", "batch_size": 4}
    )
    done = Counter({(key, "INSERT"): 1 for key in KEYS})
    done.update({(key, "UPDATE"): 1 for key in KEPT})
    done.update({(key, "DELETE"): 1 for key in WITHHELD})
    return Case(
        server.connection(database),
        push,
        make_rows(dict.fromkeys(KEYS, 1)),
        make_rows(dict.fromkeys(KEYS, 2), dict.fromkeys(WITHHELD, "no_consent")),
        set(KEPT),
        lambda: {row[0] for row in read("select customer_id from customers")},
        lambda: Counter(read("select customer_id, op from history")),
        done,
        lambda day: make_rows(dict.fromkeys(KEYS, day)),
    )


def csv_case(request: pytest.FixtureRequest) -> Case:
    server = request.getfixturevalue("sftp")
    push = make_push(name="list", destination={**DESTINATION, "batch_size": 4}, on_missing="keep")

    def done() -> Counter[tuple[str, str]]:
        found: Counter[tuple[str, str]] = Counter()
        for file in (server.root / "incoming").glob("*.manifest.json"):
            manifest = json.loads(file.read_text())
            table = pa_csv.read_csv(server.root / "incoming" / manifest["files"][0]["file"])
            found.update((key, manifest["operation"]) for key in table.column("customer_id").to_pylist())
        return found

    expected = Counter({(key, "upsert"): 2 if key in KEPT else 1 for key in KEYS})
    expected.update({(key, "recall"): 1 for key in WITHHELD})
    return Case(
        server.connection(),
        push,
        make_rows(dict.fromkeys(KEYS, 1)),
        make_rows(dict.fromkeys(KEYS, 2), dict.fromkeys(WITHHELD, "no_consent")),
        set(KEPT),
        lambda: {key for key in KEYS if done()[key, "recall"] == 0},
        done,
        expected,
        lambda day: make_rows(dict.fromkeys(KEYS, day)),
    )


def letters_case(request: pytest.FixtureRequest) -> Case:
    server = request.getfixturevalue("sftp")
    sender = {
        "name": "P&L",
        "address_lines": ["1 Road"],
        "phone": "1",
        "hours": "x",
        "hours_es": "x",
        "website": "w",
    }
    push = PushConfig.model_validate(
        {
            **make_push().model_dump(exclude={"destination", "columns", "guards"}),
            "name": "letters",
            "key": "letter_id",
            "destination": {
                "kind": "sftp_letters",
                "connection": "test_sftp",
                "directory": "/incoming",
                "sender": sender,
                "batch_size": 3,
            },
            "columns": {name: "string" for name in LETTER if name != "withheld_reason"}
            | {"amount_due_usd": "decimal(12,2)", "due_date": "date"},
            "guards": NO_GUARDS,
            "send_once": True,
            "on_missing": "keep",
        }
    )

    def done() -> Counter[tuple[str, str]]:
        manifests = [
            json.loads(file.read_text()) for file in (server.root / "incoming").glob("*.manifest.json")
        ]
        return Counter(
            (entry["letter_id"], "letter") for manifest in manifests for entry in manifest["files"]
        )

    return Case(
        server.connection(),
        push,
        letters(*({"letter_id": key} for key in KEPT)),
        letters(*({"letter_id": key, "amount_due_usd": "5.00"} for key in KEYS)),
        set(KEYS),
        lambda: {file.stem for file in (server.root / "incoming").glob("*.pdf")},
        done,
        Counter({(key, "letter"): 1 for key in KEYS}),
        lambda day: letters(*({"letter_id": f"{day}-{key}"} for key in KEYS)),
    )


def http_case(request: pytest.FixtureRequest) -> Case:
    server = request.getfixturevalue("audience")
    server.seconds_per_request = 0.01
    return Case(
        server.connection(),
        AUDIENCE_PUSH,
        members(*KEYS),
        members(*KEYS, rank=2, withheld=set(WITHHELD)),
        set(KEPT),
        lambda: {key for _, key in server.members},
        lambda: Counter({(key, "applied"): count for key, count in server.applied.items()}),
        Counter({(key, "applied"): 2 if key in KEPT else 1 for key in KEYS}),
        lambda day: members(*KEYS, rank=day),
    )


CASES = {"sql": sql_case, "csv": csv_case, "letters": letters_case, "http": http_case}


@pytest.fixture(params=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param](request)


def check(case: Case, paths: Paths, last: pa.Table) -> None:
    activation = Activation(paths, FixedConnections(case.connection))  # type: ignore[arg-type]
    plan = activation.plan(case.push, last, DAY)
    assert plan.is_empty
    assert plan.unfinished_batches == 0
    receipts = activation.receipts()
    assert set(receipts.column("state").to_pylist()) == {"sent"}
    pairs = list(
        zip(receipts.column("key").to_pylist(), receipts.column("batch_id").to_pylist(), strict=True)
    )
    assert len(pairs) == len(set(pairs)), "a row has two receipts for one batch"
    activation.close()


def test_killed_at_every_step_in_turn(case: Case, paths: Paths) -> None:
    """Each process dies a little later than the one before: before, in and after every kind of step."""
    kills = 0
    for first, rows in enumerate((case.first, case.second)):
        for steps in range(first, 200, 2):
            if run(paths.root, case.connection, case.push, rows, steps=steps):
                break
            kills += 1
    assert kills >= 6
    check(case, paths, case.second)
    assert case.held() == case.expected
    assert case.done() == case.expected_done


def test_killed_at_random_moments(case: Case, paths: Paths) -> None:
    """Day after day, each day's send killed and begun again until it comes through."""
    chance = random.Random(20261115)
    kills = day = 0
    while kills < 10:
        day += 1
        assert day < 60, "the sends end before they can be killed"
        longest = 0.1
        while not run(
            paths.root, case.connection, case.push, case.version(day), seconds=chance.uniform(0, longest)
        ):
            kills += 1
            longest *= 1.5
    check(case, paths, case.version(day))
    done: Counter[str] = Counter()
    for (key, _), count in case.done().items():
        done[key] += count
    assert set(done.values()) == ({1} if case.push.send_once else {day})
    assert len(done) == len(KEYS) * (day if case.push.send_once else 1)
