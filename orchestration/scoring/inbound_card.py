"""The inbound card: what an agent reads in the first second of a call.

Here belongs the choice and wording of verified facts: safety flags first, then an open dispute, arrears and
outages, then value band and up to three actions with reasons. Nothing inferred about health, nothing about
who is at home, and no score. It is computed ahead, so that it is read by key in milliseconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from orchestration.scoring.contract import Evaluation, Reasons, Score, ScoreContext, ScoreResult, finish
from orchestration.scoring.frames import Bools, contains, flags, need, numbers, texts
from orchestration.scoring.rules import NONE

_REASON = {
    "call_payment_help": "an overdue bill, and help has been found to work",
    "letter_reminder": "an overdue bill",
    "letter_plan_offer": "an overdue bill and signs of tight months",
    "call_retention": "use or contract is coming to an end",
    "email_offer": "an offer that suits how this customer uses energy",
    "offer_payment_plan": "arrears and no plan is running",
    "explain_outage": "outages in the last 90 days",
    "follow_dispute": "a dispute is open: say where it stands",
    "renew_contract": "the contract ends within 60 days",
    "confirm_contact_details": "telephone or e-mail is missing",
    "thank_and_listen": "nothing is outstanding",
}
#: What treatment decided to send becomes, when the customer calls first, something to say.
_SPOKEN = {
    "call_payment_help": "offer_payment_plan",
    "letter_reminder": "mention_open_bill",
    "letter_plan_offer": "offer_payment_plan",
    "call_retention": "renew_contract",
    "email_offer": "mention_offer",
}
_REASON["mention_open_bill"] = _REASON["letter_reminder"]
_REASON["mention_offer"] = _REASON["email_offer"]


def _column(frame: pd.DataFrame, name: str, ids: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    series = pd.Series(texts(frame, name), index=texts(frame, "subject_id"))
    return series[~series.index.duplicated()].reindex(ids).fillna("").to_numpy(dtype=object)


def _lists(columns: list[tuple[str, Bools]]) -> list[list[str]]:
    """Per row the names whose column is true, in the order given."""
    names = np.array([name for name, _ in columns], dtype=object)
    return [names[row].tolist() for row in np.column_stack([mask for _, mask in columns])]


def run(frames: Mapping[str, pd.DataFrame], ctx: ScoreContext) -> ScoreResult:
    """One card a customer; those who died have none."""
    c = need(frames, "customer_360")
    ids = texts(c, "customer_id")
    treatment, value = need(frames, "scores.treatment"), need(frames, "scores.customer_value")
    live = treatment[flags(treatment, "eligible")]
    action = _column(live, "action_id", ids)
    dispute, arrears = flags(c, "has_open_dispute"), numbers(c, "arrears_usd", 0.0)
    past_due, outages = numbers(c, "days_past_due", 0.0), numbers(c, "n_outages_90d", 0.0)
    medical, vulnerable = flags(c, "is_medical"), flags(c, "is_vulnerable")
    ending = numbers(c, "days_to_contract_end", 9e9)
    complaints = numbers(c, "n_complaints_90d", 0.0)
    flagged = _lists(
        [
            ("medical_priority", medical),
            ("vulnerable", vulnerable),
            ("bankruptcy", flags(c, "is_bankrupt")),
            ("do_not_contact", flags(c, "is_do_not_contact")),
            ("former_customer", flags(c, "has_ended")),
        ]
    )
    risks = _lists(
        [
            ("open_dispute", dispute),
            ("arrears", (arrears >= 10) & ~dispute),
            ("complaint_90d", complaints >= 1),
            ("outages_90d", outages >= 1),
            ("contract_ending", (ending >= 0) & (ending <= 60)),
        ]
    )
    spoken = np.array([_SPOKEN.get(a, NONE) for a in action], dtype=object)
    no_money_talk = dispute | flags(c, "is_bankrupt")
    spoken[no_money_talk & contains(spoken, ["offer_payment_plan", "mention_open_bill"])] = NONE
    order = [
        ("explain_outage", (medical | vulnerable) & (outages >= 1)),
        ("follow_dispute", dispute),
        (
            "offer_payment_plan",
            (past_due >= 5) & (arrears >= 10) & ~flags(c, "has_active_plan") & ~no_money_talk,
        ),
        ("renew_contract", (ending >= 0) & (ending <= 60)),
        ("explain_outage", outages >= 1),
        ("confirm_contact_details", (texts(c, "primary_phone_e164") == "") | (texts(c, "email") == "")),
        ("thank_and_listen", np.ones(len(ids), dtype=bool)),
    ]
    further = _lists(order)
    band = _column(value, "value_band", ids)
    name = np.where(texts(c, "name_kind") == "B", texts(c, "full_name"), texts(c, "given_name"))
    name = np.where(name == "", texts(c, "full_name"), name)
    language = texts(c, "language")
    cards = np.array(
        [
            json.dumps(
                {
                    "greeting_name": who,
                    "language": tongue or "EN",
                    "flags": flag,
                    "risks": risk,
                    "has_open_dispute": bool(disputed),
                    "value_band": worth or None,
                    "actions": _actions(first, more, bool(flag)),
                    "call_notes": _notes(flag, risk, days_late),
                },
                ensure_ascii=False,
            )
            for who, tongue, flag, risk, disputed, worth, first, more, days_late in zip(
                name, language, flagged, risks, dispute, band, spoken, further, past_due, strict=True
            )
        ],
        dtype=object,
    )
    deceased = flags(c, "is_deceased")
    urgency = 3.0 * (medical | vulnerable) + 2.0 * dispute + 1.0 * (past_due >= 5)
    table = finish(
        SCORE,
        ctx,
        subject=ids,
        value=urgency,
        ineligible_reason=np.where(deceased, "deceased", "").astype(object),
        lawful_basis="contract",
        consent_version=texts(c, "consent_version"),
        reasons=Reasons(
            ("priority_flag", "open_dispute", "open_at_issue"),
            np.column_stack([3.0 * (medical | vulnerable), 2.0 * dispute, 1.0 * (past_due >= 5)]),
        ),
        own={"card": np.where(deceased, "", cards).astype(object)},
    )
    return _judged(table, dispute, medical | vulnerable, ids, ctx)


def _actions(first: str, further: list[str], is_flagged: bool) -> list[dict[str, str]]:
    """At most three actions, each once: for a flagged customer care comes before what we would like to
    say."""
    wanted = [*further[:1], first, *further[1:]] if is_flagged else [first, *further]
    unique = [a for a in dict.fromkeys(wanted) if a != NONE]
    if len(unique) > 1:
        unique = [a for a in unique if a != "thank_and_listen"]
    return [{"action_id": a, "reason": _REASON[a]} for a in unique[:3]]


def _notes(flag: list[str], risk: list[str], days_late: float) -> str:
    notes = []
    if "medical_priority" in flag or "vulnerable" in flag:
        notes.append("Priority customer: no talk of disconnection; check that supply is safe.")
    if "open_dispute" in risk:
        notes.append("A dispute is open: do not ask for the disputed amount.")
    elif "arrears" in risk and days_late >= 5:
        notes.append(f"Oldest open bill is {int(days_late)} days past due.")
    if "former_customer" in flag:
        notes.append("Account is closed.")
    return " ".join(notes)


def _judged(
    table: pd.DataFrame, dispute: Bools, priority: Bools, ids: npt.NDArray[np.object_], ctx: ScoreContext
) -> ScoreResult:
    """The gate checks what was written against the facts: no card may lack or invent a safeguard."""
    evaluation = Evaluation(SCORE, ctx)
    card = table.set_index("subject_id")["card"].reindex(ids)
    shown = card.notna().to_numpy()
    text = card.fillna("").astype(str)
    says_dispute = text.str.contains('"has_open_dispute": true', regex=False).to_numpy(dtype=bool)
    says_priority = text.str.contains('medical_priority|"vulnerable"', regex=True).to_numpy(dtype=bool)
    wrong = int((shown & ((says_dispute != dispute) | (says_priority != priority))).sum())
    leaks = int(text.str.contains("p_home", regex=False).sum())
    length = text.str.len().to_numpy(dtype=np.float64)
    evaluation.add("cards_contradicting_facts", wrong, baseline=0.0, slice_="all", n=len(ids))
    evaluation.add("cards_naming_p_home", leaks, baseline=0.0, slice_="all", n=len(ids))
    evaluation.add(
        "card_bytes_max", float(length.max(initial=0.0)), baseline=4096.0, slice_="all", n=len(ids)
    )
    passed = wrong == 0 and leaks == 0 and bool(length.max(initial=0.0) <= 4096)
    return ScoreResult(
        table,
        evaluation.frame(),
        {},
        passed,
        f"{int(shown.sum())} cards; {wrong} contradict the facts, {leaks} name occupancy, the longest has "
        f"{length.max(initial=0.0):.0f} characters",
    )


SCORE = Score(
    name="inbound_card",
    inputs=("customer_360",),
    depends_on_scores=("customer_value", "treatment"),
    run=run,
    description=__doc__ or "",
    gate="every card states dispute and priority flags as the facts are, none names occupancy, each is "
    "below 4 kB",
    own_columns=(("card", pa.string()),),
)
