"""Where the fields of one record type lie: stretches of fixed offsets, and what varies between them.

Belongs here: REDEFINES, OCCURS, OCCURS DEPENDING ON and SYNCHRONIZED turned into places, and column names.
Does not belong here: finding those places in records (``places``), how records are found in a file
(``records``), the value formats (``values``).
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from connectors.formats.base import SettingsError
from connectors.formats.copybook.parser import Field, Usage
from connectors.formats.copybook.values import value_type


@dataclass
class Column:
    """A leaf field, or a table with columns of its own, at an offset in its stretch of the record.

    ``is_alternative`` marks what lies in a REDEFINES of other bytes: where the bytes are no value of it, they
    are the other reading's, so the value is null and the record is not at fault.
    """

    name: str
    field: Field
    offset: int
    size: int
    repeats: int | None = None
    children: tuple[Column, ...] = ()
    is_alternative: bool = False
    path: tuple[str, ...] = ()

    @property
    def type(self) -> pa.DataType:
        """The Arrow type of the column."""
        item = (
            pa.struct([(c.name, c.type) for c in self.children]) if self.children else value_type(self.field)
        )
        return item if self.repeats is None else pa.list_(item)


@dataclass(frozen=True)
class Counter:
    """A field that says how often a table occurs; ``key`` tells counters of one name apart."""

    key: int
    column: Column


@dataclass
class Fixed:
    """A stretch of fields at fixed offsets; ``needed`` is the end of the last column, ``size`` of all."""

    columns: list[Column]
    counters: list[Counter]
    size: int
    needed: int


@dataclass
class Varying:
    """A table whose elements a field counts, or that differ in size; hidden where it names nothing."""

    column: Column
    element: Layout
    counter: Counter | None
    minimum: int
    maximum: int
    is_hidden: bool


@dataclass
class Choice:
    """Readings of the same bytes of which one varies: all begin together and take ``least`` bytes or more."""

    members: list[Layout]
    least: int


@dataclass
class Layout:
    """One record type, or one element of a table: parts that lie one behind the other.

    ``size`` is the most it takes.
    """

    parts: list[Fixed | Varying | Choice] = field(default_factory=list)
    size: int = 0

    @property
    def fixed(self) -> Fixed | None:
        """The only part, where nothing varies."""
        return self.parts[0] if len(self.parts) == 1 and isinstance(self.parts[0], Fixed) else None

    @property
    def columns(self) -> list[Column]:
        """All columns in record order."""
        return list(self._columns())

    def _columns(self) -> Iterator[Column]:
        for part in self.parts:
            if isinstance(part, Fixed):
                yield from part.columns
            elif isinstance(part, Choice):
                for member in part.members:
                    yield from member.columns
            elif not part.is_hidden:
                yield part.column

    @property
    def fields(self) -> list[pa.Field]:
        """Arrow fields in record order."""
        return [pa.field(column.name, column.type) for column in self.columns]


@dataclass(frozen=True)
class LayoutRules:
    """What a site decides about places: see the settings of the same names."""

    align_synchronized: bool = True
    is_room_kept: bool = False


def lay_out(root: Field, branches: Sequence[Field] = (), rules: LayoutRules | None = None) -> Layout:
    """Lay out ``root``; of the alternatives that hold a branch only that one is kept."""
    maker = _Maker(branches, rules or LayoutRules())
    run = _Run(0)
    maker.entry(run, root, (), False, {})
    layout = run.finish()
    _name(layout.columns)
    return layout


class _Run:
    """Parts in the making; ``base`` is where the open stretch begins when every table has its maximum."""

    def __init__(self, base: int) -> None:
        self.start = base
        self.base = base
        self.at = 0
        self.parts: list[Fixed | Varying | Choice] = []
        self.columns: list[Column] = []
        self.counters: list[Counter] = []

    def align(self, bound: int) -> None:
        """Slack bytes up to the next multiple of ``bound``."""
        self.at += -(self.base + self.at) % bound

    def add(self, part: Varying | Choice, size: int) -> None:
        """End the open stretch and put something that varies behind it; ``size`` is its maximum."""
        self._close()
        self.parts.append(part)
        self.base += size

    def finish(self) -> Layout:
        """The layout of all parts."""
        if self.at or not self.parts:
            self._close()
        return Layout(self.parts, self.base - self.start)

    def _close(self) -> None:
        if not self.at and self.parts:
            return
        needed = max((c.offset + c.size * (c.repeats or 1) for c in self.columns), default=0)
        self.parts.append(Fixed(self.columns, self.counters, self.at, needed))
        self.base += self.at
        self.at, self.columns, self.counters = 0, [], []


_Seen = dict[str, tuple[list[Counter], Column]]


class _Maker:
    """Lays out entry by entry; one that is measuring takes every table at its maximum."""

    def __init__(self, branches: Sequence[Field], rules: LayoutRules, is_measuring: bool = False) -> None:
        self.branches = branches
        self.rules = rules
        self.is_measuring = is_measuring
        self.keys = 0

    def entry(
        self, run: _Run, entry: Field, path: tuple[str, ...], is_alternative: bool, seen: _Seen
    ) -> None:
        """Put an entry at the end of the run; ``seen`` are the fields a table may depend on."""
        run.align(self._lead(entry))
        below = path if entry.is_filler else (*path, entry.column)
        if entry.is_repeated:
            self._table(run, entry, below, is_alternative, seen)
        elif entry.is_group:
            self._group(run, entry, below, is_alternative, seen)
        else:
            column = Column(
                entry.column, entry, run.at, entry.size, is_alternative=is_alternative, path=below
            )
            run.at += entry.size
            seen[entry.name] = (run.counters, column)
            if not entry.is_hidden:
                run.columns.append(column)

    def _group(
        self, run: _Run, group: Field, path: tuple[str, ...], is_alternative: bool, seen: _Seen
    ) -> None:
        for family in _families(group):
            chosen = [c for c in family if any(f is b for f in c.walk() for b in self.branches)]
            if len(chosen) > 1:
                raise SettingsError(
                    f"{chosen[1].place}: {chosen[1].name} shares its bytes with {chosen[0].name}: "
                    "a record type is laid out by one of them"
                )
            kept = chosen or family
            self._family(run, family, kept, path, is_alternative, seen)

    def _family(
        self,
        run: _Run,
        family: list[Field],
        kept: list[Field],
        path: tuple[str, ...],
        is_alternative: bool,
        seen: _Seen,
    ) -> None:
        """Fields that share their bytes; those not kept are another record type's and only take room."""
        run.align(self._lead(family[0]))
        if len(family) == 1:
            self.entry(run, family[0], path, is_alternative, seen)
            return
        origin = kept[0] if len(kept) == 1 else family[0]
        least = max((self._size(c, run.base + run.at) for c in family if c not in kept), default=0)
        if not any(self._varies(child) for child in kept):
            start = end = run.at
            for child in kept:
                run.at = start
                self.entry(run, child, path, is_alternative or child is not origin, seen)
                end = max(end, run.at)
            run.at = max(end, start + least)
            return
        members = []
        for child in kept:
            inner = _Run(run.base + run.at)
            self.entry(inner, child, path, is_alternative or child is not origin, seen)
            members.append(inner.finish())
        run.add(Choice(members, least), max(least, *(member.size for member in members)))

    def _table(
        self, run: _Run, entry: Field, path: tuple[str, ...], is_alternative: bool, seen: _Seen
    ) -> None:
        inner, scope = _Run(run.base + run.at), dict(seen)
        if entry.is_group:
            self._group(inner, entry, (), is_alternative, scope)
        else:
            inner.at = entry.size
            if not entry.is_hidden:
                inner.columns = [Column(entry.column, entry, 0, entry.size)]
        if self.rules.align_synchronized:
            # Each element begins on the same bounds as the first.
            inner.at += -(inner.base + inner.at - inner.start) % max(_bound(f) for f in entry.walk())
        element = inner.finish()
        columns = element.columns
        _name(columns)
        children = tuple(columns) if entry.is_group else ()
        size, most = element.size, entry.occurs_max
        column = Column(entry.column, entry, run.at, size, most, children, is_alternative, path)
        counter = None
        if entry.depending_on is not None and not self.is_measuring:
            counter = self._counter(entry, entry.depending_on, seen)
        if counter is None and element.fixed:
            if columns:
                run.columns.append(column)
            run.at += size * most
            return
        varying = Varying(column, element, counter, entry.occurs_min, most, not columns)
        if counter is not None and self.rules.is_room_kept:
            run.add(Choice([Layout([varying], size * most)], size * most), size * most)
        else:
            run.add(varying, size * most)

    def _counter(self, entry: Field, name: str, seen: _Seen) -> Counter:
        where = f"{entry.place}: {entry.name} depends on {name}"
        if name not in seen or not pa.types.is_int64(seen[name][1].type):
            raise SettingsError(f"{where}, which is not a whole number before it in the record")
        counters, column = seen[name]
        known = next((c for c in counters if c.column is column), None)
        if known is None:
            self.keys += 1
            known = Counter(self.keys, column)
            counters.append(known)
        return known

    def _varies(self, entry: Field) -> bool:
        return not self.is_measuring and any(f.depending_on is not None for f in entry.walk())

    def _size(self, entry: Field, base: int) -> int:
        """The most an entry takes that starts at ``base``."""
        run = _Run(base)
        _Maker((), self.rules, is_measuring=True).entry(run, entry, (), False, {})
        return run.finish().size

    def _lead(self, entry: Field) -> int:
        """The bound of the first field of an entry: slack comes before the group, not into it."""
        while entry.is_group:
            entry = entry.children[0]
        return _bound(entry) if self.rules.align_synchronized else 1


