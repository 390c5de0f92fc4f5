"""Chance that depends on the seed and the key alone.

Belongs here: uniform numbers by key, so that neither the order nor the number of rows changes what happens
to one of them. Does not belong here: what the numbers decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Draws:
    """Numbers drawn by key from one seed."""

    seed: int

    def bits(self, keys: pd.Series, purpose: str) -> npt.NDArray[np.uint64]:
        """64 bits for each key, independent between purposes."""
        salt = sha256(f"{self.seed}:{purpose}".encode()).hexdigest()[:16]
        hashed = pd.util.hash_array(keys.astype(object).to_numpy(), hash_key=salt, categorize=False)
        return np.asarray(hashed, dtype=np.uint64)

    def uniform(self, keys: pd.Series, purpose: str) -> Floats:
        """One number in [0, 1) for each key."""
        top = (self.bits(keys, purpose) >> np.uint64(11)).astype(np.float64)
        return np.asarray(top * 2.0**-53, dtype=np.float64)

    def identifiers(self, keys: pd.Series, purpose: str, prefix: str) -> pd.Series:
        """A stable identifier for each key: the prefix and sixteen hexadecimal digits."""
        texts = [prefix + f"{bits:016x}" for bits in self.bits(keys, purpose).tolist()]
        return pd.Series(texts, index=keys.index, dtype=object)
