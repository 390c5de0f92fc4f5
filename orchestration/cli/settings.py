"""How ``--set key=value`` becomes a decoder's settings.

Belongs here: dotted keys, scalars, ``@file``. Does not belong here: which settings a format knows; the format
itself says so and names the wrong key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from connectors.errors import GridCRMError


class SetOptionError(GridCRMError):
    """A ``--set`` that cannot be read: it names the option and the form it should have."""


class _CoreLoader(yaml.SafeLoader):
    """YAML with the scalars of its version 1.2 core schema.

    PyYAML reads version 1.1, in which ``+10:00`` is the number 600, ``no`` is false and ``012`` is ten:
    market offsets, codes and register names would change under the reader's hand.
    """

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


_BLOCK_MARKS = frozenset("|>")  # a delimiter, not the start of an empty block of text

_CoreLoader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|)$"), ["~", "n", ""])
_CoreLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_CoreLoader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789")
)
_CoreLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)\.[0-9]+$"), list("-+0123456789")
)


def parse_value(text: str) -> Any:
    """One value: number, true or false, null, a flow list or mapping, ``@file`` for its text, or a string."""
    if text.startswith("@"):
        return _read(Path(text[1:]))
    try:
        return yaml.load(text, Loader=_CoreLoader) if text not in _BLOCK_MARKS else text
    except yaml.YAMLError:
        return text


def parse_settings(options: Iterable[str]) -> dict[str, Any]:
    """Nested settings from ``key=value`` options.

    ``a.b=1`` sets ``b`` within ``a``; ``@file.yaml`` merges a file of settings; later options win. Raises
    :class:`SetOptionError` when an option has no ``=``, an empty key, a file that cannot be read, or sets a
    key both as a value and as a group.
    """
    settings: dict[str, Any] = {}
    for option in options:
        if option.startswith("@"):
            loaded = _load_mapping(Path(option[1:]))
            settings = _merge(settings, loaded)
            continue
        key, equals, text = option.partition("=")
        parts = key.strip().split(".")
        if not equals or not all(parts):
            raise SetOptionError(f"--set {option}: give key=value, such as --set utc_offset=+10:00")
        target = settings
        for part in parts[:-1]:
            target = target.setdefault(part, {})
            if not isinstance(target, dict):
                raise SetOptionError(
                    f"--set {key}: {part} is already a value, so nothing can be set within it"
                )
        target[parts[-1]] = parse_value(text)
    return settings


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        before = merged.get(key)
        both_groups = isinstance(before, dict) and isinstance(value, dict)
        merged[key] = _merge(before, value) if both_groups else value  # type: ignore[arg-type]
    return merged


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SetOptionError(
            f"--set @{path}: this file cannot be read as text ({type(error).__name__})"
        ) from error


def _load_mapping(path: Path) -> dict[str, Any]:
    try:
        loaded = yaml.load(_read(path), Loader=_CoreLoader)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where is not None else ""
        raise SetOptionError(f"--set @{path}{line}: this is not YAML") from error
    if not isinstance(loaded, dict):
        raise SetOptionError(f"--set @{path}: give a mapping of settings, one `key: value` a line")
    return loaded
