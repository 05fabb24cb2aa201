"""Models of the `transformers` library."""

from __future__ import annotations

import codecs
import contextlib
import contextvars
import copy
import hashlib
import itertools
import queue
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, singledispatchmethod
from typing import TYPE_CHECKING, Any

from outlines.inputs import Chat
from outlines.models.base import Model, ModelTypeAdapter
from outlines.models.tokenizer import Tokenizer, _check_hf_chat_template
from outlines.results import Details

if TYPE_CHECKING:
    import torch

    from outlines.engine import Vocabulary
    from outlines.processors import OutlinesLogitsProcessor

__all__ = [
    "TransformerTokenizer",
    "Transformers",
    "TransformersMultiModal",
    "from_transformers",
]

SPIECE_UNDERLINE = "\u2581"  # SentencePiece's mark for a space at the start of a word


class TransformerTokenizer(Tokenizer):
    """A tokenizer of `transformers` behind the names that outlines uses.

    Parameters
    ----------
    tokenizer
        Kept by reference. Without a padding token it is given its end-of-sequence token as one.
    **kwargs
        Ignored.
    """

    def __init__(self, tokenizer: Any, **kwargs: Any):
        self.tokenizer = tokenizer
        self.eos_token_id = tokenizer.eos_token_id
        self.eos_token = tokenizer.eos_token
        self.get_vocab = tokenizer.get_vocab
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token_id = tokenizer.eos_token_id
        else:
            self.pad_token = tokenizer.pad_token
        self.pad_token_id = tokenizer.pad_token_id
        self.special_tokens = set(tokenizer.all_special_tokens)
        self.vocabulary = tokenizer.get_vocab()

    def encode(self, prompt: str | list[str], **kwargs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Give token ids and attention mask, both int64 [B, length], padded; one prompt is a batch of one."""
        prompts = [prompt] if isinstance(prompt, str) else prompt
        encoded = self.tokenizer(prompts, **{"padding": True, "return_tensors": "pt", **kwargs})
        return encoded["input_ids"], encoded["attention_mask"]

    def decode(self, token_ids: Any) -> list[str]:
        """Give the text of each row of token ids, special tokens left out."""
        return self.tokenizer.batch_decode(token_ids, skip_special_tokens=True)

    def convert_token_to_string(self, token: str) -> str:
        """Give the text of a token, with the space that SentencePiece marks."""
        text = self.tokenizer.convert_tokens_to_string([token])
        return f" {text}" if token.startswith(SPIECE_UNDERLINE) or token == "<0x20>" else text

    @cached_property
    def _fingerprint(self) -> str:
        """Hash of what decides how text is encoded, the same in every process."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        content = (
            type(self.tokenizer).__name__,
            sorted(self.vocabulary.items(), key=lambda item: item[1]),
            sorted((name, str(token)) for name, token in self.tokenizer.special_tokens_map.items()),
            "" if backend is None else backend.to_str(),
        )
        return hashlib.sha256(repr(content).encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, type(self)):
            return NotImplemented
        if hasattr(self, "model_name") and hasattr(self, "kwargs"):
            named = getattr(other, "model_name", None), getattr(other, "kwargs", None)
            return named == (self.model_name, self.kwargs)
        return self._fingerprint == other._fingerprint

    def __hash__(self) -> int:
        return hash(self._fingerprint)

    def __getstate__(self) -> dict[str, Any]:
        return {"tokenizer": self.tokenizer}

    def __setstate__(self, state: dict[str, Any]) -> None:
        TransformerTokenizer.__init__(self, state["tokenizer"])


class TransformersTypeAdapter(ModelTypeAdapter):
    """Inputs and processors in the form that `generate` takes.

    Parameters
    ----------
    tokenizer
        The tokenizer of `transformers`, whose chat template is used.
    has_chat_template
        Whether a plain string is sent as the message of a user.
    """

    def __init__(self, tokenizer: Any, has_chat_template: bool = False):
        self.tokenizer = tokenizer
        self.has_chat_template = has_chat_template

    @singledispatchmethod
    def format_input(self, model_input: Any) -> str:
        """Give the text to encode for a string or a `Chat`."""
        raise TypeError(
            f"The input type {type(model_input).__name__} is not available. A Transformers model takes "
            "a str or a Chat."
        )

    @format_input.register(str)
    def format_str_input(self, model_input: str) -> str:
        """Wrap a string as a user's message where there is a chat template, else leave it as it is."""
        if not self.has_chat_template:
            return model_input
        return self.format_chat_input(Chat([{"role": "user", "content": model_input}]))

    @format_input.register(Chat)
    def format_chat_input(self, model_input: Chat) -> str:
        """Render a conversation, ready for the assistant's turn."""
        return self.tokenizer.apply_chat_template(
            model_input.messages, tokenize=False, add_generation_prompt=True
        )

    def is_templated(self, model_input: str | Chat) -> bool:
        """Say whether the text comes from a chat template, which then writes the special tokens itself."""
        return self.has_chat_template or isinstance(model_input, Chat)

    def format_output_type(self, output_type: OutlinesLogitsProcessor | None = None) -> Any | None:
        """Put a logits processor into the list that `generate` takes; None stays None."""
        if output_type is None:
            return None
        from transformers import LogitsProcessorList

        return LogitsProcessorList([output_type])


