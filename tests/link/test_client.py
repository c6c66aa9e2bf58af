"""The gateway's end of the link: what it says first, what it passes on, and when it gives up."""

import asyncio
from typing import Any

import pytest

from gateway import __version__
from gateway.link import client, dialer
from gateway.link.client import ALL, AgentLink
from gateway.link.handler import Unreachable
from gateway.link.messages import (
    MAX_LINE,
    VERSION,
    Abort,
    Ack,
    Event,
    Failure,
    Hello,
    Lost,
    Start,
    StartRefused,
    Text,
    Welcome,
)
from tests.link.ends import SPEC, Connection, linked, run, until


async def asked(link: AgentLink, connection: Connection, name: str = "r") -> None:
    """A run that was started over this connection."""
    assert link.start(name, SPEC)
    assert (await connection.hear(Start)).run == name


def test_who_wants_to_start_a_run_waits_for_an_agent() -> None:
    async def test() -> None:
        async with linked() as (link, agent, handler):
            assert not link.start("r", SPEC)
            ready = asyncio.create_task(link.ready())
            connection = await agent.accept()
            assert await connection.greet() == Hello(VERSION, {}, __version__)
            await ready
            assert link.agent is not None and link.agent.program == "test"
            await asked(link, connection)
            link.ack("r", 3)
            assert await connection.hear(Ack) == Ack("r", 3)
            link.abort("r")
            assert await connection.hear(Abort) == Abort("r")
            link.forget("r")
            await connection.hear(Abort)
            assert await connection.hear(Ack) == Ack("r", ALL)
            await link.ready()
            assert agent.dials == 1

    run(test)


def test_what_comes_is_passed_on() -> None:
    async def test() -> None:
        async with linked(stored={"a": 0, "b": 0}) as (link, agent, handler):
            link.wake()
            connection = await agent.greeted("a")
            connection.happen("a", Text("x"), Text("y"))
            connection.say(Lost("b"), StartRefused("c", Failure("limit", "full")))
            await until(lambda: handler.refusals)
            assert [(each.run, each.seq) for each in handler.events] == [("a", 1), ("a", 2)]
            assert handler.gone == ["b"] and handler.refusals[0].run == "c"

    run(test)


def test_after_a_loss_it_says_what_is_stored_and_what_is_to_end() -> None:
    async def test() -> None:
        async with linked(stored={"a": 0}) as (link, agent, handler):
            link.wake()
            (await agent.greeted("a")).cut()
            handler.stored, handler.ending = {"a": 7, "b": 2}, ["b"]
            connection = await agent.accept()
            assert (await connection.greet("a", "b", "nobody's")).runs == {"a": 7, "b": 2}
            assert {(await connection.hear(Abort)).run for _ in range(2)} == {"b", "nobody's"}
            connection.happen("a", Text("x"), first=8)
            await until(lambda: handler.events)

    run(test)


def test_a_run_that_has_ended_while_the_agent_was_greeted_is_nobodys() -> None:
    async def test() -> None:
        async with linked(stored={"a": 0, "b": 0}) as (link, agent, handler):
            link.wake()
            connection = await agent.accept()
            await connection.hear(Hello)
            del handler.stored["a"]
            connection.say(Welcome(VERSION, 1, "test", ["a", "b"]))
            assert await connection.hear(Abort) == Abort("a")

    run(test)


def test_what_was_meant_for_another_image_of_this_process_is_passed_over() -> None:
    async def test() -> None:
        async with linked(stored={"a": 1}) as (link, agent, handler):
            link.wake()
            connection = await agent.accept()
            assert await connection.reader.readline() == b"\n", "the line that it has not finished is ended"
            await connection.hear(Hello)
            connection.writer.write(b'ta":"x"}}\n')
            connection.happen("a", Text("x"))
            connection.say(Welcome(VERSION, 1, "test", ["a"]))
            connection.happen("a", Text("y"), first=2)
            await until(lambda: handler.events)
            assert [each.seq for each in handler.events] == [2]

    run(test)


DEEP = b'{"type":"lost","run":"r","more":' + b"[" * 1500 + b"]" * 1500 + b"}\n"


