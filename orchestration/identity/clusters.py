"""Pairs become groups, and no group grows by accident.

Belongs here: connected components over sure pairs, the guard against over-merging, and which pairs a
person has to look at. Does not belong here: probabilities and ids.

A chain of good-looking pairs can join people who contradict each other: John – J. – James. A group that
holds a contradiction, or is larger than one person's records plausibly are, loses its weakest links, rung
by rung, until neither is the case; the links it lost go to review instead.
"""

from __future__ import annotations

from typing import Final

import duckdb
import numpy as np
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from orchestration.identity.model import BIRTH_NEAR, BIRTH_TWO_PARTS, GIVEN_IS_TYPO, INITIAL, SWAPPED

MAX_CUTS: Final = 100
"""Rounds of cutting the weakest link; a group still unsound after them falls apart into single records."""

BY_HAND: Final = 1e9
"""The strength of a link that a person decided."""

CONTRADICTION: Final = f"""(
    (suffix_l <> suffix_r)
    or (given_l <> given_r and not list_has_any(given_forms_l, given_forms_r) and not {INITIAL}
        and not {GIVEN_IS_TYPO} and not coalesce({SWAPPED}, false)
        and not coalesce({BIRTH_NEAR}, false))
    or (not ({BIRTH_NEAR}) and not ({BIRTH_TWO_PARTS}))
)"""
"""Generation, given name without a supporting birth date, or birth date: two records that can hardly be
one person.
"""

CONTRADICTS_BELOW: Final = 0.05
"""They contradict each other unless all their fields together give the pair at least this probability."""


def group_records(con: duckdb.DuckDBPyConnection, *, max_size: int) -> dict[str, int]:
    """Make ``grouped`` (record_id, cluster, match_probability, decided_by) and ``to_review`` from ``judged``.

    Also reads ``record`` and ``decision`` (record_id_l, record_id_r, verdict ``together`` or ``apart``:
    what people decided, which no probability overrules). Returns how many groups were cut and how many
    links they lost.
    """
    con.execute(
        "create or replace table node as select record_id, row_number() over (order by record_id) - 1 as code"
        " from record"
    )
    con.execute(
        f"""
        create or replace table edge as
        with decided as (
            select least(record_id_l, record_id_r) as record_id_l,
                greatest(record_id_l, record_id_r) as record_id_r, max(verdict) as verdict
            from decision group by all
        ),
        links as (
            select j.record_id_l, j.record_id_r, j.p, j.strength, j.decided_by
            from judged j anti join decided d using (record_id_l, record_id_r)
            where j.verdict = 'merge'
            union all
            select record_id_l, record_id_r, 1.0, {BY_HAND}, 'manual' from decided where verdict = 'together'
        )
        select l.code as l, r.code as r, links.*
        from links join node l on l.record_id = record_id_l join node r on r.record_id = record_id_r
        order by l, r
        """
    )
    edges = con.execute("select l, r, strength from edge order by l, r").fetchnumpy()
    left, right = np.asarray(edges["l"], dtype=np.int64), np.asarray(edges["r"], dtype=np.int64)
    strength = np.asarray(edges["strength"], dtype=float)
    nodes = con.execute("select count(*) from node").fetchone()
    n_nodes = int(nodes[0]) if nodes is not None else 0
    kept = np.ones(len(left), dtype=bool)
    labels = _components(n_nodes, left, right, kept)
    suspect = np.ones(n_nodes, dtype=bool)
    for turn in range(MAX_CUTS + 1):
        suspect = np.isin(labels, _unsound(con, labels, suspect, max_size=max_size))
        at_stake = kept & suspect[left] & (strength < BY_HAND)
        if not at_stake.any():
            break
        weakest = np.full(n_nodes, np.inf)
        np.minimum.at(weakest, labels[left[at_stake]], strength[at_stake])
        kept &= ~(at_stake & ((strength <= weakest[labels[left]]) | (turn == MAX_CUTS)))
        labels = _components(n_nodes, left, right, kept)
    con.register("label", pa.table({"code": np.arange(n_nodes), "cluster": labels}))
    con.register("kept_edge", pa.table({"l": left, "r": right, "is_kept": kept}))
    _make_grouped(con)
    _make_review(con)
    con.unregister("label")
    con.unregister("kept_edge")
    return {"links_cut": int((~kept).sum())}


