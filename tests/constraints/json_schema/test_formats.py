"""Formats against jsonschema's checkers, the standard library and the official suite."""

from __future__ import annotations

import calendar
import gzip
import json
import re
import string
import unicodedata
import warnings
from collections import Counter
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from outlines.constraints.expression import EMPTY, EPSILON, matches
from outlines.constraints.json_schema.formats import ANNOTATIONS, FORMATS, format_case
from outlines.constraints.json_schema.text import dump
from outlines.engine import Constraint, Vocabulary
from outlines.exceptions import EmptyLanguageError, SchemaError
from outlines.types import JsonSchema
from tests.proof import random_walk

CHECKER = Draft202012Validator.FORMAT_CHECKER
SUITE = Path(__file__).resolve().parents[4] / "shared" / "data" / "json-schema-test-suite.json.gz"

LABEL = "a" * 63
HOST_OF_253 = f"{LABEL}.{LABEL}.{LABEL}.{'a' * 61}"

#: (accepted, rejected) texts of each format.
CASES: dict[str, tuple[list[str], list[str]]] = {
    "date": (
        ["2024-02-29", "2000-02-29", "0004-02-29", "0001-01-01", "9999-12-31", "2023-11-30"],
        ["2023-02-29", "1900-02-29", "2024-02-30", "2023-04-31", "2023-13-01", "2023-00-10", "2023-1-01", "0000-01-01",
         "2023-01-01Z", "20230101", "", "202٣-01-01"],
    ),
    "time": (
        ["00:00:00Z", "23:59:59.5+23:59", "12:34:56z", "12:34:56.000-00:00"],
        ["24:00:00Z", "12:60:00Z", "12:00:61Z", "12:34:56", "12:34Z", "12:34:56.Z", "12:34:56+24:00", "12:34:56+0100"],
    ),
    "date-time": (
        ["2024-02-29T12:34:56Z", "1985-04-12t23:20:50.52z", "1937-01-01T12:00:27.87+00:20"],
        ["2023-02-29T12:34:56Z", "2024-02-29 12:34:56Z", "2024-02-29T12:34:56", "2024-02-29"],
    ),
    "duration": (
        ["P1Y2M3DT4H5M6S", "P4W", "PT0S", "P1M", "PT1M", "P007D", "P1DT12H"],
        ["P", "PT", "P1DT", "P1W1D", "PT1.5S", "P1H", "-P1D", "p1d", "P1Y2D", "PT1H2S"],
    ),
    "email": (
        ["joe.bloggs@example.com", "a@b", "~te+st!@h-1.org", '"joe @ \\"home\\""@example.com', "a@[127.0.0.1]",
         "a@b--c", "a@[IPv6:::1]", '""@x'],
        ["joe", "@example.com", "joe@", ".a@b", "a.@b", "a..b@c", "a b@c", "a@b_c", "a@-b", "a@b-", "a@[127.0.0.256]",
         "a@b@c", "é@b"],
    ),
    "idn-email": (["δοκιμή@παράδειγμα.gr", '"é"@x', "a@b"], ["δοκιμή", "é é@x"]),
    "hostname": (
        ["localhost", "a.b-c.d1", "1.2.3.4", "xn-a", "a--b", f"{LABEL}.org", HOST_OF_253],
        ["", ".", ".a", "a..b", "-a", "a-", "a.-b", "a_b", "é", f"{LABEL}a", f"{HOST_OF_253}a", "a b", "a."],
    ),
    "ipv4": (
        ["0.0.0.0", "255.255.255.255", "1.20.199.249"],
        ["256.0.0.0", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.4/8", "1.2.3.٤", "0x1.2.3.4"],
    ),
    "ipv6": (
        ["::", "::1", "1::", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1::8", "1:2:3::7:8",
         "ABCD::abcd", "::1.2.3.4", "::ffff:1.2.3.4", "1:2:3:4:5:6:1.2.3.4", "1::5:6:1.2.3.4"],
        ["", ":", ":::", "1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "12345::", "::g", "1:2:3:4:5:6:7:8::",
         "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3", "::1.2.3.256", "::01.2.3.4", "fe80::1%eth0", "[::1]", "1.2.3.4::"],
    ),
    "uri": (
        ["https://user:pass@example.com:8080/a//b;c=1?d=e/f?#g/?h", "a:", "file:///etc", "urn:isbn:0451450523",
         "mailto:a@b.c", "http://[::1]:80/", "http://[v7.a:b]", "http://", "http://%C3%A9/", "x:/", "x:a/b"],
        ["//a", "/a", "a", "", "1a:b", "a b:c", "http://a b", "http://[1]", "http://a:b:c", "http://a/%g0", "http://é/",
         "http://a/[b]", "x:#a#b", "http://a\\b"],
    ),
    "uri-reference": (
        ["", "a", "/a", "//a/b", "?", "#", "../a:b", "a/b:c", "http://a/b?c#d", "1", "//", "@a"],
        ["\\a", "1:b", ":a", "#a#b", "a b", "%", "é", "//a:b"],
    ),
    "uri-template": (
        ["", "/a/{b}", "{+a,b*}{?c:3,d.e}", "a%20b", "{a%20}", "é"],
        ["{", "}", "{}", "{a", "{a b}", "{a:0}", "{a:10000}", "{a,}"],
    ),
    "iri": (["http://é.ø/π?ø#∂", "a:", "x:?\ue000"], ["é", "x:\ue000", "http://a b"]),
    "iri-reference": (["é", "//é", "a:b", "#ø"], ["\\é", ":é", "é é"]),
    "uuid": (
        ["2EB8AA08-aa98-11ea-b4aa-73b441d16380", "00000000-0000-0000-0000-000000000000"],
        ["2eb8aa08aa9811eab4aa73b441d16380", "2eb8aa08-aa98-11ea-b4aa-73b441d1638",
         "{2eb8aa08-aa98-11ea-b4aa-73b441d16380}",
         "geb8aa08-aa98-11ea-b4aa-73b441d16380"],
    ),
    "uuid4": (
        ["98d80576-482e-427f-8434-7f86890ab222"],
        ["98d80576-482e-127f-8434-7f86890ab222", "98d80576-482e-427f-c434-7f86890ab222"],
    ),
    "json-pointer": (
        ["", "/", "//", "/a~0b~1c/%25/\\/\"/é\n"],
        ["a", "#/a", "/~", "/~2", "/a~"],
    ),
    "relative-json-pointer": (
        ["0", "1/a", "12#", "0//", "100"],
        ["", "01", "-1", "1##", "1#/a", "/a", "1a", "1/~2", "٣"],
    ),
}  # fmt: skip

#: Texts on which the checker isn't its standard: what an e-mail address is, it leaves at "has an @".
CHECKER_IS_LOOSE = {
    ("duration", "PT1.5S"), ("duration", "-P1D"), ("duration", "P1Y2D"), ("duration", "PT1H2S"), ("hostname", "a."),
    ("uri-template", "{a,}"), ("relative-json-pointer", "٣"),
    *(("email", text) for text in CASES["email"][1] if "@" in text), ("idn-email", "é é@x"),
}  # fmt: skip
CHECKER_IS_STRICT = {("relative-json-pointer", "100")}

#: Formats on which checker and standard agree on any text, where ours must be exact.
EXACT = ("date", "time", "date-time", "ipv4", "ipv6", "uri", "uri-reference", "json-pointer")

every_format = pytest.mark.parametrize("name", FORMATS)


def checker_accepts(name, text):
    """Ask the judge, which takes any text for a format whose package is missing."""
    if name not in CHECKER.checkers:
        pytest.skip(f"jsonschema has no checker of {name} here: pip install 'jsonschema[format-nongpl]'")
    return CHECKER.conforms(text, name)


def accepts(name, text):
    case = format_case(name)
    return (case.high is None or len(text) <= case.high) and matches(case.pattern, dump(text)[1:])


@pytest.fixture(scope="module")
def bytes_vocabulary():
    return Vocabulary([*(bytes([byte]) for byte in range(256)), None], eos_token_ids=[256])


@pytest.fixture
def is_valid(bytes_vocabulary):
    """Whether the engine takes a JSON text, or a value as `json.dumps` writes it, under a schema."""

    def is_valid(schema, value=None, text=None):
        constraint = schema if isinstance(schema, Constraint) else Constraint(schema, bytes_vocabulary)
        state = constraint.start_state
        for byte in dump(value) if text is None else text.encode():
            state = constraint.next_state(state, byte)
        return constraint.is_accepting(state)

    return is_valid


def random_member(name, rng):
    """Walk the format's expression to a text, ending it one time in five where it may end."""
    expression, text = format_case(name).pattern, bytearray(b'"')
    while expression is not EPSILON:
        class_of, targets = expression.transitions()
        if expression.step(ord('"')) is EPSILON and rng.random() < 0.2:
            byte = ord('"')
        else:
            number = rng.choice([number for number, target in enumerate(targets) if target is not EMPTY])
            byte = rng.choice([byte for byte in range(256) if class_of[byte] == number])
        text.append(byte)
        expression = expression.step(byte)
    return json.loads(text.decode())


def edited(text, rng):
    """Insert, replace or delete one character."""
    at = rng.randrange(len(text) + 1)
    new = rng.choice(["", *string.digits, *string.ascii_letters, *string.punctuation])
    return text[:at] + new + text[at + rng.randrange(2) :]


# Languages


@every_format
def test_every_format_has_an_expression_whose_emptiness_needs_no_search(name):
    assert format_case(name).pattern.positive


@pytest.mark.parametrize("name", CASES)
def test_accepts_what_its_standard_accepts(name):
    accepted, rejected = CASES[name]
    assert [text for text in accepted if not accepts(name, text)] == []
    assert [text for text in rejected if accepts(name, text)] == []


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("uuid4")])
def test_cases_are_the_checkers(name):
    accepted, rejected = CASES[name]
    refused = {(name, text) for text in accepted if not checker_accepts(name, text)}
    taken = {(name, text) for text in rejected if checker_accepts(name, text)}
    assert refused <= CHECKER_IS_STRICT
    assert taken <= CHECKER_IS_LOOSE


