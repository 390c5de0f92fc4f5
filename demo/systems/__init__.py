"""The servers of the simulated utility over their real protocols, and what its people do with what we push.

Belongs here: SFTP, PostgreSQL and the campaign tool on 127.0.0.1, and the player of outcomes. Does not belong
here: the data they hold, which ``demo.world`` writes.
"""

from demo.systems.errors import SystemsError
from demo.systems.process import Systems

__all__ = ["Systems", "SystemsError"]
