"""Files to begin from when a decoder is tortured: one module a format, each with its ``CASES``.

Belongs here: small whole files that use every kind of record, how to count their records by other means than
the decoder's, and what a mutation likes to insert. Does not belong here: what a certain defect leads to; that
is the format's own test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pkgutil import iter_modules
from typing import Any


@dataclass(frozen=True)
class Case:
    """Settings of a format with files that are whole under them.

    ``count`` counts the physical records of any bytes independently of the decoder: where a file is not
    refused, the decoder must have read as many. ``tokens`` are what mutations insert.
    """

    format: str
    settings: Mapping[str, Any]
    seeds: tuple[bytes, ...]
    count: Callable[[bytes], int] | None = None
    tokens: tuple[bytes, ...] = (b"\n", b"\r\n", b",", b'"', b"-")
    name: str = field(default="")

    def __str__(self) -> str:
        return self.name or self.format


def cases(format: str | None = None) -> list[Case]:
    """All cases, or those of one format."""
    found: list[Case] = []
    for module in iter_modules(__path__):
        found += import_module(f"{__name__}.{module.name}").CASES
    return [case for case in found if format in (None, case.format)]