#: What checkers refuse though its standard allows it.
MISJUDGED = {
    "iri": r".*[\U00010000-\U0010FFFF]",  # only the first plane is known
    "iri-reference": r".*[\U00010000-\U0010FFFF]",
    "uri": r"[^/]*//[^/]*\[V",  # ABNF's letters stand for both cases
    "uri-reference": r"[^/]*//[^/]*\[V",
    # no variable may begin with an encoded character, and its length has three digits at most
    "uri-template": r".*\{([^}]*,)?[+#./;?&]?%|.*:[0-9]{4}",
    "relative-json-pointer": r"[1-9][0-9]*0[0-9]",  # a leading zero is looked for before each digit
}


@every_format
def test_random_members_pass_the_checker(name, rng, budget):
    judge = "uuid" if name.startswith("uuid") else name
    members = [random_member(name, rng) for _ in range(100 * budget)]
    fit = [text for text in members if accepts(name, text)]  # a host name may be too long
    assert len(fit) > 50 * budget
    wrong = [text for text in fit if not checker_accepts(judge, text)]
    assert [text for text in wrong if name not in MISJUDGED or not re.match(MISJUDGED[name], text)] == []


@pytest.mark.parametrize("name", EXACT)
def test_edits_of_members_are_judged_as_the_checker_does(name, rng, budget):
    texts = [edited(random_member(name, rng), rng) for _ in range(300 * budget)]
    if name.startswith("uri"):
        # the checker allows leading zeros in the IPv4 of an IPv6 address
        texts = [text for text in texts if "[" not in text]
    ours = [accepts(name, text) for text in texts]
    theirs = [checker_accepts(name, text) for text in texts]
    assert [text for text, our, their in zip(texts, ours, theirs, strict=True) if our != bool(their)] == []
    assert len(set(ours)) == 2


