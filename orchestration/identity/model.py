"""What is compared between two records, and how much each agreement is worth before any data is seen.

Belongs here: the comparisons as data (levels from best to worst, each with the words a reviewer reads and
prior probabilities), the blocking rules, and the Splink settings made of them. Does not belong here:
running Splink.

Each level has three shares: ``m`` of pairs that are one person, ``h`` of pairs that are two people of one
household, ``u`` of strangers. The data moves m and u (:mod:`.matching`); as they stand they serve a
utility with too few records to learn from, and say what is common knowledge: a birth date is shared by one
stranger in some twenty thousand, the commonest given names by one in a hundred, a household shares its
surname, address and telephone and not its given names, a father and son may share the name and not the
birth date, twins the birth date and not the name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True)
class Level:
    """One grade of agreement: a condition over columns ``*_l`` and ``*_r``, its words, and its priors."""

    words: str
    sql: str
    m: float
    h: float
    u: float
    tf_column: str | None = None
    """Agreement on a rare value of this column weighs more than on a common one (term frequency)."""


@dataclass(frozen=True)
class Comparison:
    """One field's grades of agreement, best first; ``unknown`` is the condition under which it says
    nothing.
    """

    name: str
    words: str
    unknown: str
    levels: tuple[Level, ...]
    m_different_at_most: float = 1.0
    """When a larger share of "one person" is learnt to differ here, what was learnt is not one person."""


TYPO_NAME: Final = (
    "(jaro_winkler_similarity({l}, {r}) >= 0.88 or (length({l}) > 3 and damerau_levenshtein({l}, {r}) <= 1))"
)
"""Spelled almost alike."""

GIVEN_IS_TYPO: Final = (
    f"({TYPO_NAME.format(l='given_l', r='given_r')}"
    " and (least(given_n_l, given_n_r) <= 2"
    " or least(given_n_l, given_n_r) < 0.02 * greatest(given_n_l, given_n_r)))"
)
"""A spelling mistake is rare beside the right form; John and Joan are both common, so they are two people."""

INITIAL: Final = "((length(given_l) = 1 or length(given_r) = 1) and left(given_l, 1) = left(given_r, 1))"
SWAPPED: Final = "(given_l = surname_r and surname_l = given_r)"
SURNAME_PART: Final = (
    "(list_has_any(string_split(surname_l, ' '), string_split(surname_r, ' ')) and length(surname_l) > 2)"
)
EMAIL_IS_TYPO: Final = (
    "(damerau_levenshtein(email_l, email_r) <= 2"
    " and regexp_replace(email_l, '[^0-9]', '', 'g') = regexp_replace(email_r, '[^0-9]', '', 'g'))"
)
"""Two letters astray; with other digits it is the address of a namesake."""

BIRTH_EXCHANGED: Final = (
    "(left(birth_l, 4) = left(birth_r, 4) and birth_l[5:6] = birth_r[7:8] and birth_l[7:8] = birth_r[5:6])"
)
BIRTH_TWO_PARTS: Final = (
    "(left(birth_l, 6) = left(birth_r, 6) or right(birth_l, 4) = right(birth_r, 4)"
    " or (left(birth_l, 4) = left(birth_r, 4) and right(birth_l, 2) = right(birth_r, 2)))"
)
BIRTH_NEAR: Final = f"(damerau_levenshtein(birth_l, birth_r) <= 1 or {BIRTH_EXCHANGED})"

COMPARISONS: Final = (
    Comparison(
        "given",
        "given name",
        "given_l is null or given_r is null",
        (
            Level("same", "given_l = given_r", 0.74, 0.02, 0.006, "given"),
            Level("short form", "list_has_any(given_forms_l, given_forms_r)", 0.08, 0.005, 0.004),
            Level("exchanged with surname", SWAPPED, 0.02, 0.00001, 0.00002),
            Level("initial", INITIAL, 0.04, 0.004, 0.004),
            Level("similar spelling", GIVEN_IS_TYPO, 0.09, 0.004, 0.004),
            Level("different", "else", 0.03, 0.967, 0.982),
        ),
        m_different_at_most=0.3,
    ),
    Comparison(
        "surname",
        "surname",
        # Exchanged names have spoken once, as the given name; to count them twice would make them certain.
        f"surname_l is null or surname_r is null or coalesce({SWAPPED}, false)",
        (
            Level("same", "surname_l = surname_r", 0.87, 0.8, 0.004, "surname"),
            Level("similar spelling", TYPO_NAME.format(l="surname_l", r="surname_r"), 0.08, 0.01, 0.006),
            Level("one part the same", SURNAME_PART, 0.01, 0.03, 0.0005),
            Level("different", "else", 0.04, 0.16, 0.9895),
        ),
        m_different_at_most=0.3,
    ),
    Comparison(
        "birth",
        "birth date",
        "birth_l is null or birth_r is null",
        (
            Level("same", "birth_l = birth_r", 0.86, 0.01, 0.00006),
            Level("one digit or day and month exchanged", BIRTH_NEAR, 0.08, 0.002, 0.0012),
            Level("two parts the same", BIRTH_TWO_PARTS, 0.03, 0.008, 0.006),
            Level("different", "else", 0.03, 0.98, 0.99274),
        ),
        m_different_at_most=0.3,
    ),
    Comparison(
        "phone",
        "telephone",
        "phones_l is null or phones_r is null",
        (
            Level("shared", "list_has_any(phones_l, phones_r)", 0.75, 0.5, 0.0004),
            Level("different", "else", 0.25, 0.5, 0.9996),
        ),
    ),
    Comparison(
        "email",
        "e-mail",
        "email_l is null or email_r is null",
        (
            Level("same", "email_l = email_r", 0.74, 0.15, 0.0001),
            Level("same before the @", "email_local_l = email_local_r", 0.04, 0.02, 0.0003),
            Level("similar spelling", EMAIL_IS_TYPO, 0.06, 0.01, 0.0004),
            Level("different", "else", 0.16, 0.82, 0.9992),
        ),
    ),
    Comparison(
        "address",
        "address",
        "address_l is null or address_r is null",
        (
            Level("same", "address_l = address_r and postcode_l = postcode_r", 0.68, 0.93, 0.0006),
            Level(
                "similar spelling",
                # The neighbours' address differs from one's own by the house number alone.
                "house_l = house_r and jaro_winkler_similarity(address_l, address_r) >= 0.9 and"
                " (postcode_l = postcode_r or damerau_levenshtein(address_l, address_r) <= 2)",
                0.14,
                0.05,
                0.0015,
            ),
            Level("only the postcode the same", "postcode_l = postcode_r", 0.06, 0.01, 0.05),
            Level("different", "else", 0.12, 0.01, 0.9479),
        ),
    ),
    Comparison(
        "account",
        "account number",
        "account_l is null or account_r is null",
        (
            Level("same", "account_l = account_r", 0.7, 0.4, 0.0003),
            Level("different", "else", 0.3, 0.6, 0.9997),
        ),
    ),
    Comparison(
        "business",
        "business name",
        "business_l is null or business_r is null",
        (
            Level("same", "business_l = business_r", 0.8, 0.002, 0.002),
            Level(
                "similar spelling",
                "jaro_winkler_similarity(business_l, business_r) >= 0.92",
                0.15,
                0.004,
                0.004,
            ),
            Level("different", "else", 0.05, 0.994, 0.994),
        ),
    ),
)
"""Everything that is compared, in the order a reviewer reads it."""

_SAME_KIND: Final = "l.kind = r.kind"
PREDICTION_BLOCKS: Final = (
    f"{_SAME_KIND} and l.account = r.account",
    f"{_SAME_KIND} and l.phone_1 = r.phone_1",
    f"{_SAME_KIND} and l.phone_1 = r.phone_2",
    f"{_SAME_KIND} and l.phone_2 = r.phone_1",
    f"{_SAME_KIND} and l.phone_2 = r.phone_2",
    f"{_SAME_KIND} and l.email = r.email",
    f"{_SAME_KIND} and l.surname = r.surname and l.postcode = r.postcode",
    f"{_SAME_KIND} and l.given = r.given and l.postcode = r.postcode",
    f"{_SAME_KIND} and l.given = r.given and l.surname = r.surname",
    f"{_SAME_KIND} and l.birth = r.birth",
    f"{_SAME_KIND} and l.address = r.address",
    f"{_SAME_KIND} and l.given = r.surname and l.surname = r.given",
    f"{_SAME_KIND} and l.business = r.business",
)
"""Only pairs that agree on one of these are looked at; persons never meet businesses."""

TRAINING_BLOCKS: Final = (("birth",), ("surname", "given"), ("email",), ("account",))
"""Blocks for expectation maximisation: each learns the comparisons that do not use its own columns."""

CERTAIN_RULES: Final = (
    "l.kind = r.kind and l.surname = r.surname and l.given = r.given and l.birth = r.birth",
    "l.kind = r.kind and l.surname = r.surname and l.given = r.given and l.email = r.email",
    "l.kind = r.kind and l.surname = r.surname and l.given = r.given and l.account = r.account",
)
"""Agreements that are hardly ever wrong, from which the share of matching pairs is estimated."""

CERTAIN_RECALL: Final = 0.6
"""The share of true pairs that :data:`CERTAIN_RULES` are assumed to find."""


def splink_settings(
    *,
    p_match: float,
    parameters: dict[str, list[tuple[float, float]]] | None = None,
    seed_uid: str = "gridcrm",
) -> dict[str, Any]:
    """Splink's settings with ``parameters`` (m, u by comparison and level) or, without them, the priors."""
    comparisons = [
        {
            "output_column_name": comparison.name,
            "comparison_description": comparison.words,
            "comparison_levels": [
                {"sql_condition": comparison.unknown, "label_for_charts": "unknown", "is_null_level": True},
                *(
                    _splink_level(
                        level, *(parameters[comparison.name][rank] if parameters else (level.m, level.u))
                    )
                    for rank, level in enumerate(comparison.levels)
                ),
            ],
        }
        for comparison in COMPARISONS
    ]
    return {
        "link_type": "dedupe_only",
        "unique_id_column_name": "record_id",
        "linker_uid": seed_uid,
        "probability_two_random_records_match": p_match,
        "comparisons": comparisons,
        "blocking_rules_to_generate_predictions": [{"blocking_rule": rule} for rule in PREDICTION_BLOCKS],
        "retain_matching_columns": True,  # without it Splink does not say on which level a pair agreed
        "retain_intermediate_calculation_columns": False,
        "max_iterations": 15,
        "em_convergence": 0.001,
    }


def _splink_level(level: Level, m: float, u: float) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "sql_condition": "ELSE" if level.sql == "else" else level.sql,
        "label_for_charts": level.words,
        "m_probability": m,
        "u_probability": u,
    }
    if level.tf_column is not None:
        settings |= {
            "tf_adjustment_column": level.tf_column,
            "tf_adjustment_weight": 1.0,
            "tf_minimum_u_value": 0.0005,
        }
    return settings
