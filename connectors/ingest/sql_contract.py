"""The columns of a table at the source against those its feed declares, and what the contract says of that.

Belongs here: which columns are pulled, and refusing. Does not belong here: values that do not fit; they are
seen when they are read.
"""

from __future__ import annotations

import pyarrow as pa
import sqlalchemy as sa

from connectors.errors import GridCRMError
from connectors.ingest.config import FeedConfig
from connectors.ingest.conform import can_hold, declared_type


class SchemaContractError(GridCRMError):
    """The source's columns are not those the feed declares, and its contract does not allow that."""


def allowed(
    feed: FeedConfig, table: str, source_name: str, source: sa.FromClause, declared: pa.Schema
) -> pa.Schema:
    """The columns to pull: those declared, and with the contract ``evolve`` those that are new.

    Raises SchemaContractError: a column is gone (unless evolving, and never of the key or the cursor), is new
    where columns are frozen, or is of another type where types are.
    """
    contract = feed.contract_of(table).columns or "quarantine"
    vital = (*feed.tables[table].key, feed.tables[table].cursor)
    there = {column.name: column for column in source.columns}
    missing = [column for column in declared.names if column not in there]
    extra = [column for name, column in there.items() if name not in declared.names]
    said = []
    if missing and (contract != "evolve" or any(column in vital for column in missing)):
        said.append(f"lacks {', '.join(missing)}")
    if extra and contract == "freeze":
        said.append(f"has undeclared {', '.join(column.name for column in extra)}")
    retyped = [
        f"{field.name} as {there[field.name].type!s}, declared {field.type}"
        for field in declared
        if field.name in there
        and feed.type_mode(table, field.name) == "freeze"
        and not can_hold(field.type, there[field.name])
    ]
    if retyped:
        said.append(f"has {', '.join(retyped)}")
    if said:
        mode = "freeze" if retyped else contract
        raise SchemaContractError(
            f"feed {feed.source}: {source_name} {' and '.join(said)}, "
            f"which contract {mode} does not allow; nothing of it was pulled"
        )
    if contract == "evolve":
        declared = pa.schema([*declared, *(pa.field(item.name, declared_type(item)) for item in extra)])
    return declared
