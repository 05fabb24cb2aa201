"""Sets of Unicode characters: their algebra, the classes that `re` and ECMA-262 define, and their bytes in UTF-8.

A set is a sorted tuple of `(low, high)` ranges of code points, both ends included, with a gap between any two. The
universe is the 1,112,064 scalar values: surrogates are no characters of a text, so no set that is made here has them.
"""

from __future__ import annotations

import _sre  # type: ignore[import-not-found]  # `re` folds case with it; unicodedata has no simple mapping
import re
import sys
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any

from outlines.constraints.expression import EPSILON, Expression, byte_class, concat
from outlines.constraints.expression import union as union_of

try:
    from re._casefix import _EXTRA_CASES  # type: ignore[import-not-found]
except ImportError:  # Python 3.10
    from sre_compile import _ignorecase_fixes as _EXTRA_CASES  # type: ignore[attr-defined]

__all__ = [
    "ALL",
    "ASCII",
    "ECMA_DIGIT",
    "ECMA_NEWLINE",
    "ECMA_SPACE",
    "ECMA_WORD",
    "NONE",
    "Characters",
    "character",
    "complement",
    "contains",
    "digit",
    "ecma_property",
    "fold",
    "general_category",
    "intersection",
    "normalise",
    "space",
    "union",
    "utf8",
    "word",
]

Characters = tuple[tuple[int, int], ...]

NONE: Characters = ()
ALL: Characters = ((0, 0xD7FF), (0xE000, 0x10FFFF))
ASCII: Characters = ((0, 0x7F),)

ECMA_DIGIT: Characters = ((0x30, 0x39),)
ECMA_WORD: Characters = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
ECMA_NEWLINE: Characters = ((0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029))
#: WhiteSpace and LineTerminator (ECMA-262, sections 12.2 and 12.3): tab to carriage return, Zs, the BOM.
ECMA_SPACE: Characters = (
    (0x09, 0x0D), (0x20, 0x20), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029),
    (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF),
)  # fmt: skip


# The algebra


def normalise(ranges: Iterable[tuple[int, int]]) -> Characters:
    """Give the set that is covered by ranges in any order, overlapping or not."""
    result: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if result and low <= result[-1][1] + 1:
            if high > result[-1][1]:
                result[-1] = (result[-1][0], high)
        elif low <= high:
            result.append((low, high))
    return tuple(result)


def character(code_point: int) -> Characters:
    """Give the set of one code point."""
    return ((code_point, code_point),)


def union(*sets: Characters) -> Characters:
    """Give the characters that are in any of the sets."""
    if len(sets) == 1:
        return sets[0]
    return normalise([pair for ranges in sets for pair in ranges])


def intersection(left: Characters, right: Characters) -> Characters:
    """Give the characters that are in both sets."""
    result = []
    i = j = 0
    while i < len(left) and j < len(right):
        low = max(left[i][0], right[j][0])
        high = min(left[i][1], right[j][1])
        if low <= high:
            result.append((low, high))
        if left[i][1] < right[j][1]:
            i += 1
        else:
            j += 1
    return tuple(result)


def complement(ranges: Characters) -> Characters:
    """Give the scalar values that are not in the set."""
    gaps = []
    start = 0
    for low, high in ranges:
        gaps.append((start, low - 1))
        start = high + 1
    gaps.append((start, 0x10FFFF))
    return intersection(normalise(gaps), ALL)


def contains(ranges: Characters, code_point: int) -> bool:
    """Tell whether a code point is in the set."""
    index = bisect_right(ranges, (code_point, sys.maxunicode + 2)) - 1
    return index >= 0 and code_point <= ranges[index][1]


# Classes


@cache
def _matched(pattern: str) -> Characters:
    """Ask `re` itself which characters a pattern of one character matches; once a process and pattern."""
    return _spans(re.compile(f"{pattern}+"))


def _every_code_point() -> str:
    """Give all code points in a row, by way of UTF-32: ten times faster than joining `chr` of each."""
    plane = bytearray(4 << 16)
    plane[0::4] = bytes(range(256)) * 256
    plane[1::4] = b"".join(bytes([byte]) * 256 for byte in range(256))
    planes = []
    for number in range((sys.maxunicode >> 16) + 1):
        plane[2::4] = bytes([number]) * (1 << 16)
        planes.append(bytes(plane))
    return b"".join(planes).decode("utf-32-le", "surrogatepass")


def _spans(pattern: Any) -> Characters:
    """Give the characters that a compiled pattern finds among all."""
    spans = [(found.start(), found.end() - 1) for found in pattern.finditer(_every_code_point())]
    return intersection(normalise(spans), ALL)


def digit(ascii_only: bool = False) -> Characters:
    r"""Give what `\d` matches in a pattern of `str`; with `ascii_only`, under the flag `re.ASCII`."""
    return _matched(r"(?a:\d)" if ascii_only else r"\d")


