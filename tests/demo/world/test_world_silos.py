"""The silos agree on what happened, differ on how people are spelled, and know nothing of the truth."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml
from sqlalchemy import URL, Engine, create_engine, text

from connectors.formats import decode
from connectors.paths import Paths
from demo.systems import Systems
from demo.world import WorldConfig, generate
from demo.world.contacts import make_contacts
from demo.world.crm import consents, interactions, preferences
from demo.world.grid import make_outages
from demo.world.ledger import ledger_tables
from tests.demo.world.reading import packed, rdw_records, zoned
from tests.demo.world.worlds import Made, Simulated

FEEDS = Path(__file__).resolve().parents[3] / "orchestration" / "feeds"


def _extracts(made: Made) -> list[Path]:
    return sorted((made.sftp / "cis/outgoing").glob("*.dat"))


def test_trailers_count_and_sum_what_the_file_holds(clean_world: Made) -> None:
    for path in _extracts(clean_world):
        records = rdw_records(path)
        kinds = [r[:1].decode("cp037") for r in records]
        assert kinds[0] == "H"
        assert kinds[-1] == "Z"
        assert records[0][9:17].decode("cp037") == f"20{path.stem[-6:]}"
        counts, trailer = Counter(kinds), records[-1][1:]
        declared = [int.from_bytes(trailer[i : i + 4], "big") for i in range(0, 24, 4)]
        assert declared == [counts[k] for k in "CPATBY"]
        bills = sum(packed(r[63:68]) for r in records if r[:1].decode("cp037") == "B")
        payments = sum(packed(r[45:50]) for r in records if r[:1].decode("cp037") == "Y")
        assert packed(trailer[24:31]) == bills
        assert packed(trailer[31:38]) == payments
        for record in records:
            if record[:1].decode("cp037") == "B":
                assert 300_000_000_000 <= zoned(record[1:13]) < 400_000_000_000


class _Tables:
    def __init__(self) -> None:
        self.batches: dict[str, list[pa.RecordBatch]] = {}
        self.rejects: list[Any] = []

    def write(self, table: str, batch: pa.RecordBatch) -> None:
        self.batches.setdefault(table, []).append(batch)

    def reject(self, reject: Any) -> None:
        self.rejects.append(reject)

    def rows(self, table: str) -> list[dict[str, Any]]:
        return pa.Table.from_batches(self.batches[table]).to_pylist()


def test_the_products_decoder_reads_every_night_by_the_copybook(clean_world: Made) -> None:
    settings = yaml.safe_load((FEEDS / "cis" / "defs.yaml").read_text())["attributes"]["file"]["settings"]
    settings["copybook"] = str(FEEDS / "cis" / settings["copybook"])
    latest: dict[int, dict[str, Any]] = {}
    bills: dict[int, dict[str, Any]] = {}
    payments: dict[int, dict[str, Any]] = {}
    for path in _extracts(clean_world):
        tables = _Tables()
        with path.open("rb") as stream:
            result = decode(stream, "copybook", settings, tables, name=path.name)
        assert tables.rejects == []
        assert result.records_read == result.loaded == len(rdw_records(path))
        for table, key, into in (
            ("account", "account_no", latest),
            ("bill", "bill_no", bills),
            ("payment", "payment_no", payments),
        ):
            if table in tables.batches:
                into.update({row[key]: row for row in tables.rows(table)})
    # A balance is what was billed and not reversed, less what was paid and not returned.
    owed: Counter[int] = Counter()
    for bill in bills.values():
        owed[bill["account_no"]] += bill["amount"] if bill["is_reversed"] == "N" else 0
    for payment in payments.values():
        owed[payment["account_no"]] -= payment["amount"] if payment["status"] == "P" else 0
    assert {a: row["balance"] for a, row in latest.items()} == {a: owed.get(a, Decimal("0")) for a in latest}
    assert len(bills) > 1_000


def test_both_silos_hold_the_same_bills_and_payments(simulated: Simulated) -> None:
    tables = ledger_tables(simulated.block, simulated.bills, simulated.payments)
    invoices, payments = tables["invoice"].to_pandas(), tables["payment"].to_pandas()
    assert len(invoices) == len(simulated.bills)
    assert invoices["invoice_id"].is_unique
    assert payments["payment_id"].is_unique
    assert invoices["amount_usd"].sum() * 100 == int(simulated.bills.cents.sum())
    paid = payments[payments["status"] == "posted"].groupby("invoice_id")["amount_usd"].sum()
    merged = invoices.set_index("invoice_id").join(paid.rename("paid")).fillna({"paid": Decimal(0)})
    unreversed = np.asarray(simulated.bills.reversed_on > simulated.block.config.end_day)
    left = merged["amount_usd"] - merged["paid"]
    assert (left[unreversed] == merged["open_usd"][unreversed]).all()
    assert (merged["open_usd"] >= 0).all()
    assert set(invoices["status"]) >= {"open", "paid", "written_off"}
    assert ((invoices["open_usd"] == 0) == (invoices["status"] == "paid")).all()
    last = pa.scalar(simulated.block.config.end).as_py()
    for name, table in tables.items():
        assert pc.max(table["updated_at"]).as_py().date() <= last.replace(day=last.day + 1), name


def test_nothing_of_the_truth_is_in_a_silo(real_world: Made, simulated: Simulated) -> None:
    secret = re.compile(
        rb"PERSON-|HOUSEHOLD-|hardship|cash_flow|forgot|disputer|p_home|weekender|decline", re.IGNORECASE
    )
    ids = set(real_world.truth_table("person")["person_id"].to_pylist())
    assert all(re.fullmatch(r"PERSON-\d{8}", i) for i in ids)
    for path in real_world.sftp.rglob("*"):
        if path.is_file() and path.suffix != ".zip":
            body = path.read_bytes()
            body = gzip.decompress(body) if path.suffix == ".gz" else body
            body = body.decode("cp037").encode() if path.suffix == ".dat" else body
            assert not secret.search(body), path.name
    book = make_contacts(simulated.block)
    outages = make_outages(simulated.block.config)
    tables = [
        book.table, consents(simulated.block, book), preferences(simulated.block, book),
        interactions(simulated.block, book, simulated.bills, outages),
        *ledger_tables(simulated.block, simulated.bills, simulated.payments).values(),
    ]  # fmt: skip
    for table in tables:
        for column in table.columns:
            if pa.types.is_string(column.type):
                assert not pc.any(
                    pc.match_substring_regex(column, secret.pattern.decode(), ignore_case=True)
                ).as_py()


def test_people_are_the_same_and_spelled_otherwise(simulated: Simulated) -> None:
    book = make_contacts(simulated.block)
    frame = book.table.to_pandas()
    assert frame["contact_id"].is_unique
    assert 0.35 < frame["account_no"].isna().mean() < 0.55
    persons = simulated.block.people.persons
    true_names = {f"{g}" for g in set(frame["full_name"])}
    assert len(true_names) > 100
    twice = Counter(book.person.tolist())
    assert 0.03 < sum(n > 1 for n in twice.values()) / len(twice) < 0.15
    styles = {re.sub(r"\d", "9", p) for p in frame["phone"].dropna()}
    assert {"(999) 999-9999", "999-999-9999", "999.999.9999", "9999999999", "+9 999 999 9999"} <= styles
    # Different people under one number: somebody else of the household, or a business and its owner.
    digits = frame["phone"].str.replace(r"\D", "", regex=True).str[-10:]
    shared = (
        frame.assign(person=book.person, digits=digits)
        .dropna(subset="digits")
        .groupby("digits")["person"]
        .nunique()
    )
    assert (shared > 1).sum() > 10
    assert (persons.role > 0).sum() > 10
    assert frame["phone"].dropna().str.replace(r"\D", "", regex=True).str[-10:].str[3:6].eq("555").all()


def test_identity_truth_names_every_record_once(real_world: Made) -> None:
    identity = real_world.truth_table("identity").to_pandas()
    assert identity["record_id"].is_unique
    by_person = identity.groupby("person_id")["record_id"].agg(list)
    crossing = [r for r in by_person if {x[:3] for x in r} == {"cis", "crm"}]
    assert len(crossing) > 0.7 * len(by_person)
    household = real_world.truth_table("household").to_pandas()
    assert household["account_no"].is_unique
    movers = household.groupby("person_id")["premise_no"].nunique()
    assert (movers > 1).sum() >= 2
    two_customers = by_person.map(lambda r: sum(x.startswith("cis:") for x in r))
    assert two_customers.max() == 2
    assert household["account_no"].str.fullmatch(r"\d{12}").all()


def test_consent_is_a_mix_and_reporting_appliances_means_profiling_was_allowed(simulated: Simulated) -> None:
    book = make_contacts(simulated.block)
    frame = consents(simulated.block, book).to_pandas()
    assert frame["consent_id"].is_unique
    profiling = frame[frame["purpose"] == "profiling"]
    assert 0.5 < profiling["is_granted"].mean() < 0.9
    assert len(profiling["contact_id"].unique()) < 0.9 * len(book.person)
    opted = simulated.block.equipment.is_opted_in_han[simulated.block.people.persons.tenancy[book.person]]
    ids = set(np.array(book.ids.to_pylist())[opted])
    granted = set(profiling[profiling["is_granted"]]["contact_id"])
    refused = set(profiling[~profiling["is_granted"]]["contact_id"])
    assert ids <= granted
    assert not ids & refused


def test_home_network_reports_opted_in_homes_only(real_world: Made) -> None:
    opted = (
        real_world.truth_table("household")
        .filter(pc.field("is_opted_in_han"))["service_point_id"]
        .to_pylist()
    )
    events: Counter[str] = Counter()
    for path in (real_world.sftp / "han/outgoing").glob("*.gz"):
        for line in gzip.decompress(path.read_bytes()).decode().splitlines():
            event = json.loads(line)
            events[event["event"]] += 1
            assert event["service_point_id"] in opted
            stamp = event.get("started_at") or event["occurred_at"]
            assert stamp[:10].replace("-", "") == path.name[10:18]
            assert stamp.endswith("-06:00")
    assert set(events) == {"use", "timer_set", "manual_start"}


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Any:
    paths = Paths(tmp_path_factory.mktemp("systems"))
    with Systems(paths) as systems:
        env = systems.env
        yield {
            name: create_engine(
                URL.create(
                    "postgresql+psycopg2", env["GRIDCRM_PG_USERNAME"], env["GRIDCRM_PG_PASSWORD"],
                    env["GRIDCRM_PG_HOST"], int(env["GRIDCRM_PG_PORT"]), name,
                )
            )
            for name in ("collections", "crm")
        }  # fmt: skip


def _state(engine: Engine, query: str) -> list[Any]:
    with engine.begin() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def test_rows_are_loaded_once_and_a_second_time_nothing_changes(
    databases: dict[str, Engine], tmp_path: Path
) -> None:
    config = WorldConfig(customers=40, days=3)
    first = generate(config, tmp_path / "sftp", tmp_path / "truth", databases)
    assert first.rows["collections"] > 1_000
    queries = {
        "collections": "select invoice_id, status, updated_at, xmin from collections.invoice order by 1",
        "crm": "select contact_id, full_name, updated_at, xmin from crm.contact order by 1",
    }
    before = {name: _state(databases[name], query) for name, query in queries.items()}
    again = generate(config, tmp_path / "sftp", tmp_path / "truth", databases)
    assert again.is_unchanged
    assert again.rows == first.rows
    assert {name: _state(databases[name], query) for name, query in queries.items()} == before
    assert _state(databases["crm"], "select count(*) from crm.campaign") == [(6,)]
    orphans = (
        "select count(*) from collections.payment p "
        "where not exists (select 1 from collections.invoice i where i.invoice_id = p.invoice_id)"
    )
    assert _state(databases["collections"], orphans) == [(0,)]
    # An emptied database is filled again from the same settings, with the same rows.
    with databases["crm"].begin() as connection:
        connection.execute(text("drop schema crm cascade"))
        connection.execute(text("drop table public.world_generation"))
    generate(config, tmp_path / "sftp", tmp_path / "truth", databases)
    assert [row[:3] for row in _state(databases["crm"], queries["crm"])] == [row[:3] for row in before["crm"]]
