"""Records in, customers out: the steps of identity resolution in their order.

Belongs here: the public function :func:`resolve`, its configuration and its result. Does not belong here:
how a step works.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import duckdb
import pyarrow as pa

from orchestration.identity.clusters import group_records
from orchestration.identity.matching import judge, predict, train
from orchestration.identity.records import IdentityError, prepare_records, register_records
from orchestration.identity.stable_ids import assign_ids

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["IdentityConfig", "IdentityError", "IdentityState", "Resolution", "resolve"]

UTC_TIMESTAMP: Final = pa.timestamp("us", tz="UTC")

RECORD_STATE_SCHEMA: Final = pa.schema(
    [("record_id", pa.string()), ("customer_id", pa.string()), ("first_assigned_at", UTC_TIMESTAMP)]
)
ALIAS_SCHEMA: Final = pa.schema(
    [("alias_customer_id", pa.string()), ("customer_id", pa.string()), ("merged_at", UTC_TIMESTAMP)]
)
DECISION_SCHEMA: Final = pa.schema(
    [("record_id_l", pa.string()), ("record_id_r", pa.string()), ("verdict", pa.string())]
)
XREF_SCHEMA: Final = pa.schema(
    [
        ("customer_id", pa.string()),
        ("record_id", pa.string()),
        ("source", pa.string()),
        ("source_key", pa.string()),
        ("match_probability", pa.float64()),
        ("decided_by", pa.string()),
        ("first_assigned_at", UTC_TIMESTAMP),
    ]
)
REVIEW_SCHEMA: Final = pa.schema(
    [
        ("record_id_l", pa.string()),
        ("record_id_r", pa.string()),
        ("match_probability", pa.float64()),
        ("evidence", pa.string()),
    ]
)


@dataclass(frozen=True)
class IdentityConfig:
    """What a utility may set; the defaults were measured against known truth (see the tests)."""

    merge_at: float = 0.95
    """Pairs at or above this probability are one customer."""

    review_at: float = 0.5
    """Pairs from here to ``merge_at`` go to a person; below, they are two customers."""

    hub_limit: int = 12
    """A telephone, e-mail or account on more records than this says nothing about who somebody is."""

    max_cluster_size: int = 12
    """More records than this are not taken for one customer without a person's decision."""

    seed: int = 20_261_115
    """Seed of the random sample of pairs."""

    max_pairs: float = 1e6 + 1
    """Pairs sampled to learn from."""

    threads: int = 1
    """DuckDB's threads; with more than one, sums of floats may differ in their last digit from run to run."""

    def __post_init__(self) -> None:
        if not 0 < self.review_at <= self.merge_at <= 1:
            raise IdentityError(
                f"identity thresholds: review_at {self.review_at} and merge_at {self.merge_at} must satisfy"
                " 0 < review_at <= merge_at <= 1"
            )


@dataclass(frozen=True)
class IdentityState:
    """What earlier runs left: assignments, aliases, and what people decided."""

    records: pa.Table = field(default_factory=RECORD_STATE_SCHEMA.empty_table)
    aliases: pa.Table = field(default_factory=ALIAS_SCHEMA.empty_table)
    decisions: pa.Table = field(default_factory=DECISION_SCHEMA.empty_table)


@dataclass(frozen=True)
class Resolution:
    """The outcome: every record's customer, retired ids, pairs for a person, and how it was done."""

    xref: pa.Table
    """One row a record (:data:`XREF_SCHEMA`), in the order of record ids."""

    aliases: pa.Table
    """One row a retired id (:data:`ALIAS_SCHEMA`); ``customer_id`` is always a live one."""

    review: pa.Table
    """Undecided pairs with their evidence in words (:data:`REVIEW_SCHEMA`), likeliest first."""

    stats: dict[str, int | float]
    """Counts: records, customers, merged records, review pairs, shared values set aside, links cut…"""

    params_json: str
    """The trained model: thresholds, Splink's settings with every m and u, the household ratio."""


