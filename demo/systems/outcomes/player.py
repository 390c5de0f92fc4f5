"""Plays the day after a push and hands the outcomes back the way each system does.

Belongs here: reading what arrived and the truth, and writing outcome files and events. Does not belong
here: what happens to a call, a letter or a message (dialer.py, letters.py, campaigns.py).

Nothing remembers what was played but the outcomes themselves: a call key, letter or member that has
outcomes is not played again, and since every draw depends on seed and key alone, an interrupted play is
simply repeated.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from connectors.paths import Paths
from demo.systems.errors import SystemsError
from demo.systems.outcomes import campaigns, dialer, letters
from demo.systems.outcomes.draws import Draws
from demo.systems.outcomes.received import call_list, read_drops

XREF = "gridcrm/customer_xref/load_date=1970-01-01/all.parquet"


@dataclass(frozen=True)
class PlaySummary:
    """What one play added; all zero when everything had been played before."""

    played_date: date
    calls: dict[str, int] = field(default_factory=dict)
    """Attempts by disposition."""
    letters: dict[str, int] = field(default_factory=dict)
    """Letters by status reached."""
    campaign_events: dict[str, int] = field(default_factory=dict)
    """Events by kind."""
    refused_drops: tuple[str, ...] = ()
    """Batches that arrived damaged: manifest and reason."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing was written."""
        return not (self.calls or self.letters or self.campaign_events)


def play(paths: Paths, for_date: date, seed: int) -> PlaySummary:
    """Play the day after ``for_date`` (the as-of date of the push) by the truth.

    Writes ``outcomes_`` and ``letters_{for_date + 1}.csv`` into the outgoing folders and events into the
    campaign tool. Raises :class:`SystemsError` when the truth is not there.
    """
    day = for_date + timedelta(days=1)
    draws = Draws(seed)
    calls, damaged_lists = _play_dialer(paths, day, draws)
    statuses, damaged_letters = _play_print(paths, day, draws)
    return PlaySummary(
        played_date=day,
        calls=calls,
        letters=statuses,
        campaign_events=_play_campaign(paths, day, draws),
        refused_drops=(*damaged_lists, *damaged_letters),
    )


def _play_dialer(paths: Paths, day: date, draws: Draws) -> tuple[dict[str, int], list[str]]:
    drops, damaged = read_drops(paths.demo / "sftp/dialer/incoming")
    rows = call_list(drops)
    file = paths.demo / "sftp/dialer/outgoing" / f"outcomes_{day:%Y%m%d}.csv"
    before = _read_csv(file, dialer.COLUMNS)
    rows = rows[~rows["call_key"].isin(before["call_key"])]
    if rows.empty:
        return {}, damaged
    truth = dialer.CallTruth(
        contact=_truth(paths, "contact", ["account_no", "day_type", "slot", "p_right_party"]),
        late=_truth(paths, "nonpayment", ["account_no", "p_late_30"])
        .drop_duplicates("account_no")
        .set_index("account_no")["p_late_30"],
    )
    added = dialer.play_calls(rows, truth, day, draws)
    _append_csv(file, before, added)
    return _counts(added["disposition"]), damaged


def _play_print(paths: Paths, day: date, draws: Draws) -> tuple[dict[str, int], list[str]]:
    drops, damaged = read_drops(paths.demo / "sftp/print/incoming")
    received = pd.DataFrame(
        [
            {"letter_id": entry.get("letter_id") or file.stem, "account_no": entry.get("account_no")}
            for drop in drops
            for entry, file in zip(drop.entries, drop.files, strict=True)
            if file.suffix == ".pdf"
        ],
        columns=["letter_id", "account_no"],
        dtype=object,
    )
    outgoing = paths.demo / "sftp/print/outgoing"
    file = outgoing / f"letters_{day:%Y%m%d}.csv"
    known = [found for found in sorted(outgoing.glob("letters_*.csv")) if found.name <= file.name]
    history = pd.concat(
        [pd.DataFrame(columns=letters.COLUMNS, dtype=object)]
        + [_read_csv(found, letters.COLUMNS) for found in known],
        ignore_index=True,
    )
    if received.empty and history.empty:
        return {}, damaged
    household = _truth(paths, "household", ["account_no", "moved_out_on"]).dropna()
    moved_out = household.drop_duplicates("account_no").set_index("account_no")["moved_out_on"]
    added = letters.play_letters(received, history, moved_out, day, draws)
    _append_csv(file, _read_csv(file, letters.COLUMNS), added)
    return _counts(added["status"]), damaged


def _play_campaign(paths: Paths, day: date, draws: Draws) -> dict[str, int]:
    # Only this part needs the tool's store, and with it the packages of the web server.
    from demo.systems.campaign import CampaignStore
    from demo.systems.environment import Places

    file = Places.of(paths).campaign_db
    if not file.is_file():
        return {}
    store = CampaignStore(file)
    try:
        members = pd.DataFrame(store.members_without_events())
        if members.empty:
            return {}
        p_response = _response(paths, members)
        events = campaigns.play_campaign(members, p_response, day, draws)
        store.add_events(events.itertuples(index=False, name=None))
    finally:
        store.close()
    return _counts(events["event"])


def _response(paths: Paths, members: pd.DataFrame) -> np.ndarray:
    """The true probability of each member's response to its offer by e-mail; NaN for whom nobody knows.

    The member's customer is resolved to a person through the records that GridCRM unified; where it joined
    records of two persons, the message reaches the first.
    """
    identity = _truth(paths, "identity", ["person_id", "record_id"])
    response = _truth(paths, "response", ["person_id", "offer_id", "channel", "p_response_treated"])
    xref_file = paths.raw / XREF
    if not xref_file.is_file():
        return np.full(len(members), np.nan)
    xref = pq.read_table(xref_file, columns=["customer_id", "record_id"], partitioning=None).to_pandas()
    person = xref.merge(identity, on="record_id").groupby("customer_id")["person_id"].min()
    by_email = response[response["channel"] == "email"].drop_duplicates(["person_id", "offer_id"])
    asked = pd.DataFrame(
        {"person_id": members["customer_id"].map(person), "offer_id": members["offer_id"]}
    ).astype(object)
    found = asked.merge(by_email, how="left", on=["person_id", "offer_id"], validate="many_to_one")
    known = found["person_id"].notna()
    # A known person whom the truth has no response for does not respond; an unknown one is not reached.
    return (
        found["p_response_treated"]
        .astype(float)
        .where(~known, found["p_response_treated"].fillna(0.0))
        .to_numpy()
    )


def _truth(paths: Paths, name: str, columns: list[str]) -> pd.DataFrame:
    file = paths.truth / f"{name}.parquet"
    if not file.is_file():
        raise SystemsError(f"{file} is not there: make the simulated utility before its outcomes are played")
    frame: pd.DataFrame = pq.read_table(file, columns=columns, partitioning=None).to_pandas()
    return frame


def _read_csv(file: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    if not file.is_file():
        return pd.DataFrame(columns=list(columns), dtype=object)
    return pd.read_csv(file, dtype=str, keep_default_na=False)


def _append_csv(file: Path, before: pd.DataFrame, added: pd.DataFrame) -> None:
    """Write old and new rows through a temporary name; without new rows the file stays untouched."""
    if added.empty:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    rows = pd.concat([before, added], ignore_index=True) if len(before) else added
    rows.to_csv(temporary, index=False, lineterminator="\n")
    temporary.replace(file)


def _counts(values: pd.Series) -> dict[str, int]:
    return {str(name): int(count) for name, count in sorted(values.value_counts().items())}
