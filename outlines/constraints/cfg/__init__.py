"""Context-free grammars, as symbols that the automaton runs.

loading.py     a text in Lark's language into rules and terminals, through lark
extensions.py  schemas, patterns, grammars and special tokens within a grammar
network.py     rules into automata that call each other
parse.py       where a text is among the rules
patterns.py    terminals, as Python's `re` matches them
lexing.py      which terminal wins, as Lark decides it
machine.py     all of it as a head of the automaton
usability.py   what no text ever uses
symbols.py     all the way: a grammar's text into symbols
"""

from outlines.constraints.cfg.symbols import Unusable, grammar_symbols, special_names, unusable

__all__ = ["Unusable", "grammar_symbols", "special_names", "unusable"]