def _bound(entry: Field) -> int:
    """The bytes a SYNCHRONIZED field is aligned to, as IBM's compilers have it."""
    if not entry.is_synchronized or entry.is_group:
        return 1
    if entry.usage is Usage.DOUBLE:
        return 8
    if entry.usage in (Usage.FLOAT, Usage.INDEX, Usage.POINTER):
        return 4
    return min(entry.size, 4) if entry.usage is Usage.BINARY and entry.size in (2, 4, 8) else 1


def _families(group: Field) -> list[list[Field]]:
    """The children, each with those that redefine it (or redefine what redefines it)."""
    families: list[list[Field]] = []
    owner: dict[str, list[Field]] = {}
    for child in group.children:
        if child.redefines is None:
            families.append([child])
            owner[child.name] = families[-1]
            continue
        if child.redefines not in owner:
            raise SettingsError(
                f"{child.place}: {child.name} redefines {child.redefines}, "
                "which is not a field before it in the same group"
            )
        owner[child.redefines].append(child)
        owner[child.name] = owner[child.redefines]
    return families


def _name(columns: Sequence[Column]) -> None:
    """Make names unique: the field's own, with its group's before it where two would be the same."""
    names = [column.name for column in columns]
    for depth in (2, 3, 99):
        counts = Tally(names)
        names = [
            "_".join(column.path[-depth:]) if counts[n] > 1 else n
            for n, column in zip(names, columns, strict=True)
        ]
    counts, used = Tally(names), Tally[str]()
    for name, column in zip(names, columns, strict=True):
        used[name] += 1
        column.name = f"{name}_{used[name]}" if counts[name] > 1 else name
