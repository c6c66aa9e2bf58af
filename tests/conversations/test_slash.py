import pytest

from gateway.conversations.slash import ALIASES, COMMANDS, STOP_WORDS, Slash, parse


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("/status", Slash("status")),
        ("  /Status  ", Slash("status")),
        ("/model openai/gpt", Slash("model", "openai/gpt")),
        ("/model: openai/gpt", Slash("model", "openai/gpt")),
        ("/think:high", Slash("think", "high")),
        ("/reset", Slash("new")),
        ("/commands", Slash("help")),
        ("/compact 5", Slash("compact", "5")),
        ("/stop", Slash("stop")),
        ("stop", Slash("stop")),
        ("Stop!", Slash("stop")),
        (" esc. ", Slash("stop")),
    ],
)
def test_what_is_a_command(text: str, command: Slash) -> None:
    assert parse(text) == command


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "/etc/hosts",
        "/unknown",
        "hello /status",
        "/status\nand more",
        "stop it",
        "please stop",
        "/newer",
        "// new",
    ],
)
def test_what_is_a_message(text: str) -> None:
    assert parse(text) is None


def test_every_alias_and_stop_word_means_a_command() -> None:
    assert set(ALIASES.values()) <= COMMANDS.keys() and not ALIASES.keys() & COMMANDS.keys()
    assert {parse(word) for word in STOP_WORDS} == {Slash("stop")}
