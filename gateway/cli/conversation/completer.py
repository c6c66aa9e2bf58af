"""What can be typed at the prompt beside a message: the gateway's commands, our own, and what goes behind them."""

import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from gateway.conversations.slash import ALIASES, COMMANDS
from gateway.text.visible import one_line

OWN = {
    "sessions": "The sessions that were talked in last.",
    "session": "Go on in another session: /session KEY.",
    "history": "What was said before: /history, or /history 50.",
    "quit": "Leave; so do Ctrl-D, and Ctrl-C when nothing is typed.",
}
"""Commands that the gateway knows nothing of."""
LEAVING = ("quit", "exit", "/quit", "/exit")
KNOWN = {**{name: what for name, what in COMMANDS.items() if name != "help"}, "help": COMMANDS["help"], **OWN}
_COMMAND = re.compile(r"/([a-z]+)(?::|\s|$)", re.IGNORECASE)


def mistyped(text: str) -> str | None:
    """What to say of a command that nobody knows; None for what is one, or is a message."""
    match = _COMMAND.match(text)
    if match is None or "\n" in text or (name := match[1].lower()) in KNOWN or name in ALIASES:
        return None
    near = get_close_matches(name, KNOWN, 1)
    meant = f" (/{near[0]}?)" if near else ""
    return f"there is no /{name}{meant}; /help says what there is"


class CommandCompleter(Completer):
    def __init__(self, arguments: Mapping[str, Callable[[], Iterable[str]]]) -> None:
        """`arguments`: what may stand behind a command, asked for when somebody types it."""
        self._arguments = arguments

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        text = document.text_before_cursor
        if not is_command(text):
            return
        name, blank, begun = text[1:].partition(" ")
        if not blank:
            for command, what in KNOWN.items():
                if command.startswith(name.lower()):
                    yield Completion(command, -len(name), display=f"/{command}", display_meta=what)
        elif name.lower() in self._arguments:
            for word in self._arguments[name.lower()]():
                # Whoever has named it can turn the direction of the menu; what is shown would not be what is meant.
                if begun.lower() in word.lower() and one_line(word) == word:
                    yield Completion(word, -len(begun))


def is_command(text: str) -> bool:
    return text.startswith("/") and "\n" not in text
