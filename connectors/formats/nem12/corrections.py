"""Days and reads that come twice in a file: which of them holds.

Belongs here: the order of versions. Does not belong here: how a repetition is suspected; see ``identity``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from connectors.formats.columns import BoolMask
from connectors.formats.text_lines import Ints


@dataclass(frozen=True)
class Versions:
    """Records that can be read and may have a twin: what they are about, when they were updated, and their
    ``number`` in the file.
    """

    service_point: pa.StringArray
    register: pa.StringArray
    moment: Ints  # day of an interval record, time of a read
    updated: Ints
    number: Ints


def outdated(versions: list[Versions], count: int) -> BoolMask:
    """Of the file's ``count`` records those replaced by a later version in this very file.

    An equal or missing update time lets the later line win. Only what can be read replaces another.
    """
    result = np.zeros(count, dtype=bool)
    if not versions:
        return result
    names = [_codes([getattr(part, name) for part in versions]) for name in ("service_point", "register")]
    moment, updated, number = (
        np.concatenate([getattr(part, name) for part in versions]) for name in ("moment", "updated", "number")
    )
    keys = [*names, moment]
    order = np.lexsort((number, updated, *keys))
    same = np.ones(max(len(order) - 1, 0), dtype=bool)
    for key in keys:
        same &= key[order][:-1] == key[order][1:]
    result[number[order[:-1][same]]] = True
    return result


def _codes(parts: list[pa.StringArray]) -> Ints:
    codes: Ints = pa.concat_arrays(parts).dictionary_encode().indices.to_numpy().astype(np.int64)
    return codes
