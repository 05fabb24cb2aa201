"""Schema documents: what is refused and where, references, and what has no value."""

from __future__ import annotations

import contextlib

import pytest

from outlines.constraints.json_schema import combinators, reader
from outlines.constraints.json_schema.keywords import escape_pointer
from outlines.constraints.json_schema.reader import Document, exact
from outlines.engine import DEAD, Constraint, Vocabulary
from outlines.exceptions import EmptyLanguageError, LimitError, SchemaError

EOS = 256
VOCABULARY = Vocabulary([*(bytes([i]) for i in range(256)), None], [EOS], cache=False)


def accepts(constraint, text):
    state = constraint.start_state
    for byte in text.encode():
        state = constraint.next_state(state, byte)
    return state != DEAD and constraint.is_accepting(state)


def accepted(schema, texts):
    constraint = Constraint(schema, VOCABULARY)
    return [text for text in texts if accepts(constraint, text)]


# ---- Wrong values ------------------------------------------------------------------------------------------------

COUNT = "expected a number of at least 0 without fraction"
# (keyword, its wrong value, what is expected, the value as shown)
WRONG = [
    ("type", "str", "expected one of null, boolean, number, string, array, object, integer", "'str'"),
    ("type", ["null", "int"], "expected one of null, boolean,", "'int'"),
    ("type", 3, "expected one of null, boolean,", "3"),
    *((keyword, value, COUNT, repr(value)) for keyword in ("minItems", "maxItems", "minLength", "maxLength")
      for value in (-1, 1.5, "2", True, None)),
    *((keyword, value, "expected a number", repr(value)) for keyword in ("minimum", "maximum")
      for value in ("1", True)),
    *((keyword, "1", "expected a number", "'1'") for keyword in ("exclusiveMinimum", "exclusiveMaximum")),
    ("pattern", 5, "expected a pattern as a string", "5"),
    ("enum", "ab", "expected a list of values", "'ab'"),
    ("required", "a", "expected a list of names", "'a'"),
    ("required", ["a", 1], "expected a list of names", "['a', 1]"),
    ("properties", ["a"], "expected an object of schemas", "['a']"),
    ("prefixItems", {}, "expected a list of schemas", "{}"),
    *((keyword, value, "expected a list of one schema or more", repr(value))
      for keyword in ("anyOf", "allOf", "oneOf") for value in ([], None, {})),
    ("anyOf", {"a": {}}, "expected a list of schemas", "{'a': {}}"),
    *((keyword, 7, "a schema is an object or a boolean", "7")
      for keyword in ("items", "additionalProperties", "additionalItems")),
    ("$ref", 7, "a reference is a string", "7"),
    *((keyword, -1, COUNT, "-1") for keyword in ("minProperties", "maxProperties", "minContains", "maxContains")),
    ("uniqueItems", 1, "expected true or false", "1"),
    ("multipleOf", 0, "expected a number above 0", "0"),
    ("patternProperties", [], "expected an object of schemas", "[]"),
    ("dependentSchemas", 1, "expected an object of schemas", "1"),
    ("dependentRequired", 1, "expected an object of lists of names", "1"),
    *((keyword, 7, "a schema is an object or a boolean", "7") for keyword in ("not", "if", "contains", "propertyNames",
      "unevaluatedItems", "unevaluatedProperties")),
]  # fmt: skip


@pytest.mark.parametrize(("keyword", "value", "expected", "shown"), WRONG, ids=lambda v: repr(v)[:24])
@pytest.mark.parametrize("is_nested", [False, True], ids=["root", "nested"])
def test_wrong_value_names_place_and_value(keyword, value, expected, shown, is_nested):
    schema = {keyword: value}
    if is_nested:
        schema = {"properties": {"a/b": {"anyOf": [True, schema]}}}
    with pytest.raises(SchemaError) as caught:
        Document(schema)
    pointer = ("/properties/a~1b/anyOf/1" if is_nested else "") + f"/{keyword}"
    assert caught.value.pointer == pointer
    assert str(caught.value).startswith(f"{pointer}: ")
    assert expected in str(caught.value)
    assert str(caught.value).endswith(f"got {shown}")


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        ({"properties": {"~a": 1}}, "/properties/~0a"),
        ({"prefixItems": [True, "x"]}, "/prefixItems/1"),
        ({"items": [{}, {"items": None}]}, "/items/1/items"),
        ({"allOf": [{}, []]}, "/allOf/1"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": 3}}, "/$defs/b"),
        ([], ""),
        ("string", ""),
        (None, ""),
    ],
)
def test_what_is_no_schema_names_its_place(schema, pointer):
    with pytest.raises(SchemaError, match="a schema is an object or a boolean, got") as caught:
        Document(schema)
    assert caught.value.pointer == pointer
    assert str(caught.value).startswith(f"{pointer or 'the schema'}: ")


