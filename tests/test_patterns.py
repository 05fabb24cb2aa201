"""Realistic patterns under Llama 3's vocabulary: every walk through masks ends in text that `re.fullmatch` accepts."""

from __future__ import annotations

import random
import re
import sys

import pytest

from outlines.engine import FINISHED, Constraint
from outlines.exceptions import PatternError
from outlines.rows import unpack
from outlines.types import Regex

WALKS = 1
MAX_TOKENS = 500
HURRY = 15
CANDIDATES = 12
LEAST_FINISHED = 0.95

PATTERNS = [
    # dates and times
    r"\d{4}-\d{2}-\d{2}",
    r"(?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])",
    r"(?P<day>\d{1,2})[./](?P<month>\d{1,2})[./](?P<year>\d{4})",
    r"(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d)?(?: ?[AaPp][Mm])?",
    r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{1,2}, \d{4}",
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)",
    r"P(?=\d|T)(?:\d+Y)?(?:\d+M)?(?:\d+D)?(?:T(?=\d)(?:\d+H)?(?:\d+M)?(?:\d+S)?)?",
    # addresses
    r"[\w.+-]+@[\w-]+\.[\w.-]+",
    r"(?=.{6,254}$)[a-z0-9](?:[a-z0-9.]{0,62}[a-z0-9])?@(?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,63}",
    r"(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)",
    r"(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}",
    r"(?:[0-9A-F]{2}[:-]){5}[0-9A-F]{2}",
    r"https?://(?:www\.)?[-a-zA-Z0-9@:%._+~#=]{1,256}\.[a-zA-Z0-9()]{1,6}\b(?:[-a-zA-Z0-9()@:%_+.~#?&/=]*)",
    r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,6}",
    r"\+(?:[0-9] ?){6,14}[0-9]",
    r"\(\d{3}\) \d{3}-\d{4}(?: x\d{1,5})?",
    r"[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}",
    r"\d{5}(?:-\d{4})?",
    # numbers and codes
    r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?",
    r"\$\d{1,3}(?:,\d{3})*\.\d\d",
    r"(?:97[89]-?)?(?:\d-?){9}[\dX]",
    r"(?=(?:\D*\d){10}(?:(?:\D*\d){3})?$)[\d-]+",
    r"[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
    r"(?:4\d{3}|5[1-5]\d\d)(?:[ -]?\d{4}){3}",
    r"[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?",
    r"v?(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*)){2}(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?",
    r"#(?:[0-9a-f]{3}|[0-9a-f]{6})\b",
    r"0x[0-9A-F]{1,16}(?:[uU][lL]{0,2})?",
    r"(?i)M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})(?<=.)",
    r"(?!000|666|9\d\d)\d{3}-(?!00)\d\d-(?!0000)\d{4}",
    r"(?:[01]{8} ?){1,8}(?<! )",
    # passwords and names: lookarounds
    r"(?=.*[A-Z])(?=.*[a-z])(?=.*\d)(?=.*[^\w\s]).{8,32}",
    r"(?=[^\d]*\d)(?=[^A-Z]*[A-Z])\w{6,20}",
    r"(?!.*(?:password|secret)).{4,40}",
    r"(?!.*\.\.)(?!\.)[a-z.]{1,30}(?<!\.)",
    r"(?!admin$|root$)[a-z_][a-z0-9_-]{0,31}",
    r"\b[A-Z]\w*\b(?: \b[A-Z]\w*\b){1,3}",
    r"(?<![\w.])\d+(?![\w.])",
    r"(?:(?!--).)*",
    r"(?:(?<=^)|(?<=,))?[a-z]+(?:,[a-z]+)*",
    r"\w+(?=!)!|\w+(?=\?)\?",
    r"(?=(?:..)*$)[ab]{1,40}",
    r"\B(?:x\B)*y?\B|a\b b",
    # possessive and atomic
    r"\d++(?:\.\d++)?+",
    r'"(?>[^"\\\n]++|\\.)*"',
    r"[a-z]++(?:-[a-z]++)*+;",
    r"(?>\d{4}|[a-z]{4})-x",
    r"(?:\s*+[^\s,]++,){2,4}",
    # nested counts
    r"(?:[a-z]{2,5}\d{1,3}){2,8}",
    r"(?:(?:ab){1,3}c?){2,6}d",
    r"((a{1,30}b){1,10}c){1,5}",
    r"(?:[a-z]{1,20}[a-z ]{1,20}){1,5}\.",
    r"(?:x{3}|y{5}){4,9}",
    r"([01]{1,8}\.){3,7}[01]{1,8}",
    r"(?:\w{1,12}\s?){3,12}",
    r".*a.{40}",
    # Unicode and case
    r"[\u0430-\u044fё]{3,20}",
    r"[À-ÖØ-öø-ÿ]+",
    r"(?i)straße|\u017f|K+",
    r"[\u3040-\u30ff]{2,12}",
    r"[\U0001F600-\U0001F64F]{1,5}",
    r"[^\x00-\x7f]{1,20}",
    r"(?a)\w+\s\d+",
    r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*",
    r"(?i:yes|no)(?-i: Sir)?",
    "(?x) [a-z]+  # a name\n \\s*=\\s* \\d+",
    r"(?s).{1,30}",
    r"(?m)^\w+$(?:\n^\w+$){1,4}",
    # text of languages
    r"<(?:[a-z]+)(?:\s[a-z-]+=(?:\"[^\"]*\"|'[^']*'))*\s?/?>",
    r"\[(?:\d+(?:, ?\d+)*)?\]",
    r"(?:SELECT|select) (?:\*|\w+(?:, \w+)*) (?:FROM|from) \w+;?",
    r"def [a-z_]\w*\((?:[a-z_]\w*(?:, [a-z_]\w*)*)?\):",
    r"(?://[^\n]*\n|/\*(?:[^*]|\*(?!/))*\*/)",
    r"(?:[^,\"\n]*|\"(?:[^\"]|\"\")*\")(?:,(?:[^,\"\n]*|\"(?:[^\"]|\"\")*\")){2}",
    r"[A-Za-z_]\w*(?:\[\d+\]|\.[A-Za-z_]\w*)*",
    r"(?:[A-Z][^.!?\n]*[.!?])(?: [A-Z][^.!?\n]*[.!?]){0,3}",
    r"(?:- \[[ x]\] [^\n]{1,60}\n){1,8}",
    r"(?:Q: [^\n?]+\?\nA: (?:yes|no|maybe)\n){1,3}",
    r"[^\s]+ [^\s]+(?: [^\s]+){0,10}",
    r"(?:[A-G]#?m?(?:7|maj7)? ?){2,12}",
    r"[1-8]?[NBRQK]?[a-h]?x?[a-h][1-8](?:=[NBRQ])?[+#]?|O-O(?:-O)?",
]  # fmt: skip