class Transformers(Model):
    """A model of the `transformers` library, decoder-only or encoder-decoder.

    Parameters
    ----------
    model
        A model with a language modelling head, on any device.
    tokenizer
        Its tokenizer, which is set to pad on the left.
    device_dtype
        Type to cast the attention mask to, None to leave it. May be changed later.

    Attributes
    ----------
    model, device_dtype
    hf_tokenizer
        The tokenizer as it was given.
    tokenizer : TransformerTokenizer
    type_adapter : TransformersTypeAdapter
        Its `has_chat_template` is decided here, once, and may be changed.
    tensor_library_name : str
        "torch".
    """

    tensor_library_name = "torch"
    type_adapter: TransformersTypeAdapter

    def __init__(self, model: Any, tokenizer: Any, *, device_dtype: torch.dtype | None = None):
        tokenizer.padding_side = "left"
        self.model = model
        self.hf_tokenizer = tokenizer
        self.tokenizer = TransformerTokenizer(tokenizer)
        self.device_dtype = device_dtype
        self.type_adapter = TransformersTypeAdapter(tokenizer, _check_hf_chat_template(tokenizer))

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The bytes of the tokens, prepared at first use. Model and tokenizer both say what ends a text."""
        from outlines.engine import Vocabulary

        named = [self.hf_tokenizer.eos_token_id, *self._generation_eos_token_ids()]
        return Vocabulary.from_tokenizer(self.hf_tokenizer, eos_token_ids=[i for i in named if i is not None])

    def constraint_processor(self, constraints: Any) -> OutlinesLogitsProcessor:
        """Make the logits processor for one constraint, or for a list with one (or None) for each prompt."""
        from outlines.processors.torch import ConstraintLogitsProcessor

        return ConstraintLogitsProcessor(constraints)

    def generate(
        self, model_input: str | Chat, output_type: OutlinesLogitsProcessor | None = None, **kwargs: Any
    ) -> str | list[str]:
        """Generate text for one prompt.

        Parameters
        ----------
        model_input
            A string or a `Chat`.
        output_type
            A logits processor, or None.
        **kwargs
            For the model's own `generate`. A `logits_processor` list among them runs before ours.

        Returns
        -------
        str or list of str
            A list where several samples are asked for (`num_return_sequences`). With a constraint the text is
            the bytes of the tokens up to the end of the sequence, nothing stripped or cleaned up; without,
            the tokenizer's decode with special tokens left out.

        Warns
        -----
        UserWarning
            If a text ended before it was complete, as for want of `max_new_tokens`.
        """
        return self._generate([model_input], output_type, kwargs)[0]

    def generate_batch(
        self, model_input: list[str | Chat], output_type: OutlinesLogitsProcessor | None = None, **kwargs: Any
    ) -> list[str] | list[list[str]]:
        """Generate text for several prompts in one padded call; as `generate`, a result for each prompt.

        Raises
        ------
        ValueError
            If the processor has an output type for each prompt, and the prompts are more or fewer.
        """
        if not isinstance(model_input, (list, tuple)):
            raise TypeError(f"batch takes a list of prompts, not a {type(model_input).__name__}")
        return self._generate(list(model_input), output_type, kwargs)

    def generate_details(
        self,
        model_input: list[str | Chat],
        output_type: OutlinesLogitsProcessor | None = None,
        *,
        logprobs: bool = False,
        **kwargs: Any,
    ) -> list[list[Details]]:
        """Generate text for several prompts and give what is known of each sample of each; as `generate_batch`.

        Parameters
        ----------
        logprobs
            Whether to note how probable each token was.
        """
        constraints = _constraints(output_type, len(model_input))
        if not model_input:
            return []
        arguments = self._arguments(model_input, output_type, constraints, kwargs)
        if logprobs:
            arguments.update(return_dict_in_generate=True, output_scores=True)
        output = self.model.generate(**arguments)
        sequences = getattr(output, "sequences", output)
        scores: list = [None] * len(sequences)
        if logprobs:
            scores = self.model.compute_transition_scores(
                sequences, output.scores, getattr(output, "beam_indices", None), normalize_logits=True
            ).tolist()
        start = arguments["input_ids"].shape[1]
        if self.model.config.is_encoder_decoder:  # the decoder's own prompt
            start = output_type.prompt_length if constraints else 1  # type: ignore[union-attr]

        config = kwargs.get("generation_config") or self.model.generation_config
        named = _as_list(kwargs.get("eos_token_id"))
        ends = named or [self.hf_tokenizer.eos_token_id, *_as_list(config.eos_token_id)]
        padding = _as_list(kwargs.get("pad_token_id", config.pad_token_id))
        stop_strings = _as_list(kwargs.get("stop_strings", config.stop_strings))
        num_samples = len(sequences) // len(model_input)
        details: list[list[Details]] = [[] for _ in model_input]
        for row, (ids, row_scores) in enumerate(zip(sequences[:, start:].tolist(), scores, strict=True)):
            constraint = constraints[row // num_samples] if constraints else None
            length = next((place for place, token in enumerate(ids, 1) if token in ends), None)
            ids = ids[:length]
            while length is None and ids and ids[-1] in padding:  # a stop string ended this row before others
                ids.pop()
            text = self._text(ids, constraint)
            is_cut_off = length is None and not any(stop in text for stop in stop_strings)
            details[row // num_samples].append(
                Details(
                    text,
                    ids,
                    row_scores and row_scores[: len(ids)],
                    "length" if is_cut_off else "stop",
                    None if constraint is None else _is_complete(ids, constraint),
                )
            )
        _warn_of_incomplete([each.is_complete is not False for samples in details for each in samples])
        return details

    def generate_stream(
        self, model_input: str | Chat, output_type: Any = None, **kwargs: Any
    ) -> Iterator[str]:
        """Generate text for one prompt and give it in pieces, which joined are `generate`'s text.

        The model runs in a thread of its own, from the first `next` on. What it raises is raised here.
        Closing the iterator stops it at its next token. Of several samples the first is streamed; beams can't
        be.

        Parameters
        ----------
        model_input, output_type, **kwargs
            As for `generate`. Our own processor is copied, so that streams of one generator can be
            interleaved.

        Returns
        -------
        iterator of str
            Whole characters only, never an empty piece.
        """
        constraints = _constraints(output_type, num_prompts=1)
        if constraints is not None:
            output_type = copy.copy(output_type)
            output_type.reset()  # the copy has a state of its own from here on
        arguments = self._arguments([model_input], output_type, constraints, kwargs)
        return self._stream(arguments, constraints[0] if constraints else None)

    def _generate(self, prompts: list, processor: Any, kwargs: dict[str, Any]) -> list:
        constraints = _constraints(processor, len(prompts))
        if not prompts:
            return []
        arguments = self._arguments(prompts, processor, constraints, kwargs)
        sequences = self._generate_output_seq(prompts, arguments)
        num_samples = len(sequences) // len(prompts)
        if constraints is None:
            texts = self.tokenizer.decode(sequences)
        else:
            if self.model.config.is_encoder_decoder:
                sequences = sequences[:, processor.prompt_length :]  # of the decoder: its start token
            constraints = [each for each in constraints for _ in range(num_samples)]
            texts = [self._text(*row) for row in zip(sequences.tolist(), constraints, strict=True)]
            _warn_of_incomplete(
                [_is_complete(*row) for row in zip(sequences.tolist(), constraints, strict=True)]
            )
        if num_samples == 1:
            return texts
        return [texts[i : i + num_samples] for i in range(0, len(texts), num_samples)]

    def _arguments(
        self,
        prompts: list,
        processor: OutlinesLogitsProcessor | None,
        constraints: list | None,
        kwargs: dict[str, Any],
    ) -> dict[str, Any]:
        """Give all that the model's own `generate` takes, the encoded prompts included."""
        processors = self.type_adapter.format_output_type(processor)
        given = kwargs.get("logits_processor")
        if processors and given:
            processors[:0] = given
        criteria = []
        if constraints is not None and processor.uses_device(self.model.device):  # type: ignore[union-attr]
            criteria = [*(kwargs.get("stopping_criteria") or ()), processor.stopping_criteria]  # type: ignore[union-attr]
        return {
            **self._encode(prompts),
            **({} if constraints is None else self._end_of_sequence(kwargs)),
            **kwargs,
            "logits_processor": processors or given,
            **({"stopping_criteria": criteria} if criteria else {}),
        }

    def _encode(self, prompts: list) -> dict[str, Any]:
        """Give the prompts as the tensors that the model takes, on its device."""
        adapter = self.type_adapter
        texts = [adapter.format_input(prompt) for prompt in prompts]
        # A chat template has written the special tokens already; encoding would add, say, a second BOS.
        is_templated = any(adapter.is_templated(prompt) for prompt in prompts)
        input_ids, attention_mask = self.tokenizer.encode(texts, add_special_tokens=not is_templated)
        attention_mask = attention_mask.to(self.model.device)
        if self.device_dtype is not None:
            attention_mask = attention_mask.to(dtype=self.device_dtype)
        return {"input_ids": input_ids.to(self.model.device), "attention_mask": attention_mask}

    def _end_of_sequence(self, kwargs: dict[str, Any]) -> dict[str, list[int]]:
        """Let `generate` stop at every token that ends a constrained text, if its own settings lack one.

        Else it would run on to `max_new_tokens` after an end that only the tokenizer knows.
        """
        if "eos_token_id" in kwargs or "generation_config" in kwargs:
            return {}
        named = self.vocabulary.eos_token_ids
        return {} if set(named) <= set(self._generation_eos_token_ids()) else {"eos_token_id": list(named)}

    def _generation_eos_token_ids(self) -> list[int]:
        return _as_list(self.model.generation_config.eos_token_id)

    def _generate_output_seq(self, prompts: list, inputs: dict[str, Any], **kwargs: Any) -> torch.Tensor:
        """Generate; cut off the prompts of a decoder-only model. int64 [B, length], B = prompts x samples."""
        output = self.model.generate(**inputs, **kwargs)
        sequences = getattr(output, "sequences", output)  # an object, with `return_dict_in_generate`
        if self.model.config.is_encoder_decoder:
            return sequences
        return sequences[:, inputs["input_ids"].shape[1] :]

    def _text(self, ids: list[int], constraint: Any | None) -> str:
        if constraint is None:
            return self.tokenizer.decode([ids])[0]
        return "".join(self._constrained_pieces([ids]))

    def _stream(self, arguments: dict[str, Any], constraint: Any | None) -> Iterator[str]:
        import torch

        streamer = _TokenStreamer()

        def run() -> None:
            # The current device is a thread's own.
            with torch.cuda.device_of(arguments["input_ids"]):
                self.model.generate(**arguments, streamer=streamer)

        with streamer.running(run) as steps:
            if constraint is None:
                yield from self._free_pieces(steps)
                return
            ids: list[int] = []

            def recorded() -> Iterator[list[int]]:
                for step in steps:
                    ids.extend(step)
                    yield step

            yield from self._constrained_pieces(recorded())
        _warn_of_incomplete([_is_complete(ids, constraint)])

    def _constrained_pieces(self, steps: Iterable[list[int]]) -> Iterator[str]:
        """Give the text of the tokens' bytes, up to the first token that has none: whole characters only."""
        utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        for token in itertools.chain.from_iterable(steps):
            text = self.vocabulary.tokens[token]
            if text is None:
                break
            if piece := utf8.decode(text):
                yield piece
        if rest := utf8.decode(b"", final=True):  # cut off within a character
            yield rest

    def _free_pieces(self, steps: Iterable[list[int]]) -> Iterator[str]:
        """Give the tokenizer's decode piece by piece.

        What a token adds to the text can depend on the tokens before it (spaces, bytes of a character), so
        each decode starts where the piece before began, and a piece that ends within a character waits for
        the next token.
        """
        ids: list[int] = []
        start = seen = 0
        for step in steps:
            ids = ids[start:] + step
            start, seen = 0, seen - start
            before, text = self.tokenizer.decode([ids[:seen], ids])
            if len(text) > len(before) and not text.endswith("\ufffd"):
                yield text[len(before) :]
                start, seen = seen, len(ids)
        before, text = self.tokenizer.decode([ids[start:seen], ids[start:]])
        if len(text) > len(before):
            yield text[len(before) :]


