"""The oracle: the language of a constraint, told again slowly and simply, for tests to compare with.

It shares no code and no idea with the engine. A text is read one byte at a time by a nondeterministic
machine. A state is a set of stacks of items, what must still be written, and an item is one of these:

    bytes       written as they are
    Text        characters that a list of character machines accepts, as raw UTF-8 or with the escapes of JSON
    Number      digits whose value lies between two bounds
    Rule        replaced by one of its alternatives (a schema's value, the rest of an object or of an array)

A stack is kept only while every item on it can be completed, so a state is live exactly when it has a stack
left. Combinators of JSON Schema are resolved by carrying all the schemas that a value must satisfy.
What it doesn't know it refuses with NotImplementedError.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any, NamedTuple
from urllib.parse import unquote

import jsonschema
import numpy as np

try:
    from re import _parser as sre  # type: ignore[attr-defined]  # Python 3.11 and later
except ImportError:
    import sre_parse as sre

__all__ = ["JsonSchema", "Machine", "Regex", "oracle_row"]

WORD_BITS = 32
LAST = 0x10FFFF
CHARACTERS = ((0, 0xD7FF), (0xE000, LAST))  # every code point that UTF-8 can spell: all but the surrogates

Ranges = tuple[tuple[int, int], ...]


# ---- Machines: stacks of items, stepped a byte at a time ---------------------------------------------------


class Machine:
    """Nondeterministic machine over bytes: `start`, `step`, `is_live` and `is_accepting`.

    Parameters
    ----------
    items
        What must be written, in this order.
    """

    def __init__(self, items: Iterable[Any]):
        self._possible: dict[Any, bool] = {}
        self._steps: dict[tuple[frozenset, int], frozenset] = {}
        self.start = frozenset(self._settle(_push(tuple(items), ())))

    def step(self, state: frozenset, byte: int) -> frozenset:
        """Give the state after one more byte."""
        if (state, byte) not in self._steps:
            after = (stack for top in state if top for stack in self._write(top, byte))
            self._steps[state, byte] = frozenset(after)
        return self._steps[state, byte]

    def read(self, text: bytes, state: frozenset | None = None) -> frozenset:
        """Give the state after `text`, from `state` or from the start."""
        state = self.start if state is None else state
        for byte in text:
            state = self.step(state, byte)
        return state

    def is_live(self, state: frozenset) -> bool:
        """Tell whether some completion exists."""
        return bool(state)

    def is_accepting(self, state: frozenset) -> bool:
        """Tell whether the text may end here."""
        return () in state

    def accepts(self, text: bytes) -> bool:
        """Tell whether the whole of `text` is in the language."""
        return self.is_accepting(self.read(text))

    def _write(self, stack: tuple, byte: int) -> Iterator[tuple]:
        item, rest = stack
        if isinstance(item, bytes):
            if item[0] == byte:
                yield from self._settle(_push((item[1:],), rest))
        else:
            item = item.step(byte)
            if item is not None and item.is_live:
                yield from self._settle((item, rest))

    def _settle(self, stack: tuple) -> Iterator[tuple]:
        """Replace rules on top of a stack until a byte can be written; leave out what can't be completed."""
        todo = [stack]
        while todo:
            stack = todo.pop()
            if not stack or isinstance(stack[0], bytes):
                yield stack
                continue
            item, rest = stack
            if isinstance(item, Rule):
                todo += [_push(way, rest) for way in item.alternatives() if all(map(self._is_possible, way))]
            elif item.is_live:
                yield stack
                if item.is_nullable:
                    todo.append(rest)

    def _is_possible(self, item: Any) -> bool:
        """Tell whether some text completes an item: the least fixpoint over all rules that it can reach."""
        if not isinstance(item, Rule):
            return bool(isinstance(item, bytes) or item.is_live)
        if item not in self._possible:
            ways: dict[Any, list[tuple]] = {}
            todo = [item]
            while todo:
                rule = todo.pop()
                if rule not in ways:
                    ways[rule] = list(rule.alternatives())
                    todo += [part for way in ways[rule] for part in way if isinstance(part, Rule)]
            found: set[Any] = set()

            def holds(part: Any) -> bool:
                return part in found if isinstance(part, Rule) else self._is_possible(part)

            grew = True
            while grew:
                new = {
                    rule for rule in ways.keys() - found if any(all(map(holds, way)) for way in ways[rule])
                }
                found |= new
                grew = bool(new)
            self._possible.update({rule: rule in found for rule in ways})
        return self._possible[item]


