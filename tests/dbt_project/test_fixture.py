"""The town is typed as ingestion types raw: a build on it says something about a build on the real thing."""

from __future__ import annotations

import pyarrow as pa

from connectors.activation import RECEIPT_SCHEMA
from connectors.ingest import load_feeds
from connectors.ingest.ledger import LEDGER_SCHEMA
from connectors.ingest.staging import QUARANTINE_SCHEMA
from orchestration.identity.resolution import ALIAS_SCHEMA, REVIEW_SCHEMA, XREF_SCHEMA
from orchestration.scoring import SCORES
from tests.dbt_project.conftest import PROJECT
from tests.dbt_project.raw_tables import OWN_SCHEMAS, RAW_SCHEMAS, SCORE_SCHEMAS

#: Added by ingestion to each row, and the discriminator of the mainframe's records: staging reads neither.
BESIDE_THE_DATA = {"_record_no", "rec_type"}


def _types(schema: pa.Schema) -> dict[str, str]:
    return {field.name: str(field.type) for field in schema if field.name not in BESIDE_THE_DATA}


def test_raw_tables_are_typed_as_the_feeds_declare() -> None:
    declared = {
        f"{source}/{table}": _types(schema)
        for source, feed in load_feeds(PROJECT.parent / "orchestration" / "feeds").items()
        for table, schema in feed.schemas().items()
    }
    assert declared == {
        table: _types(schema) for table, schema in RAW_SCHEMAS.items() if table not in OWN_SCHEMAS
    }


def test_books_are_typed_as_their_writers_declare() -> None:
    declared = {
        "ingestion_ledger": LEDGER_SCHEMA,
        "quarantine": QUARANTINE_SCHEMA,
        "push_receipt": RECEIPT_SCHEMA,
        "customer_xref": XREF_SCHEMA,
        "customer_alias": ALIAS_SCHEMA,
        "identity_review": REVIEW_SCHEMA,
    }
    assert {f"gridcrm/{table}": schema for table, schema in declared.items()} == dict(OWN_SCHEMAS)


def test_scores_are_typed_as_scoring_declares() -> None:
    for name, schema in SCORE_SCHEMAS.items():
        declared = _types(SCORES[name].schema)
        assert {column: declared.get(column) for column in _types(schema)} == _types(schema), name
