import asyncio
import random
from typing import Any

import pytest

from gateway.agent.attempts import ModelAttempts
from gateway.agent.turn.answer import Answer
from gateway.agent.turn.failed import Failed
from gateway.agent.turn.source import Source, Tell
from gateway.link.messages import Discarded, Failure, Happening, Started, Text, Waiting
from gateway.link.spec import Bounds, Model
from tests.agent.peer import spec

ONE = Model("p", "one", "openai-completions")
TWO = Model("q", "two", "openai-completions")
BUSY = Failure("overloaded", "busy", retryable=True)
NO = Failure("auth", "no key")

Step = str | Failure
"""A piece of an answer, or what it breaks off with."""


class Fake:
    """Answers with one script after another."""

    def __init__(self, *scripts: list[Step], retry_after: float | None = None) -> None:
        self.asked: list[str] = []
        self._scripts = list(scripts)
        self._retry_after = retry_after

    async def ask(self, answer: Answer, tell: Tell) -> None:
        self.asked.append(answer.model.id)
        for step in self._scripts.pop(0):
            if isinstance(step, Failure):
                raise Failed(step, self._retry_after)
            answer.add_text(step)
            await tell(Text(step))

    def add_result(self, *_: Any, **__: Any) -> None: ...


class Attempts:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, fake: Fake, *models: Model, retries: int = 2) -> None:
        self.events: list[Happening] = []
        self.pauses: list[float] = []
        self._source = fake
        self.asking = ModelAttempts(spec("x", *models, bounds=Bounds(retries=retries)), self._emit, self._find)
        monkeypatch.setattr(asyncio, "sleep", self._sleep)
        monkeypatch.setattr(random, "random", lambda: 1.0)

    def answers(self, count: int = 1) -> list[str]:
        async def ask() -> list[str]:
            return [(await self.asking.answer()).text for _ in range(count)]

        return asyncio.run(ask())

    async def _emit(self, what: Happening) -> None:
        self.events.append(what)

    async def _find(self, model: Model) -> Source:
        return self._source

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


def test_an_answer_comes_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Attempts(monkeypatch, Fake(["a", "b"]), ONE)
    assert listener.answers() == ["ab"]
    assert listener.events == [Started("p", "one", 1), Text("a"), Text("b")] and listener.asking.partial is None


def test_the_same_model_is_not_announced_again_for_the_next_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Attempts(monkeypatch, Fake(["a"], ["b"]), ONE)
    assert listener.answers(2) == ["a", "b"]
    assert listener.events == [Started("p", "one", 1), Text("a"), Text("b")]


def test_what_broke_off_is_void_and_asked_for_again_after_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Attempts(monkeypatch, Fake(["a", BUSY], [BUSY], ["b"]), ONE)
    assert listener.answers() == ["b"]
    assert listener.events == [
        Started("p", "one", 1),
        Text("a"),
        Discarded("busy"),
        Waiting(1000, BUSY),
        Started("p", "one", 2),
        Waiting(2000, BUSY),  # nothing was said, so nothing is void
        Started("p", "one", 3),
        Text("b"),
    ]
    assert listener.pauses == [1.0, 2.0]


def test_after_the_last_try_what_was_said_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(["a", BUSY], ["b", BUSY], ["c", BUSY])
    listener = Attempts(monkeypatch, fake, ONE)
    with pytest.raises(Failed) as failed:
        listener.answers()
    assert failed.value.failure == BUSY and len(fake.asked) == 3
    assert listener.events[-1] == Text("c") and listener.asking.partial and listener.asking.partial.text == "c"


def test_what_is_not_retryable_is_not_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(["a", NO])
    with pytest.raises(Failed):
        Attempts(monkeypatch, fake, ONE).answers()
    assert fake.asked == ["one"]


def test_without_retries_there_is_one_try(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake([BUSY])
    with pytest.raises(Failed):
        Attempts(monkeypatch, fake, ONE, retries=0).answers()
    assert fake.asked == ["one"]


def test_a_provider_says_when_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Attempts(monkeypatch, Fake([BUSY], ["a"], retry_after=7.0), ONE)
    assert listener.answers() == ["a"] and listener.pauses == [pytest.approx(7.7)]


def test_a_provider_that_wants_to_be_left_alone_for_long_is(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake([BUSY], ["from two"], retry_after=3600.0)
    listener = Attempts(monkeypatch, fake, ONE, TWO)
    assert listener.answers() == ["from two"] and fake.asked == ["one", "two"]


def test_the_next_model_answers_and_goes_on_answering(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(["a", NO], ["b"], ["c"])
    listener = Attempts(monkeypatch, fake, ONE, TWO)
    assert listener.answers(2) == ["b", "c"] and fake.asked == ["one", "two", "two"]
    assert listener.events == [
        Started("p", "one", 1),
        Text("a"),
        Discarded("no key"),
        Waiting(0, NO),
        Started("q", "two", 2),
        Text("b"),
        Text("c"),
    ]


def test_a_model_that_cannot_have_the_conversation_is_told_of_by_the_next_one_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A Waiting of its kind would say that what was said before is summed up."""
    listener = Attempts(monkeypatch, Fake([Failure("context", "too long")], ["b"]), ONE, TWO)
    assert listener.answers() == ["b"]
    assert listener.events == [Started("p", "one", 1), Started("q", "two", 2), Text("b")]


def test_each_model_has_its_own_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake([BUSY], [BUSY], [BUSY], [BUSY], ["a"])
    assert Attempts(monkeypatch, fake, ONE, TWO, retries=2).answers() == ["a"]
    assert fake.asked == ["one"] * 3 + ["two"] * 2


def test_when_all_have_given_up_each_has_its_say(monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Attempts(monkeypatch, Fake([NO], [BUSY]), ONE, TWO, retries=0)
    with pytest.raises(Failed) as failed:
        listener.answers()
    assert failed.value.failure == Failure(
        "overloaded", "None of 2 models has answered. p/one: no key q/two: busy", retryable=True
    )


def test_no_model_is_a_fault_of_the_config() -> None:
    async def nothing(_: Any) -> Any: ...

    asking = ModelAttempts(spec("x").__class__("s", "main", {}, []), nothing, nothing)
    with pytest.raises(Failed, match=r"set agents\.defaults\.model\.primary"):
        asyncio.run(asking.answer())


def test_an_abort_keeps_what_was_said_and_ends_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []

    class Slow(Fake):
        async def ask(self, answer: Answer, tell: Tell) -> None:
            try:
                answer.add_text("a")
                await tell(Text("a"))
                await asyncio.Event().wait()
            finally:
                ended.append("closed")

    listener = Attempts(monkeypatch, Slow(), ONE)

    async def abort() -> None:
        task = asyncio.create_task(listener.asking.answer())
        while not listener.events[1:]:
            await asyncio.wait({task}, timeout=0)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()

    asyncio.run(abort())
    assert listener.asking.partial and listener.asking.partial.text == "a" and ended == ["closed"]