def test_dates_are_those_of_the_calendar():
    for year in range(10_000):
        assert accepts("date", f"{year:04}-02-29") == (year > 0 and calendar.isleap(year)), year
    for year in (2023, 2024):
        for month in range(14):
            days = calendar.monthrange(year, month)[1] if 1 <= month <= 12 else 0
            accepted = [day for day in range(100) if accepts("date", f"{year}-{month:02}-{day:02}")]
            assert accepted == list(range(1, days + 1)), (year, month)


def is_known_failure(name, test):
    """What the formats leave out, as the docs say: tests/official_suite.py lists it."""
    text = test["data"]
    if name in ("time", "date-time"):
        return test["valid"] and ":60" in text  # leap seconds, which checkers refuse
    if name in ("hostname", "idn-hostname") and test["valid"]:
        return text.startswith("xn--") or ("\u200c" in text and "\u094d" not in text)
    if name == "idn-hostname":
        return len(text) in (60, 64) and "." not in text  # labels that are too long
    if name in ("regex", "ecmascript-regex"):
        return test["valid"] and text in _PATTERNS_THAT_PYTHON_READS_OTHERWISE
    return False


#: Patterns of the suite that ECMA-262 takes and Python's `re` doesn't, or that lead back to a group.
_PATTERNS_THAT_PYTHON_READS_OTHERWISE = ("(?<name>x)", "(?<n>a)\\k<n>", "(?<=a+)b", "[]", "[^]", "\\cA")


