"""What kind of type or value something is, and enums and signatures as other types.

Predicates take anything and never raise. pydantic and genson are imported only by who builds their objects:
as long as nobody has, nothing can be one.
"""

from __future__ import annotations

import dataclasses
import datetime
import inspect
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from enum import Enum, EnumMeta
from functools import partial
from types import GenericAlias, UnionType
from typing import Annotated, Any, Literal, NewType, Union, get_args, get_origin

import typing_extensions

from outlines.exceptions import shorten
from outlines.types.typed_dicts import for_pydantic

__all__ = [
    "get_enum_from_choice",
    "get_enum_from_literal",
    "get_schema_from_enum",
    "get_schema_from_signature",
    "is_bool",
    "is_callable",
    "is_dataclass",
    "is_date",
    "is_datetime",
    "is_dict_instance",
    "is_enum",
    "is_float",
    "is_float_instance",
    "is_genson_schema_builder",
    "is_int",
    "is_int_instance",
    "is_literal",
    "is_native_dict",
    "is_pydantic_model",
    "is_str",
    "is_str_instance",
    "is_time",
    "is_typed_dict",
    "is_typing_dict",
    "is_typing_list",
    "is_typing_tuple",
    "is_union",
]


def _is_class(value: Any) -> bool:
    # Python 3.10 takes list[int] for an instance of type.
    return isinstance(value, type) and not isinstance(value, GenericAlias)


def _bare(value: Any) -> Any:
    """Take `Annotated` and `NewType` off a type."""
    while True:
        if get_origin(value) is Annotated:
            value = get_args(value)[0]
        elif isinstance(value, NewType):
            value = value.__supertype__
        else:
            return value


def is_int(value: Any) -> bool:
    """Say whether `value` is the class `int`, or `Annotated` or `NewType` over it."""
    return _bare(value) is int


def is_float(value: Any) -> bool:
    """Say whether `value` is the class `float`, or `Annotated` or `NewType` over it."""
    return _bare(value) is float


def is_str(value: Any) -> bool:
    """Say whether `value` is the class `str`, or `Annotated` or `NewType` over it."""
    return _bare(value) is str


def is_bool(value: Any) -> bool:
    """Say whether `value` is the class `bool`, or `Annotated` or `NewType` over it."""
    return _bare(value) is bool