def _make_grouped(con: duckdb.DuckDBPyConnection) -> None:
    con.execute(
        """
        create or replace table grouped as
        with ends as (
            select unnest([e.l, e.r]) as code, e.p, e.strength, e.decided_by
            from edge e join kept_edge k using (l, r) where k.is_kept
        ),
        best as (select code, max(p) as p, max_by(decided_by, strength) as decided_by from ends group by code)
        select n.record_id, label.cluster, coalesce(best.p, 1.0) as match_probability,
            coalesce(best.decided_by, 'single') as decided_by
        from node n join label using (code) left join best using (code)
        """
    )


def _make_review(con: duckdb.DuckDBPyConnection) -> None:
    """The middle, and the links a guard cut; not what has been decided or came together by another way."""
    con.execute(
        """
        create or replace table to_review as
        with asked as (
            select record_id_l, record_id_r, p as match_probability, evidence
            from judged where verdict = 'review'
            union all
            select record_id_l, record_id_r, j.p,
                j.evidence || '; group: holds records that contradict each other'
            from judged j join edge e using (record_id_l, record_id_r) join kept_edge k using (l, r)
            where not k.is_kept
        )
        select a.record_id_l, a.record_id_r, a.match_probability, a.evidence
        from (select record_id_l, record_id_r, max(match_probability) as match_probability,
                max_by(evidence, match_probability) as evidence from asked group by all) a
        join grouped l on l.record_id = a.record_id_l
        join grouped r on r.record_id = a.record_id_r
        anti join decision d
            on least(d.record_id_l, d.record_id_r) = least(a.record_id_l, a.record_id_r)
            and greatest(d.record_id_l, d.record_id_r) = greatest(a.record_id_l, a.record_id_r)
        where l.cluster <> r.cluster
        """
    )


def _components(n_nodes: int, left: np.ndarray, right: np.ndarray, kept: np.ndarray) -> np.ndarray:
    ones = np.ones(int(kept.sum()), dtype=np.int8)
    graph = coo_array((ones, (left[kept], right[kept])), shape=(n_nodes, n_nodes))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _unsound(
    con: duckdb.DuckDBPyConnection, labels: np.ndarray, suspect: np.ndarray, *, max_size: int
) -> np.ndarray:
    """Clusters of ``suspect`` records that are too large or hold two records that contradict each other or
    were decided apart.
    """
    sizes = np.bincount(labels)
    con.register("tried", pa.table({"code": np.flatnonzero(suspect), "cluster": labels[suspect]}))
    con.register("tried_size", pa.table({"cluster": np.arange(len(sizes)), "n": sizes}))
    sides = ", ".join(
        f"{side}.{column} as {column}_{side}"
        for side in "lr"
        for column in ("given", "given_forms", "given_n", "surname", "suffix", "birth")
    )
    found = con.execute(
        f"""
        with member as (
            select t.cluster, s.n, node.record_id
            from tried t join tried_size s using (cluster) join node using (code) where s.n > 1
        ),
        inside as (
            select a.cluster, a.record_id as record_id_l, b.record_id as record_id_r, {sides}
            from member a
            join member b on b.cluster = a.cluster and b.record_id > a.record_id
            join record l on l.record_id = a.record_id
            join record r on r.record_id = b.record_id
            where a.n between 3 and {max_size}
        )
        select distinct cluster from (
            select cluster from tried_size where n > {max_size}
            union all
            select i.cluster
            from inside i
            anti join judged j
                on j.record_id_l = i.record_id_l and j.record_id_r = i.record_id_r
                and j.p >= {CONTRADICTS_BELOW}
            where {CONTRADICTION}
            union all
            select a.cluster
            from decision d
            join member a on a.record_id = d.record_id_l
            join member b on b.record_id = d.record_id_r and b.cluster = a.cluster
            where d.verdict = 'apart'
        )
        """
    ).fetchnumpy()
    con.unregister("tried")
    con.unregister("tried_size")
    return np.asarray(found["cluster"], dtype=np.int64)
