"""Transformers models end to end: tiny random ones, whose text is what the mask lets through."""

from __future__ import annotations

import gc
import pickle
import re
import threading
import warnings
from typing import Literal

import pytest
import torch
import transformers

import outlines
from outlines.inputs import Chat
from outlines.models.transformers import Transformers, TransformerTokenizer, from_transformers
from outlines.processors import OutlinesLogitsProcessor
from outlines.types.dsl import Regex
from tests import tiny_models

PROMPTS = ["the quick", "yes", "0123456789 brown fox no"]
#: Texts whose tokens a clean-up or a strip would change, and characters of two to four bytes.
AWKWARD = Regex(r"( ,| \.|  no |n 't|é|漢字|🙂🙂)")
NUMBER = Regex(r"-?[0-9]{2,12}\.[0-9]{1,9}")
DIGITS = Regex(r"[0-9]{4}")


@pytest.fixture(scope="module")
def model() -> Transformers:
    return from_transformers(tiny_models.llama(), tiny_models.tokenizer())


@pytest.fixture(scope="module", params=["t5", "bart"])
def seq2seq(request) -> Transformers:
    return from_transformers(getattr(tiny_models, request.param)(), tiny_models.tokenizer())


def matches(term: Regex, text: str) -> bool:
    return re.fullmatch(term.pattern, text) is not None


# Ways to generate


def test_greedy(model):
    text = model("the quick", NUMBER, max_new_tokens=40)
    assert isinstance(text, str)
    assert matches(NUMBER, text)
    assert text == model("the quick", NUMBER, max_new_tokens=40)


@pytest.mark.parametrize("term", [AWKWARD, NUMBER])
def test_sampling(model, term):
    torch.manual_seed(0)
    generator = outlines.Generator(model, term)
    texts = [generator("yes", max_new_tokens=40, do_sample=True) for _ in range(20)]
    assert all(matches(term, text) for text in texts)
    assert len(set(texts)) > 3


def test_several_samples_are_a_list(model):
    texts = model("yes", NUMBER, max_new_tokens=40, do_sample=True, num_return_sequences=5)
    assert len(texts) == 5
    assert all(matches(NUMBER, text) for text in texts)


def test_beams(model):
    text = model("yes", NUMBER, max_new_tokens=40, num_beams=4)
    assert isinstance(text, str)
    assert matches(NUMBER, text)


def test_beams_find_the_most_probable_text(model):
    """With as many beams as there are texts, beam search is exhaustive: the judge scores each text by itself."""
    words = ["yes", "no", "fox", "brown"]
    found = model("the", Regex("|".join(words)), max_new_tokens=8, num_beams=16, length_penalty=0.0)

    def log_probability(word: str) -> float:
        best = -float("inf")
        for ids in spellings(model, word.encode()):
            prompt = model.hf_tokenizer("the", return_tensors="pt")["input_ids"][0].tolist()
            with torch.no_grad():
                scores = model.model(torch.tensor([prompt + ids])).logits[0].log_softmax(-1)
            total = sum(scores[len(prompt) - 1 + i, token].item() for i, token in enumerate(ids))
            best = max(best, total)
        return best

    assert found == max(words, key=log_probability)


def spellings(model: Transformers, text: bytes) -> list[list[int]]:
    """Give every sequence of tokens that spells a text and ends."""
    if not text:
        return [[1]]
    starts = [
        (t, token) for t, token in enumerate(model.vocabulary.tokens) if token and text.startswith(token)
    ]
    return [[t, *rest] for t, token in starts for rest in spellings(model, text[len(token) :])]


def test_several_beams_are_a_list_best_first(model):
    texts = model("yes", DIGITS, max_new_tokens=40, num_beams=4, num_return_sequences=3)
    assert len(texts) == 3
    assert all(matches(DIGITS, text) for text in texts)
    assert texts[0] == model("yes", DIGITS, max_new_tokens=40, num_beams=4)


def test_sampling_beams(model):
    torch.manual_seed(0)
    texts = model.batch(
        PROMPTS, DIGITS, max_new_tokens=40, num_beams=3, num_return_sequences=2, do_sample=True
    )
    assert [len(each) for each in texts] == [2, 2, 2]
    assert all(matches(DIGITS, text) for each in texts for text in each)


def test_a_batch_gives_what_its_prompts_give_alone(model):
    """The prompts have different lengths, so all but one are padded on the left."""
    generator = outlines.Generator(model, NUMBER)
    alone = [generator(prompt, max_new_tokens=40) for prompt in PROMPTS]
    assert generator.batch(PROMPTS, max_new_tokens=40) == alone
    assert len(set(alone)) > 1


