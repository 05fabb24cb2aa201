"""References: to resources by their names, anchors and other documents, and dynamic ones; the drafts."""

from __future__ import annotations

import pytest
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from outlines.constraints.json_schema import schema_symbols
from outlines.constraints.json_schema.reader import Document
from outlines.engine import Vocabulary
from outlines.exceptions import SchemaError
from outlines.tables import DEAD, Tables
from outlines.types.json_options import JsonOptions

VOCABULARY = Vocabulary([*(bytes([i]) for i in range(256)), None], [256], cache=False)
DRAFT = {
    4: "http://json-schema.org/draft-04/schema#",
    6: "http://json-schema.org/draft-06/schema#",
    7: "http://json-schema.org/draft-07/schema#",
    2019: "https://json-schema.org/draft/2019-09/schema",
    2020: "https://json-schema.org/draft/2020-12/schema",
}


def accepted(schema, texts, registry=None):
    options = JsonOptions(whitespace_pattern="", registry=registry)
    tables = Tables(schema_symbols(schema, options), VOCABULARY)
    result = []
    for text in texts:
        state = tables.start_state
        for byte in text.encode():
            state = tables.next_state(state, byte)
        if state != DEAD and tables.is_accepting(state):
            result.append(text)
    return result


TEXTS = ["null", "1", '"a"', "[]"]
INTEGER, STRING = {"type": "integer"}, {"type": "string"}

# name: schema, what it accepts of TEXTS
CASES = {
    "anchor": ({"$ref": "#n", "$defs": {"a": {"$anchor": "n", **INTEGER}}}, ["1"]),
    "name of a resource within": ({"$ref": "n.json", "$defs": {"a": {"$id": "n.json", **INTEGER}}}, ["1"]),
    "name relative to the root's": (
        {
            "$id": "https://example.com/s/",
            "$ref": "n",
            "$defs": {"a": {"$id": "https://example.com/s/n", **STRING}},
        },
        ['"a"'],
    ),
    "pointer is relative to the resource": (
        {
            "$ref": "n",
            "$defs": {"t": STRING, "a": {"$id": "n", "$ref": "#/$defs/t", "$defs": {"t": INTEGER}}},
        },
        ["1"],
    ),
    "pointer that dangles in the resource means the root": (
        {"$ref": "n", "$defs": {"t": STRING, "a": {"$id": "n", "$ref": "#/$defs/t"}}},
        ['"a"'],
    ),
    "pointer across resources": (
        {
            "$ref": "#/$defs/a/$defs/b",
            "$defs": {"a": {"$id": "n", "$defs": {"b": {"$ref": "#/$defs/t"}, "t": INTEGER}}},
        },
        ["1"],
    ),
    "id of draft 4": (
        {"$schema": DRAFT[4], "allOf": [{"$ref": "n"}], "definitions": {"a": {"id": "n", **INTEGER}}},
        ["1"],
    ),
    "anchor of draft 7": (
        {"$schema": DRAFT[7], "allOf": [{"$ref": "#n"}], "definitions": {"a": {"$id": "#n", **INTEGER}}},
        ["1"],
    ),
    "id beside a reference says nothing in draft 7": (
        {
            "$schema": DRAFT[7],
            "allOf": [{"$id": "x/", "$ref": "#/definitions/a"}],
            "definitions": {"a": INTEGER},
        },
        ["1"],
    ),
    "meta-schema": ({"$ref": DRAFT[7], "not": {"type": "object"}}, []),
    "dynamic reference without a dynamic scope": (
        {"$dynamicRef": "#n", "$defs": {"a": {"$dynamicAnchor": "n", **INTEGER}}},
        ["1"],
    ),
    "dynamic reference to the outermost anchor": (
        {
            "$id": "outer",
            "$ref": "list",
            "$defs": {
                "mine": {"$dynamicAnchor": "item", **INTEGER},
                "list": {
                    "$id": "list",
                    "type": ["array", "integer"],
                    "minItems": 1,
                    "items": {"$dynamicRef": "#item"},
                    "$defs": {"any": {"$dynamicAnchor": "item", **STRING}},
                },
            },
        },
        ["1"],
    ),
}


@pytest.mark.parametrize(("schema", "texts"), CASES.values(), ids=CASES)
def test_reference_leads_to_its_schema(schema, texts):
    if texts:
        assert accepted(schema, TEXTS) == texts
    else:
        assert accepted({**schema, "not": False}, ["true", '{"type":"null"}', '{"type":1}']) == [
            "true",
            '{"type":"null"}',
        ]


def test_dynamic_scope_decides_what_elements_are():
    schema = CASES["dynamic reference to the outermost anchor"][0]
    texts = ["[1]", '["a"]', "[]"]
    assert accepted(schema, texts) == ["[1]"]
    assert accepted({"$ref": "list", "$defs": schema["$defs"] | {"mine": True}}, texts) == ['["a"]']


