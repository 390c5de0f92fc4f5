"""Who is who: the step between staging and unified.

Belongs here: reading the identity records, keeping the ledger, writing the cross-reference that dbt reads.
Does not belong here: matching (orchestration/identity).
"""

import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

from orchestration.assets.metadata import markdown_table
from orchestration.gateway import Gateway
from orchestration.identity import IdentityLedger, resolve

RECORDS = dg.AssetKey(["unified", "int_identity_records"])
TABLES = {
    "customer_xref": "Which silo record belongs to which customer, and by which evidence. One row a record.",
    "customer_alias": "Customer ids that were merged away, and the id that answers for them now.",
    "identity_review": "Pairs that are neither surely the same nor surely different, with the evidence.",
}


@dg.multi_asset(
    name="resolve_identities",
    specs=[
        dg.AssetSpec(
            ["raw", "gridcrm", table],
            deps=[RECORDS],
            description=about,
            group_name="unified",
            owners=["team:customer-data"],
            kinds={"splink", "duckdb", "parquet"},
        )
        for table, about in TABLES.items()
    ],
)
def resolve_identities(
    context: dg.AssetExecutionContext, gateway: Gateway
) -> Iterator[dg.MaterializeResult[None]]:
    """Match all silo records, keep every ``customer_id`` that was given before."""
    paths = gateway.paths
    records = pq.read_table(paths.published / "unified" / "int_identity_records.parquet")
    ledger = IdentityLedger(paths.state / "identity.db")
    resolution = resolve(records, ledger.load())
    ledger.save(resolution)
    tables = {
        "customer_xref": resolution.xref,
        "customer_alias": resolution.aliases,
        "identity_review": resolution.review,
    }
    for name, table in tables.items():
        _replace(paths.raw / "gridcrm" / name / "load_date=1970-01-01" / "all.parquet", table)
    context.log.info(f"{records.num_rows:,} records are {resolution.stats['customers']:,} customers")
    for name, table in tables.items():
        yield dg.MaterializeResult(
            asset_key=["raw", "gridcrm", name],
            metadata={
                "dagster/row_count": table.num_rows,
                "matching": dg.MetadataValue.md(
                    markdown_table(["measure", "value"], [[k, v] for k, v in resolution.stats.items()])
                ),
            },
        )


def _replace(target: Path, table: pa.Table) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_suffix(f".{os.getpid()}.tmp")
    pq.write_table(table, temporary, compression="zstd")
    os.replace(temporary, target)