def test_a_batch_of_beams_and_samples(model):
    texts = model.batch(PROMPTS, DIGITS, max_new_tokens=40, num_beams=3, num_return_sequences=2)
    assert all(matches(DIGITS, text) for each in texts for text in each)
    alone = [
        model(prompt, DIGITS, max_new_tokens=40, num_beams=3, num_return_sequences=2) for prompt in PROMPTS
    ]
    assert texts == alone


def test_an_output_type_for_each_prompt(model):
    types = [NUMBER, None, Literal["yes", "no"]]
    number, free, answer = model.batch(PROMPTS, types, max_new_tokens=40)
    assert number == model(PROMPTS[0], NUMBER, max_new_tokens=40)
    assert free == model(PROMPTS[1], max_new_tokens=40)
    assert answer == model(PROMPTS[2], Literal["yes", "no"], max_new_tokens=40)
    assert matches(NUMBER, number)
    assert answer in {"yes", "no"}


def test_an_output_type_for_each_prompt_with_beams(model):
    types = [DIGITS, Literal["yes", "no"]]
    digits, answers = model.batch(PROMPTS[:2], types, max_new_tokens=9, num_beams=2, num_return_sequences=2)
    assert all(matches(DIGITS, text) for text in digits)
    assert set(answers) == {"yes", "no"}


def test_prompts_without_types_alone(model):
    assert model.batch(PROMPTS, [None] * 3, max_new_tokens=9) == model.batch(PROMPTS, max_new_tokens=9)


@pytest.mark.parametrize("call", ["batch", "__call__", "stream"])
def test_number_of_output_types_is_checked_before_the_model_runs(model, call, monkeypatch):
    monkeypatch.setattr(model.model, "generate", lambda **_: pytest.fail("the model was called"))
    generator = outlines.Generator(model, [NUMBER, None])
    with pytest.raises(ValueError, match="prompts for a list of 2 output types"):
        getattr(generator, call)(PROMPTS if call == "batch" else "yes")


def test_batch_wants_a_list(model):
    with pytest.raises(TypeError, match="list of prompts, not a str"):
        model.batch("the quick", NUMBER)
    assert model.batch([], NUMBER) == model.batch([]) == model.batch([], []) == []


def test_encoder_decoder(seq2seq):
    generator = outlines.Generator(seq2seq, NUMBER)
    alone = [generator(prompt, max_new_tokens=40) for prompt in PROMPTS]
    assert all(matches(NUMBER, text) for text in alone)
    assert generator.batch(PROMPTS, max_new_tokens=40) == alone
    beams = seq2seq.batch(PROMPTS, DIGITS, max_new_tokens=40, num_beams=3, num_return_sequences=2)
    assert all(matches(DIGITS, text) for each in beams for text in each)
    assert "".join(generator.stream(PROMPTS[0], max_new_tokens=40)) == alone[0]
    assert isinstance(seq2seq("yes", max_new_tokens=5), str)


def test_state_space_model():
    model = from_transformers(tiny_models.mamba(), tiny_models.tokenizer())
    assert all(matches(NUMBER, text) for text in model.batch(PROMPTS, NUMBER, max_new_tokens=40))


@pytest.mark.parametrize("drafts", ["assistant", "lookup"])
def test_assisted_generation_gives_the_same_text(model, drafts):
    generator = outlines.Generator(model, NUMBER)
    expected = generator("0123456789 0123456789", max_new_tokens=40)
    if drafts == "assistant":
        kwargs = {"assistant_model": tiny_models.llama(seed=1)}
    else:
        kwargs = {"prompt_lookup_num_tokens": 4}
    assert generator("0123456789 0123456789", max_new_tokens=40, **kwargs) == expected
    assert matches(NUMBER, expected)
    assert "".join(generator.stream("0123456789 0123456789", max_new_tokens=40, **kwargs)) == expected


def test_a_head_wider_than_the_vocabulary():
    tokenizer = tiny_models.tokenizer()
    model = from_transformers(tiny_models.llama(num_logits=len(tokenizer) + 45), tokenizer)
    assert all(matches(NUMBER, text) for text in model.batch(PROMPTS, NUMBER, max_new_tokens=40))


