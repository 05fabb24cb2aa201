"""llama.cpp, through llama-cpp-python."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from outlines.inputs import Chat
from outlines.models.adapters import TextTypeAdapter, text_messages
from outlines.models.base import Model
from outlines.models.capabilities import CAPABILITIES
from outlines.models.sdk import import_sdk
from outlines.models.tokenizer import Tokenizer
from outlines.models.transformers import SPIECE_UNDERLINE

if TYPE_CHECKING:
    from outlines.processors import OutlinesLogitsProcessor
    from outlines.vocabulary import Vocabulary

__all__ = ["LlamaCpp", "from_llamacpp"]

_PIECE_BYTES = 32  # nearly every token's piece is shorter


class LlamaCppTokenizer(Tokenizer):
    """The tokenizer of a model of llama-cpp-python.

    Parameters
    ----------
    model
        The `llama_cpp.Llama`. Where it was given a tokenizer of `transformers`, that one is used.
    """

    def __init__(self, model: Any):
        llama_cpp = import_sdk("llama_cpp", "llamacpp")
        self.eos_token_id = model.token_eos()
        self.pad_token_id = self.eos_token_id
        self.special_tokens: set[str] = set()
        self.vocabulary: dict[str, int] = {}
        self.tokenizer = model.tokenizer()
        self._hf_tokenizer = None
        self._hash: int | None = None
        try:
            self._hf_tokenizer = model.tokenizer_.hf_tokenizer
            self.vocabulary = self._hf_tokenizer.get_vocab()
        except AttributeError:  # the usual case: it has llama.cpp's own
            vocab = llama_cpp.llama_model_get_vocab(model.model)
            for token in range(model.n_vocab()):
                piece = _piece(llama_cpp, vocab, token, special=True)
                if piece is not None:
                    self.vocabulary[piece.decode("utf-8", errors="replace")] = token
        self.eos_token = {token: text for text, token in self.vocabulary.items()}.get(self.eos_token_id, "")
        self.vocabulary = dict(sorted(self.vocabulary.items(), key=lambda item: item[1]))

    def encode(  # type: ignore[override]  # one prompt at a time
        self, prompt: str, add_bos: bool = True, special: bool = True
    ) -> tuple[list[int], list[int]]:
        """Give the token ids of a prompt, and a mask of ones."""
        if isinstance(prompt, list):
            raise NotImplementedError("llama-cpp-python encodes one prompt at a time, not a list")
        ids = self.tokenizer.tokenize(
            prompt.encode("utf-8", errors="ignore"), add_bos=add_bos, special=special
        )
        return ids, [1] * len(ids)

    def decode(self, token_ids: list[int]) -> list[str]:
        """Give a list of the text of some tokens."""
        return [self.tokenizer.detokenize(token_ids).decode("utf-8", errors="ignore")]

    def convert_token_to_string(self, token: str) -> str:
        """Give the text of a token, with the space that SentencePiece marks."""
        if self._hf_tokenizer is None:
            return token
        text = self._hf_tokenizer.convert_tokens_to_string([token])
        return f" {text}" if token.startswith(SPIECE_UNDERLINE) or token == "<0x20>" else text

    def _state(self) -> tuple:
        special = tuple(sorted(self.special_tokens))
        return tuple(self.vocabulary.items()), self.eos_token_id, self.eos_token, self.pad_token_id, special

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LlamaCppTokenizer) and self._state() == other._state()

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(self._state())
        return self._hash

    def __getstate__(self) -> tuple:
        return self._state()

    def __setstate__(self, state: tuple) -> None:
        raise NotImplementedError("a LlamaCppTokenizer can't be unpickled: it belongs to its model")


class LlamaCppTypeAdapter(TextTypeAdapter):
    """Prompts as messages or text, processors as the list that llama-cpp-python takes."""

    def format_str_input(self, model_input: str) -> str | list:
        """Wrap a string as a user's message, in chat mode."""
        return self._as_user(model_input)

    def format_chat_input(self, model_input: Chat) -> list:
        """Give a conversation, message by message; their content must be text."""
        return text_messages(model_input, "LlamaCpp does not support multi-modal messages.")

    def format_output_type(self, output_type: OutlinesLogitsProcessor | None = None) -> Any | None:
        """Put a logits processor into the list that llama-cpp-python takes; None stays None."""
        if output_type is None:
            return None
        return import_sdk("llama_cpp", "llamacpp").LogitsProcessorList([output_type])


