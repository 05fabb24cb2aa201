"""Terms: how they combine, are written as patterns, drawn, compared, and used by pydantic."""

import re

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlines.types.dsl import (
    CFG,
    Alternatives,
    Choice,
    JsonSchema,
    KleenePlus,
    KleeneStar,
    Optional,
    QuantifyBetween,
    QuantifyExact,
    QuantifyMaximum,
    QuantifyMinimum,
    Regex,
    Sequence,
    String,
    Term,
    at_least,
    at_most,
    between,
    cfg,
    either,
    exactly,
    json_schema,
    one_or_more,
    optional,
    regex,
    to_regex,
    zero_or_more,
)

A, B = String("a"), Regex("[0-9]")

# (term, its pattern, the text of its node)
TERMS = [
    (String("a.b c"), r"a\.b\ c", "String('a.b c')"),
    (String("it's"), "it's", "String('it's')"),
    (Regex("[0-9]"), "([0-9])", "Regex('[0-9]')"),
    (Choice(["a", 1, True]), "(a|(1)|(True))", "Choice(['a', 1, True])"),
    (Choice([int, "x"]), "(([+-]?(0|[1-9][0-9]*))|x)", "Choice([<class 'int'>, 'x'])"),
    (KleeneStar(A), "(a)*", "KleeneStar(*)"),
    (KleenePlus(A), "(a)+", "KleenePlus(+)"),
    (Optional(Regex("a")), "((a))?", "Optional(?)"),
    (Alternatives([A, B]), "(a|([0-9]))", "Alternatives(|)"),
    (Alternatives([]), "()", "Alternatives(|)"),
    (Sequence([A, B]), "a([0-9])", "Sequence"),
    (QuantifyExact(A, 3), "(a){3}", "Quantify({3})"),
    (QuantifyMinimum(A, 3), "(a){3,}", "Quantify({3,})"),
    (QuantifyMaximum(A, 3), "(a){0,3}", "Quantify({,3})"),
    (QuantifyBetween(A, 1, 3), "(a){1,3}", "Quantify({1,3})"),
]


@pytest.mark.parametrize(("term", "pattern", "node"), TERMS, ids=[node for _, _, node in TERMS])
def test_term_has_its_pattern_and_node(term, pattern, node):
    assert to_regex(term) == pattern
    assert term._display_node() == node
    assert str(term).splitlines()[0] == f"└── {node}"


# (expression, the term it builds)
EXPRESSIONS = [
    (A + B, Sequence([A, B])),
    ("s" + B, Sequence([String("s"), B])),
    (B + "s", Sequence([B, String("s")])),
    (A + "b" + "c", Sequence([Sequence([A, String("b")]), String("c")])),
    (A | B, Alternatives([A, B])),
    ("s" | B, Alternatives([String("s"), B])),
    (B | "s", Alternatives([B, String("s")])),
    (A | "b" | "c", Alternatives([Alternatives([A, String("b")]), String("c")])),
    (A.optional(), Optional(A)),
    (A.zero_or_more(), KleeneStar(A)),
    (A.one_or_more(), KleenePlus(A)),
    (A.exactly(2), QuantifyExact(A, 2)),
    (A.at_least(2), QuantifyMinimum(A, 2)),
    (A.at_most(2), QuantifyMaximum(A, 2)),
    (A.between(0, 2), QuantifyBetween(A, 0, 2)),
    (either("a", B), Alternatives([A, B])),
    (either(), Alternatives([])),
    (optional("a"), Optional(A)),
    (zero_or_more("a"), KleeneStar(A)),
    (one_or_more(B), KleenePlus(B)),
    (exactly(2, "a"), QuantifyExact(A, 2)),
    (at_least(0, "a"), QuantifyMinimum(A, 0)),
    (at_most(2, B), QuantifyMaximum(B, 2)),
    (between(2, 2, "a"), QuantifyBetween(A, 2, 2)),
    (regex("[0-9]"), B),
    (cfg("start: A"), CFG("start: A")),
    (json_schema({"type": "integer"}), JsonSchema({"type": "integer"})),
]


@pytest.mark.parametrize(("built", "expected"), EXPRESSIONS, ids=[repr(term) for _, term in EXPRESSIONS])
def test_operators_methods_and_functions_build_terms(built, expected):
    assert built == expected
    assert repr(built) == repr(expected)


def test_tree_draws_siblings_and_depth():
    term = Sequence([KleeneStar(Alternatives([String("a"), String("b")])), B, Choice(["x"])])
    assert str(term) == term.display_ascii_tree()
    assert f"{term}" == (
        "└── Sequence\n"
        "    ├── KleeneStar(*)\n"
        "    │   └── Alternatives(|)\n"
        "    │       ├── String('a')\n"
        "    │       └── String('b')\n"
        "    ├── Regex('[0-9]')\n"
        "    └── Choice(['x'])\n"
    )


def test_tree_draws_a_shared_child_each_time():
    assert str(Sequence([A, A])) == "└── Sequence\n    ├── String('a')\n    └── String('a')\n"