@pytest.mark.parametrize(
    "line", [b"{\n", b'{"type":"event"}\n', b"x" * 8192 + b"\n", DEEP], ids=["{", "event", "xxx", "deep"]
)
def test_garbage_ends_the_connection(line: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialer, "MAX_LINE", 4096)

    async def test() -> None:
        async with linked(stored={"a": 0}) as (link, agent, handler):
            link.wake()
            connection = await agent.greeted("a")
            connection.writer.write(line)
            await connection.ended()
            (await agent.greeted("a")).happen("a", Text("x"))
            await until(lambda: handler.events)

    run(test)


def test_a_gap_between_events_asks_for_them_again() -> None:
    async def test() -> None:
        async with linked(stored={"a": 0}, gap=True) as (link, agent, handler):
            link.wake()
            connection = await agent.greeted("a")
            connection.happen("a", Text("x"), first=2)
            await connection.ended()
            handler.gap = False
            (await agent.greeted("a")).happen("a", Text("x"))
            await until(lambda: handler.events)

    run(test)


def test_a_run_that_is_larger_than_a_message_is_refused_here(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with linked() as (link, agent, handler):
            ready = asyncio.create_task(link.ready())
            await agent.greeted()
            await ready
            monkeypatch.setattr("gateway.link.messages.MAX_LINE", 64)
            with pytest.raises(ValueError, match="is longer than the link's"):
                link.start("r", SPEC)

    run(test)


# -- giving up ---------------------------------------------------------------------------------------------------------


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PATIENCE_S", 0.05)

    async def test() -> None:
        async with linked(stored={"a": 0}) as (link, agent, handler):
            agent.close()
            agent.path.unlink(missing_ok=True)  # since Python 3.13 the server has done it
            with pytest.raises(Unreachable, match="no agent answers: .*No such file"):
                await link.ready()
            assert [str(each) for each in handler.given_up] == [str(handler.given_up[0])]
            assert agent.dials > 2
            await agent.listen()
            ready = asyncio.create_task(link.ready())
            await agent.greeted()
            await ready

    run(test)


def test_an_agent_of_another_version_is_tried_again_until_one_of_both_is_replaced() -> None:
    async def test() -> None:
        async with linked(stored={"a": 0}) as (link, agent, handler):
            ready = asyncio.create_task(link.ready())
            old = await agent.accept()
            await old.greet("a", version=VERSION + 1)
            await old.ended()
            await agent.greeted("a")
            await ready
            assert not handler.given_up

    run(test)


def test_an_agent_that_stays_of_another_version_is_given_up_with_both_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PATIENCE_S", 0.05)

    async def test() -> None:
        async with linked(stored={"a": 0}) as (link, agent, handler):
            link.wake()
            while not handler.given_up:
                await (await agent.accept()).greet("a", version=VERSION + 1)
                await asyncio.sleep(0.01)
            assert f"speaks version {VERSION + 1} of the link and this gateway" in str(handler.given_up[0])

    run(test)


def test_an_agent_that_ends_as_soon_as_it_has_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PATIENCE_S", 0.05)

    async def test() -> None:
        async with linked(stored={"a": 0}) as (link, agent, handler):
            link.wake()
            while not handler.given_up:
                (await agent.greeted("a")).writer.close()
                await asyncio.sleep(0.01)
            assert "it ends as soon as it has begun" in str(handler.given_up[0])

    run(test)


def test_an_agent_that_says_something_each_time_is_not_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PATIENCE_S", 0.03)

    async def test() -> None:
        async with linked(stored={"a": 0}) as (link, agent, handler):
            link.wake()
            for seq in range(1, 30):
                connection = await agent.greeted("a")
                connection.happen("a", Text("x"), first=seq)
                await until(lambda seq=seq: len(handler.events) == seq)
                connection.cut()
            assert handler.given_up == []

    run(test)


def test_one_that_goes_on_saying_nonsense_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PATIENCE_S", 0.05)

    async def test() -> None:
        async with linked(stored={"a": 0}, gap=True) as (link, agent, handler):
            link.wake()
            while not handler.given_up:
                (await agent.greeted("a")).happen("a", Text("x"), first=2)
                await asyncio.sleep(0.005)

    run(test)


def test_one_that_does_not_say_welcome(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "WELCOME_S", 0.03)
    monkeypatch.setattr(client, "PATIENCE_S", 0.05)

    async def test() -> None:
        async with linked(stored={"a": 0}) as (link, agent, handler):
            with pytest.raises(Unreachable, match="no agent answers: TimeoutError"):
                await link.ready()

    run(test)


def test_one_that_is_silent_is_greeted_again_and_then_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "QUIET_S", 0.03)

    async def test() -> None:
        async with linked(stored={"a": 4}) as (link, agent, handler):
            link.wake()
            connection = await agent.greeted("a")
            for _ in range(3):
                assert (await connection.greet("a")).runs == {"a": 4}
            await connection.hear(Hello)
            await connection.ended()
            assert (await (await agent.accept()).greet("a")).runs == {"a": 4}

    run(test)


