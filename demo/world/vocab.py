"""Words: names, nicknames, streets, towns and how clerks misspell them.

Belongs here: small word lists and the variants made from each word once, so that rows take a variant by
number instead of being edited one by one. Does not belong here: who has which name.
"""

from __future__ import annotations

import random
from functools import cache

import numpy as np
import pyarrow as pa

from demo.world.config import Ints

TYPO_VARIANTS = 6


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


GIVEN = _words(
    "James Mary Robert Patricia John Jennifer Michael Linda David Elizabeth William Barbara Richard Susan "
    "Joseph Jessica Thomas Sarah Charles Karen Christopher Lisa Daniel Nancy Matthew Betty Anthony Sandra "
    "Mark Margaret Donald Ashley Steven Kimberly Andrew Emily Paul Donna Joshua Michelle Kenneth Carol "
    "Kevin Amanda Brian Melissa Timothy Deborah Ronald Stephanie Jason Rebecca George Sharon Edward Laura "
    "Jeffrey Cynthia Ryan Dorothy Jacob Amy Nicholas Kathleen Gary Angela Eric Shirley Jonathan Emma "
    "Stephen Brenda Larry Pamela Justin Nicole Scott Anna Brandon Samantha Benjamin Katherine Samuel "
    "Christine Gregory Helen Alexander Debra Patrick Rachel Frank Carolyn Raymond Janet Jack Maria Dennis "
    "Olivia Jerry Heather Tyler Diane Aaron Julie Jose Joyce Adam Victoria Nathan Ruth Henry Virginia "
    "Zachary Lauren Douglas Kelly Peter Christina Kyle Joan Noah Evelyn Ethan Judith Jeremy Andrea Walter "
    "Hannah Christian Megan Keith Cheryl Roger Jacqueline Terry Martha Austin Madison Sean Teresa Gerald "
    "Gloria Carl Sara Harold Janice Dylan Ann Arthur Kathryn Lawrence Abigail Jordan Sophia Jesse Frances "
    "Bryan Jean Billy Alice Bruce Judy Gabriel Isabella Joe Julia Logan Grace Alan Denise Juan Amber "
    "Albert Doris Willie Marilyn Elijah Danielle Wayne Beverly Randy Charlotte Vincent Natalie Mason "
    "Theresa Roy Diana Ralph Brittany Bobby Kayla Russell Alexis Bradley Lori Philip Marie Eugene Mai "
    "Xeng Pao Kia Ingrid Lars Greta Otto Sigrid Anders Astrid Klaus "
)

NICKNAMES = dict(
    pair.split(":")
    for pair in _words(
        "James:Jim Robert:Bob John:Jack Michael:Mike David:Dave Elizabeth:Liz William:Bill Richard:Rick "
        "Joseph:Joe Thomas:Tom Charles:Chuck Christopher:Chris Daniel:Dan Matthew:Matt Anthony:Tony "
        "Margaret:Peggy Donald:Don Steven:Steve Andrew:Andy Joshua:Josh Kenneth:Ken Timothy:Tim Deborah:Deb "
        "Ronald:Ron Stephanie:Steph Rebecca:Becky Edward:Ed Jeffrey:Jeff Cynthia:Cindy Jacob:Jake "
        "Nicholas:Nick Kathleen:Kathy Stephen:Steve Pamela:Pam Samantha:Sam Benjamin:Ben Katherine:Kate "
        "Samuel:Sam Christine:Chris Gregory:Greg Alexander:Alex Patrick:Pat Raymond:Ray Jennifer:Jenny "
        "Patricia:Patty Barbara:Barb Susan:Sue Jessica:Jess Nathan:Nate Zachary:Zach Douglas:Doug "
        "Peter:Pete Lawrence:Larry Gerald:Jerry Harold:Hal Victoria:Vicky Theresa:Terri Russell:Russ "
        "Bradley:Brad Philip:Phil Eugene:Gene Albert:Al Arthur:Art Frances:Fran Abigail:Abby Jonathan:Jon "
    )
)

_COMMON_SURNAMES = _words(
    "Johnson Anderson Smith Olson Nelson Peterson Larson Miller Schmidt Hansen Meyer Mueller Krueger "
    "Schneider Becker Vang Xiong Yang Garcia Martinez Nguyen Kowalski Nowak Wisniewski Murphy Sullivan "
    "O'Brien Williams Jones Brown Davis Wilson Moore Taylor Thomas Jackson White Harris Martin Thompson "
    "Clark Lewis Lee Walker Hall Young King Wright "
)
_SURNAME_HEADS = _words(
    "Lind Hall Berg Stein Ander Peder Halvor Gunder Torg Knut Sven Ras Chris Even Thor Erick Ol Nels Arn "
    "Hag Wald Kirch Schoen Grun Roth Weiss Acker Alt Baum Brand Damm Eich Feld Fried Gold Hart Hein Kauf "
    "Klein Krau Lang Lieb Meier Neu Ober Pfei Reich Sauer Schwar Traut Vog Wein Zieg Bor Dom Jan Kam Lew "
    "Mal Now Pio Sob Wit Zal "
)
_SURNAME_TAILS = _words(
    "son sen berg man mann stad strom quist gren dahl ner er ler bach hoff wald stein haus ski owski feld "
)

