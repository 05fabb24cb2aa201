"""Reads a schema document: what each place in it says, and the value set that a formula of places denotes.

Every place that can be reached is checked when the document is read: keywords that aren't enforced are errors, never
dropped. Value sets are computed when they're first asked for, and remembered by formula; whether one has any value is
a least fixpoint over those that it needs (a recursive schema may need itself).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any
from urllib.parse import unquote

from outlines.constraints.expression import matches
from outlines.constraints.json_schema.formats import format_case
from outlines.constraints.json_schema.keywords import TYPES, check_keywords, escape_pointer, read_pattern
from outlines.constraints.json_schema.text import dump, is_text
from outlines.constraints.json_schema.value_sets import (
    ANYTHING,
    ArrayCase,
    Case,
    Formula,
    NamedCase,
    NumberCase,
    ObjectCase,
    StringCase,
    WordCase,
    is_empty_scalar,
    json_type,
    meet,
)
from outlines.exceptions import LimitError, SchemaError, UnsupportedKeywordError, shorten
from outlines.types.json_options import DEFAULTS, JsonOptions

__all__ = ["Document"]

#: Cases of one value set; a union of products past it is an error and not a long wait.
MAX_CASES = 4096


#: Characters of a JSON pointer; all pointers into a schema nested deep would take its square in memory.
MAX_POINTER_LENGTH = 65_536

#: Schemas that are the same value, nested by $ref, allOf, anyOf or oneOf; deeper is an error and no overflow.
MAX_IN_PLACE_DEPTH = 200

#: Keywords without which every type has a value.
_DEMANDING = frozenset(
    "const required minItems minLength maxLength pattern format minimum maximum exclusiveMinimum exclusiveMaximum "
    "$ref allOf anyOf oneOf".split()
)

#: An index into a list, in a JSON pointer (RFC 6901, section 4).
_INDEX = re.compile("0|[1-9][0-9]{0,9}")

#: Keywords by which several schemas describe one value: none of them alone knows all of its members.
_IN_PLACE = frozenset(("$ref", "allOf", "anyOf", "oneOf"))

#: Up to draft 7, whatever stands beside $ref is ignored.
_REFERENCE_ALONE = re.compile(r"json-schema\.org/draft-0[3-7]/")


class _CircularError(Exception):
    """The cases of a place are asked for while they are being found."""


class Document:
    """A schema document, and the value sets of formulas over its places.

    Parameters
    ----------
    schema
        The parsed schema; read, never changed, and kept.
    is_closed
        Whether objects have the members that `properties` declares and no others, where nothing is said of others.
    options
        What is taken of the schema: whether formats are asserted, and which documents it may refer to.

    Raises
    ------
    SchemaError
        If a keyword has a value that it can't have, or a reference leads nowhere; `.pointer` is its place.
    UnsupportedKeywordError
        If a place that can be reached has a keyword that isn't enforced yet.
    """

    def __init__(self, schema: Any, is_closed: bool = False, options: JsonOptions = DEFAULTS):
        self.root = schema
        self.options = options
        self._is_closed = is_closed
        dialect = schema.get("$schema") if isinstance(schema, dict) else None
        self._reference_alone = isinstance(dialect, str) and bool(_REFERENCE_ALONE.search(dialect))
        self._pointers: list[str] = []
        self._schemas: list[Any] = []
        self._numbers: dict[int, int] = {}  # of a place, by the identity of its schema object
        self._boolean: dict[bool, int] = {}
        self._targets: dict[int, int] = {}  # of a place with $ref
        self._value_sets: dict[Formula, tuple[Case, ...]] = {}
        self._own_cases: dict[int, tuple[Case, ...]] = {}
        self._inhabited: dict[Formula, bool] = {ANYTHING: True}
        self._open: set[int] = set()  # places whose cases are being found
        self._read_all(schema)
        self.start: Formula = frozenset((self.place(schema, ""),))

    # Places

    def place(self, schema: Any, pointer: str) -> int:
        """Give the number of a place; a boolean schema is one place wherever it stands."""
        if isinstance(schema, bool):
            found = self._boolean.get(schema)
            if found is None:
                found = self._boolean[schema] = self._add(schema, pointer)
            return found
        found = self._numbers.get(id(schema))
        if found is None:
            found = self._numbers[id(schema)] = self._add(schema, pointer)
        return found

    def _add(self, schema: Any, pointer: str) -> int:
        self._schemas.append(schema)
        self._pointers.append(pointer)
        return len(self._schemas) - 1

    def pointer(self, formula: Formula) -> str:
        """Give the place that a message about a formula should name."""
        return self._pointers[min(formula)] if formula else ""

    def _read_all(self, schema: Any) -> None:
        """Check every place that can be reached, in a loop, since a schema may be nested deep."""
        waiting = [(schema, "")]
        seen: set[int] = set()
        exclusive: list[int] = []
        while waiting:
            schema, pointer = waiting.pop()
            if isinstance(schema, bool):
                continue
            if not isinstance(schema, dict):
                raise SchemaError(pointer, f"a schema is an object or a boolean, got {shorten(schema)}")
            number = self.place(schema, pointer)
            if number in seen:
                continue
            seen.add(number)
            if self._reference_alone and "$ref" in schema:
                schema = {"$ref": schema["$ref"]}
                self._schemas[number] = schema
            waiting.extend(check_keywords(schema, pointer, self.options))
            if len(pointer) > MAX_POINTER_LENGTH:
                raise LimitError(
                    "MAX_POINTER_LENGTH",
                    f"{pointer[:60]}…: the schema is nested so deep that a pointer into it has more than "
                    f"{MAX_POINTER_LENGTH} characters; give its inner parts names in $defs",
                )
            if "$ref" in schema:
                target, target_pointer = self._resolve(schema["$ref"], f"{pointer}/$ref")
                waiting.append((target, target_pointer))
                self._targets[number] = self.place(target, target_pointer)
            if "oneOf" in schema:
                exclusive.append(number)
            if pointer and ("$id" in schema or isinstance(schema.get("id"), str)):
                raise UnsupportedKeywordError(f"{pointer}/$id", "an embedded resource is not supported yet")

        for number in exclusive:  # whether its branches are disjoint is known before the first mask
            self._own(number)

    def _own(self, place: int) -> tuple[Case, ...]:
        """Give the cases of one place, asked for from outside of any other."""
        try:
            return self._cases(place, ())
        except _CircularError:
            if self._open:
                raise
            raise UnsupportedKeywordError(
                self._pointers[place], "its named values are compared with a schema that leads back to them"
            ) from None

    def _resolve(self, reference: Any, pointer: str) -> tuple[Any, str]:
        """Find what a reference within the document stands for."""
        if not isinstance(reference, str):
            raise SchemaError(pointer, f"a reference is a string, got {shorten(reference)}")
        if reference != "#" and not reference.startswith("#/"):
            raise UnsupportedKeywordError(
                pointer, f"only references such as '#/$defs/name' are supported yet, got {shorten(reference)}"
            )
        schema = self.root
        for part in unquote(reference[2:]).split("/") if len(reference) > 1 else ():
            part = part.replace("~1", "/").replace("~0", "~")
            if isinstance(schema, list) and _INDEX.fullmatch(part) and int(part) < len(schema):
                schema = schema[int(part)]
            elif isinstance(schema, dict) and part in schema:
                schema = schema[part]
            else:
                raise SchemaError(pointer, f"{shorten(reference)} leads nowhere: there is no {shorten(part)}")
        return schema, unquote(reference[1:])

    # Value sets

    def value_set(self, formula: Formula) -> tuple[Case, ...]:
        """Give the cases of a formula, those that have no value left out.

        Raises
        ------
        SchemaError
            If a place refers to itself in place, so that it says nothing.
        LimitError
            If there would be more than MAX_CASES.
        """
        found = self._value_sets.get(formula)
        if found is None:
            sets = [self._own(place) for place in sorted(formula)]
            found = (
                sets[0] if len(sets) == 1 else tuple(self._meet_all(sets, formula)) if sets else _EVERYTHING
            )
            self._value_sets[formula] = found
        return found

    def _meet_all(self, sets: Iterable[Iterable[Case]], formula: Formula) -> list[Case]:
        result: list[Case] | None = None
        for cases in sets:
            result = list(cases) if result is None else self._meet_both(result, list(cases))
            if sum(not isinstance(case, NamedCase) for case in result) > MAX_CASES:
                raise LimitError(
                    "MAX_CASES", f"{self.pointer(formula)}: the alternatives multiply to more than {MAX_CASES} cases"
                )
        return list(_EVERYTHING) if result is None else result

    def _meet_both(self, left: list[Case], right: list[Case]) -> list[Case]:
        """Meet two unions; values that are named on both sides are found by what they are, not pair by pair."""
        named = {_identity(case.value) for case in right if isinstance(case, NamedCase)}
        others = [case for case in right if not isinstance(case, NamedCase)]
        result: list[Case] = []
        for case in left:
            if isinstance(case, NamedCase):
                is_in = _identity(case.value) in named or any(self._contains(other, case.value) for other in others)
                result += [case] if is_in else []
            else:
                met = (self._meet_pair(case, other) for other in right)
                result += [found for found in met if found is not None]
        return result

    def _meet_pair(self, left: Case, right: Case) -> Case | None:
        if isinstance(right, NamedCase):
            return right if self._contains(left, right.value) else None
        met = meet(left, right)
        if isinstance(met, (NumberCase, StringCase)) and is_empty_scalar(met):
            return None
        return met

    def _cases(self, place: int, chain: tuple[int, ...]) -> tuple[Case, ...]:
        """Give the cases of one place, its references and combinators included; `chain` are those it's asked for."""
        found = self._own_cases.get(place)
        if found is not None:
            return found
        schema = self._schemas[place]
        if isinstance(schema, bool):
            return _EVERYTHING if schema else ()
        if place in chain:
            raise SchemaError(
                self._pointers[place], "refers to itself in place, so it says nothing; break the circle"
            )
        if place in self._open:
            raise _CircularError
        chain = (*chain, place)
        pointer = self._pointers[place]
        if len(chain) > MAX_IN_PLACE_DEPTH:
            raise LimitError("MAX_IN_PLACE_DEPTH", f"{pointer}: schemas of one value are nested more than "
                             f"{MAX_IN_PLACE_DEPTH} deep; flatten them")  # fmt: skip
        self._open.add(place)
        try:
            found = self._own_cases[place] = self._find_cases(schema, pointer, place, chain)
        finally:
            self._open.discard(place)
        return found

    def _find_cases(self, schema: dict[str, Any], pointer: str, place: int, chain: tuple[int, ...]) -> tuple[Case, ...]:
        sets: list[Iterable[Case]] = [self._keyword_cases(schema, pointer)]
        if place in self._targets:
            sets.append(self._cases(self._targets[place], chain))
        for i, branch in enumerate(schema.get("allOf", ())):
            sets.append(self._cases(self.place(branch, f"{pointer}/allOf/{i}"), chain))
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                branches = [self.place(b, f"{pointer}/{keyword}/{i}") for i, b in enumerate(schema[keyword])]
                if keyword == "oneOf":
                    self._check_disjoint(branches, chain)
                sets.append([case for branch in branches for case in self._cases(branch, chain)])
        met = self._meet_all(sets, frozenset((place,))) if len(sets) > 1 else sets[0]
        return tuple(dict.fromkeys(met))

    def _check_disjoint(self, branches: list[int], chain: tuple[int, ...]) -> None:
        """oneOf is anyOf where no two branches share a value; else it takes a complement, which isn't there yet."""
        cases = [self._cases(branch, chain) for branch in branches]
        if self._are_told_apart(cases):
            return
        for j, right in enumerate(cases):
            for i in range(j):
                shared = self._meet_all([cases[i], right], frozenset((branches[j],)))
                if any(self._may_have_value(case) for case in shared):
                    raise UnsupportedKeywordError(
                        self._pointers[branches[j]].rpartition("/")[0],
                        f"branches {i} and {j} of `oneOf` share values, and that is not enforced yet; make them differ "
                        "(for example by a required const), or use anyOf",
                    )

    def _are_told_apart(self, branches: list[tuple[Case, ...]]) -> bool:
        """Tell at a glance that branches are of objects which one required member tells apart by its named values."""
        if not all(branches) or not all(isinstance(case, ObjectCase) for branch in branches for case in branch):
            return False
        objects = [[case for case in branch if isinstance(case, ObjectCase)] for branch in branches]
        common = frozenset.intersection(*[case.required for branch in objects for case in branch])
        return any(self._tells_apart(name, objects) for name in common)

    def _tells_apart(self, name: str, branches: list[list[ObjectCase]]) -> bool:
        seen: set[Any] = set()
        for branch in branches:
            values: set[Any] = set()
            for case in branch:
                formula = dict(case.names).get(name, case.rest)
                if not formula or not all("const" in s or "enum" in s for s in map(self._schemas.__getitem__, formula)
                                          if isinstance(s, dict)):  # fmt: skip
                    return False
                try:
                    members = self.value_set(formula)
                except _CircularError:
                    return False
                if not all(isinstance(member, NamedCase) for member in members):
                    return False
                values.update(_identity(member.value) for member in members if isinstance(member, NamedCase))
            if not seen.isdisjoint(values):
                return False
            seen |= values
        return True

    def _may_have_value(self, case: Case) -> bool:
        """Tell whether a case has a value, "yes" where that leads back to a place that is being read."""
        try:
            return self.has_value(case)
        except _CircularError:
            return True

    def _keyword_cases(self, schema: dict[str, Any], pointer: str) -> list[Case]:
        """Give the cases of a place's own keywords."""
        types = schema.get("type", TYPES)
        if isinstance(types, str):
            types = (types,)
        cases: list[Case] = []
        for name in types:
            if name == "null":
                cases.append(WordCase(b"null"))
            elif name == "boolean":
                cases += [WordCase(b"true"), WordCase(b"false")]
            elif name == "number" or (name == "integer" and "number" not in types):
                number = _number_case(schema, name == "integer")
                if not is_empty_scalar(number):
                    cases.append(number)
            elif name == "string":
                string = _string_case(schema, pointer, self.options)
                if not is_empty_scalar(string):
                    cases.append(string)
            elif name == "array":
                array = self._array_case(schema, pointer)
                if array.high is None or array.low <= array.high:
                    cases.append(array)
            elif name == "object":
                cases.append(self._object_case(schema, pointer))
        for keyword in ("enum", "const"):
            if keyword in schema:
                values = schema[keyword] if keyword == "enum" else [schema[keyword]]
                named = {json.dumps(value): NamedCase(value) for value in values}
                cases = [case for case in named.values() if any(self._contains(c, case.value) for c in cases)]
        return cases

    def _array_case(self, schema: dict[str, Any], pointer: str) -> ArrayCase:
        items = schema.get("items", True)
        keyword, rest_keyword = "prefixItems", "items"
        if isinstance(items, list):  # as up to draft 2019-09
            keyword, rest_keyword = "items", "additionalItems"
        prefix = schema.get(keyword, ())
        return ArrayCase(
            tuple(self._formula(part, f"{pointer}/{keyword}/{i}") for i, part in enumerate(prefix)),
            self._formula(schema.get(rest_keyword, True), f"{pointer}/{rest_keyword}"),
            int(schema.get("minItems", 0)),
            None if schema.get("maxItems") is None else int(schema["maxItems"]),
        )

    def _object_case(self, schema: dict[str, Any], pointer: str) -> ObjectCase:
        names = {
            name: self._formula(part, f"{pointer}/properties/{escape_pointer(name)}")
            for name, part in schema.get("properties", {}).items()
        }
        is_open = not (self._is_closed and "properties" in schema and _IN_PLACE.isdisjoint(schema))
        rest = self._formula(schema.get("additionalProperties", is_open), f"{pointer}/additionalProperties")
        required = schema.get("required", ())
        if not isinstance(required, list):  # draft 3 wrote a boolean at the property
            required = ()
        for name in (*names, *required):
            if not name.isascii() and not is_text(name):  # it can't be written
                names[name] = self._formula(False, pointer)
        return ObjectCase(tuple(names.items()), frozenset(required), rest)

    def _formula(self, schema: Any, pointer: str) -> Formula:
        if schema is True or schema == {}:
            return ANYTHING
        return frozenset((self.place(schema, pointer),))

    # Questions

    def is_inhabited(self, formula: Formula) -> bool:
        """Tell whether a formula has a value: a least fixpoint over the value sets that it needs."""
        known = self._inhabited
        found = known.get(formula)
        if found is not None:
            return found
        if len(formula) == 1 and self._is_lenient(formula):
            known[formula] = True
            return True
        needs: dict[Formula, list[tuple[Formula, ...]]] = {}
        waiting = [formula]
        while waiting:
            current = waiting.pop()
            if current in needs or current in known:
                continue
            ways = [way for case in self.value_set(current) if (way := _needs(case)) is not None]
            if any(all(known.get(need, False) for need in way) for way in ways):
                known[current] = True
                continue
            needs[current] = ways
            waiting.extend(need for way in ways for need in way)
        waves = list(reversed(needs.items()))  # what was needed first is decided last: a chain takes one wave
        changed = True
        while changed:
            changed = False
            for current, ways in waves:
                if current not in known and any(all(known.get(need, False) for need in way) for way in ways):
                    known[current] = changed = True
        for current in needs:
            known.setdefault(current, False)
        return known[formula]

    def _is_lenient(self, formula: Formula) -> bool:
        """Tell at a glance that a place has a value: no keyword but enum could leave its types without one."""
        (place,) = formula
        schema = self._schemas[place]
        if not isinstance(schema, dict) or not _DEMANDING.isdisjoint(schema):
            return False
        types, values = schema.get("type", TYPES), schema.get("enum")
        if values is None:
            return bool(types)
        return bool(values) and json_type(values[0]) in ((types,) if isinstance(types, str) else types)

    def has_value(self, case: Case) -> bool:
        """Tell whether a case has a value."""
        needs = _needs(case)
        return needs is not None and all(self.is_inhabited(formula) for formula in needs)

    def _contains(self, case: Case, value: Any) -> bool:
        """Tell whether a value that the schema names is in a case."""
        kind = json_type(value)
        if isinstance(case, NamedCase):
            return _identity(case.value) == _identity(value)
        if isinstance(case, WordCase):
            return kind in ("null", "boolean") and dump(value) == case.text
        if isinstance(case, NumberCase):
            if kind not in ("integer", "number"):
                return False
            return case.contains(exact(value))
        if isinstance(case, StringCase):
            return kind == "string" and self._contains_string(case, value)
        if isinstance(case, ArrayCase):
            return (
                kind == "array"
                and case.low <= len(value)
                and (case.high is None or len(value) <= case.high)
                and all(self._satisfies(case.element(i), part) for i, part in enumerate(value))
            )
        names = dict(case.names)
        return (
            kind == "object"
            and case.required <= value.keys()
            and all(map(is_text, value))
            and all(self._satisfies(names.get(name, case.rest), part) for name, part in value.items())
        )

    def _contains_string(self, case: StringCase, value: str) -> bool:
        if len(value) < case.low or (case.high is not None and len(value) > case.high):
            return False
        return matches(case.pattern, dump(value)[1:])

    def _satisfies(self, formula: Formula, value: Any) -> bool:
        return any(self._contains(case, value) for case in self.value_set(formula))