def test_generators_side_by_side(model):
    """Their states are their own, and each can be used again with another batch."""
    number, digits, free = (outlines.Generator(model, each) for each in (NUMBER, DIGITS, None))
    first = number(PROMPTS[0], max_new_tokens=40)
    assert all(matches(DIGITS, text) for text in digits.batch(PROMPTS, max_new_tokens=40))
    free(PROMPTS[0], max_new_tokens=5)
    assert number.batch(PROMPTS[:2], max_new_tokens=40)[0] == first
    assert number(PROMPTS[0], max_new_tokens=40) == first


def test_own_time_is_measured(model):
    generator = outlines.Generator(model, NUMBER)
    generator("yes", max_new_tokens=40)
    assert generator.logits_processor.constraint_seconds > 0


def test_the_vocabulary_is_made_once(model):
    generators = [outlines.Generator(model, each) for each in (NUMBER, DIGITS)]
    assert generators[0].model.vocabulary is generators[1].model.vocabulary


# The text


def test_text_is_that_of_the_tokens(model):
    """The tokenizer of this test would clean up and strip, as some do; the constrained text must not change."""
    tokenizer = tiny_models.tokenizer(clean_up_tokenization_spaces=True)
    model = from_transformers(tiny_models.llama(), tokenizer)
    for text in [" ,", " .", "  no ", "n 't", "é", "漢字", "🙂🙂"]:
        term = Regex(re.escape(text))
        assert model("yes", term, max_new_tokens=20) == text
        assert "".join(model.stream("yes", term, max_new_tokens=20)) == text


def test_text_ends_at_the_end_of_the_sequence_whatever_the_padding(model):
    z = model.vocabulary.tokens.index(b"z")
    texts = model.batch(
        PROMPTS, [Literal["yes"], DIGITS, Regex("[0-9]{30}")], max_new_tokens=40, pad_token_id=z
    )
    assert texts[0] == "yes"
    assert matches(DIGITS, texts[1])
    assert "z" not in texts[2]


def test_free_text_is_the_tokenizers_decode(model):
    text = model("the quick", max_new_tokens=12)
    inputs = model.hf_tokenizer("the quick", return_tensors="pt", return_token_type_ids=False)
    ids = model.model.generate(**inputs, max_new_tokens=12)[:, inputs["input_ids"].shape[1] :]
    assert [text] == model.hf_tokenizer.batch_decode(ids, skip_special_tokens=True)


def test_a_text_cut_off_warns_and_names_the_remedy(model):
    with pytest.warns(UserWarning, match=r"1 of 1 texts .* raise `max_new_tokens`"):
        text = model("yes", NUMBER, max_new_tokens=1)
    assert not matches(NUMBER, text)
    with pytest.warns(UserWarning, match="max_new_tokens"):
        list(model.stream("yes", NUMBER, max_new_tokens=1))
    with pytest.warns(UserWarning, match="2 of 3 texts"):
        model.batch(PROMPTS, [NUMBER, None, NUMBER], max_new_tokens=1)


def test_a_text_that_is_complete_at_the_limit_does_not_warn(model):
    text = model("yes", Regex("[0-9]{1,100}"), max_new_tokens=3)
    assert matches(Regex("[0-9]+"), text)


def test_more_beams_than_texts_warn(model, monkeypatch):
    """`generate` fills up with sequences that it never finished, and blank ones."""
    yes, no = (model.hf_tokenizer(word)["input_ids"] for word in ("yes", "no"))
    rows = [[*yes, 1], [*no, 2], [2] * 5, [1] * 5]
    rows = [[0, 0, *row, *[2] * 5][:7] for row in rows]
    monkeypatch.setattr(model.tokenizer, "encode", lambda *_, **__: (torch.zeros(1, 2), torch.ones(1, 2)))
    monkeypatch.setattr(model.model, "generate", lambda **_: torch.tensor(rows))
    with pytest.warns(UserWarning, match="3 of 4 texts .*fewer beams"):
        assert model("yes", Literal["yes", "no"], num_beams=4, num_return_sequences=4) == [
            "yes",
            "no",
            "",
            "",
        ]


def test_a_text_cut_off_within_a_character_shows_it(model):
    with pytest.warns(UserWarning, match="max_new_tokens"):
        assert model("yes", Regex("🙂"), max_new_tokens=2) == "\ufffd"


# The end of a text


