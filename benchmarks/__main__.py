"""``python -m benchmarks NAME``: run one measure; without a name, list them."""

from __future__ import annotations

import sys
from importlib import import_module
from pkgutil import iter_modules

import benchmarks
from benchmarks.measure import Measure


def names() -> list[str]:
    """The measures: modules of this package that have a ``measure`` function."""
    return sorted(
        module.name
        for module in iter_modules(benchmarks.__path__)
        if not module.name.startswith("_") and module.name != "measure"
    )


def main(arguments: list[str]) -> int:
    """Exit code 0 when the measure was taken, 2 when there is none of that name."""
    if len(arguments) != 1 or arguments[0] not in names():
        print(f"make bench NAME=…, one of: {', '.join(names())}", file=sys.stderr)
        return 2
    measure: Measure = import_module(f"benchmarks.{arguments[0]}").measure()
    print(measure.to_json())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
