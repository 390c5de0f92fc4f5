"""What people do with what was pushed: the day after a push, played by the truth.

Belongs here: what the dialer, the print vendor and the campaign tool received, and what becomes of it. Does
not belong here: the truth itself (``demo.world``) and anything the product could see of it.
"""

from demo.systems.outcomes.player import PlaySummary, play

__all__ = ["PlaySummary", "play"]
