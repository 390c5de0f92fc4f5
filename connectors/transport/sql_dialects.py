"""What databases do differently: how one moment is had, how columns are asked for so that nothing is lost.

Belongs here: facts about dialects, as tables. Does not belong here: connections and reading.

A driver hands out some types as something less than they are: padded, rounded to a float, or as an object
that Arrow has no type for. Such a column is asked for in a form that is exact; what a feed declares decides
what becomes of it (``ingest.conform``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.dialects import mssql, mysql, postgresql

Column = sa.ColumnElement[Any]


@dataclass(frozen=True)
class Moment:
    """How several reads see one moment: an isolation level, statements that begin the transaction, or both.

    Neither means that the database has no snapshot to give: reads see what is committed when each begins, and
    the reconciliation of counts says when that did not fit together.
    """

    isolation_level: str | None = None
    begin: tuple[str, ...] = ()
    prepare: tuple[str, ...] = ()
    """Settings of the session, whether one moment is asked for or not."""


PLAIN_TIMES = ("set time zone 'UTC'", "set datestyle = 'ISO, YMD'")
"""PostgreSQL: what becomes text, and what a text is compared with, does not depend on settings of a user."""

_MYSQL = Moment(
    "REPEATABLE READ",
    ("start transaction with consistent snapshot, read only",),
    # TIMESTAMP columns are shown in the session's zone. A slow reader must not be cut off after a minute.
    ("set time_zone = '+00:00', net_write_timeout = 600",),
)
MOMENTS: dict[str, Moment] = {
    "postgresql": Moment("REPEATABLE READ", prepare=PLAIN_TIMES),
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
    # The driver begins no transaction for a select by itself.
    "sqlite": Moment(None, ("begin",)),
    # Needs ALLOW_SNAPSHOT_ISOLATION; REPEATABLE READ would lock out writers and still show phantoms.
    "mssql": Moment("SNAPSHOT"),
    "oracle": Moment(None, ("set transaction read only",)),
    # Db2 has no snapshot; its REPEATABLE READ locks the tables against the system that lives on them.
    "ibm_db_sa": Moment(),
}
"""By SQLAlchemy's name of the dialect; one that is not here gets ``Moment()``."""

_TEXTS = (sa.String, sa.VARCHAR, sa.TEXT)


class WireNumeric(sa.LargeBinary):
    """PostgreSQL's own binary form of a numeric; :func:`wire_numeric.decode` turns it into decimals."""


def read_as(column: Column, name: str, dialect: str, *, wire: bool = False) -> sa.Label[Any]:
    """``column`` as it is to be selected; ``wire``: numerics of PostgreSQL in their binary form."""
    form = _FORMS.get(dialect, _plain)(column)
    if wire and dialect == "postgresql" and _is_numeric(form.type):
        form = sa.func.numeric_send(form, type_=WireNumeric)
    return form.label(name)


def comparable(column: Column, value: Any, dialect: str) -> Column:
    """``value``, which raw holds, as something that ``column`` can be compared with.

    What was asked for as text is turned back by the database, so that it may use its index.
    """
    if isinstance(value, str) and not isinstance(column.type, sa.String):
        if dialect == "sqlite":
            return sa.literal(value, sa.String)
        return sa.cast(sa.literal(value, sa.String), column.type)
    return sa.literal(value, column.type)


def bound(
    column: sa.ColumnElement[Any],
    value: Any,
    compare: Callable[[Any, Any], Any],
    dialect: str,
    time_zone: str,
) -> sa.ColumnElement[bool]:
    """``column`` compared with ``value``, a cursor out of raw, where moments are UTC.

    A column without a zone holds times of ``time_zone``. Where that is not exact the bound is lower, so that
    rather more rows are found: an hour for the clock that is put back.
    """
    kind = column.type
    if isinstance(kind, mssql.TIMESTAMP):
        column = sa.cast(column, sa.BigInteger)
        kind = column.type
    if isinstance(value, datetime) and not getattr(kind, "timezone", False):
        utc = value.astimezone(UTC).replace(tzinfo=None)
        local = value.astimezone(ZoneInfo(time_zone)).replace(tzinfo=None)
        if time_zone != "UTC":
            local -= timedelta(hours=1)
        # What a query selects may or may not have a zone.
        value = local if isinstance(column, sa.Column) and column.table is not None else min(local, utc)
    if dialect == "sqlite" and isinstance(value, date):
        # Text, with or without fractions of a second.
        return compare(
            _raw(column),
            value.replace(microsecond=0).isoformat(" ") if isinstance(value, datetime) else value.isoformat(),
        )
    if isinstance(kind, sa.types.NullType | sa.Date | sa.DateTime | sa.Numeric | sa.Integer):
        return compare(column, sa.literal(value, kind))
    return compare(column, sa.literal(value))


def _raw(column: Column) -> Column:
    """As the driver gives it, without the conversions of SQLAlchemy's type."""
    return sa.type_coerce(column, sa.types.NULLTYPE)


def _plain(column: Column) -> Column:
    return sa.func.rtrim(column) if isinstance(column.type, sa.CHAR) else _raw(column)


def _postgresql(column: Column) -> Column:
    kind = column.type
    if isinstance(kind, sa.CHAR):
        return sa.func.rtrim(column)
    if isinstance(kind, postgresql.MONEY):
        return sa.cast(column, sa.Numeric)
    if isinstance(kind, sa.LargeBinary):
        return sa.func.encode(column, "hex")
    if isinstance(kind, sa.ARRAY):
        return sa.cast(sa.func.to_json(column), sa.Text)
    as_they_are = (sa.Integer, sa.Float, sa.Boolean, sa.Date, sa.DateTime)
    if _is_numeric(kind) or isinstance(kind, as_they_are) or type(kind) in _TEXTS:
        return column
    return sa.cast(column, sa.Text)


def _mysql(column: Column) -> Column:
    kind = column.type
    if isinstance(kind, mysql.BIT):
        return sa.cast(column, mysql.INTEGER(unsigned=True))
    # The driver makes a duration of it, hours beyond 24 as days.
    return sa.cast(column, sa.CHAR) if isinstance(kind, sa.Time) else _raw(column)


def _mssql(column: Column) -> Column:
    kind = column.type
    if isinstance(kind, mssql.TIMESTAMP):  # rowversion, eight bytes that grow
        return sa.cast(column, sa.BigInteger)
    if isinstance(kind, mssql.DATETIMEOFFSET):
        # Drivers differ in whether they keep the offset; as UTC without one there is nothing to lose.
        return sa.cast(sa.func.switchoffset(column, "+00:00"), mssql.DATETIME2)
    return _plain(column)


def _oracle(column: Column) -> Column:
    # The driver drops the zone of a value that has one.
    is_zoned = isinstance(column.type, sa.DateTime) and column.type.timezone
    return sa.func.sys_extract_utc(column) if is_zoned else _plain(column)


def _is_numeric(kind: sa.types.TypeEngine[Any]) -> bool:
    return isinstance(kind, sa.Numeric) and not isinstance(kind, sa.Float)


_FORMS: dict[str, Callable[[Column], Column]] = {
    "postgresql": _postgresql,
    "mysql": _mysql,
    "mariadb": _mysql,
    "sqlite": _raw,
    "mssql": _mssql,
    "oracle": _oracle,
}
