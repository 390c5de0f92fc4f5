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
    """An approved message. ``offer`` says which offer an e-mail makes; the language is the id's suffix."""

    content: str
    action: str
    tone: str
    offer: str = ""


TEMPLATES = (
    Template("LTR_REMINDER_FRIENDLY", REMINDER, "friendly"),
    Template("LTR_REMINDER_FORMAL", REMINDER, "formal"),
    Template("LTR_PLAN_OFFER", PLAN_OFFER, "supportive"),
    Template("CALL_PAYMENT_HELP", CALL_HELP, "supportive"),
    Template("CALL_RETENTION", CALL_RETENTION, "friendly"),
    Template("EML_TOU_OFFER", EMAIL_OFFER, "friendly", "tou"),
    Template("EML_EFFICIENCY_OFFER", EMAIL_OFFER, "friendly", "efficiency"),
    Template("EML_EV_OFFER", EMAIL_OFFER, "friendly", "ev"),
)

#: Words of an offer's id that say which approved e-mail carries it; what matches none goes out as the
#: efficiency offer.
_OFFER_WORDS = (("ev", "ev"), ("tou", "tou"), ("time", "tou"))


def offer_family(offer_id: str) -> str:
    """The kind of offer that an offer's id names: 'ev', 'tou' or 'efficiency'."""
    words = offer_id.lower().replace("-", "_").split("_")
    return next((family for word, family in _OFFER_WORDS if word in words), "efficiency")


def content_ids(
    action: npt.NDArray[np.object_],
    tone: npt.NDArray[np.object_],
    offer: npt.NDArray[np.object_],
    language: npt.NDArray[np.object_],
) -> npt.NDArray[np.object_]:
    """The approved message of each row, '' where the action is none; unknown languages get English."""
    family = np.array([offer_family(o) for o in np.unique(offer)], dtype=object)[
        np.unique(offer, return_inverse=True)[1]
    ]
    upper = np.array([str(v).upper()[:2] for v in language], dtype=object)
    suffix = np.where(contains(upper, LANGUAGES), upper, "EN").astype(object)
    result = np.full(len(action), "", dtype=object)
    for template in TEMPLATES:
        rows = (action == template.action) & ((tone == template.tone) | (template.action != REMINDER))
        if template.offer:
            rows &= family == template.offer
        result[rows] = template.content + "_" + suffix[rows]
    return result
