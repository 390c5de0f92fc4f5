"""Making a whole world: block by block, day by day, into every silo.

Belongs here: the order of things and nothing else. Does not belong here: what any silo looks like.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from sqlalchemy import Engine

from demo.world import campaigns, cis, contacts, crm, ledger
from demo.world.billing import Metered, make_bills
from demo.world.block import Block, make_block
from demo.world.clock import LocalDay, local_day, market_start_epoch
from demo.world.cmep import is_taken_over, write_cmep
from demo.world.config import Ints, WorldConfig, WorldError, date_of, day_number
from demo.world.dialer import HEADER as DIALER_HEADER
from demo.world.dialer import History
from demo.world.files import Manifest, Tree
from demo.world.grid import OUTAGE_HEADER, appliance_lines, make_outages, outage_lines, weather_file
from demo.world.identifiers import meter_serials, service_points
from demo.world.postgres import Loader, is_loaded
from demo.world.readings import EXPORT, Faults, Wh, actual, together, write_nem12
from demo.world.truth import TruthFiles, write_truth
from demo.world.usage import DayLoad, occupants, simulate_day
from demo.world.weather import make_weather

FOLDERS = (
    "cis/outgoing",
    "mdm/outgoing",
    "ami/outgoing",
    "han/outgoing",
    "oms/outgoing",
    "weather/outgoing",
    "dialer/incoming",
    "dialer/outgoing",
    "print/incoming",
    "print/outgoing",
)
MANIFEST = "world_manifest.json"
Progress = Callable[[str], None]


@dataclass(frozen=True)
class WorldSummary:
    """What lies there after a generation."""

    customers: int
    accounts: int
    persons: int
    days: int
    interval_values: int
    files: int
    bytes: int
    rows: dict[str, int] = field(default_factory=dict)
    """Rows of each SQL database's tables together."""
    is_unchanged: bool = False
    """Whether everything lay there already."""


def generate(
    config: WorldConfig,
    sftp_root: Path,
    truth: Path,
    engines: Mapping[str, Engine] | None = None,
    progress: Progress | None = None,
) -> WorldSummary:
    """Write the world that ``config`` asks for.

    ``sftp_root`` is the folder the SFTP server shows; ``truth`` takes the truth files and the manifest;
    ``engines`` are those of the databases ``collections`` and ``crm`` (None writes files only). A second
    call with the same settings finds everything in place and changes nothing; other settings replace what
    an earlier world wrote, and leave files of others alone. Raises :class:`WorldError` for an unknown
    database.
    """
    say = progress or (lambda _message: None)
    databases = dict(engines or {})
    if unknown := set(databases) - {"collections", "crm"}:
        raise WorldError(
            f"engines: unknown database {sorted(unknown)[0]!r}; known are 'collections' and 'crm'"
        )
    roots = {"sftp": sftp_root, "truth": truth}
    before = Manifest.read(truth / MANIFEST)
    files_stand = before is not None and before.fingerprint == config.fingerprint and before.is_intact(roots)
    if before and files_stand and all(is_loaded(e, config.fingerprint) for e in databases.values()):
        say(f"the world of {config.customers} customers is there already")
        return WorldSummary(**(before.summary | {"is_unchanged": True}))

    sftp = Tree(sftp_root, sftp_root.parent / ".world-sftp-parts")
    kept = Tree(truth, truth.parent / ".world-truth-parts")
    sftp.prepare(*FOLDERS)
    kept.prepare("")
    loaders: dict[str, Loader] = {}
    with ExitStack() as stack:
        stack.callback(sftp.close)
        stack.callback(kept.close)
        for name, engine in databases.items():
            loaders[name] = Loader(name, engine, config.fingerprint)
            stack.callback(loaders[name].abandon)
        summary = _World(config, sftp, TruthFiles(kept), loaders, say).write()
        if before:
            before.remove_stale("sftp", sftp_root, sftp.files)
            before.remove_stale("truth", truth, kept.files)
        trees = {"sftp": sftp.files, "truth": kept.files}
        stack.pop_all()
    sftp.close()
    kept.close()
    for loader in loaders.values():
        loader.finish()
    summary_fields = asdict(summary)
    rows = {name: loader.rows for name, loader in loaders.items()} or (
        before.summary["rows"] if before and files_stand else {}
    )
    summary_fields |= {
        "files": len(sftp.files),
        "bytes": sum(f["size"] for f in sftp.files.values()),
        "rows": rows,
    }
    Manifest(config.fingerprint, summary_fields, trees).save(truth / MANIFEST)
    return WorldSummary(**summary_fields)


