"""Ids that outlive what they were made from.

Belongs here: which customer id a group of records keeps, gets or gives up. Does not belong here: grouping,
and remembering between runs (:mod:`.ledger`).

- An id stays with its founder: of the records that had it, the one assigned first (then the smallest
  record id).
- A group with several ids keeps the oldest; the others become aliases of it, and older aliases follow.
- A group with none gets ``C`` and the first 12 hexadecimal digits of the SHA-256 of its smallest record
  id, so that a rebuild from nothing finds the same ids. When that id was an alias (an unmerge), it is an
  id again.
"""

from __future__ import annotations

import duckdb

from connectors.errors import GridCRMError

MAX_ROUNDS = 16
"""Rounds of new hashes for ids that are taken; with 48 bits the second is hardly ever needed."""


def assign_ids(con: duckdb.DuckDBPyConnection) -> None:
    """Make ``assigned`` (cluster, customer_id) and ``alias`` from ``grouped`` and what was known before.

    Reads ``previous_record`` (record_id, customer_id, first_assigned_at), ``previous_alias``
    (alias_customer_id, customer_id, merged_at) and ``run`` (now_at, one row).
    """
    con.execute(
        """
        create or replace table founder as
        select p.customer_id, g.cluster, p.record_id, p.first_assigned_at
        from previous_record p join grouped g using (record_id)
        qualify row_number() over (
            partition by p.customer_id order by p.first_assigned_at, p.record_id) = 1
        """
    )
    con.execute(
        """
        create or replace table assigned as
        select cluster, customer_id from founder
        qualify row_number() over (
            partition by cluster order by first_assigned_at, record_id, customer_id) = 1
        """
    )
    _give_new_ids(con)
    con.execute(
        """
        create or replace table alias as
        with given_up as (
            select f.customer_id as alias_customer_id, a.customer_id, run.now_at as merged_at
            from founder f join assigned a using (cluster), run
            where f.customer_id <> a.customer_id
        )
        select * from given_up
        union all
        select p.alias_customer_id, coalesce(g.customer_id, p.customer_id), p.merged_at
        from previous_alias p
        left join given_up g on g.alias_customer_id = p.customer_id
        anti join assigned a on a.customer_id = p.alias_customer_id
        anti join given_up u on u.alias_customer_id = p.alias_customer_id
        """
    )


def _give_new_ids(con: duckdb.DuckDBPyConnection) -> None:
    con.execute(
        """
        create or replace table unnamed as
        select cluster, min(record_id) as record_id, 0 as round
        from grouped anti join assigned using (cluster)
        group by cluster
        """
    )
    hashed = (
        "'C' || left(sha256(record_id || case when round = 0 then '' else '#' || round::varchar end), 12)"
    )
    for _ in range(MAX_ROUNDS):
        con.execute(
            f"""
            create or replace table named as
            select *, {hashed} as customer_id,
                {hashed} in (
                    select customer_id from previous_record union all select customer_id from assigned)
                or row_number() over (partition by {hashed} order by record_id) > 1 as is_taken
            from unnamed
            """
        )
        con.execute("insert into assigned select cluster, customer_id from named where not is_taken")
        con.execute(
            "create or replace table unnamed as"
            " select cluster, record_id, round + 1 as round from named where is_taken"
        )
        left = con.execute("select count(*) from unnamed").fetchone()
        if left is None or left[0] == 0:
            return
    raise GridCRMError(
        f"no free customer id was found for a group in {MAX_ROUNDS} rounds: look at the identity ledger"
    )
