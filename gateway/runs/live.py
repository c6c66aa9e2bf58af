"""A run that is going on: what its events have said so far, and what of it is not stored yet. Pure."""

from dataclasses import dataclass, field
from typing import Any

from gateway.link.messages import Ended, Event, Message, Said, Started, Text, Thinking, ToolStarted, Void
from gateway.sessions.records import Progress, Run

INTERRUPTED = "interrupted"
"""The `stopReason` of a message that nobody could finish."""


@dataclass
class Live:
    run: Run
    """As it was stored when it began, or when this process found it."""
    seq: int = 0
    """Of the last event."""
    stored: int = 0
    """Of the last event that is on disk."""
    text: str = ""
    """Of the message that is being written."""
    thinking: str = ""
    answer: str = ""
    """The text of the last complete message of the model."""
    provider: str | None = None
    model: str | None = None
    acted: bool = False
    said: list[Message] = field(default_factory=list)
    """Complete messages that are not on disk yet."""
    complete: bool = False
    """The last thing that happened is a message of the model that asks for no tool: only the end is missing."""
    aborting: bool = False
    over: bool = False
    """Its end has come, which is stored as one and never as progress: the agent forgets what is acknowledged."""
    ending: bool = False
    """Its end is being stored."""

    @classmethod
    def resumed(cls, run: Run) -> "Live":
        """What another process has left."""
        complete = bool(run.answer) and not run.text and not run.acted
        return cls(
            run, run.seq, run.seq, run.text, "", run.answer, run.provider, run.model, run.acted, complete=complete
        )

    def take(self, event: Event) -> bool:
        """False for an event that was there before. Raises ValueError for one that leaves others out."""
        if event.seq <= self.seq:
            return False
        if event.seq != self.seq + 1:
            raise ValueError(f"event {event.seq} of run {self.run.id} came after {self.seq}")
        self.seq = event.seq
        match event.what:
            case Started(provider=provider, model=model):
                self.provider, self.model = provider, model
            case Text(delta=delta):
                self.text += delta
                self.complete = False
            case Thinking(delta=delta):
                self.thinking += delta
            case Void():
                self.text = self.thinking = ""
            case Said(message=message):
                self._say(message)
            case Ended():
                self.over = True
            case ToolStarted():
                self.acted = True
                self.complete = False
        return True

    def _say(self, message: Message) -> None:
        self.said.append(message)
        if message.get("role") == "assistant":
            self.answer = self.text or self.answer
            self.text = self.thinking = ""
            self.complete = not any(block.get("type") == "toolCall" for block in blocks(message))

    def again(self, run: Run) -> None:
        """It begins anew."""
        self.run, self.seq, self.stored = run, 0, 0
        self.text = self.thinking = ""
        self.said = []

    def progress(self) -> Progress:
        """What is to be stored now; `keep` it once it is."""
        return Progress(self.run.id, self.seq, self.text, list(self.said), self.acted, self.provider, self.model)

    def keep(self, progress: Progress) -> None:
        self.stored = progress.seq
        del self.said[: len(progress.said)]

    def partial(self, now: int) -> Message | None:
        """What was written of a message that nobody will finish."""
        if not self.text:
            return None
        content: list[dict[str, Any]] = [{"type": "text", "text": self.text}]
        return {
            "role": "assistant",
            "content": content,
            "provider": self.provider,
            "model": self.model,
            "stopReason": INTERRUPTED,
            "timestamp": now,
        }


def blocks(message: Message) -> list[dict[str, Any]]:
    content = message.get("content")
    return [each for each in content if isinstance(each, dict)] if isinstance(content, list) else []
