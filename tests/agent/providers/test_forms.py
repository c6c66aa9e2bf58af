"""What was said before, in plainer and plainer forms."""

from typing import Any

from gateway.agent.providers.forms import FORMS, as_text, next_form, unchanged, without_pictures
from gateway.agent.providers.pictures import REFUSED
from gateway.link.spec import Message

PICTURE = {"type": "image", "data": "AAAA", "mimeType": "image/png"}
CALL = {"type": "toolCall", "id": "1", "name": "look", "arguments": {"at": "it"}}


def said(role: str, *blocks: dict[str, Any], **more: Any) -> Message:
    return {"role": role, "content": list(blocks), "timestamp": 1, **more}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


TALK = [
    {"role": "user", "content": "words", "timestamp": 1},
    said("user", text("see"), PICTURE),
    said("assistant", {"type": "thinking", "thinking": "hm", "thinkingSignature": "s"}, text("ok"), CALL),
    said("toolResult", text("seen"), PICTURE, toolCallId="1", toolName="look"),
]


def test_each_form_leaves_more_out() -> None:
    assert unchanged(TALK) == TALK
    plain = without_pictures(TALK)
    assert plain[0] == TALK[0] and plain[1]["content"] == [text("see"), text(REFUSED)] and plain[2] == TALK[2]
    words = as_text(TALK)
    assert words[2]["content"] == [text("ok"), text('[called look with {"at": "it"}]')]
    assert (words[3]["role"], words[3]["content"]) == ("user", f"[result of look]\nseen\n{REFUSED}")


def test_the_next_form_is_one_that_changes_something() -> None:
    assert next_form(unchanged, TALK) is without_pictures
    assert next_form(without_pictures, TALK) is as_text and next_form(as_text, TALK) is None
    assert next_form(unchanged, [said("assistant", CALL)]) is as_text
    document = said("user", text("see"), {"type": "document", "data": "AAAA"})
    assert next_form(unchanged, [document]) is None, "it is told in words as it is"
    assert next_form(unchanged, TALK[:1]) is None and next_form(unchanged, []) is None
    assert FORMS[0] is unchanged
