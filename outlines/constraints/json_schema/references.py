"""References between schemas, and the draft of the standard that a schema follows.

Pointers within a document that has no other resources are followed here; all else (`$id`, anchors, other documents,
dynamic scope) is resolved by the `referencing` library, from the schema itself, the meta-schemas, and what the user's
registry has. Nothing is ever fetched, unless by the user's registry.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

from outlines.exceptions import SchemaError, shorten

__all__ = ["NEWEST", "Scope", "Scopes", "draft_of"]

#: The newest draft, as `draft_of` gives it.
NEWEST = 2020

#: An index into a list, in a JSON pointer (RFC 6901, section 4).
_INDEX = re.compile("0|[1-9][0-9]{0,9}")

_DRAFTS = {"draft-03": 3, "draft-04": 4, "draft-06": 6, "draft-07": 7, "2019-09": 2019, "2020-12": 2020}
_DRAFT = re.compile("|".join(_DRAFTS))

#: Vocabularies without which keywords assert nothing.
_VALIDATION = re.compile(r"https://json-schema\.org/draft/[0-9-]+/vocab/validation$")


def draft_of(schema: Any) -> int | None:
    """Give the draft that a document says it follows: 4, 6, 7, 2019 or 2020; None if it doesn't say."""
    dialect = schema.get("$schema") if isinstance(schema, dict) else None
    found = _DRAFT.search(dialect) if isinstance(dialect, str) and "json-schema.org" in dialect else None
    return None if found is None else max(4, _DRAFTS[found.group()])


class Scope:
    """Where a schema stands: the resource that its references are relative to, and those that led there.

    Attributes
    ----------
    root : dict or bool
        The schema of the whole resource.
    draft : int or None
        The draft that the resource follows; None is any, as tolerant as can be.
    number : int
        Tells scopes apart.
    asserts : bool
        Whether the keywords of the validation vocabulary assert anything.
    """

    __slots__ = ("root", "draft", "number", "resolver", "asserts")

    def __init__(self, root: Any, draft: int | None, number: int, resolver: Any, asserts: bool):
        self.root = root
        self.draft = draft
        self.number = number
        self.resolver = resolver
        self.asserts = asserts