def test_long_values_are_cut():
    with pytest.raises(SchemaError) as caught:
        Document({"pattern": ["x" * 500]})
    assert len(str(caught.value)) < 150
    assert "…" in str(caught.value)


def test_pattern_that_cannot_be_read_names_pointer_and_position():
    with pytest.raises(SchemaError, match=r"^/items/pattern: position 3 of '\(a\)\\\\1'") as caught:
        Document({"items": {"pattern": r"(a)\1"}})
    assert caught.value.pointer == "/items/pattern"


# ---- Keywords that say nothing -----------------------------------------------------------------------------------

INERT = [
    ("not", False), ("patternProperties", {}), ("propertyNames", True), ("minProperties", 0),
    ("dependentRequired", {}), ("dependentSchemas", {}), ("dependencies", {}), ("unevaluatedProperties", True),
    ("unevaluatedItems", {}), ("uniqueItems", False), ("then", {"type": "null"}), ("else", False),
    ("minContains", 2), ("maxContains", 0), ("if", {"type": "null"}),
]  # fmt: skip


@pytest.mark.parametrize(("keyword", "value"), INERT)
def test_inert_values_assert_nothing(keyword, value):
    texts = ["null", '{"a":[1,1]}', '"x"']
    assert accepted({keyword: value}, texts) == texts


@pytest.mark.parametrize(("keyword", "value"), [("minProperties", False), ("uniqueItems", 0), ("not", 0)])
def test_false_and_0_are_not_mistaken_for_each_other(keyword, value):
    with pytest.raises(SchemaError) as caught:
        Document({keyword: value})
    assert caught.value.pointer == f"/{keyword}"


def test_annotations_and_unknown_keywords_assert_nothing():
    annotations = [
        "$comment",
        "title",
        "description",
        "default",
        "examples",
        "deprecated",
        "readOnly",
        "writeOnly",
    ]
    schema = dict.fromkeys(annotations, "x") | {
        "x-mine": {"type": 3},
        "$defs": {"a": {"type": 3}},
    }
    assert accepted(schema, ["null"]) == ["null"]


def test_what_cannot_be_reached_is_not_read():
    Document({"$defs": {"unused": {"not": {}}}, "properties": {"a": {"$ref": "#/$defs/used"}}, "definitions": 3,
              "$comment": 3} | {"$defs": {"used": True, "unused": {"not": {}, "type": "nothing"}}})  # fmt: skip


# ---- References --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "missing"),
    [
        ("#/$defs/b", "'b'"),
        ("#/$defs/a/items/0", "'items'"),
        ("#/$defs/a/anyOf/1", "'1'"),
        ("#/$defs/a/anyOf/x", "'x'"),
    ],
)
def test_reference_to_nowhere_names_what_is_missing(reference, missing):
    with pytest.raises(SchemaError, match=f"leads nowhere: there is no {missing}") as caught:
        Document({"properties": {"x": {"$ref": reference}}, "$defs": {"a": {"anyOf": [{}]}}})
    assert caught.value.pointer == "/properties/x/$ref"
    assert repr(reference) in str(caught.value)


@pytest.mark.parametrize(
    ("part", "name"), [("a~1b%25~0", "a/b%~"), ("~01", "~1"), ("%C3%A9", "é"), ("é", "é"), ("", "")]
)
def test_reference_is_decoded(part, name):
    schema = {"$ref": f"#/$defs/{part}/anyOf/0", "$defs": {name: {"anyOf": [{"type": "null"}]}}}
    assert accepted(schema, ["null", "1"]) == ["null"]


