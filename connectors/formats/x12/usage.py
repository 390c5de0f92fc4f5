"""867: quantities under PTD loops to rows of the canonical reads.

Belongs here: what holds above a quantity, and which segments are its own. Does not belong here: values, units
and periods (``quantities``), other transaction sets.

QTY is what was used, already multiplied by the meter's constant; the dial reads of MEA are not. Neither is
multiplied here. Which loops are details and which are their sums is for the reader to choose by
``register_id``: it is the loop's code (PTD01), the meter type (REF*MT, else the unit), the meter's role where
it is not additive (REF*JH: S is to be subtracted, I to be ignored) and, for a part of the day, the code of
MEA07: ``PL:KHMON``, ``SU:KH``, ``PL:KHMON:S``, ``PL:KHMON:42``.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.formats.columns import BoolMask, as_mask
from connectors.formats.segments.trail import Trail
from connectors.formats.text_lines import Ints
from connectors.formats.x12.block import TAGS, Block, null_where
from connectors.formats.x12.codes import Codes
from connectors.formats.x12.quantities import BAD_TIME, Context, Quantities
from connectors.formats.x12.syntax import read_times, reference

OPENERS = ("ST", "SE", "PTD", "QTY")
"""What ends the group of the quantity before it."""
_LOOP_TAGS = [TAGS[tag] for tag in ("REF", "DTM", "QTY", "MEA", "AMT", "LIN", "PID", "UIT")]
_CANCELLATION = "01"
_PERIOD = ("150", "151")


class Usage:
    """The 867 transactions of one file, block by block; a block ends before one of ``OPENERS``."""

    def __init__(self, codes: Codes) -> None:
        self.codes = codes
        settings = codes.settings
        self._is_cancelling = Trail(pa.bool_())
        self._loop, self._type, self._role = (Trail(pa.string()) for _ in range(3))
        self._loop_no = Trail(pa.int64())
        self._points = [Trail(pa.string()) for _ in settings.service_point_qualifiers]
        self._serials = [Trail(pa.string()) for _ in settings.serial_qualifiers]
        # Begin and end of the period: of the transaction, then of the loop.
        self._periods = [[Trail(pa.int64()) for _ in _PERIOD] for _ in range(2)]
        self._quantities = Quantities(codes)

    def read(self, block: Block, within: Ints) -> list[tuple[str, pa.RecordBatch]]:
        """Rows by table out of the segments ``within`` 867 transactions; bad ones get their verdict."""
        count, verdicts = len(block.segments), block.verdicts
        heads, loops, rows = (block.rows(tag, within) for tag in ("ST", "PTD", "QTY"))
        openers = np.sort(np.concatenate([block.rows(tag, within) for tag in OPENERS]))
        is_opener = np.zeros(count, dtype=bool)
        is_opener[openers] = True
        opener = np.maximum.accumulate(np.where(is_opener, np.arange(count), -1))
        is_behind = ~is_opener & (opener >= 0) & (block.kind[opener] == TAGS["QTY"])
        self._follow_loops(block, within, heads, loops)
        boundaries = np.union1d(heads, loops)
        self._follow_references(block, block.rows("REF", within), heads, boundaries)
        times, measures = block.rows("DTM", within), block.rows("MEA", within)
        self._follow_periods(block, times[~is_behind[times]], heads, boundaries)
        context = self._context(block, rows)
        verdicts.fail(rows[as_mask(context.loop.is_null())], "orphan")
        verdicts.fail(rows[as_mask(context.service_point.is_null())], "no_service_point")
        batches = self._quantities.read(
            block, rows, context, opener, times[is_behind[times]], measures[is_behind[measures]]
        )
        children = within[is_behind[within]]
        verdicts.fail(children[verdicts.is_bad(opener[children])], "parent_quarantined")
        return batches

    def _context(self, block: Block, rows: Ints) -> Context:
        of_transaction, of_loop = self._periods
        begin, end = (
            pc.coalesce(inner.at(rows), outer.at(rows))
            for outer, inner in zip(of_transaction, of_loop, strict=True)
        )
        return Context(
            service_point=pc.coalesce(*(trail.at(rows) for trail in self._points)),
            meter_serial=pc.coalesce(*(trail.at(rows) for trail in self._serials)),
            loop=self._loop.at(rows),
            meter_type=self._type.at(rows),
            meter_role=self._role.at(rows),
            loop_no=pc.fill_null(self._loop_no.at(rows), 0).to_numpy(),
            is_cancelled=as_mask(self._is_cancelling.at(rows)),
            updated_at=block.sent_at.at(rows),
            begin=begin,
            end=end,
        )

    def _follow_loops(self, block: Block, within: Ints, heads: Ints, loops: Ints) -> None:
        segments, count, verdicts = block.segments, len(block.segments), block.verdicts
        purpose = block.rows("BPT", within)
        cancels = pc.equal(segments.element_text(purpose, 1), _CANCELLATION)
        self._is_cancelling.follow(purpose, cancels, heads, count)
        kinds = segments.element_text(loops, 1)
        verdicts.fail(loops[as_mask(pc.equal(kinds, ""))], "no_product")
        self._loop.follow(loops, kinds, heads, count)
        self._loop_no.follow(loops, pa.array(segments.number[loops]), heads, count)
        inner = within[np.isin(block.kind[within], _LOOP_TAGS)]
        verdicts.fail(inner[as_mask(pc.equal(self._loop.at(inner), ""))], "parent_quarantined")

    def _follow_references(self, block: Block, rows: Ints, heads: Ints, boundaries: Ints) -> None:
        segments, count, settings = block.segments, len(block.segments), self.codes.settings
        in_loop = as_mask(self._loop.at(rows).is_valid())
        texts = null_where(reference(segments, rows, settings.encoding), np.zeros(len(rows), dtype=bool))

        def follow(trail: Trail, qualifier: str, place: BoolMask, resets: Ints) -> None:
            mine = np.flatnonzero((segments.equals(rows, (qualifier,), 1) == 0) & place)
            trail.follow(rows[mine], texts.take(pa.array(mine)), resets, count)

        for trail, qualifier in zip(self._points, settings.service_point_qualifiers, strict=True):
            follow(trail, qualifier, ~in_loop, heads)
        for trail, qualifier in zip(self._serials, settings.serial_qualifiers, strict=True):
            follow(trail, qualifier, in_loop, boundaries)
        follow(self._type, "MT", in_loop, boundaries)
        follow(self._role, "JH", in_loop, boundaries)

    def _follow_periods(self, block: Block, rows: Ints, heads: Ints, boundaries: Ints) -> None:
        segments, count = block.segments, len(block.segments)
        role = segments.equals(rows, _PERIOD, 1)
        rows, role = rows[role >= 0], role[role >= 0]
        in_loop = as_mask(self._loop.at(rows).is_valid())
        utc, _, bad = read_times(segments, rows, self.codes.time_zone, (2, 3, 4))
        block.verdicts.fail(rows[bad], "bad_time")
        for level, (place, resets) in enumerate(((~in_loop, heads), (in_loop, boundaries))):
            for which in range(len(_PERIOD)):
                mine = place & (role == which)
                times = np.where(bad[mine], BAD_TIME, utc[mine])
                self._periods[level][which].follow(rows[mine], pa.array(times), resets, count)
