"""What the legacy CRM knows of its contacts: consents, preferences, conversations.

Belongs here: rows of crm.consent, crm.preference and crm.interaction. Does not belong here: contacts
themselves (contacts.py) and campaigns (campaigns.py).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from demo.world.billing import Bills
from demo.world.block import Block
from demo.world.config import FAR_DAY, Ints
from demo.world.contacts import NULL, Contacts
from demo.world.grid import Outages
from demo.world.households import CASH_FLOW, DISPUTER, FORGOT, HARDSHIP
from demo.world.identifiers import account_numbers, joined, padded
from demo.world.ledger import moments
from demo.world.population import RETIRED, STUDENT, WORKER
from demo.world.vocab import take

HISTORY_DAYS = 270
"""Days of conversations and campaigns before the last business date."""

# purpose, channel, granularity, share asked, share of those who said yes
_ASKED = (
    ("marketing", "email", "billing", 0.72, 0.66),
    ("marketing", "phone", "billing", 0.66, 0.48),
    ("marketing", "letter", "billing", 0.7, 0.74),
    ("service", "any", "billing", 0.9, 0.95),
    ("collections", "phone", "billing", 0.84, 0.88),
    ("profiling", "any", "interval", 0.66, 0.74),
)
_PROFILING = 5
CONSENTS_A_CONTACT = 20


def consents(block: Block, contacts: Contacts) -> pa.Table:
    """Consents as they were captured; some were withdrawn later, unasked ones are absent."""
    draw = block.streams.get("consents")
    n, end = len(contacts.person), block.config.end_day
    opted_in = block.equipment.is_opted_in_han[block.people.persons.tenancy[contacts.person]]
    parts = []
    for number, (purpose, channel, granularity, asked, yes) in enumerate(_ASKED):
        is_asked, granted = draw.random(n) < asked, draw.random(n) < yes
        if number == _PROFILING:
            # Who lets appliances report has agreed to it.
            is_asked, granted = is_asked | opted_in, granted | opted_in
        withdraws = is_asked & granted & (draw.random(n) < 0.05) & ~((number == _PROFILING) & opted_in)
        captured = np.minimum(contacts.created + draw.integers(0, 60, n), end - 1)
        later = np.minimum(captured + draw.integers(1, 500, n), end)
        source = take(("web", "phone", "paper"), draw.integers(0, 3, n))
        for step, (mask, day, answer) in enumerate(
            ((is_asked, captured, granted), (withdraws, later, np.zeros(n, bool)))
        ):
            rows = np.flatnonzero(mask)
            serial = contacts.number[rows] * CONSENTS_A_CONTACT + number * 2 + step
            count = len(rows)
            parts.append(
                pa.table(
                    {
                        "consent_id": serial,
                        "contact_id": contacts.ids.take(pa.array(rows)),
                        "purpose": pa.array([purpose]).take(pa.array(np.zeros(count, np.int64))),
                        "channel": pa.array([channel]).take(pa.array(np.zeros(count, np.int64))),
                        "granularity": pa.array([granularity]).take(pa.array(np.zeros(count, np.int64))),
                        "is_granted": pa.array(answer[rows]),
                        "captured_at": moments(day[rows], 10 * 3600 + serial % 20_000),
                        "source": source.take(pa.array(rows)),
                        "updated_at": moments(day[rows], 10 * 3600 + serial % 20_000),
                    }
                )
            )
    return pa.concat_tables(parts)


def preferences(block: Block, contacts: Contacts) -> pa.Table:
    """Language, channel and hour that contacts asked for; four in five have said."""
    draw = block.streams.get("preferences")
    n = len(contacts.person)
    pattern = block.people.tenancies.pattern[block.people.persons.tenancy[contacts.person]]
    u = draw.random(n)
    slot = np.select(
        [u < 0.42, np.isin(pattern, [RETIRED]) & (u < 0.85), np.isin(pattern, [WORKER, STUDENT]) & (u < 0.9)],
        ["none", "morning", "evening"],
        "afternoon",
    )
    young = np.isin(pattern, [WORKER, STUDENT])
    channel = np.where(
        draw.random(n) < np.where(young, 0.65, 0.3),
        "email",
        np.where(draw.random(n) < 0.6, "phone", "letter"),
    )
    table = pa.table(
        {
            "contact_id": contacts.ids,
            "language": pa.array(np.where(block.is_spanish(contacts.person), "es", "en")),
            "preferred_channel": pa.array(channel),
            "preferred_slot": pa.array(slot),
            "is_do_not_call": pa.array(draw.random(n) < 0.04),
            "updated_at": moments(contacts.updated, 11 * 3600 + contacts.number % 9_000),
        }
    )
    return table.filter(pa.array(draw.random(n) < 0.8))


def interactions(block: Block, contacts: Contacts, bills: Bills, outages: Outages) -> pa.Table:
    """Conversations with their causes: disputed or late bills, outages, moves, plain questions."""
    draw = block.streams.get("interactions")
    config, tenancies = block.config, block.people.tenancies
    first = config.end_day - HISTORY_DAYS
    by_person = np.full(len(block.people.persons), -1)
    by_person[contacts.person[::-1]] = np.arange(len(contacts.person))[::-1]
    of_tenancy = by_person[tenancies.person]

    parts: list[tuple[Ints, Ints, str]] = []  # contact row, day, topic
    count = draw.poisson(HISTORY_DAYS / 30 * 0.16, len(contacts.person))
    row = np.repeat(np.arange(len(contacts.person)), count)
    day = first + draw.integers(0, HISTORY_DAYS, len(row))
    kind = draw.choice(3, len(row), p=[0.55, 0.25, 0.2])
    parts += [
        (row[kind == k], day[kind == k], topic) for k, topic in enumerate(("billing", "tariff", "payment"))
    ]
    disputed = np.flatnonzero(bills.disputed_on < FAR_DAY)
    parts.append((of_tenancy[bills.tenancy[disputed]], bills.disputed_on[disputed], "complaint"))
    payer = block.character.payment_type[bills.tenancy]
    asks = np.flatnonzero(
        np.isin(payer, [CASH_FLOW, HARDSHIP, FORGOT])
        & (bills.paid_on > bills.due + 3)
        & (draw.random(len(bills)) < 0.2)
    )
    parts.append(
        (of_tenancy[bills.tenancy[asks]], bills.due[asks] + draw.integers(-2, 9, len(asks)), "payment")
    )
    cross = np.flatnonzero((payer == DISPUTER) & (draw.random(len(bills)) < 0.06))
    parts.append((of_tenancy[bills.tenancy[cross]], bills.issued[cross] + 4, "complaint"))
    movers = np.flatnonzero(
        (tenancies.left < FAR_DAY) & (tenancies.closed < FAR_DAY) & (draw.random(len(tenancies)) < 0.7)
    )
    parts.append((of_tenancy[movers], tenancies.left[movers] - draw.integers(1, 15, len(movers)), "move"))
    for outage in range(len(outages.day)):
        hit = outages.rows(outage, block)
        hit = hit[draw.random(len(hit)) < 0.12]
        parts.append((of_tenancy[hit], np.full(len(hit), outages.day[outage]), "outage"))

    contact = np.concatenate([p[0] for p in parts])
    on = np.concatenate([p[1] for p in parts])
    topic = np.repeat(np.array([p[2] for p in parts]), [len(p[0]) for p in parts])
    keep = (contact >= 0) & (on >= first) & (on <= config.end_day)
    contact, on, topic = contact[keep], on[keep], topic[keep]
    n = len(contact)
    who = contacts.person[contact]
    at = block.people.persons.tenancy[who]
    channel = np.where(draw.random(n) < 0.62, "phone_in", np.where(draw.random(n) < 0.6, "email_in", "web"))
    channel = np.where((topic == "payment") & (draw.random(n) < 0.2), "phone_out", channel)
    by_phone = np.char.startswith(channel, "phone")
    began = moments(on, 8 * 3600 + draw.integers(0, 36_000, n))
    named = pa.array(draw.random(n) < 0.7)
    number = block.first_serial * 50 + 1 + np.arange(n)
    return pa.table(
        {
            "interaction_id": number,
            "contact_id": contacts.ids.take(pa.array(contact)),
            "account_no": pc.if_else(named, padded(account_numbers(tenancies.number[at]), 12), NULL),
            "started_at": began,
            "channel": pa.array(channel),
            "topic": pa.array(topic),
            "duration_seconds": pa.array(np.where(by_phone, draw.gamma(2.2, 150, n), 0).astype(np.int64)),
            "agent_id": joined("", "A", padded(100 + draw.integers(0, 12, n), 3)),
            "is_resolved": pa.array(draw.random(n) < np.where(topic == "complaint", 0.55, 0.88)),
            "updated_at": began,
        }
    )
