"""Pictures with wrong labels, broken, and of kinds that not every provider takes."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.agent.providers import pictures
from gateway.agent.providers.pictures import (
    MAX_CHARS,
    TEXT_ONLY,
    UNREADABLE,
    decode,
    is_whole,
    kind_of,
    read,
    replace_pictures,
)
from gateway.link.spec import Api

PNG = b"\x89PNG\r\n\x1a\n....IEND\xaeB`\x82"
JPEG = b"\xff\xd8\xff\xe0....\xff\xd9"
GIF = b"GIF89a....;"
WEBP = b"RIFF\x08\0\0\0WEBPVP8 "
HEIC = b"\0\0\0\x18ftypheic...."


def block(data: bytes | str, label: str = "image/png") -> dict[str, str]:
    text = data if isinstance(data, str) else base64.b64encode(data).decode()
    return {"type": "image", "data": text, "mimeType": label}


@pytest.mark.parametrize(
    ("data", "label", "kind"),
    [
        (PNG, "image/jpeg", "image/png"),
        (JPEG, "image/jpg", "image/jpeg"),
        (JPEG, "application/octet-stream", "image/jpeg"),
        (GIF, "", "image/gif"),
        (WEBP, "image/png", "image/webp"),
    ],
)
def test_its_bytes_say_what_it_is(data: bytes, label: str, kind: str) -> None:
    assert read(block(data, label), "anthropic-messages") == (data, kind)


@pytest.mark.parametrize("data", ["", "not base64!", "AAAA", base64.b64encode(b"<html>").decode(), None, 7])
def test_what_cannot_be_read_is_named(data: object) -> None:
    assert read({"type": "image", "data": data}, "openai-completions") == UNREADABLE


@pytest.mark.parametrize("data", [PNG[:-8], JPEG[:-2], GIF[:-1], WEBP[:-3]])
def test_what_is_cut_off_is_named(data: bytes) -> None:
    assert read(block(data), "openai-completions") == "[an image that is cut off]"


def test_a_kind_that_only_some_take() -> None:
    assert read(block(HEIC), "google-generative-ai") == (HEIC, "image/heic")
    assert (
        read(block(HEIC), "anthropic-messages") == "[an image of the kind image/heic, which this model does not take]"
    )
    assert "image/gif" in str(read(block(GIF), "google-generative-ai"))
    assert "image/bmp" in str(read(block(b"BM...."), "openai-responses"))


@pytest.mark.parametrize("api", MAX_CHARS)
def test_the_size_that_is_taken(api: Api) -> None:
    fits = PNG + b"\0" * (MAX_CHARS[api] * 3 // 4 - len(PNG))
    assert read(block(fits), api) == (fits, "image/png")
    assert "too large" in str(read(block(fits + b"\0" * 4), api))


@given(st.binary(min_size=1, max_size=80))
def test_base64_is_read_as_node_does(data: bytes) -> None:
    text = base64.b64encode(data).decode()
    wrapped = "\n".join(text[start : start + 7] for start in range(0, len(text), 7))
    url = base64.urlsafe_b64encode(data).decode()
    for written in (text, text.rstrip("="), wrapped, url, f"data:image/jpg;base64,{text}"):
        assert decode(written) == data


@given(st.binary(max_size=40))
def test_any_bytes_are_of_a_kind_or_none(data: bytes) -> None:
    kind = kind_of(data)
    assert kind is None or isinstance(is_whole(data, kind), bool)
    assert pictures.MAX_PICTURES > 0


def test_words_in_the_place_of_a_picture() -> None:
    said = {"type": "text", "text": "what is it?"}
    told = replace_pictures({"role": "user", "content": [said, block(PNG), 5]}, TEXT_ONLY)
    assert told == {"role": "user", "content": [said, {"type": "text", "text": TEXT_ONLY}, 5]}
    for content in ("text", [said], None):
        assert replace_pictures({"role": "user", "content": content}, TEXT_ONLY) == {"role": "user", "content": content}