class _World:
    """One generation under way."""

    def __init__(
        self, config: WorldConfig, sftp: Tree, truth: TruthFiles, loaders: dict[str, Loader], say: Progress
    ) -> None:
        self.config, self.sftp, self.truth, self.loaders, self.say = config, sftp, truth, loaders, say
        self.weather = make_weather(config)
        self.outages = make_outages(config)
        self.totals: dict[int, cis.Totals] = {day_number(d): cis.Totals() for d in config.dates}
        self.local_days = [local_day(config.start + timedelta(days=i)) for i in range(config.days + 1)]
        self.accounts = self.persons = self.values = 0

    def write(self) -> WorldSummary:
        """Every block, then the files that all blocks share."""
        config = self.config
        for day in config.dates:
            self.sftp.append(_cis(day), cis.header(day))
            self.sftp.append(_oms(day), OUTAGE_HEADER)
            self.sftp.append(_dialer(day), DIALER_HEADER)
        for number in range(config.blocks):
            self._block(make_block(config, number, self.weather))
        for day in config.dates:
            self.sftp.append(_cis(day), cis.trailer(self.totals[day_number(day)]))
            for name in (_cis(day), _oms(day), _dialer(day), _han(day)):
                self.sftp.finish(name)
            with self.sftp.write(f"weather/outgoing/weather_{day:%Y%m%d}.csv") as stream:
                stream.write(weather_file(self.weather, day))
            # The marker comes last: the extract is whole when it is there.
            with self.sftp.write(_cis(day).removesuffix(".dat") + ".done"):
                pass
        self.truth.close()
        return WorldSummary(config.customers, self.accounts, self.persons, config.days, self.values, 0, 0)

    def _block(self, block: Block) -> None:
        config = self.config
        metered = self._days(block)
        bills, payments = make_bills(
            config,
            block.people,
            block.equipment,
            block.character,
            block.expectation,
            self.weather,
            metered,
            block.streams,
        )
        for night, (bodies, totals) in cis.nightly(block, bills, payments).items():
            self.sftp.append(_cis(date_of(night)), b"".join(bodies))
            whole = self.totals[night]
            whole.counts.update(totals.counts)
            whole.bill_cents += totals.bill_cents
            whole.payment_cents += totals.payment_cents
        book = contacts.make_contacts(block)
        history = History.of(block)
        for day in config.dates:
            self.sftp.append(_oms(day), outage_lines(block, self.outages, day_number(day)))
            self.sftp.append(_dialer(day), history.day(day_number(day)))
        if loader := self.loaders.get("collections"):
            for table, rows in ledger.ledger_tables(block, bills, payments).items():
                loader.copy(table, rows)
        if loader := self.loaders.get("crm"):
            loader.copy("contact", book.table)
            loader.copy("consent", crm.consents(block, book))
            loader.copy("preference", crm.preferences(block, book))
            loader.copy("interaction", crm.interactions(block, book, bills, self.outages))
            if block.number == 0:
                loader.copy("campaign", campaigns.campaign_table(config))
            loader.copy("campaign_assignment", campaigns.assignments(block, book))
        write_truth(self.truth, block, bills, book)
        self.accounts += len(block.people.tenancies)
        self.persons += len(block.people.persons)

    def _days(self, block: Block) -> Metered:
        """Simulate and write every market day of a block; returns its energy by day."""
        config, n = self.config, len(block.people.premises)
        number = block.people.premises.number
        nmi, serial = service_points(number), meter_serials(number)
        metered = Metered(*(np.zeros((n, config.days), np.int32) for _ in range(4)))
        faults = Faults(block.streams, n, config.start_day, config.days)
        today = self._simulate(block, self.local_days[0])
        for i, day in enumerate(config.dates):
            here = self.local_days[i]
            tomorrow = self._simulate(block, self.local_days[i + 1])
            offset = here.market_offset
            missing = 96 - (here.n_quarters - offset)
            imported = np.concatenate([today.import_wh[:, offset:], tomorrow.import_wh[:, :missing]], axis=1)
            exported = np.concatenate([today.export_wh[:, offset:], tomorrow.export_wh[:, :missing]], axis=1)
            clock = np.concatenate(
                [here.clock_quarter[offset:], self.local_days[i + 1].clock_quarter[:missing]]
            )
            dark = self._without_power(block, market_start_epoch(day), 96)
            for rows, first, last in dark:
                imported[rows, first : last + 1] = 0
                exported[rows, first : last + 1] = 0
            self._count(metered, i, imported, exported, clock)
            has_export = block.equipment.pv_on[occupants(block.people, here.day)] <= here.day
            self._meter_file(block, day, faults, imported, exported, has_export, dark, (nmi, serial))
            gone = self._without_power(block, here.start_epoch, here.n_quarters)
            lines = appliance_lines(block, here, today.uses, occupants(block.people, here.day), gone)
            self.sftp.append_gzip(_han(day), lines)
            today = tomorrow
            if i % 15 == 14 or i == config.days - 1:
                self.say(f"meters {number[0] + 1}–{number[-1] + 1}: {i + 1} of {config.days} days written")
        return metered

    def _simulate(self, block: Block, day: LocalDay) -> DayLoad:
        return simulate_day(day, block.people, block.equipment, block.habits, self.weather, block.streams)

    def _without_power(self, block: Block, start_epoch: int, quarters: int) -> list[tuple[Ints, int, int]]:
        """Premises and the quarter-hours (first, last; from ``start_epoch`` on) wholly in an outage."""
        result = []
        first = np.maximum(-(-(self.outages.start - start_epoch) // 900), 0)
        last = np.minimum((self.outages.end - start_epoch) // 900 - 1, quarters - 1)
        for outage in np.flatnonzero(last >= first):
            rows = self.outages.rows(int(outage), block)
            if len(rows):
                result.append((rows, int(first[outage]), int(last[outage])))
        return result

    @staticmethod
    def _count(metered: Metered, i: int, imported: Wh, exported: Wh, clock: Ints) -> None:
        hour = clock // 4
        metered.import_wh[:, i] = imported.sum(axis=1)
        metered.export_wh[:, i] = exported.sum(axis=1)
        metered.peak_wh[:, i] = imported[:, (hour >= 15) & (hour < 19)].sum(axis=1)
        metered.night_wh[:, i] = imported[:, (hour >= 23) | (hour < 6)].sum(axis=1)

    def _meter_file(
        self,
        block: Block,
        day: date,
        faults: Faults,
        imported: Wh,
        exported: Wh,
        has_export: np.ndarray,
        dark: list[tuple[Ints, int, int]],
        names: tuple[pa.Array, pa.Array],
    ) -> None:
        stamp = int(f"{day:%Y%m%d}")
        everybody = np.arange(len(imported))
        if self.config.has_dirt:
            # A range of substituted values lies inside the day: the first and last interval stay actual.
            ranges = [(r, max(f + 1, 2), min(x + 1, 95)) for r, f, x in dark]
            parts = faults.apply(day_number(day), stamp, imported, [r for r in ranges if r[1] <= r[2]])
        else:
            parts = [actual(everybody, 0, stamp, imported)]
        sunny = np.flatnonzero(has_export)
        parts.append(actual(sunny, EXPORT, stamp, exported[sunny]))
        reads = together(parts)
        self.values += len(reads) * 96
        taken_over = is_taken_over(block.people.premises.number)[reads.meter]
        if taken_over.any():
            with self.sftp.write(f"ami/outgoing/AMI_{day:%Y%m%d}_{block.number:02d}.cmep.gz") as stream:
                write_cmep(stream, day, reads.take(np.flatnonzero(taken_over)), *names)
        reads = reads.take(np.flatnonzero(~taken_over))
        name = f"NEM12#{day:%Y%m%d}{block.number:02d}#RIVERB#GRIDCRM"
        with self.sftp.write(f"mdm/outgoing/{name}.zip") as stream:
            write_nem12(stream, f"{name}.csv", day, reads, *names, has_export)


def _cis(day: date) -> str:
    return f"cis/outgoing/{cis.file_name(day)}"


def _oms(day: date) -> str:
    return f"oms/outgoing/outages_{day:%Y%m%d}.csv"


def _dialer(day: date) -> str:
    return f"dialer/outgoing/outcomes_{day:%Y%m%d}.csv"


def _han(day: date) -> str:
    return f"han/outgoing/appliance_{day:%Y%m%d}.jsonl.gz"