def test_recursive_reference_leads_to_the_outermost_anchor():
    tree = {
        "$schema": DRAFT[2019], "$id": "https://example.com/tree", "$recursiveAnchor": True,
        "type": "object", "properties": {"child": {"$recursiveRef": "#"}},
    }  # fmt: skip
    strict = {
        "$schema": DRAFT[2019], "$id": "https://example.com/strict", "$recursiveAnchor": True,
        "$ref": "tree", "unevaluatedProperties": False, "$defs": {"tree": tree},
    }  # fmt: skip
    texts = ['{"child":{}}', '{"x":1}', '{"child":{"x":1}}']
    assert accepted(strict, texts) == texts[:1]
    assert accepted(strict | {"$recursiveAnchor": False}, texts) == ['{"child":{}}', '{"child":{"x":1}}']


def test_other_documents_come_from_the_users_registry():
    other = DRAFT202012.create_resource({"$defs": {"n": INTEGER}, "items": {"$ref": "#/$defs/n"}})
    registry = Registry().with_resource("https://example.com/other", other)
    schema = {"$ref": "https://example.com/other", "type": "array"}
    assert accepted(schema, ["[]", "[1]", '["a"]'], registry) == ["[]", "[1]"]


@pytest.mark.parametrize("reference", ["other.json", "https://example.com/a#/b", "a#"])
def test_document_that_is_not_there_names_the_registry(reference):
    with pytest.raises(
        SchemaError, match=r"nothing is fetched; give that in a `referencing.Registry`"
    ) as caught:
        Document({"items": {"$ref": reference}})
    assert caught.value.pointer == "/items/$ref"
    assert repr(reference) in str(caught.value)


@pytest.mark.parametrize("keyword", ["$ref", "$dynamicRef"])
@pytest.mark.parametrize("reference", ["#nothing", "n#/$defs/x"])
def test_place_that_is_not_there_is_named(keyword, reference):
    with pytest.raises(SchemaError, match="leads nowhere") as caught:
        Document({"items": {keyword: reference}, "$defs": {"a": {"$id": "n"}}})
    assert caught.value.pointer == f"/items/{keyword}"


# ---- Drafts ------------------------------------------------------------------------------------------------------

LATER = [
    (6, "const", 5),
    (6, "contains", {"const": 5}),
    (6, "propertyNames", False),
    (7, "if", True),
    (2019, "dependentRequired", {"a": ["b"]}),
    (2019, "dependentSchemas", {"a": False}),
    (2019, "unevaluatedProperties", False),
    (2020, "prefixItems", [False]),
]


@pytest.mark.parametrize(("since", "keyword", "value"), LATER)
def test_keyword_means_nothing_in_an_earlier_draft(since, keyword, value):
    texts = ['{"a":1}', "[1]"]
    for draft, dialect in DRAFT.items():
        schema = {"$schema": dialect, keyword: value}
        schema |= {"then": False} if keyword == "if" else {}
        if draft < since:
            told = f"^the schema: {keyword}.* is ignored, since draft {draft},"
            with pytest.warns(UserWarning, match=told):
                assert accepted(schema, texts) == texts
        elif keyword != "if":  # with it nothing is left
            assert accepted({**schema, "type": ["object", "array", "integer"]}, texts) != texts


def test_what_stands_beside_a_reference_is_ignored_up_to_draft_7_and_told():
    for draft, dialect in DRAFT.items():
        schema = {"$schema": dialect, "properties": {"a": {"$ref": "#/definitions/b", "minimum": 3, "title": "t"}},
                  "definitions": {"b": INTEGER}}  # fmt: skip
        if draft > 7:
            assert accepted(schema, ['{"a":1}', '{"a":3}']) == ['{"a":3}']
            continue
        with pytest.warns(UserWarning, match=f"^/properties/a: minimum is ignored, since in draft {draft},") as told:
            assert accepted(schema, ['{"a":1}', '{"a":3}']) == ['{"a":1}', '{"a":3}']
        assert len(told) == 1


def test_annotations_beside_a_reference_are_no_matter():
    schema = {"$schema": DRAFT[7], "$ref": "#/definitions/b", "title": "t", "definitions": {"b": INTEGER}}
    assert accepted(schema, ["1", '"a"']) == ["1"]


def test_without_a_dialect_all_drafts_are_mixed():
    schema = {"items": [INTEGER], "additionalItems": False, "dependencies": {"a": ["b"]}, "exclusiveMinimum": True,
              "minimum": 3, "const": [1]}  # fmt: skip
    assert accepted(schema, ["[1]", "[1,2]", "3"]) == ["[1]"]
