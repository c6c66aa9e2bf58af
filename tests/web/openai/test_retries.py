import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.web.openai import retries
from gateway.web.openai.retries import COUNT, MAX_REMEMBERED, REMEMBERED_S, Retries, is_retry, mark

ASKED = {COUNT: "0", "authorization": "Bearer a"}


def test_the_same_question_of_the_same_client_has_the_same_mark() -> None:
    first = mark(ASKED, "q", "x-user")
    assert first is not None and first == mark(ASKED | {COUNT: "2", "x-more": "1"}, "q", "x-user")
    others = [({"authorization": "Bearer b"}, "q"), ({"x-user": "ann"}, "q"), ({}, "p")]
    assert first not in {mark(ASKED | more, question, "x-user") for more, question in others}


def test_who_does_not_count_or_names_the_request_has_none() -> None:
    assert mark({"authorization": "Bearer a"}, "q", None) is None
    assert mark(ASKED | {"idempotency-key": "k"}, "q", None) is None


@pytest.mark.parametrize(
    ("count", "again"), [("1", True), ("02", True), ("0", False), ("", False), ("-1", False), ("²", False)]
)
def test_a_count_above_zero_is_a_retry(count: str, again: bool) -> None:
    assert is_retry({COUNT: count} if count.isascii() else {}) is again


class RetriedLife:
    def __init__(self) -> None:
        self.now = 0.0
        self.retries = Retries(lambda: self.now)
        self.ended: list[str] = []

    def leave(self, mark: str, run: str) -> None:
        async def abort() -> None:
            self.ended.append(run)

        self.retries.leave(mark, run, abort)


def live(test: Callable[[RetriedLife], Awaitable[None]]) -> None:
    async def whole() -> None:
        await test(RetriedLife())

    asyncio.run(whole())


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "GRACE_S", 0)


def test_a_run_whose_client_does_not_come_back_ends() -> None:
    async def test(life: RetriedLife) -> None:
        life.retries.begin("m", "r")
        life.leave("m", "r")
        await settle()
        assert life.ended == ["r"]

    live(test)


def test_a_run_whose_client_comes_back_goes_on() -> None:
    async def test(life: RetriedLife) -> None:
        life.retries.begin("m", "r")
        life.leave("m", "r")
        assert life.retries.rejoin("m") == "r"
        await settle()
        assert not life.ended
        life.leave("m", "r")
        await settle()
        assert life.ended == ["r"]

    live(test)


def test_a_client_that_is_back_before_it_is_seen_to_be_gone_keeps_its_run() -> None:
    async def test(life: RetriedLife) -> None:
        life.retries.begin("m", "r")
        assert life.retries.rejoin("m") == "r"
        life.leave("m", "r")
        await settle()
        assert not life.ended

    live(test)


def test_a_run_that_another_process_has_begun_ends_too() -> None:
    async def test(life: RetriedLife) -> None:
        life.leave("m", "r")
        await settle()
        assert life.ended == ["r"] and life.retries.rejoin("m") is None

    live(test)


def test_what_is_old_or_too_much_is_forgotten() -> None:
    life = RetriedLife()
    life.retries.begin("m", "r")
    life.now = REMEMBERED_S
    assert life.retries.rejoin("m") == "r"
    life.now += 0.1
    assert life.retries.rejoin("m") is None
    for number in range(MAX_REMEMBERED + 1):
        life.retries.begin(str(number), "r")
    assert life.retries.rejoin("0") is None and life.retries.rejoin("1") == "r"
