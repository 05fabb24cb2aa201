"""The term of a JSON Schema, from every kind of object that describes one."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from outlines.exceptions import LimitError, shorten
from outlines.types.json_options import JsonOptions
from outlines.types.json_schema_regex import schema_regex
from outlines.types.json_schema_utils import (
    json_schema_dict_to_dataclass,
    json_schema_dict_to_pydantic,
    json_schema_dict_to_typeddict,
)
from outlines.types.meta_schemas import check_schema, check_schema_text
from outlines.types.terms import _TextTerm
from outlines.types.typed_dicts import for_pydantic
from outlines.types.utils import is_dataclass, is_genson_schema_builder, is_pydantic_model, is_typed_dict

__all__ = ["JsonSchema", "check_schema", "json_schema"]


class JsonSchema(_TextTerm):
    r"""The JSON values that a JSON Schema describes.

    Parameters
    ----------
    schema
        A dict, the text of a schema (kept verbatim), a pydantic model class, a `TypedDict` class (of `typing`
        or of `typing_extensions`, on every version of Python), a dataclass class, or a genson
        `SchemaBuilder`.
    whitespace_pattern
        Pattern of the white space between the parts of the JSON text; None leaves it to the engine. It takes
        no part in equality.
    ensure_ascii
        Write the characters of the schema that aren't ASCII as `\uXXXX`. A schema given as text is never
        rewritten.
    indent, property_order, number_forms, ascii_only, max_depth, max_digits, max_exponent, formats,
    unknown_formats, registry
        How the JSON text is written and what is taken of the schema: see `JsonOptions`. As the white space, they take
        no part in equality.

    Attributes
    ----------
    schema : str
        Text of the schema.
    options : JsonOptions
        How the JSON text is written.
    is_closed : bool
        Whether objects have their declared members alone where the schema says nothing of others: so for what a
        class describes, as its schema doesn't say that the class ignores them. `extra="allow"` says otherwise.

    Raises
    ------
    ValueError
        If `schema` is none of the above.
    json.JSONDecodeError
        If a text is not JSON.
    jsonschema.exceptions.SchemaError
        If the schema breaks the meta-schema of its draft, see `check_schema`.
    """

    _text_field = "schema"

    @property
    def whitespace_pattern(self) -> str | None:
        """The pattern of white space as it was given."""
        return self.options.whitespace_pattern

    def __init__(
        self,
        schema: Any,
        whitespace_pattern: str | None = None,
        ensure_ascii: bool = True,
        *,
        indent: int | None = None,
        property_order: str = "declared",
        number_forms: str = "plain",
        ascii_only: bool = False,
        max_depth: int | None = None,
        max_digits: int | None = None,
        max_exponent: int | None = None,
        formats: str = "assert",
        unknown_formats: str = "warn",
        registry: Any = None,
    ):
        self.schema = _schema_text(schema, ensure_ascii)
        self.options = JsonOptions(
            whitespace_pattern, indent, property_order, number_forms, ascii_only, max_depth, max_digits,
            max_exponent, formats, unknown_formats, registry,
        )  # fmt: skip
        self.is_closed = _is_schema_class(schema)
        check_schema_text(self.schema)

    def __eq__(self, other: object) -> bool:
        """Compare the schemas as JSON, so that white space and the order of keys don't matter."""
        if not isinstance(other, JsonSchema):
            return False
        return self.schema == other.schema or json.loads(self.schema) == json.loads(other.schema)

    __hash__ = None  # type: ignore[assignment]  # as every term: terms can be changed

    def _pattern(self) -> str:
        options = self.options.beyond_white_space()
        if options:
            warnings.warn(
                f"the regular expression of the schema leaves out {', '.join(options)}", UserWarning, stacklevel=3
            )
        return f"({schema_regex(json.loads(self.schema), self.whitespace_pattern)})"

    @classmethod
    def from_file(cls, path: str | Path) -> JsonSchema:
        """Read the schema from a JSON file."""
        return cls(json.loads(Path(path).read_text(encoding="utf-8")))

    @classmethod
    def is_json_schema(cls, obj: object) -> bool:
        """Say whether `obj` stands for a JSON Schema by itself; a plain dict or text doesn't."""
        return isinstance(obj, cls) or is_genson_schema_builder(obj) or _is_schema_class(obj)

    @classmethod
    def convert_to(cls, schema: Any, target_types: Iterable[str]) -> Any:
        """Give `schema` as one of the kinds of object that a provider takes.

        Parameters
        ----------
        schema
            Anything that `JsonSchema` takes, or a `JsonSchema`.
        target_types
            Names out of "str", "dict", "pydantic", "typeddict", "dataclass" and "genson", the best one first.

        Returns
        -------
        object
            `schema` itself where it is already of one of the kinds (a `JsonSchema` is a "str" before it is a
            "dict", and both before it is made a class). Otherwise the first kind that it can be converted to;
            nothing can be converted to genson.

        Raises
        ------
        ValueError
            If no kind is left. Each one that failed has given a warning with its reason.
        """
        targets = list(target_types)
        if isinstance(schema, cls):
            text = schema.schema
            targets.sort(key=lambda target: {"str": 0, "dict": 1}.get(target, 2))
        elif any(target in _KINDS and _KINDS[target](schema) for target in targets):
            return schema
        else:
            text = cls(schema).schema
        for target in targets:
            if target not in _CONVERSIONS:
                continue
            try:
                return _CONVERSIONS[target](text)
            # What the class builders raise is theirs to choose; the reason is passed on.
            except Exception as error:
                warnings.warn(f"The schema can't be converted to {target}: {error}", stacklevel=2)
        raise ValueError(f"Cannot convert schema type {type(schema).__name__} to any of {targets}.")


