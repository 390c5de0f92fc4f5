"""Checks that span layers: what the source declared must stand in the mart.

Belongs here: asset checks that compare one layer with another. Does not belong here: tests of one model
(dbt_project/), of one file (the feed's own checks) or of one score (its gate).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg
import duckdb

from connectors.paths import Paths
from orchestration.gateway import Gateway


@dataclass(frozen=True)
class Passage:
    """One quantity that must be the same where it leaves the source and where it arrives in the mart.

    ``at_source`` and ``in_mart`` are queries that each give one number; ``{raw}`` and ``{published}`` stand
    for the folders. A row sent again replaces the one before, so the source counts each key once.
    """

    name: str
    model: str
    description: str
    at_source: str
    in_mart: str


def _latest(table: str, key: str, measure: str) -> str:
    return (
        f"select {measure} from (select *, row_number() over (partition by {key} "
        f"order by load_date desc, _record_no desc) as version from "
        f"read_parquet('{{raw}}/cis/{table}/**/*.parquet', hive_partitioning = true, union_by_name = true)) "
        "where version = 1"
    )


PASSAGES: Sequence[Passage] = (
    Passage(
        "billed_amount_arrives",
        "fct_bill",
        "The sum of all bills in the mainframe's extracts is the sum in fct_bill.",
        _latest("bill", "bill_no", "coalesce(sum(amount), 0)"),
        "select coalesce(sum(amount_usd), 0) from '{published}/unified/fct_bill.parquet'",
    ),
    Passage(
        "paid_amount_arrives",
        "fct_payment",
        "The sum of all payments in the mainframe's extracts is the sum in fct_payment.",
        _latest("payment", "payment_no", "coalesce(sum(amount), 0)"),
        "select coalesce(sum(amount_usd), 0) from '{published}/unified/fct_payment.parquet'",
    ),
    Passage(
        "every_account_arrives",
        "dim_account",
        "Each account of the mainframe is one row of dim_account.",
        _latest("account", "account_no", "count(*)"),
        "select count(*) from '{published}/unified/dim_account.parquet'",
    ),
)


def build_checks() -> list[dg.AssetChecksDefinition]:
    """One check for each passage; a figure that does not arrive blocks what is built on it."""
    return [_check(passage) for passage in PASSAGES]


def _check(passage: Passage) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        name=passage.name,
        asset=dg.AssetKey(["unified", passage.model]),
        description=passage.description,
        blocking=True,
    )
    def check(gateway: Gateway) -> dg.AssetCheckResult:
        source, mart = figures(passage, gateway.paths)
        return dg.AssetCheckResult(passed=source == mart, metadata={"at_source": source, "in_mart": mart})

    return check


def figures(passage: Passage, paths: Paths) -> tuple[float, float]:
    """The quantity at its source and in the mart."""
    with duckdb.connect() as connection:
        found = [
            connection.execute(query.format(raw=paths.raw, published=paths.published)).fetchone()
            for query in (passage.at_source, passage.in_mart)
        ]
    source, mart = (float(row[0]) if row else 0.0 for row in found)
    return source, mart