@pytest.mark.parametrize("index", ["00", "\u0660", "\u00b2"])
def test_index_in_a_reference_has_ascii_digits_and_no_leading_zeros(index):
    with pytest.raises(SchemaError, match="leads nowhere"):  # RFC 6901, section 4
        Document({"$ref": f"#/anyOf/{index}", "anyOf": [{}]})


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        (None, ["5"]),
        ("https://json-schema.org/draft/2020-12/schema", ["5"]),
        ("https://json-schema.org/draft/2019-09/schema", ["5"]),
        ("http://json-schema.org/draft-07/schema#", ["1", "5"]),
        ("http://json-schema.org/draft-06/schema#", ["1", "5"]),
        ("http://json-schema.org/draft-04/schema", ["1", "5"]),
    ],
)
def test_siblings_of_a_reference_count_since_2019(dialect, expected):
    schema = {"$ref": "#/definitions/n", "minimum": 3, "definitions": {"n": {"type": "integer"}}}
    if dialect is not None:
        schema["$schema"] = dialect
    told = pytest.warns(UserWarning, match="minimum is ignored") if "1" in expected else contextlib.nullcontext()
    with told:
        assert accepted(schema, ["1", "5", "null"]) == expected


def test_recursive_schema_is_read_once():
    schema = {"properties": {"next": {"$ref": "#"}}, "additionalProperties": False, "type": "object"}
    texts = ["{}", '{"next":{"next":{}}}', '{"next":1}']
    assert accepted(schema, texts) == texts[:2]


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        ({"$ref": "#"}, ""),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}}, "/$defs/a"),
        ({"anyOf": [{"type": "null"}, {"$ref": "#"}]}, ""),
    ],
)
def test_schema_that_is_itself_in_place_is_an_error(schema, pointer):
    with pytest.raises(
        SchemaError, match="refers to itself in place, so it says nothing; break the circle"
    ) as caught:
        Constraint(schema, VOCABULARY)
    assert caught.value.pointer == pointer


# ---- No value ----------------------------------------------------------------------------------------------------

