"""Reading columns out of the frames a score is given, whatever carried them here.

Here belongs: turning a published table's column (decimal, date32, nullable boolean, Arrow string) into plain
numpy with one missing-value convention, and stable hashing of ids. What a column *means* belongs to the
score that reads it; nothing here reads a file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


class ScoringError(ValueError):
    """A score cannot be computed from what it was given; the message names the frame and column."""


def from_arrow(table: pa.Table) -> pd.DataFrame:
    """A published table as a frame: decimals to float64, dates to timestamps, other types as they are.

    Casting in Arrow avoids the object columns of ``decimal.Decimal`` and ``datetime.date`` that pandas would
    otherwise build, which cost about a microsecond a cell.
    """
    columns = []
    for field in table.schema:
        column = table.column(field.name)
        if pa.types.is_decimal(field.type):
            column = column.cast(pa.float64())
        elif pa.types.is_date(field.type):
            column = column.cast(pa.timestamp("us"))
        columns.append(column)
    return pa.table(columns, names=table.schema.names).to_pandas()


def need(frames: Mapping[str, pd.DataFrame], name: str) -> pd.DataFrame:
    """The frame called ``name``; raises ScoringError naming it where it is absent."""
    try:
        return frames[name]
    except KeyError:
        raise ScoringError(
            f"scoring needs the frame '{name}', which was not given; run the model first"
        ) from None


def _column(frame: pd.DataFrame, column: str) -> pd.Series:
    if column not in frame.columns:
        raise ScoringError(
            f"a frame lacks the column '{column}'; it has {', '.join(map(str, frame.columns[:12]))} …"
        )
    return frame[column]


def numbers(frame: pd.DataFrame, column: str, missing: float = np.nan) -> Floats:
    """A numeric column as float64, nulls replaced by ``missing``."""
    series = _column(frame, column)
    if (
        series.dtype == object
    ):  # decimals and mixed nulls: Arrow casts them about ten times faster than pandas
        series = pa.array(series, from_pandas=True).cast(pa.float64()).to_pandas()
    values: Floats = pd.to_numeric(series).to_numpy(dtype=np.float64, na_value=np.nan).copy()
    if not np.isnan(missing):
        values[np.isnan(values)] = missing
    return values


def flags(frame: pd.DataFrame, column: str) -> Bools:
    """A boolean column, null as False (unknown is no)."""
    series = _column(frame, column)
    if series.dtype == np.bool_:
        return series.to_numpy(dtype=np.bool_)
    return series.astype("boolean").fillna(False).to_numpy(dtype=np.bool_)


def texts(frame: pd.DataFrame, column: str) -> npt.NDArray[np.object_]:
    """A text column as an object array, null as the empty string."""
    series = _column(frame, column)
    if isinstance(series.dtype, pd.StringDtype):
        return series.fillna("").to_numpy(dtype=object)
    values = series.astype(object)
    return values.where(values.notna(), "").astype(str).to_numpy(dtype=object)


def days(frame: pd.DataFrame, column: str) -> pd.Series:
    """A date or timestamp column as naive midnights (datetime64[s]), nulls as NaT; the index is kept."""
    series = pd.to_datetime(_column(frame, column), errors="coerce")
    if getattr(series.dt, "tz", None) is not None:
        series = series.dt.tz_localize(None)
    return series.dt.normalize().astype("datetime64[s]")


def instants(frame: pd.DataFrame, column: str) -> pd.Series:
    """A timestamp column in UTC (datetime64[us, UTC]), nulls as NaT."""
    return pd.to_datetime(_column(frame, column), errors="coerce", utc=True)


def day_numbers(series: pd.Series) -> Floats:
    """Days since 1970-01-01 as float64, NaT as NaN, so that differences are plain arithmetic."""
    values = series.to_numpy(dtype="datetime64[D]")
    result: Floats = values.astype(np.int64).astype(np.float64)
    result[np.isnat(values)] = np.nan
    return result


def stable_unit(ids: npt.ArrayLike, salt: str) -> Floats:
    """A number in [0, 1) for each id that never changes: SHA-256 of salt and id.

    A library's hash may change with its version, and a permanent hold-out must not.
    """
    prefix = salt.encode() + b"\x1f"
    values = np.fromiter(
        (
            int.from_bytes(hashlib.sha256(prefix + str(i).encode()).digest()[:8], "big")
            for i in np.asarray(ids)
        ),
        dtype=np.uint64,
    )
    return values.astype(np.float64) / 2.0**64


def align(
    index: npt.ArrayLike, keys: npt.ArrayLike, values: npt.ArrayLike, missing: float = np.nan
) -> Floats:
    """``values`` (one for each unique key) in the order of ``index``, ``missing`` where a key is absent."""
    series = pd.Series(np.asarray(values, dtype=np.float64), index=pd.Index(np.asarray(keys, dtype=object)))
    found = series[~series.index.duplicated(keep="last")].reindex(pd.Index(np.asarray(index, dtype=object)))
    result: Floats = np.array(found, dtype=np.float64)
    if not np.isnan(missing):
        result[np.isnan(result)] = missing
    return result


def contains(values: npt.ArrayLike, members: npt.ArrayLike) -> Bools:
    """Which of ``values`` are among ``members``, by hashing (numpy's own sorts, which is slow on text)."""
    result: Bools = pd.Index(np.asarray(values)).isin(np.asarray(members))
    return result
