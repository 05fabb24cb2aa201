"""One adapter for each provider of models, and what they share."""

from outlines.models.anthropic import Anthropic, from_anthropic
from outlines.models.base import Model, ModelTypeAdapter
from outlines.models.batches import AsyncConcurrentModel, BatchError, ConcurrentModel, concurrent
from outlines.models.checks import AsyncCheckedModel, CheckedModel, checked
from outlines.models.dottxt import AsyncDottxt, Dottxt, from_dottxt
from outlines.models.gemini import Gemini, from_gemini
from outlines.models.llamacpp import LlamaCpp, from_llamacpp
from outlines.models.llamacpp_server import AsyncLlamaCppServer, LlamaCppServer, from_llamacpp_server
from outlines.models.lmstudio import AsyncLMStudio, LMStudio, from_lmstudio
from outlines.models.mistral import AsyncMistral, Mistral, from_mistral
from outlines.models.mlxlm import MLXLM, from_mlxlm
from outlines.models.ollama import AsyncOllama, Ollama, from_ollama
from outlines.models.openai import AsyncOpenAI, OpenAI, from_openai
from outlines.models.sglang import AsyncSGLang, SGLang, from_sglang
from outlines.models.tgi import TGI, AsyncTGI, from_tgi
from outlines.models.transformers import (
    Transformers,
    TransformersMultiModal,
    TransformerTokenizer,
    from_transformers,
)
from outlines.models.vllm import VLLM, AsyncVLLM, from_vllm
from outlines.models.vllm_offline import VLLMOffline, from_vllm_offline

__all__ = [
    "MLXLM",
    "TGI",
    "VLLM",
    "Anthropic",
    "AsyncBlackBoxModel",
    "AsyncDottxt",
    "AsyncLMStudio",
    "AsyncLlamaCppServer",
    "AsyncMistral",
    "AsyncOllama",
    "AsyncOpenAI",
    "AsyncSGLang",
    "AsyncTGI",
    "AsyncVLLM",
    "BatchError",
    "BlackBoxModel",
    "Dottxt",
    "Gemini",
    "LMStudio",
    "LlamaCpp",
    "LlamaCppServer",
    "Mistral",
    "Model",
    "ModelTypeAdapter",
    "Ollama",
    "OpenAI",
    "SGLang",
    "SteerableModel",
    "TransformerTokenizer",
    "Transformers",
    "TransformersMultiModal",
    "VLLMOffline",
    "checked",
    "concurrent",
    "from_anthropic",
    "from_dottxt",
    "from_gemini",
    "from_llamacpp",
    "from_llamacpp_server",
    "from_lmstudio",
    "from_mistral",
    "from_mlxlm",
    "from_ollama",
    "from_openai",
    "from_sglang",
    "from_tgi",
    "from_transformers",
    "from_vllm",
    "from_vllm_offline",
]

# All three are unions, for `isinstance`.
SteerableModel = LlamaCpp | MLXLM | Transformers
BlackBoxModel = (
    Anthropic | Dottxt | Gemini | LMStudio | Ollama | OpenAI | Mistral | SGLang | TGI | VLLM | VLLMOffline
    | LlamaCppServer | CheckedModel | ConcurrentModel
)  # fmt: skip
AsyncBlackBoxModel = (
    AsyncDottxt | AsyncLMStudio | AsyncMistral | AsyncOllama | AsyncOpenAI | AsyncTGI | AsyncSGLang | AsyncVLLM
    | AsyncLlamaCppServer | AsyncCheckedModel | AsyncConcurrentModel
)  # fmt: skip
