"""MLX, through mlx-lm."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from outlines.inputs import Chat
from outlines.models.adapters import TextTypeAdapter, text_messages
from outlines.models.base import Model
from outlines.models.sdk import import_sdk
from outlines.models.tokenizer import _check_hf_chat_template
from outlines.models.transformers import TransformerTokenizer

if TYPE_CHECKING:
    from outlines.processors import OutlinesLogitsProcessor
    from outlines.vocabulary import Vocabulary

__all__ = ["MLXLM", "from_mlxlm"]


class MLXLMTypeAdapter(TextTypeAdapter):
    """Prompts as text, processors as a list.

    Parameters
    ----------
    tokenizer
        The tokenizer whose chat template is used.
    has_chat_template
        Whether a plain string is sent as the message of a user.
    """

    def __init__(self, tokenizer: Any, has_chat_template: bool = False):
        super().__init__(has_chat_template)
        self.tokenizer = tokenizer

    def format_str_input(self, model_input: str) -> str:
        """Wrap a string as a user's message where there is a chat template, else leave it as it is."""
        messages = self._as_user(model_input)
        return messages if isinstance(messages, str) else self.format_chat_input(Chat(messages))

    def format_chat_input(self, model_input: Chat) -> str:
        """Render a conversation, ready for the assistant's turn; its content must be text."""
        text_messages(model_input, "mlx-lm does not support multi-modal messages.")
        return self.tokenizer.apply_chat_template(
            model_input.messages, tokenize=False, add_generation_prompt=True
        )

    def format_output_type(self, output_type: OutlinesLogitsProcessor | None = None) -> list | None:
        """Put a logits processor into a list; None stays None."""
        return None if output_type is None else [output_type]


class MLXLM(Model):
    """A model of mlx-lm.

    Parameters
    ----------
    model, tokenizer
        What `mlx_lm.load` gives.
    """

    tensor_library_name = "mlx"
    type_adapter: MLXLMTypeAdapter

    def __init__(self, model: Any, tokenizer: Any):
        self.model = model
        self.mlx_tokenizer = tokenizer
        self._hf_tokenizer = getattr(tokenizer, "_tokenizer", tokenizer)  # inside mlx-lm's wrapper
        self.tokenizer = TransformerTokenizer(self._hf_tokenizer)
        self.type_adapter = MLXLMTypeAdapter(tokenizer, _check_hf_chat_template(self._hf_tokenizer))

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The bytes of the tokens, prepared at first use; mlx-lm's wrapper says which end a text."""
        from outlines.vocabulary import Vocabulary

        ends = getattr(self.mlx_tokenizer, "eos_token_ids", None) or [self._hf_tokenizer.eos_token_id]
        return Vocabulary.from_tokenizer(self._hf_tokenizer, eos_token_ids=sorted(ends))

    def constraint_processor(self, constraints: Any) -> OutlinesLogitsProcessor:
        """Make the logits processor for one constraint."""
        from outlines.processors.host import MLXConstraintLogitsProcessor

        if isinstance(constraints, list):
            raise NotImplementedError("mlx-lm does not support constrained generation with batching.")
        return MLXConstraintLogitsProcessor(constraints)

    def generate(
        self, model_input: str | Chat, output_type: OutlinesLogitsProcessor | None = None, **kwargs: Any
    ) -> str:
        """Generate text for one prompt; keyword arguments are for `mlx_lm.generate`."""
        generate = import_sdk("mlx_lm", "mlxlm").generate
        return generate(*self._arguments(model_input), **self._processors(output_type), **kwargs)

    def generate_batch(self, model_input: list, output_type: Any = None, **kwargs: Any) -> list[str]:
        """Generate text for several prompts at once, unconstrained: mlx-lm takes no processor there."""
        if output_type is not None:
            raise NotImplementedError("mlx-lm does not support constrained generation with batching.")
        prompts = [self.type_adapter.format_input(prompt) for prompt in model_input]
        tokenizer = self.mlx_tokenizer
        tokens = []
        for prompt in prompts:
            # A template may have written the beginning already.
            is_begun = tokenizer.bos_token is not None and prompt.startswith(tokenizer.bos_token)
            tokens.append(tokenizer.encode(prompt, add_special_tokens=not is_begun))
        batch = import_sdk("mlx_lm", "mlxlm").batch_generate(self.model, tokenizer, tokens, **kwargs)
        return batch.texts

    def generate_stream(
        self, model_input: str | Chat, output_type: Any = None, **kwargs: Any
    ) -> Iterator[str]:
        """Generate text for one prompt in pieces."""
        stream = import_sdk("mlx_lm", "mlxlm").stream_generate
        for piece in stream(*self._arguments(model_input), **self._processors(output_type), **kwargs):
            yield piece.text

    def _arguments(self, model_input: Any) -> tuple[Any, Any, str]:
        return self.model, self.mlx_tokenizer, self.type_adapter.format_input(model_input)

    def _processors(self, processor: Any) -> dict[str, Any]:
        return {"logits_processors": self.type_adapter.format_output_type(processor)}


def from_mlxlm(model: Any, tokenizer: Any) -> MLXLM:
    """Make a model of what `mlx_lm.load` gives."""
    return MLXLM(model, tokenizer)