def word(ascii_only: bool = False) -> Characters:
    r"""Give what `\w` matches in a pattern of `str`; with `ascii_only`, under the flag `re.ASCII`."""
    return _matched(r"(?a:\w)" if ascii_only else r"\w")


def space(ascii_only: bool = False) -> Characters:
    r"""Give what `\s` matches in a pattern of `str`; with `ascii_only`, under the flag `re.ASCII`."""
    return _matched(r"(?a:\s)" if ascii_only else r"\s")


@cache
def _general_categories() -> dict[str, Characters]:
    runs: dict[str, list[tuple[int, int]]] = {}
    for low, high in ALL:
        start, name = low, unicodedata.category(chr(low))
        for code_point in range(low + 1, high + 1):
            here = unicodedata.category(chr(code_point))
            if here != name:
                runs.setdefault(name, []).append((start, code_point - 1))
                start, name = code_point, here
        runs.setdefault(name, []).append((start, high))
    return {name: tuple(pairs) for name, pairs in runs.items()}


#: Long names of the general categories (Unicode's PropertyValueAliases.txt).
_CATEGORY_NAMES = {
    "Letter": "L", "Cased_Letter": "LC", "Uppercase_Letter": "Lu", "Lowercase_Letter": "Ll", "Titlecase_Letter": "Lt",
    "Modifier_Letter": "Lm", "Other_Letter": "Lo", "Mark": "M", "Combining_Mark": "M", "Nonspacing_Mark": "Mn",
    "Spacing_Mark": "Mc", "Enclosing_Mark": "Me", "Number": "N", "Decimal_Number": "Nd", "digit": "Nd",
    "Letter_Number": "Nl", "Other_Number": "No", "Punctuation": "P", "punct": "P", "Connector_Punctuation": "Pc",
    "Dash_Punctuation": "Pd", "Open_Punctuation": "Ps", "Close_Punctuation": "Pe", "Initial_Punctuation": "Pi",
    "Final_Punctuation": "Pf", "Other_Punctuation": "Po", "Symbol": "S", "Math_Symbol": "Sm", "Currency_Symbol": "Sc",
    "Modifier_Symbol": "Sk", "Other_Symbol": "So", "Separator": "Z", "Space_Separator": "Zs", "Line_Separator": "Zl",
    "Paragraph_Separator": "Zp", "Other": "C", "Control": "Cc", "cntrl": "Cc", "Format": "Cf", "Surrogate": "Cs",
    "Private_Use": "Co", "Unassigned": "Cn",
}  # fmt: skip


@cache
def general_category(name: str) -> Characters:
    """Give the characters of a general category, such as "Lu", or of a group of them, such as "L" or "Letter".

    Raises
    ------
    KeyError
        If Unicode has no category of that name.
    """
    name = _CATEGORY_NAMES.get(name, name)
    if name == "LC":
        return union(*map(general_category, ("Lu", "Ll", "Lt")))
    if name == "Cs":
        return NONE
    found = [ranges for key, ranges in _general_categories().items() if name in (key, key[0])]
    if not found:
        raise KeyError(name)
    return union(*found)


#: Binary properties of Unicode that ECMA-262 has (its table 68), with their short names.
_BINARY_NAMES = """
    ASCII_Hex_Digit=AHex Alphabetic=Alpha Bidi_Control=Bidi_C Bidi_Mirrored=Bidi_M Case_Ignorable=CI Cased
    Changes_When_Casefolded=CWCF Changes_When_Casemapped=CWCM Changes_When_Lowercased=CWL Changes_When_Titlecased=CWT
    Changes_When_Uppercased=CWU Dash Default_Ignorable_Code_Point=DI Deprecated=Dep Diacritic=Dia Emoji
    Emoji_Component=EComp Emoji_Modifier=EMod Emoji_Modifier_Base=EBase Emoji_Presentation=EPres
    Extended_Pictographic=ExtPict Extender=Ext Grapheme_Base=Gr_Base Grapheme_Extend=Gr_Ext Hex_Digit=Hex
    IDS_Binary_Operator=IDSB IDS_Trinary_Operator=IDST ID_Continue=IDC ID_Start=IDS Ideographic=Ideo
    Join_Control=Join_C Logical_Order_Exception=LOE Lowercase=Lower Math Noncharacter_Code_Point=NChar
    Pattern_Syntax=Pat_Syn Pattern_White_Space=Pat_WS Quotation_Mark=QMark Radical Regional_Indicator=RI
    Sentence_Terminal=STerm Soft_Dotted=SD Terminal_Punctuation=Term Unified_Ideograph=UIdeo Uppercase=Upper
    Variation_Selector=VS White_Space=space XID_Continue=XIDC XID_Start=XIDS
"""
_BINARY = {name: names.split("=")[0] for names in _BINARY_NAMES.split() for name in names.split("=")}


