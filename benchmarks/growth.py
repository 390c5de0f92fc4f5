"""Growth: does a value cost the same in a file of 100 million as in one of a million?

Belongs here: decoding files of three sizes into Parquet, as ingestion does, each in a process of its own.
Does not belong here: what the files look like (``meter_days``) and speed as such (``nem12``).

``ours`` is the rate at 100 million values, ``peer`` that at one million: 0.9 of it is flat within ten per
cent. It is taken by the clock and in processor time, which other work on the machine does not disturb.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import Comparison, Measure
from benchmarks.meter_days import write_meter_days
from connectors.formats import decode, schema
from connectors.ingest.staging import StagedTables, raw_schema

_MILLION_DAYS = 9_100  # of 110 values each
_SIZES = {1: 5, 10: 3, 100: 1}
"""Millions of values, and how often they are decoded: a small file for a median, a large one is its own."""


def measure() -> Measure:
    """Values a second at 100 million values ÷ at one million."""
    found: dict[int, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        warm = folder / "warm.csv"
        write_meter_days(warm, _MILLION_DAYS // 10)
        for millions, runs in _SIZES.items():
            file = folder / f"{millions}.csv"
            values = write_meter_days(file, _MILLION_DAYS, copies=millions)
            found[millions] = [_run(warm, file, folder / "staged", values) for _ in range(runs)]
            file.unlink()
    rates = {name: _rates(found, name) for name in ("seconds", "cpu_seconds")}
    return Measure(
        "growth",
        [
            Comparison("by_the_clock", *_ends(rates["seconds"]), "values/s", target=0.9),
            Comparison("in_processor_time", *_ends(rates["cpu_seconds"]), "values/s", target=0.9),
        ],
        {
            "values": {size: runs[0]["values"] for size, runs in found.items()},
            "peak_megabytes": {
                size: max(run["peak_megabytes"] for run in runs) for size, runs in found.items()
            },
        },
    )


def _rates(found: dict[int, list[dict[str, Any]]], time_taken: str) -> list[float]:
    """Values a second, size by size."""
    return [median(run["values"] / run[time_taken] for run in runs) for runs in found.values()]


def _ends(rates: list[float]) -> tuple[float, float]:
    return rates[-1], rates[0]


def _run(warm: Path, file: Path, staged: Path, values: int) -> dict[str, Any]:
    """Decode in a process of its own, and see that nothing is missing."""
    command = [sys.executable, "-m", "benchmarks.growth", str(warm), str(file), str(staged)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout)
    if result["values"] != values:
        raise RuntimeError(f"{result['values']} values read of {values}")
    print(f"{values} values: {result}", file=sys.stderr)
    return result


def _decode(file: Path, staged: Path) -> dict[str, Any]:
    """One file into a staging folder, as a feed does it."""
    schemas = {table: raw_schema(declared) for table, declared in schema("nem12", {}).items()}
    start, cpu = time.perf_counter(), time.process_time()
    with StagedTables(staged, "bench", "file", file.name, schemas) as sink, file.open("rb") as stream:
        result = decode(stream, "nem12", {}, sink, name=file.name)
    if not result.is_balanced or result.quarantined:
        raise RuntimeError("records are missing")
    return {
        "values": result.rows["interval_reads"],
        "seconds": round(time.perf_counter() - start, 3),
        "cpu_seconds": round(time.process_time() - cpu, 3),
        "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000,
    }


if __name__ == "__main__":
    warm_file, its_file, folder = (Path(argument) for argument in sys.argv[1:])
    # The first calls into Arrow and numpy are dear, whatever the size: they are not to be counted.
    _decode(warm_file, folder)
    print(json.dumps(_decode(its_file, folder)))
