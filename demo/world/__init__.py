"""The simulated utility 'Riverbend Power & Light': its people, homes, meters, bills and silos.

Belongs here: the world and how it is written. Does not belong here: the servers that show it and what
answers back (demo/systems). ``generate`` is the one entry.
"""

from demo.world.config import WorldConfig, WorldError
from demo.world.generate import WorldSummary, generate

__all__ = ["WorldConfig", "WorldError", "WorldSummary", "generate"]
