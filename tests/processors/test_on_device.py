"""The processor's device path under a real `generate`: texts equal those of the host's path, however ids come about."""

from __future__ import annotations

import functools
import threading

import pytest
import torch

from outlines.engine import Constraint, Vocabulary
from outlines.models.transformers import from_transformers
from outlines.processors.on_device import DeviceFollower
from outlines.processors.torch import ConstraintLogitsProcessor
from outlines.types.dsl import Regex
from tests import tiny_models

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
PATTERNS = ["(yes|no|nope)( [0-9]{1,3})?", "[a-z]{3,9}", "(the|quick|brown|fox)( (the|quick|brown|fox)){0,5}"]
PROMPTS = ["the quick", "yes", "brown fox no", "0"]


@functools.cache
def vocabulary() -> Vocabulary:
    return Vocabulary.from_tokenizer(tiny_models.tokenizer())


@functools.cache
def constraint(pattern: str) -> Constraint:
    return Constraint(Regex(pattern), vocabulary())


@functools.cache
def model(device: str, seed: int = 0):
    return tiny_models.llama(seed).to(device)


def inputs(device: str, prompts=PROMPTS):
    tokenizer = tiny_models.tokenizer(padding_side="left")
    return tokenizer(prompts, return_tensors="pt", padding=True, return_token_type_ids=False).to(device)


def generated(device: str, constraints, on_device: bool, has_hook: bool = True, prompts=PROMPTS, **kwargs):
    processor = ConstraintLogitsProcessor(constraints, on_device=on_device)
    criteria = [processor.stopping_criteria] if has_hook else []
    torch.manual_seed(5)
    return model(device).generate(
        **inputs(device, prompts),
        logits_processor=[processor],
        stopping_criteria=criteria,
        max_new_tokens=kwargs.pop("max_new_tokens", 14),
        **kwargs,
    )


def mixed() -> list[Constraint | None]:
    return [constraint(PATTERNS[0]), None, constraint(PATTERNS[1]), constraint(PATTERNS[2])]


WAYS = {
    "greedy": {"do_sample": False},
    "samples": {"do_sample": True},
    "several samples": {"do_sample": True, "num_return_sequences": 3},
    "beams": {"do_sample": False, "num_beams": 4},
    "beams that sample": {"do_sample": True, "num_beams": 3, "num_return_sequences": 2},
}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("has_hook", [True, False], ids=["hook", "no hook"])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_every_way_to_generate_gives_the_ids_of_the_host_path(device, way, has_hook):
    for constraints in (mixed(), constraint(PATTERNS[2])):
        want = generated(device, constraints, False, has_hook, **way)
        assert torch.equal(generated(device, constraints, True, has_hook, **way), want)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("has_hook", [True, False], ids=["hook", "no hook"])
def test_assisted_generation_follows_the_prefix(device, has_hook, monkeypatch):
    recovered = []
    recover = DeviceFollower._recover
    monkeypatch.setattr(
        DeviceFollower, "_recover", lambda self, ids: recovered.append(1) or recover(self, ids)
    )
    for seed in (0, 1):  # the model itself, whose drafts are right, and another one
        assistant = tiny_models.llama(seed).to(device)
        assistant.generation_config.num_assistant_tokens_schedule = "constant"
        way = {"assistant_model": assistant, "do_sample": False, "prompts": PROMPTS[:1], "max_new_tokens": 20}
        for pattern in PATTERNS:
            want = generated(device, constraint(pattern), False, has_hook, **way)
            assert torch.equal(generated(device, constraint(pattern), True, has_hook, **way), want)
    assert not recovered


@pytest.mark.parametrize("device", DEVICES)
def test_states_advance_in_the_hook_and_not_again_in_the_processor(device, monkeypatch):
    """The processor finds what the hook did; nothing is taken back, and once warm nothing is served."""
    counts = {"ahead": 0, "taken back": 0, "recovered": 0, "served": 0}

    def counted(owner, name, key):
        original = getattr(owner, name)

        def wrapped(self, *given):
            counts[key] += 1
            return original(self, *given)

        monkeypatch.setattr(owner, name, wrapped)

    from outlines.device import Arena

    counted(DeviceFollower, "_advance", "ahead")
    counted(DeviceFollower, "_take_back", "taken back")
    counted(DeviceFollower, "_recover", "recovered")
    counted(Arena, "serve", "served")
    generated(device, mixed(), True, max_new_tokens=9)
    counts.update(dict.fromkeys(counts, 0))
    ids = generated(device, mixed(), True, max_new_tokens=9)
    num_steps = ids.shape[1] - inputs(device).input_ids.shape[1]
    assert counts["ahead"] in (num_steps - 1, num_steps)  # the last token needs no state
    assert counts["taken back"] == counts["recovered"] == counts["served"] == 0


