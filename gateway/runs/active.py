"""A run that goes on: what its events have said so far, and how much of it is stored. Pure."""

from dataclasses import dataclass, field
from typing import Any

from gateway.link.messages import Discarded, Ended, Event, Said, Started, Text, Thinking, ToolStarted
from gateway.link.spec import COMPACTION, Message
from gateway.runs.written import GrowingText
from gateway.sessions.records import Progress, Run, text_of

INTERRUPTED = "interrupted"
"""The `stopReason` of a message that was never finished."""
UNFINISHED = ("aborted", "error", INTERRUPTED)
"""Each `stopReason` of a message that breaks off."""


class Gap(ValueError):
    """An event came before the one that precedes it."""


@dataclass
class ActiveRun:
    run: Run
    """The run as it was stored when it began, or when this process found it."""
    seq: int = 0
    """The number of the last event."""
    stored: int = 0
    """The number of the last event that is on disk."""
    written: GrowingText = field(default_factory=GrowingText)
    """The text of the message that is being written."""
    thought: GrowingText = field(default_factory=GrowingText)
    """The thinking of the message that is being written."""
    answer: str = ""
    """The text of the model's last complete message."""
    provider: str | None = None
    model: str | None = None
    acted: bool = False
    """A tool was called, so the run cannot be repeated."""
    said: dict[int, Message] = field(default_factory=dict)
    """Complete messages that are not on disk yet, by the numbers of the events that brought them."""
    complete: bool = False
    """The last event is a message of the model that asks for no tool: only the end is missing."""
    asked: bool = False
    """An agent was told to begin the run, and is not known to be gone."""
    tries: int = 0
    """How often this process has told an agent to, since the run last began."""
    aborting: bool = False
    over: bool = False
    """The `Ended` event has come. It is stored as the end and never as progress: the agent forgets what is
    acknowledged."""
    ending: bool = False
    """The end is being stored."""

    @classmethod
    def resumed(cls, run: Run) -> "ActiveRun":
        """A run that another process has left, as it is stored."""
        return cls(
            run,
            run.seq,
            run.seq,
            GrowingText(run.text),
            answer=run.answer,
            provider=run.provider,
            model=run.model,
            acted=run.acted,
            complete=run.complete,
            asked=True,
        )

    @property
    def text(self) -> str:
        return str(self.written)

    @property
    def thinking(self) -> str:
        return str(self.thought)

    @property
    def goes_on(self) -> bool:
        """An agent has the run, and its end has neither come nor been decided."""
        return self.asked and not self.over and not self.ending

    def apply(self, event: Event) -> bool:
        """Take in an event; False if it was there before. Raises Gap if events before it are missing."""
        if event.seq <= self.seq:
            return False
        if event.seq != self.seq + 1:
            raise Gap(f"event {event.seq} of run {self.run.id} came after {self.seq}")
        self.seq = event.seq
        match event.what:
            case Started(provider=provider, model=model):
                self.provider, self.model = provider, model
            case Text(delta=delta):
                self.written.add(delta)
            case Thinking(delta=delta):
                self.thought.add(delta)
            case Discarded():
                self._clear()
            case Said(message=message):
                self._say(event.seq, message)
            case ToolStarted(acts=True):
                self.acted = True
            case Ended():
                self.over = True
        self.complete = isinstance(event.what, Said) and self._is_last(event.what.message)
        return True

    def _clear(self) -> None:
        self.written.clear()
        self.thought.clear()

    def _say(self, seq: int, message: Message) -> None:
        self.said[seq] = message
        if message.get("role") == "assistant":
            self.answer = text_of(message) or self.answer
            self._clear()

    def _is_last(self, message: Message) -> bool:
        """Whether the model has said all that it wanted to. In a run that only compacts, the summary is all."""
        if message.get("role") == COMPACTION:
            return self.run.request.compact is not None
        wants_more = any(block.get("type") == "toolCall" for block in blocks(message))
        return message.get("role") == "assistant" and message.get("stopReason") not in UNFINISHED and not wants_more

    def restart(self, run: Run) -> None:
        """The run is begun again, and what was said before is void."""
        self.run, self.seq, self.stored, self.tries = run, 0, 0, 0
        self._clear()
        self.answer = ""
        self.provider = self.model = None
        self.said = {}
        self.complete = False

    def progress(self) -> Progress:
        """The state to store now. Call `mark_stored` once it is on disk."""
        return Progress(
            self.run.id,
            self.seq,
            self.text,
            dict(self.said),
            acted=self.acted,
            complete=self.complete,
            provider=self.provider,
            model=self.model,
            attempt=self.run.attempts,
        )

    def mark_stored(self, progress: Progress) -> bool:
        """The progress is on disk. False if the run has been begun again since, so that it says nothing any more."""
        if progress.attempt != self.run.attempts:
            return False
        self.stored = max(self.stored, progress.seq)
        self.said = {seq: message for seq, message in self.said.items() if seq > progress.seq}
        return True

    def partial(self, now: int) -> Message | None:
        """The message that breaks off here; None if nothing is written of it. `now`: milliseconds since 1970."""
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
    """The content blocks of a message, in the shapes of `Message`."""
    content = message.get("content")
    return [each for each in content if isinstance(each, dict)] if isinstance(content, list) else []


def thoughts(message: Message) -> str:
    """The thinking in a message."""
    return "".join(str(block.get("thinking") or "") for block in blocks(message) if block.get("type") == "thinking")
