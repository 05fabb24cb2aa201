"""The regular algebra: hash-consed expressions that denote regular languages of byte strings.

An expression is built by the functions below, which simplify as they build, so that equal-looking languages are one
object (`is` compares them). Its automaton is never built as a whole: `Expression.step(byte)` gives the derivative,
the expression of what may follow after one byte (Brzozowski 1964), computed once for each class of bytes that the
expression treats alike (Owens, Reppy, Turon 2009, section 4.2). Counts are part of a node and never unrolled.

Nodes live as long as somebody holds them: interning is by weak reference.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from operator import attrgetter

from outlines.exceptions import LimitError
from outlines.sharing import LOCK

__all__ = [
    "ALL_BYTES",
    "ANY_BYTE",
    "EMPTY",
    "EPSILON",
    "EVERYTHING",
    "Expression",
    "alternatives",
    "byte_class",
    "byte_range",
    "complement",
    "concat",
    "counts",
    "flags_of",
    "intersected",
    "intersection",
    "is_empty",
    "join_classes",
    "literal",
    "mask_of",
    "matches",
    "members",
    "optional",
    "repeat",
    "spine",
    "split",
    "star",
    "text_of",
    "union",
    "width",
]

ALL_BYTES = (1 << 256) - 1

#: Derivatives, and parts of them, that one question about emptiness may look at before it gives up with a LimitError.
EXPLORED_EXPRESSIONS = 10_000
EXPLORED_PARTS = 20_000

_EMPTY, _EPSILON, _CLASS, _LITERAL, _CONCAT, _UNION, _INTERSECTION, _COMPLEMENT, _REPEAT = range(9)


class Expression:
    """A regular language of byte strings.

    Attributes
    ----------
    nullable : bool
        Whether the language contains the empty string.
    """

    __slots__ = (
        "kind", "parts", "nullable", "positive", "serial", "_width", "_targets", "_class_of", "_is_empty", "__weakref__"
    )  # fmt: skip

    kind: int
    parts: tuple
    nullable: bool
    positive: bool  # no intersection or complement inside: then only EMPTY itself is empty
    serial: int  # order of creation, so that sets of parts have one order
    _width: int | None  # bytes of every string, None where they differ or aren't known
    _targets: tuple[Expression, ...] | None
    _class_of: bytes
    _is_empty: bool | None

    def step(self, byte: int) -> Expression:
        """Give the derivative: the language of what may follow after `byte`; EMPTY where nothing can."""
        targets = self._targets
        if targets is None:
            targets = _derive_all(self)
        return targets[self._class_of[byte]]

    def transitions(self) -> tuple[bytes, tuple[Expression, ...]]:
        """Give all derivatives at once: a table byte -> class [256], and the derivative of each class."""
        targets = self._targets
        if targets is None:
            targets = _derive_all(self)
        return self._class_of, targets

    def first_bytes(self) -> int:
        """Give the class of bytes with which some string of the language begins."""
        class_of, targets = self.transitions()
        return mask_of(class_of, [number for number, target in enumerate(targets) if target is not EMPTY])

    def __repr__(self) -> str:
        return f"<Expression {_show(self, 4)}>"


def mask_of(class_of: bytes, numbers: Iterable[int]) -> int:
    """Give the bytes of some classes, as one class."""
    digits = bytearray(b"0" * 256)
    for number in numbers:
        digits[number] = _ONE
    return int(class_of.translate(digits)[::-1], 2)


def flags_of(mask: int) -> bytes:
    """Give a class of bytes as 256 flags."""
    return f"{mask:0256b}"[::-1].encode().translate(_FLAG_OF_DIGIT)


_ONE = ord("1")
_FLAG_OF_DIGIT = bytes(byte == _ONE for byte in range(256))

_interned: weakref.WeakValueDictionary[tuple, Expression] = weakref.WeakValueDictionary()
_num_created = 0


def _node(kind: int, parts: tuple, nullable: bool, positive: bool, key: tuple[object, ...]) -> Expression:
    """Give the one node for a key, which is the kind, and the ids of expressions among the parts.

    These live as long as the node does; a key that held them would keep every loop alive.
    """
    found = _interned.get(key)
    if found is not None:
        return found
    global _num_created
    with LOCK:
        found = _interned.get(key)
        if found is not None:
            return found
        node = Expression()
        node.kind = kind
        node.parts = parts
        node.nullable = nullable
        node.positive = positive
        node._width = _find_width(kind, parts)
        node._targets = None
        node._class_of = b""
        node._is_empty = None
        node.serial = _num_created = _num_created + 1
        _interned[key] = node
        return node


def _find_width(kind: int, parts: tuple) -> int | None:
    if kind == _CLASS:
        return 1
    if kind == _LITERAL:
        return len(parts[0]) - int(parts[1])
    if kind == _EPSILON:
        return 0
    if kind == _CONCAT:
        left, right = parts[0]._width, parts[1]._width
        return None if left is None or right is None else left + right
    if kind == _UNION:
        width: int | None = parts[0]._width
        return width if all(part._width == width for part in parts) else None
    if kind == _REPEAT and parts[1] == parts[2] and parts[0]._width is not None:
        return int(parts[0]._width * parts[1])
    return None


EMPTY = _node(_EMPTY, (), False, True, (_EMPTY,))
EPSILON = _node(_EPSILON, (), True, True, (_EPSILON,))
EVERYTHING = _node(_COMPLEMENT, (EMPTY,), True, True, (_COMPLEMENT, id(EMPTY)))


def byte_class(mask: int) -> Expression:
    """Give the strings of one byte out of a set; bit `b` of the 256-bit `mask` stands for byte `b`."""
    return _node(_CLASS, (mask,), False, True, (_CLASS, mask)) if mask else EMPTY


def byte_range(low: int, high: int) -> Expression:
    """Give the strings of one byte from `low` to `high`, both included."""
    return byte_class((1 << (high + 1)) - (1 << low))


ANY_BYTE = byte_class(ALL_BYTES)


def literal(text: bytes) -> Expression:
    """Give the language of one string. Derivatives share its bytes, so a long one costs no copies."""
    return _literal(text, 0)


def _literal(text: bytes, offset: int) -> Expression:
    left = len(text) - offset
    if left == 0:
        return EPSILON
    if left == 1:
        return byte_class(1 << text[offset])
    return _node(_LITERAL, (text, offset), False, True, (_LITERAL, text, offset))


def concat(*expressions: Expression) -> Expression:
    """Give the strings that are one of each language, in order."""
    result = EPSILON
    for left in reversed(expressions):
        result = _concat(left, result)
    return result


def _concat(left: Expression, right: Expression) -> Expression:
    if left is EMPTY or right is EMPTY:
        return EMPTY
    if left is EPSILON:
        return right
    if right is EPSILON:
        return left
    spine = []
    while left.kind == _CONCAT:  # keep the list right-nested: its spine is walked in loops, not by recursion
        spine.append(left.parts[0])
        left = left.parts[1]
    spine.append(left)
    for part in reversed(spine):
        if part.kind == _REPEAT and right.kind == _REPEAT and part.parts[0] is right.parts[0]:
            right = _add_counts(part, right)
        elif part.kind == _REPEAT and right.kind == _CONCAT and (
            right.parts[0].kind == _REPEAT and right.parts[0].parts[0] is part.parts[0]
        ):
            right = _concat(_add_counts(part, right.parts[0]), right.parts[1])
        else:
            key = (_CONCAT, id(part), id(right))
            nullable, positive = part.nullable and right.nullable, part.positive and right.positive
            right = _node(_CONCAT, (part, right), nullable, positive, key)
    return right


def _add_counts(left: Expression, right: Expression) -> Expression:
    body, low, high = left.parts
    _, low2, high2 = right.parts
    return repeat(body, low + low2, None if high is None or high2 is None else high + high2)


def union(*expressions: Expression) -> Expression:
    """Give the strings of any of the languages."""
    return _union(expressions)


def _union(expressions: Iterable[Expression]) -> Expression:
    parts: set[Expression] = set()
    byte_mask = 0
    stack = list(expressions)
    while stack:
        part = stack.pop()
        if part is EVERYTHING:
            return part
        if part.kind == _UNION:
            stack.extend(part.parts)
        elif part.kind == _CLASS:
            byte_mask |= part.parts[0]
        elif part is not EMPTY:
            parts.add(part)
    if byte_mask:
        parts.add(byte_class(byte_mask))
    if len(parts) > 1:
        parts = _merge_repeats(_merge_classes(parts))
    if EPSILON in parts and any(part.nullable for part in parts if part is not EPSILON):
        parts.discard(EPSILON)
    if len(parts) > 1 and any(part.kind == _COMPLEMENT and part.parts[0] in parts for part in parts):
        return EVERYTHING
    if not parts:
        return EMPTY
    if len(parts) == 1:
        return parts.pop()
    ordered = tuple(sorted(parts, key=_serial))
    nullable, positive = any(p.nullable for p in ordered), all(p.positive for p in ordered)
    return _node(_UNION, ordered, nullable, positive, (_UNION, *map(id, ordered)))


_serial = attrgetter("serial")


def _merge_classes(parts: set[Expression]) -> set[Expression]:
    """Join `[a]x | [b]x` to `[ab]x`: UTF-8 and escapes are full of them, and the states would multiply."""
    by_rest: dict[Expression, list[Expression]] = {}
    for part in parts:
        if part.kind == _CONCAT and part.parts[0].kind == _CLASS:
            by_rest.setdefault(part.parts[1], []).append(part)
    for rest, group in by_rest.items():
        if len(group) > 1:
            parts.difference_update(group)
            mask = 0
            for part in group:
                mask |= part.parts[0].parts[0]
            parts.add(_concat(byte_class(mask), rest))
    return parts


#: How many of the parts that a union keeps are asked whether they include another one.
_COMPARED_PARTS = 4


def _merge_repeats(parts: set[Expression]) -> set[Expression]:
    """Join `x{0,5}y | x{3,9}y` to `x{0,9}y`, and drop what another part includes, such as `x{2}y{3}` beside these.

    Counts that begin at several places would multiply the states else.
    """
    groups: dict[int, list[Expression]] = {}
    for part in parts:
        kind = part.kind
        if kind == _CONCAT:
            lead = part.parts[0]
            key = id(lead.parts[0]) if lead.kind == _REPEAT else id(lead)
        elif kind == _REPEAT:
            key = id(part.parts[0])
        else:
            continue
        groups.setdefault(key, []).append(part)
    for group in groups.values():
        if len(group) > 1:
            parts.difference_update(group)
            parts.update(_without_included(_join_counts(group)))
    return parts


def _split_counts(part: Expression) -> tuple[Expression, int, float, Expression]:
    """Give the body that a part begins with, how often it's repeated, and what follows."""
    lead, rest = part.parts if part.kind == _CONCAT else (part, EPSILON)
    if lead.kind != _REPEAT:
        return lead, 1, 1, rest
    body, low, high = lead.parts
    return body, low, _INFINITE if high is None else high, rest


