"""Every reason code a score may give, with what it tells the person who reads it.

A score gives up to three codes with signed contributions (positive raises the score). A code that is not in
this table is refused by the contract, so that no list drops behind what the models use.
"""

from __future__ import annotations

REASONS: dict[str, str] = {
    # payment behaviour
    "prior_late_share": "share of earlier bills paid late",
    "prior_30dpd": "earlier bills that stayed unpaid 30 days past due in the last 12 months",
    "days_late": "how late earlier bills were paid on average",
    "last_bill_late": "how late the previous bill was paid",
    "returned_payments": "payments the bank returned",
    "open_at_issue": "amount still open when the bill was issued",
    "bill_shock": "this bill against the average of the earlier twelve",
    "bill_amount": "size of the bill",
    "direct_debit": "pays by direct debit",
    "paperless": "receives bills electronically",
    "payment_plan": "has a payment plan",
    "short_history": "few earlier bills to judge by",
    # staying and leaving
    "tenure": "time with the utility",
    "first_months": "within the first six months of the contract",
    "contract_ending": "contract ends within three months, or has ended",
    "no_contract": "no fixed-term contract",
    "complaints": "recent complaints",
    "monthly_margin": "expected monthly margin against the average customer",
    "staying": "probability of staying 12 months against the average customer",
    "bad_debt": "expected bad debt against the average customer",
    # use of energy
    "use_dropped": "weather-normalised weekly use is below its reference level",
    "use_rose": "weather-normalised weekly use is above its reference level",
    "use_vs_last_year": "use of the last three months against the same months of the year before",
    "recent_trend": "change of use over the last three months against that of all customers",
    "volatile_use": "use varies more than usual from month to month",
    "level_of_use": "amount of energy used",
    "load_shape": "distance of the usual day from the average day",
    "value_rank": "rank of expected value among all customers",
    # being there
    "activity_level": "daytime use against the home's own night level",
    "activity_edges": "switching on and off within the half-hour against the home's own night",
    "manual_starts": "appliances started by hand at this time",
    "usual_rhythm": "how often homes are occupied at this time of the week",
    "slot_rate": "share of calls answered by the right person at this time of the week",
    "own_history": "this customer's own answered calls",
    "own_slot_history": "this customer's own answered calls in this part of the day",
    "last_call": "outcome of the previous call",
    "attempts": "number of attempts already made",
    "p_home": "somebody is usually at home at this time",
    # decisions
    "expected_loss": "expected loss if nothing is done",
    "margin_at_risk": "margin that would be lost with the decline",
    "offer_response": "probability of responding to the offer, times its value",
    "contactable": "probability of reaching the customer",
    "action_cost": "cost of the action",
    "explored": "chosen at random, to keep learning",
    "slot_value": "value of a contact times the probability of it at this time",
    "random_slot": "slot drawn at random, so that contact can be learnt",
    "priority_flag": "a priority or safety flag is set",
    "open_dispute": "a dispute is open",
}
