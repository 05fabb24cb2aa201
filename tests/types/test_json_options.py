"""The options of a JSON Schema: each is checked where it's given, and its error names it."""

from __future__ import annotations

import inspect

import pytest
from referencing import Registry

from outlines.types import JsonSchema
from outlines.types.json_options import DEFAULTS, JsonOptions


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"property_order": "random"}, ValueError, "property_order: expected 'declared' or 'any', got 'random'"),
        ({"number_forms": None}, ValueError, "number_forms: expected 'plain' or 'all', got None"),
        ({"formats": True}, ValueError, "formats: expected 'assert' or 'annotate', got True"),
        ({"unknown_formats": "ignore"}, ValueError, "unknown_formats: expected 'warn' or 'error', got 'ignore'"),
        ({"indent": "2"}, TypeError, "indent: expected an int or None, got '2'"),
        ({"indent": True}, TypeError, "indent: expected an int or None, got True"),
        ({"indent": -1}, ValueError, "indent: expected at least 0, got -1"),
        ({"max_depth": 1.5}, TypeError, "max_depth: expected an int or None, got 1.5"),
        ({"max_digits": 0}, ValueError, "max_digits: expected at least 1, got 0"),
        ({"max_exponent": -3}, ValueError, "max_exponent: expected at least 0, got -3"),
        ({"whitespace_pattern": 3}, TypeError, "whitespace_pattern: expected a str or None, got 3"),
        ({"whitespace_pattern": "", "indent": 2}, ValueError, "indent, whitespace_pattern: both say what"),
        ({"ascii_only": "yes"}, TypeError, "ascii_only: expected a bool, got 'yes'"),
        ({"registry": {}}, TypeError, "registry: expected a referencing.Registry, got {}"),
    ],
)
def test_a_wrong_option_is_named(options, error, message):
    with pytest.raises(error) as caught:
        JsonSchema({}, **options)
    assert str(caught.value).startswith(message)


def test_the_term_takes_every_option_by_its_name():
    taken = inspect.signature(JsonSchema.__init__).parameters
    fields = JsonOptions.__dataclass_fields__
    assert fields.keys() <= taken.keys()
    assert {name: taken[name].default for name in fields} == {name: getattr(DEFAULTS, name) for name in fields}


def test_options_are_kept_and_take_no_part_in_equality():
    given = {"indent": 2, "property_order": "any", "ascii_only": True, "max_depth": 3, "registry": Registry()}
    schema = JsonSchema({"type": "null"}, **given)
    assert {name: getattr(schema.options, name) for name in given} == given
    assert schema == JsonSchema({"type": "null"})
    assert JsonSchema({}, "[ ]").whitespace_pattern == "[ ]"
