"""Pairs of records with the probability that they are one person, learnt without labels by Splink.

Belongs here: training, prediction, and the rules of households that probabilities alone get wrong. Does
not belong here: what is compared (:mod:`.model`) and how pairs become groups (:mod:`.clusters`).

Fellegi–Sunter as Splink does it: u from a seeded random sample of pairs, m by expectation maximisation in
blocks, the share of matching pairs from rules that are hardly ever wrong. Every learnt parameter is drawn
towards its prior by a weight that falls as records grow, and where a block has no pairs, or expectation
maximisation has settled on something that is not "the same person" (its best level no longer speaks for a
match), the prior stands.

Fellegi–Sunter knows two kinds of pairs, and takes two people of one household, who share surname, address,
telephone and account, for one. So a third kind is added after prediction: with r the ratio of household
pairs to matching pairs, ``p = 1 / (1 + r * product(h / m) + 1 / odds)``, odds being Splink's. Only what
tells members of a household apart (given name, birth date, e-mail) can then outweigh it. r is learnt too,
by expectation maximisation over the pairs.
"""

from __future__ import annotations

import copy
import logging
import math
import warnings
from typing import Any, Final

import duckdb
import numpy as np
from splink import DuckDBAPI, Linker, block_on

from orchestration.identity.model import (
    CERTAIN_RECALL,
    CERTAIN_RULES,
    COMPARISONS,
    TRAINING_BLOCKS,
    Comparison,
    splink_settings,
)

PRIOR_RECORDS: Final = 400
"""At this many records the data and the priors have equal weight."""

MIN_TRAINING_RECORDS: Final = 40
"""Fewer records teach nothing; the priors would outweigh them ten to one."""

MIN_TRAINING_PAIRS: Final = 100
"""Fewer pairs in a block teach nothing."""

PRIOR_HOUSEHOLD_RATIO: Final = 0.5
PRIOR_HOUSEHOLD_PAIRS: Final = 20
"""Before any data: half as many pairs of household members as pairs of one person, believed as much as 20
pairs.
"""

HOUSEHOLD_ITERATIONS: Final = 20

KEY_STRENGTH: Final = 20
"""What sharing an account under one name adds to a link, in bits."""

Parameters = dict[str, list[tuple[float, float]]]
"""m and u of each comparison's levels, best first."""


def train(
    con: duckdb.DuckDBPyConnection, *, n_records: int, seed: int, max_pairs: float
) -> tuple[float, Parameters]:
    """The probability that two random records match, and m and u of every level.

    Reads the table ``record``. Never fails for want of data: see the module's docstring.
    """
    guess = min(0.5, 0.5 / n_records)
    if n_records < MIN_TRAINING_RECORDS:
        return guess, {c.name: [(level.m, level.u) for level in c.levels] for c in COMPARISONS}
    linker = _linker(con, splink_settings(p_match=guess))
    p_match = _p_match(linker, fallback=guess)
    linker.training.estimate_u_using_random_sampling(max_pairs=max_pairs, seed=seed)
    with_u = linker.misc.save_model_to_json(out_path=None)
    sessions = [
        learnt
        for columns in TRAINING_BLOCKS
        if count_pairs(con, columns) >= MIN_TRAINING_PAIRS
        and not is_about_namesakes(learnt := _train_block(con, with_u, columns, max_pairs))
    ]
    u = {entry["output_column_name"]: _values(entry, "u_probability") for entry in with_u["comparisons"]}
    share = n_records / (n_records + PRIOR_RECORDS)
    return p_match, {
        c.name: blend(c, _mean([s[c.name] for s in sessions if c.name in s]), u[c.name], share)
        for c in COMPARISONS
    }


def _train_block(
    con: duckdb.DuckDBPyConnection, with_u: dict[str, Any], columns: tuple[str, ...], max_pairs: float
) -> dict[str, list[float | None]]:
    """m of the levels of every comparison that one block can teach, by expectation maximisation."""
    linker = _linker(con, copy.deepcopy(with_u))
    session = linker.training.estimate_parameters_using_expectation_maximisation(
        block_on(*columns), estimate_without_term_frequencies=True, max_pairs=max_pairs
    )
    taught = {comparison.output_column_name for comparison in session.core_model_settings.comparisons}
    learnt = linker.misc.save_model_to_json(out_path=None)["comparisons"]
    return {
        entry["output_column_name"]: _values(entry, "m_probability")
        for entry in learnt
        if entry["output_column_name"] in taught
    }