@pytest.mark.parametrize(
    ("term", "text"),
    [
        (String("it's"), "String(value='it's')"),
        (Regex(r"\d"), r"Regex(pattern='\d')"),
        (CFG("start: A\n"), "CFG(definition='start: A\n')"),
        (JsonSchema('{"type":  "null"}'), """JsonSchema(schema='{"type":  "null"}')"""),
        (Choice(["a"]), "Choice(items=['a'])"),
        (QuantifyBetween(A, 1, 2), "QuantifyBetween(term=String(value='a'), min_count=1, max_count=2)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_repr_shows_fields_and_raw_text(term, text):
    assert repr(term) == text


@pytest.mark.parametrize("different", [String("b"), Regex("a"), CFG("a"), "a", Sequence([A])])
def test_terms_of_other_class_or_value_differ(different):
    assert different != A


@pytest.mark.parametrize("term", [*(term for term, _, _ in TERMS), CFG("a"), JsonSchema("true")])
def test_terms_have_no_hash(term):
    with pytest.raises(TypeError, match="unhashable"):
        hash(term)


@pytest.mark.parametrize(
    "term", [CFG("start: A"), Sequence([A, CFG("start: A")]), Term(), "a", 1, A + 1, 1 | A]
)
def test_what_is_not_regular_has_no_regex(term):
    with pytest.raises(TypeError, match="Cannot convert"):
        to_regex(term)


def test_cfg_does_not_match_by_regex():
    with pytest.raises(TypeError, match="Cannot convert"):
        CFG('start: "a"').matches("a")


def test_choice_items_are_converted_only_when_needed():
    choice = Choice([object()])
    with pytest.raises(TypeError, match="is currently not supported"):
        to_regex(choice)


def test_bare_term_has_no_node():
    with pytest.raises(NotImplementedError, match="Term"):
        str(Term())


@pytest.mark.parametrize("count", [-1, 1.5, "2", None])
@pytest.mark.parametrize(
    ("build", "name"),
    [
        (exactly, "count"),
        (at_least, "min_count"),
        (at_most, "max_count"),
        (lambda n, t: between(n, 2, t), "min_count"),
    ],
)
def test_counts_are_non_negative_integers(build, name, count):
    with pytest.raises(
        ValueError, match=re.escape(f"`{name}` must be a non-negative integer, got {count!r}")
    ):
        build(count, "a")


def test_between_refuses_bounds_in_the_wrong_order():
    with pytest.raises(ValueError, match=r"`max_count` must be greater than `min_count`.* got 1 and 2"):
        A.between(2, 1)


@pytest.mark.parametrize(
    ("value", "expected"), [("0", True), (0, True), ("00", False), ("0\n", False), (None, False)]
)
def test_matches_the_whole_of_str(value, expected):
    assert B.matches(value) is expected


def test_validate_returns_the_value_itself_or_names_it():
    assert B.validate(7) == 7
    assert not isinstance(B.validate(7), str)
    with pytest.raises(ValueError, match=r"in the language of the regular expression \(\[0-9\]\), got 'x'"):
        B.validate("x")


@given(st.text(), st.text())
def test_string_matches_itself_alone(text, other):
    assert String(text).matches(text)
    assert String(text).matches(other) == (text == other)


@given(st.text("ab", max_size=6))
def test_composite_pattern_says_what_its_parts_say(text):
    term = either("ab", exactly(2, "b")).one_or_more() + optional("a")
    assert term.matches(text) == (re.fullmatch(r"(?:ab|bb)+a?", text) is not None)


class Model(pydantic.BaseModel):
    digit: B
    plain: String("a")
    several: list[either(String("a") + String("b"), "c")]


def test_pydantic_validates_annotated_fields():
    model = Model(digit=5, plain="a", several=["ab", "c"])
    assert model.digit == 5
    with pytest.raises(pydantic.ValidationError, match="Input should be in the language") as caught:
        Model(digit=5, plain="a", several=["ab", "d"])
    assert caught.value.errors()[0]["loc"] == ("several", 1)


def test_pydantic_schema_carries_the_pattern():
    properties = Model.model_json_schema()["properties"]
    assert properties["digit"] == {"title": "Digit", "type": "string", "pattern": "([0-9])"}
    assert properties["plain"]["pattern"] == "a"
    assert properties["several"]["items"] == {"type": "string", "pattern": "(ab|c)"}


def test_pydantic_schema_of_a_grammar_is_refused():
    with pytest.raises(TypeError, match="Cannot convert"):
        pydantic.create_model("Parsed", text=(CFG("start: A"), ...)).model_json_schema()


def test_pydantic_hooks_take_any_arguments():
    assert B.__get_validator__(None)("1") == "1"
    assert B.__get_pydantic_core_schema__(None, None)["type"] == "function-plain"
    assert B.__get_pydantic_json_schema__(None, None) == {"type": "string", "pattern": "([0-9])"}


def test_cfg_is_read_from_a_file_verbatim(tmp_path):
    path = tmp_path / "a.lark"
    path.write_text('start: "é"\n\n', encoding="utf-8")
    assert CFG.from_file(path) == CFG('start: "é"\n\n')
    assert CFG.from_file(str(path)).definition == 'start: "é"\n\n'
