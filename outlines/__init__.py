"""Structured generation: a model's text is held to a type, a schema, a pattern or a grammar.

Nothing optional is imported here: a provider's library is, when a model of that provider is made.
"""

from outlines import exceptions, generator, grammars, inputs, models, processors, types
from outlines.generator import Generator
from outlines.inputs import Audio, Image, Video
from outlines.models import (
    AsyncBlackBoxModel,
    BlackBoxModel,
    Model,
    ModelTypeAdapter,
    SteerableModel,
    Transformers,
    TransformerTokenizer,
    from_transformers,
)
from outlines.types import cfg, json_schema, regex

__all__ = [
    "AsyncBlackBoxModel",
    "Audio",
    "BlackBoxModel",
    "Generator",
    "Image",
    "Model",
    "ModelTypeAdapter",
    "SteerableModel",
    "TransformerTokenizer",
    "Transformers",
    "Video",
    "cfg",
    "exceptions",
    "from_transformers",
    "generator",
    "grammars",
    "inputs",
    "json_schema",
    "models",
    "processors",
    "regex",
    "types",
]