_INFINITE = float("inf")


def _join_counts(group: list[Expression]) -> list[Expression]:
    """Join parts that repeat one body, a range of counts each, before the same rest, where the ranges touch."""
    by_rest: dict[Expression, list[tuple[int, float, Expression]]] = {}
    for part in group:
        _, low, high, rest = _split_counts(part)
        by_rest.setdefault(rest, []).append((low, high, part))
    if len(by_rest) == len(group):
        return group
    body = _split_counts(group[0])[0]
    result = []
    for rest, ranges in by_rest.items():
        ranges.sort(key=lambda entry: entry[:2])
        joined: list[tuple[int, float, Expression | None]] = []
        for low, high, part in ranges:
            if joined and low <= joined[-1][1] + 1:
                if high > joined[-1][1]:
                    joined[-1] = (joined[-1][0], high, None)
            else:
                joined.append((low, high, part))
        for low, high, known in joined:
            bound = None if high == _INFINITE else int(high)
            result.append(_concat(repeat(body, low, bound), rest) if known is None else known)
    return result


def _without_included(group: list[Expression]) -> list[Expression]:
    """Drop parts that another one certainly includes; largest counts come first, and are the likeliest to."""
    kept: list[Expression] = []
    for part in sorted(group, key=lambda part: (-_split_counts(part)[2], part.serial)):
        if not any(_includes(other, part) for other in kept[-_COMPARED_PARTS:]):
            kept.append(part)
    return kept


