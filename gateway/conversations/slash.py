"""Commands in a chat: `/status`, `/new`, … and the words that stop an answer. Pure."""

from dataclasses import dataclass

STOP_WORDS = frozenset({"stop", "esc", "abort", "wait", "exit", "interrupt"})
"""Words that stop the answer when one of them is the whole message, as with OpenClaw."""
COMMANDS: dict[str, str] = {
    "help": "What can be typed here.",
    "status": "The session, its model and how full its context is.",
    "new": "Begin a new conversation under this session's key.",
    "model": "Show the model, or choose another: /model provider/name, /model default.",
    "models": "The models that the config names.",
    "think": "How long the model thinks: /think off, minimal, low, medium, high.",
    "compact": "Sum up older messages: /compact, or with what matters: /compact the decisions.",
    "stop": "End the answer that is being written.",
}
ALIASES = {"reset": "new", "commands": "help", "abort": "stop", "thinking": "think"}


@dataclass(frozen=True)
class Slash:
    name: str
    """A key of `COMMANDS`."""
    argument: str = ""


def parse(text: str) -> Slash | None:
    """The command in a text. None for a message, such as a path like /etc/hosts or a command that is not ours."""
    stripped = text.strip()
    if stripped.lower().rstrip(".!") in STOP_WORDS:
        return Slash("stop")
    if not stripped.startswith("/"):
        return None
    word, _, rest = stripped[1:].partition(" ")
    name, colon, behind = word.partition(":")
    name = ALIASES.get(name.lower(), name.lower())
    if name not in COMMANDS or "\n" in stripped:
        return None
    return Slash(name, (f"{behind} {rest}" if colon else rest).strip())
