"""One adapter for each provider of models, and what they share."""

from outlines.models.base import Model, ModelTypeAdapter
from outlines.models.transformers import Transformers, TransformerTokenizer, from_transformers

__all__ = [
    "AsyncBlackBoxModel",
    "BlackBoxModel",
    "Model",
    "ModelTypeAdapter",
    "SteerableModel",
    "TransformerTokenizer",
    "Transformers",
    "from_transformers",
]

# All three are for `isinstance`. They become unions as adapters come; an empty tuple is a union without
# members.
SteerableModel = Transformers
BlackBoxModel = ()
AsyncBlackBoxModel = ()
