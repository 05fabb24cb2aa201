"""The grammars that ship: read by Lark, judged by Lark itself and by parsers that know nothing of grammars."""

import ast
import csv
import html.parser
import io
import json
import re
import xml.etree.ElementTree

import lark
import markdown_it
import pytest
import sqlglot
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from outlines import grammars
from outlines.automaton import END, Automaton
from outlines.constraints.terms import term_symbols
from outlines.engine import Constraint, Vocabulary
from outlines.types import CFG
from tests.proof import random_walk


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


# Grammars that ship, each judged by a parser that isn't Lark's; walks through masks write the texts.


def judge_html(text):
    open_tags = []

    class Reader(html.parser.HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag not in ("br", "hr"):
                open_tags.append(tag)

        def handle_endtag(self, tag):
            assert open_tags.pop() == tag

    reader = Reader()
    reader.feed(text)
    reader.close()
    assert not open_tags


def judge_markdown_table(text):
    kinds = [token.type for token in markdown_it.MarkdownIt("commonmark").enable("table").parse(text)]
    assert kinds[0] == "table_open"
    assert kinds[-1] == "table_close"
    assert kinds.count("table_open") == 1


def judge_tool_call(text):
    calls = re.fullmatch(r"<tool_call>\n(.*)\n</tool_call>", text, re.S)[1].split(
        "\n</tool_call>\n<tool_call>\n"
    )
    for call in calls:
        assert json.loads(call).keys() == {"name", "arguments"}


def judge_function_call(text):
    for statement in ast.parse(text).body:
        assert isinstance(statement.value, ast.Call)
        ast.literal_eval(ast.List([keyword.value for keyword in statement.value.keywords], ast.Load()))


def judge_csv(text):
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert rows
    assert all(len(row) == 3 for row in rows)


JUDGES = {
    # Python writes no zeros before a number
    "arithmetic": (
        grammars.arithmetic,
        lambda text: ast.parse(re.sub(r"(?<![\d.])0+(?=\d)", "", text).strip(), mode="eval"),
    ),
    "csv": (grammars.csv(3), judge_csv),
    "function_call": (grammars.function_call, judge_function_call),
    "html": (grammars.html, judge_html),
    "json": (grammars.json, json.loads),
    "markdown_table": (grammars.markdown_table, judge_markdown_table),
    "python": (grammars.python, lambda text: ast.parse(text.strip(), mode="eval")),
    "regex": (grammars.regex, re.compile),
    "sql": (grammars.sql, lambda text: sqlglot.parse_one(text)),
    "tool_call": (grammars.tool_call, judge_tool_call),
    "xml": (grammars.xml, xml.etree.ElementTree.fromstring),
    "yaml": (grammars.yaml, lambda text: yaml.load(text, Loader=yaml.BaseLoader)),
}

PIECES = [
    *"SELECT| FROM |(a|ab|'x'|if| else | for x in |not in|is not|lambda x:|</p>|<p>|</em>|<a href=|<title>".split("|"),
    *"</title>|<!--|-->|]]>|<![CDATA[|&amp;|: |- |  |\n  |1.5|True|None|[0-9]|\\d|(?:|*?|{2,3}|é| ON |a.b".split("|"),
    *("<tool_call>\n", "\n</tool_call>", ", ", "=1", "()", "[]", '""', '"name":', '"arguments"', '{"', '":', '",'),
    *("|", "| ", " |", "--- |", "|\n"),
]


@pytest.fixture(scope="module")
def pieces_vocabulary():
    tokens = [bytes([byte]) for byte in range(256)] + [piece.encode() for piece in PIECES if piece]
    return Vocabulary([*tokens, None], eos_token_ids=[len(tokens)], cache=False)


def walks(text, vocabulary, rng, count, limit):
    constraint = Constraint(CFG(text), vocabulary)
    for _ in range(count):
        policy = rng.choice(["uniform", "exit-biased", "mixed", "shortest-to-end"])
        written, is_finished = random_walk(constraint, vocabulary, rng, policy, limit)
        if is_finished:
            yield written.decode()


@pytest.mark.filterwarnings("ignore::SyntaxWarning")  # `1 is 2`, and the like, are Python
@pytest.mark.filterwarnings(
    "ignore::FutureWarning"
)  # `[[a]`, to `re` a class that may mean something else one day
@pytest.mark.parametrize("name", JUDGES)
def test_what_is_written_is_read_by_others(name, pieces_vocabulary, rng, budget):
    text, judge = JUDGES[name]
    limit = 250 if name in ("markdown_table", "yaml") else 80
    finished = 0
    for written in walks(text, pieces_vocabulary, rng, 12 * budget, limit):
        judge(written)
        finished += 1
    assert finished or name == "markdown_table"


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@pytest.mark.parametrize("name", ["json", "python", "sql", "tool_call"])
def test_walks_under_a_real_vocabulary(name, llama3_vocabulary, rng, budget):
    text, judge = JUDGES[name]
    for written in walks(text, llama3_vocabulary, rng, 5 * budget, 40):
        judge(written)


# (grammar, texts that it must have, texts that it must not)
SHIPPED = {
    "csv": (
        grammars.csv(3),
        ["a,b,c", '"a ""b""",1,2\nx,y,"z\n"\n'],
        ["a,b", "a,b,c,d", 'a,"b,c', 'a,b"b,c'],
    ),
    "function_call": (
        grammars.function_call,
        ['get_weather(city_name="Oslo", d=[1, -2.5], o={"a": None})\na_b()', "f.g_h(x=True)"],
        ["if(x=1)", "f(1)", "f(x=1,y=2)", 'f(x="a)'],
    ),
    "html": (
        grammars.html,
        ["<p>a <em>b</em>&amp;<br></p><ul><li>x<ul><li>y</li></ul></li></ul>", '<p><a href="/x">y</a></p>'],
        ["<p>a", "<p><p>a</p></p>", "<ul>a</ul>", "a & b"],
    ),
    "markdown_table": (
        grammars.markdown_table,
        ["| a | b c |\n| --- | :---: |\n| 1 | |\n"],
        ["| a | b |\n| --- | --- |\n| 1 |\n", "| a |\n| --- |\n| 1 |\n"],
    ),
    "python": (
        grammars.python,
        [
            "[x ** 2 for x in range(10) if x % 2 == 0]",
            "f(a, b=1)[1:2].c if not x in y else lambda z: {z: 'q'}",
            "a not in b and c is not None",
            "{1, 2,}",
            "(1,)",
            "-x ** -2j",
        ],
        ["a notin b", "if", "class", "a.if", "f(a=1, b)", "x = 1", "01", "None = 1", "a b"],
    ),
    "regex": (
        grammars.regex,
        [r"(a|b)*c{2,3}?[^a-z\]]\d$", "(?:x(?=y))+", ""],
        ["(a", "*a", "a{3", "[a", "a)", "a**"],
    ),
    "sql": (
        grammars.sql,
        [
            "SELECT a, b AS c FROM t WHERE a >= 1 AND NOT b LIKE 'x%' ORDER BY a DESC LIMIT 5",
            "select distinct t.a, count(*) from t left join u on t.id = u.id group by t.a having count(*) > 2",
            "SELECT CASE WHEN a IS NULL THEN 0 ELSE SUM(b) END FROM (SELECT a FROM t) AS s UNION ALL SELECT 1 FROM u",
            "SELECT a FROM t WHERE b NOT IN (SELECT c FROM d) AND e BETWEEN 1 AND 2.5",
        ],
        [
            "SELECT FROM t",
            "SELECT a FROM select",
            "SELECTa FROM t",
            "SELECT a FROM t WHERE a notin (1)",
            "DROP TABLE t",
        ],
    ),
    "tool_call": (
        grammars.tool_call,
        ['<tool_call>\n{"name": "f", "arguments": {"x": [1]}}\n</tool_call>'],
        ['<tool_call>\n{"name": "1", "arguments": {}}\n</tool_call>', "<tool_call>\n{}\n</tool_call>"],
    ),
    "xml": (
        grammars.xml,
        ['<article id="a&lt;"><title>x</title><p>y <em/> &#233;<!-- c --><![CDATA[<]]></p></article>'],
        ["<p>a</em>", "<p>", '<p id="1" id="2"/>', "<p>a & b</p>", "<p><!-- -- --></p>"],
    ),
    "yaml": (
        grammars.yaml,
        ['name: a b\nlist:\n  - 1\n  - "x"\nmap:\n  k: [1, {a: true}]\n'],
        ["name: a", "a:b\n", "a: - b\n", "a: [1\n"],
    ),
}


@pytest.mark.parametrize("name", SHIPPED)
def test_texts_of_a_grammar_that_ships(name):
    text, accepted, rejected = SHIPPED[name]
    automaton = Automaton(term_symbols(CFG(text)))

    def accepts(written):
        return END in automaton.run(automaton.start, written.encode())

    assert [written for written in accepted if not accepts(written)] == []
    assert [written for written in rejected if accepts(written)] == []


@pytest.mark.parametrize(("columns", "delimiter"), [(0, ","), (2, '"'), (2, ""), (2, "ab"), (2, "\n")])
def test_csv_checks_what_it_is_given(columns, delimiter):
    with pytest.raises(ValueError, match=r"columns is|delimiter is"):
        grammars.csv(columns, delimiter)


@pytest.mark.parametrize("delimiter", [";", "\t", "|", ".", "]", "^", "-", "é"])
def test_csv_takes_other_delimiters(delimiter):
    automaton = Automaton(term_symbols(CFG(grammars.csv(2, delimiter))))
    assert END in automaton.run(automaton.start, f'a,b{delimiter}"{delimiter}"\n'.encode())
    assert END not in automaton.run(automaton.start, f"a{delimiter}b{delimiter}c".encode())


def test_read_grammar_reads_the_files_that_ship():
    files = {path.stem for path in grammars.GRAMMAR_PATH.glob("*.lark")}
    assert files == JUDGES.keys() - {"csv"} | {"common"}
    for name in files - {"common"}:
        assert grammars.read_grammar(f"{name}.lark") == getattr(grammars, name)


def test_read_grammar_takes_another_folder(tmp_path):
    (tmp_path / "mine.lark").write_text('start: "é"', encoding="utf-8")
    assert grammars.read_grammar("mine.lark", tmp_path) == grammars.read_grammar("mine.lark", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"json\.lark"):
        grammars.read_grammar("json.lark", tmp_path)
