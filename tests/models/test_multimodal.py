"""Multimodal models of transformers: a tiny random LLaVA, constrained, and the forms of its prompts."""

from __future__ import annotations

import re

import PIL.Image
import pytest
import torch
import transformers

import outlines
from outlines.inputs import Audio, Chat, Image, Video
from outlines.models.transformers import TransformersMultiModal, TransformersMultiModalTypeAdapter
from outlines.types import Regex
from tests import tiny_models
from tests.models.providers import image

NUMBER = Regex(r"-?[0-9]{2,6}é")
PATCH, SIZE = 14, 28
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }}: {% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for part in m['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}{% else %}<{{ part['type'] }}>"
    "{% endif %}{% endfor %}{% endif %}{{ '\n' }}{% endfor %}assistant:"
)


def make_model() -> TransformersMultiModal:
    tokenizer = tiny_models.tokenizer(chat_template=TEMPLATE)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    torch.manual_seed(0)
    text = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        **tiny_models.SPECIAL,
    )
    vision = transformers.CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=SIZE,
        patch_size=PATCH,
        projection_dim=32,
    )
    config = transformers.LlavaConfig(
        text_config=text,
        vision_config=vision,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_seq_length=(SIZE // PATCH) ** 2,
    )
    size = {"height": SIZE, "width": SIZE}
    processor = transformers.LlavaProcessor(
        image_processor=transformers.CLIPImageProcessorPil(size=size, crop_size=size),
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        image_token="<image>",
        num_additional_image_tokens=1,
    )
    llava = transformers.LlavaForConditionalGeneration(config).eval()
    return outlines.from_transformers(llava, processor)


@pytest.fixture(scope="module")
def model() -> TransformersMultiModal:
    return make_model()


# Generation


def test_an_image_and_a_constraint(model):
    assert isinstance(model, TransformersMultiModal)
    assert isinstance(model, outlines.SteerableModel)
    generator = outlines.Generator(model, NUMBER)
    text = generator(["<image> the quick", image()], max_new_tokens=20)
    assert re.fullmatch(NUMBER.pattern, text)
    assert generator(["<image> the quick", image()], max_new_tokens=20) == text
    assert "".join(generator.stream(["<image> the quick", image()], max_new_tokens=20)) == text


def test_a_batch_and_samples(model):
    prompts = [["<image> the quick", image()], ["<image> yes no <image>", image(), image("blue")]]
    texts = model.batch(prompts, NUMBER, max_new_tokens=20)
    assert len(texts) == 2
    assert all(re.fullmatch(NUMBER.pattern, text) for text in texts)
    samples = model(prompts[0], NUMBER, max_new_tokens=20, num_return_sequences=3, do_sample=True)
    assert len(samples) == 3


def test_a_chat(model):
    chat = Chat(
        [{"role": "user", "content": ["Look", image()]}, {"role": "assistant", "content": "A square."}]
    )
    text = model(chat, NUMBER, max_new_tokens=20)
    assert re.fullmatch(NUMBER.pattern, text)


def test_text_alone_as_a_list(model):
    assert re.fullmatch(NUMBER.pattern, model(["the quick"], NUMBER, max_new_tokens=20))


def test_dtype_may_be_changed_later(model):
    model.device_dtype = torch.float64
    inputs = model._encode([["<image> yes", image()]])
    assert inputs["pixel_values"].dtype == torch.float64
    model.device_dtype = None


def test_a_number_of_images_that_is_wrong_is_the_processors_own_error(model):
    with pytest.raises(ValueError, match=r"image"):
        model(["<image> <image>", image()], max_new_tokens=2)


# Prompts


@pytest.fixture
def adapter(model) -> TransformersMultiModalTypeAdapter:
    return model.type_adapter


def test_lists(adapter):
    picture = image()
    assert adapter.format_input(["a"]) == {"text": "a"}
    assert adapter.format_input(["a", picture]) == {"text": "a", "images": [picture.image]}
    assert adapter.format_input(["a", Video("v"), Video("w")]) == {"text": "a", "videos": ["v", "w"]}
    assert adapter.format_input(["a", Audio("s")]) == {"text": "a", "audio": ["s"]}


def test_chats(adapter):
    first, second = image(), image("blue")
    chat = Chat(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": ["Look", first]},
            {
                "role": "user",
                "content": [{"type": "image", "image": second}, {"type": "text", "text": "and here"}],
            },
        ]
    )
    text = "system: Be brief.\nuser: Look<image>\nuser: <image>and here\nassistant:"
    assert adapter.format_input(chat) == {"text": text, "images": [first.image, second.image]}
    assert adapter._format_asset_for_template(first) == {"type": "image", "image": first}


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        (["a", image(), Audio("s")], "All assets must be of the same type"),
        (["a", 3], "Unsupported asset type"),
        ([{"type": "text", "text": "a", "more": 1}], "Found item with multiple keys:"),
        ([{"text": "a"}], "Each item in the content list must be a dictionary with a 'type' key"),
        ([{"type": "image", "url": 1}], "Item with type 'image' must contain a 'image' key"),
        ([{"type": "video", "url": 1}], "Item with type 'video' must contain a 'video' key"),
        ([{"type": "audio"}], "Item with type 'audio' must contain a 'audio' key"),
        ([{"type": "image", "image": "x"}], "Assets must be of type"),
        ([{"type": "file", "file": "x"}], "Content must be 'text'"),
        (["a", "b"], "Assets must be of type|Unsupported asset type"),
        ({"a": 1}, "Invalid content type"),
    ],
)
def test_what_is_wrong_is_named(adapter, prompt, text):
    is_plain = isinstance(prompt, list) and isinstance(prompt[0], str)
    given = (
        [prompt, Chat([{"role": "user", "content": prompt}])]
        if is_plain
        else [Chat([{"role": "user", "content": prompt}])]
    )
    for each in given:
        expected = (
            "Assets must be of type" if isinstance(each, Chat) and text.startswith("Unsupported") else text
        )
        with pytest.raises(ValueError, match=expected):
            adapter.format_input(each)


@pytest.mark.parametrize("prompt", ["text", 3, image()])
def test_other_prompts_are_refused(model, prompt):
    with pytest.raises(TypeError, match="is not available with TransformersMultiModal"):
        model(prompt)


def test_images_keep_their_type():
    assert isinstance(image(), Image)
    assert isinstance(image().image, PIL.Image.Image)
