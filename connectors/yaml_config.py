"""Configuration files whose mistakes name file, line and key.

Belongs here: reading YAML with the place of every key, and turning a pydantic error into one line. Does not
belong here: what the keys mean; that is the models in ``connectors.connections``, ``connectors.ingest`` and
``connectors.activation``.
"""

from __future__ import annotations

import difflib
import typing
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from connectors.errors import GridCRMError

Place = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)


class ConfigError(GridCRMError):
    """A configuration file is wrong; the message starts with ``file:line: key``."""


@dataclass(frozen=True)
class YamlFile:
    """Plain data of one YAML file and the line (from 1) of each key and list item."""

    path: Path
    data: dict[str, Any]
    lines: Mapping[Place, int] = field(repr=False)

    def line(self, place: Sequence[str | int]) -> int:
        """The line of ``place``, or of the nearest enclosing key that the file has."""
        found: Place = ()
        for part in place:
            # pydantic names the branch of a union between the keys; the file does not have that part.
            if (*found, part) in self.lines:
                found = (*found, part)
        return self.lines.get(found, 1)

    @property
    def name(self) -> str:
        """How messages call the file; one that is called as in every folder, with its folder."""
        return f"{self.path.parent.name}/{self.path.name}" if self.path.stem == "defs" else self.path.name

    def section(self, key: str) -> YamlFile:
        """The mapping under ``key`` as a file of its own; its lines stay those of the whole file."""
        lines = {place[1:]: line for place, line in self.lines.items() if place[:1] == (key,)}
        return YamlFile(self.path, self.data[key], lines)

    def error(
        self, place: Sequence[str | int], message: str, error: type[GridCRMError] = ConfigError
    ) -> GridCRMError:
        """``error`` that says where in this file ``message`` applies."""
        key = ".".join(str(part) for part in place) or "the file"
        return error(f"{self.name}:{self.line(place)}: {key}: {message}")


def read_yaml(path: Path, error: type[GridCRMError] = ConfigError) -> YamlFile:
    """The mapping in ``path``. Raises ``error`` for a missing file, broken YAML, or a key given twice."""
    file_name = YamlFile(path, {}, {}).name
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except FileNotFoundError:
        raise error(
            f"{file_name}: this configuration file does not exist in folder {path.parent.name}/"
        ) from None
    except UnicodeDecodeError:
        raise error(f"{file_name}:1: the file is not UTF-8 text") from None
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark
        line = mark.line + 1 if mark else 1
        raise error(f"{file_name}:{line}: not valid YAML: {problem.problem or 'unreadable'}") from None
    if not isinstance(node, yaml.MappingNode):
        raise error(f"{file_name}:1: the file must be a mapping of keys to values")
    lines: dict[Place, int] = {}
    _walk(node, (), lines, file_name, error)
    loader = yaml.SafeLoader("")
    try:
        data = loader.construct_document(node)
    finally:
        loader.dispose()
    return YamlFile(path, data, lines)


def _walk(
    node: yaml.Node, place: Place, lines: dict[Place, int], file_name: str, error: type[GridCRMError]
) -> None:
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*place, str(key.value))
            line = key.start_mark.line + 1
            if inner in lines:
                name = ".".join(str(part) for part in inner)
                raise error(
                    f"{file_name}:{line}: {name}: the key is given twice, first on line {lines[inner]}"
                )
            lines[inner] = line
            _walk(value, inner, lines, file_name, error)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            _walk(value, (*place, number), lines, file_name, error)


def nearest(word: str, choices: Iterable[str]) -> str:
    """``"; did you mean 'x'?"``, or the choices when none is near."""
    options = sorted(choices)
    match = difflib.get_close_matches(word, options, n=1, cutoff=0.6)
    if match:
        return f"; did you mean '{match[0]}'?"
    return f"; known are {', '.join(options)}" if options else ""


def validate(
    model: type[Model],
    file: YamlFile,
    data: Mapping[str, Any] | None = None,
    place: Place = (),
    error: type[GridCRMError] = ConfigError,
) -> Model:
    """``data`` (the whole file when None) as ``model``.

    Raises ``error`` with file, line and key of the first mistake.
    """
    try:
        return model.model_validate(file.data if data is None else data)
    except ValidationError as problem:
        # An unknown key explains a missing one (a typing mistake makes both): say that first.
        first = min(problem.errors(include_url=False), key=lambda item: item["type"] != "extra_forbidden")
    where = (*place, *first["loc"])
    if first["type"] == "extra_forbidden":
        word = str(first["loc"][-1])
        known = _keys_at(model, first["loc"][:-1])
        raise file.error(where, f"unknown key{nearest(word, known)}", error)
    if first["type"] == "missing":
        raise file.error(where, "this key is required and missing", error)
    # The input itself stays out of the message: a value may be a secret.
    raise file.error(where, first["msg"].removeprefix("Value error, "), error)


def _keys_at(model: type[BaseModel], place: Sequence[Hashable]) -> set[str]:
    candidates: list[type[BaseModel]] = [model]
    for part in place:
        inner: list[type[BaseModel]] = []
        for candidate in candidates:
            for name, info in candidate.model_fields.items():
                if part in (name, info.alias):
                    inner.extend(_models_in(info.annotation))
        # A list position, a free key or a union's branch leaves the candidates as they are.
        candidates = inner or candidates
    return {info.alias or name for candidate in candidates for name, info in candidate.model_fields.items()}


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in typing.get_args(annotation) for model in _models_in(argument)]
