"""The questions of the soak, by chance and yet the same for the same seed. Pure."""

import random
from collections.abc import Callable
from itertools import count

from gateway.agent.echo import INTRODUCTION
from tests.soak.book import Question

LENGTH = 40
"""Questions of a session."""
TOLERATED = ("429", "500", "503", "break=2", "half=3", "cut=2", "error=1", "garbage=2")
"""What the provider does wrong once, and an agent gets over."""
FATAL = ("401", "quota", "context")
"""What ends a run with an error."""
COMMANDS = ("/status", "/model", "/models", "/think", "/help")
FORGETTING = ("/new",)
ECHO = "echo"
"""A session that is answered by the built-in echo."""
FORGETFUL = "forgetful"
"""A session that is begun anew, or shortened, now and then."""

Maker = Callable[[], Question]


class Questions:
    """The questions of one person, who begins another session after a while."""

    def __init__(self, name: str, kind: str, chance: random.Random) -> None:
        """`kind`: of the sessions, ECHO, FORGETFUL or nothing of these."""
        self._name = name
        self._kind = kind
        self._chance = chance
        self._numbers = count()
        self._left = 0
        self._session = ""

    def some(self) -> list[Question]:
        """What is asked at once: mostly one question."""
        opening = []
        if self._left <= 0:
            self._left, self._session = LENGTH, f"agent:main:soak-{self._name}-{next(self._numbers)}"
            opening = [self._command("/model builtin/echo")] if self._kind == ECHO else []
        asked = [*opening, *(self._one() for _ in range(self._chance.choice((1, 1, 1, 2, 4))))]
        self._left -= len(asked)
        return asked

    def over_http(self) -> Question:
        question = self._plain()
        question.kind, question.lost = "http", "it brings its history, and none is kept"
        return question

    def _one(self) -> Question:
        makers: list[tuple[Maker, int]] = [
            (self._plain, 10),
            (self._aborted, 3),
            (lambda: self._command(self._chance.choice(COMMANDS)), 2),
        ]
        if self._kind != ECHO:
            makers += [(self._tolerated, 3), (self._fatal, 1), (self._hanging, 1), (self._tool, 2)]
        if self._kind == FORGETFUL:
            makers.append((lambda: self._command(self._chance.choice(FORGETTING)), 2))
        (maker,) = self._chance.choices([maker for maker, _ in makers], [weight for _, weight in makers])
        return maker()

    def _make(self, kind: str, words: int, *wishes: str) -> Question:
        id = f"{self._name}q{next(self._numbers)}"
        text = " ".join(f"{id}x{number}" for number in range(words))
        before = f"{INTRODUCTION} " if self._kind == ECHO else ""
        # The echo repeats everything; only the provider takes wishes.
        prompt = text if self._kind == ECHO else " ".join((text, *(f"!{wish}" for wish in wishes)))
        return Question(id, self._session, kind, prompt, f"{before}You said: {text}")

    def _plain(self) -> Question:
        return self._make("plain", self._chance.randint(3, 40), f"slow={self._chance.choice((0, 5, 20, 40))}")

    def _aborted(self) -> Question:
        question = self._make("aborted", 60, f"slow={self._chance.choice((10, 30))}")
        question.abort_s = self._chance.uniform(0, 1.5)
        question.ends = frozenset({"final", "aborted"})
        return question

    def _hanging(self) -> Question:
        question = self._make("hanging", 10, "hang=3")
        question.abort_s = self._chance.uniform(0.5, 3)
        question.ends = frozenset({"aborted"})
        return question

    def _tolerated(self) -> Question:
        wish = self._chance.choice(TOLERATED)
        question = self._make("tolerated", 10, wish, "times=1")
        # The provider counts by models.
        question.model = f"mock/m1+for={question.id}"
        return question

    def _fatal(self) -> Question:
        question = self._make("fatal", 5, self._chance.choice(FATAL))
        question.ends = frozenset({"error"})
        return question

    def _tool(self) -> Question:
        question = self._make("tool", 1, "tool=look")
        question.prompt += f' !args={{"word":"{question.id}"}}'
        question.first, question.says = "Looking.", f"The tool said: a {question.id}"
        return question

    def _command(self, text: str) -> Question:
        question = self._make(text.split()[0].removeprefix("/"), 1)
        question.prompt, question.says = text, None
        return question
