"""JSON Schemas as Python classes, for providers whose clients take nothing else.

Only what a class of Python can say is carried over: names, types, enums, what is required. The class is a
hint to the provider and not what a text is checked against.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import Any, List, Literal, Optional, Union  # noqa: UP035

if sys.version_info >= (3, 12):
    from typing import NotRequired, TypedDict
else:
    from typing_extensions import NotRequired, TypedDict

__all__ = [
    "json_schema_dict_to_dataclass",
    "json_schema_dict_to_pydantic",
    "json_schema_dict_to_typeddict",
    "schema_type_to_python",
]

Target = Literal["pydantic", "typeddict", "dataclass"]

_SCALARS = {"string": str, "integer": int, "number": float, "boolean": bool, "null": type(None)}


def schema_type_to_python(schema: Any, caller_target_type: Target) -> Any:
    """Give the Python type of a schema's values.

    Parameters
    ----------
    schema
        Schema of one value. `enum` and `const` win over `type`.
    caller_target_type
        The kind of class that an object becomes, named after its title.

    Returns
    -------
    type
        `Any` where the schema says nothing that is understood here (`$ref`, `anyOf`, no type).
    """
    if not isinstance(schema, dict):  # true, false, or the list of schemas that `items` may be
        return Any
    if "enum" in schema:
        return Literal[tuple(schema["enum"])]
    if "const" in schema:
        return Literal[schema["const"]]
    kind = schema.get("type")
    if isinstance(kind, list):
        members = tuple(
            schema_type_to_python({**schema, "type": member}, caller_target_type) for member in kind
        )
        return Union[members] if members else Any  # noqa: UP007  # made at run time
    if kind in _SCALARS:
        return _SCALARS[kind]
    if kind == "array":
        # `List` and not `list`: the two aren't equal, and callers compare.
        return List[schema_type_to_python(schema.get("items"), caller_target_type)]  # type: ignore[misc]  # noqa: UP006
    if kind == "object" and caller_target_type in _BUILDERS:
        return _BUILDERS[caller_target_type](schema, schema.get("title"))
    return Any


def json_schema_dict_to_typeddict(schema: dict[str, Any], name: str | None = None) -> Any:
    """Make the `TypedDict` class of an object's schema; properties that aren't required are `NotRequired`."""
    fields = {
        key: type_ if is_required else NotRequired[type_]
        for key, type_, is_required in _properties(schema, "typeddict")
    }
    return TypedDict(name or "AnonymousTypedDict", fields)  # type: ignore[operator]


def json_schema_dict_to_pydantic(schema: dict[str, Any], name: str | None = None) -> Any:
    """Make the pydantic model of an object's schema; properties that aren't required default to None."""
    from pydantic import create_model

    fields: dict[str, Any] = {
        key: (type_, ...) if is_required else (Optional[type_], None)  # noqa: UP045  # made at run time
        for key, type_, is_required in _properties(schema, "pydantic")
    }
    return create_model(name or "AnonymousPydanticModel", **fields)


def json_schema_dict_to_dataclass(schema: dict[str, Any], name: str | None = None) -> Any:
    """Make the dataclass of an object's schema; properties that aren't required default to None.

    Its arguments are given by keyword, so that they can stand in the schema's order.
    """
    fields: list[Any] = [
        (key, type_) if is_required else (key, type_, None)
        for key, type_, is_required in _properties(schema, "dataclass")
    ]
    return dataclasses.make_dataclass(name or "AnonymousDataclass", fields, kw_only=True)


_BUILDERS = {
    "pydantic": json_schema_dict_to_pydantic,
    "typeddict": json_schema_dict_to_typeddict,
    "dataclass": json_schema_dict_to_dataclass,
}


def _properties(schema: dict[str, Any], target: Target) -> list[tuple[str, Any, bool]]:
    """List name, type and whether it is required, for each property."""
    required = schema.get("required", [])
    return [
        (key, schema_type_to_python(value, target), key in required)
        for key, value in schema.get("properties", {}).items()
    ]
