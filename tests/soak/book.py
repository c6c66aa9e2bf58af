"""What must come of each question of the soak, whatever happens meanwhile. Pure."""

from dataclasses import dataclass, field
from typing import Any, Literal

End = Literal["final", "aborted", "error"]
"""As the last `chat` event of a run says."""
LOST = "the agent ended in the middle of this answer"
"""What an answer may end with whenever agents are lost, and then it is told so."""


@dataclass
class Question:
    id: str
    """The id of its run."""
    session: str
    kind: str
    prompt: str
    says: str | None
    """The whole answer; None: whatever it is."""
    ends: frozenset[End] = frozenset({"final"})
    """How it may end, unless an agent is lost."""
    first: str = ""
    """What the model says before it calls a tool."""
    model: str | None = None
    """Asked for through `agent`, which can choose one."""
    abort_s: float | None = None
    """After which it is aborted."""
    lost: str | None = None
    """Why nothing of it may be in the transcript: the session was begun anew, or shortened."""
    end: End | None = None
    """As it was told. None for one whose end came while nobody listened."""
    over: bool = False
    error: str | None = None
    tries: int = 0
    """Over HTTP."""

    def may_end(self, end: End) -> None:
        self.ends |= {end}

    def problem(self, end: End, text: str, error: str | None) -> str | None:
        """What is wrong with this end."""
        if end == "error" and error is not None and LOST in error:
            return None if self.is_part(text) else f"was lost with {text!r}"
        if end not in self.ends:
            return f"ended as {end}: {error or text[:200]!r}"
        if end == "final" and self.says is not None and not same(text, self.says):
            return f"was answered with {text!r} instead of {self.says!r}"
        return None if end == "final" or self.is_part(text) else f"ended as {end} with {text!r}"

    def is_part(self, text: str) -> bool:
        """Whether an answer may be so far."""
        return self.says is None or any(begins(whole, text) for whole in (self.says, self.first))


@dataclass
class Ear:
    """What one connection hears of one run."""

    question: Question
    heard: str | None = None
    """The pieces together; None until it is known how far the answer was when the connection was made."""
    over: bool = False

    def miss(self) -> None:
        """Events were left out, because this client was too slow for them."""
        self.heard = None

    def hear(self, told: dict[str, Any]) -> str | None:
        """A `chat` event; returns what is wrong with it."""
        state = told["state"]
        if state == "status":
            return None
        if self.over:
            return f"was told {state} after its end"
        whole = told["message"]["content"][0]["text"] if "message" in told else ""
        if state != "delta":
            self.over = True
            return self.question.problem(state, whole, told.get("errorMessage"))
        before, self.heard = self.heard, whole
        if not self.question.is_part(whole):
            return f"was told {whole!r} in the middle of {self.question.says!r}"
        if "deltaText" not in told or told.get("replace") or before is None:
            return None
        begun_anew = bool(self.question.first) and told["deltaText"] == whole
        return None if begun_anew or before + told["deltaText"] == whole else f"came to {whole!r} from {before!r}"


@dataclass
class Ears:
    """What one connection hears."""

    of: dict[str, Ear] = field(default_factory=dict)
    """By the ids of runs."""
    seq: int = 0

    def count(self, seq: int | None) -> bool:
        """Note an event by its number; False if some before it were left out."""
        missed = seq is not None and 0 < self.seq < seq - 1
        self.seq = seq or self.seq
        if missed:
            for ear in self.of.values():
                ear.miss()
        return not missed


@dataclass
class Stored:
    """A run in the database, with what it has said in a transcript."""

    id: str
    state: str
    number: int = 0
    """The order in which runs were accepted."""
    users: list[int] = field(default_factory=list)
    """Positions of its questions."""
    said: list[str] = field(default_factory=list)
    """The texts of its answers."""

    def problem(self, question: Question) -> str | None:
        """What the database has wrong of an ended question."""
        if self.state not in STATES.get(question.end, ENDED):
            return f"is {self.state} on disk, and was told as {question.end}"
        if question.lost is not None:
            return None
        begun = self.state != "aborted" or self.said
        if len(self.users) > 1 or (begun and not self.users):
            return f"has its question {len(self.users)} times in the transcript"
        if question.says is None:
            return None if len(self.said) == 1 else f"has {len(self.said)} answers"
        whole = [question.first, question.says] if question.first else [question.says]
        if self.state == "done":
            good = len(self.said) == len(whole) and all(map(same, self.said, whole))
        else:
            good = len(self.said) <= len(whole) and all(map(begins, whole, self.said))
        return None if good else f"is {self.state} with {self.said!r} instead of {whole!r}"


ENDED = ("done", "failed", "aborted", "interrupted")
# What the database calls the ends of `chat` events.
STATES: dict[End | None, tuple[str, ...]] = {
    "final": ("done",),
    "aborted": ("aborted",),
    "error": ("failed", "interrupted"),
}


def same(text: str, other: str) -> bool:
    return text.split() == other.split()


def begins(whole: str, text: str) -> bool:
    """Whether a text is the beginning of another, its last word perhaps cut."""
    return " ".join(whole.split()).startswith(" ".join(text.split()))
