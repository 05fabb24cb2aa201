"""Changes that providers ask for in a JSON Schema."""

from __future__ import annotations

from typing import Any

__all__ = ["set_additional_properties_false_json_schema"]


def set_additional_properties_false_json_schema(schema: Any) -> Any:
    """Close every object of a schema that says nothing of additional properties, in place, and give the schema.

    Strict modes ask for it. An object is a dict whose `type` is "object", or a list with it.
    """
    parts = [schema]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            kind = part.get("type")
            if kind == "object" or (isinstance(kind, list) and "object" in kind):
                part.setdefault("additionalProperties", False)
            parts.extend(part.values())
        elif isinstance(part, list):
            parts.extend(part)
    return schema
