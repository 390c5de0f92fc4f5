"""The print vendor's day: new letters are printed and mailed, earlier ones are delivered or come back.

Belongs here: the life of a letter. Does not belong here: reading drops and writing files.
"""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd

from demo.systems.outcomes.draws import Draws

COLUMNS = ("letter_id", "status", "status_at")
_RETURNED = 0.02
_RETURNED_AFTER_MOVING = 0.7
_TRANSIT_DAYS = (2, 5)


def play_letters(
    received: pd.DataFrame, history: pd.DataFrame, moved_out: pd.Series, day: date, draws: Draws
) -> pd.DataFrame:
    """The statuses reached on ``day``.

    ``received`` has ``letter_id`` and ``account_no`` (null where the manifest does not say); ``history`` is
    all statuses up to and including ``day``; ``moved_out`` the date by ``account_no`` from which nobody is
    there.
    """
    new = received[~received["letter_id"].isin(history["letter_id"])]
    made = _stamped(new["letter_id"], "printed", day, 7 * 60, 240, draws)
    mailed = _stamped(new["letter_id"], "mailed", day, 15 * 60, 120, draws)
    return pd.concat([made, mailed, _arrivals(received, history, moved_out, day, draws)], ignore_index=True)


def _arrivals(
    received: pd.DataFrame, history: pd.DataFrame, moved_out: pd.Series, day: date, draws: Draws
) -> pd.DataFrame:
    """Letters mailed earlier that reach their end today, or should have on a day that nobody played."""
    mailed = history[history["status"] == "mailed"].drop_duplicates("letter_id")
    ended = history.loc[history["status"].isin(["delivered", "returned"]), "letter_id"]
    under_way = mailed[~mailed["letter_id"].isin(ended)].merge(
        received.drop_duplicates("letter_id"), how="left", on="letter_id"
    )
    if under_way.empty:
        return pd.DataFrame(columns=COLUMNS, dtype=object)
    key = under_way["letter_id"]
    first, last = _TRANSIT_DAYS
    transit = first + (draws.uniform(key, "transit") * (last - first + 1)).astype(int)
    mailed_on = pd.to_datetime(under_way["status_at"].str.slice(0, 10))
    due = mailed_on + pd.to_timedelta(transit, unit="D")
    left = pd.to_datetime(under_way["account_no"].map(moved_out))
    p_returned = np.where((left <= due).to_numpy(), _RETURNED_AFTER_MOVING, _RETURNED)
    status = np.where(draws.uniform(key, "returned") < p_returned, "returned", "delivered")
    arrived = (due <= pd.Timestamp(day)).to_numpy()
    parts = [
        _stamped(key[arrived & (status == end)], end, day, 10 * 60, 360, draws)
        for end in ("delivered", "returned")
    ]
    return pd.concat(parts, ignore_index=True)


def _stamped(
    letters: pd.Series, status: str, day: date, first_minute: int, minutes: int, draws: Draws
) -> pd.DataFrame:
    """One status for each letter at some UTC time of the vendor's working day."""
    keys = letters.reset_index(drop=True)
    shift = timedelta(hours=6)  # the vendor's day in UTC, roughly; only the date matters to anybody
    offset = pd.to_timedelta(first_minute + draws.uniform(keys, status) * minutes, unit="min").floor("s")
    at = pd.Timestamp(day) + shift + offset
    stamps = pd.Series(at, dtype="datetime64[ns]").dt.strftime("%Y-%m-%dT%H:%M:%SZ").astype(object)
    return pd.DataFrame({"letter_id": keys, "status": status, "status_at": stamps}, columns=list(COLUMNS))
