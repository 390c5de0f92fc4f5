"""The one total that CMEP allows: amounts between two reads of a dial against the dial's own difference.

Belongs here: collecting both while a file is decoded, and comparing them. Does not belong here: judging a
meter's day; that is validation's, which sees more than one file.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from connectors.formats.base import ControlTotal
from connectors.formats.cmep.triplets import Triplets
from connectors.formats.digits import Ints
from connectors.formats.reads import SCALE
from connectors.formats.words import Words

_LARGEST_SUM = 9.0e18


class RegisterDeltas:
    """Amounts by record, and reads of dials, of the channels that have both; some thirty bytes each."""

    def __init__(self) -> None:
        self._amounts: list[tuple[Words, Ints, Ints, Ints]] = []
        self._dials: list[tuple[Words, Ints, Ints, Ints]] = []

    def add(self, triplets: Triplets, channel: Words, constant: Ints, kept: npt.NDArray[np.bool_]) -> None:
        """Take the records of ``kept``; ``channel`` and ``constant`` (millionths) are one a record."""
        if triplets.unit.is_register:
            rows, columns = np.nonzero(kept[:, None] & ~triplets.missing)
            # A dial cuts off what is below its last digit, once at either end.
            last_place = 10 ** np.maximum(SCALE + triplets.unit.exponent - triplets.places, 0)
            last_place = np.maximum(last_place * constant // 10**6, 1)
            self._dials.append(
                (channel[rows], triplets.at[rows, columns], triplets.value[rows, columns], last_place[rows])
            )
            return
        if not triplets.is_interval:
            return
        has_gap = (triplets.since[:, 1:] != triplets.at[:, :-1]).any(axis=1)
        whole = kept & ~triplets.missing.any(axis=1) & ~has_gap
        whole &= np.abs(triplets.value.astype(np.float64)).sum(axis=1) < _LARGEST_SUM
        self._amounts.append(
            (
                channel[whole], triplets.since[whole, 0], triplets.at[whole, -1],
                triplets.value[whole].sum(axis=1),
            )
        )  # fmt: skip

    def total(self) -> ControlTotal | None:
        """How many differences of dials could be compared, and how many agree to the dial's last digit.

        ``None`` where nothing could be compared. Compared are neighbouring reads of a dial between which
        amounts lie without a gap; a dial that passed zero, or an exchanged meter, shows as a difference.
        """
        if not self._amounts or not self._dials:
            return None
        channel, since, until, amount = (np.concatenate(part) for part in zip(*self._amounts, strict=True))
        order = np.lexsort((since, channel))
        channel, since, until, amount = channel[order], since[order], until[order], amount[order]
        dial, at, value, last_place = (np.concatenate(part) for part in zip(*self._dials, strict=True))
        order = np.lexsort((at, dial))
        dial, at, value, last_place = dial[order], at[order], value[order], last_place[order]
        if not len(channel) or len(dial) < 2:
            return None
        # Codes in place of keys, so that a channel and a minute make one number to search for.
        names, code = np.unique(channel, return_inverse=True)
        place = np.minimum(np.searchsorted(names, dial), len(names) - 1)
        known = names[place] == dial
        begins, ends = (code << 32) | since, (code << 32) | until
        pairs = np.flatnonzero((dial[1:] == dial[:-1]) & known[1:] & (at[1:] > at[:-1]))
        low = np.searchsorted(begins, (place[pairs] << 32) | at[pairs])
        high = np.searchsorted(ends, (place[pairs] << 32) | at[pairs + 1])
        low, high = np.minimum(low, len(begins) - 1), np.minimum(high, len(ends) - 1)
        fits = (begins[low] == ((place[pairs] << 32) | at[pairs])) & (high >= low)
        fits &= ends[high] == ((place[pairs] << 32) | at[pairs + 1])
        breaks = np.concatenate([[0], np.cumsum(begins[1:] != ends[:-1])])
        fits &= breaks[low] == breaks[high]
        pairs, low, high = pairs[fits], low[fits], high[fits]
        if not len(pairs):
            return None
        found = _sums(amount, low, high)
        agree = np.abs(found - (value[pairs + 1] - value[pairs])) <= last_place[pairs]
        holds = int(agree.sum())
        return ControlTotal("register_delta", len(pairs), holds, holds == len(pairs), is_binding=False)


def _sums(amount: Ints, low: Ints, high: Ints) -> Ints:
    """Sums of ``amount[low:high + 1]``; int64 wraps, and differences of wrapped sums are right again."""
    running = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(amount)])
    found: Ints = running[high + 1] - running[low]
    return found
