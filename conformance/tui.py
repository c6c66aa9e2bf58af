"""OpenClaw's terminal interface, `openclaw tui`: a conversation typed into it, with a cold restart in the middle."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from conformance.clients import Client, environment
from conformance.gateways import Gateway
from conformance.terminal import Terminal, plain
from conformance.verdict import Run

START_SECONDS = 45.0
LIMIT_SECONDS = 45.0
"""Seconds for one answer."""
PAUSE_SECONDS = 0.5
"""Seconds between the text and Enter: together they would be taken for a paste."""
READY = "connected | idle"
MIDDLE = 12
"""The number of the word at which an answer is in its middle."""


def talk(client: Client, home: Path, gateway: Gateway) -> Iterator[Run]:
    """The screen after each step."""
    words = [*gateway.enter, *client.words(f"tui --session terminal-{client.protocol}")]
    with Terminal("conformance", words, environment(home)) as terminal:
        steps: dict[str, Callable[[Terminal], str]] = {
            "tui": _connect,
            "tui, message": lambda each: _say(each, _words("said", 6)),
            "tui, Escape": _stop,
            "tui, restart": lambda each: _restart(each, gateway),
            "tui, Ctrl-C": _leave,
        }
        for name, step in steps.items():
            began = time.monotonic()
            note = step(terminal)
            exit = terminal.exit() or 0
            yield Run(client.version, name, exit, time.monotonic() - began, terminal.screen(), "", note)


def _connect(terminal: Terminal) -> str:
    return "" if terminal.until(lambda seen: READY in seen, START_SECONDS) else "it does not connect"


def _say(terminal: Terminal, text: str) -> str:
    _type(terminal, text)
    return _answered(terminal, text)


def _stop(terminal: Terminal) -> str:
    text = _words("stopped", 120)
    _type(terminal, text)
    if not terminal.until(_middle("stopped"), LIMIT_SECONDS):
        return "the answer does not begin"
    terminal.press("Escape")
    if not terminal.until(lambda seen: "aborted" in seen, LIMIT_SECONDS):
        return "it does not say that the answer was aborted"
    return "the answer went on" if _count(plain(terminal.screen()), "stopped119") != 1 else ""


def _restart(terminal: Terminal, gateway: Gateway) -> str:
    text = _words("restarted", 60)
    _type(terminal, text)
    if not terminal.until(_middle("restarted"), LIMIT_SECONDS):
        return "the answer does not begin"
    gateway.restart()
    return _answered(terminal, text)


def _leave(terminal: Terminal) -> str:
    terminal.press("C-c")
    terminal.press("C-c")
    end = time.monotonic() + LIMIT_SECONDS
    while terminal.exit() is None:
        if time.monotonic() > end:
            return "it does not end"
        time.sleep(PAUSE_SECONDS)
    return ""


def _type(terminal: Terminal, text: str) -> None:
    terminal.type(text)
    time.sleep(PAUSE_SECONDS)
    terminal.press("Enter")


def _answered(terminal: Terminal, text: str) -> str:
    """Each of its words stands there twice: as it was typed, and in the answer."""
    whole = f"You said: {text}"
    if not terminal.until(lambda seen: whole in seen and READY in seen.rpartition(whole)[2], LIMIT_SECONDS):
        return "the answer is not there"
    seen = plain(terminal.screen())
    odd = [word for word in text.split() if _count(seen, word) != 2]
    return f"not twice: {', '.join(odd)}" if odd else ""


def _middle(stem: str) -> Callable[[str], bool]:
    return lambda seen: f"You said: {stem}0" in seen and _count(seen, f"{stem}{MIDDLE}") == 2


def _count(seen: str, word: str) -> int:
    return seen.split().count(word)


def _words(stem: str, number: int) -> str:
    return " ".join(f"{stem}{each}" for each in range(number))