def _push(items: tuple, stack: tuple) -> tuple:
    for item in reversed(items):
        if item != b"":
            stack = (item, stack)
    return stack


class Rule:
    """An item that is replaced by one of its alternatives; equal rules have equal alternatives."""

    def alternatives(self) -> Iterator[tuple]:
        raise NotImplementedError


# ---- Characters: what single machines over code points accept ----------------------------------------------


class Node(NamedTuple):
    """A node of a pattern: go to `after` over a character in `ranges`, or freely, or where `anchor` holds."""

    ranges: Ranges | None
    anchor: str | None
    after: tuple[int, ...]


class Pattern:
    """Character machine of a regular expression, read from the parse tree of the standard library.

    Parameters
    ----------
    pattern
        The expression.
    ecma
        Read as JSON Schema does: found anywhere in the text, the classes of ECMA-262. Else as `re.fullmatch`.
    """

    def __init__(self, pattern: str, ecma: bool = False):
        self.ecma = ecma
        self.nodes: list[Node] = []
        tree = sre.parse(pattern)
        if tree.state.flags & ~int(re.UNICODE):
            raise NotImplementedError(f"flags of {pattern!r}")
        anything = [(sre.MAX_REPEAT, (0, sre.MAXREPEAT, [(sre.IN, [(sre.RANGE, (0, LAST))])]))]
        self.final = self._node(None, ())
        self.first = self._sequence([*anything, *tree, *anything] if ecma else list(tree), self.final)
        self.start = (True, frozenset([(self.first, None)]))

    def cuts(self) -> set[int]:
        """Give code points such that those between two neighbours are all treated alike."""
        return {cut for node in self.nodes for low, high in node.ranges or () for cut in (low, high + 1)}

    def step(self, state: tuple[bool, frozenset], character: int) -> tuple[bool, frozenset] | None:
        at_start, places = state
        after = set()
        for i, left in self._reach(places, at_start, at_end=False):
            if _within(character, self.nodes[i].ranges) and (left is None or (left == 1 and character == 10)):
                after |= {(j, None if left is None else 0) for j in self.nodes[i].after}
        return (False, frozenset(after)) if after else None

    def accepts(self, state: tuple[bool, frozenset]) -> bool:
        at_start, places = state
        return any(i == self.final and left != 1 for i, left in self._reach(places, at_start, at_end=True))

    def _reach(self, places: frozenset, at_start: bool, at_end: bool) -> set[tuple[int, int | None]]:
        """Give the places that can be reached without a character.

        A place is a node and the newlines that must still come before the end, None where anything may come:
        Python's `$` also stands before a newline that ends the text.
        """
        seen: set[tuple[int, int | None]] = set()
        todo = list(places)
        while todo:
            i, left = place = todo.pop()
            node = self.nodes[i]
            if place in seen:
                continue
            seen.add(place)
            if node.ranges is not None:
                continue
            if node.anchor is None or (at_start if node.anchor == "start" else at_end):
                todo += [(j, left) for j in node.after]
            if node.anchor == "before last newline" and left != 0:
                todo += [(j, 1) for j in node.after]
        return seen

    def _node(self, ranges: Ranges | None, after: tuple[int, ...], anchor: str | None = None) -> int:
        self.nodes.append(Node(ranges, anchor, after))
        return len(self.nodes) - 1

    def _sequence(self, tree: Iterable[tuple], after: int) -> int:
        """Build the nodes of a sequence that goes on to node `after`, and give the node that begins it."""
        for op, value in reversed(list(tree)):
            after = self._part(op, value, after)
        return after

    def _part(self, op: Any, value: Any, after: int) -> int:
        if op in (sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN):
            return self._node(self._ranges(op, value), (after,))
        if op is sre.BRANCH:
            return self._node(None, tuple(self._sequence(branch, after) for branch in value[1]))
        if op is sre.SUBPATTERN and not value[1] and not value[2]:
            return self._sequence(value[3], after)
        if op in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            least, most, body = value
            if most is sre.MAXREPEAT:
                loop = self._node(None, ())
                self.nodes[loop] = Node(None, None, (self._sequence(body, loop), after))
                after = loop
            else:
                end = after
                for _ in range(most - least):
                    after = self._node(None, (self._sequence(body, after), end))
            for _ in range(least):
                after = self._sequence(body, after)
            return after
        if op is sre.AT and value in (sre.AT_BEGINNING, sre.AT_BEGINNING_STRING):
            return self._node(None, (after,), "start")
        if op is sre.AT and value in (sre.AT_END, sre.AT_END_STRING):
            is_strict = self.ecma or value is sre.AT_END_STRING
            return self._node(None, (after,), "end" if is_strict else "before last newline")
        raise NotImplementedError(f"{op} {value}")

    def _ranges(self, op: Any, value: Any) -> Ranges:
        if op is sre.LITERAL:
            return ((value, value),)
        if op is sre.NOT_LITERAL:
            return _complement(((value, value),))
        if op is sre.ANY:
            return _complement(((10, 10), (13, 13), (0x2028, 0x2029)) if self.ecma else ((10, 10),))
        negated = value[0][0] is sre.NEGATE
        found: list[tuple[int, int]] = []
        for op, inner in value[negated:]:
            if op is sre.LITERAL:
                found.append((inner, inner))
            elif op is sre.RANGE:
                found.append(inner)
            elif op is sre.CATEGORY:
                found += _category(str(inner), self.ecma)
            else:
                raise NotImplementedError(f"{op} in a class")
        return _complement(tuple(found)) if negated else tuple(found)


