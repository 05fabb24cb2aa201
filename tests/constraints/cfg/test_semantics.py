"""Which texts are in a grammar: cases that a simpler lexer would get wrong, depth, ambiguity, limits, errors."""

from __future__ import annotations

import lark
import pytest

from outlines.automaton import END, Automaton
from outlines.constraints.cfg import grammar_symbols
from outlines.exceptions import ConstraintError, EmptyLanguageError, GrammarError, LimitError

NAMES = "NAME: /[a-z]+/\n%ignore ' '".replace("'", '"')

# (name, grammar, accepted, rejected); Lark's own parser, contextual and LALR, must say the same
CASES = [
    (
        "a number and a range",
        'start: (INT | FLOAT) (".." (INT | FLOAT))?\nINT: /[0-9]+/\nFLOAT: /[0-9]+\\.[0-9]+/',
        ["1", "1..2", "1.5..2", "1..2.5"],
        ["1.5.2", "1..", ".1", "1.", "1...2"],
    ),
    (
        "keywords are no names where they may come",
        f'start: "if" NAME "then" NAME | NAME\n{NAMES}',
        ["if a then b", "iffy", "if iff then thenn", "thenn", "then"],
        ["if", "if athen b"],
    ),
    (
        "keywords are names where only names may come",
        f'start: "select" NAME "from" NAME\n{NAMES}',
        ["select select from from", "selecta from b"],
        ["select afrom b", "from a from b"],
    ),
    ("case", f'start: "if"i NAME\n{NAMES}', ["IF a", "iF if", "ifa"], ["if", "fi a"]),
    ("greedy to a dead end", 'start: A "b"\nA: /[ab]+c?/\nB: "b"', [], ["ab", "aab"]),
    ("priority", 'start: A | B\nA.1: "a"\nB: /[ab]+/', ["a", "b", "bb", "ba"], ["ab", "aa"]),
    ("the first alternative", "start: A B?\nA: /a|ab/\nB: /b/", ["a", "ab"], ["abb"]),
    ("lazy", "start: C+\nC: /<.*?>/", ["<>", "<a><b>"], ["<a>b>", "<a"]),
    (
        "comments end",
        'start: "a"+\nC: /#[^\\n]*/\n%ignore C\n%ignore "\\n"',
        ["a#b", "#\na", "a#\n\n#"],
        ["#a", "#"],
    ),
    (
        "escaped strings",
        "start: ESCAPED_STRING+\n%import common.ESCAPED_STRING",
        ['"a\\"b"', '"""\\\\"'],
        ['"\\"', '"'],
    ),
    ("templates", 'start: list{"a"}\nlist{x}: "[" x ("," x)* "]"', ["[a]", "[a,a]"], ["[]", "[a,]"]),
    ("repetition", 'start: "a"~2..3 "b"~2', ["aabb", "aaabb"], ["abb", "aaaabb", "aab"]),
    ("ranges", 'start: A+\nA: "a".."c" | "0".."1"', ["a0", "bc1"], ["d", "2"]),
    (
        "left recursion through an empty rule",
        'start: x start "a" | "b"\nx: "c"?',
        ["b", "ba", "cba", "baa"],
        ["a", "cb"],
    ),
    ("a rule is put in another's place", 'start: a\na: "x"\n%override a: "y"', ["y"], ["x"]),
    ("a rule is extended", 'start: a\na: "x"\n%extend a: "y"', ["x", "y"], ["xy"]),
    ("alias, ?rule, !rule, _rule", '?start: a -> b\n!a: "x" _c\n_c: "y" | ', ["x", "xy"], ["y"]),
    (
        "terminals made of terminals",
        'start: N\nN: D+ (DOT D+)?\nD: /[0-9]/\nDOT: "."',
        ["1", "1.5"],
        ["1.", ".5"],
    ),
    ("beyond ASCII", 'start: /[é-ü]+/ "🙂"', ["éü🙂"], ["e🙂", "é"]),
]


def accepts(automaton, text):
    return END in automaton.run(automaton.start, text.encode())


@pytest.mark.parametrize(("name", "grammar", "accepted", "rejected"), CASES, ids=[case[0] for case in CASES])
def test_texts_of_a_grammar(name, grammar, accepted, rejected):
    try:
        automaton = Automaton(grammar_symbols(grammar))
    except EmptyLanguageError:
        assert not accepted
        return
    assert [text for text in accepted if not accepts(automaton, text)] == []
    assert [text for text in rejected if accepts(automaton, text)] == []


@pytest.mark.parametrize(("name", "grammar", "accepted", "rejected"), CASES, ids=[case[0] for case in CASES])
def test_lark_says_the_same(name, grammar, accepted, rejected):
    parser = lark.Lark(grammar, parser="lalr" if "empty rule" not in name else "earley")
    for text in accepted:
        parser.parse(text)
    for text in rejected:
        with pytest.raises(lark.exceptions.UnexpectedInput):
            parser.parse(text)


def test_lexers_differ_as_they_should():
    grammar = f'start: NAME "in" NAME | NAME "." NAME\n{NAMES}'
    texts = [
        "a in b",
        "ain b",
        "in.in",
        "a inb",
    ]  # where "in" must follow, only Lark's basic lexer reads `inb`
    verdicts = {
        lexer: [accepts(Automaton(grammar_symbols(grammar, lexer=lexer)), text) for text in texts]
        for lexer in ("contextual", "basic", "free")
    }
    assert verdicts == {
        "contextual": [True, False, True, True],
        "basic": [True, False, False, False],
        "free": [True, False, True, True],
    }


