"""Grammars and patterns in the servers' EBNF, judged by llama.cpp's own reader and by Lark and `re`."""

from __future__ import annotations

import random
import re

import pytest

from outlines import grammars
from outlines.exceptions import ConstraintError, LimitError
from outlines.models import gbnf
from outlines.models.gbnf import Ebnf, in_ebnf, in_gbnf
from outlines.types import CFG, Regex
from outlines.types.dsl import either

PATTERNS = [
    ("[a-c]{2}", ["ab", "cc"], ["a", "abd", "abc", ""]),
    ("", [""], ["a"]),
    ("é|漢|😀{2}", ["é", "漢", "😀😀"], ["😀", "e", "é漢"]),
    (r"[^a]\"\\", ['b"\\', 'é"\\', '😀"\\', '\n"\\'], ['a"\\', "b"]),
    ("(?i:yes)|no", ["YES", "yEs", "no"], ["NO", "ye"]),
    (r"a(?!b)[a-c]", ["aa", "ac"], ["ab", "a"]),
    (r"\w+", ["abc_9", "éñ漢"], ["", "a b"]),
    (r"(a|b)*c", ["c", "ababc"], ["ab", ""]),
]

GRAMMARS = {
    "arithmetic": (grammars.arithmetic, ["1", "1 + 2*(3-4)", "-(2)", "1.5e3/2"], ["", "1 +", "(1", "1 2"]),
    "json": (grammars.json, ['{"a": [1, true, null]}', '"x\\n"', "[]", "-1.5e+3"], ["{", '{"a"}', "[1,]"]),
    "left recursion": ('start: start "a" | "b"', ["b", "ba", "baaa"], ["a", "ab", ""]),
    "indirect left recursion": (
        'start: x "a" | "s"\nx: y "b" | start "x"\ny: start "y" | "e"',
        ["s", "eba", "ebaxa", "sxa", "syba"],
        ["a", "e", "eb"],
    ),
    "ambiguous": ('start: start start | "a"', ["a", "aaa"], ["", "b"]),
    "empty": ('start: x "b"\nx: | "a"', ["b", "ab"], ["a", "aab"]),
    "ignored": ('start: "a" "b"\n%ignore " "+\n%ignore "#"', ["ab", " a  b ", "#a # b"], ["a", "a\nb"]),
    "flags and lookbehind": (
        'start: KEY ESCAPED_STRING\nKEY: "select"i\n%import common.ESCAPED_STRING',
        ['SELECT"a"', 'select"a\\"b"'],
        ['sel"a"', 'select"a\\"'],
    ),
}