class LlamaCpp(Model):
    """A model of llama-cpp-python.

    Parameters
    ----------
    model
        A `llama_cpp.Llama`.
    chat_mode
        Whether plain strings go through the model's chat template.
    """

    tensor_library_name = "numpy"
    type_adapter: LlamaCppTypeAdapter

    def __init__(self, model: Any, chat_mode: bool = True):
        self.model = model
        self.tokenizer = LlamaCppTokenizer(model)
        self.type_adapter = LlamaCppTypeAdapter(has_chat_template=chat_mode)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The bytes that llama.cpp writes for each token, and all its tokens that end a text; read at first use."""
        from outlines.vocabulary import Vocabulary

        llama_cpp = import_sdk("llama_cpp", "llamacpp")
        vocab = llama_cpp.llama_model_get_vocab(self.model.model)
        texts = _token_bytes(llama_cpp, vocab, self.model.n_vocab())
        ends = [token for token in range(len(texts)) if llama_cpp.llama_vocab_is_eog(vocab, token)]
        return Vocabulary(texts, eos_token_ids=ends)

    def constraint_processor(self, constraints: Any) -> OutlinesLogitsProcessor:
        """Make the logits processor for one constraint."""
        from outlines.processors.host import NumPyConstraintLogitsProcessor

        if isinstance(constraints, list):
            raise NotImplementedError(
                f"{CAPABILITIES['LlamaCpp'].batch_refusal()} So it takes one output type, not a list"
            )
        return NumPyConstraintLogitsProcessor(constraints)

    def generate(
        self, model_input: str | Chat, output_type: OutlinesLogitsProcessor | None = None, **kwargs: Any
    ) -> str:
        """Generate text for one prompt; keyword arguments are for llama-cpp-python."""
        choice = self._call(model_input, output_type, kwargs)["choices"][0]
        self.model.reset()
        return choice["text"] if "text" in choice else choice["message"]["content"]

    def generate_batch(self, model_input: list, output_type: Any = None, **kwargs: Any) -> list:
        """Raise NotImplementedError."""
        raise CAPABILITIES["LlamaCpp"].batch_refusal()

    def generate_stream(
        self, model_input: str | Chat, output_type: Any = None, **kwargs: Any
    ) -> Iterator[str]:
        """Generate text for one prompt in pieces; in chat mode some are empty."""
        for chunk in self._call(model_input, output_type, {**kwargs, "stream": True}):
            choice = chunk["choices"][0]
            yield choice["text"] if "text" in choice else choice["delta"].get("content", "")

    def _call(self, model_input: Any, processor: Any, kwargs: dict[str, Any]) -> Any:
        prompt = self.type_adapter.format_input(model_input)
        call = self.model if isinstance(prompt, str) else self.model.create_chat_completion
        return call(prompt, logits_processor=self.type_adapter.format_output_type(processor), **kwargs)


def _token_bytes(llama_cpp: Any, vocab: Any, num_tokens: int) -> list[bytes | None]:
    """Give what llama.cpp writes for each token; nothing for control and unknown tokens, which are special."""
    return [_piece(llama_cpp, vocab, token, special=False) or None for token in range(num_tokens)]


def _piece(llama_cpp: Any, vocab: Any, token: int, special: bool) -> bytes | None:
    """Give the bytes that llama.cpp writes for a token; None if it knows none."""
    import ctypes

    size = _PIECE_BYTES
    while True:
        buffer = ctypes.create_string_buffer(size)
        length = llama_cpp.llama_token_to_piece(vocab, token, buffer, size, 0, special)
        if -length > size:
            size = -length  # it names the size that it needs
        elif length > size:
            size = length
        else:
            return bytes(buffer.raw[:length]) if length >= 0 else None


def from_llamacpp(model: Any, chat_mode: bool = True) -> LlamaCpp:
    """Make a model of a `llama_cpp.Llama`.

    Parameters
    ----------
    model
        The model.
    chat_mode
        Whether plain strings go through the model's chat template.
    """
    return LlamaCpp(model, chat_mode)