# ECMA-262: digits and word characters are ASCII's; white space counts line ends and the byte order mark in
ECMA_CLASSES = {
    "DIGIT": "[0-9]",
    "WORD": "[0-9A-Za-z_]",
    "SPACE": "[\t-\r \xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]",
}


@functools.cache
def _category(name: str, ecma: bool) -> Ranges:
    kind = name.rsplit("_", 1)[1]
    if ecma:
        is_member = re.compile(ECMA_CLASSES[kind]).match
    else:
        is_member = re.compile({"DIGIT": r"\d", "SPACE": r"\s", "WORD": r"\w"}[kind]).match
    members = [c for c in range(LAST + 1) if is_member(chr(c))]
    starts = [c for i, c in enumerate(members) if not i or members[i - 1] != c - 1]
    ends = [c for i, c in enumerate(members) if i + 1 == len(members) or members[i + 1] != c + 1]
    ranges = tuple(zip(starts, ends, strict=True))
    return _complement(ranges) if "NOT" in name else ranges


def _complement(ranges: Ranges) -> Ranges:
    found, low = [], 0
    for start, end in sorted(ranges):
        if low < start:
            found.append((low, start - 1))
        low = max(low, end + 1)
    return (*found, (low, LAST)) if low <= LAST else tuple(found)


def _within(character: int, ranges: Ranges | None) -> bool:
    return ranges is not None and any(low <= character <= high for low, high in ranges)


class Length(NamedTuple):
    """Character machine that counts code points; the count stops where more makes no difference."""

    least: int
    most: int | None

    @property
    def start(self) -> int:
        return 0

    def cuts(self) -> set[int]:
        return set()

    def step(self, count: int, character: int) -> int | None:
        if self.most is None:
            return min(count + 1, self.least)
        return count + 1 if count < self.most else None

    def accepts(self, count: int) -> bool:
        return count >= self.least


class Excluding(NamedTuple):
    """Character machine that accepts every text but the `names`; None once no name can come of it."""

    names: tuple[str, ...]

    @property
    def start(self) -> str:
        return ""

    def cuts(self) -> set[int]:
        return {cut for name in self.names for c in name for cut in (ord(c), ord(c) + 1)}

    def step(self, begun: str, character: int) -> str:
        begun += chr(character)
        return begun if any(name.startswith(begun) for name in self.names) else "\ud800"

    def accepts(self, begun: str) -> bool:
        return begun not in self.names


# ---- Text: characters as bytes -----------------------------------------------------------------------------


