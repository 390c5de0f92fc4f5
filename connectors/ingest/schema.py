"""The JSON schema of a feed's file, for editors: keys, types, descriptions, and each format's settings.

Belongs here: making it from the models. Does not belong here: what the keys mean, and the checks that need
more than one key; those are ``config`` and ``loading``.
"""

from __future__ import annotations

from typing import Any

from connectors.formats import format_names
from connectors.formats.registry import format_named
from connectors.ingest.config import FeedConfig
from connectors.ingest.loading import TYPE

DRAFT = "https://json-schema.org/draft/2020-12/schema"
# What the feed says of its tables, the decoder is told; nobody writes it twice.
_GIVEN = {"delimited": {"table", "columns", "allow_extra_columns"}, "jsonl": {"tables"}}


def feed_schema() -> dict[str, Any]:
    """The schema of ``feeds/<source>/defs.yaml``, the settings of every format included."""
    feed = FeedConfig.model_json_schema(by_alias=True)
    definitions: dict[str, Any] = feed.pop("$defs")
    file = definitions["FileConfig"]
    file["properties"]["format"]["enum"] = format_names()
    file["allOf"] = []
    for name in format_names():
        settings = _settings(name, definitions)
        file["allOf"].append(
            {
                "if": {"properties": {"format": {"const": name}}, "required": ["format"]},
                "then": {"properties": {"settings": settings}},
            }
        )
    feed["allOf"] = [
        {
            "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
            "then": {"required": [kind]},
        }
        for kind in ("file", "sql", "http")
    ]
    return {
        "$schema": DRAFT,
        "title": "A GridCRM feed",
        "description": "Read by Dagster as a component; see README, Add a feed.",
        "type": "object",
        "required": ["type", "attributes"],
        "properties": {
            "type": {"const": TYPE, "description": "the component"},
            "attributes": feed,
            "requirements": {"type": "object", "description": "Dagster's: environment variables it needs"},
            "post_processing": {"type": "object", "description": "Dagster's: changes to its assets"},
            "template_vars_module": {"type": "string", "description": "Dagster's: module of template values"},
        },
        "additionalProperties": False,
        "$defs": definitions,
    }


def _settings(name: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """The settings of one format; its own definitions join the others under a name of their own."""
    found = format_named(name)
    schema = found.settings.model_json_schema(ref_template=f"#/$defs/{name}.{{model}}")
    for model, definition in schema.pop("$defs", {}).items():
        definitions[f"{name}.{model}"] = definition
    for key in _GIVEN.get(name, ()):
        schema["properties"].pop(key, None)
        schema["required"] = [known for known in schema.get("required", []) if known != key]
    schema["description"] = f"{found.description}. {schema.get('description', '')}".strip()
    return schema