def is_int_instance(value: Any) -> bool:
    """Say whether `value` is an integer; True and False aren't."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_float_instance(value: Any) -> bool:
    """Say whether `value` is a float."""
    return isinstance(value, float)


def is_str_instance(value: Any) -> bool:
    """Say whether `value` is a string."""
    return isinstance(value, str)


def is_dict_instance(value: Any) -> bool:
    """Say whether `value` is a dictionary."""
    return isinstance(value, dict)


def is_datetime(value: Any) -> bool:
    """Say whether `value` is the class `datetime.datetime`."""
    return value is datetime.datetime


def is_date(value: Any) -> bool:
    """Say whether `value` is the class `datetime.date`."""
    return value is datetime.date


def is_time(value: Any) -> bool:
    """Say whether `value` is the class `datetime.time`."""
    return value is datetime.time


def is_native_dict(value: Any) -> bool:
    """Say whether `value` is the class `dict`, without parameters."""
    return value is dict


def is_typing_dict(value: Any) -> bool:
    """Say whether `value` is `dict[...]` or `Dict[...]`."""
    return get_origin(value) is dict


def is_typing_list(value: Any) -> bool:
    """Say whether `value` is `list[...]` or `List[...]`."""
    return get_origin(value) is list


def is_typing_tuple(value: Any) -> bool:
    """Say whether `value` is `tuple[...]` or `Tuple[...]`."""
    return get_origin(value) is tuple


def is_union(value: Any) -> bool:
    """Say whether `value` is `Union[...]`, `Optional[...]` or `X | Y`."""
    return get_origin(value) in (Union, UnionType)


def is_literal(value: Any) -> bool:
    """Say whether `value` is `Literal[...]`."""
    return get_origin(value) is Literal


def is_dataclass(value: Any) -> bool:
    """Say whether `value` is a dataclass, not an instance of one."""
    return _is_class(value) and dataclasses.is_dataclass(value)


def is_typed_dict(value: Any) -> bool:
    """Say whether `value` is a `TypedDict` class, of `typing` or of `typing_extensions`, on any Python."""
    return typing_extensions.is_typeddict(value)


def is_pydantic_model(value: Any) -> bool:
    """Say whether `value` is a pydantic model class, not an instance of one."""
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and _is_class(value) and issubclass(value, pydantic.BaseModel)


def is_genson_schema_builder(value: Any) -> bool:
    """Say whether `value` is a genson `SchemaBuilder`."""
    genson = sys.modules.get("genson")
    return genson is not None and isinstance(value, genson.SchemaBuilder)


def is_enum(value: Any) -> bool:
    """Say whether `value` is an enum class, not a member of one."""
    return isinstance(value, EnumMeta)


def is_callable(value: Any) -> bool:
    """Say whether `value` can be called and is not a class."""
    return callable(value) and not _is_class(value)


def get_enum_from_literal(value: Any) -> type[Enum]:
    """Make the enum, named as the literal is, that has a member for each value of a `Literal`.

    Members are named `str(value)`. Where several values share that, they are named after their types
    (`str_1`, `int_1`), so that none is lost.
    """
    return _enum_of(value.__name__, get_args(value))


def get_enum_from_choice(value: Any) -> type[Enum]:
    """Make the enum `Choice` that has a member for each item of a `Choice`, named as for a literal."""
    return _enum_of("Choice", value.items)


def _enum_of(name: str, values: Iterable[Any]) -> type[Enum]:
    values = list(values)
    count = Counter(map(str, values))
    return Enum(name, [(_qualified(v) if count[str(v)] > 1 else str(v), v) for v in values])  # type: ignore[return-value]


def _qualified(value: Any) -> str:
    return f"{type(value).__name__}_{value}"


def get_schema_from_signature(fn: Callable[..., Any]) -> dict[str, Any]:
    """Make the JSON Schema of the object that holds a call's arguments.

    Parameters
    ----------
    fn
        A function, a bound method (without `self`), a `functools.partial` (with the parameters that it leaves
        open) or any other callable. Each parameter needs an annotation; one with a default is optional.

    Returns
    -------
    dict
        Its title is the function's name, or "Arguments", with a `UserWarning`, where there is none.

    Raises
    ------
    ValueError
        If a parameter has no annotation, or one that can't be evaluated or has no JSON Schema, or if `fn` has
        no signature.
    """
    from pydantic import Field, PydanticUserError, TypeAdapter
    from pydantic.fields import FieldInfo

    try:
        signature = inspect.signature(fn, eval_str=True)
    except (NameError, TypeError, ValueError) as error:
        raise ValueError(f"the signature of {shorten(fn)} can't be read: {error}") from error

    fields = {}
    for name, parameter in signature.parameters.items():
        if parameter.annotation is parameter.empty:
            raise ValueError(f"parameter {name!r} of {shorten(fn)} has no annotation; each one needs it.")
        fields[name] = for_pydantic(parameter.annotation)
        if parameter.default is not parameter.empty:
            default = parameter.default
            field = default if isinstance(default, FieldInfo) else Field(default=default)
            annotated = Annotated[fields[name], field]  # type: ignore[valid-type]
            fields[name] = annotated if field.is_required() else typing_extensions.NotRequired[annotated]

    title = getattr(fn, "__name__", None)
    if title is None:
        title = "Arguments"
        warnings.warn(f"{shorten(fn)} has no name; its schema is titled {title!r}.", stacklevel=2)
    # A TypedDict and not a model: its keys may have any name, also `schema` or `_private`.
    arguments = typing_extensions.TypedDict(title, fields)  # type: ignore[misc]
    try:
        return TypeAdapter(arguments).json_schema()
    except PydanticUserError as error:
        raise ValueError(f"the arguments of {shorten(fn)} have no JSON Schema: {error}") from error


def get_schema_from_enum(myenum: type[Enum]) -> dict[str, Any]:
    """Make the JSON Schema that has one branch for each member of an enum.

    A value gives a constant, a `functools.partial` the signature of the function that it wraps.

    Raises
    ------
    ValueError
        If the enum has no members.
    """
    if len(myenum) == 0:
        raise ValueError(f"the enum {myenum.__name__} has no members, so no value satisfies its schema.")
    return {"title": myenum.__name__, "oneOf": [_member_schema(member.value) for member in myenum]}


def _member_schema(value: Any) -> dict[str, Any]:
    return get_schema_from_signature(value.func) if isinstance(value, partial) else {"const": value}