class Language:
    """The texts that several character machines all accept, and how their characters are spelt.

    Parameters
    ----------
    machines
        Character machines; a text must satisfy each.
    in_json
        Spell characters as within a JSON string (without its quotes), else as raw UTF-8.
    """

    def __init__(self, machines: Iterable[Any], in_json: bool):
        self.machines = tuple(machines)
        self.in_json = in_json
        self.start = tuple(machine.start for machine in self.machines)
        cuts = {0, 0xD800, 0xE000, LAST + 1}.union(*(machine.cuts() for machine in self.machines))
        self.cuts = sorted(cut for cut in cuts if cut <= LAST + 1)
        self._live: dict[tuple, bool] = {}
        self.after_any = functools.cache(self._after_any)

    def step(self, state: tuple, character: int) -> tuple | None:
        after = tuple(m.step(s, character) for m, s in zip(self.machines, state, strict=True))
        return None if None in after else after

    def accepts(self, state: tuple) -> bool:
        return all(m.accepts(s) for m, s in zip(self.machines, state, strict=True))

    def _after_any(self, state: tuple, ranges: Ranges) -> set[tuple]:
        """Give the states after one character out of `ranges`: one is tried between each two cuts."""
        tried = {max(cut, low) for low, high in ranges for cut in (low, *self.cuts) if cut <= high}
        tried = {c for c in tried if not 0xD800 <= c <= 0xDFFF}
        return {after for c in tried if (after := self.step(state, c)) is not None}

    def is_live(self, state: tuple) -> bool:
        """Search ahead for an accepting state; what a search in vain has seen is dead."""
        seen, todo = {state}, [state]
        while todo:
            state = todo.pop()
            if self._live.get(state) or self.accepts(state):
                self._live[state] = True
                return True
            for after in self.after_any(state, CHARACTERS) - seen:
                if self._live.get(after) is not False:
                    seen.add(after)
                    todo.append(after)
        self._live.update(dict.fromkeys(seen, False))
        return False


class Text(NamedTuple):
    """Item: the rest of a text of a language; `pending` are the bytes of an incomplete character."""

    language: Language
    state: tuple
    pending: bytes = b""

    @property
    def is_nullable(self) -> bool:
        return not self.pending and self.language.accepts(self.state)

    @property
    def is_live(self) -> bool:
        if not self.pending:
            return self.language.is_live(self.state)
        ranges = _characters(self.pending, self.language.in_json)[0]
        return any(map(self.language.is_live, self.language.after_any(self.state, ranges)))

    def step(self, byte: int) -> Text | None:
        pending = self.pending + bytes([byte])
        ranges, is_complete = _characters(pending, self.language.in_json)
        if not ranges:
            return None
        if not is_complete:
            return self._replace(pending=pending)
        state = self.language.step(self.state, ranges[0][0])
        return None if state is None else Text(self.language, state)


def text(machines: Iterable[Any], in_json: bool) -> Text:
    language = Language(machines, in_json)
    return Text(language, language.start)


ESCAPES = dict(zip(b'"\\/bfnrt', b'"\\/\b\f\n\r\t', strict=True))


@functools.cache
def _characters(pending: bytes, in_json: bool) -> tuple[Ranges, bool]:
    """Give the code points that a character begun with these bytes may be, and whether it's complete."""
    if in_json and pending[0] == ord("\\"):
        return _escaped(pending)
    if in_json and (pending[0] < 0x20 or pending[0] == ord('"')):
        return (), False
    lead = pending[0]
    if lead < 0x80:
        return ((lead, lead),), True
    for size, first, least, most in (
        (2, 0xC0, 0x80, 0x7FF),
        (3, 0xE0, 0x800, 0xFFFF),
        (4, 0xF0, 0x10000, LAST),
    ):
        if first <= lead < first + (0x80 >> size) and all(0x80 <= byte < 0xC0 for byte in pending[1:]):
            value = lead - first
            for byte in pending[1:]:
                value = value << 6 | byte & 0x3F
            unknown = 6 * (size - len(pending))
            low, high = value << unknown, (value + 1 << unknown) - 1
            ranges = _both(((max(low, least), min(high, most)),), CHARACTERS)
            return ranges, unknown == 0
    return (), False