def _includes(larger: Expression, smaller: Expression) -> bool:
    """Tell whether a language certainly includes another: the same bodies, with wider counts."""
    while larger is not smaller:
        if smaller is EPSILON:
            return larger.nullable
        if smaller.kind not in _COUNTED or larger.kind not in _COUNTED:
            return False
        body, low, high, larger = _split_counts(larger)
        other, least, most, smaller = _split_counts(smaller)
        if body is not other or least < low or most > high:
            return False
    return True


_COUNTED = (_CONCAT, _REPEAT)


def intersection(*expressions: Expression) -> Expression:
    """Give the strings that are in all of the languages."""
    return _intersection(expressions)


def _intersection(expressions: Iterable[Expression]) -> Expression:
    parts: set[Expression] = set()
    byte_mask = None
    stack = list(expressions)
    while stack:
        part = stack.pop()
        if part is EMPTY:
            return EMPTY
        if part.kind == _INTERSECTION:
            stack.extend(part.parts)
        elif part.kind == _CLASS:
            byte_mask = part.parts[0] if byte_mask is None else byte_mask & part.parts[0]
        elif part is not EVERYTHING:
            parts.add(part)
    if byte_mask is not None:
        parts.add(byte_class(byte_mask))
        if byte_mask == 0:
            return EMPTY
    if EPSILON in parts:
        return EPSILON if all(part.nullable for part in parts) else EMPTY
    if any(part.kind == _COMPLEMENT and part.parts[0] in parts for part in parts):
        return EMPTY
    if not parts:
        return EVERYTHING
    if len(parts) == 1:
        return parts.pop()
    ordered = tuple(sorted(parts, key=_serial))
    nullable = all(p.nullable for p in ordered)
    return _node(_INTERSECTION, ordered, nullable, False, (_INTERSECTION, *map(id, ordered)))


