"""Random grammars in Lark's language whose terminals collide, and texts for them; nothing of the engine's."""

from __future__ import annotations

import logging
import random

import lark

__all__ = ["ALPHABET", "lalr_parser", "near_texts", "random_grammar"]

ALPHABET = 'ab1.if( )"#\n_cAB'

_PATTERNS = [
    *('"a"', '"b"', '"ab"', '"if"', '"("', '")"', '"aa"', '"i"', '"."', '".."', '"1."', '"AB"i'),
    *("/a+/", "/[ab]+/", "/[a-z]+/", "/b*a/", "/ab?/", "/1+/", r"/1+\.1*/", '/"[^"]*"/', "/a.*?b/", "/a|ab/"),
    *(r"/#[^\n]*/", "/[ab]{2}/", "/if+/", "/(a|b)c?/", "/a(?!b)/", "/[ab]+/i", "/(ab|a)(bc)?/", "/a??b/"),
]
_IGNORED = ['" "', "/ +/", r"/#[^\n]*\n/", r"/[ \n]+/", "/_+/"]


def random_grammar(rng: random.Random) -> str:
    """Give a grammar of one to three rules over two to five terminals."""
    terminals = ["A", "B", "C", "D", "E"][: rng.randint(2, 5)]
    rules = ["start", "x", "y"][: rng.randint(1, 3)]

    def symbol() -> str:
        drawn = rng.random()
        if drawn < 0.62:
            return rng.choice(terminals)
        if drawn < 0.72:
            return rng.choice(['"a"', '"b"', '"if"', '"("', '")"'])
        return rng.choice(rules)

    def sequence(is_inner: bool = False) -> str:
        parts = []
        for _ in range(rng.randint(1, 3)):
            part, drawn = symbol(), rng.random()
            if drawn < 0.3:
                part += rng.choice("*+?")
            elif drawn < 0.36 and not is_inner:
                part = f"({sequence(True)}|{sequence(True)}){rng.choice(['', '*', '?'])}"
            parts.append(part)
        return " ".join(parts)

    lines = []
    for rule in rules:
        ways = [sequence() for _ in range(rng.randint(1, 3))] + [""] * (rng.random() < 0.1)
        lines.append(f"{rule}: " + "\n  | ".join(ways))
    for terminal in terminals:
        priority = f".{rng.randint(1, 2)}" if rng.random() < 0.15 else ""
        lines.append(f"{terminal}{priority}: {rng.choice(_PATTERNS)}")
    if rng.random() < 0.5:
        lines.append(f"%ignore {rng.choice(_IGNORED)}")
    return "\n".join(lines)


def near_texts(texts: set[str], rng: random.Random) -> set[str]:
    """Give texts, each also with a character changed and with one taken out, and some at random."""
    found = {"", *texts}
    for _ in range(20):
        found.add("".join(rng.choice("aabb1.if() #\n") for _ in range(rng.randint(1, 7))))
    for text in list(found - {""}):
        place = rng.randrange(len(text))
        found.add(text[:place] + rng.choice(ALPHABET) + text[place + 1 :])
        found.add(text[:place] + text[place + 1 :])
    return found


class _Conflicts(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += "onflict" in record.getMessage()


def lalr_parser(grammar: str) -> lark.Lark | None:
    """Give Lark's own parser, contextual lexer and LALR; None if the grammar isn't LALR or has a conflict.

    Lark settles shift/reduce conflicts by shifting, and so accepts less than the grammar says; it tells of them in its
    log alone.
    """
    conflicts = _Conflicts()
    handlers, level = lark.logger.handlers[:], lark.logger.level
    lark.logger.handlers[:] = [conflicts]
    lark.logger.setLevel(logging.DEBUG)
    try:
        parser = lark.Lark(grammar, parser="lalr", debug=True)
    except lark.exceptions.LarkError:
        return None
    finally:
        lark.logger.handlers[:] = handlers
        lark.logger.setLevel(level)
    return None if conflicts.count else parser