def _escaped(pending: bytes) -> tuple[Ranges, bool]:
    if len(pending) == 1:
        return CHARACTERS, False
    if pending[1] in ESCAPES:
        return ((ESCAPES[pending[1]],) * 2,), True
    match = re.fullmatch(rb"\\u([0-9a-fA-F]{0,4})(?:(?<=\\u....)(\\(?:u([0-9a-fA-F]{0,4}))?))?", pending)
    if not match:
        return (), False
    low, high = _hexadecimal(match[1])
    if not match[2]:
        pairs = ((max(low, 0xD800) - 0xD800 << 10) + 0x10000, ((min(high, 0xDBFF) - 0xD800) << 10) + 0x103FF)
        ranges = _both(((low, high),), CHARACTERS) + ((pairs,) if pairs[0] <= pairs[1] else ())
        return ranges, low == high and not 0xD800 <= low <= 0xDBFF
    if not 0xD800 <= low <= 0xDBFF:
        return (), False
    second, last = _hexadecimal(match[3] or b"")
    base = (low - 0xD800 << 10) + 0x10000
    pairs = base + max(second, 0xDC00) - 0xDC00, base + min(last, 0xDFFF) - 0xDC00
    return ((pairs,) if pairs[0] <= pairs[1] else ()), second == last


def _hexadecimal(digits: bytes) -> tuple[int, int]:
    unknown = 4 * (4 - len(digits))
    value = int(digits or b"0", 16)
    return value << unknown, (value + 1 << unknown) - 1


def _both(one: Ranges, other: Ranges) -> Ranges:
    pairs = ((max(a, c), min(b, d)) for a, b in one for c, d in other)
    return tuple((low, high) for low, high in pairs if low <= high)


# ---- Numbers between bounds --------------------------------------------------------------------------------


class Bounds(NamedTuple):
    """Lowest and highest value (None: no limit), and whether each is left out."""

    low: Fraction | None = None
    high: Fraction | None = None
    without_low: bool = False
    without_high: bool = False

    def meet(
        self, low: Fraction | None, high: Fraction | None, without_low: bool, without_high: bool
    ) -> Bounds:
        """Give the bounds that hold where these and those hold."""
        if low is None or (self.low is not None and (self.low, self.without_low) >= (low, without_low)):
            low, without_low = self.low, self.without_low
        if high is None or (
            self.high is not None and (-self.high, self.without_high) >= (-high, without_high)
        ):
            high, without_high = self.high, self.without_high
        return Bounds(low, high, without_low, without_high)

    @property
    def hold_a_decimal(self) -> bool:
        """Whether some decimal fraction lies between; the bounds are decimal fractions themselves."""
        if self.low is None or self.high is None or self.low < self.high:
            return True
        return self.low == self.high and not (self.without_low or self.without_high)

    @property
    def hold_an_integer(self) -> bool:
        if self.low is None or self.high is None:
            return True
        low = math.floor(self.low) + 1 if self.without_low else math.ceil(self.low)
        high = math.ceil(self.high) - 1 if self.without_high else math.floor(self.high)
        return low <= high


