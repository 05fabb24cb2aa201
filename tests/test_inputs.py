"""Images, videos, audio and chats."""

from __future__ import annotations

import base64
import io

import PIL.Image
import pytest

from outlines.inputs import Audio, Chat, Image, Video


def opened(file_format: str) -> PIL.Image.Image:
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (3, 2), "red").save(buffer, format=file_format)
    return PIL.Image.open(buffer)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
def test_image_is_encoded_in_its_own_format(file_format):
    source = opened(file_format)
    image = Image(source)
    assert image.image is source
    assert image.image_format == f"image/{file_format.lower()}"
    decoded = PIL.Image.open(io.BytesIO(base64.b64decode(image.image_str)))
    assert (decoded.format, decoded.size) == (file_format, (3, 2))


@pytest.mark.parametrize("file_format", [None, ""])
def test_image_without_format_says_what_to_do(file_format):
    image = PIL.Image.new("RGB", (1, 1))
    image.format = file_format
    with pytest.raises(TypeError, match=r"Could not read the format of the image.*Open it from a file"):
        Image(image)


def test_images_are_equal_by_their_image():
    source = opened("PNG")
    assert Image(source) == Image(source)
    assert Image(source) != Image(
        PIL.Image.open(io.BytesIO(base64.b64decode(Image(opened("JPEG")).image_str)))
    )


def test_video_and_audio_hold_anything():
    assert Video([1, 2]).video == [1, 2]
    assert Audio("path") == Audio("path")


def test_chat_grows_and_shrinks():
    chat = Chat()
    chat.add_system_message("be brief")
    chat.add_user_message(["look", "asset"])
    chat.append({"role": "assistant", "content": "yes"})
    chat.extend([{"role": "user", "content": "why"}])
    chat.add_assistant_message("so")
    assert chat.pop() == {"role": "assistant", "content": "so"}
    assert [message["role"] for message in chat.messages] == ["system", "user", "assistant", "user"]
    assert chat.messages[1]["content"] == ["look", "asset"]


def test_chat_keeps_the_list_it_is_given_and_makes_a_fresh_one_otherwise():
    messages = [{"role": "user", "content": "hi"}]
    chat = Chat(messages)
    chat.add_user_message("there")
    assert chat.messages is messages
    assert len(messages) == 2
    assert Chat().messages is not Chat().messages


def test_chat_as_text():
    assert str(Chat()) == ""
    chat = Chat([{"role": "user", "content": "hi"}, {"role": "user", "content": "you"}])
    assert str(chat) == "{'role': 'user', 'content': 'hi'}\n{'role': 'user', 'content': 'you'}"
    assert repr(chat) == f"Chat(messages={chat.messages!r})"
    assert chat == Chat(list(chat.messages))


def test_pop_of_an_empty_chat_raises():
    with pytest.raises(IndexError):
        Chat().pop()
