"""Structured generation: a model's text is held to a type, a schema, a pattern or a grammar.

Nothing optional is imported here: a provider's library is, when a model of that provider is made.
"""

from outlines import (
    applications,
    backends,
    caching,
    exceptions,
    generate,
    generator,
    grammars,
    inputs,
    insight,
    models,
    processors,
    results,
    templates,
    types,
)
from outlines.applications import Application
from outlines.caching import clear_cache, disable_cache, get_cache
from outlines.generator import Generator
from outlines.inputs import Audio, Image, Video
from outlines.insight import draw, examples, explain
from outlines.models import *  # noqa: F403  # models.__all__ says what
from outlines.results import Result
from outlines.templates import Template, Vision
from outlines.types import cfg, json_schema, regex

__all__ = [
    "Application",
    "Audio",
    "Generator",
    "Image",
    "Result",
    "Template",
    "Video",
    "Vision",
    "applications",
    "backends",
    "caching",
    "cfg",
    "clear_cache",
    "disable_cache",
    "draw",
    "examples",
    "exceptions",
    "explain",
    "generate",
    "generator",
    "get_cache",
    "grammars",
    "inputs",
    "insight",
    "json_schema",
    "models",
    "processors",
    "regex",
    "results",
    "templates",
    "types",
]
__all__ += models.__all__