EMPTY = {
    "false": False,
    "bounds": {"type": "integer", "minimum": 3, "maximum": 2},
    "open bounds": {"type": "integer", "exclusiveMinimum": 2, "exclusiveMaximum": 3},
    "lengths": {"type": "string", "minLength": 3, "maxLength": 2},
    "length and pattern": {"type": "string", "maxLength": 2, "pattern": "^a{3}$"},
    "patterns": {"allOf": [{"type": "string", "pattern": "^a"}, {"type": "string", "pattern": "^b"}]},
    "counts": {"type": "array", "minItems": 2, "maxItems": 1},
    "elements": {"type": "array", "prefixItems": [True, False], "minItems": 2},
    "types": {"allOf": [{"type": "null"}, {"type": "string"}]},
    "enum": {"enum": []},
    "enum and type": {"enum": ["a", 1], "type": "null"},
    "const and bound": {"const": 3, "minimum": 4},
    "required member": {"type": "object", "properties": {"a": False}, "required": ["a"]},
    "required, none other": {"type": "object", "additionalProperties": False, "required": ["a"]},
    "endless": {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
    "endless array": {"type": "array", "items": {"$ref": "#"}, "minItems": 1},
    "anyOf": {"anyOf": [False, {"enum": []}]},
    "no type": {"type": []},
}


@pytest.mark.parametrize("schema", EMPTY.values(), ids=EMPTY)
def test_schema_without_value_is_an_error_that_says_what_to_look_for(schema):
    with pytest.raises(
        EmptyLanguageError, match="no value satisfies it; look for bounds or types that exclude"
    ):
        Constraint(schema, VOCABULARY)


def test_part_without_value_is_left_out():
    assert accepted({"properties": {"a": False}, "type": "object"}, ["{}", '{"a":1}', '{"b":1}']) == [
        "{}",
        '{"b":1}',
    ]
    assert accepted({"prefixItems": [True, False]}, ["[]", "[1]", "[1,1]"]) == ["[]", "[1]"]
    assert accepted({"anyOf": [False, {"type": "null"}]}, ["null", "1"]) == ["null"]


# ---- oneOf -------------------------------------------------------------------------------------------------------

DISJOINT = {
    "types": ([{"type": "null"}, {"type": "integer"}], ["null", "1"]),
    "bounds": ([{"type": "integer", "maximum": 3}, {"type": "integer", "minimum": 4}], ["3", "4"]),
    "const": ([{"const": "a"}, {"const": "b"}], ['"a"', '"b"']),
    "patterns": ([{"type": "string", "pattern": "^a"}, {"type": "string", "pattern": "^b"}], ['"ax"', '"b"']),
    "lengths": ([{"type": "string", "maxLength": 1}, {"type": "string", "minLength": 3}], ['"a"', '"abc"']),
    "required const": (
        [{"type": "object", "properties": {"k": {"const": k}}, "required": ["k"]} for k in "ab"],
        ['{"k":"a"}', '{"k":"b","x":1}'],
    ),
    "counts": ([{"type": "array", "maxItems": 1}, {"type": "array", "minItems": 2}], ["[1]", "[1,2]"]),
    "one of them empty": ([False, {"type": "null"}], ["null"]),
}


@pytest.mark.parametrize(("branches", "texts"), DISJOINT.values(), ids=DISJOINT)
def test_disjoint_branches_are_read(branches, texts):
    refused = ['"bb', "3.5", '{"k":"c"}', "true", '"cc"']
    assert accepted({"oneOf": branches}, [*texts, *refused]) == texts


OVERLAPPING = {
    "types": (
        [{"type": "null"}, {"type": "integer"}, {"type": ["integer", "string"]}],
        ["null", '"a"'],
        ["1", "true"],
    ),
    "bounds": ([True, {"type": "integer", "maximum": 3}], ["4", "null", "3.5"], ["3", "-1"]),
    "optional const": (
        [False, *({"type": "object", "properties": {"k": {"const": k}}} for k in "ab")],
        ['{"k":"a"}', '{"k":"b","x":1}'],
        ["{}", '{"k":"c"}', '{"x":1}'],
    ),
    "required": (
        [{"type": "object", "required": ["a"]}, {"type": "object", "required": ["b"]}],
        ['{"a":1}', '{"b":1,"c":1}'],
        ["{}", '{"a":1,"b":1}', '{"a":1,"c":1,"b":1}'],
    ),
    "named": ([{"enum": [1, "a", None]}, {"enum": ["a", 2]}], ["1", "2", "null"], ['"a"']),
    "patterns": (
        [{"type": "string", "pattern": "^a"}, {"type": "string", "pattern": "b$"}],
        ['"a"', '"b"', '"\\u0061"'],
        ['"ab"', '"c"'],
    ),
}


@pytest.mark.parametrize(("branches", "texts", "refused"), OVERLAPPING.values(), ids=OVERLAPPING)
def test_values_in_two_branches_are_refused(branches, texts, refused):
    assert accepted({"oneOf": branches}, [*texts, *refused]) == texts


# ---- Limits and helpers ------------------------------------------------------------------------------------------


def test_alternatives_that_multiply_hit_a_named_limit(monkeypatch):
    monkeypatch.setattr(combinators, "MAX_CASES", 20)
    branches = [{"type": "string", "minLength": i} for i in range(5)]
    with pytest.raises(LimitError, match="/items: the alternatives multiply to more than 20 cases") as caught:
        Constraint(
            {"items": {"allOf": [{"anyOf": branches}] * 3}, "minItems": 1, "type": "array"}, VOCABULARY
        )
    assert caught.value.limit == "MAX_CASES"


def test_nesting_in_place_hits_a_named_limit():
    schema = {"type": "null"}
    for _ in range(reader.MAX_IN_PLACE_DEPTH + 1):
        schema = {"allOf": [schema]}
    with pytest.raises(LimitError, match="nested more than 200 deep; flatten them") as caught:
        Constraint(schema, VOCABULARY)
    assert caught.value.limit == "MAX_IN_PLACE_DEPTH"


def test_deep_nesting_of_values_is_read():
    schema, text = {"type": "null"}, "null"
    for _ in range(500):
        schema, text = {"type": "array", "items": schema, "minItems": 1}, f"[{text}]"
    assert accepted(schema, [text]) == [text]


def test_numbers_are_those_of_the_text():
    assert exact(0.1) * 10 == 1
    assert exact(3) == 3
    assert exact(1e300) == 10**300


def test_pointer_parts_are_escaped():
    assert escape_pointer("a/b~c~1") == "a~1b~0c~01"


def test_schema_is_not_changed():
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "#/definitions/a", "title": "x",
              "definitions": {"a": {"type": "null"}}}  # fmt: skip
    before = repr(schema)
    Constraint(schema, VOCABULARY)
    assert repr(schema) == before
