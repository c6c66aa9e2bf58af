from gateway.agent.turn import results
from gateway.agent.turn.results import MAX_PICTURES, cut, from_content
from gateway.link.messages import MAX_TOOL_RESULT


def test_texts_are_joined_and_pictures_are_blocks() -> None:
    picture = {"type": "image", "data": "aGk=", "mimeType": "image/jpeg"}
    result = from_content([{"type": "text", "text": "a"}, picture, {"type": "text", "text": "b"}], None, ok=True)
    assert result.ok and result.text == "a\nb"
    assert result.blocks == [{"type": "text", "text": "a\nb"}, picture]


def test_a_picture_alone_needs_no_text() -> None:
    assert [block["type"] for block in from_content([{"type": "image", "data": "aGk="}], None, ok=True).blocks] == [
        "image"
    ]


def test_pictures_over_the_bound_are_described() -> None:
    full = {"type": "image", "data": "x" * MAX_PICTURES}
    assert len(from_content([full], None, ok=True).blocks) == 1 and not from_content([full], None, ok=True).text
    assert from_content([full, {"type": "image", "data": "x"}], None, ok=True).text == (
        "[image of 1 characters, which is not passed on]"
    )


def test_what_is_no_text_is_said_in_words() -> None:
    content = [
        {"type": "resource", "resource": {"uri": "file:///a", "text": "inside"}},
        {"type": "resource", "resource": {"uri": "file:///b", "blob": "xx"}},
        {"type": "resource_link", "name": "c", "uri": "file:///c"},
        {"type": "audio", "data": "xxxx"},
    ]
    assert from_content(content, None, ok=True).text.split("\n") == [
        "inside",
        "[a file: file:///b]",
        "[a link to c: file:///c]",
        "[audio of 4 characters, which is not passed on]",
    ]


def test_a_result_that_is_only_structured_is_written_out() -> None:
    assert from_content([], {"a": "ü"}, ok=True).text == '{"a": "ü"}'
    assert from_content([{"type": "text", "text": "words"}], {"a": 1}, ok=True).text == "words"


def test_nothing_is_a_result_too() -> None:
    assert from_content([], None, ok=False) == results.Result(False, "", [{"type": "text", "text": ""}])


def test_a_result_may_be_as_long_as_the_bound() -> None:
    text = "x" * MAX_TOOL_RESULT
    assert cut(text) == text


def test_a_longer_result_is_cut_to_the_bound_and_says_so() -> None:
    found = cut("ü" * MAX_TOOL_RESULT)
    assert len(found.encode()) <= MAX_TOOL_RESULT and found.startswith("üü")
    assert found.endswith(
        f"\n[This result is cut: it has {2 * MAX_TOOL_RESULT} bytes, and a model gets at most {MAX_TOOL_RESULT}.]"
    )
