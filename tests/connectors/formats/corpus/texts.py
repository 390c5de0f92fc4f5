"""Delimited text and JSON lines."""

from __future__ import annotations

from tests.connectors.formats.corpus import Case

CSV = b'a,b,c\n1,"x, y",2026-01-01\n2,z,2026-01-02T00:00:00-06:00\n3,,\n'
LINES = b'{"event":"use","n":1,"t":"2026-01-01T00:00:00Z"}\n{"event":"go","n":2}\n{"event":"use","n":3}\n'

CASES = [
    Case("delimited", {"table": "t", "columns": {"a": "int", "b": "string", "c": "timestamp"}}, (CSV,)),
    Case(
        "jsonl",
        {
            "discriminator": "event",
            "tables": {
                "use": {"columns": {"n": "int", "t": "timestamp"}},
                "go": {"columns": {"n": "bigint"}},
            },
        },
        (LINES,),
    ),
]
