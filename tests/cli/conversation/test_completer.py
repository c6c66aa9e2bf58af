import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from gateway.cli.conversation.completer import ALL_COMMANDS, CommandCompleter, unknown_command
from gateway.conversations.slash import ALIASES, COMMANDS

SESSIONS = ["agent:main:work", "work\u202e", "work\n", "work\x1b"]


def offered(text: str) -> list[str]:
    """The whole line after each completion."""
    offers = CommandCompleter(
        {
            "model": lambda: ["openai/gpt", "builtin/echo"],
            "session": lambda: ["agent:main:work", "work\u202e", "work\n", "work\x1b"],
        }
    )
    found = offers.get_completions(Document(text), CompleteEvent())
    return [text[: len(text) + each.start_position] + each.text for each in found]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("/mo", ["/model", "/models"]),
        ("/SE", ["/sessions", "/session"]),
        ("/model ", ["/model openai/gpt", "/model builtin/echo"]),
        ("/model ECHO", ["/model builtin/echo"]),
        ("/session work", ["/session agent:main:work"]),
        ("/think ", []),
        ("/status x", []),
        ("/x", []),
        ("hello /mo", []),
        ("/mo\n", []),
        ("", []),
    ],
)
def test_what_can_be_typed(text: str, lines: list[str]) -> None:
    assert offered(text) == lines


def test_each_command_says_what_it_does() -> None:
    assert COMMANDS.keys() < ALL_COMMANDS.keys()
    assert offered("/") == [f"/{name}" for name in ALL_COMMANDS]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("/modle x", "there is no /modle (/model?); /help says what there is"),
        ("/xyz", "there is no /xyz; /help says what there is"),
        *((f"/{name}", None) for name in [*ALL_COMMANDS, *ALIASES]),
        ("/model:x", None),
        ("/etc/hosts is what?", None),
        ("/xyz\nis a message", None),
        (" /xyz with a blank before it", None),
        ("hello", None),
    ],
)
def test_a_command_that_nobody_knows(text: str, said: str | None) -> None:
    assert unknown_command(text) == said