def complement(expression: Expression) -> Expression:
    """Give all byte strings that are not in the language."""
    if expression.kind == _COMPLEMENT:
        inner: Expression = expression.parts[0]
        return inner
    if expression is EMPTY:
        return EVERYTHING
    return _node(_COMPLEMENT, (expression,), not expression.nullable, False, (_COMPLEMENT, id(expression)))


def repeat(expression: Expression, low: int, high: int | None = None) -> Expression:
    """Give `low` to `high` strings of the language, one after another; `high` None is without bound."""
    if high is not None and high < low:
        return EMPTY
    if high == 0 or expression is EPSILON:
        return EPSILON
    if expression is EMPTY:
        return EPSILON if low == 0 else EMPTY
    if expression.nullable:
        low = 0
    if low == high == 1:
        return expression
    if high is None and low <= 1 and expression is ANY_BYTE:
        return EVERYTHING if low == 0 else _concat(ANY_BYTE, EVERYTHING)
    if expression is EVERYTHING:
        return EVERYTHING
    if expression.kind == _REPEAT:
        body, least, most = expression.parts
        # (x{2,3}){4,5} is x{8,15}: no count is left out, for the most of 4 rounds reach up to the fewest of 5
        reaches = least <= 1 or (low > 0 if most is None else most * low + 1 >= least * (low + 1))
        if low == high or reaches:
            return repeat(body, least * low, None if high is None or most is None else most * high)
    if expression.nullable and expression.kind == _UNION and EPSILON in expression.parts:
        return repeat(_union(p for p in expression.parts if p is not EPSILON), 0, high)
    key = (_REPEAT, id(expression), low, high)
    return _node(_REPEAT, (expression, low, high), low == 0, expression.positive, key)


def star(expression: Expression) -> Expression:
    """Give any number of strings of the language, one after another."""
    return repeat(expression, 0, None)


def optional(expression: Expression) -> Expression:
    """Give the language and the empty string."""
    return union(expression, EPSILON)


def spine(expression: Expression) -> list[Expression]:
    """Give the parts of a concatenation, in order; an expression that is none is its only part."""
    parts = []
    while expression.kind == _CONCAT:
        parts.append(expression.parts[0])
        expression = expression.parts[1]
    return [*parts, expression]


def split(expression: Expression) -> tuple[Expression, Expression]:
    """Give the first part of a concatenation and what follows; EPSILON follows what is no concatenation."""
    return expression.parts if expression.kind == _CONCAT else (expression, EPSILON)


def width(expression: Expression) -> int:
    """Give the bytes of a class or a literal."""
    found = expression._width
    assert found is not None, "not a class or a literal"
    return found


def members(expression: Expression) -> int | list[Expression]:
    """Give the expressions that one is made of; the class of its bytes where it's made of bytes."""
    if expression.kind == _CLASS:
        mask: int = expression.parts[0]
        return mask
    if expression.kind == _LITERAL:
        text, offset = expression.parts
        return sum(1 << byte for byte in set(text[offset:]))
    return [part for part in expression.parts if isinstance(part, Expression)]