class Number(NamedTuple):
    """Item: a number without exponent whose value lies within bounds; `begun` is what is written of it."""

    bounds: Bounds
    is_integer: bool
    begun: str = ""

    @property
    def is_nullable(self) -> bool:
        form = r"-?(0|[1-9][0-9]*)" if self.is_integer else r"-?(0|[1-9][0-9]*)(\.[0-9]+)?"
        if not re.fullmatch(form, self.begun):
            return False
        value = Fraction(self.begun)
        return self.bounds.meet(value, value, False, False).hold_a_decimal

    @property
    def is_live(self) -> bool:
        form = r"-?(0|[1-9][0-9]*)?" if self.is_integer else r"-?((0|[1-9][0-9]*)(\.[0-9]*)?)?"
        if not re.fullmatch(form, self.begun):
            return False
        if not self.begun:
            return self._holds(self.bounds)
        return any(self._holds(self._between(low, high)) for low, high in self._sizes(self.begun.lstrip("-")))

    def step(self, byte: int) -> Number | None:
        return self._replace(begun=self.begun + chr(byte)) if chr(byte) in "-.0123456789" else None

    def _holds(self, bounds: Bounds) -> bool:
        return bounds.hold_an_integer if self.is_integer else bounds.hold_a_decimal

    def _between(self, low: Fraction, high: Fraction | None) -> Bounds:
        """Give the bounds of the values v with low <= v < high, or of -v after a minus sign."""
        if self.begun.startswith("-"):
            return self.bounds.meet(None if high is None else -high, -low, True, False)
        return self.bounds.meet(low, high, False, True)

    def _sizes(self, digits: str) -> Iterator[tuple[Fraction, Fraction | None]]:
        """Give intervals [low, high) whose union is the sizes of the numbers that begin with `digits`."""
        whole, _, decimals = digits.partition(".")
        if not digits:
            yield Fraction(0), None
        elif "." in digits or whole == "0":
            # "0" can't grow to the left; for an integer it is 0 alone, the only one in [0, 1)
            yield (
                Fraction(whole + "." + (decimals or "0")),
                Fraction(int(whole + decimals) + 1, 10 ** len(decimals)),
            )
        else:
            reach = max((abs(bound) for bound in self.bounds[:2] if bound is not None), default=Fraction(0))
            low, high = Fraction(whole), Fraction(int(whole) + 1)
            while True:  # longer numbers are larger; beyond both bounds one more can't be better than this
                yield low, high
                if low > reach:
                    return
                low, high = 10 * low, 10 * high


# ---- JSON Schema -------------------------------------------------------------------------------------------