def _needs(case: Case) -> tuple[Formula, ...] | None:
    """Give the formulas that must have a value for a case to have one; None if it has none whatever they have."""
    if isinstance(case, ArrayCase):
        return tuple(dict.fromkeys(case.element(i) for i in range(min(case.low, len(case.prefix) + 1))))
    if isinstance(case, ObjectCase):
        return tuple(formula for name, formula in case.all_names() if name in case.required)
    return ()


_EVERYTHING: tuple[Case, ...] = (
    WordCase(b"null"),
    WordCase(b"true"),
    WordCase(b"false"),
    NumberCase(),
    StringCase(),
    ArrayCase(),
    ObjectCase(),
)


# Keywords


def exact(value: Any) -> Fraction:
    """Give the number that a schema's text says, and not the binary one nearest to it."""
    return Fraction(value) if isinstance(value, int) else Fraction(repr(value))


def _identity(value: Any) -> Any:
    """Give a key that is equal for equal JSON values: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value if isinstance(value, str) else (value,)
    if isinstance(value, (int, float)):
        return exact(value)
    if isinstance(value, list):
        return ("array", *map(_identity, value))
    return ("object", frozenset((name, _identity(part)) for name, part in value.items()))


def _number_case(schema: dict[str, Any], is_integer: bool) -> NumberCase:
    low, low_open = _bound(schema.get("minimum"), schema.get("exclusiveMinimum"), max)
    high, high_open = _bound(schema.get("maximum"), schema.get("exclusiveMaximum"), min)
    multiple = schema.get("multipleOf")
    case = NumberCase(is_integer, low, low_open, high, high_open)
    return case if multiple is None else case.meet(NumberCase(multiple=exact(multiple)))


def _bound(inclusive: Any, exclusive: Any, choose: Callable[..., Fraction]) -> tuple[Fraction | None, bool]:
    """Join both kinds of a bound; draft 4 wrote the exclusive one as a boolean."""
    if inclusive is None or isinstance(exclusive, bool):
        if inclusive is not None:
            return exact(inclusive), bool(exclusive)
        return (None, False) if exclusive is None or isinstance(exclusive, bool) else (exact(exclusive), True)
    if exclusive is None:
        return exact(inclusive), False
    closed, opened = exact(inclusive), exact(exclusive)
    return (opened, True) if choose(closed, opened) == opened else (closed, False)


def _string_case(schema: dict[str, Any], pointer: str, options: JsonOptions) -> StringCase:
    low = int(schema.get("minLength", 0))
    high = None if schema.get("maxLength") is None else int(schema["maxLength"])
    case = StringCase(low, high)
    if "pattern" in schema:
        case = case.meet(read_pattern(schema["pattern"], f"{pointer}/pattern"))
    if "format" in schema and options.formats == "assert":
        case = case.meet(format_case(schema["format"]))
    return case
