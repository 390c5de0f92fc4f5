"""``python -m tests.fuzz [--runs N] [FORMAT …]``: atheris over every decoder, from the corpus of its tests.

Belongs here: driving the fuzzer, one process a format. Does not belong here: what must hold
(``tests/connectors/formats/torture.py``). A finding is written to ``.fuzz/<format>/`` and ends the run with
exit code 1; the file there is what a regression test is made of.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
from pathlib import Path

SEED = 20261125
MOST_BYTES = 4096
SECONDS_AN_INPUT = 10
FINDINGS = Path(".fuzz")


def main() -> int:
    """Run each format in a process of its own: libFuzzer ends the process it runs in."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("formats", nargs="*")
    asked = parser.parse_args()
    if asked.one:
        _fuzz(asked.one, asked.runs)
    from connectors.formats import format_names

    failed = []
    for format in asked.formats or format_names():
        command = [sys.executable, "-m", "tests.fuzz", "--runs", str(asked.runs), "--one", format]
        done = subprocess.run(command, check=False)
        if done.returncode:
            failed.append(format)
        else:
            print(f"{format}: {asked.runs} inputs, nothing crashed, hung or was dropped", flush=True)
    if failed:
        print(f"found something in {', '.join(failed)}: see {FINDINGS}/", file=sys.stderr)
    return 1 if failed else 0


def _fuzz(format: str, runs: int) -> None:
    import atheris

    with atheris.instrument_imports(include=["connectors.formats"]):
        from tests.connectors.formats.corpus import cases
        from tests.connectors.formats.torture import hold, shaken

    known = cases(format)
    findings = FINDINGS / format
    corpus = findings / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    # The first byte chooses the case, so that one corpus serves all settings of a format.
    for which, case in enumerate(known):
        for number, seed in enumerate(case.seeds):
            (corpus / f"seed-{which}-{number}").write_bytes(bytes([which]) + seed[: MOST_BYTES - 1])

    def one_input(data: bytes) -> None:
        if data:
            hold(data[1:], known[data[0] % len(known)])

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        chance = random.Random(seed)
        if not data or chance.random() < 0.3:
            return bytes(atheris.Mutate(data, max_size))
        case = known[data[0] % len(known)]
        return (data[:1] + shaken(data[1:], case, chance))[:max_size]

    atheris.Setup(
        ["tests.fuzz", f"-runs={runs}", f"-seed={SEED}", f"-max_len={MOST_BYTES}", "-rss_limit_mb=4096",
         f"-timeout={SECONDS_AN_INPUT}", f"-artifact_prefix={findings}/", "-verbosity=0", str(corpus)],
        one_input, custom_mutator=mutate,
    )  # fmt: skip
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