def test_one_that_has_nothing_to_do_may_be_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "QUIET_S", 0.01)

    async def test() -> None:
        async with linked(stored={"a": 4}) as (link, agent, handler):
            link.wake()
            connection = await agent.greeted("a")
            handler.idle = True
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await connection.hear(Hello)

    run(test)


def test_one_that_takes_nothing_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "TAKE_S", 0.05)

    async def test() -> None:
        async with linked() as (link, agent, handler):
            ready = asyncio.create_task(link.ready())
            connection = await agent.greeted()
            await ready
            connection.reader._transport.pause_reading()  # type: ignore[attr-defined]
            large: Any = {"role": "user", "content": "x" * 4 * 1024 * 1024}
            assert link.start("r", type(SPEC)("s", "a", large, SPEC.models))
            await link.drain()
            await until(lambda: link.agent is None)

    run(test)


# -- leaving -----------------------------------------------------------------------------------------------------------


def test_what_was_said_is_sent_before_it_leaves_and_nothing_is_passed_on_after() -> None:
    async def test() -> None:
        async with linked(stored={"a": 0}) as (link, agent, handler):
            link.wake()
            connection = await agent.greeted("a")
            await until(lambda: link.agent)
            connection.reader._transport.pause_reading()  # type: ignore[attr-defined]
            prompt = {"role": "user", "content": "x" * 2 * 1024 * 1024}
            assert link.start("r", type(SPEC)("s", "a", prompt, SPEC.models))
            closing = asyncio.create_task(link.close())
            await asyncio.sleep(0)
            connection.happen("a", Text("x"))
            connection.reader._transport.resume_reading()  # type: ignore[attr-defined]
            assert (await connection.hear(Start)).run == "r"
            await closing
            await connection.ended()
            assert handler.events == [] and not link.start("s", SPEC)
            link.wake()
            assert agent.dials == 1

    run(test)


def test_an_agent_that_takes_nothing_holds_up_nobody_who_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LEAVE_S", 0.05)

    async def test() -> None:
        async with linked() as (link, agent, handler):
            ready = asyncio.create_task(link.ready())
            connection = await agent.greeted()
            await ready
            connection.reader._transport.pause_reading()  # type: ignore[attr-defined]
            prompt = {"role": "user", "content": "x" * 4 * 1024 * 1024}
            link.start("r", type(SPEC)("s", "a", prompt, SPEC.models))
            async with asyncio.timeout(1):
                await link.close()

    run(test)


def test_an_error_of_ours_is_tried_again_and_given_up(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PATIENCE_S", 0.05)

    async def test() -> None:
        async with linked(stored={"a": 0}) as (link, agent, handler):
            handler.received = broken  # type: ignore[method-assign]
            link.wake()
            while not handler.given_up:
                (await agent.greeted("a")).happen("a", Text("x"))
                await asyncio.sleep(0.005)
            assert agent.dials > 1

    def broken(event: Event) -> None:
        raise KeyError(event.run)

    run(test)
    assert "the connection to the agent is made again" in caplog.text


def test_an_event_that_cannot_be_read_is_its_runs_alone() -> None:
    async def test() -> None:
        async with linked(stored={"a": 0, "b": 0}) as (link, agent, handler):
            link.wake()
            connection = await agent.greeted("a", "b")
            connection.writer.write(b'{"type":"event","run":"a","seq":1,"ts":1,"what":{"kind":"of a later version"}}\n')
            connection.happen("b", Text("x"))
            await until(lambda: handler.events)
            assert handler.broken == ["a"] and [event.run for event in handler.events] == ["b"]
            assert agent.dials == 1 and not handler.given_up

    run(test)


def test_a_line_may_be_as_long_as_a_message() -> None:
    async def test() -> None:
        async with linked(stored={"a": 0}) as (link, agent, handler):
            link.wake()
            connection = await agent.greeted("a")
            connection.happen("a", Text("x" * (MAX_LINE - 80)))
            await until(lambda: handler.events)

    run(test)