def test_the_official_suite_passes_but_for_what_is_left_out(bytes_vocabulary, is_valid):
    if not SUITE.exists():
        pytest.skip("the suite isn't here: put json-schema-test-suite.json.gz into ../shared/data")
    counts: Counter[bool] = Counter()
    wrong = []
    for group in json.loads(gzip.decompress(SUITE.read_bytes()))["groups"]:
        _, is_format, name = group["file"].removesuffix(".json").partition("/optional/format/")
        if not is_format or not isinstance(group["schema"].get("format"), str):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore" if name == "unknown" else "error")
            constraint = Constraint(group["schema"], bytes_vocabulary)
        for test in group["tests"]:
            passes = is_valid(constraint, test["data"]) == test["valid"]
            if passes == (isinstance(test["data"], str) and is_known_failure(name, test)):
                wrong.append((name, test))
            counts[passes] += 1
    assert wrong == []
    assert counts[True] > 0.95 * counts.total()


# Within a schema


def test_a_format_constrains_strings_alone(is_valid):
    assert is_valid({"format": "ipv4"}, 12)
    assert is_valid({"format": "ipv4"}, {"a": None})
    assert not is_valid({"format": "ipv4"}, "12")


def test_a_formats_characters_may_be_escaped(is_valid):
    assert is_valid({"format": "date"}, text=r'"\u0032024-02-29"')
    assert is_valid({"format": "uri"}, text=r'"http:\/\/a\/"')
    assert not is_valid({"format": "date"}, text=r'"\u0041024-02-29"')


@pytest.mark.parametrize(
    ("schema", "accepted", "rejected"),
    [
        ({"format": "hostname", "maxLength": 5}, ["a.b.c"], ["a.b.cd", "a..b"]),
        ({"format": "hostname", "minLength": 250}, [HOST_OF_253], ["a", HOST_OF_253 + "a"]),
        ({"format": "date", "pattern": "-01$"}, ["2024-02-01"], ["2024-02-02", "2023-02-29", "-01"]),
        (
            {"format": "date", "pattern": "^20", "minLength": 10, "maxLength": 12},
            ["2024-02-01"],
            ["1999-01-01"],
        ),
        ({"format": "date", "allOf": [{"format": "iri-reference"}]}, ["2024-02-01"], ["é"]),
        ({"format": "date", "enum": ["2024-02-29", "2023-02-29", 1]}, ["2024-02-29", 1], ["2023-02-29"]),
        ({"anyOf": [{"format": "date"}, {"format": "time"}]}, ["2024-02-29", "01:02:03Z"], ["a"]),
    ],
)
def test_a_format_meets_other_keywords(is_valid, schema, accepted, rejected):
    for value in accepted:
        assert is_valid(schema, value), value
    for value in rejected:
        assert not is_valid(schema, value), value


