"""One running utility for all tests that only talk to it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import paramiko
import pytest

from connectors.paths import Paths
from demo.systems import Systems
from demo.systems.outcomes.player import XREF


@pytest.fixture(scope="session")
def systems(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Systems]:
    with Systems(Paths(tmp_path_factory.mktemp("utility") / "data")) as running:
        yield running


@pytest.fixture
def open_sftp() -> Iterator[Callable[..., paramiko.SFTPClient]]:
    """Opens sessions whose host key is pinned to the published one; closes them after the test."""
    transports: list[paramiko.Transport] = []

    def open_session(env: dict[str, str], password: str | None = None) -> paramiko.SFTPClient:
        algorithm, _, encoded = env["GRIDCRM_SFTP_HOST_KEY"].partition(" ")
        transport = paramiko.Transport((env["GRIDCRM_SFTP_HOST"], int(env["GRIDCRM_SFTP_PORT"])))
        transports.append(transport)
        transport.connect(
            hostkey=paramiko.PKey.from_type_string(algorithm, base64.b64decode(encoded)),
            username=env["GRIDCRM_SFTP_USERNAME"],
            password=env["GRIDCRM_SFTP_PASSWORD"] if password is None else password,
        )
        client = paramiko.SFTPClient.from_transport(transport)
        assert client is not None
        return client

    yield open_session
    for transport in transports:
        transport.close()


@pytest.fixture
def pg_url() -> Callable[..., Any]:
    """A SQLAlchemy URL for one of the databases."""
    from sqlalchemy import URL

    def make(env: dict[str, str], database: str, **changes: Any) -> URL:
        return URL.create(
            "postgresql+psycopg2",
            username=env["GRIDCRM_PG_USERNAME"],
            password=env["GRIDCRM_PG_PASSWORD"],
            host=env["GRIDCRM_PG_HOST"],
            port=int(env["GRIDCRM_PG_PORT"]),
            database=database,
        ).set(**changes)

    return make


@pytest.fixture(scope="session")
def write_truth() -> Callable[..., None]:
    """Writes a small truth, and the cross-reference that finds its people, under a data root."""
    return _write_truth


def _write_truth(paths: Paths, n_people: int = 400) -> None:
    """A small truth.

    Even accounts are home on weekday evenings (0.6) and nobody else is (0.05), but account 0 always. Odd
    households moved out on 1 November and respond to the e-mail about the tariff (0.5).
    """
    paths.truth.mkdir(parents=True)
    accounts = [f"{n:012d}" for n in range(n_people)]
    grid = pd.MultiIndex.from_product([accounts, ["weekday", "weekend"], range(48)]).to_frame(index=False)
    grid.columns = ["account_no", "day_type", "slot"]
    even = grid["account_no"].astype(int) % 2 == 0
    evening = (grid["slot"] >= 34) & (grid["slot"] < 42) & (grid["day_type"] == "weekday")
    p = np.where(even & evening, 0.6, 0.05)
    grid["p_right_party"] = np.where(grid["account_no"] == accounts[0], 1.0, p)
    grid.to_parquet(paths.truth / "contact.parquet")
    pd.DataFrame(
        {"account_no": accounts, "p_late_30": [0.9 if n % 4 else 0.0 for n in range(n_people)]}
    ).to_parquet(paths.truth / "nonpayment.parquet")
    moved = [date(2026, 11, 1) if n % 2 else None for n in range(n_people)]
    pd.DataFrame({"account_no": accounts, "moved_out_on": moved}).to_parquet(
        paths.truth / "household.parquet"
    )
    people = [f"p{n}" for n in range(n_people)]
    pd.DataFrame({"person_id": people, "record_id": [f"cis:{n:010d}" for n in range(n_people)]}).to_parquet(
        paths.truth / "identity.parquet"
    )
    pd.DataFrame(
        {
            "person_id": people * 2,
            "offer_id": "tou_tariff",
            "channel": ["email"] * n_people + ["letter"] * n_people,
            "p_response_treated": [0.5 if n % 2 else 0.0 for n in range(n_people)] + [1.0] * n_people,
            "p_response_control": 0.01,
        }
    ).to_parquet(paths.truth / "response.parquet")
    file = paths.raw / XREF
    file.parent.mkdir(parents=True)
    pd.DataFrame(
        {
            "customer_id": [f"C{n}" for n in range(n_people)],
            "record_id": [f"cis:{n:010d}" for n in range(n_people)],
        }
    ).to_parquet(file)