def is_about_namesakes(learnt: dict[str, list[float | None]]) -> bool:
    """Whether a block taught what namesakes share, rather than what one person's records do.

    Where many people have one name, the pairs of a block of names fall into strangers and neighbours, and
    expectation maximisation takes the neighbours for the same person. It gives itself away: these "same
    people" have different birth dates.
    """
    limits = {c.name: c.m_different_at_most for c in COMPARISONS}
    return any((values[-1] or 0.0) > limits[name] for name, values in learnt.items())


def _values(entry: dict[str, Any], key: str) -> list[float | None]:
    """One probability for each level that says something, best first; None where nothing was seen."""
    found = [level.get(key) for level in entry["comparison_levels"] if not level.get("is_null_level")]
    return [float(v) if isinstance(v, float | int) and math.isfinite(v) else None for v in found]


def _mean(sessions: list[list[float | None]]) -> list[float | None]:
    """The mean of what each block taught, level by level."""
    levels = [[value for value in level if value is not None] for level in zip(*sessions, strict=True)]
    return [sum(level) / len(level) if level else None for level in levels]


def count_pairs(con: duckdb.DuckDBPyConnection, columns: tuple[str, ...]) -> int:
    """How many pairs of records agree on all these columns."""
    known = " and ".join(f"{column} is not null" for column in columns)
    row = con.execute(
        "select coalesce(sum(n * (n - 1) // 2), 0) from"
        f" (select count(*) as n from record where {known} group by {', '.join(columns)})"
    ).fetchone()
    return int(row[0]) if row is not None else 0


def blend(
    comparison: Comparison, m: list[float | None], u: list[float | None], share: float
) -> list[tuple[float, float]]:
    """Learnt m and u drawn towards the priors; the priors alone where the learnt ones make no sense.

    ``share`` is the weight of what was learnt, from 0 to 1; an empty list or None is nothing learnt.
    """
    mixed_m = _mix([level.m for level in comparison.levels], m, share)
    mixed_u = _mix([level.u for level in comparison.levels], u, share)
    if mixed_m[0] <= 2 * mixed_u[0] or mixed_m[-1] >= mixed_u[-1]:
        return [(level.m, level.u) for level in comparison.levels]
    return list(zip(mixed_m, mixed_u, strict=True))


def _mix(prior: list[float], learnt: list[float | None], share: float) -> list[float]:
    known = learnt or [None] * len(prior)
    mixed = [p if v is None else share * v + (1 - share) * p for p, v in zip(prior, known, strict=True)]
    total = sum(mixed)
    return [value / total for value in mixed]


def predict(
    con: duckdb.DuckDBPyConnection, *, p_match: float, parameters: Parameters, at_least: float
) -> tuple[dict[str, Any], float]:
    """Make the table ``pair``: record ids, probability, the level of each agreement, and the evidence.

    Pairs whose probability without households is below ``at_least`` are left out.

    Returns Splink's settings as they were used, and the learnt number of household pairs per matching pair.
    """
    settings = splink_settings(p_match=p_match, parameters=parameters)
    predictions = _linker(con, settings).inference.predict(
        threshold_match_probability=at_least, warning_mode="never"
    )
    con.execute(
        f"""
        create or replace table scored as
        select p.*, l.kind, p.match_weight as odds_log2,
            case when l.kind = 'P' then {household_sql(parameters)} end as household_ln
        from {predictions.physical_name} p
        join record l on l.record_id = p.record_id_l
        """
    )
    ratio = learn_household_ratio(con)
    gammas = ", ".join(f"p.gamma_{c.name}" for c in COMPARISONS)
    con.execute(
        f"""
        create or replace table pair as
        select
            p.record_id_l, p.record_id_r, p.kind,
            {ratio} * coalesce(exp(p.household_ln), 0) + pow(2, -p.odds_log2) as odds_against,
            round(1 / (1 + odds_against), 6) as p,
            round(-log2(odds_against), 3) as strength,
            {gammas},
            coalesce(l.suffix <> r.suffix, false) as suffix_differs,
            (l.suffix is null) <> (r.suffix is null) as suffix_is_one_sided,
            {evidence_sql()} as evidence
        from scored p
        join record l on l.record_id = p.record_id_l
        join record r on r.record_id = p.record_id_r
        """
    )
    return settings, ratio


