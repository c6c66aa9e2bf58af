"""What is shown to the model that sums up, and in which pieces."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.agent.window import tokens
from gateway.agent.window.summary import MAX_RESULT, divide, spell


@given(st.lists(st.text(min_size=1, max_size=400), max_size=12), st.integers(120, 300))
def test_pieces_have_room_and_nothing_that_fits_is_missing(texts: list[str], most: int) -> None:
    pieces = divide(texts, most)
    assert all(tokens.of_text(piece) <= most + len(texts) + 5 for piece in pieces)
    whole = "\n\n".join(pieces)
    assert all(text in whole for text in texts if tokens.of_text(text) <= most)


def test_a_message_is_spelled_with_its_calls_and_without_its_pictures() -> None:
    call = {"type": "toolCall", "name": "look", "arguments": {"at": "it"}}
    blocks = [{"type": "text", "text": "see"}, {"type": "image", "data": "AAAA"}, {"type": "thinking", "thinking": "x"}]
    spelled = "[assistant]\nsee\n[image, which is not shown here]\n[calls look with {'at': 'it'}]"
    assert spell({"role": "assistant", "content": [*blocks, call]}) == spelled
    large = spell({"role": "toolResult", "toolName": "look", "content": [{"type": "text", "text": "x" * 9000}]})
    assert large.startswith("[result of look]\nxxx") and len(large) < MAX_RESULT + 200
    assert spell({"role": "user", "content": "old", "summary": True}).startswith("[what was summed up before]")