class Scopes:
    """The scopes of a document.

    Parameters
    ----------
    root
        The document.
    registry
        A `referencing.Registry` of further documents, or None.
    """

    def __init__(self, root: Any, registry: Any = None):
        self._root = root
        self._registry = registry
        self._draft = draft_of(root)
        self._has_old_ids = self._draft == 4
        if self._draft is None and isinstance(root, dict) and isinstance(root.get("id"), str) and "$id" not in root:
            self._has_old_ids = True
        self._scopes: dict[tuple, Scope] = {}
        self.start = Scope(root, self._draft, 0, None, True)
        if self._draft is None and isinstance(root, dict) and registry is not None and "$schema" in root:
            self.start.asserts = self._asserts(root)
        self._searched: dict[int, Any] = {}  # documents by their identity, which are kept so that it stays theirs
        self._has_dynamic = False

    # Scopes

    def enter(self, scope: Scope, schema: dict[str, Any]) -> Scope:
        """Give the scope of a schema that is reached from its parent's: another one where it has an identifier."""
        identifier = schema.get("id" if scope.draft == 4 or (scope.draft is None and self._has_old_ids) else "$id")
        if schema is scope.root or not isinstance(identifier, str):
            return scope
        if identifier.startswith("#") or ("$ref" in schema and scope.draft is not None and scope.draft <= 7):
            return scope
        draft = draft_of(schema) or scope.draft
        resource = _specification(draft, self._has_old_ids).create_resource(schema)
        return self._scope(self._resolver(scope).in_subresource(resource), schema, draft, scope.asserts)

    def _resolver(self, scope: Scope) -> Any:
        if scope.resolver is None:
            from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped, unused-ignore]

            root = _specification(scope.draft, self._has_old_ids).create_resource(self._root)
            registry = REGISTRY if self._registry is None else _readable(self._registry).combine(REGISTRY)
            scope.resolver = registry.with_resource("", root).resolver_with_root(root)
        return scope.resolver

    def _scope(self, resolver: Any, root: Any, draft: int | None, asserts: bool) -> Scope:
        """Intern a scope: by its resource, and where there are dynamic anchors by those that led there."""
        key: tuple = (id(root), draft, asserts)
        if self._is_dynamic(root):
            led_by = [uri for uri, _ in resolver.dynamic_scope()]
            key += tuple(dict.fromkeys(reversed(led_by)))
        found = self._scopes.get(key)
        if found is None:
            found = self._scopes[key] = Scope(root, draft, len(self._scopes) + 1, resolver, asserts)
        return found

    def _is_dynamic(self, root: Any) -> bool:
        """Tell whether a document that was reached so far, this one included, has a dynamic anchor."""
        if not self._has_dynamic and id(root) not in self._searched:
            self._searched[id(root)] = root
            self._has_dynamic = _has_dynamic_anchor(root)
        return self._has_dynamic

    # References

    def resolve(self, reference: Any, scope: Scope, pointer: str) -> tuple[Any, str, Scope]:
        """Find what `$ref` stands for: the schema, a pointer to it for messages, and its scope.

        Raises
        ------
        SchemaError
            If it leads nowhere.
        """
        if not isinstance(reference, str):
            raise SchemaError(pointer, f"a reference is a string, got {shorten(reference)}")
        if scope is self.start and (reference == "#" or reference.startswith("#/")):
            found = self._follow(reference[1:], pointer)
            if found is not None:
                return found, unquote(reference[1:]), scope
        resolved = self._look_up(reference, scope, pointer)
        return self._resolved(resolved, reference, scope)

    def _resolved(self, resolved: Any, reference: str, scope: Scope) -> tuple[Any, str, Scope]:
        root = resolved.resolver.lookup("#").contents
        if root is self._root and not self._is_dynamic(root):
            return resolved.contents, unquote(reference.rpartition("#")[2]), self.start
        draft, asserts = scope.draft, scope.asserts
        if root is not scope.root:
            draft, asserts = draft_of(root) or self._draft, self._asserts(root)
        return resolved.contents, unquote(reference), self._scope(resolved.resolver, root, draft, asserts)

    def _look_up(self, reference: str, scope: Scope, pointer: str) -> Any:
        from referencing.exceptions import NoSuchAnchor, PointerToNowhere, Unresolvable

        resolver = self._resolver(scope)
        try:
            return self._static(resolver, reference)
        except (Unresolvable, ValueError) as error:
            if reference.startswith("#/"):  # as if the schema within had no name of its own: many mean it so
                try:
                    return self._resolver(self.start).lookup(reference)
                except (Unresolvable, ValueError):
                    pass
            if isinstance(error, PointerToNowhere | NoSuchAnchor | ValueError):
                raise SchemaError(
                    pointer, f"{shorten(reference)} leads nowhere; correct the reference, or add what it names"
                ) from error
            raise SchemaError(
                pointer,
                f"{shorten(reference)} leads nowhere: it names another document, and nothing is fetched; give that in "
                "a `referencing.Registry`",
            ) from error

    def _static(self, resolver: Any, reference: str) -> Any:
        """Look a reference up as `$ref` does, for which a dynamic anchor is an anchor as any other."""
        uri, _, fragment = reference.partition("#")
        if not fragment or fragment.startswith("/"):
            return resolver.lookup(reference)
        resolved = resolver.lookup(uri) if uri else resolver.lookup("#")
        found = resolved.resolver.lookup(f"#{fragment}")
        anchored = self._anchored(resolved.contents, fragment)
        if anchored is None or anchored is found.contents:
            return found
        return type(found)(contents=anchored, resolver=resolved.resolver)

    def _anchored(self, resource: Any, name: str) -> Any:
        """Find the schema of a resource that has a dynamic anchor, without its other resources."""
        waiting = [resource]
        while waiting:
            part = waiting.pop()
            if isinstance(part, dict):
                if part is not resource and isinstance(part.get("$id"), str):
                    continue
                if part.get("$dynamicAnchor") == name:
                    return part
                waiting.extend(part.values())
            elif isinstance(part, list):
                waiting.extend(part)
        return None

    def resolve_dynamic(self, reference: Any, scope: Scope, pointer: str) -> tuple[Any, str, Scope]:
        """Find what `$dynamicRef` stands for: the outermost dynamic anchor of that name, if it leads to one at all."""
        if not isinstance(reference, str):
            raise SchemaError(pointer, f"a reference is a string, got {shorten(reference)}")
        target, place, inner = self.resolve(reference, scope, pointer)
        _, _, fragment = reference.partition("#")
        if not isinstance(target, dict) or target.get("$dynamicAnchor") != fragment or not fragment:
            return target, place, inner
        resolver = self._resolver(scope)
        return self._resolved(resolver.lookup(reference), reference, scope)

    def resolve_recursive(self, scope: Scope, pointer: str) -> tuple[Any, str, Scope]:
        """Find what `$recursiveRef` stands for: the outermost resource with a recursive anchor, or this one."""
        target, place, inner = self.resolve("#", scope, pointer)
        if not _is_recursive(target):
            return target, place, inner
        resolver = self._resolver(scope)
        resolved = resolver.lookup("#")
        for uri, _ in resolver.dynamic_scope():
            further = resolver.lookup(uri)
            if not _is_recursive(further.contents):
                break
            resolved = further
        return self._resolved(resolved, "#", scope)

    def _follow(self, fragment: str, pointer: str) -> Any:
        """Follow a pointer from the root; None where it passes a schema with a name of its own."""
        schema = self._root
        for part in unquote(fragment[1:]).split("/") if fragment else ():
            part = part.replace("~1", "/").replace("~0", "~")
            if isinstance(schema, list) and _INDEX.fullmatch(part) and int(part) < len(schema):
                schema = schema[int(part)]
            elif isinstance(schema, dict) and part in schema:
                schema = schema[part]
            else:
                raise SchemaError(pointer, f"{shorten('#' + fragment)} leads nowhere: there is no {shorten(part)}")
            if isinstance(schema, dict) and (
                isinstance(schema.get("$id"), str) or (self._has_old_ids and isinstance(schema.get("id"), str))
            ):
                return None
        return schema

    def _asserts(self, root: Any) -> bool:
        """Tell whether the meta-schema of a document has the validation vocabulary; those unknown have it."""
        dialect = root.get("$schema") if isinstance(root, dict) else None
        if not isinstance(dialect, str) or self._registry is None or draft_of(root) is not None:
            return True
        found = self._registry.get(dialect.rstrip("#"))
        vocabularies = found.contents.get("$vocabulary") if found is not None else None
        return vocabularies is None or any(map(_VALIDATION.match, vocabularies))


def _is_recursive(schema: Any) -> bool:
    return isinstance(schema, dict) and schema.get("$recursiveAnchor") is True


def _has_dynamic_anchor(document: Any) -> bool:
    waiting = [document]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if "$dynamicAnchor" in part or part.get("$recursiveAnchor") is True:
                return True
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
    return False


def _readable(registry: Any) -> Any:
    """Leave out the documents that the library can't read as schemas of their draft, so that the others are found."""
    try:
        return registry.crawl()
    except (TypeError, AttributeError):
        for uri in list(registry):
            try:
                type(registry)().with_resource(uri, registry[uri]).crawl()
            except (TypeError, AttributeError):
                registry = registry.remove(uri)
        return registry


def _specification(draft: int | None, has_old_ids: bool) -> Any:
    from referencing import jsonschema

    if draft is None and has_old_ids:
        draft = 4
    return {
        4: jsonschema.DRAFT4, 6: jsonschema.DRAFT6, 7: jsonschema.DRAFT7, 2019: jsonschema.DRAFT201909,
        2020: jsonschema.DRAFT202012, None: jsonschema.DRAFT202012,
    }[draft]  # fmt: skip