def resolve(
    records: pa.Table | pd.DataFrame,
    previous: IdentityState | None = None,
    *,
    config: IdentityConfig | None = None,
    now: datetime | None = None,
) -> Resolution:
    """Group records into customers, with ids that last.

    ``records`` has one row a silo record with the columns of
    :data:`~orchestration.identity.records.RECORD_COLUMNS`. The same records, state and configuration give
    the same result; ``now`` (UTC; by default the present) only dates what is new. Raises
    :class:`IdentityError` when the records break their contract.
    """
    config = config or IdentityConfig()
    previous = previous or IdentityState()
    table = records if isinstance(records, pa.Table) else pa.Table.from_pandas(records, preserve_index=False)
    with duckdb.connect() as con:
        con.execute(f"set threads = {int(config.threads)}")
        con.execute("set timezone = 'UTC'")
        register_records(con, table)
        set_aside = prepare_records(con, hub_limit=config.hub_limit)
        model = _match(con, config)
        con.register("decision", previous.decisions.cast(DECISION_SCHEMA))
        cut = group_records(con, max_size=config.max_cluster_size)
        con.register(
            "previous_record", previous.records.select(RECORD_STATE_SCHEMA.names).cast(RECORD_STATE_SCHEMA)
        )
        con.register("previous_alias", previous.aliases.cast(ALIAS_SCHEMA))
        con.execute("create table run as select ?::timestamptz as now_at", [now or datetime.now(UTC)])
        assign_ids(con)
        xref = _arrow(
            con,
            """
            select a.customer_id, g.record_id, r.source, r.source_key, g.match_probability, g.decided_by,
                coalesce(p.first_assigned_at, run.now_at) as first_assigned_at
            from grouped g
            join assigned a using (cluster)
            join given_records r using (record_id)
            left join previous_record p using (record_id), run
            order by g.record_id
            """,
            XREF_SCHEMA,
        )
        aliases = _arrow(con, "from alias order by alias_customer_id", ALIAS_SCHEMA)
        review = _arrow(
            con, "from to_review order by match_probability desc, record_id_l, record_id_r", REVIEW_SCHEMA
        )
    customers = len(xref["customer_id"].unique())
    stats: dict[str, int | float] = {
        "records": xref.num_rows,
        "customers": customers,
        "records_joined": xref.num_rows - customers,
        "review_pairs": review.num_rows,
        "aliases": aliases.num_rows,
        "household_ratio": model["household_ratio"],
        **{f"shared_{name}_set_aside": count for name, count in set_aside.items()},
        **cut,
    }
    return Resolution(xref, aliases, review, stats, json.dumps(model, sort_keys=True))


def _match(con: duckdb.DuckDBPyConnection, config: IdentityConfig) -> dict[str, Any]:
    """Make the table ``judged`` and describe the model that made it."""
    row = con.execute("select count(*) from record").fetchone()
    n_records = int(row[0]) if row is not None else 0
    thresholds = {"merge_at": config.merge_at, "review_at": config.review_at, "seed": config.seed}
    if n_records < 2:
        con.execute(
            "create table judged (record_id_l varchar, record_id_r varchar, evidence varchar,"
            " p double, strength double, decided_by varchar, verdict varchar)"
        )
        return {**thresholds, "household_ratio": 0.0, "splink": None}
    p_match, parameters = train(con, n_records=n_records, seed=config.seed, max_pairs=config.max_pairs)
    settings, ratio = predict(
        con, p_match=p_match, parameters=parameters, at_least=min(0.001, config.review_at)
    )
    judge(con, merge_at=config.merge_at, review_at=config.review_at)
    return {**thresholds, "household_ratio": ratio, "splink": settings}


def _arrow(con: duckdb.DuckDBPyConnection, query: str, schema: pa.Schema) -> pa.Table:
    return con.execute(query).to_arrow_table().cast(schema)