class _StreamClosedError(Exception):
    """The reader of a stream went away, so `generate` ends."""


class _TokenStreamer:
    """Carries tokens from the thread in which `generate` runs to the iterator that is read."""

    def __init__(self) -> None:
        # The tokens of each step; then perhaps an error; None at the end.
        self._steps: queue.SimpleQueue[list[int] | BaseException | None] = queue.SimpleQueue()
        self._is_closed = False
        self._has_prompt = False

    def put(self, tokens: torch.Tensor) -> None:
        """Take the prompt [B, length], then a token of each sequence [B] or several of one [1, length]."""
        if self._is_closed:
            raise _StreamClosedError
        if self._has_prompt:
            self._steps.put(tokens.reshape(len(tokens), -1)[0].tolist())
        self._has_prompt = True

    def end(self) -> None:
        """Nothing: the end of the thread is the end of the stream, errors included."""

    @contextlib.contextmanager
    def running(self, generate: Callable[[], None]) -> Iterator[Iterator[list[int]]]:
        """Run `generate` in a thread while its tokens are read; leaving stops it and waits for it."""

        def run() -> None:
            try:
                generate()
            except _StreamClosedError:
                pass  # its purpose is served
            except BaseException as error:  # whatever it is, the reader shall see it
                self._steps.put(error)
            self._steps.put(None)

        thread = threading.Thread(target=contextvars.copy_context().run, args=(run,), daemon=True)
        thread.start()
        try:
            yield self._read()
        finally:
            self._is_closed = True
            thread.join()

    def _read(self) -> Iterator[list[int]]:
        while (step := self._steps.get()) is not None:
            if isinstance(step, BaseException):
                raise step
            yield step


