"""Why a reading of an XML meter format is not loaded: the rules, by number in columns, by name in quarantine.

Belongs here: the rules and their reasons. Does not belong here: finding out which one is broken.
"""

from __future__ import annotations

from typing import NamedTuple


class Rule(NamedTuple):
    """Name and reason of a rule."""

    name: str
    reason: str


RULES = (
    Rule("", ""),
    Rule("parent_quarantined", "what it belongs to, or what gives its unit, is in quarantine"),
    Rule("bad_time", "its time is missing or no time"),
    Rule("fractional_time", "its time is not a whole second"),
    Rule("bad_duration", "its duration is missing or not a whole number of seconds above 0"),
    Rule("bad_value", "its value is no number, or not exact to six decimals of the stored unit"),
    Rule("bad_cost", "its cost is no whole number"),
    Rule("unknown_quality", "its quality is none of the known codes"),
    Rule("bad_structure", "an element that holds a text holds other elements, or the reading holds another"),
    Rule("conflicting_readings", "readings of one register begin at one time and disagree, none is newer"),
    Rule("orphan", "no element around it or link says what it belongs to"),
    Rule("block_interval", "the readings do not fill the interval that their block declares"),
)
(
    FINE,
    PARENT,
    BAD_TIME,
    FRACTIONAL,
    BAD_SECONDS,
    BAD_VALUE,
    BAD_COST,
    UNKNOWN_QUALITY,
    BAD_STRUCTURE,
    CONFLICT,
    ORPHAN,
    BLOCK_INTERVAL,
) = range(len(RULES))