@pytest.mark.parametrize(
    "beside",
    [{"maxLength": 9}, {"minLength": 11}, {"pattern": "T"}, {"allOf": [{"format": "ipv4"}]}, {"const": "x"}],
)
def test_a_format_that_excludes_all_else_leaves_nothing(bytes_vocabulary, beside):
    with pytest.raises(EmptyLanguageError):
        Constraint({"type": "string", "format": "date", **beside}, bytes_vocabulary)


@pytest.mark.parametrize("name", sorted(ANNOTATIONS))
def test_an_annotation_allows_any_text_without_a_warning(is_valid, name):
    assert is_valid({"format": name}, 'any "text"')


def test_an_unknown_format_is_ignored_with_a_warning_that_names_its_place(is_valid):
    schema = {"type": "object", "properties": {"a/b": {"type": "string", "format": "no-such"}}}
    with pytest.warns(
        UserWarning, match=r"^/properties/a~1b/format: the format 'no-such' is not known"
    ) as warned:
        assert is_valid(schema, {"a/b": "anything"})
    assert len(warned) == 1


@pytest.mark.parametrize("name", ["regex", "idn-hostname", "hostname", "email", "iri", "uri-template", "duration"])
def test_walks_within_a_format_end_in_its_texts(bytes_vocabulary, rng, name):
    constraint = Constraint({"type": "string", "format": name}, bytes_vocabulary)
    finished = 0
    for _ in range(6):
        text, is_finished = random_walk(constraint, bytes_vocabulary, rng, "mixed", limit=40)
        if is_finished:
            finished += 1
            value = json.loads(text)
            if name == "idn-hostname" and not unicodedata.is_normalized("NFC", value):
                continue  # that isn't looked into
            assert name not in CHECKER.checkers or CHECKER.conforms(value, name), value
            if name == "regex":
                re.compile(value)
    assert finished


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["", "^a*$", "([abc])+\\s+$", "a{2}", "a{0,12}?", "[a-z]", "(?:a|b)??", "(?=a)b(?!c)", "(((a)))"], True),
        (["(", "a)", "[z-a]", "a{3,2}", "a{12,2}", "a{12,11}", "a**", "*", "\\a", "\\", "[", "(?P<n>a)", "{"], False),
    ],
)
def test_a_regex_is_a_pattern_for_both_dialects(is_valid, texts, expected):
    for text in texts:
        assert is_valid({"format": "regex"}, text) == expected, text


@pytest.mark.parametrize("name", ["hostname", "idn-hostname"])
def test_labels_of_punycode_are_never_written(is_valid, name):
    for text in ("XN--nxasmq6b", "a.xn--a", "xn--"):
        assert not is_valid({"format": name}, text)
    for text in ("xn-a", "a--b", "Example.COM", f"{LABEL}.a"):
        assert is_valid({"format": name}, text)


def test_an_unknown_format_is_an_error_where_that_is_asked_for(bytes_vocabulary):
    schema = {"items": {"format": "no-such"}}
    with pytest.raises(SchemaError, match=r"^/items/format: the format 'no-such' is not known; use `pattern`"):
        Constraint(JsonSchema(schema, unknown_formats="error"), bytes_vocabulary)


def test_formats_may_be_annotations(bytes_vocabulary, is_valid):
    schema = JsonSchema({"properties": {"a": {"format": "date"}, "b": {"format": "no-such"}}}, formats="annotate")
    assert is_valid(Constraint(schema, bytes_vocabulary), {"a": "x", "b": ""})


def test_a_format_is_a_string(bytes_vocabulary):
    with pytest.raises(SchemaError, match=r"^/format: expected the name of a format, got 3$"):
        Constraint({"format": 3}, bytes_vocabulary)