def json_schema(schema: Any) -> JsonSchema:
    """Give the JSON values that `schema` describes; `JsonSchema` says what it may be."""
    return JsonSchema(schema)


def _schema_text(schema: Any, ensure_ascii: bool) -> str:
    if isinstance(schema, str):
        return schema
    if is_genson_schema_builder(schema):
        return schema.to_json(ensure_ascii=ensure_ascii)
    if isinstance(schema, dict):
        described = schema
    elif is_pydantic_model(schema):
        described = schema.model_json_schema()
    elif _is_schema_class(schema):
        from pydantic import TypeAdapter

        described = TypeAdapter(for_pydantic(schema)).json_schema()
    else:
        raise ValueError(
            f"Cannot parse schema {shorten(schema)}. Give a dict, the text of a schema, a pydantic model "
            "class, a TypedDict class, a dataclass class or a genson SchemaBuilder."
        )
    try:
        return json.dumps(described, ensure_ascii=ensure_ascii)
    except RecursionError:
        raise LimitError(
            "sys.getrecursionlimit()", "the schema is nested too deep to be written; name its inner parts in $defs"
        ) from None


def _is_schema_class(obj: object) -> bool:
    return is_pydantic_model(obj) or is_typed_dict(obj) or is_dataclass(obj)


_KINDS: dict[str, Callable[[Any], bool]] = {
    "str": lambda schema: isinstance(schema, str),
    "dict": lambda schema: isinstance(schema, dict),
    "pydantic": is_pydantic_model,
    "typeddict": is_typed_dict,
    "dataclass": is_dataclass,
    "genson": is_genson_schema_builder,
}

_CONVERSIONS: dict[str, Callable[[str], Any]] = {
    "str": lambda text: text,
    "dict": json.loads,
    "pydantic": lambda text: json_schema_dict_to_pydantic(json.loads(text)),
    "typeddict": lambda text: json_schema_dict_to_typeddict(json.loads(text)),
    "dataclass": lambda text: json_schema_dict_to_dataclass(json.loads(text)),
}
