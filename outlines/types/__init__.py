"""Output types: what a model's text may be held to.

Besides Python's own types there are ready-made ones (`email`, `date`, ...), terms that are built from
patterns, grammars and JSON Schemas (`Regex`, `CFG`, `JsonSchema`, `Choice`), and functions that combine them
(`either`, `one_or_more`, ...). `date`, `time` and `datetime` are terms here and hide the modules of these
names.
"""

from __future__ import annotations

from typing import Any

from outlines.types import locale
from outlines.types.dsl import (
    CFG,
    Choice,
    JsonSchema,
    Regex,
    at_least,
    at_most,
    between,
    cfg,
    either,
    exactly,
    json_schema,
    one_or_more,
    optional,
    regex,
    until,
    without,
    zero_or_more,
)
from outlines.types.extras import load_extra
from outlines.types.ready_made import (
    bic,
    boolean,
    char,
    credit_card,
    date,
    datetime,
    digit,
    e164,
    email,
    hex_color,
    hex_str,
    iban,
    integer,
    ipv4,
    ipv6,
    isbn,
    latitude,
    longitude,
    mac_address,
    newline,
    number,
    paragraph,
    semver,
    sentence,
    slug,
    string,
    time,
    uuid4,
    whitespace,
)

__all__ = [
    "CFG",
    "Choice",
    "JsonSchema",
    "Regex",
    "airports",
    "at_least",
    "at_most",
    "between",
    "bic",
    "boolean",
    "cfg",
    "char",
    "countries",
    "credit_card",
    "date",
    "datetime",
    "digit",
    "e164",
    "either",
    "email",
    "exactly",
    "hex_color",
    "hex_str",
    "iban",
    "integer",
    "ipv4",
    "ipv6",
    "isbn",
    "json_schema",
    "latitude",
    "locale",
    "longitude",
    "mac_address",
    "newline",
    "number",
    "one_or_more",
    "optional",
    "paragraph",
    "regex",
    "semver",
    "sentence",
    "slug",
    "string",
    "time",
    "until",
    "uuid4",
    "whitespace",
    "without",
    "zero_or_more",
]


# When this module is loaded again, what was found then isn't kept: libraries come and go.
for _extra in ("airports", "countries"):
    globals().pop(_extra, None)


def __getattr__(name: str) -> Any:
    # Loaded at first use: their tables are large, and their libraries may be missing.
    if name in ("airports", "countries"):
        return load_extra(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
