"""Shortens a conversation that is too long: what is cut, and where it may be divided. Pure."""

from collections.abc import Iterable, Sequence
from typing import Any

from gateway.agent.providers.pictures import OLD, replace_picture
from gateway.agent.window import tokens
from gateway.link.spec import COMPACTION, Message

OLD_RESULT = 2000
"""Characters that are left of an old result of a tool."""
LEAST_RESULT = 200
"""Characters that are left of a result in any case."""
NOTE_LENGTH = 100
"""Characters of the note that text is left out. Less text than this is not cut."""


def cut_text(text: str, most: int) -> str:
    """The text cut to about `most` characters: its beginning, a note of how much is left out, and its end."""
    if len(text) <= most + NOTE_LENGTH:
        return text
    tail = most // 4
    note = f"\n[… {len(text) - most} characters are left out here, because the conversation is long …]\n"
    return text[: most - tail] + note + text[len(text) - tail :]


def cut_blocks(blocks: Iterable[dict[str, Any]], most: int, *, pictures: bool) -> list[dict[str, Any]]:
    """The blocks of a result with about `most` characters of text in all of them together."""
    found: list[dict[str, Any]] = []
    for block in blocks:
        if block.get("type") == "text":
            text = cut_text(str(block.get("text", "")), max(most, LEAST_RESULT))
            most -= len(text)
            found.append({**block, "text": text})
        else:
            found.append(block if pictures else replace_picture(block, OLD))
    return found


def cut_results(messages: Sequence[Message], until: int, most: int = OLD_RESULT) -> list[Message]:
    """The messages with those results of tools cut that come before the index `until`."""
    return [_cut_result(each, most) if number < until else each for number, each in enumerate(messages)]


def _cut_result(message: Message, most: int) -> Message:
    content = message.get("content")
    if message.get("role") != "toolResult":
        return message
    if isinstance(content, str):
        return {**message, "content": cut_text(content, most)}
    blocks = [each for each in content or [] if isinstance(each, dict)]
    return {**message, "content": cut_blocks(blocks, most, pictures=False)}


def is_summary(message: Message) -> bool:
    """Whether the message is a summary of earlier ones. Imports bring summaries as messages of the user."""
    return message.get("role") == COMPACTION or message.get("summary") is True


def turn_starts(messages: Sequence[Message]) -> list[int]:
    """The indices of the user's messages, with which turns begin. No call is divided from its result there."""
    return [number for number, each in enumerate(messages) if number and each.get("role") == "user"]


def recent_start(messages: Sequence[Message], keep_tokens: float, keep_turns: int = 0, room: float = 0) -> int:
    """The index from which on messages are kept.

    Whole turns with at most `keep_tokens` together are kept, and at least `keep_turns` turns if these have at most
    `room` tokens. The result is `len(messages)` if not even the last turn is kept.
    """
    chosen = end = len(messages)
    size = 0
    for kept, begin in enumerate([*reversed(turn_starts(messages)), 0]):
        if begin == 0 and messages and is_summary(messages[0]):
            break  # a summary is no turn
        size += tokens.of_messages(messages[begin:end])
        if size > keep_tokens and (kept >= keep_turns or size > room):
            break
        chosen = end = begin
    return chosen


def shared_bound(sizes: Iterable[int], room: int) -> int:
    """The bound on each size with which all fit into `room`: small ones stay whole, large ones get the same bound."""
    left = sorted(sizes)
    largest = left[-1] if left else 0
    while left and left[0] * len(left) <= room:
        room -= left.pop(0)
    return room // len(left) if left else largest
