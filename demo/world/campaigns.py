"""Campaigns of the past months, with randomised treatment, and how people truly respond to offers.

Belongs here: who was assigned to which arm with which probability, responses, and their true probabilities.
Does not belong here: campaigns that GridCRM asks for; the outcomes player draws those from the truth.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from demo.world.block import Block, is_open
from demo.world.config import FAR_DAY, Ints, WorldConfig
from demo.world.contacts import Contacts
from demo.world.households import DISPUTER, FORGOT
from demo.world.identifiers import decimals
from demo.world.ledger import dates, moments, usd
from demo.world.population import RETIRED, STUDENT, WORKER
from demo.world.vocab import OFFERS, take

CHANNELS = ("email", "phone", "letter")
VALUE_USD = {
    "paperless": 14,
    "autopay": 22,
    "tou_tariff": 48,
    "energy_audit": 35,
    "ev_tariff": 85,
    "smart_thermostat": 60,
}
CAMPAIGNS = (
    ("CMP01", "Go paperless", "paperless", "letter", 250, 0.5),
    ("CMP02", "Pay by itself", "autopay", "phone", 215, 0.5),
    ("CMP03", "Use power off peak", "tou_tariff", "email", 175, 0.5),
    ("CMP04", "Home energy audit", "energy_audit", "email", 140, 0.5),
    ("CMP05", "Charge overnight", "ev_tariff", "email", 100, 0.7),
    ("CMP06", "A smarter thermostat", "smart_thermostat", "letter", 60, 0.5),
)
"""Id, name, offer, channel, days before the last business date at which it starts, share treated."""


def response_probabilities(
    block: Block, persons: Ints, offer: str, channel: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """True probability of taking the offer up when treated by the channel, and when left alone."""
    people, equipment, character = block.people, block.equipment, block.character
    at = people.persons.tenancy[persons]
    pattern = people.tenancies.pattern[at]
    young, old = np.isin(pattern, [WORKER, STUDENT]), pattern == RETIRED
    base = np.full(len(persons), -2.9)
    lift = np.full(len(persons), 0.45)
    if offer == "paperless":
        base += np.where(character.is_paperless[at], -1.5, 0.4)
        lift += 0.6 * ~character.is_paperless[at]
    elif offer == "autopay":
        base += np.where(character.method[at] == 0, -2.0, 0.2)
        lift += 1.3 * (character.payment_type[at] == FORGOT)
    elif offer == "tou_tariff":
        base += np.where(equipment.tariff[at] == 0, 0.2, -2.0)
        lift += 0.9 * old
    elif offer == "energy_audit":
        lift += 1.1 * (equipment.heating[at] < 2)
    elif offer == "ev_tariff":
        base += np.where(equipment.ev_w[at] > 0, 0.9, -2.2)
        lift += 1.2 * (equipment.ev_w[at] > 0)
    else:
        base += 0.3 * equipment.has_ac[at]
        lift += 0.8 * (equipment.heating[at] == 0)
    lift += {"email": 0.6 * young - 0.5 * old, "phone": 0.35 + 0.3 * old, "letter": 0.6 * old - 0.3 * young}[
        channel
    ]
    # Those who argue are put off by being asked.
    lift -= 1.3 * (character.payment_type[at] == DISPUTER)
    own = 0.3 * character.reachability[at].astype(np.float64)
    control = 1 / (1 + np.exp(-(base + own)))
    treated = 1 / (1 + np.exp(-(base + own + lift)))
    return treated, control


def campaign_table(config: WorldConfig) -> pa.Table:
    """The campaigns themselves; the same for every block."""
    end = config.end_day
    starts = np.array([end - c[4] for c in CAMPAIGNS])
    return pa.table(
        {
            "campaign_id": [c[0] for c in CAMPAIGNS],
            "name": [c[1] for c in CAMPAIGNS],
            "offer_id": [c[2] for c in CAMPAIGNS],
            "channel": [c[3] for c in CAMPAIGNS],
            "purpose": ["marketing"] * len(CAMPAIGNS),
            "starts_date": dates(starts),
            "ends_date": dates(starts + 30),
            "treatment_share": decimals(np.array([round(c[5] * 10_000) for c in CAMPAIGNS]), 5, 4),
            "updated_at": moments(starts, np.full(len(CAMPAIGNS), 8 * 3600)),
        }
    )


def assignments(block: Block, contacts: Contacts) -> pa.Table:
    """Who was in which arm, with the probability of being treated, and who took the offer up."""
    end = block.config.end_day
    opened = is_open(block, end)[block.people.persons.tenancy[contacts.person]]
    parts = []
    for number, (campaign, _, offer, channel, before, share) in enumerate(CAMPAIGNS):
        draw = block.streams.get("campaign", number)
        n = len(contacts.person)
        start = end - before
        can = opened & (contacts.created < start) & (draw.random(n) < 0.8)
        if channel == "email":
            can &= np.asarray(contacts.has_mail.to_numpy(zero_copy_only=False), bool)
        rows = np.flatnonzero(can)
        # Nobody is in one campaign twice, even when the CRM has them twice.
        _, first = np.unique(contacts.person[rows], return_index=True)
        rows = rows[first]
        who = contacts.person[rows]
        treated = draw.random(len(rows)) < share
        p_treated, p_control = response_probabilities(block, who, offer, channel)
        responds = draw.random(len(rows)) < np.where(treated, p_treated, p_control)
        assigned = start + draw.integers(0, 5, len(rows))
        answered = assigned + 1 + draw.integers(0, 24, len(rows))
        responds &= answered <= end
        value = (VALUE_USD[offer] * 100 * draw.lognormal(0, 0.25, len(rows))).astype(np.int64)
        parts.append(
            pa.table(
                {
                    "campaign_id": pa.array([campaign] * len(rows), pa.string()),
                    "contact_id": contacts.ids.take(pa.array(rows)),
                    "arm": pa.array(np.where(treated, "treatment", "control").astype(object), pa.string()),
                    "assignment_probability": decimals(np.full(len(rows), round(share * 10_000)), 5, 4),
                    "assigned_at": moments(assigned, 8 * 3600 + rows % 3_600),
                    "responded_at": moments(
                        np.where(responds, answered, FAR_DAY), 10 * 3600 + rows * 7 % 30_000
                    ),
                    "response_value_usd": pc.if_else(
                        pa.array(responds), usd(value, 10), pa.scalar(None, pa.decimal128(10, 2))
                    ),
                    "updated_at": moments(np.where(responds, answered, assigned), 21 * 3600 + rows % 3_000),
                }
            )
        )
    return pa.concat_tables(parts)


def response_truth(block: Block, person_ids: pa.Array) -> list[pa.Table]:
    """True response of every person to every offer by every channel, one table an offer and channel."""
    everybody = np.arange(len(block.people.persons))
    same = pa.array(np.zeros(len(everybody), np.int64))
    parts = []
    for offer in OFFERS:
        for channel in CHANNELS:
            treated, control = response_probabilities(block, everybody, offer, channel)
            parts.append(
                pa.table(
                    {
                        "person_id": person_ids,
                        "offer_id": take([offer], np.asarray(same)),
                        "channel": take([channel], np.asarray(same)),
                        "p_response_treated": treated,
                        "p_response_control": control,
                    }
                )
            )
    return parts