TYPES = ("null", "boolean", "number", "string", "array", "object")
COMBINATORS = {"$ref", "allOf", "anyOf"}
ASSERTIONS = {
    *("type", "enum", "const", "properties", "required", "additionalProperties", "items", "prefixItems"),
    *("minItems", "maxItems", "minLength", "maxLength", "pattern"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
}
ANNOTATIONS = {
    *("$schema", "$defs", "definitions", "$comment"),
    *("title", "description", "default", "examples", "deprecated"),
}
INTEGER = r"-?(0|[1-9][0-9]*)"
NUMBER = INTEGER + r"(\.[0-9]+)?([eE][+-]?[0-9]+)?"

Schemas = tuple[str, ...]  # JSON text of schemas, all of which a value must satisfy


def spell(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


class JsonSchema(Machine):
    """Machine of the JSON texts that satisfy a schema, with its members in declared order.

    Parameters
    ----------
    schema
        A schema of draft 2020-12 that keeps to the everyday core; `$ref` only as "#/...".
    whitespace_pattern
        What may stand where white space may stand: after `{`, after `[`, around `:`, around `,` in an object
        and after it in an array, before `}` and before `]`; once in an empty object or array.
    """

    def __init__(self, schema: dict | bool, whitespace_pattern: str = "[ ]?"):
        self.schema = schema
        self.judge = jsonschema.Draft202012Validator(schema)
        self.space = text([Pattern(whitespace_pattern)], in_json=False)
        self.integer = text([Pattern(INTEGER)], in_json=False)
        self.number = text([Pattern(NUMBER)], in_json=False)
        self.single = functools.cache(self._single)
        super().__init__([Value(self, (json.dumps(schema),))])

    def _single(self, schemas: Schemas) -> list[list[dict]]:
        """Replace combinators: give the ways to satisfy `schemas`, each a list of schemas without any."""
        ways: list[list[dict]] = []
        todo: list[tuple[Schemas, tuple[dict, ...], Schemas]] = [(schemas, (), ())]
        while todo:
            (left, done, seen) = todo.pop()
            if not left:
                ways.append(list(done))
                continue
            first, rest = left[0], left[1:]
            schema = json.loads(first)
            if schema is False:
                continue
            if schema is True or first in seen:
                todo.append((rest, done, seen))
                continue
            if unknown := schema.keys() - COMBINATORS - ASSERTIONS - ANNOTATIONS:
                raise NotImplementedError(f"keywords {sorted(unknown)}")
            own = {key: value for key, value in schema.items() if key in ASSERTIONS}
            both = [self.target(schema["$ref"])] if "$ref" in schema else []
            both += schema.get("allOf", [])
            for branch in schema.get("anyOf", [True]):
                parts = tuple(json.dumps(part) for part in [*both, branch])
                todo.append((parts + rest, (*done, own), (*seen, first)))
        return ways

    def target(self, reference: str) -> dict | bool:
        """Give the schema at "#/...", a JSON pointer."""
        if reference != "#" and not reference.startswith("#/"):
            raise NotImplementedError(f"$ref {reference!r}")
        schema: Any = self.schema
        for part in reference.split("/")[1:]:
            part = unquote(part).replace("~1", "/").replace("~0", "~")
            schema = schema[int(part)] if isinstance(schema, list) else schema[part]
        return schema

    def is_valid(self, value: Any, schemas: Iterable[dict]) -> bool:
        """Tell whether a value satisfies each of some schemas, by the word of `jsonschema`."""
        return not any(error for schema in schemas for error in self.judge.descend(value, schema))

    def key(self, name: str) -> tuple:
        """Give the items of a member's name and of the colon after it."""
        return (spell(name), self.space, b":", self.space)

    def constant(self, value: Any) -> tuple:
        """Give the items of a value that is spelt in one way, but for white space."""
        if isinstance(value, dict):
            members = [self.key(name) + self.constant(member) for name, member in value.items()]
            return self._enclose(b"{", members, (self.space, b",", self.space), b"}")
        if isinstance(value, list):
            return self._enclose(
                b"[", [self.constant(element) for element in value], (b",", self.space), b"]"
            )
        return (spell(value),)

    def _enclose(self, begin: bytes, parts: list[tuple], between: tuple, end: bytes) -> tuple:
        inside = sum((between + part for part in parts), ())[len(between) :]
        return (begin, self.space, *inside, *((self.space,) if parts else ()), end)


class SchemaRule(Rule):
    """A rule that is known by its class and its values; `machine` holds what all rules share."""

    def __init__(self, machine: JsonSchema, *values: Any):
        self.machine, self.values = machine, values
        self._hash = hash((type(self), values))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.values == other.values


class Value(SchemaRule):
    """A value that satisfies each of `schemas`."""

    def alternatives(self) -> Iterator[tuple]:
        (schemas,) = self.values
        for way in self.machine.single(schemas):
            choices = [
                schema.get("enum", [schema.get("const")])
                for schema in way
                if schema.keys() & {"enum", "const"}
            ]
            if choices:
                yield from (
                    self.machine.constant(value) for value in choices[0] if self.machine.is_valid(value, way)
                )
            else:
                for name in TYPES:
                    if all(_has_type(name, schema) for schema in way):
                        yield from getattr(self, "_" + name)(way)

    def _null(self, way: list[dict]) -> Iterator[tuple]:
        yield (b"null",)

    def _boolean(self, way: list[dict]) -> Iterator[tuple]:
        yield (b"true",)
        yield (b"false",)

    def _number(self, way: list[dict]) -> Iterator[tuple]:
        is_integer = not all(_has_type("fraction", schema) for schema in way)
        bounds = Bounds()
        for schema in way:
            at_least, at_most, above, below = (
                Fraction(repr(schema[key])) if key in schema else None
                for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
            )
            bounds = bounds.meet(at_least, at_most, False, False).meet(above, below, True, True)
        if bounds == Bounds():
            yield (self.machine.integer if is_integer else self.machine.number,)
        else:
            yield (Number(bounds, is_integer),)

    def _string(self, way: list[dict]) -> Iterator[tuple]:
        least, most = _counts(way, "minLength", "maxLength")
        patterns = tuple(dict.fromkeys(schema["pattern"] for schema in way if "pattern" in schema))
        yield (b'"', _string_text(least, most, patterns), b'"')

    def _array(self, way: list[dict]) -> Iterator[tuple]:
        least, most = _counts(way, "minItems", "maxItems")
        prefix = max(len(schema.get("prefixItems", [])) for schema in way) if way else 0
        items = []
        for i in range(prefix + 1):
            lists = [(schema.get("prefixItems", []), schema.get("items", True)) for schema in way]
            items.append(tuple(json.dumps(first[i] if i < len(first) else rest) for first, rest in lists))
        yield (b"[", self.machine.space, Elements(self.machine, tuple(items), least, most, 0))

    def _object(self, way: list[dict]) -> Iterator[tuple]:
        required = [name for schema in way for name in schema.get("required", [])]
        names = tuple(
            dict.fromkeys([*(name for schema in way for name in schema.get("properties", {})), *required])
        )
        members = tuple((name, name in required, _member(way, name)) for name in names)
        yield (b"{", self.machine.space, Members(self.machine, members, _member(way, None), 0, True))


class Elements(SchemaRule):
    """The rest of an array from element `i` on; `items`: a place for each prefix item, one for the rest."""

    def alternatives(self) -> Iterator[tuple]:
        items, least, most, i = self.values
        space = self.machine.space
        if i >= least:
            yield (space, b"]") if i else (b"]",)
        if most is None or i < most:
            # Places that differ in nothing are one place, so that there are finitely many
            after = i + 1 if most is not None else min(i + 1, max(least, len(items) - 1, 1))
            value = Value(self.machine, items[min(i, len(items) - 1)])
            yield (*((b",", space) if i else ()), value, Elements(self.machine, items, least, most, after))


class Members(SchemaRule):
    """The rest of an object from declared member `i` on: these come in order, then additional ones."""

    def alternatives(self) -> Iterator[tuple]:
        members, additional, i, is_first = self.values
        space = self.machine.space
        comma = () if is_first else (space, b",", space)
        for j in range(i, len(members)):
            name, is_required, schemas = members[j]
            yield (*comma, *self.machine.key(name), Value(self.machine, schemas), self._from(j + 1))
            if is_required:
                return
        key = _key_text(tuple(name for name, _, _ in members))
        value = Value(self.machine, additional)
        yield (*comma, b'"', key, b'"', space, b":", space, value, self._from(len(members)))
        yield (b"}",) if is_first else (space, b"}")

    def _from(self, i: int) -> Members:
        members, additional, _, _ = self.values
        return Members(self.machine, members, additional, i, False)


def _has_type(name: str, schema: dict) -> bool:
    """Tell whether a schema lets a type pass; "fraction" stands for a number that is no integer."""
    types = schema.get("type", ["number", *TYPES])
    types = [types] if isinstance(types, str) else types
    if name == "fraction":
        return "number" in types
    return name in types or (name == "number" and "integer" in types)


def _counts(way: list[dict], least: str, most: str) -> tuple[int, int | None]:
    return (
        max((schema.get(least, 0) for schema in way), default=0),
        min((schema[most] for schema in way if most in schema), default=None),
    )


def _member(way: list[dict], name: str | None) -> Schemas:
    """Give the schemas of a member; None is a name that none declares."""
    return tuple(
        json.dumps(schema.get("properties", {}).get(name, schema.get("additionalProperties", True)))
        for schema in way
    )


@functools.cache
def _string_text(least: int, most: int | None, patterns: tuple[str, ...]) -> Text:
    return text([Length(least, most), *(Pattern(pattern, ecma=True) for pattern in patterns)], in_json=True)


@functools.cache
def _key_text(names: tuple[str, ...]) -> Text:
    return text([Excluding(names)], in_json=True)


# ---- Regular expressions, and rows -------------------------------------------------------------------------


class Regex(Machine):
    """Machine of the texts that `re.fullmatch` takes, in UTF-8.

    Parameters
    ----------
    pattern
        Without back-references, lookarounds, word boundaries and flags.
    """

    def __init__(self, pattern: str):
        super().__init__([text([Pattern(pattern)], in_json=False)])


def oracle_row(
    machine: Machine, state: frozenset, tokens: list[bytes | None], eos_ids: Iterable[int]
) -> np.ndarray:
    """Compute the packed token mask of a state: an int32 array of ceil(len(tokens) / 32) words.

    Token t is bit t % 32 of word t // 32. It is allowed where the state after its bytes is live; an end of
    sequence where the state is accepting; a token without bytes never.
    """
    words = np.zeros(-(-len(tokens) // WORD_BITS), dtype=np.uint32)
    eos_ids = set(eos_ids)
    for t, token in enumerate(tokens):
        if t in eos_ids:
            is_allowed = machine.is_accepting(state)
        else:
            is_allowed = bool(token and machine.is_live(machine.read(token, state)))
        words[t // WORD_BITS] |= np.uint32(is_allowed << t % WORD_BITS)
    return words.view(np.int32)
