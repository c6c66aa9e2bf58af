import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.systemd import fdstore as store
from gateway.systemd import notify
from gateway.systemd.fdstore import FdStore
from gateway.systemd.notify import Notifier
from tests.fakes.service_manager import ServiceManager
from tests.slack import LIMIT_S


class BusyManager(Notifier):
    """systemd, with room for so many messages until it is given its turn."""

    def __init__(self, room: int = 1_000) -> None:
        super().__init__({})
        self.room = room
        self.stored: list[tuple[str, int]] = []
        self.heard: list[str] = []

    @property
    def connected(self) -> bool:
        return True

    def try_store(self, name: str, fd: int) -> bool:
        return self.hear(f"+{name}", [*self.stored, (name, fd)])

    def try_remove(self, name: str) -> bool:
        return self.hear(f"-{name}", [(other, fd) for other, fd in self.stored if other != name])

    def store(self, name: str, fd: int) -> bool:
        return self.try_store(name, fd)

    def remove(self, name: str) -> bool:
        return self.try_remove(name)

    def hear(self, message: str, stored: list[tuple[str, int]]) -> bool:
        if not self.room:
            return False
        self.room -= 1
        self.heard.append(message)
        self.stored = stored
        return True


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "RETRY_S", 0.0)


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0.0005)


def play(scene: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scene(), LIMIT_S))  # type: ignore[arg-type]


def test_what_it_has_room_for_is_said_at_once_and_in_order() -> None:
    async def scene() -> None:
        manager = BusyManager()
        kept = FdStore(manager)
        kept.put("a", 1)
        kept.put("b", 2)
        kept.remove("a")
        assert manager.heard == ["+a", "+b", "-a"] and manager.stored == [("b", 2)]

    play(scene)


def test_one_can_wait_until_it_has_caught_up() -> None:
    async def scene() -> None:
        manager = BusyManager(room=1)
        kept = FdStore(manager)
        await kept.caught_up(0)
        kept.put("a", 1)
        kept.put("b", 2)
        waiting = asyncio.create_task(kept.caught_up(60))
        await turns()
        assert not waiting.done()
        manager.room = 5
        await waiting
        assert manager.heard == ["+a", "+b"]

    play(scene)


def test_a_manager_that_does_not_listen_is_not_waited_for() -> None:
    async def scene() -> None:
        manager = BusyManager(room=0)
        kept = FdStore(manager)
        kept.put("a", 1)
        await kept.caught_up(0.01)
        assert manager.heard == []

    play(scene)


def test_what_it_has_no_room_for_is_said_later_in_order() -> None:
    async def scene() -> None:
        manager = BusyManager(room=1)
        kept = FdStore(manager)
        for number, name in enumerate("abc"):
            kept.put(name, number)
        kept.remove("a")
        assert manager.heard == ["+a"]
        await turns()
        manager.room = 2
        await turns()
        assert manager.heard == ["+a", "+b", "+c"]
        manager.room = 9
        await turns()
        assert manager.heard == ["+a", "+b", "+c", "-a"]

    play(scene)


def test_what_is_removed_before_it_was_said_is_never_said() -> None:
    async def scene() -> None:
        manager = BusyManager(room=0)
        kept = FdStore(manager)
        kept.put("a", 1)
        kept.put("b", 2)
        kept.remove("a")
        manager.room = 9
        await turns()
        assert manager.heard == ["+b"]

    play(scene)


def test_a_name_that_is_used_again_loses_the_old_descriptor_first() -> None:
    """Else the manager had two of that name, and the successor one of them by chance."""

    async def scene() -> None:
        manager = BusyManager()
        kept = FdStore(manager)
        kept.put("parting", 1)
        manager.room = 0
        kept.remove("parting")
        kept.put("parting", 2)
        kept.remove("parting")
        kept.put("parting", 3)
        manager.room = 9
        kept.flush()
        assert manager.heard == ["+parting", "-parting", "+parting"] and manager.stored == [("parting", 3)]

    play(scene)


def test_at_the_end_all_that_is_left_is_said() -> None:
    async def scene() -> None:
        manager = BusyManager(room=0)
        kept = FdStore(manager)
        kept.put("a", 1)
        kept.remove("gone")
        manager.room = 9
        kept.flush()
        assert manager.heard == ["+a", "-gone"]
        kept.put("b", 2)  # a later one is heard too
        assert manager.heard[-1] == "+b"
        await turns()
        assert len(manager.heard) == 3

    play(scene)


def test_at_the_end_a_manager_that_does_not_listen_is_waited_for_once(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        manager = BusyManager(room=0)
        kept = FdStore(manager)
        for number in range(100):
            kept.put(str(number), number)
        manager.asked = 0  # type: ignore[attr-defined]
        refuse = manager.hear

        def count(message: str, stored: list[tuple[str, int]]) -> bool:
            manager.asked += 1  # type: ignore[attr-defined]
            return refuse(message, stored)

        manager.hear = count  # type: ignore[method-assign]
        kept.flush()
        assert manager.asked == 1  # type: ignore[attr-defined]
        assert "100 descriptors are lost" in caplog.text

    play(scene)


def test_without_a_manager_nothing_is_kept_for_later() -> None:
    kept = FdStore(Notifier({}))  # and no loop is asked for
    kept.put("a", 1)
    kept.remove("b")
    kept.flush()
    assert not kept.available and not kept._pending


@given(
    st.lists(st.tuples(st.sampled_from(["put", "remove", "room", "turn"]), st.sampled_from("ab"), st.integers(0, 3)))
)
def test_in_the_end_the_manager_has_what_was_put_last(steps: list[tuple[str, str, int]]) -> None:
    async def scene() -> None:
        manager = BusyManager(room=0)
        kept = FdStore(manager)
        expected: dict[str, int] = {}
        for fd, (what, name, room) in enumerate(steps):
            if what == "put" and name not in expected:
                kept.put(name, fd)
                expected[name] = fd
            elif what == "remove":
                kept.remove(name)
                expected.pop(name, None)
            elif what == "room":
                manager.room = room
            elif what == "turn":
                await asyncio.sleep(0)
        manager.room = 1_000
        kept.flush()
        assert dict(manager.stored) == expected and len(manager.stored) == len(expected)

    play(scene)


def test_a_real_manager_that_is_busy_gets_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "MUST_ARRIVE_S", 0.01)

    async def scene() -> None:
        with ServiceManager(tmp_path / "notify") as manager:
            manager.socket.setblocking(False)
            notifier = Notifier(manager.environ)
            kept = FdStore(notifier)
            memfd = os.memfd_create("x")
            names = [f"conn-{number}" for number in range(600)]  # more than a socket holds
            for name in names:
                kept.put(name, memfd)
            heard: list[str] = []
            while len(heard) < len(names):
                await asyncio.sleep(0.001)
                try:
                    while True:
                        message, fds = manager.receive()
                        os.close(fds[0])
                        heard.append(message["FDNAME"])
                except BlockingIOError:
                    pass
            assert heard == names
            os.close(memfd)
            notifier.close()

    play(scene)
