"""The agent's end of the link: what it answers, what it bounds, and that every event arrives once whatever breaks."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from gateway import __version__
from gateway.agent import link as module
from gateway.agent import runs as runs_module
from gateway.link.messages import (
    MAX_RUNS,
    VERSION,
    Abort,
    Ack,
    Ended,
    Event,
    Hello,
    Lost,
    Start,
    StartRefused,
    Text,
    Welcome,
    encode,
)
from tests.agent.peer import Peer, Store, spec
from tests.agent.scripted import Scripted, Side, settle, side
from tests.effort import examples
from tests.slack import LIMIT_S


@pytest.fixture(autouse=True, scope="module")
def scripted() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs_module, "RunLoop", Scripted)
        yield


def run(coroutine: Any) -> None:
    asyncio.run(asyncio.wait_for(coroutine, LIMIT_S))


async def begin(peer: Peer, name: str = "r") -> Scripted:
    await peer.start(name, spec(session=name))
    await settle(lambda: name in Scripted.by_session)
    return Scripted.by_session.pop(name)


# -- hello ----------------------------------------------------------------------------------------------------------


def test_who_says_hello_is_welcome_and_hears_of_all_runs() -> None:
    async def test() -> None:
        async with side() as agent:
            peer = await agent.connect()
            assert (await peer.greet()).runs == []
            await begin(peer, "a")
            await peer.send(Hello(VERSION, {"a": 0}))
            welcome = await peer.until(Welcome, 2)
            assert (welcome.version, welcome.program, welcome.runs) == (VERSION, __version__, ["a"])

    run(test())


def test_events_come_again_after_the_number_of_the_hello() -> None:
    async def test() -> None:
        async with side() as agent:
            peer = await agent.connect()
            await peer.greet()
            script = await begin(peer)
            script.happen(Text("a"), Text("b"), Text("c"))
            await peer.until(Text, 3)
            again = await agent.connect()
            again.store.events["r"] = peer.store.events["r"][:1]
            await again.greet()
            await again.until(Text, 2)
            assert [message.seq for message in again.messages if isinstance(message, Event)] == [2, 3]

    run(test())


def test_a_run_that_is_not_there_is_lost() -> None:
    async def test() -> None:
        async with side() as agent:
            peer = await agent.connect()
            await peer.send(Hello(VERSION, {"gone": 5}))
            assert await peer.until(Lost) == Lost("gone")

    run(test())


@pytest.mark.parametrize("seq", [0, 4])
def test_a_run_that_cannot_go_on_where_the_gateway_is_is_lost_and_ended(seq: int) -> None:
    async def test() -> None:
        async with side() as agent:
            peer = await agent.connect()
            await peer.greet()
            script = await begin(peer)
            script.happen(Text("a"), Text("b"), Text("c"))
            await peer.until(Text, 3)
            await peer.send(Ack("r", 1))
            await settle()
            await peer.send(Hello(VERSION, {"r": seq}))
            await peer.until(Lost)
            assert not agent.runs.ids()

    run(test())


def test_a_run_that_nobody_named_is_not_sent_and_an_abort_lets_go_of_it() -> None:
    async def test() -> None:
        async with side() as agent:
            peer = await agent.connect()
            await peer.greet()
            script = await begin(peer)
            other = await agent.connect()
            assert (await other.greet()).runs == ["r"]
            script.happen(Text("a"))
            await settle()
            await other.send(Abort("r"))
            await settle()
            assert not agent.runs.ids() and len(other.messages) == 1

    run(test())


def test_a_run_that_nobody_named_goes_on_when_it_is_started() -> None:
    async def test() -> None:
        async with side() as agent:
            peer = await agent.connect()
            await peer.greet()
            script = await begin(peer)
            script.happen(Text("a"))
            await peer.until(Text)
            other = await agent.connect()
            await other.greet()
            await other.start("r", spec())
            await other.until(Text)

    run(test())


def test_a_second_hello_replaces_the_connection_before() -> None:
    async def test() -> None:
        async with side() as agent:
            first, second = await agent.connect(), await agent.connect()
            await first.greet()
            await second.greet()
            await first.until_closed()
            await second.start("r", spec())
            await settle()
            assert agent.runs.ids() == ["r"]

    run(test())


def test_hello_again_on_the_same_connection_begins_anew_after_its_welcome() -> None:
    async def test() -> None:
        async with side() as agent:
            peer = await agent.connect()
            await peer.greet()
            script = await begin(peer)
            script.happen(Text("a"), Text("b"))
            await peer.until(Text, 2)
            await peer.send(b"\n", Hello(VERSION, {"r": 1}))
            await peer.until(Text, 3)
            assert [type(message).__name__ for message in peer.messages] == [
                *("Welcome", "Event", "Event", "Welcome", "Event")
            ]

    run(test())


def test_with_a_gateway_of_another_version_nothing_is_begun_or_gone_on_with() -> None:
    async def test() -> None:
        async with side() as agent:
            peer = await agent.connect()
            await peer.greet()
            script = await begin(peer)
            other = await agent.connect()
            await other.send(Hello(VERSION + 1, {"r": 0, "gone": 0}))
            assert (await other.until(Welcome)).version == VERSION
            script.happen(Text("a"))
            await other.start("s", spec())
            await other.send(Ack("r", 1), Abort("r"))
            refused = await other.until(StartRefused)
            assert refused.failure.kind == "internal" and "restart both" in refused.failure.message
            await settle()
            kept = agent.runs.get("r")
            assert kept is not None and kept.backlog.acked == 0 and len(other.messages) == 2

    run(test())


# -- runs -----------------------------------------------------------------------------------------------------------


def test_a_start_too_many_is_refused_and_the_others_go_on() -> None:
    async def test() -> None:
        async with side() as agent:
            peer = await agent.connect()
            await peer.greet()
            for number in range(MAX_RUNS + 1):
                await peer.start(str(number), spec())
            refused = await peer.until(StartRefused)
            assert refused.run == str(MAX_RUNS) and refused.failure.kind == "limit" and refused.failure.retryable
            assert len(agent.runs) == MAX_RUNS

    run(test())


def test_an_abort_ends_a_run_and_its_end_is_told() -> None:
    async def test() -> None:
        async with side() as agent:
            peer = await agent.connect()
            await peer.greet()
            await begin(peer)
            await peer.abort("r")
            await peer.abort("nobody's")
            assert (await peer.until_ended("r")).status == "aborted"
            await peer.ack("r")
            await settle()
            assert not agent.runs.ids()

    run(test())


def test_a_run_of_many_events_does_not_hold_up_the_others() -> None:
    async def test() -> None:
        async with side() as agent:
            peer = await agent.connect(buffer=4096)
            await peer.greet()
            many, one = await begin(peer, "many"), await begin(peer, "one")
            many.happen(*[Text("x" * 100)] * 5000)
            await settle(turns=100)
            one.happen(Text("here"))
            await settle()
            while not peer.store.events["one"]:
                await peer.read()
            # Before it are what asyncio had taken already (64 KiB), and at most two batches.
            assert len(peer.store.events["many"]) < 5000 / 2

    run(test())


# -- bounds and bad peers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense\n",
        b"{}\n",
        b'{"type":"start","run":1}\n',
        b'{"type":"ack","run":"r"}\n',
        b"\xff\xfe\n",
        encode(Ack("r", 1)),
        b'{"type":"event"}\n',
        b'{"type":"hello","version":1,"more":' + b"[" * 5000 + b"]" * 5000 + b"}\n",
    ],
    ids=lambda line: line.decode(errors="replace")[:40],
)
def test_garbage_cuts_its_connection_only(line: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with side() as agent:
            gateway = await agent.connect()
            await gateway.greet()
            script = await begin(gateway)
            bad = await agent.connect()
            await bad.send(line)
            await bad.until_closed()
            assert "a connection is cut" in caplog.text
            script.happen(Text("a"))
            await gateway.until(Text)

    run(test())


def test_a_start_of_what_an_older_agent_does_not_know_is_refused_and_the_others_go_on() -> None:
    """Its gateway is newer: cut, it would ask again on the next connection."""
    asked = encode(Start("new", spec("x"))).replace(b'"api":"builtin"', b'"api":"telepathy"')

    async def test() -> None:
        async with side() as agent:
            peer = await agent.connect()
            await peer.greet()
            script = await begin(peer)
            await peer.send(asked)
            refused = await peer.until(StartRefused)
            assert refused.run == "new" and refused.failure.retryable
            assert "telepathy" in refused.failure.message and __version__ in refused.failure.message
            script.happen(Text("a"))
            await peer.until(Text)

    run(test())


def test_garbage_after_the_hello_leaves_the_runs_for_the_next_connection() -> None:
    async def test() -> None:
        async with side() as agent:
            peer = await agent.connect()
            await peer.greet()
            script = await begin(peer)
            await peer.send(b"nonsense\n")
            await peer.until_closed()
            assert agent.link.gateway is None
            script.happen(Text("a"))
            again = await agent.connect(peer.store)
            await again.greet()
            await again.until(Text)

    run(test())


def test_a_line_may_be_as_long_as_the_bound_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LINE", 1000)
    line = encode(Hello(VERSION))

    async def test() -> None:
        async with side() as agent:
            peer = await agent.connect()
            await peer.send(b" " * (1000 - len(line)) + line)
            await peer.until(Welcome)
            await peer.send(b" " * (1001 - len(line)) + line)
            await peer.until_closed()

    run(test())


def test_who_says_nothing_is_cut(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(module, "HELLO_S", 0.2)

    async def test() -> None:
        async with side() as agent:
            friendly, silent = await agent.connect(), await agent.connect()
            await friendly.greet()
            await silent.until_closed()
            assert "no hello within 0.2 s" in caplog.text
            await friendly.greet()

    run(test())


def test_a_gateway_that_does_not_read_costs_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.agent.backlog.MAX_UNACKED", 100_000)

    async def test() -> None:
        async with side() as agent:
            peer = await agent.connect(buffer=4096)
            await peer.greet()
            script = await begin(peer)
            script.happen(*[Text("x" * 1000)] * 2000)
            await settle(turns=500)
            assert script.emitted < 150
            connection = agent.link.gateway
            assert connection is not None
            # What asyncio takes at most above its mark of 64 KiB is one batch.
            assert connection._writer.transport.get_write_buffer_size() <= 2 * (65536 + module.BATCH_BYTES)

    run(test())


def test_a_gateway_that_asks_and_does_not_read_is_not_listened_to() -> None:
    async def test() -> None:
        async with side() as agent:
            peer = await agent.connect(buffer=4096)
            sent = 0
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    while sent < 100_000:
                        await peer.send(*[Hello(VERSION, {f"run-{n}": 1 for n in range(100)})] * 10)
                        sent += 10
            assert sent < 5000

    run(test())


@pytest.mark.parametrize("turns", range(5))
def test_a_closed_link_cuts_all_and_takes_nothing_more(turns: int) -> None:
    async def test() -> None:
        agent = Side()
        peer = await agent.connect()
        await peer.greet()
        await peer.start("r", spec())
        for _ in range(turns):  # it is on its way: in the kernel, then in the stream, and then begun
            await asyncio.sleep(0)
        begun = agent.runs.ids()
        agent.link.cut_all()
        await peer.until_closed()
        late = await agent.connect()
        await late.until_closed()
        assert agent.runs.ids() == begun
        await agent.close()

    run(test())


def test_a_name_is_free_again_when_its_run_is_stored_to_the_end() -> None:
    async def test() -> None:
        async with side() as agent:
            peer = await agent.connect()
            await peer.greet()
            (await begin(peer)).end()
            await peer.until_ended("r")
            again = await agent.connect()
            again.store.events["r"] = [Ended("done")]
            await again.greet()
            again.store.events["r"] = []
            script = await begin(again)
            script.happen(Text("a"))
            await again.until(Text)

    run(test())


# -- every event once, whatever breaks ------------------------------------------------------------------------------

TEXTS = [Text(word) for word in ("one", "two", "three")]


async def tell(agent: Side, peer: Peer) -> Scripted:
    await peer.greet()
    script = await begin(peer)
    script.happen(*TEXTS)
    script.end()
    await settle()
    return script


@given(st.integers(0, 420))
@settings(max_examples=examples(120), deadline=None)
def test_the_connection_may_break_at_any_byte_from_the_agent(size: int) -> None:
    async def test() -> None:
        async with side() as agent:
            peer = await agent.connect()
            await tell(agent, peer)
            read = sum(len(encode(message)) for message in peer.messages)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    while read < size:
                        chunk = min(size - read, 7)
                        await peer.read(chunk)
                        read += chunk
                        if peer.store.ended("r"):
                            break
            peer.sock.close()
            again = await agent.connect(peer.store)
            await again.greet()
            await again.until_ended("r")
            assert again.store.events["r"][:-1] == TEXTS
            await again.ack("r")
            await settle()
            assert not agent.runs.ids()

    run(test())


LETTER = encode(Hello(VERSION)) + encode(Start("r", spec(session="r")))


@pytest.mark.parametrize("size", range(0, len(LETTER) + 1, 3))
def test_the_connection_may_break_at_any_byte_to_the_agent(size: int) -> None:
    async def test() -> None:
        async with side() as agent:
            Scripted.by_session.clear()
            first = await agent.connect()
            await first.send(LETTER[:size])
            await settle(turns=5)
            first.sock.close()
            again = await agent.connect()
            again.store.events["r"] = []
            await again.greet()
            await settle()
            while not again.store.lost and "r" not in agent.runs.ids():
                await again.read()
            if again.store.lost:  # no event has come, so it may be asked for anew
                await again.start("r", spec(session="r"))
                await settle()
            script = Scripted.by_session["r"]
            script.happen(*TEXTS)
            script.end()
            await again.until_ended("r")
            assert again.store.events["r"][:-1] == TEXTS

    run(test())


class Model(RuleBasedStateMachine):
    """A gateway that comes and goes, reads when it likes and acknowledges what it likes."""

    runs = Bundle("runs")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.store = Store()
        self.told: dict[str, int] = {}
        self.scripts: dict[str, Scripted] = {}
        self.peer: Peer | None = None
        self.agent = self.do(self._make())

    def do(self, coroutine: Any) -> Any:
        return self.loop.run(asyncio.wait_for(coroutine, LIMIT_S))

    async def _make(self) -> Side:
        return Side()

    @property
    def waited(self) -> list[str]:
        """Runs whose end the gateway does not know."""
        return [run for run in self.told if not self.store.ended(run)]

    @rule()
    def connect(self) -> None:
        async def connect() -> None:
            if self.peer is not None:
                self.peer.sock.close()
            self.peer = await self.agent.connect(self.store, buffer=4096)
            await self.peer.send(self.store.hello(self.waited))
            await settle()

        self.do(connect())

    @rule(target=runs)
    def start(self) -> Any:
        if self.peer is None:
            return multiple()
        peer, name = self.peer, f"run-{len(self.told)}"

        async def start() -> None:
            self.scripts[name] = await begin(peer, name)

        self.do(start())
        self.told[name] = 0
        return name

    @rule(run=runs, count=st.integers(1, 60))
    def happen(self, run: str, count: int) -> None:
        async def happen() -> None:
            for _ in range(count):
                self.scripts[run].happen(Text(f"{run}/{self.told[run]} "))
                self.told[run] += 1
            await settle()

        self.do(happen())

    @rule(run=consumes(runs), aborted=st.booleans())
    def end(self, run: str, aborted: bool) -> None:
        async def end() -> None:
            if aborted and self.peer is not None and run in self.agent.runs.ids():
                self.told[run] = -1  # nobody knows where it stops
                await self.peer.abort(run)
            else:
                self.scripts[run].end()
            await settle()

        self.do(end())

    @rule(size=st.integers(1, 3000))
    def read(self, size: int) -> None:
        async def read() -> None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.001):
                    assert self.peer is None or await self.peer.read(size)
            await settle()

        self.do(read())

    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        if self.peer is None or not self.told:
            return
        run = data.draw(st.sampled_from(list(self.told)))
        self.do(self.peer.send(Ack(run, data.draw(st.integers(0, len(self.store.events[run]))))))

    @invariant()
    def each_event_is_stored_once_in_order(self) -> None:
        for run, events in self.store.events.items():
            texts = [what.delta for what in events if isinstance(what, Text)]
            words = "".join(texts).split(" ")[:-1]
            assert words == [f"{run}/{number}" for number in range(len(words))]
            assert not self.store.lost and len(events) - len(texts) == (self.store.ended(run) is not None)

    def teardown(self) -> None:
        async def finish() -> None:
            for script in self.scripts.values():
                script.end()
            if self.peer is not None:
                self.peer.sock.close()
            peer = await self.agent.connect(self.store)
            await peer.send(self.store.hello(self.waited))
            for run in (await peer.until(Welcome)).runs:
                if run not in self.waited:
                    await peer.abort(run)
            for run in self.told:
                await peer.until_ended(run)
                said = "".join(what.delta for what in self.store.events[run] if isinstance(what, Text))
                assert self.told[run] in (-1, said.count(" "))
                await peer.ack(run)
            await settle()
            assert not self.agent.runs.ids()
            await self.agent.close()

        try:
            self.do(finish())
        finally:
            self.loop.close()


Model.TestCase.settings = settings(
    max_examples=examples(150), stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestModel = Model.TestCase
