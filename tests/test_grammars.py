"""The grammars that ship: read by Lark, judged by Lark itself, `json.loads` and Python's own parser."""

import ast
import json

import lark
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlines import grammars


@pytest.fixture(scope="module", params=["lalr", "earley"])
def parsers(request):
    return {
        "json": lark.Lark(grammars.json, parser=request.param),
        "arithmetic": lark.Lark(grammars.arithmetic, parser=request.param),
    }


LALR = {name: lark.Lark(getattr(grammars, name), parser="lalr") for name in ("json", "arithmetic")}


def is_accepted(parser, text):
    try:
        parser.parse(text)
    except lark.exceptions.UnexpectedInput:
        return False
    return True


def is_json(text):
    def refuse(constant):
        raise ValueError(constant)  # NaN and Infinity, which json.loads takes and JSON doesn't have

    try:
        json.loads(text, parse_constant=refuse)
    except ValueError:
        return False
    return True


# (grammar, accepted, rejected)
TEXTS = [
    (
        "json",
        ['{"a": [1, -2.5e+3, "x\\n\\u00e9", true, false, null]}', " [ ] ", "{}", '"é"', "0", "-0", "\n1\t"],
        [
            "",
            "+1",
            "01",
            "1.",
            ".5",
            "1e",
            "{a: 1}",
            "[1,]",
            '"\\q"',
            '"\n"',
            '"\\u12"',
            "'a'",
            "True",
            "1 2",
        ],
    ),
    (
        "arithmetic",
        ["1", "1 + 2*3", "-(1-2)/3", "--1", "1.5e3*(2)", "((1))", "1 - -1"],
        ["", "1+", "+1", "(1", "1 2", "1\n+2", "a", "()"],
    ),
]


@pytest.mark.parametrize(("name", "good", "bad"), TEXTS, ids=[row[0] for row in TEXTS])
def test_texts_of_grammar(parsers, name, good, bad):
    assert [text for text in good if not is_accepted(parsers[name], text)] == []
    assert [text for text in bad if is_accepted(parsers[name], text)] == []


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(values, st.sampled_from([None, 1]), st.booleans())
def test_json_accepts_whatever_python_dumps(value, indent, ensure_ascii):
    assert is_accepted(LALR["json"], json.dumps(value, indent=indent, ensure_ascii=ensure_ascii))


@settings(max_examples=500)
@given(st.text(st.sampled_from('{}[],:"\\/nu0aE1.-+ \n\x00\x1fé'), max_size=8))
def test_json_agrees_with_json_loads_on_short_texts(text):
    assert is_accepted(LALR["json"], text) == is_json(text)


@given(values, st.integers(0, 100), st.sampled_from('{}[],:"\\0.e- \n'))
def test_json_agrees_with_json_loads_on_texts_with_one_change(value, place, character):
    text = json.dumps(value)
    place = min(place, len(text))
    for changed in (text[:place] + character + text[place:], text[:place] + text[place + 1 :]):
        assert is_accepted(LALR["json"], changed) == is_json(changed)


def test_arithmetic_names_its_rules():
    tree = LALR["arithmetic"].parse("1 + 2 * -3 - (4 / 5)")
    assert {node.data for node in tree.iter_subtrees()} == {"add", "sub", "mul", "div", "neg", "number"}


def calculated(tree):
    numbers = [
        float(child) if isinstance(child, lark.Token) else calculated(child) for child in tree.children
    ]
    return {
        "number": lambda a: a,
        "neg": lambda a: -a,
        "add": lambda a, b: a + b,
        "sub": lambda a, b: a - b,
        "mul": lambda a, b: a * b,
        "div": lambda a, b: a / b,
    }[tree.data](*numbers)


@given(
    st.recursive(
        st.integers(1, 9).map(str) | st.sampled_from(["1.5", "2e1"]),
        lambda inner: st.builds(
            "{}{}{}".format, inner, st.sampled_from(["+", " - ", "*"]), inner | inner.map("({})".format)
        ),
        max_leaves=6,
    )
)
def test_arithmetic_binds_as_python_does(text):
    assert calculated(LALR["arithmetic"].parse(text)) == eval(
        compile(ast.parse(text, mode="eval"), "", "eval")
    )


SAMPLES = [
    *("", "0", "7", "12", "a", "F", "g", "ab", "AB", "_a1", "1a", "+1", "-12", "1.", ".5", "1.5", "."),
    *("1e5", "1.5E-3", "e5", "+.5e1", '"a"', '"a\\"b"', '"a\\\\"', '"\\"', '"a\nb"', "'a'", "é"),
    *(
        " ",
        "\t ",
        "\n",
        "\r\n",
        "\r",
        "\n\n",
        "\f",
        "# a",
        "#",
        "// a",
        "/* a\n*/",
        "/* a */ */",
        "-- a",
        "# a\n",
    ),
]
NAMES = [
    "DIGIT",
    "HEXDIGIT",
    "INT",
    "SIGNED_INT",
    "DECIMAL",
    "FLOAT",
    "SIGNED_FLOAT",
    "NUMBER",
    "SIGNED_NUMBER",
    "ESCAPED_STRING",
    "LCASE_LETTER",
    "UCASE_LETTER",
    "LETTER",
    "WORD",
    "CNAME",
    "WS_INLINE",
    "WS",
    "CR",
    "LF",
    "NEWLINE",
    "SH_COMMENT",
    "CPP_COMMENT",
    "C_COMMENT",
    "SQL_COMMENT",
]


def terminal_parser(name, **options):
    return lark.Lark(f"start: {name}\n%import common.{name}", **options)


@pytest.mark.parametrize("name", NAMES)
def test_common_terminals_are_those_of_lark(name):
    ours, theirs = terminal_parser(name, import_paths=[grammars.GRAMMAR_PATH]), terminal_parser(name)
    verdicts = [is_accepted(ours, text) for text in SAMPLES]
    assert verdicts == [is_accepted(theirs, text) for text in SAMPLES]
    assert any(verdicts)
    assert not all(verdicts)


def test_common_is_ours_when_its_folder_is_given():
    # Lark's own library has no such terminal, so the comparison above is with another text.
    parser = terminal_parser("UNESCAPED_STRING", import_paths=[grammars.GRAMMAR_PATH])
    assert [text for text in SAMPLES if is_accepted(parser, text)] == ['"a"', '"a\\\\"', '"\\"']


def test_read_grammar_reads_the_files_that_ship():
    assert grammars.read_grammar("json.lark") == grammars.json
    assert grammars.read_grammar("arithmetic.lark") == grammars.arithmetic
    assert sorted(path.name for path in grammars.GRAMMAR_PATH.glob("*.lark")) == [
        "arithmetic.lark",
        "common.lark",
        "json.lark",
    ]


def test_read_grammar_takes_another_folder(tmp_path):
    (tmp_path / "mine.lark").write_text('start: "é"', encoding="utf-8")
    assert grammars.read_grammar("mine.lark", tmp_path) == grammars.read_grammar("mine.lark", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"json\.lark"):
        grammars.read_grammar("json.lark", tmp_path)
