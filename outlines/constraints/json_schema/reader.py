"""Reads a schema document: what each place in it says, and the value set that a formula of places denotes.

Every place that can be reached is checked when the document is read: keywords that aren't enforced are errors, never
dropped. Value sets are computed when they're first asked for, and remembered by formula; whether one has any value is
a least fixpoint over those that it needs (a recursive schema may need itself).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from outlines.constraints.json_schema.array_states import ArrayStates
from outlines.constraints.json_schema.arrays import ArrayCase
from outlines.constraints.json_schema.atoms import Atom, Constant, Either, Negation, Spot
from outlines.constraints.json_schema.combinators import EVERYTHING, Algebra, CircularError
from outlines.constraints.json_schema.emptiness import Emptiness
from outlines.constraints.json_schema.in_place import InPlace
from outlines.constraints.json_schema.keywords import (
    TYPES,
    check_keywords,
    effective,
    escape_pointer,
    warn_of_ignored,
)
from outlines.constraints.json_schema.membership import exact, identity
from outlines.constraints.json_schema.object_states import ObjectStates
from outlines.constraints.json_schema.references import Scope, Scopes
from outlines.constraints.json_schema.value_sets import (
    ANYTHING,
    NEVER,
    Case,
    Formula,
    NamedCase,
    ObjectCase,
    json_type,
)
from outlines.exceptions import LimitError, SchemaError, UnsupportedKeywordError, shorten
from outlines.types.json_options import DEFAULTS, JsonOptions

__all__ = ["Document", "exact"]

#: Characters of a JSON pointer; all pointers into a schema nested deep would take its square in memory.
MAX_POINTER_LENGTH = 65_536

#: Schemas that are the same value, nested by $ref, allOf, anyOf or oneOf; deeper is an error and no overflow.
MAX_IN_PLACE_DEPTH = 200

#: Value sets that one schema may need.
MAX_VALUE_SETS = 200_000

#: Keywords without which every type has a value.
_DEMANDING = frozenset(
    "const required minItems minLength maxLength pattern format minimum maximum exclusiveMinimum exclusiveMaximum "
    "$ref $dynamicRef $recursiveRef allOf anyOf oneOf not if minProperties maxProperties contains uniqueItems "
    "multipleOf dependentRequired dependentSchemas dependencies".split()
)

#: Keywords whose cases are found before the first mask, since they may hit a limit.
_EAGER = ("oneOf", "not", "if", "dependentRequired", "dependentSchemas", "dependencies", "unevaluatedItems",
          "unevaluatedProperties", "propertyNames")  # fmt: skip

_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


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
        self.is_closed = is_closed
        self.algebra = Algebra(self)
        self._emptiness = Emptiness(self)
        self._scopes = Scopes(schema, options.registry)
        self._atoms: list[Atom] = []
        self._numbers: dict[Any, int] = {}  # of an atom, by what it is
        self._targets: dict[int, list[tuple[Any, str, Scope]]] = {}  # of a place with references
        self._value_sets: dict[Formula, tuple[Case, ...]] = {}
        self._own_cases: dict[int, tuple[Case, ...]] = {}
        self._open: set[int] = set()  # places whose cases are being found
        self.place(False, "", self._scopes.start)
        self._read_all(schema)
        start = self.place(schema, "", self._scopes.start)
        self.start: Formula = ANYTHING if schema is True else frozenset((start,))

    def release(self) -> None:
        """Forget what leads back here, once nobody will ask again."""
        self._emptiness.release()
        self.algebra.release()

    # Atoms and formulas

    def place(self, schema: Any, pointer: str, scope: Scope, annotates: bool = False) -> int:
        """Give the number of a place; a boolean schema is one place wherever it stands."""
        if isinstance(schema, bool):
            key: Any = schema
        else:
            if isinstance(schema, dict) and ("$id" in schema or "id" in schema):
                scope = self._scopes.enter(scope, schema)
            key = (id(schema), scope.number, annotates) if annotates or scope.number else id(schema)
        found = self._numbers.get(key)
        if found is None:
            if isinstance(schema, dict):
                whole, schema = schema, effective(schema, scope.draft, scope.asserts)
                if schema is not whole and not annotates:
                    warn_of_ignored(whole, schema, pointer, scope.draft)
            found = self._number(key, Spot(schema, pointer, scope, annotates))
        return found

    def _number(self, key: Any, atom: Atom) -> int:
        found = self._numbers.get(key)
        if found is None:
            found = self._numbers[key] = len(self._atoms)
            self._atoms.append(atom)
            if found > MAX_VALUE_SETS:
                raise LimitError("MAX_VALUE_SETS", f"the schema needs more than {MAX_VALUE_SETS} value sets")
        return found

    def formula(self, schema: Any, keywords: str, spot: Spot) -> Formula:
        """Give the formula of a schema within another one's keyword."""
        if schema is True or schema == {}:
            return ANYTHING
        if schema is False:
            return NEVER
        return frozenset((self.place(schema, f"{spot.pointer}/{keywords}", spot.scope),))

    def constant(self, value: Any) -> Formula:
        """Give the formula of one value."""
        return frozenset((self._number(("constant", identity(value)), Constant(value)),))

    def negate(self, formula: Formula) -> Formula:
        """Give the formula of the values that aren't in another."""
        if not formula:
            return NEVER
        if formula >= NEVER:
            return ANYTHING
        if len(formula) == 1:
            atom = self._atoms[next(iter(formula))]
            if isinstance(atom, Negation):
                return atom.formula
        return frozenset((self._number(("not", formula), Negation(formula)),))

    def either(self, formulas: Iterable[Formula]) -> Formula:
        """Give the formula of the values that are in one of some others."""
        distinct = tuple(formula for formula in dict.fromkeys(formulas) if not formula >= NEVER)
        if ANYTHING in distinct:
            return ANYTHING
        if len(distinct) < 2:
            return distinct[0] if distinct else NEVER
        return frozenset((self._number(("or", frozenset(distinct)), Either(distinct)),))

    def pointer(self, formula: Formula) -> str:
        """Give the place that a message about a formula should name."""
        for number in sorted(formula):
            atom = self._atoms[number]
            if isinstance(atom, Spot):
                return atom.pointer
            if isinstance(atom, Negation):
                return self.pointer(atom.formula)
        return ""

    def may_be_named(self, formula: Formula) -> bool:
        """Tell whether some schema of a formula names its values."""
        for number in formula:
            atom = self._atoms[number]
            if isinstance(atom, Constant):
                return True
            if isinstance(atom, Spot) and isinstance(atom.schema, dict):
                if "const" in atom.schema or "enum" in atom.schema:
                    return True
                if not _DEMANDING.isdisjoint(atom.schema) and not _IN_PLACE.isdisjoint(atom.schema):
                    return True
        return False

    # Reading

    def _read_all(self, schema: Any) -> None:
        """Check every place that can be reached, in a loop, since a schema may be nested deep."""
        waiting: list[tuple[Any, str, Scope]] = [(schema, "", self._scopes.start)]
        seen: set[int] = set()
        eager: list[int] = []
        num_patterns = 0
        while waiting:
            schema, pointer, scope = waiting.pop()
            if isinstance(schema, bool):
                continue
            if not isinstance(schema, dict):
                raise SchemaError(pointer, f"a schema is an object or a boolean, got {shorten(schema)}")
            number = self.place(schema, pointer, scope)
            if number in seen:
                continue
            seen.add(number)
            spot = self._atoms[number]
            assert isinstance(spot, Spot)
            schema, scope = spot.schema, spot.scope
            waiting.extend([(part, place, scope) for part, place in check_keywords(schema, pointer, self.options)])
            if len(pointer) > MAX_POINTER_LENGTH:
                raise LimitError(
                    "MAX_POINTER_LENGTH",
                    f"{pointer[:60]}…: the schema is nested so deep that a pointer into it has more than "
                    f"{MAX_POINTER_LENGTH} characters; give its inner parts names in $defs",
                )
            if "$ref" in schema or "$dynamicRef" in schema or "$recursiveRef" in schema:
                waiting.extend(self._find_targets(number, spot))
            if any(keyword in schema for keyword in _EAGER):
                eager.append(number)
            num_patterns += len(schema.get("patternProperties", ()))
        for number in eager:
            self._own(number)
        self.may_multiply = len(eager) > 1 or num_patterns > 3

    def _find_targets(self, number: int, spot: Spot) -> list[tuple[Any, str, Scope]]:
        """Give what the references of a place stand for."""
        found = self._targets.get(number)
        if found is None:
            found = []
            schema, pointer, scopes = spot.schema, spot.pointer, self._scopes
            if "$ref" in schema:
                found.append(scopes.resolve(schema["$ref"], spot.scope, f"{pointer}/$ref"))
            if "$dynamicRef" in schema:
                found.append(scopes.resolve_dynamic(schema["$dynamicRef"], spot.scope, f"{pointer}/$dynamicRef"))
            if "$recursiveRef" in schema:
                found.append(scopes.resolve_recursive(spot.scope, f"{pointer}/$recursiveRef"))
            self._targets[number] = found
        return found

    # Value sets

    def value_set(self, formula: Formula) -> tuple[Case, ...]:
        """Give the cases of a formula; some of them may have no value.

        Raises
        ------
        SchemaError
            If a place refers to itself in place, so that it says nothing.
        LimitError
            If there would be too many.
        """
        found = self._value_sets.get(formula)
        if found is None:
            sets = [self._own(number) for number in sorted(formula)]
            if len(sets) == 1:
                found = sets[0]
            elif sets:
                found = tuple(dict.fromkeys(self.algebra.meet_all(sets, lambda: self.pointer(formula))))
            else:
                found = EVERYTHING
            self._value_sets[formula] = found
        return found

    def _own(self, number: int) -> tuple[Case, ...]:
        """Give the cases of one atom, asked for from outside of any other."""
        found = self._own_cases.get(number)
        if found is not None:
            return found
        try:
            for deeper in self._deepest_first(number):
                self._cases(deeper, ())
            return self._cases(number, ())
        except CircularError:
            if self._open:
                raise
            raise UnsupportedKeywordError(
                self.pointer(frozenset((number,))), "what it allows depends on itself through a complement or its names"
            ) from None

    def _deepest_first(self, number: int) -> list[int]:
        """Give the places of the same value below one, so that they're found without recursion; none if they circle."""
        order: list[int] = []
        seen = {number}
        stack = [(number, iter(self._same_value(number)))]
        above = {number}
        while stack:
            at, below = stack[-1]
            child = next(below, None)
            if child is None:
                above.discard(at)
                order.append(at)
                stack.pop()
            elif child in above:
                return []
            elif child not in seen and child not in self._own_cases:
                seen.add(child)
                above.add(child)
                stack.append((child, iter(self._same_value(child))))
                self._check_depth(child, len(stack))
        return order[:-1]

    def _same_value(self, number: int) -> list[int]:
        """Give the places that speak of the same value: what a place refers to, joins, negates or depends on."""
        spot = self._atoms[number]
        if not isinstance(spot, Spot) or not isinstance(spot.schema, dict) or _IN_PLACE.isdisjoint(spot.schema):
            return []
        schema, annotates = spot.schema, spot.annotates or not _ASKING.isdisjoint(spot.schema)
        found = [self.place(*target, annotates) for target in self._find_targets(number, spot)]
        for keyword in _IN_PLACE.intersection(schema).difference(_REFERENCES):
            part, pointer = schema[keyword], f"{spot.pointer}/{keyword}"
            if isinstance(part, list):
                below = [(branch, f"{pointer}/{i}") for i, branch in enumerate(part)]
            elif keyword in ("dependentSchemas", "dependencies"):
                below = [(branch, f"{pointer}/{escape_pointer(name)}") for name, branch in part.items()]
            else:
                below = [(part, pointer)]
            for branch, place in below:
                if isinstance(branch, dict | bool):
                    if keyword in ("not", "if") or not annotates:
                        found.append(self.place(branch, place, spot.scope))
                    if keyword != "not" and annotates:
                        found.append(self.place(branch, place, spot.scope, True))
        return found

    def _check_depth(self, number: int, depth: int) -> None:
        if depth > MAX_IN_PLACE_DEPTH:
            raise LimitError(
                "MAX_IN_PLACE_DEPTH",
                f"{self.pointer(frozenset((number,)))}: schemas of one value are nested more than "
                f"{MAX_IN_PLACE_DEPTH} deep; flatten them",
            )

    def _cases(self, number: int, chain: tuple[int, ...]) -> tuple[Case, ...]:
        """Give the cases of one atom, its references and combinators included; `chain` are those it's asked for."""
        found = self._own_cases.get(number)
        if found is not None:
            return found
        atom = self._atoms[number]
        if isinstance(atom, Spot) and isinstance(atom.schema, bool):
            return EVERYTHING if atom.schema else ()
        if number in chain:
            raise SchemaError(
                self.pointer(frozenset((number,))), "refers to itself in place, so it says nothing; break the circle"
            )
        if number in self._open:
            raise CircularError
        chain = (*chain, number)
        self._check_depth(number, len(chain))
        self._open.add(number)
        try:
            found = self._own_cases[number] = tuple(dict.fromkeys(self._find_cases(number, atom, chain)))
        finally:
            self._open.discard(number)
        return found

    def _find_cases(self, number: int, atom: Atom, chain: tuple[int, ...]) -> Sequence[Case]:
        if isinstance(atom, Spot):
            return InPlace(self, number, atom, chain).cases()
        if isinstance(atom, Constant):
            named = NamedCase(atom.value)
            return [self.algebra.constant(atom.value) if isinstance(atom.value, list | dict) else named]
        if isinstance(atom, Negation):
            formula = atom.formula
            return self.algebra.complement(self.value_set(formula), lambda: self.pointer(formula))
        return [case for formula in atom.formulas for case in self.value_set(formula)]

    def cases_in_place(self, schema: Any, keywords: str, spot: Spot, chain: tuple[int, ...]) -> tuple[Case, ...]:
        """Give the cases of a schema that says something of the same value as another."""
        return self._cases(self.place(schema, f"{spot.pointer}/{keywords}", spot.scope, spot.annotates), chain)

    def target_cases(self, number: int, spot: Spot, chain: tuple[int, ...]) -> list[tuple[Case, ...]]:
        """Give the cases of what a place refers to."""
        targets = self._find_targets(number, spot)
        return [self._cases(self.place(*target, spot.annotates), chain) for target in targets]

    # Questions

    def is_inhabited(self, formula: Formula) -> bool:
        """Tell whether a formula has a value: a least fixpoint over the value sets that it needs."""
        return self._emptiness.is_inhabited(formula)

    def has_value(self, case: Case) -> bool:
        """Tell whether a case has a value."""
        return self._emptiness.has_value(case)

    def object_states(self, case: ObjectCase) -> ObjectStates:
        """Give the states of the objects of a case."""
        return self._emptiness.states(case)

    def array_states(self, case: ArrayCase) -> ArrayStates:
        """Give the states of the arrays of a case."""
        return self._emptiness.array_states(case)

    def is_lenient(self, formula: Formula) -> bool:
        """Tell at a glance that a place has a value: no keyword but enum could leave its types without one."""
        if len(formula) != 1:
            return not formula
        (number,) = formula
        atom = self._atoms[number]
        if not isinstance(atom, Spot):
            return isinstance(atom, Constant)
        schema = atom.schema
        if not isinstance(schema, dict) or not _DEMANDING.isdisjoint(schema):
            return False
        types, values = schema.get("type", TYPES), schema.get("enum")
        if values is None:
            return bool(types)
        return bool(values) and json_type(values[0]) in ((types,) if isinstance(types, str) else types)


_ASKING = frozenset(("unevaluatedProperties", "unevaluatedItems"))

_IN_PLACE = frozenset(
    (*_REFERENCES, "allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies")
)
