"""What scoring says of the town: see town.py for who lives there."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.dbt_project.raw_tables import AS_OF, SCORE_SCHEMAS, at, customer_id

#: action, channel, purpose, offer of each customer's treatment.
ACTIONS: Mapping[int, tuple[str, str, str, str | None]] = {
    1: ("email_offer", "email", "marketing", "thermostat"),
    2: ("letter_reminder", "letter", "collections", None),
    3: ("letter_reminder", "letter", "collections", None),
    4: ("letter_reminder", "letter", "collections", None),
    5: ("none", "none", "none", None),
    6: ("letter_plan_offer", "letter", "payment_help", None),
    7: ("email_offer", "email", "marketing", "thermostat"),
    8: ("call_payment_help", "phone", "payment_help", None),
    9: ("call_retention", "phone", "marketing", None),
}


def write_scores(root: Path) -> None:
    """Scores of the as-of date, and of the day before it with another value band, which must not be read."""
    for as_of in (AS_OF - timedelta(days=1), AS_OF):
        for score, schema in SCORE_SCHEMAS.items():
            rows = [{**_contract(n, as_of), **_own(score, n, as_of)} for n in range(1, 10)]
            if score == "call_plan":
                rows = [row for row in rows if row["subject_id"] in {customer_id(n) for n in (2, 3, 8, 9)}]
            target = root / "scores" / score / f"as_of_date={as_of}" / "part.parquet"
            target.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.Table.from_pylist(rows, schema=schema), target)


def _contract(number: int, as_of: date) -> dict[str, Any]:
    return {
        "subject_id": customer_id(number),
        "as_of_at": at(as_of),
        "model_version": "1",
        "feature_cutoff_at": at(as_of),
        "score": 0.5,
        "eligible": number != 5,
        "ineligible_reason": "account_ended" if number == 5 else None,
        "lawful_basis": "contract",
        "consent_version": "none",
        "reason_1": "arrears",
    }


def _own(score: str, number: int, as_of: date) -> dict[str, Any]:
    action, channel, purpose, offer = ACTIONS[number]
    is_today = as_of == AS_OF
    return {
        "customer_value": {
            "value_band": "B" if is_today else "Z",
            "clv_12m_usd": 100.004,
            "clv_60m_usd": 400.0,
        },
        "non_payment": {"p_30dpd": 0.1, "payment_segment": "forgot"},
        "decline": {"lifecycle_stage": "at_peak"},
        "segments": {"value_segment": "high", "load_shape_segment": "evening"},
        "call_plan": {
            "call_date": AS_OF + timedelta(days=1),
            "slot": 36,
            "window_start_local": "18:00",
            "window_end_local": "18:30",
            "p_contact": 0.4,
            "purpose": "marketing" if number == 9 else "payment_help",
            "priority": number,
        },
        "treatment": {
            "action_id": action,
            "channel": channel,
            "send_window": "evening",
            "tone": "friendly",
            "content_id": f"{action}.en",
            "propensity": 0.9,
            "suppressed_by": "",
            "purpose": purpose,
            "is_holdout": False,
            "offer_id": offer,
        },
        "inbound_card": {"card": '{"greeting_name": "there"}'},
    }[score]
