"""The dialer's day: each row of a call list dialled within its window until somebody answers.

Belongs here: attempts, dispositions, talk time. Does not belong here: reading lists and writing files.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from demo.systems.outcomes.draws import Draws, Floats

COLUMNS = (
    *("call_id", "list_id", "call_key", "customer_id", "account_no", "phone", "dialed_at", "agent_id"),
    *("disposition", "talk_seconds", "attempt_no", "is_random_slot"),
)
_MAX_ATTEMPTS = 6
# What a call ends in when the right person does not answer: the shares of the history in demo.world.dialer.
_OTHERWISE = {"answered_wrong": 0.09, "refused": 0.04, "voicemail": 0.37, "busy": 0.07, "no_answer": 0.43}
# People behind with their payments hang up more often on a call about them: added to ``refused`` at
# p_late_30 = 1.
_REFUSES_WHEN_LATE = 0.15
_ENDS_THE_ROW = ("answered_rpc", "refused", "answered_wrong")
_AGENTS = 12


@dataclass(frozen=True)
class CallTruth:
    """How likely the right person answers, and how likely an account pays late."""

    contact: pd.DataFrame
    """``account_no``, ``day_type``, ``slot``, ``p_right_party``."""
    late: pd.Series
    """``p_late_30`` by ``account_no``."""


def play_calls(rows: pd.DataFrame, truth: CallTruth, day: date, draws: Draws) -> pd.DataFrame:
    """The attempts of ``day`` on the list's rows for that day, as the dialer's outcome file has them.

    An account that the truth does not know is never reached. Attempts are spread over the window; the first
    that reaches a person, right or wrong, is the last.
    """
    today = rows[rows["call_date"] == day.isoformat()].reset_index(drop=True)
    if today.empty:
        return pd.DataFrame(columns=COLUMNS, dtype=object)
    tries = pd.to_numeric(today["max_attempts"], errors="coerce").fillna(1).clip(0, _MAX_ATTEMPTS).astype(int)
    start, end = _minutes(today["window_start_local"]), _minutes(today["window_end_local"])
    attempts = today.loc[today.index.repeat(tries)].copy()
    attempts["attempt_no"] = attempts.groupby(level=0).cumcount() + 1
    row = attempts.index.to_numpy()
    attempts = attempts.reset_index(drop=True)
    key = attempts["call_key"] + "#" + attempts["attempt_no"].astype(str)

    step = np.maximum(end - start, 1)[row] / tries.to_numpy()[row]
    minute = start[row] + (attempts["attempt_no"].to_numpy() - 1 + draws.uniform(key, "when")) * step
    p_right = _right_party(attempts["account_no"], minute, day, truth.contact)
    p_late = attempts["account_no"].map(truth.late).fillna(0.0).to_numpy(dtype=float)
    about_payment = (attempts["purpose"] == "collections").to_numpy()
    attempts["disposition"] = _dispositions(key, p_right, np.where(about_payment, p_late, 0.0), draws)

    ended = attempts["disposition"].isin(_ENDS_THE_ROW).astype(int)
    earlier = ended.groupby(row).cumsum() - ended
    keep = (earlier == 0).to_numpy()
    attempts, key, minute, p_late = attempts[keep], key[keep], minute[keep], p_late[keep]

    answered = attempts["disposition"].isin(_ENDS_THE_ROW).to_numpy()
    agents = (draws.uniform(key, "agent") * _AGENTS).astype(int)
    attempts["call_id"] = draws.identifiers(key, "call", "G")
    attempts["phone"] = attempts["phone_e164"]
    attempts["dialed_at"] = _local_stamps(day, minute, attempts["time_zone"])
    attempts["agent_id"] = np.where(answered, np.char.mod("A%03d", agents + 100), "")
    attempts["talk_seconds"] = _talk(attempts["disposition"], key, p_late, draws)
    if "is_random_slot" not in attempts:
        attempts["is_random_slot"] = "false"  # the list does not say; the sender knows it by call_key
    calls: pd.DataFrame = attempts[list(COLUMNS)].sort_values(["dialed_at", "call_id"], ignore_index=True)
    return calls


def _minutes(clock: pd.Series) -> Floats:
    """``HH:MM`` as minutes since local midnight."""
    parts = clock.str.split(":", expand=True).astype(float)
    return (parts[0] * 60 + parts[1]).to_numpy(dtype=float)


def _right_party(accounts: pd.Series, minute: Floats, day: date, contact: pd.DataFrame) -> Floats:
    asked = pd.DataFrame(
        {
            "account_no": accounts.to_numpy(),
            "day_type": "weekend" if day.weekday() >= 5 else "weekday",
            "slot": np.clip(minute // 30, 0, 47).astype(int),
        }
    )
    known = contact.drop_duplicates(["account_no", "day_type", "slot"])
    found = asked.merge(known, how="left", on=["account_no", "day_type", "slot"], validate="many_to_one")
    return found["p_right_party"].fillna(0.0).to_numpy(dtype=float)


def _dispositions(key: pd.Series, p_right: Floats, p_late: Floats, draws: Draws) -> pd.Series:
    """The right person with the true probability, otherwise one of the other ends."""
    share = dict(_OTHERWISE)
    refused = share["refused"] + _REFUSES_WHEN_LATE * p_late
    others = [name for name in share if name != "refused"]
    scale = (1 - refused) / (1 - share["refused"])
    edges = np.cumsum(np.column_stack([refused, *(share[name] * scale for name in others)]), axis=1)
    chosen = (draws.uniform(key, "otherwise")[:, None] >= edges[:, :-1]).sum(axis=1)
    otherwise = np.array(["refused", *others], dtype=object)[chosen]
    is_right = draws.uniform(key, "right party") < p_right
    return pd.Series(np.where(is_right, "answered_rpc", otherwise), index=key.index, dtype=object)


def _talk(disposition: pd.Series, key: pd.Series, p_late: Floats, draws: Draws) -> Floats:
    """Seconds of talk: minutes with the right person, longer when there is trouble; little otherwise."""
    spread = -np.log1p(-draws.uniform(key, "talk"))  # exponential with mean 1
    typical = disposition.map({"answered_rpc": 150.0, "answered_wrong": 15.0, "refused": 10.0}).fillna(0.0)
    longer = np.where(disposition == "answered_rpc", 1 + p_late, 1.0)
    seconds = np.where(typical > 0, 5 + typical * longer * spread, 0.0)
    return np.minimum(seconds, 1_800).astype(int)


def _local_stamps(day: date, minute: Floats, zones: pd.Series) -> pd.Series:
    """Local wall-clock minutes as ISO 8601 with offset, each row in its own time zone."""
    wall = pd.Series(
        pd.Timestamp(day) + pd.to_timedelta((minute * 60).astype(int), unit="s"), index=zones.index
    )
    stamps = pd.Series("", index=zones.index, dtype=object)
    for zone, part in wall.groupby(zones):
        local = part.dt.tz_localize(
            str(zone), ambiguous=np.ones(len(part), bool), nonexistent="shift_forward"
        )
        text = local.dt.strftime("%Y-%m-%dT%H:%M:%S%z")
        stamps.loc[part.index] = text.str.slice(0, -2) + ":" + text.str.slice(-2)
    return stamps
