"""The cases of a schema's own keywords, type by type, without its references and combinators."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from outlines.constraints.expression import Expression, matches, union
from outlines.constraints.json_schema.arrays import ArrayCase, Kind
from outlines.constraints.json_schema.formats import format_case
from outlines.constraints.json_schema.keywords import TYPES, escape_pointer, read_name_pattern, read_pattern
from outlines.constraints.json_schema.membership import exact
from outlines.constraints.json_schema.objects import (
    ANYTHING,
    EVERY_NAME,
    NEVER,
    Formula,
    Names,
    ObjectCase,
    spellings,
)
from outlines.constraints.json_schema.text import is_text, name_text
from outlines.constraints.json_schema.value_sets import (
    Case,
    NamedCase,
    NumberCase,
    StringCase,
    WordCase,
    is_empty_scalar,
    language_of,
)
from outlines.types.json_options import JsonOptions

if TYPE_CHECKING:
    from outlines.constraints.json_schema.atoms import Spot
    from outlines.constraints.json_schema.reader import Document

__all__ = ["keyword_cases", "leave_evaluated", "with_unevaluated"]

#: Keywords by which several schemas describe one value: none of them alone knows all of its members.
_IN_PLACE = frozenset(
    "$ref $dynamicRef $recursiveRef allOf anyOf oneOf not if dependentSchemas dependencies patternProperties".split()
)


def keyword_cases(document: Document, spot: Spot) -> list[Case]:
    """Give the cases of a schema's own keywords."""
    schema = spot.schema
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
            string = _string_case(schema, spot.pointer, document.options)
            if not is_empty_scalar(string):
                cases.append(string)
        elif name == "array":
            array = _array_case(document, spot)
            if array.high is None or array.low <= array.high:
                cases.append(array)
        elif name == "object":
            cases += _object_cases(document, spot)
    if schema.get("nullable") is True and WordCase(b"null") not in cases:
        cases.append(WordCase(b"null"))
    for keyword in ("enum", "const"):
        if keyword in schema:
            values = schema[keyword] if keyword == "enum" else [schema[keyword]]
            named = [NamedCase(value) for value in {json.dumps(value): value for value in values}.values()]
            # a case of its kind keeps what the other keywords have looked at
            values = [document.algebra.spelt_out(case) for case in named] if spot.annotates else named
            cases = _first_of_each(document, ((case, other) for case in values for other in cases))
    return cases


def _first_of_each(document: Document, pairs: Any) -> list[Case]:
    """Give the meets of named values with cases, one of each value where it's certain."""
    result: list[Case] = []
    done: Any = None
    for named, case in pairs:
        if named is done:
            continue
        met = document.algebra.meet_pair(named, case)
        if met is not None:
            result.append(met)
            if met is named or not (isinstance(met, NamedCase) and met.within):
                done = named
    return result


# Scalars


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


# Arrays


def _array_case(document: Document, spot: Spot) -> ArrayCase:
    schema = spot.schema
    items = schema.get("items", True)
    keyword, rest_keyword = "prefixItems", "items"
    if isinstance(items, list):  # as up to draft 2019-09
        keyword, rest_keyword = "items", "additionalItems"
    prefix = schema.get(keyword, ())
    kinds: tuple[Kind, ...] = ()
    evaluated: frozenset[Formula] = frozenset()
    if "contains" in schema:
        low, high = int(schema.get("minContains", 1)), schema.get("maxContains")
        formula = document.formula(schema["contains"], "contains", spot)
        if low or high is not None:
            kinds = (Kind(0, formula, low, None if high is None else int(high)),)
        if spot.annotates and spot.scope.draft in (None, 2020):
            evaluated = frozenset((formula,))
    num_evaluated: int | None = 0
    if spot.annotates:
        num_evaluated = None if rest_keyword in schema else len(prefix)
    return ArrayCase(
        tuple(document.formula(part, f"{keyword}/{i}", spot) for i, part in enumerate(prefix)),
        document.formula(schema.get(rest_keyword, True), rest_keyword, spot),
        int(schema.get("minItems", 0)),
        None if schema.get("maxItems") is None else int(schema["maxItems"]),
        True if schema.get("uniqueItems") is True else None,
        kinds, num_evaluated, evaluated,
    )  # fmt: skip


# Objects


