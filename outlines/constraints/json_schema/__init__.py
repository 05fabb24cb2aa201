"""JSON Schema to items: a schema is read into value sets, and the writer turns those into JSON text.

    text.py           how JSON writes characters, strings and names
    numbers.py        the texts of numbers; decimals.py the arithmetic ones; formats.py the formats of strings
    keywords.py       the keywords, and what values they may have
    references.py     what references lead to, and the drafts
    value_sets.py     what a schema denotes: cases by type; arrays.py and objects.py those of arrays and objects
    assertions.py     the cases of a schema's own keywords
    combinators.py    meets, differences and unions of cases; in_place.py those that one schema asks for
    reader.py         schema documents: places, formulas (atoms.py), and the value set of each
    emptiness.py      whether a value set has a value; membership.py whether it has one that is given
    object_states.py  what must be remembered while an object is written; array_states.py the same for arrays
    writer.py         value sets to items and heads; object_writer.py and array_writer.py those of objects and arrays
    layout.py         the white space
"""

from outlines.constraints.json_schema.writer import schema_symbols

__all__ = ["schema_symbols"]
