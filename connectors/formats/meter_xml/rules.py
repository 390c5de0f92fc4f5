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
    Rule("no_reading_type", "it has no reading type, or refers to one that is not in the file"),
    Rule(
        "bad_reading_type", "its reading type is no code of 18 numbers, or its multiplier is beyond measure"
    ),
    Rule("unknown_unit", "the unit of its reading type is none that reads are stored in"),
    Rule("unknown_accumulation", "the accumulation of its reading type is none that can become reads"),
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
    NO_READING_TYPE,
    BAD_READING_TYPE,
    UNKNOWN_UNIT,
    UNKNOWN_ACCUMULATION,
) = range(len(RULES))