@pytest.mark.parametrize("device", DEVICES)
def test_ids_of_no_known_row_are_followed_from_the_prompt_on(device):
    """As when somebody writes other tokens than were sampled, and beyond what can be taken back."""
    digits = Constraint(Regex("[0-9]*"), vocabulary())
    one, width = vocabulary().tokens.index(b"1"), vocabulary().num_tokens

    def kept(processor, generated):
        ids = torch.tensor([[0, 7, *generated]], device=device)
        return (processor(ids, torch.zeros(1, width, device=device)) == 0).cpu()

    on_host, on_device = (ConstraintLogitsProcessor(digits, on_device=choice) for choice in (False, True))
    two = vocabulary().tokens.index(b"2")
    lengths = [*range(50), 3, 49, 50, 20, 21]
    for number, length in enumerate(lengths):
        tokens = [one if number < 50 else two] * length
        assert torch.equal(kept(on_device, tokens), kept(on_host, tokens))


@pytest.mark.parametrize("device", DEVICES)
def test_what_the_hook_saw_in_vain_leaves_no_trace(device):
    """As in a beam search whose candidates look like rows, or after somebody changed what was sampled."""
    words = Constraint(Regex("(yes|no)+"), vocabulary())
    y, n, e, o, s = (vocabulary().tokens.index(text) for text in (b"y", b"n", b"e", b"o", b"s"))
    on_host, on_device = (ConstraintLogitsProcessor(words, on_device=choice) for choice in (False, True))
    steps = [
        ([], y),
        ([n], o),
        ([n, o], y),
        ([n, o, y], o),
        ([n, o, y, e], n),
        ([n, o, y], s),
        ([n, o, y, e, s], y),
    ]
    for followed, hooked in steps:
        ids, seen = (torch.tensor([[0, 7, *each]], device=device) for each in (followed, [*followed, hooked]))
        logits = torch.zeros(1, vocabulary().num_tokens, device=device)
        assert torch.equal(on_device(ids, logits.clone()), on_host(ids, logits.clone()))
        assert not on_device.stopping_criteria(seen, None).any()


@pytest.mark.parametrize("device", DEVICES)
def test_a_free_row_stays_free_whatever_it_ends_with(device):
    """As where somebody's own end of the text is another one than the tokenizer's."""
    on_host, on_device = (
        ConstraintLogitsProcessor([constraint("(yes|no)+"), None], on_device=choice) for choice in (False, True)
    )
    (y, e, s), (eos, *_) = (vocabulary().tokens.index(text) for text in (b"y", b"e", b"s")), vocabulary().eos_token_ids
    for hooked in (False, True):
        ids = torch.tensor([[0, 7], [0, 7]], device=device)
        for processor in (on_host, on_device):
            processor.reset()
        for new in ((y, y), (e, eos), (s, e), (eos, y), (eos, eos)):
            logits = torch.zeros(2, vocabulary().num_tokens, device=device)
            found = on_device(ids, logits.clone())
            assert torch.equal(found, on_host(ids, logits.clone()))
            assert (found[1] == 0).all()
            ids = torch.cat([ids, torch.tensor(new, device=device)[:, None]], 1)
            if hooked:
                on_device.stopping_criteria(ids, None)


@pytest.mark.parametrize("device", DEVICES)
def test_a_processor_serves_another_batch_size_after_a_reset(device):
    processor = ConstraintLogitsProcessor(constraint(PATTERNS[1]), on_device=True)
    for prompts in (PROMPTS, PROMPTS[:1], PROMPTS * 3):
        processor.reset()
        ids = model(device).generate(
            **inputs(device, prompts), logits_processor=[processor], max_new_tokens=12, do_sample=False
        )
        assert torch.equal(
            ids, generated(device, constraint(PATTERNS[1]), False, prompts=prompts, max_new_tokens=12)
        )


@pytest.mark.parametrize("device", DEVICES)
def test_several_generators_at_once(device):
    want = [generated(device, constraint(pattern), False, do_sample=False) for pattern in PATTERNS]
    found, errors = {}, []

    def run(number: int) -> None:
        try:
            found[number] = generated(device, constraint(PATTERNS[number]), True, do_sample=False)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(PATTERNS))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert all(torch.equal(found[number], ids) for number, ids in enumerate(want))


@pytest.mark.gpu
def test_the_front_door_uses_the_device():
    tokenizer = tiny_models.tokenizer()
    on_gpu = from_transformers(model("cuda"), tokenizer)
    types = [Regex(pattern) for pattern in PATTERNS]
    texts = on_gpu.batch(PROMPTS[:3], types, max_new_tokens=30, do_sample=False)
    for text, constraint_type in zip(texts, types, strict=True):
        matcher = Constraint(constraint_type, on_gpu.vocabulary).matcher()
        ids = {text: token for token, text in enumerate(on_gpu.vocabulary.tokens) if text and len(text) == 1}
        assert all(matcher.advance(ids[bytes([byte])]) for byte in text.encode())
