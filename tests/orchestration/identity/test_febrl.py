"""The Febrl sets, which others made and measured: no household in them, up to six spoilt copies of a person.

Only what a utility also has is used: names, birth date, address, postcode; not the social security number.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from orchestration.identity import resolve

from .silos import pair_quality


def read_febrl(path: Path) -> pd.DataFrame:
    """A Febrl file in the columns of int_identity_records."""
    frame = pd.read_csv(path, skipinitialspace=True, dtype=str)
    frame = frame.rename(columns=str.strip).apply(lambda column: column.str.strip())
    address = (frame["street_number"].fillna("") + " " + frame["address_1"].fillna("")).str.strip()
    return pd.DataFrame(
        {
            "record_id": frame["rec_id"],
            "source": "febrl",
            "source_key": frame["rec_id"],
            "name_kind": "P",
            "given_name": frame["given_name"],
            "surname": frame["surname"],
            "birth_date": pd.to_datetime(frame["date_of_birth"], format="%Y%m%d", errors="coerce"),
            "address_line": address.where(address != "", None),
            "postcode": frame["postcode"],
        }
    )


@pytest.mark.parametrize(("name", "f1_at_least"), [("dataset1", 0.95), ("dataset3", 0.95)])
def test_febrl(name: str, f1_at_least: float, realdata: Path) -> None:
    frame = read_febrl(realdata / "entity_resolution" / "febrl" / f"{name}.csv")
    xref = resolve(frame).xref.to_pydict()
    people = [record_id.split("-")[1] for record_id in xref["record_id"]]
    precision, recall, f1 = pair_quality(xref["customer_id"], people)
    assert precision >= 0.995, f"precision {precision:.4f}, recall {recall:.4f}, F1 {f1:.4f}"
    assert f1 >= f1_at_least, f"precision {precision:.4f}, recall {recall:.4f}, F1 {f1:.4f}"
