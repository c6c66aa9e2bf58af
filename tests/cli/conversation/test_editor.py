"""Keys at the prompt, without a terminal."""

import asyncio

import pytest
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from gateway.cli.conversation.completer import CommandCompleter
from gateway.cli.conversation.editor import Editor
from tests.slack import LIMIT_S

UP = "\x1b[A"


def typed(*keys: str) -> list[str | None]:
    """What the prompts return for these keys, until somebody leaves."""

    async def read() -> list[str | None]:
        with create_pipe_input() as input:
            editor = Editor(InMemoryHistory(["before"]), CommandCompleter({}), False, input, DummyOutput())
            found: list[str | None] = []
            for each in keys:
                input.send_text(each)
                async with asyncio.timeout(LIMIT_S):
                    found.append(await editor.read())
        return found

    return asyncio.run(read())


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ("hello\r", "hello"),
        ("one\\\rtwo\r", "one\ntwo"),
        ("one\x1b\rtwo\x1b\r\x1b\rthree\r", "one\ntwo\n\nthree"),
        ("a\\b\r", "a\\b"),
        ("\r \r x\r", "  x"),
        ("\x1b[200~one\rtwo\x1b[201~\r", "one\ntwo"),
        ("gone\x03here\r", "here"),
        (UP + "\r", "before"),
        ("\x03", None),
        ("\x04", None),
        ("one\x04\r", "one"),
    ],
)
def test_keys(keys: str, text: str | None) -> None:
    assert typed(keys) == [text]


def test_what_was_typed_comes_back() -> None:
    assert typed("first\r", "second\r", UP + UP + "\r", "\x04") == ["first", "second", "first", None]
