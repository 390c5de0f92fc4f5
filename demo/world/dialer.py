"""The dialer before GridCRM: 90 days of calls at hours that somebody picked, and a few at random ones.

Belongs here: who was called, and the true probability that the right person answers. Does not belong here:
calls that GridCRM asks for; the outcomes player draws those from the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from demo.world.block import Block, is_open
from demo.world.clock import iso_local, local_epoch
from demo.world.config import Floats, Ints, date_of
from demo.world.grid import csv_bytes
from demo.world.households import CASH_FLOW, HARDSHIP
from demo.world.identifiers import account_numbers, joined, padded, phone_digits
from demo.world.occupancy import p_home
from demo.world.vocab import take

DISPOSITIONS = ("answered_rpc", "answered_wrong", "voicemail", "no_answer", "busy", "refused")
_OTHERWISE = np.array([0.0, 0.09, 0.37, 0.43, 0.07, 0.04])
FIRST_SLOT, LAST_SLOT = 16, 41
"""Half-hours in which calls are allowed, 08:00 to 21:00."""
SHARE_CALLED = 0.015
SHARE_RANDOM = 0.1
HEADER = (
    b"call_id,list_id,call_key,customer_id,account_no,phone,dialed_at,agent_id,disposition,talk_seconds,attempt_no,"
    b"is_random_slot\n"
)


def p_right_party(block: Block, tenancies: Ints, *, is_weekend: bool) -> Floats:
    """True probability that a call reaches the account holder, tenancies × 48 local half-hours.

    A mobile is answered a little anywhere and more at home; a line in the home only there. Before waking
    and late at night nearly nobody answers.
    """
    persons, habits = block.people.persons, block.habits
    who = block.people.tenancies.person[tenancies]
    is_mobile = persons.mobile[who] >= 0
    at_home = p_home(habits, tenancies, is_weekend=is_weekend)
    reach = np.exp(0.35 * block.character.reachability[tenancies])
    away = np.where(is_mobile, 0.07, 0.01)[:, None]
    near = np.where(is_mobile, 0.33, 0.48)[:, None]
    p = reach[:, None] * (away + near * at_home)
    middle = np.arange(48) * 30 + 15
    is_up = (middle >= habits.wakes_at[tenancies, None] + 15) & (
        middle < habits.sleeps_at[tenancies, None] - 30
    )
    is_shop = block.people.tenancies.is_business[tenancies, None]
    p = p * np.where(is_up | is_shop, 1.0, 0.08)
    return np.clip(p, 0.002, 0.9).astype(np.float32)


@dataclass
class History:
    """Calls of a block, day by day; remembers who was called lately."""

    block: Block
    weekday: Floats
    weekend: Floats
    attempts: Ints
    last_called: Ints

    @classmethod
    def of(cls, block: Block) -> History:
        """Ready for the first day."""
        t = len(block.people.tenancies)
        everybody = np.arange(t)
        return cls(
            block,
            p_right_party(block, everybody, is_weekend=False),
            p_right_party(block, everybody, is_weekend=True),
            np.zeros(t, np.int64),
            np.full(t, -10_000),
        )

    def day(self, day: int) -> bytes:
        """Rows (without header) of the calls of one day; empty on Sundays."""
        block = self.block
        draw = block.streams.get("calls", day)
        weekday = date_of(day).weekday()
        if weekday == 6:
            return b""
        kind = block.character.payment_type
        weight = np.where(np.isin(kind, [CASH_FLOW, HARDSHIP]), 3.0, 0.75)
        weight = weight * is_open(block, day) * ~block.character.is_do_not_contact
        # The old dialer calls again after a failed attempt, three times at most within a week.
        recent = day - self.last_called <= 4
        weight = np.where(recent, np.where(self.attempts < 3, 12.0, 0.0), weight)
        called = np.flatnonzero(draw.random(len(weight)) < SHARE_CALLED * weight)
        n = len(called)
        if n == 0:
            return b""
        is_random = draw.random(n) < SHARE_RANDOM
        # Habit: mornings and early afternoons, when agents are free.
        habit = np.clip(np.rint(draw.normal(24, 4.5, n)), FIRST_SLOT, LAST_SLOT).astype(np.int64)
        slot = np.where(is_random, draw.integers(FIRST_SLOT, LAST_SLOT + 1, n), habit)
        p = (self.weekend if weekday >= 5 else self.weekday)[called, slot]
        answered = draw.random(n) < p
        other = draw.choice(len(DISPOSITIONS), n, p=_OTHERWISE / _OTHERWISE.sum())
        outcome = np.where(answered, 0, other)
        self.attempts[called] = np.where(recent[called], self.attempts[called], 0) + 1
        self.last_called[called] = np.where(answered, -10_000, day)
        table = self._table(called, day, slot, outcome, is_random, draw)
        return csv_bytes(pa.table(table), header=False)

    def _table(
        self,
        called: Ints,
        day: int,
        slot: Ints,
        outcome: Ints,
        is_random: NDArray[np.bool_],
        draw: np.random.Generator,
    ) -> dict[str, Any]:
        block, n = self.block, len(called)
        persons = block.people.persons
        who = block.people.tenancies.person[called]
        phone = np.where(persons.mobile[who] >= 0, persons.mobile[who], persons.home_phone[who])
        at = local_epoch(np.full(n, day), slot * 1_800 + draw.integers(0, 1_800, n))
        talk = np.select(
            [outcome == 0, outcome == 1, outcome == 5], [draw.gamma(2, 110, n), draw.gamma(2, 14, n), 8], 0
        )
        serial = block.first_serial * 100 + (day - block.config.start_day) * (
            block.config.meters_per_block // 10 + 40
        )
        nothing = pa.nulls(n, pa.string())
        return {
            "call_id": joined("", "CL", padded(serial + np.arange(n), 10)),
            "list_id": nothing,
            "call_key": nothing,
            "customer_id": nothing,
            "account_no": padded(account_numbers(block.people.tenancies.number[called]), 12),
            "phone": joined("", "+1", phone_digits(phone)),
            "dialed_at": iso_local(at),
            "agent_id": joined("", "A", padded(100 + draw.integers(0, 12, n), 3)),
            "disposition": take(DISPOSITIONS, outcome),
            "talk_seconds": pa.array(talk.astype(np.int64)),
            "attempt_no": pa.array(self.attempts[called]),
            "is_random_slot": pa.array(np.where(is_random, "true", "false")),
        }