def test_eos_tokens_of_model_and_tokenizer_are_joined():
    model = tiny_models.llama()
    model.generation_config.eos_token_id = [0, 1]
    assert from_transformers(model, tiny_models.tokenizer()).vocabulary.eos_token_ids == (1, 0)
    model.generation_config.eos_token_id = 0
    assert from_transformers(model, tiny_models.tokenizer()).vocabulary.eos_token_ids == (1, 0)
    model.generation_config.eos_token_id = None
    assert from_transformers(model, tiny_models.tokenizer()).vocabulary.eos_token_ids == (1,)


def count_steps(model: Transformers, monkeypatch) -> list[int]:
    steps, forward = [], model.model.forward

    def counted(*args, **kwargs):
        steps.append(1)
        return forward(*args, **kwargs)

    monkeypatch.setattr(model.model, "forward", counted)
    return steps


@pytest.mark.parametrize("eos_token_id", [None, 0])
def test_generation_stops_where_only_the_tokenizer_knows_the_end(eos_token_id, monkeypatch):
    model = from_transformers(tiny_models.llama(), tiny_models.tokenizer())
    model.model.generation_config.eos_token_id = eos_token_id
    steps = count_steps(model, monkeypatch)
    assert matches(DIGITS, model("yes", DIGITS, max_new_tokens=100))
    assert len(steps) < 10


def test_the_users_end_is_left_alone(monkeypatch):
    model = from_transformers(tiny_models.llama(), tiny_models.tokenizer())
    model.model.generation_config.eos_token_id = None
    steps = count_steps(model, monkeypatch)
    assert matches(DIGITS, model("yes", DIGITS, max_new_tokens=30, eos_token_id=0))
    assert len(steps) == 30


# Streams


def test_stream_gives_pieces_as_they_come(model):
    generator = outlines.Generator(model, NUMBER)
    pieces = list(generator.stream("yes", max_new_tokens=40))
    assert len(pieces) > 3
    assert all(pieces)
    assert "".join(pieces) == generator("yes", max_new_tokens=40)


@pytest.mark.parametrize("seed", range(5))
def test_free_stream_is_the_free_text(model, seed):
    torch.manual_seed(seed)
    text = model("yes", max_new_tokens=60, do_sample=True)
    torch.manual_seed(seed)
    assert "".join(model.stream("yes", max_new_tokens=60, do_sample=True)) == text


def test_free_stream_holds_back_parts_of_characters(model):
    """The user's processor forces the bytes of a text, one token each."""
    text = "aé漢🙂z"
    ids = [model.vocabulary.tokens.index(bytes([byte])) for byte in text.encode()]

    class Force(OutlinesLogitsProcessor):
        def reset(self):
            self.step = 0

        def process_logits(self, input_ids, logits):
            token = [*ids, 1][self.step]
            self.step += 1
            return torch.full_like(logits, -torch.inf).index_fill(1, torch.tensor([token]), 0.0)

    generator = outlines.Generator(model, processor=Force("torch"))
    assert list(generator.stream("yes", max_new_tokens=40)) == list(text)
    assert generator("yes", max_new_tokens=40) == text


def test_constrained_stream_holds_back_parts_of_characters(model):
    assert list(model.stream("yes", Regex("é漢🙂"), max_new_tokens=40)) == ["é", "漢", "🙂"]


def test_stream_is_a_generator_and_starts_nothing_before_it_is_read(model, monkeypatch):
    steps = count_steps(model, monkeypatch)
    stream = model.stream("yes", NUMBER, max_new_tokens=40)
    assert steps == []
    assert matches(NUMBER, next(stream) + "".join(stream))
    assert steps


def test_bad_input_of_a_stream_raises_at_the_call(model):
    with pytest.raises(TypeError, match="is not available"):
        model.stream(7, NUMBER)


def test_an_error_in_the_thread_reaches_the_reader(model, monkeypatch):
    class Fail(OutlinesLogitsProcessor):
        def process_logits(self, input_ids, logits):
            if input_ids.shape[1] > 6:
                raise ZeroDivisionError("step four")
            return logits

    with pytest.raises(ZeroDivisionError, match="step four"):
        list(outlines.Generator(model, processor=Fail("torch")).stream("yes", max_new_tokens=40))
    with pytest.raises(ValueError, match="beam"):
        next(model.stream("yes", NUMBER, num_beams=2, max_new_tokens=40))
    with pytest.raises(TypeError, match="streamer"):
        next(model.stream("yes", NUMBER, streamer=object(), max_new_tokens=40))