@cache
def ecma_property(name: str, value: str | None = None) -> Characters:
    r"""Give the characters of `\p{name}` or `\p{name=value}` as ECMA-262 has it, names as strictly spelt as there.

    General categories are those of unicodedata, all else is asked of the library `regex`.

    Raises
    ------
    KeyError
        If there is no such property or value.
    """
    if name in ("General_Category", "gc") and value is not None:
        return general_category(value)
    if name in ("Script", "sc", "Script_Extensions", "scx"):
        if value is None or not re.fullmatch("[A-Z][a-z]+(_[A-Z][a-z]+)*|SignWriting", value):
            raise KeyError(value)
        return _asked_of_regex(f"{name}={value}")
    if value is not None:
        raise KeyError(name)
    if name in ("Any", "ASCII", "Assigned"):
        return {"Any": ALL, "ASCII": ASCII}.get(name) or complement(general_category("Cn"))
    return _asked_of_regex(_BINARY[name]) if name in _BINARY else general_category(name)


@cache
def _asked_of_regex(name: str) -> Characters:
    import regex  # late: it takes 30 ms, and few patterns ask

    try:
        pattern = regex.compile(rf"\p{{{name}}}+")
    except regex.error:
        raise KeyError(name) from None
    return _spans(pattern)


@cache
def _case_variants(ascii_only: bool) -> dict[int, Characters]:
    """Map each character that has variants under `re.IGNORECASE` to the set of them all, itself included."""
    lower = _sre.ascii_tolower if ascii_only else _sre.unicode_tolower
    every_code_point = _every_code_point()
    groups: dict[int, set[int]] = {}
    for start in range(0, 128 if ascii_only else len(every_code_point), _BLOCK):
        block = every_code_point[start : start + _BLOCK]
        if block.lower() == block:
            continue  # as nearly all are
        for code_point in range(start, start + _BLOCK):
            lowered = lower(code_point)
            if lowered != code_point:
                groups.setdefault(lowered, {lowered}).add(code_point)
    if not ascii_only:
        for lowered, others in _EXTRA_CASES.items():  # such as the long s beside s
            groups[lowered] = groups.get(lowered, {lowered}).union(*[groups.get(c, {c}) for c in others])
    variants = {}
    for group in groups.values():
        alike = tuple((c, c) for c in sorted(group))
        for c in group:
            variants[c] = alike
    return variants


#: Characters that are asked together whether one of them has a small letter; 128 has to be a multiple of it.
_BLOCK = 64


def fold(ranges: Characters, ascii_only: bool = False) -> Characters:
    """Give the set and all that differs from it in case alone, as `re.IGNORECASE` has it."""
    variants = _case_variants(ascii_only)
    if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
        return normalise(variants.get(ranges[0][0], ranges))
    return union(ranges, *[others for c, others in variants.items() if contains(ranges, c)])


# Bytes

#: First byte, number of bytes and last code point of each length of UTF-8 (RFC 3629, section 3).
_UTF8_LENGTHS = ((0x00, 1, 0x7F), (0xC0, 2, 0x7FF), (0xE0, 3, 0xFFFF), (0xF0, 4, 0x10FFFF))


@lru_cache(maxsize=1024)
def utf8(ranges: Characters) -> Expression:
    """Give the language of the UTF-8 encodings of a set's characters.

    Its derivatives are those of the minimal automaton: leading bytes with the same continuation are one class.
    """
    ranges = intersection(ranges, ALL)
    by_rest: dict[tuple[int, Characters], int] = {}
    start = 0
    for first, num_bytes, last in _UTF8_LENGTHS:
        within = intersection(ranges, ((start, last),))
        for lead, rest in _split(within, num_bytes - 1).items():
            key = (num_bytes - 1, tuple(rest))
            by_rest[key] = by_rest.get(key, 0) | 1 << (first + lead)
        start = last + 1
    return union_of(*[concat(byte_class(mask), _continuation(*key)) for key, mask in by_rest.items()])


def _continuation(num_bytes: int, ranges: Characters) -> Expression:
    """Give the continuation bytes, 6 bits each, of numbers in `ranges`."""
    if num_bytes == 0:
        return EPSILON
    by_rest: dict[Characters, int] = {}
    for lead, rest in _split(ranges, num_bytes - 1).items():
        by_rest[tuple(rest)] = by_rest.get(tuple(rest), 0) | 1 << (0x80 + lead)
    parts = [concat(byte_class(mask), _continuation(num_bytes - 1, rest)) for rest, mask in by_rest.items()]
    return union_of(*parts)


def _split(ranges: Characters, num_bytes: int) -> dict[int, list[tuple[int, int]]]:
    """Part numbers into what stands above the last `6 * num_bytes` bits, and the ranges below."""
    shift = 6 * num_bytes
    full = (1 << shift) - 1
    result: dict[int, list[tuple[int, int]]] = {}
    for low, high in ranges:
        for lead in range(low >> shift, (high >> shift) + 1):
            base = lead << shift
            result.setdefault(lead, []).append((max(low - base, 0), min(high - base, full)))
    return result
