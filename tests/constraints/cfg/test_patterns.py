"""A terminal's scan matches what `re.match` does."""

from __future__ import annotations

import re

import pytest

from outlines.constraints.cfg.patterns import Scan, scan_of
from outlines.constraints.expression import EMPTY
from outlines.exceptions import LimitError, PatternError

PATTERNS = [
    *(
        "a|ab",
        "ab|a",
        "a*?b",
        "(a|ab)(c|bcd)?",
        '".*?"',
        r"/\*(.|\n)*?\*/",
        r'"(?!"").*?(?<!\\)(\\\\)*?"',
        "a??b",
    ),
    *(
        "(ab|a)(bc)?",
        "a{2,4}?b*",
        "(a*)*b?c",
        "(?i:ab|A)",
        r"[^\W\d]\w*",
        "é+|éa",
        "(?s:a.)+?b",
        "(a|b)*?(ab|c)",
    ),
    *(
        r"(?i:0|[1-9][\d_]*)",
        r"a(?!b)",
        r"(a|b)(?!ab)",
        r"[ab]+(?<=b)c?",
        r'".*?(?<!\\)"',
        "a{3}|a",
        "(a?)(a?)ab",
    ),
]


def matched(pattern, text):
    """Give how many bytes of the text match; None for none."""
    scan, data, length = scan_of(pattern), text.encode(), None
    for place, byte in enumerate(data, start=1):
        scan = scan.step(byte)
        if scan is EMPTY:
            break
        if scan.nullable:
            broken = any(begins_with(part, data[place:]) for part in scan.owed)
            length = None if broken else place
    return length


def begins_with(expression, data):
    for byte in data:
        expression = expression.step(byte)
        if expression.nullable:
            return True
    return False


@pytest.mark.parametrize("pattern", PATTERNS)
def test_match_is_that_of_re(pattern, rng):
    found = 0
    for _ in range(400):
        alphabet = rng.choice(['aabbccdd"\\*/ éA_01', "/**/a\n", "/*", '""\\\\a', "ab"])
        text = "".join(rng.choice(alphabet) for _ in range(rng.randint(1, 9)))
        match = re.match(pattern, text)
        expected = len(match.group().encode()) if match and match.group() else None
        assert matched(pattern, text) == expected, text
        found += expected is not None
    assert found


def test_scans_are_few():
    scans, stack = set(), [scan_of(r'".*?(?<!\\)(\\\\)*?"')]
    while stack:
        scan = stack.pop()
        if scan not in scans:
            scans.add(scan)
            stack += [target for target in scan.transitions()[1] if isinstance(target, Scan)]
    assert len(scans) < 40


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        (r"(a)\1", "not regular"),
        (r"(?<=x)a", "lookbehind"),
        (r"\ba", "lookbehind|lookahead"),
        (r"a(?=b)", "lookahead that asks for a character"),
        (r"a+(?!b)", "lookahead that makes a match shorter"),
        (r"(?:ab(?!c)|a)", "makes a match shorter"),
    ],
)
def test_what_is_not_supported_says_so(pattern, problem):
    with pytest.raises(PatternError, match=problem):
        scan_of(pattern)


def test_counts_have_a_limit():
    with pytest.raises(LimitError, match="MAX_PATTERN_STEPS"):
        scan_of("(?:a{1,300}b){1,300}")
