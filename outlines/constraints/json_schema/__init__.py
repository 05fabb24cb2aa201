"""JSON Schema to items: a schema is read into value sets, and the writer turns those into JSON text.

    text.py         how JSON writes characters, strings and names
    numbers.py      the texts of numbers within bounds
    value_sets.py   what a schema denotes: cases by type, and their meet
    reader.py       schema documents: places, keywords, references, and the value set of each
    writer.py       value sets to items and heads
"""

from outlines.constraints.json_schema.writer import schema_symbols

__all__ = ["schema_symbols"]
