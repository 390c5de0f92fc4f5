"""What must hold for any bytes whatever: balanced and counted, or refused by one of our own errors.

Belongs here: the invariants and the mutations. Does not belong here: who drives them; that is a property
test, and a coverage-guided fuzzer (``tests/fuzz``).
"""

from __future__ import annotations

import random

from hypothesis import strategies as st

from connectors.errors import GridCRMError
from tests.connectors.formats.corpus import Case
from tests.connectors.formats.sink import decoded


def hold(data: bytes, case: Case) -> bool:
    """Decode and check; whether the file was taken. Any error but our own is a defect."""
    try:
        _, result = decoded(data, case.format, case.settings)
    except GridCRMError:
        return False
    if case.count is not None:
        assert result.records_read == case.count(data)
    return True


@st.composite
def mutated(draw: st.DrawFn, case: Case) -> bytes:
    """A file of the case after a few cuts, copies, overwrites and insertions."""
    data = bytearray(draw(st.sampled_from(case.seeds)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        length = draw(st.integers(0, 40))
        kind = draw(st.sampled_from(["cut", "copy", "overwrite", "insert"]))
        noise = b"" if kind in ("cut", "copy") else draw(st.binary(max_size=6) | st.sampled_from(case.tokens))
        _apply(data, kind, at, length, noise, draw(st.integers(0, len(data))))
    return bytes(data)


def shaken(seed: bytes, case: Case, chance: random.Random) -> bytes:
    """The same mutations from a random source: for a fuzzer that knows bytes but not records."""
    data = bytearray(seed)
    for _ in range(chance.randint(1, 4)):
        kind = chance.choice(["cut", "copy", "overwrite", "insert"])
        noise = chance.choice([*case.tokens, chance.randbytes(chance.randint(1, 6))])
        at = chance.randint(0, max(len(data) - 1, 0))
        _apply(data, kind, at, chance.randint(0, 40), noise, chance.randint(0, len(data)))
    return bytes(data)


def _apply(data: bytearray, kind: str, at: int, length: int, noise: bytes, target: int) -> None:
    if kind == "cut":
        del data[at : at + length]
    elif kind == "copy":
        data[target:target] = data[at : at + length]
    else:
        data[at : at + (len(noise) if kind == "overwrite" else 0)] = noise
