"""The books: what was taken in, what was set aside, what was sent; as tables that dbt reads like any other.

Belongs here: copying the ledgers into raw. Does not belong here: keeping them (connectors/ingest,
connectors/activation).
"""

from collections.abc import Iterator

import dagster as dg
from pyarrow.dataset import dataset

from orchestration.gateway import Gateway

INGESTION = dg.AssetKey(["raw", "gridcrm", "ingestion_ledger"])
QUARANTINE = dg.AssetKey(["raw", "gridcrm", "quarantine"])
RECEIPTS = dg.AssetKey(["raw", "gridcrm", "push_receipt"])

ABOUT = {
    INGESTION: "Every file and pull that was seen: hash, counts, control totals, state. One row a file.",
    QUARANTINE: "Every record that was set aside: where it stood, its bytes, the rule. One row a record.",
    RECEIPTS: "What each destination answered to each row sent. One row a row and attempt.",
}


def build_books(raw_tables: list[dg.AssetKey]) -> dg.AssetsDefinition:
    """The three books, kept after every raw table of the run was taken in."""

    @dg.multi_asset(
        name="keep_books",
        specs=[
            dg.AssetSpec(
                key,
                deps=raw_tables if key == INGESTION else [],
                description=about,
                group_name="raw",
                owners=["team:data-platform"],
                kinds={"parquet"},
            )
            for key, about in ABOUT.items()
        ],
    )
    def keep_books(gateway: Gateway) -> Iterator[dg.MaterializeResult]:
        gateway.ingest().export_ledger()
        gateway.activation().export_receipts(gateway.paths.raw / "gridcrm" / "push_receipt")
        for key in ABOUT:
            rows = dataset(gateway.paths.raw.joinpath(*key.path[1:]), format="parquet").count_rows()
            yield dg.MaterializeResult(asset_key=key, metadata={"dagster/row_count": rows})

    return keep_books