@pytest.mark.parametrize("how", ["close", "drop"])
def test_closing_a_stream_stops_the_model(model, how, monkeypatch):
    slow, release = [], threading.Event()
    forward = model.model.forward

    def counted(*args, **kwargs):
        slow.append(1)
        if len(slow) > 3:
            assert release.wait(60)
        return forward(*args, **kwargs)

    monkeypatch.setattr(model.model, "forward", counted)
    before = threading.active_count()
    stream = model.stream("yes", Regex("[0-9]{200}"), max_new_tokens=220)
    next(stream)
    assert threading.active_count() == before + 1
    threading.Timer(0.2, release.set).start()
    if how == "close":
        stream.close()
    else:
        del stream
        gc.collect()
    assert len(slow) < 100
    assert threading.active_count() <= before + 1  # the timer may still be ending


def test_streams_of_one_generator_can_be_interleaved(model):
    generator = outlines.Generator(model, NUMBER)
    expected = [generator(prompt, max_new_tokens=40) for prompt in PROMPTS]
    streams = [generator.stream(prompt, max_new_tokens=40) for prompt in PROMPTS]
    texts = ["", "", ""]
    while streams != [None] * 3:
        for i, stream in enumerate(streams):
            piece = None if stream is None else next(stream, None)
            if piece is None:
                streams[i] = None
            else:
                texts[i] += piece
    assert texts == expected


def test_of_several_samples_the_first_is_streamed(model):
    torch.manual_seed(0)
    texts = model("yes", NUMBER, max_new_tokens=40, do_sample=True, num_return_sequences=3)
    torch.manual_seed(0)
    stream = model.stream("yes", NUMBER, max_new_tokens=40, do_sample=True, num_return_sequences=3)
    assert "".join(stream) == texts[0]


# Inputs and arguments


def test_kwargs_reach_generate_as_they_are(model, monkeypatch):
    seen = {}

    def generate(**kwargs):
        seen.update(kwargs)
        return kwargs["input_ids"]

    monkeypatch.setattr(model.model, "generate", generate)
    marker = object()
    model("yes", max_new_tokens=3, anything=marker)
    assert seen.pop("input_ids").shape == seen.pop("attention_mask").shape
    assert seen == {"max_new_tokens": 3, "anything": marker, "logits_processor": None}


def test_errors_of_the_library_pass_through(model):
    with pytest.raises(ValueError, match="no_such_argument"):
        model("yes", no_such_argument=1)


def test_the_users_own_processors_run_before_ours(model):
    seen = []

    class Watch(transformers.LogitsProcessor):
        def __call__(self, input_ids, scores):
            seen.append(torch.isinf(scores).any().item())
            return scores

    given = [Watch()]
    assert matches(NUMBER, model("yes", NUMBER, max_new_tokens=40, logits_processor=given))
    assert seen
    assert not any(seen)
    assert len(given) == 1
    seen.clear()
    model("yes", max_new_tokens=2, logits_processor=given)
    assert len(seen) == 2


def test_generate_may_return_an_object(model):
    text = model("yes", NUMBER, max_new_tokens=40, return_dict_in_generate=True, output_scores=True)
    assert matches(NUMBER, text)


@pytest.mark.parametrize("bad", [7, ["yes"], {"role": "user"}])
def test_other_prompts_are_errors(model, bad):
    with pytest.raises(TypeError, match=rf"{type(bad).__name__} is not available\."):
        model(bad, NUMBER)


def test_chat_template():
    tokenizer = tiny_models.tokenizer(chat_template=tiny_models.CHAT_TEMPLATE)
    model = from_transformers(tiny_models.llama(), tokenizer)
    adapter = model.type_adapter
    assert adapter.has_chat_template
    chat = Chat([{"role": "system", "content": "no"}, {"role": "user", "content": "yes"}])
    assert adapter.format_input("yes") == "<s>user: yes\nassistant:"
    assert adapter.format_input(chat) == "<s>system: no\n<s>user: yes\nassistant:"
    assert matches(NUMBER, model(chat, NUMBER, max_new_tokens=40))
    assert matches(NUMBER, model("yes", NUMBER, max_new_tokens=40))
    adapter.has_chat_template = False
    assert adapter.format_input("yes") == "yes"


def test_without_a_template_a_string_stays_as_it_is(model):
    assert not model.type_adapter.has_chat_template
    assert model.type_adapter.format_input("yes") == "yes"


def test_a_template_set_later_does_not_change_the_flag():
    model = from_transformers(tiny_models.llama(), tiny_models.tokenizer())
    model.hf_tokenizer.chat_template = tiny_models.CHAT_TEMPLATE
    assert not model.type_adapter.has_chat_template


