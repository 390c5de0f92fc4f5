"""A campaign's day: each new member gets one message, and responds as the truth of randomised offers has it.

Belongs here: events of members. Does not belong here: the campaign tool that stores them.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
from scipy.special import ndtri

from demo.systems.outcomes.draws import Draws, Floats
from demo.world.campaigns import VALUE_USD

EVENT_COLUMNS = ("event_id", "audience_id", "member_key", "customer_id", "event", "occurred_at", "value_usd")
_BOUNCES = 0.012
_OPENS = 0.32  # of those who do not respond anyway
_UNSUBSCRIBES = 0.004
_VALUE_SPREAD = 0.25  # of its logarithm, as in the history of campaigns in demo.world
_SENT_AT_UTC_HOUR = 15  # nine in the morning, central standard time


def play_campaign(members: pd.DataFrame, p_response: Floats, day: date, draws: Draws) -> pd.DataFrame:
    """The events of ``day`` for members who have none yet.

    ``members`` has ``audience_id``, ``member_key``, ``customer_id``, ``offer_id``; ``p_response`` is the
    true probability that the message makes each respond. Who is unknown to the truth (NaN) cannot be
    reached: the message bounces.
    """
    if members.empty:
        return pd.DataFrame(columns=list(EVENT_COLUMNS), dtype=object)
    rows = members.reset_index(drop=True)
    key = rows["audience_id"] + "/" + rows["member_key"]
    bounced = np.isnan(p_response) | (draws.uniform(key, "bounces") < _BOUNCES)
    responded = ~bounced & (draws.uniform(key, "responds") < np.nan_to_num(p_response))
    opened = ~bounced & (responded | (draws.uniform(key, "opens") < _OPENS))
    left = opened & ~responded & (draws.uniform(key, "unsubscribes") < _UNSUBSCRIBES / _OPENS)

    sent = draws.uniform(key, "sent") * 15
    opened_after = sent + 1 + draws.uniform(key, "opened") * 300
    acted_after = opened_after + 1 + draws.uniform(key, "acted") * 180
    typical = rows["offer_id"].map(VALUE_USD).fillna(0.0).to_numpy(dtype=float)
    value = typical * np.exp(_VALUE_SPREAD * ndtri(draws.uniform(key, "value").clip(1e-9)))
    parts = [
        _events(rows, key, "bounced", bounced, sent, None, day, draws),
        _events(rows, key, "delivered", ~bounced, sent, None, day, draws),
        _events(rows, key, "opened", opened, opened_after, None, day, draws),
        _events(rows, key, "responded", responded, acted_after, value, day, draws),
        _events(rows, key, "unsubscribed", left, acted_after, None, day, draws),
    ]
    events = pd.concat([part for part in parts if not part.empty], ignore_index=True)
    return events.sort_values(["occurred_at", "event_id"], ignore_index=True)


def _events(
    rows: pd.DataFrame,
    key: pd.Series,
    event: str,
    happened: np.ndarray,
    minutes: Floats,
    value: Floats | None,
    day: date,
    draws: Draws,
) -> pd.DataFrame:
    chosen = rows[happened]
    start = pd.Timestamp(day) + pd.Timedelta(hours=_SENT_AT_UTC_HOUR)
    at = start + pd.to_timedelta(minutes[happened], unit="min").floor("s")
    return pd.DataFrame(
        {
            "event_id": draws.identifiers(key[happened], event, "E").to_numpy(),
            "audience_id": chosen["audience_id"].to_numpy(),
            "member_key": chosen["member_key"].to_numpy(),
            "customer_id": chosen["customer_id"].to_numpy(),
            "event": event,
            "occurred_at": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "value_usd": None if value is None else np.char.mod("%.2f", value[happened]),
        },
        columns=list(EVENT_COLUMNS),
    )
