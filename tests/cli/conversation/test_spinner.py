import asyncio
import io

import pytest

from gateway.cli.conversation import spinner as module
from gateway.cli.conversation.spinner import Spinner


class Stream(io.StringIO):
    def __init__(self, terminal: bool, encoding: str) -> None:
        super().__init__()
        self._terminal, self._encoding = terminal, encoding

    def isatty(self) -> bool:
        return self._terminal

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding


def shown(monkeypatch: pytest.MonkeyPatch, marks: int, terminal: bool = True, encoding: str = "utf-8") -> str:
    """What a sign shows until it has been drawn so often, and at its end."""
    monkeypatch.setattr(module, "QUIET_S", 0)
    monkeypatch.setattr(module, "STEP_S", 0)
    stream = Stream(terminal, encoding)

    async def wait() -> None:
        sign = Spinner(stream)
        sign.on()
        sign.on()
        for _ in range(1000):
            if stream.getvalue().count("\r") >= marks:
                break
            await asyncio.sleep(0)
        sign.off()
        sign.off()
        await asyncio.sleep(0.001)

    asyncio.run(wait())
    return stream.getvalue()


def test_it_comes_and_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, 2) == "\r⠋ thinking\r⠙ thinking\r\x1b[K"


def test_a_terminal_without_such_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, 5, encoding="ascii").startswith("\r| thinking\r/ thinking\r- thinking\r\\ thinking\r|")


def test_nothing_is_shown_where_no_terminal_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, 1, terminal=False) == ""


def test_a_quick_answer_shows_no_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, 0) == ""


def test_a_long_wait_shows_its_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONG_S", 0)
    assert shown(monkeypatch, 1).startswith("\r⠋ thinking 0 s")
