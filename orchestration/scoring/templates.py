"""Approved messages by purpose, channel, tone and language, as ids.

Here belongs which message may be used for what. Its text lives with the letters and the campaign tool; an id
that is not in this table is never sent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orchestration.scoring.frames import contains
from orchestration.scoring.rules import CALL_HELP, CALL_RETENTION, EMAIL_OFFER, PLAN_OFFER, REMINDER

LANGUAGES = ("EN", "ES")


@dataclass(frozen=True)
class Template:
    """An approved message; ``offers`` are the offers an e-mail may make. The language is the id's suffix."""

    content: str
    action: str
    tone: str
    offers: tuple[str, ...] = ()


TEMPLATES = (
    Template("LTR_REMINDER_FRIENDLY", REMINDER, "friendly"),
    Template("LTR_REMINDER_FORMAL", REMINDER, "formal"),
    Template("LTR_PLAN_OFFER", PLAN_OFFER, "supportive"),
    Template("CALL_PAYMENT_HELP", CALL_HELP, "supportive"),
    Template("CALL_RETENTION", CALL_RETENTION, "friendly"),
    Template("EML_TOU_OFFER", EMAIL_OFFER, "friendly", ("tou_tariff",)),
    Template("EML_EFFICIENCY_OFFER", EMAIL_OFFER, "friendly", ("energy_audit",)),
    Template("EML_EV_OFFER", EMAIL_OFFER, "friendly", ("ev_tariff",)),
)

#: Offers that an e-mail may make; one without an approved message is not made.
OFFERS = tuple(offer for template in TEMPLATES for offer in template.offers)


def content_ids(
    action: npt.NDArray[np.object_],
    tone: npt.NDArray[np.object_],
    offer: npt.NDArray[np.object_],
    language: npt.NDArray[np.object_],
) -> npt.NDArray[np.object_]:
    """The approved message of each row, '' where the action is none; unknown languages get English."""
    upper = np.array([str(v).upper()[:2] for v in language], dtype=object)
    suffix = np.where(contains(upper, LANGUAGES), upper, "EN").astype(object)
    result = np.full(len(action), "", dtype=object)
    for template in TEMPLATES:
        rows = (action == template.action) & ((tone == template.tone) | (template.action != REMINDER))
        if template.offers:
            rows &= contains(offer, template.offers)
        result[rows] = template.content + "_" + suffix[rows]
    return result