SURNAMES: tuple[str, ...] = tuple(
    dict.fromkeys((*_COMMON_SURNAMES, *(head + tail for tail in _SURNAME_TAILS for head in _SURNAME_HEADS)))
)

_STREET_NAMES = _words(
    "Oak Maple Cedar Birch Willow Elm Pine Walnut Hickory River Mill Ferry Bridge Lake Prairie "
    "Meadow Orchard Quarry Church School Depot Railroad Harbor Sunset Heron Badger Fox Otter Eagle "
    "Main State Market Canal Lincoln Grant "
)
STREETS = tuple(f"{name} {kind}" for kind in ("St", "Ave", "Rd", "Ln", "Dr", "Ct") for name in _STREET_NAMES)

CITIES = ("Riverbend", "Lakeside", "North Hill", "Ferryville Mills", "Otter Creek")
CITY_STATIONS = np.array([0, 1, 2, 0, 1])
STATIONS = ("RBNDWX", "LAKEWX", "NHILWX")
POSTCODES = np.array([53990, 53992, 53994, 53996, 53998])
CITY_LATITUDE = np.array([43.412, 43.388, 43.561, 43.447, 43.335])
CITY_LONGITUDE = np.array([-89.741, -89.602, -89.688, -89.823, -89.556])

AREA_CODES = np.array([608, 414, 920, 715, 262, 534])

BUSINESS_HEADS = (
    "Riverbend",
    "Lakeside",
    "Badger",
    "Prairie",
    "Three Rivers",
    "Main Street",
    "North Hill",
    "Heron",
    "Mill Pond",
    "Otter",
)
BUSINESS_TAILS = (
    "Bakery LLC",
    "Auto Repair",
    "Dental Care",
    "Hardware Inc",
    "Cafe",
    "Veterinary Clinic",
    "Printing Co",
    "Hair Studio",
    "Brewing LLC",
    "Fitness",
)

OFFERS = ("paperless", "autopay", "tou_tariff", "energy_audit", "ev_tariff", "smart_thermostat")

_NEIGHBOURS = {
    "a": "s",
    "e": "r",
    "i": "o",
    "o": "p",
    "n": "m",
    "s": "d",
    "t": "r",
    "r": "t",
    "l": "k",
    "h": "j",
    "d": "f",
}


def _mistype(word: str, draw: random.Random) -> str:
    """One slip of the fingers: a letter doubled, dropped, swapped with the next, or the key beside it."""
    if len(word) < 4:
        return word + word[-1]
    at = draw.randrange(1, len(word) - 1)
    kind = draw.randrange(4)
    if kind == 0:
        return word[:at] + word[at] + word[at:]
    if kind == 1:
        return word[:at] + word[at + 1 :]
    if kind == 2:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return word[:at] + _NEIGHBOURS.get(word[at], "e") + word[at + 1 :]


@cache
def typo_table(words: tuple[str, ...]) -> pa.Array:
    """``TYPO_VARIANTS`` misspellings of each word, word by word: row ``word * TYPO_VARIANTS + variant``."""
    draw = random.Random(7)
    return pa.array([_mistype(word, draw) for word in words for _ in range(TYPO_VARIANTS)])


@cache
def nickname_table() -> pa.Array:
    """For each given name, what friends call its bearer (the name itself where nothing is shorter)."""
    return pa.array([NICKNAMES.get(name, name) for name in GIVEN])


@cache
def long_street_table() -> pa.Array:
    """Street names with the kind written out, as some clerks do."""
    kinds = {"St": "Street", "Ave": "Avenue", "Rd": "Road", "Ln": "Lane", "Dr": "Drive", "Ct": "Court"}
    return pa.array([f"{name.rsplit(' ', 1)[0]} {kinds[name.rsplit(' ', 1)[1]]}" for name in STREETS])


def take(words: tuple[str, ...] | list[str] | pa.Array, index: Ints) -> pa.Array:
    """The words at the given positions, as an Arrow string array."""
    table = words if isinstance(words, pa.Array) else pa.array(list(words))
    return table.take(pa.array(index, type=pa.int64()))


@cache
def surname_weights() -> np.ndarray:
    """How common each surname is: the first few are many, the rest are rare (Zipf with exponent 0.7)."""
    weights = 1.0 / (np.arange(len(SURNAMES)) + 3.0) ** 0.7
    return weights / weights.sum()
