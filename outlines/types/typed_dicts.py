"""`typing.TypedDict` for pydantic, which takes only that of `typing_extensions` before Python 3.12."""

from __future__ import annotations

import sys
from types import GenericAlias, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import typing_extensions

__all__ = ["for_pydantic"]


def for_pydantic(annotation: Any) -> Any:
    """Replace each `typing.TypedDict` in an annotation by its twin of `typing_extensions`.

    Typed dicts within typed dicts, and within containers and unions there, are found; those that are fields
    of a dataclass or a pydantic model are pydantic's to refuse. From Python 3.12 on there is nothing to
    replace.
    """
    return annotation if sys.version_info >= (3, 12) else _replaced(annotation, {})


def _replaced(annotation: Any, twins: dict[Any, Any]) -> Any:
    if typing_extensions.is_typeddict(annotation):
        if type(annotation).__module__ != "typing":
            return annotation
        return twins[annotation] if annotation in twins else _twin(annotation, twins)
    args = get_args(annotation)
    new_args = tuple(_replaced(arg, twins) for arg in args)
    if all(new is old for new, old in zip(new_args, args, strict=True)):
        return annotation
    if get_origin(annotation) is Annotated:
        return Annotated[new_args]
    if isinstance(annotation, UnionType):
        return Union[new_args]  # noqa: UP007  # made at run time
    if isinstance(annotation, GenericAlias):
        return GenericAlias(annotation.__origin__, new_args)  # type: ignore[arg-type]
    return annotation.copy_with(new_args)


def _twin(typed_dict: Any, twins: dict[Any, Any]) -> Any:
    # The fields come after the class is known, because they may refer to it.
    twin = twins[typed_dict] = typing_extensions.TypedDict(typed_dict.__name__, {})  # type: ignore[operator]
    hints = typing_extensions.get_type_hints(typed_dict, include_extras=True)
    twin.__annotations__ = {name: _replaced(hint, twins) for name, hint in hints.items()}
    for attribute in ("__module__", "__qualname__", "__doc__", "__required_keys__", "__optional_keys__"):
        setattr(twin, attribute, getattr(typed_dict, attribute))
    if hasattr(typed_dict, "__pydantic_config__"):
        twin.__pydantic_config__ = typed_dict.__pydantic_config__
    return twin
