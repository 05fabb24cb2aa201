"""Prompts from templates in Jinja's language, with filters that describe functions and types to a model.

    >>> from outlines import Template
    >>> template = Template.from_string("List the parts of a {{ thing }}.")
    >>> template(thing="clock")
    'List the parts of a clock.'
"""

from __future__ import annotations

import functools
import inspect
import json
import re
import textwrap
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outlines.exceptions import shorten
from outlines.inputs import Image
from outlines.types.utils import is_pydantic_model

if TYPE_CHECKING:
    import jinja2
    import PIL.Image

__all__ = ["Template", "Vision"]


def Vision(prompt: str, image: PIL.Image.Image) -> list:
    """Give a prompt and an image as a model takes them.

    Deprecated: write the list `[prompt, Image(image)]` instead.
    """
    warnings.warn(
        "Vision is deprecated: give the model a list of the prompt and an `outlines.Image`, as in "
        "`model([prompt, Image(image)])`",
        DeprecationWarning,
        stacklevel=2,
    )
    return [prompt, Image(image)]


@dataclass
class Template:
    """A prompt with places for values, made by `from_string` or `from_file`, called with the values by name.

    Parameters
    ----------
    template
        Jinja's template.
    """

    template: jinja2.Template

    def __call__(self, *args: Any, **kwargs: Any) -> str:
        """Fill the values in; positional ones are ignored.

        Raises
        ------
        jinja2.exceptions.UndefinedError
            If the template uses a name that isn't given.
        """
        return self.template.render(**kwargs)

    @classmethod
    def from_string(cls, content: str, filters: Mapping[str, Callable[..., Any]] = {}) -> Template:
        r"""Make a template of a text.

        Parameters
        ----------
        content
            The text, which may be indented as the code around it. Runs of blanks after a word become one blank; what
            is filled in stays as it is. An empty last line keeps its line break.
        filters
            Filters by name, besides those that are built in: name, args, description, source, signature, schema.

        Examples
        --------
        >>> Template.from_string("a    b {{ c }}")(c="d    e")
        'a b d    e'
        >>> Template.from_string("hello\\n\\n")()
        'hello\\n'
        """
        return cls(build_template_from_string(content, filters))

    @classmethod
    def from_file(cls, path: str | Path, filters: Mapping[str, Callable[..., Any]] = {}) -> Template:
        """Make a template of a file, verbatim; it may include and extend others in its folder."""
        return cls(build_template_from_file(path, filters))


def build_template_from_string(
    content: str,
    filters: Mapping[str, Callable[..., Any]] = {},
) -> jinja2.Template:
    """Give Jinja's template of a text, see `Template.from_string`."""
    cleaned = inspect.cleandoc(content)
    if content.replace(" ", "").endswith("\n\n"):
        cleaned += "\n"
    cleaned = re.sub(r"(?<=\w)[^\S\r\n]+", " ", cleaned)
    return create_jinja_env(None, filters).from_string(cleaned)


def build_template_from_file(
    path: str | Path,
    filters: Mapping[str, Callable[..., Any]] = {},
) -> jinja2.Template:
    """Give Jinja's template of a file, see `Template.from_file`."""
    import jinja2

    file = Path(path)
    return create_jinja_env(jinja2.FileSystemLoader(file.parent), filters).get_template(file.name)


