"""Who may not be treated how: hard rules by jurisdiction and date, as a table.

Here belongs: what the law or the house forbids, whatever it would be worth. What is worth doing belongs to
treatment. A rule names a flag of ``customer_360`` and the actions it suppresses; medical status is a
declared flag and is never inferred from load. Value never appears here: it may not lower anybody's service.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from orchestration.scoring.frames import Bools, flags

CALL_HELP, REMINDER, EMAIL_OFFER, PLAN_OFFER, CALL_RETENTION, NONE = (
    "call_payment_help",
    "letter_reminder",
    "email_offer",
    "letter_plan_offer",
    "call_retention",
    "none",
)
ACTIONS = (CALL_HELP, REMINDER, EMAIL_OFFER, PLAN_OFFER, CALL_RETENTION)
CHANNEL = {
    CALL_HELP: "phone",
    REMINDER: "letter",
    EMAIL_OFFER: "email",
    PLAN_OFFER: "letter",
    CALL_RETENTION: "phone",
}
PURPOSE = {
    CALL_HELP: "payment_help",
    REMINDER: "collections",
    EMAIL_OFFER: "marketing",
    PLAN_OFFER: "payment_help",
    CALL_RETENTION: "marketing",
}
MARKETING = (EMAIL_OFFER, CALL_RETENTION)
_PAYMENT = (CALL_HELP, REMINDER, PLAN_OFFER)


@dataclass(frozen=True)
class Rule:
    """``flag`` set suppresses ``actions`` in ``jurisdiction`` ('*': everywhere) from one date until
    another."""

    code: str
    flag: str
    actions: tuple[str, ...]
    jurisdiction: str = "*"
    effective_from: date = date(2000, 1, 1)
    effective_to: date | None = None

    def applies(self, jurisdiction: str, on: date) -> bool:
        """Whether the rule is in force there and then."""
        place = self.jurisdiction in ("*", jurisdiction)
        return place and self.effective_from <= on and (self.effective_to is None or on <= self.effective_to)


RULES = (
    Rule("medical_priority", "is_medical", (REMINDER,)),
    Rule("vulnerable", "is_vulnerable", (REMINDER,)),
    Rule("open_dispute", "has_open_dispute", _PAYMENT),
    Rule("deceased", "is_deceased", ACTIONS),
    Rule("bankruptcy", "is_bankrupt", _PAYMENT),
    Rule("do_not_contact", "is_do_not_contact", ACTIONS),
    Rule("do_not_call", "is_do_not_call", (CALL_HELP, CALL_RETENTION)),
    Rule("refused_letters", "has_refused_collections_letter", (REMINDER, PLAN_OFFER)),
    Rule("active_plan", "has_active_plan", _PAYMENT),
    Rule("account_ended", "has_ended", (*MARKETING, PLAN_OFFER)),
    # A house rule of Riverbend: nobody hears a sales call while a payment plan is running.
    Rule("active_plan", "has_active_plan", (CALL_RETENTION,), jurisdiction="US-WI"),
)


def suppressed(customers: pd.DataFrame, jurisdiction: str, on: date) -> dict[str, Bools]:
    """Per rule in force, the customers it names and the actions it takes from them: code → customers ×
    ACTIONS."""
    result: dict[str, Bools] = {}
    for rule in RULES:
        if rule.applies(jurisdiction, on):
            mask = flags(customers, rule.flag)[:, None] & np.isin(ACTIONS, rule.actions)[None, :]
            result[rule.code] = result.get(rule.code, np.zeros_like(mask)) | mask
    return result
