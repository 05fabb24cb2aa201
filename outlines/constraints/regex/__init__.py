"""Regular expressions, in Python's syntax or ECMA-262's, read into expressions.

tree.py         the tree that both syntaxes are read into: texts, sets, repetition, and two assertions
lookarounds.py  lookarounds and word boundaries, made of those two assertions
python.py       patterns of `re` into a tree, through its own parser
ecma.py         patterns of ECMA-262, which JSON Schema asks for, into a tree
spelling.py     a tree without assertions into an expression, part by part
assertions.py   a tree with assertions into an expression, together with what follows
patterns.py     all the way: `read`, `search`, and trees made of several patterns
"""

from outlines.constraints.regex.assertions import EDGE, Neighbour
from outlines.constraints.regex.patterns import blind_alley, read, read_tree, search, tree_of
from outlines.constraints.regex.spelling import Encoder

__all__ = ["EDGE", "Encoder", "Neighbour", "blind_alley", "read", "read_tree", "search", "tree_of"]