@pytest.mark.parametrize("template", [None, "<s>{{ messages[0]['content'] }}"])
def test_a_template_writes_the_special_tokens_itself(template, monkeypatch):
    """The tokenizer adds a BOS to plain text, and must not add a second one to a template's."""
    from tokenizers.processors import TemplateProcessing

    tokenizer = tiny_models.tokenizer(chat_template=template)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    model, seen = from_transformers(tiny_models.llama(), tokenizer), {}
    monkeypatch.setattr(model.model, "generate", lambda **kwargs: seen.update(kwargs) or kwargs["input_ids"])
    model("a")
    assert seen["input_ids"].tolist() == [[0, tokenizer.convert_tokens_to_ids("a")]]
    tokenizer.backend_tokenizer.post_processor = None


def test_device_dtype_is_that_of_the_attention_mask(model, monkeypatch):
    seen = []
    monkeypatch.setattr(
        model.model,
        "generate",
        lambda **kwargs: seen.append(kwargs["attention_mask"].dtype) or kwargs["input_ids"],
    )
    model("yes")
    monkeypatch.setattr(model, "device_dtype", torch.bfloat16)
    model("yes")
    assert seen == [torch.int64, torch.bfloat16]


def test_loader_checks_its_second_argument(model):
    assert isinstance(model, Transformers)
    assert model.hf_tokenizer.padding_side == "left"
    assert model.tensor_library_name == "torch"
    with pytest.raises(ValueError, match="expected a tokenizer or a processor of transformers, got object"):
        from_transformers(model.model, object())


# The tokenizer


def test_tokenizer_encodes_and_decodes():
    tokenizer = tiny_models.tokenizer()
    tokenizer.padding_side = "left"
    wrapped = TransformerTokenizer(tokenizer, ignored=True)
    ids, attention_mask = wrapped.encode(["the quick", "yes"])
    assert ids.shape == attention_mask.shape
    assert ids[1, 0] == 2
    assert attention_mask.sum(1).tolist()[1] < attention_mask.sum(1).tolist()[0]
    assert wrapped.decode(ids) == ["the quick", "yes"]
    assert wrapped.encode("yes")[0].ndim == 2
    assert (wrapped.eos_token, wrapped.eos_token_id, wrapped.pad_token, wrapped.pad_token_id) == (
        "</s>",
        1,
        "<pad>",
        2,
    )
    assert wrapped.special_tokens == {"<s>", "</s>", "<pad>"}
    assert wrapped.vocabulary == wrapped.get_vocab() == tokenizer.get_vocab()


def test_a_missing_padding_token_becomes_the_end_of_sequence():
    tokenizer = tiny_models.tokenizer(pad_token=None)
    wrapped = TransformerTokenizer(tokenizer)
    assert wrapped.pad_token_id == tokenizer.pad_token_id == 1
    assert not hasattr(wrapped, "pad_token")
    model = from_transformers(tiny_models.llama(), tokenizer)
    assert all(matches(NUMBER, text) for text in model.batch(PROMPTS, NUMBER, max_new_tokens=40))


def test_tokens_as_text():
    wrapped = TransformerTokenizer(tiny_models.tokenizer())
    assert wrapped.convert_token_to_string("Ġthe") == " the"
    assert wrapped.convert_token_to_string("the") == "the"
    assert wrapped.convert_token_to_string("▁the").startswith(" ")


def test_tokenizers_are_equal_by_content():
    one, same = TransformerTokenizer(tiny_models.tokenizer()), TransformerTokenizer(tiny_models.tokenizer())
    other = TransformerTokenizer(tiny_models.tokenizer(eos_token="<pad>"))
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert one != "tokenizer"
    one.model_name, one.kwargs = "a", {}
    same.model_name, same.kwargs = "b", {}
    assert one != same
    same.model_name = "a"
    assert one == same


def test_tokenizers_can_be_pickled():
    wrapped = TransformerTokenizer(tiny_models.tokenizer())
    again = pickle.loads(pickle.dumps(wrapped))
    assert again == wrapped
    assert again.encode("yes")[0].tolist() == wrapped.encode("yes")[0].tolist()


def test_the_protocol_is_abstract():
    from outlines.models.tokenizer import Tokenizer

    with pytest.raises(TypeError, match="instantiate abstract"):
        Tokenizer()


def test_no_warning_of_ours_in_normal_use(model):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.batch(PROMPTS, [NUMBER, None, DIGITS], max_new_tokens=40)
