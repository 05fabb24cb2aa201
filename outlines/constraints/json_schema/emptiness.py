"""Whether a value set has any value: a least fixpoint over the formulas that it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from outlines.constraints.json_schema.array_states import ArrayStates
from outlines.constraints.json_schema.arrays import ArrayCase
from outlines.constraints.json_schema.membership import contains
from outlines.constraints.json_schema.object_states import Ask, ObjectStates
from outlines.constraints.json_schema.objects import ANYTHING, NEVER, Formula, ObjectCase
from outlines.constraints.json_schema.value_sets import Case, NamedCase

if TYPE_CHECKING:
    from outlines.constraints.json_schema.reader import Document

__all__ = ["Emptiness"]


class Emptiness:
    """What is known of the formulas of a document."""

    def __init__(self, document: Document):
        self._document = document
        self._known: dict[Formula, bool] = {ANYTHING: True}
        self._objects: dict[ObjectCase, ObjectStates] = {}
        self._arrays: dict[ArrayCase, ArrayStates] = {}

    def release(self) -> None:
        """Forget what leads back to the document."""
        self._objects.clear()
        self._arrays.clear()
        del self._document

    def states(self, case: ObjectCase) -> ObjectStates:
        """Give the states of an object's case, the same for the same case."""
        found = self._objects.get(case)
        if found is None:
            found = self._objects[case] = ObjectStates(self._document, case)
        return found

    def array_states(self, case: ArrayCase) -> ArrayStates:
        """Give the states of an array's case, the same for the same case."""
        found = self._arrays.get(case)
        if found is None:
            found = self._arrays[case] = ArrayStates(self._document, case)
        return found

    def is_inhabited(self, formula: Formula) -> bool:
        """Tell whether a formula has a value."""
        known = self._known
        found = known.get(formula)
        if found is not None:
            return found
        if formula >= NEVER:
            return False
        if self._document.is_lenient(formula) or any(
            map(self._has_surely, self._document.value_set(formula))
        ):
            known[formula] = True
            return True
        return self._search(formula)

    def _has_surely(self, case: Case) -> bool:
        """Tell whether a case has a value, whatever else is to be found out."""
        if isinstance(case, ObjectCase):
            return case.is_plain and all(self._is_surely_inhabited(case.at(name)) for name in case.required)
        if isinstance(case, ArrayCase):
            return case.is_plain and case.low == 0
        return not (isinstance(case, NamedCase) and case.within)

    def _is_surely_inhabited(self, formula: Formula) -> bool:
        return self._known.get(formula, False) or self._document.is_lenient(formula)

    def _search(self, formula: Formula) -> bool:
        known = self._known
        # Formulas are taken up as they're asked for; those that aren't found to have a value are asked again, until
        # nothing changes. What was asked for first is decided last, so a chain takes one wave.
        waiting: dict[Formula, None] = {formula: None}
        order: list[Formula] = []

        def ask(part: Formula) -> bool:
            answer = known.get(part)
            if answer is None and part not in seen:
                if part >= NEVER:
                    return False
                if self._document.is_lenient(part):
                    known[part] = True
                    return True
                waiting[part] = None
            return bool(answer)

        seen: set[Formula] = set()
        while waiting:
            current, _ = waiting.popitem()
            if current in seen or current in known:
                continue
            seen.add(current)
            if self._has_any(current, ask):
                known[current] = True
            else:
                order.append(current)
        order.reverse()
        changed = True
        while changed:
            changed = False
            for current in order:
                if current not in known and self._has_any(current, ask):
                    known[current] = changed = True
            while waiting:
                current, _ = waiting.popitem()
                if current not in seen and current not in known:
                    seen.add(current)
                    order.append(current)
                    changed = True
        for current in order:
            known.setdefault(current, False)
        return known[formula]

    def _has_any(self, formula: Formula, ask: Ask) -> bool:
        return any(self._case_has(case, ask) for case in self._document.value_set(formula))

    def has_value(self, case: Case) -> bool:
        """Tell whether a case has a value."""
        return self._case_has(case, self.is_inhabited)

    def _case_has(self, case: Case, ask: Ask) -> bool:
        if isinstance(case, ObjectCase):
            if case.is_plain:
                return all(ask(case.at(name)) for name in case.required)
            return self.states(case).has_value(ask)
        if isinstance(case, ArrayCase):
            if case.is_plain:
                return all(ask(case.element(i)) for i in range(min(case.low, len(case.prefix) + 1)))
            return self.array_states(case).has_value(ask)
        if isinstance(case, NamedCase) and case.within:
            satisfies = self._document.algebra.satisfies
            return all(contains(other, case.value, satisfies) for other in case.within)
        return True
