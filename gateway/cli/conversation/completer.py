"""Completion of what is typed at the prompt: the gateway's commands, the local ones, and their arguments."""

import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from gateway.conversations.slash import ALIASES, COMMANDS
from gateway.text.visible import one_line

LOCAL_COMMANDS = {
    "sessions": "The sessions that were talked in last.",
    "session": "Go on in another session: /session KEY.",
    "history": "What was said before: /history, or /history 50.",
    "quit": "Leave; so do Ctrl-D, and Ctrl-C when nothing is typed.",
}
"""Commands that the terminal carries out, so that the gateway does not know them."""
QUIT_WORDS = ("quit", "exit", "/quit", "/exit")
ALL_COMMANDS = {
    **{name: what for name, what in COMMANDS.items() if name != "help"},
    "help": COMMANDS["help"],
    **LOCAL_COMMANDS,
}
_COMMAND = re.compile(r"/([a-z]+)(?::|\s|$)", re.IGNORECASE)


def unknown_command(text: str) -> str | None:
    """An error message for a command that does not exist; None for one that does, and for a message."""
    match = _COMMAND.match(text)
    if match is None or "\n" in text or (name := match[1].lower()) in ALL_COMMANDS or name in ALIASES:
        return None
    near = get_close_matches(name, ALL_COMMANDS, 1)
    meant = f" (/{near[0]}?)" if near else ""
    return f"there is no /{name}{meant}; /help says what there is"


class CommandCompleter(Completer):
    def __init__(self, arguments: Mapping[str, Callable[[], Iterable[str]]]) -> None:
        """`arguments`: command -> the arguments that it may have, called while the user types."""
        self._arguments = arguments

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        text = document.text_before_cursor
        if not is_command(text):
            return
        name, blank, begun = text[1:].partition(" ")
        if not blank:
            for command, what in ALL_COMMANDS.items():
                if command.startswith(name.lower()):
                    yield Completion(command, -len(name), display=f"/{command}", display_meta=what)
        elif name.lower() in self._arguments:
            for word in self._arguments[name.lower()]():
                # A name may hold control characters: the menu would show another text than the one that is chosen.
                if begun.lower() in word.lower() and one_line(word) == word:
                    yield Completion(word, -len(begun))


def is_command(text: str) -> bool:
    return text.startswith("/") and "\n" not in text
