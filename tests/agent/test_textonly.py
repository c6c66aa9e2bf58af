from gateway.agent.textonly import LEFT_OUT, for_text_only

PICTURE = {"type": "image", "data": "aGFsbG8=", "mimeType": "image/png"}
SAID = {"type": "text", "text": "what is it?"}


def test_a_picture_is_left_out_and_said() -> None:
    told = for_text_only({"role": "user", "content": [SAID, PICTURE]})
    assert told == {"role": "user", "content": [SAID, {"type": "text", "text": LEFT_OUT}]}


def test_a_message_without_pictures_stays_as_it_is() -> None:
    for content in ("text", [SAID], None):
        assert for_text_only({"role": "user", "content": content}) == {"role": "user", "content": content}