def test_a_grammar_names_its_lexer():
    grammar = f'// lexer: basic\nstart: NAME "in" NAME | NAME\n{NAMES}'
    assert not accepts(Automaton(grammar_symbols(grammar)), "in in in")
    assert accepts(Automaton(grammar_symbols(grammar, lexer="free")), "in in in")


EXPRESSIONS = 'start: e\ne: e "+" e | e "*" e | "n" | "(" e ")"'


@pytest.mark.parametrize(
    ("grammar", "text"),
    [
        ('start: s\ns: s s | "a"', "a" * 10_000),
        ('start: s\ns: s s s | "a"', "a" * 10_001),
        ('start: s\ns: s s s | s s s s | s "b" | "a"', "ab" * 5_000),
        (EXPRESSIONS, "n+" * 5_000 + "n"),
        (EXPRESSIONS, "(" * 10_000 + "n" + ")" * 10_000),
        ('start: p\np: "(" p ")" "x" | "(" p ")" "y" | "z"', "(" * 3_000 + "z" + ")x)y" * 1_500),
        ('start: "a" start |', "a" * 10_000),
        ("start: [A] [B] [C] [D] [E] [F] [G] [H] [I] [J] [K] [L] [M] [N]\n"
         + "\n".join(f'{c.upper()}: "{c}"' for c in "abcdefghijklmn"), "acegikm"),
        ('start: ("x" "y")~0..300', "xy" * 300),
    ],
    ids=["s s", "s s s", "s s s and more", "operators", "nesting", "2^n stacks", "right", "optionals", "counts"],
)  # fmt: skip
def test_no_blow_up(grammar, text):
    automaton = Automaton(grammar_symbols(grammar))
    threads, most = automaton.start, 0
    for byte in text.encode():
        threads = automaton.step(threads, byte)
        assert threads
        most = max(most, len(threads))
    assert END in threads
    assert most <= 2
    assert len(automaton.symbols) <= 6 * len(text) + 100


def test_powers_are_the_same_language():
    """`s: s s s | "a"` is rewritten; Earley reads it as it stands."""
    grammar = 'start: s\ns: s s s | s s s s s s | s "b" | "a" | "(" s ")"'
    automaton, parser = Automaton(grammar_symbols(grammar)), lark.Lark(grammar, parser="earley")

    def parses(text):
        try:
            parser.parse(text)
        except lark.exceptions.UnexpectedInput:
            return False
        return True

    texts = ["a" * n for n in range(1, 12)] + [
        "aba",
        "abaa",
        "aab",
        "(a)aa",
        "(aa)",
        "(aaa)ab",
        "b",
        "aaba(a)b",
        "a(a)",
    ]
    assert [accepts(automaton, text) for text in texts] == [parses(text) for text in texts]


# (grammar, words of the error, line, column)
ERRORS = [
    ('start: "a"\n  | b', "b", 2, 5),
    ('start "a"', "colon", 1, 7),
    ("start: A\nA: /(a)\\1/", "terminal A.*not regular", 1, 8),
    ("start: A\n%declare A", "terminal A is declared", 1, 8),
    ('start: "a"\nstart: "b"', "more than once", 1, 1),
    ("start: /a*/", "zero-width", None, None),
    ("start: x\n%import nowhere.X", "isn't there: nowhere", None, None),
    ('start: "a"~5..2', "Bad Range", None, None),
    ('start: "a"\n  | %json {"type": 3}', "%json: /type", 2, 5),
    ('start: %json {"a" 1}', "%json: Expecting ':'", 1, 19),
    ("start: %regex /(/", "%regex: position 0", 1, 8),
    ("start: %lark {\nstart: b\n}", "%lark: .*'b' used but not defined", 2, 8),
    ('start: %lark { "a"', "never closed", 1, 8),
    ("start: x\nx{t}: t", '"x" is used', 1, 8),
    ('// lexer: best\nstart: "a"', "the lexer is 'best'", 1, None),
]


@pytest.mark.parametrize(("grammar", "words", "line", "column"), ERRORS)
def test_errors_name_the_place(grammar, words, line, column):
    with pytest.raises(GrammarError, match=words) as raised:
        grammar_symbols(grammar)
    assert (raised.value.line, raised.value.column) == (line, column)


@pytest.mark.parametrize(
    "grammar",
    ['start: "a" start', 'start: A "a"\nA: /a+/', 'start: A B\nA.1: /[ab]+/\nB: "b"', "start: %json false"],
)
def test_a_grammar_without_a_text_is_an_error(grammar):
    with pytest.raises(ConstraintError, match=r"no text|satisf"):
        grammar_symbols(grammar)


def test_limits_name_the_rule():
    with pytest.raises(LimitError, match=r'rule "many".*MAX_STATES'):
        grammar_symbols('start: many\nmany: ("a" | "b")* "a" ("a" | "b")~16')


def test_long_repetitions_need_no_limit():
    automaton = Automaton(grammar_symbols('start: ("a" "b")~5000'))
    assert accepts(automaton, "ab" * 5000)
    assert not accepts(automaton, "ab" * 4999)


def test_options_are_checked():
    with pytest.raises(ValueError, match="lexer is 'x'"):
        grammar_symbols('start: "a"', lexer="x")
    with pytest.raises(ValueError, match="syntax is 'x'"):
        grammar_symbols('start: "a"', syntax="x")
