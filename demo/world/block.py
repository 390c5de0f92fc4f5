"""One block of the world, with everything about its households drawn, before any day is simulated.

Belongs here: bundling what the writers of every silo read, and facts of a person that several silos show.
Does not belong here: any silo's spelling.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from demo.world.config import FAR_DAY, Bools, Ints, Streams, WorldConfig
from demo.world.households import Character, Equipment, make_character, make_equipment
from demo.world.occupancy import Habits, make_habits
from demo.world.population import Population, make_population
from demo.world.usage import Expectation, expect
from demo.world.weather import Weather


@dataclass(frozen=True)
class Block:
    """A block of premises with its people, causes and random streams."""

    config: WorldConfig
    number: int
    streams: Streams
    weather: Weather
    people: Population
    equipment: Equipment
    character: Character
    habits: Habits
    expectation: Expectation

    @property
    def first_serial(self) -> int:
        """First number of the ranges of serials that belong to this block (each is two a premise long)."""
        return self.number * self.config.meters_per_block * 2

    def is_spanish(self, persons: Ints) -> Bools:
        """Persons who want Spanish."""
        return np.asarray(self.people.persons.number[persons] * 13 % 100 < 6)

    def account_at_end(self, persons: Ints) -> Ints:
        """Tenancy of each person (a member's: the household's)."""
        return self.people.persons.tenancy[persons]

    def mail_known_on(self, persons: Ints) -> Ints:
        """Day in the window on which the mainframe learns the e-mail; 0 for those it knew before."""
        number = self.people.persons.number[persons]
        day = self.config.start_day + 1 + number * 97 % max(self.config.days - 1, 1)
        return np.where(number * 37 % 1000 < 18, day, 0)


def make_block(config: WorldConfig, number: int, weather: Weather) -> Block:
    """Draw a block."""
    streams = Streams(config.seed, number)
    people = make_population(config, number)
    equipment = make_equipment(config, people, streams)
    habits = make_habits(people.tenancies, streams)
    character = make_character(config, people, streams)
    return Block(
        config,
        number,
        streams,
        weather,
        people,
        equipment,
        character,
        habits,
        expect(people, equipment, habits),
    )


def is_open(block: Block, day: int) -> Bools:
    """Accounts open at the end of the day."""
    tenancies = block.people.tenancies
    return np.asarray((tenancies.opened <= day) & ((tenancies.closed > day) | (tenancies.closed == FAR_DAY)))