def create_jinja_env(
    loader: jinja2.BaseLoader | None, filters: Mapping[str, Callable[..., Any]]
) -> jinja2.Environment:
    """Give Jinja's environment: blocks leave no blank lines, names must be given, `filters` go before ours."""
    import jinja2

    environment = jinja2.Environment(
        loader=loader,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(_FILTERS)
    environment.filters.update(filters)
    return environment


# Filters on functions


def get_fn_name(fn: Callable[..., Any]) -> str:
    """Give the name of a function; of another callable, its class's."""
    _check_callable(fn, "name")
    return getattr(fn, "__name__", type(fn).__name__)


def get_fn_args(fn: Callable[..., Any]) -> str:
    """Give the parameters of a callable with their annotations and defaults."""
    _check_callable(fn, "args")
    return ", ".join(str(parameter) for parameter in inspect.signature(fn).parameters.values())


def get_fn_description(fn: Callable[..., Any]) -> str:
    """Give the first line of a callable's docstring, "" if it has none."""
    _check_callable(fn, "description")
    return (inspect.getdoc(fn) or "").partition("\n")[0].strip()


def get_fn_source(fn: Callable[..., Any]) -> str:
    """Give the source of a function, its decorators left out."""
    _check_callable(fn, "source")
    source = textwrap.dedent(inspect.getsource(fn))
    found = re.search(r"^[ \t]*(?:async[ \t]+)?def\s", source, re.MULTILINE)
    if found is None:
        raise TypeError(f"The `source` filter needs a function that is written with `def`, not {shorten(fn)}.")
    return source[found.start() :].strip()


def get_fn_signature(fn: Callable[..., Any]) -> str:
    """Give what stands between the parentheses of a function's definition."""
    source = get_fn_source(fn)
    start = end = source.index("(") + 1
    depth = 1
    while depth:
        depth += {"(": 1, ")": -1}.get(source[end], 0)
        end += 1
    return source[start : end - 1]


def _check_callable(fn: Any, name: str) -> None:
    if not callable(fn):
        raise TypeError(f"The `{name}` filter only applies to callables.")


# The filter on types


@functools.singledispatch
def get_schema(model: Any) -> str:
    """Give a text that shows a model what to write: a dict as JSON, or a Pydantic model class simplified.

    Raises
    ------
    NotImplementedError
        If `model` is neither.
    """
    raise NotImplementedError(
        f"The `schema` filter takes a dict or a Pydantic model class, not {shorten(model)}."
    )


@get_schema.register(dict)
def get_schema_dict(model: dict[str, Any]) -> str:
    """Give a dict as indented JSON."""
    return json.dumps(model, indent=2)


@get_schema.register(type)
def get_schema_pydantic(model: Any) -> str:
    """Give the fields of a Pydantic model class with what is known of each, as indented JSON."""
    if not is_pydantic_model(model):
        return get_schema.dispatch(object)(model)
    raw_schema = model.model_json_schema()
    definitions = raw_schema.get("$defs", {})
    if "$ref" in raw_schema:  # a model that contains itself
        raw_schema = definitions[_referenced(raw_schema)]
    return json.dumps(parse_pydantic_schema(raw_schema, definitions), indent=2)


def parse_pydantic_schema(raw_schema: dict[str, Any], definitions: dict[str, Any] | None) -> dict[str, Any]:
    """Simplify an object's schema to a dict of its fields."""
    return {
        name: parse_pydantic_schema_value(name, value, definitions)
        for name, value in raw_schema["properties"].items()
    }


def parse_pydantic_schema_value(name: str, schema: dict[str, Any], definitions: dict[str, Any] | None) -> Any:
    """Simplify a field's schema: its description, else its fields, else its choices, else its name."""
    if "description" in schema:
        return schema["description"]
    if "$ref" in schema:
        key = _referenced(schema)
        if not definitions or key not in definitions:  # we are within it already
            return f"<{name}>"
        definition = definitions[key]
        others = {other: value for other, value in definitions.items() if other != key}
        if "properties" in definition:
            return parse_pydantic_schema(definition, others)
        return parse_pydantic_schema_value(name, definition, others)
    if "enum" in schema:
        return f"<{' | '.join(map(str, schema['enum']))}>"
    if "anyOf" in schema:
        members = [member for member in schema["anyOf"] if member.get("type") != "null"]
        if len(members) == 1:
            return parse_pydantic_schema_value(name, members[0], definitions)
    return f"<{name}>"


def _referenced(schema: dict[str, Any]) -> str:
    return schema["$ref"].rpartition("/")[2]


_FILTERS: dict[str, Callable[..., Any]] = {
    "name": get_fn_name,
    "args": get_fn_args,
    "description": get_fn_description,
    "source": get_fn_source,
    "signature": get_fn_signature,
    "schema": get_schema,
}