def learn_household_ratio(con: duckdb.DuckDBPyConnection) -> float:
    """Household pairs per matching pair, by expectation maximisation over the table ``scored``."""
    found = con.execute(
        "select odds_log2, household_ln from scored where household_ln is not null"
        " order by record_id_l, record_id_r"
    ).fetchnumpy()
    stranger = np.exp2(-np.asarray(found["odds_log2"], dtype=float))
    household = np.exp(np.asarray(found["household_ln"], dtype=float))
    ratio = PRIOR_HOUSEHOLD_RATIO
    for _ in range(HOUSEHOLD_ITERATIONS):
        p_same = 1 / (1 + ratio * household + stranger)
        matches = PRIOR_HOUSEHOLD_PAIRS + float(p_same.sum())
        mates = PRIOR_HOUSEHOLD_PAIRS * PRIOR_HOUSEHOLD_RATIO + float((ratio * household * p_same).sum())
        ratio = mates / matches
    return round(ratio, 4)


def household_sql(parameters: Parameters) -> str:
    """SQL for ln(product of h / m): how much better a household explains a pair than one person does."""
    terms = []
    for comparison in COMPARISONS:
        best = len(comparison.levels) - 1
        cases = " ".join(
            f"when {best - rank} then {math.log(level.h / parameters[comparison.name][rank][0]):.6f}"
            for rank, level in enumerate(comparison.levels)
        )
        terms.append(f"case p.gamma_{comparison.name} {cases} else 0 end")
    return " + ".join(terms)


def evidence_sql() -> str:
    """SQL for one line in words, field by field, without any value; unknown fields are left out."""
    parts = []
    for comparison in COMPARISONS:
        best = len(comparison.levels) - 1
        cases = " ".join(
            f"when {best - rank} then '{comparison.words}: {level.words}'"
            for rank, level in enumerate(comparison.levels)
        )
        parts.append(f"case p.gamma_{comparison.name} {cases} end")
    return f"concat_ws('; ', {', '.join(parts)})"


def gamma(comparison: str, words: str) -> int:
    """Splink's number for a level of a comparison: the best level has the highest, the last has 0."""
    levels = next(c.levels for c in COMPARISONS if c.name == comparison)
    return len(levels) - 1 - [level.words for level in levels].index(words)


def judge(con: duckdb.DuckDBPyConnection, *, merge_at: float, review_at: float) -> None:
    """Make the table ``judged``: each pair with ``verdict`` merge, review or apart, and ``decided_by``.

    Above the probabilities stand three rules: the same account with the same name, or a form of it, is one
    customer (``account_key``, unless the birth dates differ); Senior and Junior are two; and a Junior is
    not merged with a namesake without a suffix unless the birth dates agree, since a Junior has a namesake
    at home.
    """
    key = (
        f"gamma_account = {gamma('account', 'same')} and not suffix_differs and not is_namesake"
        f" and (kind = 'B' and gamma_business > {gamma('business', 'different')}"
        f" or kind = 'P' and gamma_given >= {gamma('given', 'initial')}"
        f" and gamma_surname <> {gamma('surname', 'different')}"
        f" and gamma_birth <> {gamma('birth', 'different')})"
    )
    con.execute(
        f"""
        create or replace table judged as
        with named as (
            select *, suffix_is_one_sided
                and gamma_birth < {gamma("birth", "one digit or day and month exchanged")} as is_namesake
            from pair
        ),
        keyed as (select *, {key} as is_key from named)
        select
            record_id_l, record_id_r, evidence,
            case when is_key then 1.0 when suffix_differs then 0.0 else p end as p,
            case when is_key then strength + {KEY_STRENGTH} else strength end as strength,
            case when is_key then 'account_key' else 'splink' end as decided_by,
            case
                when is_key then 'merge'
                when suffix_differs then 'apart'
                when p >= {merge_at} and not is_namesake then 'merge'
                when p >= {review_at} then 'review'
                else 'apart'
            end as verdict
        from keyed
        """
    )


def _linker(con: duckdb.DuckDBPyConnection, settings: dict[str, Any]) -> Linker:
    """A linker over ``record`` that says nothing on the terminal."""
    logging.getLogger("splink").setLevel(logging.ERROR)
    api = DuckDBAPI(connection=con)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Linker(api.register("record"), settings, log_level=None, validate_settings=False)


def _p_match(linker: Linker, *, fallback: float) -> float:
    """The share of matching pairs by the certain rules, or ``fallback`` when they find none or too many."""
    try:
        linker.training.estimate_probability_two_random_records_match(
            list(CERTAIN_RULES), recall=CERTAIN_RECALL
        )
    except ValueError:  # more certain pairs than the assumed recall allows: a handful of records, all alike
        return fallback
    estimated = float(linker.misc.save_model_to_json(out_path=None)["probability_two_random_records_match"])
    return estimated if 0 < estimated < 1 else fallback