def _object_cases(document: Document, spot: Spot) -> list[Case]:
    schema = spot.schema
    names = {
        name: document.formula(part, f"properties/{escape_pointer(name)}", spot)
        for name, part in schema.get("properties", {}).items()
    }
    is_open = not (document.is_closed and "properties" in schema and _IN_PLACE.isdisjoint(schema))
    rest = document.formula(schema.get("additionalProperties", is_open), "additionalProperties", spot)
    required = schema.get("required", ())
    if not isinstance(required, list):  # draft 3 wrote a boolean at the property
        required = ()
    evaluated = _own_evaluated(schema, names, spot) if spot.annotates else None
    universals: tuple[tuple[Names, Formula], ...] = ()
    patterns = schema.get("patternProperties")
    if patterns:
        universals, rest = _patterns(document, spot, patterns, names, rest)
    if "propertyNames" in schema:
        language = _names_allowed(document, spot, schema["propertyNames"])
        if language is not None:
            names = {name: part if matches(language, name_text(name)) else NEVER for name, part in names.items()}
            universals = (*universals, (Names(frozenset((language,)), is_complement=True), NEVER))
    for name in (*names, *required):
        if not name.isascii() and not is_text(name):  # it can't be written
            names[name] = NEVER
    low = int(schema.get("minProperties", 0))
    high = None if schema.get("maxProperties") is None else int(schema["maxProperties"])
    if high is not None and max(low, len(set(required))) > high:
        return []
    return [ObjectCase(tuple(names.items()), frozenset(required), rest, universals, low, high, evaluated=evaluated)]


def _patterns(
    document: Document, spot: Spot, patterns: dict[str, Any], names: dict[str, Formula], rest: Formula
) -> tuple[tuple[tuple[Names, Formula], ...], Formula]:
    """Give the universals of patternProperties, and of other names where there are rules for them."""
    universals: list[tuple[Names, Formula]] = []
    languages = []
    for pattern, part in patterns.items():
        place = f"patternProperties/{escape_pointer(pattern)}"
        language = read_name_pattern(pattern, f"{spot.pointer}/{place}")
        formula = document.formula(part, place, spot)
        languages.append(language)
        if formula:
            universals.append((Names(frozenset((language,))), formula))
            for name in names:
                if matches(language, name_text(name)):
                    names[name] |= formula
    if rest:
        universals.append((Names(frozenset(languages), is_complement=True), rest))
    return tuple(universals), ANYTHING


def _names_allowed(document: Document, spot: Spot, schema: Any) -> Expression | None:
    """Give the language of the names that are in a schema; None if all are."""
    cases = document.value_set(document.formula(schema, "propertyNames", spot))
    languages = []
    for case in cases:
        if isinstance(case, StringCase):
            if case == StringCase():
                return None
            languages.append(language_of(case))
        elif isinstance(case, NamedCase) and isinstance(case.value, str):
            languages.append(spellings(case.value))
    return union(*languages)


# What unevaluated* asks for


def _own_evaluated(schema: dict[str, Any], names: dict[str, Formula], spot: Spot) -> Names | None:
    if "additionalProperties" in schema:
        return EVERY_NAME
    patterns = [read_name_pattern(p, spot.pointer) for p in schema.get("patternProperties", ())]
    return Names(frozenset(patterns), frozenset(names)) if names or patterns else None


def with_unevaluated(document: Document, spot: Spot, cases: list[Case]) -> list[Case]:
    """Give the cases in which what no keyword has looked at is in unevaluatedProperties and unevaluatedItems."""
    schema = spot.schema
    if "unevaluatedProperties" in schema:
        formula = document.formula(schema["unevaluatedProperties"], "unevaluatedProperties", spot)
        cases = [_unevaluated_members(c, formula) if isinstance(c, ObjectCase) else c for c in cases]
    if "unevaluatedItems" in schema:
        formula = document.formula(schema["unevaluatedItems"], "unevaluatedItems", spot)
        cases = [_unevaluated_items(document, c, formula) if isinstance(c, ArrayCase) else c for c in cases]
    return cases


def _unevaluated_members(case: ObjectCase, formula: Formula) -> ObjectCase:
    looked_at = Names() if case.evaluated is None else case.evaluated
    if looked_at == EVERY_NAME:
        return case
    names = tuple((name, part if looked_at.holds(name) else part | formula) for name, part in case.names)
    if not looked_at.parts and looked_at.words <= case.by_name.keys():  # all others are looked at here first
        return replace(case, names=names, rest=case.rest | formula, evaluated=EVERY_NAME)
    universals = (*case.universals, (looked_at.complement(), formula)) if formula else case.universals
    return replace(case, names=names, universals=universals, evaluated=EVERY_NAME)


def _unevaluated_items(document: Document, case: ArrayCase, formula: Formula) -> ArrayCase:
    first = case.num_evaluated
    if first is None:
        return case
    formula = document.either((formula, *case.evaluated))
    length = max(len(case.prefix), first)
    prefix = tuple(case.element(i) if i < first else case.element(i) | formula for i in range(length))
    return replace(case, prefix=prefix, rest=case.rest | formula, num_evaluated=None)


def leave_evaluated(cases: list[Case]) -> list[Case]:
    """Give cases without what their keywords have looked at, for those that don't ask."""
    return [
        replace(case, evaluated=None)
        if isinstance(case, ObjectCase)
        else replace(case, num_evaluated=0, evaluated=frozenset())
        if isinstance(case, ArrayCase)
        else case
        for case in cases
    ]