def _constraints(processor: OutlinesLogitsProcessor | None, num_prompts: int) -> list | None:
    """Give the constraint of each prompt; None if there is none, or the processor isn't ours."""
    if processor is None:
        return None
    from outlines.processors.torch import ConstraintLogitsProcessor

    if not isinstance(processor, ConstraintLogitsProcessor):
        return None
    constraints = processor.prompt_constraints(num_prompts)
    return None if all(each is None for each in constraints) else constraints


def _as_list(setting: Any) -> list:
    """Give the values of a setting of `generate` that may be None, one value or several."""
    return [] if setting is None else [setting] if isinstance(setting, int | str) else list(setting)


def _is_complete(ids: list[int], constraint: Any | None) -> bool:
    """Say whether the text of these tokens, as far as the end of the sequence, is a whole one."""
    from outlines.engine import FINISHED

    if constraint is None:
        return True
    state = constraint.start_state
    for token in ids:
        state = constraint.next_state(state, token)
        if state == FINISHED:
            return True
    return constraint.is_accepting(state)


def _warn_of_incomplete(is_complete: list[bool]) -> None:
    if not all(is_complete):
        warnings.warn(
            f"{is_complete.count(False)} of {len(is_complete)} texts ended before the output type was "
            "complete: raise `max_new_tokens` (or leave out `stop_strings`; or ask for fewer beams, if there are fewer "
            "texts than beams)",
            UserWarning,
            stacklevel=2,
        )


def from_transformers(
    model: Any, tokenizer_or_processor: Any, *, device_dtype: torch.dtype | None = None
) -> Transformers:
    """Make a model of outlines from one of `transformers` and its tokenizer or processor.

    Parameters
    ----------
    model
        A model with a language modelling head.
    tokenizer_or_processor
        Its tokenizer; for a multimodal model its processor.
    device_dtype
        Type to cast what is encoded to (of a text the attention mask alone), None to leave it.

    Raises
    ------
    ValueError
        If the second argument is neither a tokenizer nor a processor.
    """
    from transformers import PreTrainedTokenizerBase, ProcessorMixin

    if isinstance(tokenizer_or_processor, PreTrainedTokenizerBase):
        return Transformers(model, tokenizer_or_processor, device_dtype=device_dtype)
    if isinstance(tokenizer_or_processor, ProcessorMixin):
        return TransformersMultiModal(model, tokenizer_or_processor, device_dtype=device_dtype)
    raise ValueError(
        f"expected a tokenizer or a processor of transformers, got {type(tokenizer_or_processor).__name__}"
    )


# It derives from what is above, and belongs to this module's public names.
from outlines.models.multimodal import TransformersMultiModal, TransformersMultiModalTypeAdapter  # noqa: E402, F401