def walk(constraint, vocabulary, rng):
    """Give the text of a random walk that is biased to end; None where it doesn't end in time.

    It ends half the times that it may, and from HURRY tokens on whenever it may; from there on it takes short tokens
    that leave the fewest ways to go on, as the end of a quoted text does.
    """
    state, text = constraint.start_state, b""
    for step in range(MAX_TOKENS):
        allowed = unpack(constraint.row(state))
        assert len(allowed), "a state that exists can go on"
        if constraint.is_accepting(state) and (step >= HURRY or rng.random() < 0.5):
            assert constraint.next_state(state, vocabulary.eos_token_ids[0]) == FINISHED
            return text
        token = int(allowed[rng.randrange(len(allowed))])
        if step >= HURRY:
            short = [t for t in allowed.tolist() if vocabulary.tokens[t] and len(vocabulary.tokens[t]) == 1]
            short = rng.sample(short, min(len(short), CANDIDATES)) or [token]
            after = {t: constraint.next_state(state, t) for t in short}
            ending = [t for t in short if constraint.is_accepting(after[t])]
            if ending or rng.random() < 0.5:
                token = rng.choice(ending or short)
            else:
                token = min(short, key=lambda t: len(unpack(constraint.row(after[t]))))
        state = constraint.next_state(state, token)
        assert state, "what is allowed leads on"
        if state == FINISHED:
            return text
        text += vocabulary.tokens[token]
    return None


def test_walks_end_in_text_that_fullmatch_accepts(llama3_vocabulary, seed, budget):
    finished = total = 0
    for pattern in PATTERNS:
        if sys.version_info < (3, 11) and re.search(r"\(\?>|[+?*}]\+", pattern):
            continue  # `re` had no atomic groups before
        constraint, compiled = Constraint(Regex(pattern), llama3_vocabulary), re.compile(pattern)
        rng = random.Random(f"{seed} {pattern}")
        for _ in range(WALKS * budget):
            text = walk(constraint, llama3_vocabulary, rng)
            total += 1
            if text is not None:
                finished += 1
                assert compiled.fullmatch(text.decode()), (pattern, text)
    assert finished >= LEAST_FINISHED * total, (finished, total)


@pytest.mark.parametrize(
    "pattern",
    [r"(\w+) \1", r"(?P<q>['\"]).*(?P=q)", r"(a)?b(?(1)c|d)", r"(?:a|ab)++c", r"(?>a|ab)c", r"(?<=a+)b"],
)
def test_what_is_not_regular_is_refused_at_once(pattern, llama3_vocabulary):
    with pytest.raises(PatternError, match="position"):
        Constraint(Regex(pattern), llama3_vocabulary)
