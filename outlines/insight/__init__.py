"""Help for people: what is wrong with a text, what a type generates, what its automaton looks like. No model needed."""

from outlines.insight.drawing import Drawing, draw
from outlines.insight.examples import examples
from outlines.insight.explanation import Explanation, explain
from outlines.insight.letters import byte_constraint, is_whole
from outlines.insight.unused import unusable

__all__ = [
    "Drawing",
    "Explanation",
    "byte_constraint",
    "draw",
    "examples",
    "explain",
    "is_whole",
    "unusable",
]
