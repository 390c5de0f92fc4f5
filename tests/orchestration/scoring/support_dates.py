"""Day numbers as dates, for the synthetic frames."""

from __future__ import annotations

import numpy as np
import pandas as pd

ORIGIN = np.datetime64("1970-01-01")


def as_dates(day_numbers: np.ndarray) -> pd.Series:
    values = np.full(len(day_numbers), np.datetime64("NaT", "D"))
    good = np.isfinite(day_numbers)
    values[good] = ORIGIN + day_numbers[good].astype("timedelta64[D]")
    return pd.Series(values.astype("datetime64[s]"))