class Recogniser:
    """Reads a grammar in GBNF and says whether a text is of it, by Earley's algorithm over characters."""

    def __init__(self, text: str):
        self.rules: dict[str, list[tuple]] = {}
        for line in text.splitlines():
            name, right = line.split(" ::= ", 1)
            self.rules[name] = [tuple(self._symbols(each)) for each in self._split(right)]

    @staticmethod
    def _tokens(right: str) -> list[str]:
        return re.findall(r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|\||[\w-]+', right)

    def _split(self, right: str) -> list[list[str]]:
        ways: list[list[str]] = [[]]
        for token in self._tokens(right):
            if token == "|":
                ways.append([])
            else:
                ways[-1].append(token)
        return ways

    def _symbols(self, tokens: list[str]):
        for token in tokens:
            if token == '""':
                continue
            if token[0] in '"[':
                yield re.compile(re.escape(self._plain(token[1:-1])) if token[0] == '"' else token)
            else:
                yield token

    @staticmethod
    def _plain(text: str) -> str:
        return re.sub(r"\\x(..)|\\u(....)|\\U(.{8})", lambda m: chr(int(m[1] or m[2] or m[3], 16)), text)

    def accepts(self, text: str) -> bool:
        chart: list[dict] = [{} for _ in range(len(text) + 1)]
        done: list[dict] = [{} for _ in range(len(text) + 1)]

        def add(place: int, item: tuple) -> None:
            if item not in chart[place]:
                chart[place][item] = None
                queue.append(item)

        queue: list[tuple] = []
        for right in self.rules["root"]:
            add(0, ("root", right, 0, 0))
        for place in range(len(text) + 1):
            queue = list(chart[place])
            for name, right, dot, start in queue:
                if dot == len(right):
                    done[place][name, start] = None
                    for other, ways, at, begun in list(chart[start]):
                        if at < len(ways) and ways[at] == name:
                            add(place, (other, ways, at + 1, begun))
                elif isinstance(right[dot], str):
                    for each in self.rules[right[dot]]:
                        add(place, (right[dot], each, 0, place))
                    if (right[dot], place) in done[place]:
                        add(place, (name, right, dot + 1, start))
                elif place < len(text) and right[dot].fullmatch(text[place]):
                    chart[place + 1][name, right, dot + 1, start] = None
        return ("root", 0) in done[len(text)]


@pytest.mark.parametrize(("pattern", "accepted", "refused"), PATTERNS, ids=[each[0] for each in PATTERNS])
def test_patterns(pattern, accepted, refused):
    judge = Recogniser(in_gbnf(Regex(pattern)).definition)
    assert [text for text in accepted if not judge.accepts(text)] == []
    assert [text for text in refused if judge.accepts(text)] == []


def test_random_texts_of_patterns(rng: random.Random):
    alphabet = 'abcé漢😀"\\ \n_9YNyesno'
    for pattern, _, _ in PATTERNS:
        judge = Recogniser(in_gbnf(Regex(pattern)).definition)
        for _ in range(60):
            text = "".join(rng.choices(alphabet, k=rng.randrange(4)))
            assert judge.accepts(text) == bool(re.fullmatch(pattern, text)), (pattern, text)


@pytest.mark.parametrize("name", GRAMMARS)
def test_grammars(name):
    import lark

    definition, accepted, refused = GRAMMARS[name]
    judge = Recogniser(in_gbnf(CFG(definition)).definition)
    oracle = lark.Lark(definition, parser="earley")
    for text in accepted:
        oracle.parse(text)  # the examples are right
        assert judge.accepts(text), text
    for text in refused:
        with pytest.raises(lark.exceptions.LarkError):
            oracle.parse(text)
        assert not judge.accepts(text), text


@pytest.mark.parametrize("name", GRAMMARS)
def test_no_rule_begins_with_itself(name):
    judge = Recogniser(in_gbnf(CFG(GRAMMARS[name][0])).definition)
    empty = {"root"} & set()
    while True:
        more = {
            n for n, ways in judge.rules.items() if any(all(part in empty for part in way) for way in ways)
        }
        if more <= empty:
            break
        empty |= more
    begins = {name: set() for name in judge.rules}
    for rule, ways in judge.rules.items():
        for way in ways:
            for part in way:
                if not isinstance(part, str):
                    break
                begins[rule].add(part)
                if part not in empty:
                    break
    for rule in judge.rules:
        seen, todo = set(), [rule]
        while todo:
            for part in begins[todo.pop()] - seen:
                seen.add(part)
                todo.append(part)
        assert rule not in seen


@pytest.mark.parametrize("name", [*GRAMMARS, *range(len(PATTERNS))])
def test_llamacpp_reads_them(name):
    llama_cpp = pytest.importorskip(
        "llama_cpp", reason="`./run llamacpp` builds llama-cpp-python and runs this"
    )
    term = CFG(GRAMMARS[name][0]) if isinstance(name, str) else Regex(PATTERNS[name][0])
    grammar = llama_cpp.LlamaGrammar.from_string(in_gbnf(term).definition, verbose=False)
    assert grammar


def test_what_is_in_ebnf_stays_as_it_is():
    text = 'root ::= "yes" | "no"'
    term = CFG(text)
    assert in_ebnf(term) is term
    assert in_gbnf(term) is term
    assert in_ebnf(int) is int
    assert isinstance(in_ebnf(CFG('start: "a::=b"')), Ebnf)


def test_terms_that_have_a_regular_expression():
    judge = Recogniser(in_gbnf(either("yes", Regex("[0-9]")) + "!").definition)
    assert judge.accepts("yes!")
    assert judge.accepts("7!")
    assert not judge.accepts("7")


@pytest.mark.parametrize(
    ("definition", "error", "text"),
    [
        ("start: undefined", ConstraintError, "the grammar can't be read"),
        ('start: x start "a" | "b"\nx: | "x"', ConstraintError, "behind parts that may be empty"),
        ("start: A\n%declare A", ConstraintError, "declared without a pattern|can't be read"),
        ("start: A\nA: /(?=b)a/", ConstraintError, "no text matches|can't be read"),
    ],
)
def test_what_cannot_be_written_is_named(definition, error, text):
    with pytest.raises(error, match=text):
        in_gbnf(CFG(definition))


def test_size_is_limited(monkeypatch):
    monkeypatch.setattr(gbnf, "MAX_RULES", 50)
    with pytest.raises(LimitError, match="MAX_RULES"):
        in_gbnf(Regex("(a|b){60}c|a{60}d"))


def test_circles_of_any_length_are_found_without_recursion():
    from outlines.models.gbnf import _circles, _nullable

    ring = {f"r{i}": {f"r{(i + 1) % 4000}"} for i in range(4000)}
    assert _circles({**ring, "out": {"r0"}, "self": {"self", "out"}, "none": set()}) == [list(ring), ["self"]]
    rules = {**{f"r{i}": [(f"r{i + 1}", f"r{i + 1}")] for i in range(4000)}, "r4000": [("a",), ()]}
    assert _nullable(rules) == set(rules)
