"""Help for people: what is wrong with a text, what a type generates, what its automaton looks like. No model needed."""

from outlines.constraints.cfg import Unusable, unusable
from outlines.insight.drawing import Drawing, draw
from outlines.insight.examples import examples
from outlines.insight.explanation import Explanation, explain
from outlines.insight.letters import byte_constraint, is_whole

__all__ = [
    "Drawing",
    "Explanation",
    "Unusable",
    "byte_constraint",
    "draw",
    "examples",
    "explain",
    "is_whole",
    "unusable",
]