def text_of(expression: Expression) -> tuple[bytes, int] | None:
    """Give the string of a literal and the offset from which on it's meant; None if the expression is none."""
    return expression.parts if expression.kind == _LITERAL else None


def counts(expression: Expression) -> tuple[Expression, int, int | None] | None:
    """Give the body of a repetition and its bounds; None if the expression is none."""
    return expression.parts if expression.kind == _REPEAT else None


def alternatives(expression: Expression) -> tuple[Expression, ...]:
    """Give the parts of a union; an expression that is none is its only part."""
    return expression.parts if expression.kind == _UNION else (expression,)


def intersected(expression: Expression) -> tuple[Expression, ...]:
    """Give the parts of an intersection; an expression that is none is its only part."""
    return expression.parts if expression.kind == _INTERSECTION else (expression,)


# Derivatives


def _derive_all(expression: Expression) -> tuple[Expression, ...]:
    """Compute the derivative of each class of bytes that the expression treats alike, and keep them in the node.

    Derivatives that are empty become EMPTY, classes with one derivative are joined.
    """
    class_of, targets = _table(expression)
    index: dict[Expression, int] = {}
    numbers = bytearray(256)
    for number, target in enumerate(targets):
        if not target.positive and is_empty(target):
            target = EMPTY
        numbers[number] = index.setdefault(target, len(index))
    if len(index) < len(targets):
        class_of = class_of.translate(numbers)
    expression._class_of = class_of
    expression._targets = tuple(index)
    return expression._targets


def _table(expression: Expression) -> tuple[bytes, list[Expression]]:
    """Derive a node: byte -> class, and the derivative of each class, empty or not.

    The table is made from those of the node's parts, so that what many states share is derived once.
    """
    kind = expression.kind
    if kind == _CLASS:
        mask = expression.parts[0]
        return (bytes(256), [EPSILON]) if mask == ALL_BYTES else (flags_of(mask), [EMPTY, EPSILON])
    if kind == _LITERAL:
        text, offset = expression.parts
        return flags_of(1 << text[offset]), [EMPTY, _literal(text, offset + 1)]
    if kind == _CONCAT:
        ways = _leading_parts(expression)
        rights = [right for _, right in ways]
        if len(ways) == 1:
            class_of, targets = ways[0][0].transitions()
            return class_of, [_concat(target, rights[0]) for target in targets]
        if len(ways) <= _FEW_PARTS:
            class_of, rows = _product([left for left, _ in ways])
            return class_of, [_union(map(_concat, row, rights)) for row in rows]
    elif kind == _REPEAT:
        body, low, high = expression.parts
        rest = repeat(body, low - 1 if low else 0, None if high is None else high - 1)
        class_of, targets = body.transitions()
        return class_of, [_concat(target, rest) for target in targets]
    elif kind == _COMPLEMENT:
        class_of, targets = expression.parts[0].transitions()
        return class_of, [complement(target) for target in targets]
    elif kind == _UNION and len(expression.parts) > _FEW_PARTS:
        return _table_of_many(expression.parts)
    elif kind in (_UNION, _INTERSECTION) and len(expression.parts) <= _FEW_PARTS:
        class_of, rows = _product(expression.parts)
        join = _union if kind == _UNION else _intersection
        return class_of, [join(row) for row in rows]
    return _table_by_class(expression)


#: Tables of so many parts are joined as a whole; with more, each byte or class of bytes is derived by itself.
_FEW_PARTS = 12


def _leading_parts(expression: Expression) -> list[tuple[Expression, Expression]]:
    """Give each part of a concatenation that may read the first byte, and what follows it."""
    ways = []
    while expression.kind == _CONCAT:
        left, right = expression.parts
        ways.append((left, right))
        if not left.nullable:
            return ways
        expression = right
    ways.append((expression, EPSILON))
    return ways


def _product(parts: Sequence[Expression]) -> tuple[bytes, list[tuple[Expression, ...]]]:
    """Join the tables of some expressions: byte -> class, and for each class the derivative of every part."""
    class_of, targets = parts[0].transitions()
    rows: list[tuple[Expression, ...]] = [(target,) for target in targets]
    for part in parts[1:]:
        part_class, part_targets = part.transitions()
        class_of, pairs = join_classes(class_of, len(rows), part_class, len(part_targets))
        rows = [(*rows[a], part_targets[b]) for a, b in pairs]
    return class_of, rows


