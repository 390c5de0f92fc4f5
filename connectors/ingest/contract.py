"""What a feed does with what it does not declare: a new table, a new column, a value of another type.

Belongs here: the three questions, their three answers, and whose answer counts. Does not belong here: finding
what is new (``discover``) and acting on it (``decoding``, ``sql_feed``).

As in dlt's schema contract, each question has its own mode, and the nearest answer counts: the column's, the
table's, the feed's.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema

Mode = Literal["evolve", "freeze", "quarantine"]
MODES = ("evolve", "freeze", "quarantine")


class SchemaContract(BaseModel):
    """One mode for all three questions, or one each; what is not said is left to the level above."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tables: Mode | None = Field(
        default=None,
        description="a record type that no table declares: quarantine puts its records aside, freeze refuses "
        "the file, evolve makes a table of it (JSON lines)",
    )
    columns: Mode | None = Field(
        default=None,
        description="a column that the table does not declare: evolve takes it into raw, quarantine leaves "
        "it out and notes it in the ledger, freeze refuses the file or the pull",
    )
    types: Mode | None = Field(
        default=None,
        description="a value that does not fit its column's type: quarantine puts the record aside, freeze "
        "refuses the file, evolve keeps the record with null and the text beside it in <column>__text "
        "(delimited files)",
    )

    @model_validator(mode="before")
    @classmethod
    def _one_word_for_all(cls, value: Any) -> Any:
        if isinstance(value, str):
            if value not in MODES:
                raise ValueError(f"must be one of {', '.join(MODES)}, or a mapping of tables, columns, types")
            # One word is about what is new. A wrong value is put aside unless somebody says otherwise: one
            # bad record in a million must not hold up the others, nor pass for a new type.
            return {"tables": value, "columns": value}
        return value

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """A word or a mapping, for editors."""
        mapping = handler.resolve_ref_schema(handler(core_schema))
        return {"anyOf": [{"type": "string", "enum": list(MODES)}, {**mapping}]}

    def over(self, outer: SchemaContract) -> SchemaContract:
        """This contract, with what it leaves open answered by ``outer``."""
        said = {key: value for key, value in self.model_dump().items() if value is not None}
        return SchemaContract.model_validate({**outer.model_dump(), **said})


DEFAULT = SchemaContract(tables="quarantine", columns="quarantine", types="quarantine")
"""What holds where nobody said anything: nothing is lost, nothing is taken unseen."""
