"""Structured generation: a model's text is held to a type, a schema, a pattern or a grammar.

Nothing optional is imported here: a provider's library is, when a model of that provider is made.
"""

from outlines import exceptions, generator, grammars, inputs, models, processors, types
from outlines.generator import Generator
from outlines.inputs import Audio, Image, Video
from outlines.models import (
    MLXLM,
    TGI,
    VLLM,
    Anthropic,
    AsyncBlackBoxModel,
    AsyncDottxt,
    AsyncLMStudio,
    AsyncLlamaCppServer,
    AsyncMistral,
    AsyncOllama,
    AsyncOpenAI,
    AsyncSGLang,
    AsyncTGI,
    AsyncVLLM,
    BatchError,
    BlackBoxModel,
    Dottxt,
    Gemini,
    LMStudio,
    LlamaCpp,
    LlamaCppServer,
    Mistral,
    Model,
    ModelTypeAdapter,
    Ollama,
    OpenAI,
    SGLang,
    SteerableModel,
    TransformerTokenizer,
    Transformers,
    TransformersMultiModal,
    VLLMOffline,
    checked,
    concurrent,
    from_anthropic,
    from_dottxt,
    from_gemini,
    from_llamacpp,
    from_llamacpp_server,
    from_lmstudio,
    from_mistral,
    from_mlxlm,
    from_ollama,
    from_openai,
    from_sglang,
    from_tgi,
    from_transformers,
    from_vllm,
    from_vllm_offline,
)
from outlines.types import cfg, json_schema, regex

__all__ = ["Anthropic", "AsyncBlackBoxModel", "AsyncDottxt", "AsyncLMStudio", "AsyncLlamaCppServer", "AsyncMistral", "AsyncOllama", "AsyncOpenAI", "AsyncSGLang", "AsyncTGI", "AsyncVLLM", "Audio", "BatchError", "BlackBoxModel", "Dottxt", "Gemini", "Generator", "Image", "LMStudio", "LlamaCpp", "LlamaCppServer", "MLXLM", "Mistral", "Model", "ModelTypeAdapter", "Ollama", "OpenAI", "SGLang", "SteerableModel", "TGI", "TransformerTokenizer", "Transformers", "TransformersMultiModal", "VLLM", "VLLMOffline", "Video", "cfg", "checked", "concurrent", "exceptions", "from_anthropic", "from_dottxt", "from_gemini", "from_llamacpp", "from_llamacpp_server", "from_lmstudio", "from_mistral", "from_mlxlm", "from_ollama", "from_openai", "from_sglang", "from_tgi", "from_transformers", "from_vllm", "from_vllm_offline", "generator", "grammars", "inputs", "json_schema", "models", "processors", "regex", "types"]
