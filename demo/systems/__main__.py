"""``python -m demo.systems --data DIR``: serve the simulated systems until SIGTERM or SIGINT.

Belongs here: the command line. With ``--parent`` it is what :class:`demo.systems.Systems` starts: it speaks
JSON lines and ends when that parent does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from connectors.errors import GridCRMError
from connectors.paths import Paths
from demo.systems.campaign import RateLimit
from demo.systems.server import AlreadyServed, serve


def main(arguments: list[str] | None = None) -> int:
    """Exit 0 when told to end, 1 when something failed (one line on standard error)."""
    parser = argparse.ArgumentParser(
        prog="python -m demo.systems", description="Serve the simulated utility."
    )
    parser.add_argument("--data", type=Path, help="data root; by default GRIDCRM_DATA or ./data")
    parser.add_argument("--campaign-burst", type=int, default=RateLimit.burst, help="campaign calls at once")
    parser.add_argument(
        "--campaign-rate", type=float, default=RateLimit.per_second, help="and per second after"
    )
    parser.add_argument("--parent", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    paths = Paths(given.data.resolve()) if given.data else Paths.from_env()

    def announce(message: dict[str, Any]) -> None:
        if given.parent is not None:
            print(json.dumps(message), flush=True)
            return
        for name, value in message["env"].items():
            if not name.endswith(("PASSWORD", "TOKEN")):
                print(f"{name}={value}")
        print(f"Secrets are in {paths.demo / 'demo.env'}. Ctrl-C ends the systems.", flush=True)

    try:
        asyncio.run(
            serve(paths, RateLimit(given.campaign_burst, given.campaign_rate), announce, given.parent)
        )
    except GridCRMError as error:
        if given.parent is not None:
            event = "busy" if isinstance(error, AlreadyServed) else "failed"
            print(json.dumps({"event": event, "message": str(error)}), flush=True)
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
