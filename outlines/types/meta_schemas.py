"""Checks a schema against the meta-schema of its draft: quickly, and slowly where an error must be put into words."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from functools import cache
from typing import Any

__all__ = ["check_schema", "check_schema_text"]

#: Schemas that passed, by the digest of their text.
_passed: OrderedDict[bytes, None] = OrderedDict()
_MOST_PASSED = 4096


def check_schema(schema: dict[str, Any] | bool) -> None:
    """Check a schema against the meta-schema of its `$schema`, or of draft 7 where that's none that is known.

    Schemas that passed are remembered by their content. Formats in the meta-schema aren't asserted: for `pattern` the
    check would be another dialect's, and the engine reads the patterns of JSON Schema itself.

    Raises
    ------
    jsonschema.exceptions.SchemaError
        If the schema breaks the meta-schema.
    """
    check_schema_text(json.dumps(schema), schema)


def check_schema_text(text: str, schema: Any = None) -> None:
    """Check a schema as `check_schema`, by its text; `schema` is the same one parsed, where it's at hand.

    Raises
    ------
    json.JSONDecodeError
        If the text isn't JSON.
    jsonschema.exceptions.SchemaError
        If the schema breaks the meta-schema.
    """
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    if digest in _passed:
        _passed.move_to_end(digest)
        return
    if schema is None:
        schema = json.loads(text)
    if not _is_valid(schema):
        _explain(schema)
    _passed[digest] = None
    if len(_passed) > _MOST_PASSED:
        _passed.popitem(last=False)


def _is_valid(schema: Any) -> bool:
    """Tell whether a schema surely passes: its checker has limits of depth and size that are its own."""
    uri = schema.get("$schema") if isinstance(schema, dict) else None
    uri = uri.rstrip("#") if isinstance(uri, str) else _DRAFT_7
    if uri == _DRAFT_3:
        return False
    checkers = _checkers()
    try:
        return checkers.get(uri, checkers[_DRAFT_7]).is_valid(schema)
    except ValueError:
        return False


_DRAFT_3 = "http://json-schema.org/draft-03/schema"  # which has no quick checker
_DRAFT_7 = "http://json-schema.org/draft-07/schema"


@cache
def _checkers() -> dict[str, Any]:
    """Give the quick checker of each meta-schema, by its URI without an empty fragment."""
    import jsonschema_rs
    from jsonschema_specifications import REGISTRY  # jsonschema itself takes long to import

    quick = {
        "http://json-schema.org/draft-04/schema": jsonschema_rs.Draft4Validator,
        "http://json-schema.org/draft-06/schema": jsonschema_rs.Draft6Validator,
        _DRAFT_7: jsonschema_rs.Draft7Validator,
        "https://json-schema.org/draft/2019-09/schema": jsonschema_rs.Draft201909Validator,
        "https://json-schema.org/draft/2020-12/schema": jsonschema_rs.Draft202012Validator,
    }
    return {uri: kind(REGISTRY.contents(uri), validate_formats=False) for uri, kind in quick.items()}


def _explain(schema: Any) -> None:
    """Raise what is wrong with a schema, in the words of `jsonschema`."""
    from jsonschema import Draft7Validator, validators

    has_dialect = isinstance(schema, dict) and isinstance(schema.get("$schema"), str)
    kind = validators.validator_for(schema, default=Draft7Validator) if has_dialect else Draft7Validator
    kind.check_schema(schema, format_checker=None)