def join_classes(left: bytes, num_left: int, right: bytes, num_right: int) -> tuple[bytes, list[tuple[int, int]]]:
    """Join two tables byte -> class [256] to one, and give the pair of classes that each class of it stands for."""
    if num_left * num_right > 256:
        keys = list(zip(left, right, strict=True))
        number = {key: i for i, key in enumerate(dict.fromkeys(keys))}
        return bytes(map(number.__getitem__, keys)), list(number)
    # one multiplication of 256-byte integers does all bytes at once: no byte overflows into its neighbour
    joined = (int.from_bytes(left, "big") * num_right + int.from_bytes(right, "big")).to_bytes(256, "big")
    used = sorted(set(joined))
    renumber = bytearray(256)
    for number_of_pair, pair in enumerate(used):
        renumber[pair] = number_of_pair
    return joined.translate(renumber), [divmod(pair, num_right) for pair in used]


def _table_of_many(parts: tuple[Expression, ...]) -> tuple[bytes, list[Expression]]:
    """Derive a union of many parts, of which most read few bytes: those that read one are collected byte by byte."""
    ways: list[tuple[Expression, ...]] = [()] * 256
    for part in parts:
        class_of, targets = part.transitions()
        for number, target in enumerate(targets):
            if target is not EMPTY:
                added = (target,)
                byte = class_of.find(number)
                while byte >= 0:
                    ways[byte] += added
                    byte = class_of.find(number, byte + 1)
    numbers: dict[tuple[Expression, ...], int] = {}
    class_of = bytes([numbers.setdefault(found, len(numbers)) for found in ways])
    return class_of, [_union(found) for found in numbers]


def _table_by_class(expression: Expression) -> tuple[bytes, list[Expression]]:
    """Derive once for each class of bytes that is told apart anywhere in the expression."""
    classes = [ALL_BYTES]
    for mask in _leading_classes(expression):
        split = []
        for part in classes:
            inside = part & mask
            if inside == 0 or inside == part:
                split.append(part)
            else:
                split.append(inside)
                split.append(part ^ inside)
        classes = split
    classes.sort(key=int.bit_count, reverse=True)
    class_of = bytearray(256)
    targets = []
    for number, part in enumerate(classes):
        targets.append(_derive(expression, (part & -part).bit_length() - 1))
        while part and number:
            lowest = part & -part
            class_of[lowest.bit_length() - 1] = number
            part ^= lowest
    return bytes(class_of), targets


def _leading_classes(expression: Expression) -> set[int]:
    """Collect the byte classes that a first byte is compared with anywhere in the expression."""
    masks = set()
    seen = set()
    stack = [expression]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        kind = node.kind
        if kind == _CLASS:
            masks.add(node.parts[0])
        elif kind == _LITERAL:
            masks.add(1 << node.parts[0][node.parts[1]])
        elif kind == _CONCAT:
            stack.append(node.parts[0])
            if node.parts[0].nullable:
                stack.append(node.parts[1])
        elif kind == _REPEAT or kind == _COMPLEMENT:
            stack.append(node.parts[0])
        else:
            stack.extend(node.parts)
    return masks


def _derive(expression: Expression, byte: int) -> Expression:
    kind = expression.kind
    if kind == _CLASS:
        return EPSILON if expression.parts[0] >> byte & 1 else EMPTY
    if kind == _LITERAL:
        text, offset = expression.parts
        return _literal(text, offset + 1) if text[offset] == byte else EMPTY
    if kind == _CONCAT:
        ways = []
        while expression.kind == _CONCAT:  # along the spine as far as parts may be empty
            left, right = expression.parts
            ways.append(_concat(_derive(left, byte), right))
            if not left.nullable:
                return _union(ways)
            expression = right
        ways.append(_derive(expression, byte))
        return _union(ways)
    if kind == _UNION:
        return _union([_derive(part, byte) for part in expression.parts])
    if kind == _REPEAT:
        body, low, high = expression.parts
        rest = repeat(body, low - 1 if low else 0, None if high is None else high - 1)
        return _concat(_derive(body, byte), rest)
    if kind == _INTERSECTION:
        return intersection(*[_derive(part, byte) for part in expression.parts])
    if kind == _COMPLEMENT:
        return complement(_derive(expression.parts[0], byte))
    return EMPTY


