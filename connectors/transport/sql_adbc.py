"""PostgreSQL by ADBC: COPY straight into Arrow, over several connections that see one exported snapshot.

Belongs here: these connections, their threads, and what ADBC gives that has to be put right. Does not belong
here: what is asked for.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from adbc_driver_postgresql import dbapi

from connectors.connections import SqlConnection
from connectors.transport import wire_numeric
from connectors.transport.errors import TransientTransportError, TransportError
from connectors.transport.sql_dialects import PLAIN_TIMES

_WAITING_BATCHES = 3
_BATCH_BYTES = 8 << 20
_SPLIT_BYTES = 64 << 20
_TID_RANGES_SINCE = (14,)
_DATES = (-719_162, 2_932_896)  # 0001-01-01 and 9999-12-31 in days
_DAY = 86_400_000_000
# Where PostgreSQL's infinities come out once the driver has moved them to its own epoch.
_INFINITIES = {
    -2_147_472_692: "infinity",
    -2_147_472_691: "-infinity",
    -9_222_425_352_054_775_809: "infinity",
    -9_222_425_352_054_775_808: "-infinity",
}


class AdbcReaders:
    """Connections in the snapshot of ``session``; opened when needed, closed by :meth:`close`."""

    def __init__(self, connection: SqlConnection, session: sa.Connection, where: str) -> None:
        self._where = where
        self._token: str = session.execute(sa.select(sa.func.pg_export_snapshot())).scalar_one()
        url = connection.url.set(drivername="postgresql")
        seconds = str(max(2, round(connection.timeout_seconds)))
        self._address = url.update_query_dict({"connect_timeout": seconds}).render_as_string(
            hide_password=False
        )
        self._idle: list[Any] = []
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close what is open."""
        while self._idle:
            _close(self._idle.pop())

    def read(self, statements: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Rows of all statements, each read by a thread of its own, in no order.

        A few batches wait at most. Raises TransportError, transient where the connection broke.
        """
        found: queue.Queue[pa.RecordBatch | BaseException | None] = queue.Queue(_WAITING_BATCHES)
        stop = threading.Event()
        threads = [
            threading.Thread(target=self._work, args=(text, found, stop), daemon=True) for text in statements
        ]
        for thread in threads:
            thread.start()
        try:
            running = len(threads)
            while running:
                item = found.get()
                if item is None:
                    running -= 1
                elif isinstance(item, BaseException):
                    raise self._told(item) from None
                else:
                    yield item
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def _work(
        self,
        text: str,
        found: queue.Queue[pa.RecordBatch | BaseException | None],
        stop: threading.Event,
    ) -> None:
        try:
            connection = self._take()
            try:
                with connection.cursor() as cursor:
                    cursor.adbc_statement.set_options(
                        **{"adbc.postgresql.batch_size_hint_bytes": str(_BATCH_BYTES)}
                    )
                    cursor.execute(text)
                    for batch in cursor.fetch_record_batch():
                        if batch.num_rows and not _put(found, _without_extensions(batch), stop):
                            cursor.adbc_cancel()
                            break
                    else:
                        with self._lock:
                            self._idle.append(connection)
                        connection = None
            finally:
                # One that failed or was not read to its end is of no use for the next statement.
                if connection is not None:
                    _close(connection)
            _put(found, None, stop)
        except (dbapi.Error, pa.ArrowException, OSError) as error:
            _put(found, error, stop)

    def _take(self) -> Any:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        connection = dbapi.connect(self._address)
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            cursor.execute(f"SET TRANSACTION SNAPSHOT '{self._token}'")
            for setting in PLAIN_TIMES:
                cursor.execute(setting)
        return connection

    def _told(self, error: BaseException) -> TransportError:
        lines = str(error).strip().splitlines()
        text = lines[0].strip() if lines else type(error).__name__
        kind = TransportError if isinstance(error, dbapi.ProgrammingError) else TransientTransportError
        return kind(f"{self._where}: {text}")


def ranges(session: sa.Connection, table: sa.Table, readers: int) -> list[str]:
    """Conditions that split a large table among ``readers`` by where its rows lie; one empty one if not.

    A row lies in one place in a snapshot, and the first and the last range are open, so that every row is in
    exactly one. Needs range scans by place (PostgreSQL 14) and a table that is not partitioned.
    """
    version = session.dialect.server_version_info or (0,)
    if readers < 2 or version < _TID_RANGES_SINCE:
        return [""]
    name = session.dialect.identifier_preparer.format_table(table)
    size = sa.text(
        "select pg_relation_size(oid) / current_setting('block_size')::int, pg_relation_size(oid) "
        "from pg_class where oid = to_regclass(:name) and relkind in ('r', 'm')"
    )
    found = session.execute(size, {"name": name}).one_or_none()
    if found is None or found[1] < _SPLIT_BYTES:
        return [""]
    places = [f"'({int(found[0]) * number // readers},0)'::tid" for number in range(1, readers)]
    lower = ["", *(f"ctid >= {place}" for place in places)]
    upper = [*(f"ctid < {place}" for place in places), ""]
    return [" and ".join(filter(None, pair)) for pair in zip(lower, upper, strict=True)]


def _put(
    found: queue.Queue[pa.RecordBatch | BaseException | None],
    item: pa.RecordBatch | BaseException | None,
    stop: threading.Event,
) -> bool:
    """Whether somebody still wanted it."""
    while not stop.is_set():
        with suppress(queue.Full):
            found.put(item, timeout=0.1)
            return True
    return False


def _close(connection: Any) -> None:
    with suppress(dbapi.Error):
        connection.rollback()
    with suppress(dbapi.Error):
        connection.close()


def _without_extensions(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Types Arrow has not as what they are stored as; dates beyond the calendar as text."""
    columns = [
        _on_calendar(column.storage if isinstance(column, pa.ExtensionArray) else column)
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def decoded(batch: pa.RecordBatch, wire: Sequence[int]) -> pa.RecordBatch:
    """``batch`` with decimals in the columns ``wire``, which came in PostgreSQL's binary form."""
    if not wire:
        return batch
    columns = [
        wire_numeric.decode(column) if number in wire else column
        for number, column in enumerate(batch.columns)
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _on_calendar(values: pa.Array) -> pa.Array:
    """Dates and timestamps outside the years 1 to 9999, infinities among them, make the column text."""
    is_date = pa.types.is_date32(values.type)
    if not (is_date or pa.types.is_timestamp(values.type)) or values.null_count == len(values):
        return values
    numbers = values.view(pa.int32() if is_date else pa.int64())
    lowest, highest = (_DATES[0], _DATES[1]) if is_date else (_DATES[0] * _DAY, (_DATES[1] + 1) * _DAY - 1)
    ends = pc.min_max(numbers)
    if ends["min"].as_py() >= lowest and ends["max"].as_py() <= highest:
        return values
    beyond = pc.or_(pc.less(numbers, lowest), pc.greater(numbers, highest))
    texts = pc.cast(pc.if_else(beyond, pa.scalar(None, values.type), values), pa.string()).to_pylist()
    for row in pc.indices_nonzero(beyond).to_pylist():
        texts[row] = _INFINITIES.get(numbers[row].as_py(), "a date outside the years 1 to 9999")
    return pa.array(texts, pa.string())
