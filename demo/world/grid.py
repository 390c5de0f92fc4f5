"""What the grid and the home network report: outages, weather observations, appliance use.

Belongs here: outages of the world, and the lines of the OMS, weather and home-area-network feeds. Does not
belong here: the load that they are consistent with (usage.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv

from demo.world.block import Block
from demo.world.cis import feeders
from demo.world.clock import LocalDay, iso_local, local_epoch, market_start_epoch
from demo.world.config import Ints, Streams, WorldConfig
from demo.world.identifiers import decimals, joined, padded, premise_numbers, service_points
from demo.world.population import FEEDERS_PER_CITY
from demo.world.usage import APPLIANCES, Uses
from demo.world.vocab import CITIES, STATIONS, take
from demo.world.weather import WORLD, Weather

CAUSES = ("weather", "tree", "equipment", "animal", "vehicle", "planned")
P_OUTAGE = 0.02
"""Outages per feeder and day."""
_STARTED_BY_HAND = [
    APPLIANCES.index(a) for a in ("dishwasher", "washing_machine", "dryer", "oven", "ev_charger")
]


def csv_bytes(table: pa.Table, *, header: bool = True) -> bytes:
    """A table as CSV text; no value of these feeds needs quotes."""
    sink = BytesIO()
    if header:
        sink.write((",".join(table.column_names) + "\n").encode())
    pcsv.write_csv(table, sink, pcsv.WriteOptions(include_header=False, quoting_style="none"))
    return sink.getvalue()


def lines_of(texts: pa.Array) -> bytes:
    """Texts, each ended by a line feed, as one run of bytes."""
    if len(texts) == 0:
        return b""
    ended = joined("", texts, "\n")
    whole = pa.concat_arrays([ended])
    return whole.buffers()[2].to_pybytes()[: pc.sum(pc.binary_length(whole)).as_py()]


@dataclass(frozen=True)
class Outages:
    """Outages of the world, one row each; ``section`` −1 is the whole feeder. Times are UTC epoch seconds."""

    feeder: Ints
    section: Ints
    start: Ints
    end: Ints
    cause: Ints
    day: Ints
    """Local day on which it began."""

    def rows(self, outage: int, block: Block) -> Ints:
        """Premises of the block that the outage reaches."""
        premises = block.people.premises
        hit = premises.feeder == self.feeder[outage]
        if self.section[outage] >= 0:
            hit = hit & (premises.section == self.section[outage])
        return np.flatnonzero(hit)


def make_outages(config: WorldConfig) -> Outages:
    """The outages of the window: some on every feeder, most of one section, an hour or so long."""
    draw = Streams(config.seed, WORLD).get("outages")
    count = len(CITIES) * FEEDERS_PER_CITY
    feeder, offset = np.nonzero(draw.random((count, config.days)) < P_OUTAGE)
    n = len(feeder)
    day = config.start_day + offset
    minutes = draw.integers(30, 23 * 60, n)
    start = local_epoch(day, minutes * 60)
    end = start + np.clip(draw.lognormal(np.log(75), 0.8, n), 6, 900).astype(np.int64) * 60
    return Outages(
        feeder=feeder,
        section=np.where(draw.random(n) < 0.2, -1, draw.integers(0, 4, n)),
        start=start,
        end=np.minimum(end, market_start_epoch(config.end) + 86_400),
        cause=draw.choice(len(CAUSES), n, p=[0.34, 0.24, 0.2, 0.09, 0.06, 0.07]),
        day=day,
    )


def outage_lines(block: Block, outages: Outages, day: int) -> bytes:
    """OMS rows (without header) of the outages that began on the day, one a premise."""
    parts = []
    for outage in np.flatnonzero(outages.day == day):
        rows = outages.rows(int(outage), block)
        n = len(rows)
        number = block.people.premises.number[rows]
        full = np.zeros(n, np.int64)
        parts.append(
            pa.table(
                {
                    "outage_id": joined("", f"OUT{outage:06d}-", padded(number, 7)),
                    "feeder": feeders(outages.feeder[outage] + full),
                    "premise_no": padded(premise_numbers(number), 10),
                    "started_at": iso_local(outages.start[outage] + full),
                    "restored_at": iso_local(outages.end[outage] + full),
                    "cause": take(CAUSES, outages.cause[outage] + full),
                }
            )
        )
    return csv_bytes(pa.concat_tables(parts), header=False) if parts else b""


OUTAGE_HEADER = b"outage_id,feeder,premise_no,started_at,restored_at,cause\n"


def weather_file(weather: Weather, day: date) -> bytes:
    """The 24 hourly observations of each station in a market day."""
    first = market_start_epoch(day)
    hour = (first - weather.first_day * 86_400) // 3600
    stations = len(STATIONS)
    epochs = np.tile(first + np.arange(24) * 3600, stations)
    stamps = pa.array(epochs).cast(pa.timestamp("s", tz="UTC"))
    return csv_bytes(
        pa.table(
            {
                "station": take(STATIONS, np.repeat(np.arange(stations), 24)),
                "observed_at": pc.strftime(stamps, format="%Y-%m-%dT%H:%M:%SZ"),
                "temperature_c": _two_decimals(weather.temperature_c[:, hour : hour + 24].ravel()),
                "humidity_pct": _two_decimals(weather.humidity_pct[:, hour : hour + 24].ravel()),
            }
        )
    )


def _two_decimals(values: np.ndarray) -> pa.Array:
    return decimals(np.rint(values.astype(np.float64) * 100).astype(np.int64), 7, 2)


def appliance_lines(
    block: Block, day: LocalDay, uses: Uses, rows: Ints, without_power: list[tuple[Ints, int, int]]
) -> bytes:
    """JSON lines of the opted-in homes for one local day: use, manual starts, timers set.

    ``rows`` are the tenancies by premise; ``without_power`` are premises with their first and last elapsed
    quarter off.
    """
    equipment = block.equipment
    keep = equipment.is_opted_in_han[rows[uses.row]] & (block.people.tenancies.left[rows[uses.row]] > day.day)
    for premises, first, last in without_power:
        keep &= ~(np.isin(uses.row, premises) & (uses.start <= last) & (uses.start + uses.quarters > first))
    index = np.flatnonzero(keep)
    point = service_points(block.people.premises.number[uses.row[index]])
    appliance = take(APPLIANCES, uses.appliance[index])
    started = iso_local(day.start_epoch + uses.start[index] * 900)
    seconds = pa.array(uses.quarters[index] * 900).cast(pa.string())
    energy = pa.array(uses.energy_wh[index]).cast(pa.string())
    who = joined("", '"service_point_id":"', point, '","appliance":"', appliance, '"')
    lines = [
        joined(
            "",
            '{"event":"use",',
            who,
            ',"started_at":"',
            started,
            '","duration_seconds":',
            seconds,
            ',"energy_wh":',
            energy,
            "}",
        )
    ]
    by_hand = np.isin(uses.appliance[index], _STARTED_BY_HAND) & ~uses.is_timed[index]
    pressed = joined(
        "",
        '{"event":"manual_start",',
        who,
        ',"occurred_at":"',
        started,
        '","timer_at_local":null,"weekdays":null}',
    )
    lines.append(pressed.filter(pa.array(by_hand)))
    # A timer is set on the first day seen and now and then again, in the evening.
    timed = uses.is_timed[index]
    again = (uses.row[index] * 13 + uses.appliance[index] + day.day) % 41 == 0
    is_set = timed & (again | (day.day == block.config.start_day))
    clock = day.clock_quarter[uses.start[index]]
    at = joined("", padded(clock // 4, 2), ":", padded(clock % 4 * 15, 2))
    evening = iso_local(local_epoch(np.full(len(index), day.day), 19 * 3600 + uses.row[index] * 37 % 7_200))
    setting = joined(
        "",
        '{"event":"timer_set",',
        who,
        ',"occurred_at":"',
        evening,
        '","timer_at_local":"',
        at,
        '","weekdays":"1,2,3,4,5,6,7"}',
    )
    lines.append(setting.filter(pa.array(is_set)))
    every = pa.concat_arrays([pa.array([], pa.string()), *lines])
    return lines_of(every)