# Questions


def is_empty(expression: Expression) -> bool:
    """Tell whether no string is in the language.

    Raises
    ------
    LimitError
        If more than EXPLORED_EXPRESSIONS derivatives had to be looked at. Only expressions with an intersection or
        complement are explored at all.
    """
    if expression.positive:
        return expression is EMPTY
    known = expression._is_empty
    if known is not None:
        return known
    if expression.kind == _CONCAT:
        left, right = expression.parts
        expression._is_empty = is_empty(left) or is_empty(right)
    elif expression.kind == _UNION:
        expression._is_empty = all(is_empty(part) for part in expression.parts)
    else:
        expression._is_empty = _explore(expression)
    return expression._is_empty


def _size(node: Expression) -> int:
    """Count the parts that a derivative of unions and intersections has to look at, two levels deep."""
    if node.kind not in (_UNION, _INTERSECTION):
        return 1
    return sum(len(part.parts) if part.kind in (_UNION, _INTERSECTION) else 1 for part in node.parts)


def _explore(expression: Expression) -> bool:
    """Look depth first for a nullable derivative; mark the way to it as not empty, or all that was seen as empty."""
    effort = 0
    parents: dict[Expression, Expression | None] = {expression: None}
    stack = [expression]
    while stack:
        node = stack.pop()
        if _is_known_live(node):
            way: Expression | None = node
            while way is not None:
                way._is_empty = False
                way = parents[way]
            return False
        if node._is_empty:
            continue
        factors = _factors(node)
        if factors is not None:  # the rest alone decides
            first, rest = factors
            if rest not in parents and rest is not EMPTY and not is_empty(first):
                parents[rest] = node
                stack.append(rest)
            continue
        effort += _size(node)
        limits = (
            (len(parents), "EXPLORED_EXPRESSIONS", EXPLORED_EXPRESSIONS, "derivatives"),
            (effort, "EXPLORED_PARTS", EXPLORED_PARTS, "parts of derivatives"),
        )
        for needed, name, limit, what in limits:
            if needed > limit:
                raise LimitError(
                    name,
                    f"deciding whether a pattern can match needs more than {limit} {what}; make it simpler, or bound "
                    "its counts lower",
                )
        for target in node._targets or _table(node)[1]:
            if target not in parents and target is not EMPTY:
                parents[target] = node
                stack.append(target)
                if _is_known_live(target):
                    break  # it's on top of the stack
    for node in parents:
        node._is_empty = True
    return True


def _factors(node: Expression) -> tuple[Expression, Expression] | None:
    """Part an intersection of concatenations where all have a part of the same width in front.

    It has the strings of one from the first expression and one from the second. Within a character, what follows the
    character is looked at once for all its bytes.
    """
    if node.kind != _INTERSECTION:
        return None
    firsts, rests, widths = [], [], []
    for part in node.parts:
        if part.kind != _CONCAT or part.parts[0]._width is None:
            return None
        firsts.append(part.parts[0])
        rests.append(part.parts[1])
        widths.append(part.parts[0]._width)
    width = max(widths)
    for i, rest in enumerate(rests):
        while widths[i] < width:
            if rest.kind != _CONCAT or rest.parts[0]._width is None:
                return None
            firsts[i] = _concat(firsts[i], rest.parts[0])
            widths[i] += rest.parts[0]._width
            rest = rests[i] = rest.parts[1]
        if widths[i] != width:
            return None
    return _intersection(firsts), _intersection(rests)


def _is_known_live(node: Expression) -> bool:
    return node.nullable or node._is_empty is False or (node.positive and node is not EMPTY)


def matches(expression: Expression, text: bytes) -> bool:
    """Tell whether a string is in the language."""
    for byte in text:
        expression = expression.step(byte)
        if expression is EMPTY:
            return False
    return expression.nullable


def _show(expression: Expression, depth: int) -> str:
    names = ("empty", "epsilon", "class", "literal", "concat", "union", "intersection", "complement", "repeat")
    if depth == 0:
        return "…"
    shown = [
        _show(p, depth - 1) if isinstance(p, Expression) else hex(p) if isinstance(p, int) else repr(p)
        for p in expression.parts
    ]
    return f"{names[expression.kind]}({', '.join(shown)})" if shown else names[expression.kind]
