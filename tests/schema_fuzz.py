"""Random schemas over all keywords of draft 2020-12, and instances that they may well take or just not.

python -m tests.schema_fuzz --schemas 10000 --seed 1      # judge so many against `jsonschema`, print what differs
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import time
import warnings
from collections import Counter
from fractions import Fraction
from typing import Any, NamedTuple

import jsonschema

from benchmarks.report import reason_class
from outlines.engine import Constraint, Vocabulary
from outlines.exceptions import ConstraintError, EmptyLanguageError, SchemaError
from outlines.types import JsonSchema

NAMES = ("a", "b", "ab", "é")
OTHERS = ("x", "aa", "")
STRINGS = ("", "a", "b", "ab", "ba", "aab", "é", "x", "abc", "🙂")
PATTERNS = ("^a", "b$", "^[ab]+$", "é|x", "^(ab|c){1,2}$", "^", "^.{2}$", "^a?$", "aa")
NUMBERS = (-12, -3, -1, 0, 1, 2, 3, 4, 5, 6, 10, 12, 99, 100, 0.5, -0.5, 0.25, 1.5, 2.5, 7.5, 98.5)
TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")

#: Words of JSON between bytes, so that masks are judged across their edges.
PIECES = (
    b'{"',
    b'":',
    b'": ',
    b", ",
    b'", "',
    b"]}",
    b"},",
    b'"a',
    b'"ab"',
    b"12",
    b"0.5",
    b".5",
    b"-1",
    b"[[",
    b"true",
)


def vocabulary() -> Vocabulary:
    """Give all bytes, pieces of JSON, and an end."""
    tokens = [*(bytes([byte]) for byte in range(256)), *PIECES, None]
    return Vocabulary(tokens, [len(tokens) - 1], cache=False)


_OF_OBJECTS = frozenset(
    "properties required additionalProperties patternProperties minProperties propertyNames dependentRequired "
    "unevaluatedProperties dependentSchemas".split()
)


# ---- Schemas ----------------------------------------------------------------------------------------------


class Schemas:
    """Makes random schemas; the same generator gives the same ones."""

    def __init__(self, rng: random.Random):
        self.rng = rng

    def root(self) -> dict[str, Any]:
        """Make a schema with two definitions that may be recursive."""
        schema = self.schema(3)
        schema = {"allOf": [schema]} if isinstance(schema, bool) else schema
        return {**schema, "$defs": {"p": self.schema(2), "q": self.schema(1)}}

    def schema(self, depth: int) -> Any:
        """Make a schema nested at most so deep: some groups of keywords, beside each other."""
        rng = self.rng
        if rng.random() < 0.06:
            return rng.choice((True, False, {}))
        groups = [self._type, self._named, self._number, self._string, self._array, self._object]
        weights = [6, 2, 3, 3, 3, 4]
        if depth:
            groups += [self._combined, self._reference, self._conditional]
            weights += [4, 1, 1]
        result: dict[str, Any] = {}
        for group in rng.choices(groups, weights, k=rng.choice((1, 1, 2, 2, 3))):
            result |= group(depth - 1)
        return result

    def _some(self, chance: float = 0.5, **keywords: Any) -> dict[str, Any]:
        return {
            name.replace("_", "$"): value for name, value in keywords.items() if self.rng.random() < chance
        }

    def _type(self, depth: int) -> dict[str, Any]:
        rng = self.rng
        if rng.random() < 0.7:
            return {"type": rng.choice(TYPES)}
        return {"type": rng.sample(TYPES, rng.randint(1, 4))}

    def _named(self, depth: int) -> dict[str, Any]:
        if self.rng.random() < 0.3:
            return {"const": self.value(1)}
        values = [self.value(1) for _ in range(self.rng.randint(1, 5))]
        return {"enum": values}

    def _number(self, depth: int) -> dict[str, Any]:
        rng = self.rng
        number = rng.choice
        return {
            **self._some(0.4, **{number(("minimum", "exclusiveMinimum")): number(NUMBERS)}),
            **self._some(0.4, **{number(("maximum", "exclusiveMaximum")): number(NUMBERS)}),
            **self._some(0.4, multipleOf=number((1, 2, 3, 0.5, 0.25, 1.5, 2.5, 7))),
        }

    def _string(self, depth: int) -> dict[str, Any]:
        rng = self.rng
        return {
            **self._some(0.4, minLength=rng.randint(0, 3)),
            **self._some(0.4, maxLength=rng.randint(0, 4)),
            **self._some(0.4, pattern=rng.choice(PATTERNS)),
        }

    def _array(self, depth: int) -> dict[str, Any]:
        rng = self.rng
        result = {
            **self._some(0.3, minItems=rng.randint(0, 3)),
            **self._some(0.3, maxItems=rng.randint(0, 3)),
            **self._some(0.2, uniqueItems=rng.random() < 0.8),
        }
        if depth > 0:
            result |= self._some(0.5, items=self.schema(depth))
            result |= self._some(0.3, prefixItems=[self.schema(depth) for _ in range(rng.randint(1, 3))])
            if rng.random() < 0.3:
                result["contains"] = self.schema(depth)
                result |= self._some(0.4, minContains=rng.randint(0, 2)) | self._some(
                    0.3, maxContains=rng.randint(0, 2)
                )
            result |= self._some(0.12, unevaluatedItems=self.schema(depth))
        return result

    def _object(self, depth: int) -> dict[str, Any]:
        rng = self.rng
        result: dict[str, Any] = self._some(0.3, required=rng.sample((*NAMES, "x"), rng.randint(1, 2)))
        result |= self._some(0.15, minProperties=rng.randint(0, 3)) | self._some(
            0.15, maxProperties=rng.randint(0, 3)
        )
        result |= self._some(0.15, dependentRequired={rng.choice(NAMES): rng.sample((*NAMES, "x"), 1)})
        if depth > 0:
            names = rng.sample(NAMES, rng.randint(1, 3))
            result |= self._some(0.6, properties={name: self.schema(depth) for name in names})
            result |= self._some(0.35, additionalProperties=self.schema(depth))
            result |= self._some(0.2, patternProperties={rng.choice(PATTERNS): self.schema(depth)})
            result |= self._some(0.15, propertyNames=self.schema(0))
            result |= self._some(0.12, dependentSchemas={rng.choice(NAMES): self.schema(depth)})
            result |= self._some(0.12, unevaluatedProperties=self.schema(depth))
        return result

    def _combined(self, depth: int) -> dict[str, Any]:
        keyword = self.rng.choice(("allOf", "anyOf", "anyOf", "oneOf", "oneOf", "not"))
        if keyword == "not":
            return {"not": self.schema(depth)}
        return {keyword: [self.schema(depth) for _ in range(self.rng.randint(1, 3))]}

    def _reference(self, depth: int) -> dict[str, Any]:
        return {"$ref": self.rng.choice(("#/$defs/p", "#/$defs/q", "#"))}

    def _conditional(self, depth: int) -> dict[str, Any]:
        return {
            "if": self.schema(depth),
            **self._some(0.7, then=self.schema(depth)),
            **self._some(0.7, **{"else": self.schema(depth)}),
        }

    # Instances

    def value(self, depth: int = 2) -> Any:
        """Make any value."""
        rng = self.rng
        kind = rng.randrange(7 if depth > 0 else 5)
        if kind == 0:
            return rng.choice((None, True, False))
        if kind in (1, 2):
            return rng.choice(NUMBERS)
        if kind in (3, 4):
            return rng.choice(STRINGS)
        if kind == 5:
            return [self.value(depth - 1) for _ in range(rng.randint(0, 3))]
        names = rng.sample((*NAMES, *OTHERS), rng.randint(0, 3))
        return {name: self.value(depth - 1) for name in names}

    def instance(self, schema: Any, root: dict[str, Any], depth: int = 6) -> Any:
        """Make a value that a schema may well take: follow some of its keywords."""
        rng = self.rng
        if depth <= 0 or not isinstance(schema, dict) or rng.random() < 0.08:
            return self.value()
        ways = [
            key
            for key in ("$ref", "enum", "const", "allOf", "anyOf", "oneOf", "if", "then", "else")
            if key in schema
        ]
        if ways and rng.random() < 0.7:
            return self._by(rng.choice(ways), schema, root, depth - 1)
        types = schema.get("type", TYPES)
        kind = types if isinstance(types, str) else rng.choice(types)
        if "type" not in schema:
            kind = self._likely(schema) or kind
        return self._of_type(kind, schema, root, depth - 1)

    def _by(self, key: str, schema: dict, root: dict, depth: int) -> Any:
        if key == "$ref":
            target = root
            for part in schema["$ref"].split("/")[1:]:
                target = target[part]
            return self.instance(target, root, depth)
        if key == "enum":
            return copy.deepcopy(self.rng.choice(schema["enum"]))
        if key == "const":
            return copy.deepcopy(schema["const"])
        if key in ("if", "then", "else"):
            return self.instance(schema[key], root, depth)
        return self.instance(self.rng.choice(schema[key]), root, depth)

    def _likely(self, schema: dict) -> str | None:
        rng = self.rng
        found = []
        if schema.keys() & _OF_OBJECTS:
            found.append("object")
        if schema.keys() & {
            "items",
            "prefixItems",
            "contains",
            "minItems",
            "uniqueItems",
            "maxItems",
            "unevaluatedItems",
        }:
            found.append("array")
        if schema.keys() & {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}:
            found.append("number")
        if schema.keys() & {"minLength", "maxLength", "pattern"}:
            found.append("string")
        return rng.choice(found) if found else None

    def _of_type(self, kind: str, schema: dict, root: dict, depth: int) -> Any:
        rng = self.rng
        if kind == "null":
            return None
        if kind == "boolean":
            return rng.random() < 0.5
        if kind in ("integer", "number"):
            step = schema.get("multipleOf")
            if step and rng.random() < 0.7:
                product = Fraction(repr(step)) * rng.randint(-4, 14)
                return int(product) if product.denominator == 1 else float(product)
            return rng.choice([n for n in NUMBERS if kind == "number" or n % 1 == 0])
        if kind == "string":
            return rng.choice(STRINGS)
        if kind == "array":
            prefix = schema.get("prefixItems", [])[: rng.randint(0, 4)]
            more = rng.randint(0, 3) if len(prefix) == len(schema.get("prefixItems", [])) else 0
            rest = [schema.get("items", schema.get("contains", True))] * max(
                more, schema.get("minItems", 0) - len(prefix)
            )
            return [self.instance(part, root, depth) for part in [*prefix, *rest]]
        properties = schema.get("properties", {})
        names = [name for name in properties if rng.random() < 0.6]
        names += [name for name in schema.get("required", []) if rng.random() < 0.9]
        names += rng.sample((*NAMES, *OTHERS), rng.choice((0, 0, 1, 2)))
        rng.shuffle(names)
        others = [schema[key] for key in ("additionalProperties", "unevaluatedProperties") if key in schema]
        others += schema.get("patternProperties", {}).values()
        return {
            name: self.instance(properties.get(name, rng.choice(others) if others else True), root, depth)
            for name in dict.fromkeys(names)
        }


# ---- Judging ----------------------------------------------------------------------------------------------


def is_endless(schema: Any, root: dict) -> bool:
    """Tell whether some reference leads back to its schema without a value in between: that says nothing."""
    targets = {"#": root, "#/$defs/p": root["$defs"]["p"], "#/$defs/q": root["$defs"]["q"]}

    def in_place(part: Any) -> list[Any]:
        if not isinstance(part, dict):
            return []
        found = [part[key] for key in ("not", "if", "then", "else") if key in part]
        found += [branch for key in ("allOf", "anyOf", "oneOf") for branch in part.get(key, [])]
        found += part.get("dependentSchemas", {}).values()
        return found + ([targets[part["$ref"]]] if "$ref" in part else [])

    def leads_back(start: Any) -> bool:
        waiting, seen = in_place(start), set()
        while waiting:
            part = waiting.pop()
            if part is start:
                return True
            if id(part) not in seen:
                seen.add(id(part))
                waiting += in_place(part)
        return False

    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if "$ref" in part and leads_back(part):
                return True
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
    return False


class Tally(NamedTuple):
    """What came of some schemas."""

    counts: Counter[str]
    reasons: Counter[str]
    differences: list[str]


class Mask:
    """Leads a text through the masks, by pieces of random length."""

    def __init__(self, vocabulary: Vocabulary, rng: random.Random):
        self.rng = rng
        self.pieces = {token: i for i, token in enumerate(vocabulary.tokens) if token is not None}
        self.longest = max(map(len, self.pieces))

    def accepts(self, constraint: Constraint, text: bytes) -> bool:
        """Tell whether every mask allows the next piece, and the last one the end."""
        matcher, place = constraint.matcher(), 0
        while place < len(text):
            fitting = [n for n in range(1, self.longest + 1) if text[place : place + n] in self.pieces]
            length = self.rng.choice([n for n in fitting if place + n <= len(text)])
            token = self.pieces[text[place : place + length]]
            row = matcher.mask()
            is_allowed = bool(row[token // 32] >> (token % 32) & 1)
            if matcher.advance(token) != is_allowed:
                raise AssertionError(f"mask and advance differ at byte {place} of {text!r}")
            if not is_allowed:
                return False
            place += length
        end = constraint.vocabulary.eos_token_ids[0]
        is_end = bool(matcher.mask()[end // 32] >> (end % 32) & 1)
        if is_end != matcher.is_accepting():
            raise AssertionError(f"the mask's end differs from is_accepting after {text!r}")
        return is_end


def run(
    rng: random.Random, num_schemas: int, instances: int, order: str = "declared", seconds: float = 1e9
) -> Tally:
    """Compare verdicts on random schemas; under declared order a valid instance may be refused for its order."""
    schemas, tally = Schemas(rng), Tally(Counter(), Counter(), [])
    words = vocabulary()
    mask = Mask(words, rng)
    deadline = time.monotonic() + seconds
    for _ in range(num_schemas):
        if time.monotonic() > deadline:
            break
        schema = schemas.root()
        if is_endless(schema, schema):
            tally.counts["endless"] += 1
            continue
        tally.counts["schemas"] += 1
        constraint: Constraint | None = None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                constraint = Constraint(
                    JsonSchema(
                        schema, whitespace_pattern="compact", property_order=order, number_forms="all"
                    ),
                    words,
                )
        except EmptyLanguageError:
            tally.counts["empty"] += 1
        except (SchemaError, ConstraintError) as error:
            tally.counts["refused"] += 1
            tally.reasons[f"{type(error).__name__}: {reason_class(str(error))}"] += 1
            continue
        validator = jsonschema.Draft202012Validator(schema)
        for _ in range(instances):
            value = schemas.instance(schema, schema)
            expected = validator.is_valid(value)
            text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
            tally.counts["valid" if expected else "invalid"] += 1
            actual = constraint is not None and mask.accepts(constraint, text)
            if expected and not actual and order == "declared":
                tally.counts["valid, but not in declared order"] += 1
            elif actual != expected:
                tally.differences.append(
                    f"{json.dumps(schema)} on {text.decode()}: jsonschema says {expected}"
                )
    return tally


def main() -> None:
    """Judge as many schemas as asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.schema_fuzz", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--schemas", type=int, default=1000)
    parser.add_argument("--instances", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--order", default="any", choices=("any", "declared"))
    chosen = parser.parse_args()
    tally = run(random.Random(chosen.seed), chosen.schemas, chosen.instances, chosen.order)
    print(dict(tally.counts))
    for reason, count in tally.reasons.most_common():
        print(f"{count:6} {reason}")
    print(f"{len(tally.differences)} differences", *tally.differences[:20], sep="\n")


if __name__ == "__main__":
    main()
