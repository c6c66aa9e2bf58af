import asyncio
import gc
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.handover.keeper import InheritedConnection
from gateway.process.adoption import Tally
from gateway.protocol.admission.auth import AuthPolicy
from gateway.protocol.closing import DEVICE_CHANGED, SECRET_CHANGED, Close
from gateway.protocol.limits import MAX_IN_FLIGHT
from gateway.protocol.peer import Peer
from gateway.protocol.scopes import READ
from gateway.serving.websocket import Adopted, WebSocketProtocol
from gateway.web.socket import Resumed
from tests.effort import examples, some
from tests.handover.world import PEER, SteppedClient, World, mortals
from tests.slack import LIMIT_S
from tests.tcp import descriptors


class OneDevice:
    """Knows one device."""

    def still_admits(self, device_id: str, role: str) -> bool:
        return (device_id, role) == ("d1", "operator")


def play(scene: Callable[[World], Awaitable[None]], clients: int = 1, peers: Mapping[int, Peer] | None = None) -> None:
    async def limited() -> None:
        world = World(devices=OneDevice())
        world.begin(clients, peers)
        async with asyncio.timeout(LIMIT_S):
            await world.succeed()
            try:
                await scene(world)
            finally:
                await world.close()

    before = descriptors()
    with mortals():
        asyncio.run(limited())
    assert descriptors() == before


def assert_true(world: World, client: SteppedClient) -> None:
    """Nothing twice, nothing lost while the connection stays, no gap."""
    frames, rest = client.frames()
    answers, close = client.answers(), client.close()
    assert set(answers.values()) <= {1}, answers
    assert set(answers) <= set(client.asked)
    seqs = [seq for seq, _ in client.events()]
    assert seqs == list(range(1, len(seqs) + 1)), seqs
    told = [number for _, number in client.events() if number >= 0]
    assert told == sorted(set(told)), told
    if close is not None:
        assert close[0] == 1012 and rest == b"" and frames[-1][0] == 8
    if not client.ended:
        assert set(answers) == set(client.asked) and rest == b"" and close is None
    if not world.crashed and not client.left:
        assert not client.ended and close is None
        assert told == list(range(1, world.told + 1))


def test_it_goes_on_where_the_predecessor_was() -> None:
    async def scene(world: World) -> None:
        (client,) = world.clients
        client.ask("a", "now")
        world.tell()
        await world.calm()
        for again in (world.crash, world.restart, world.crash):
            await again()
            world.tell()
            await world.calm()
        client.ask("b", "now")
        await world.calm()
        assert client.answers() == {"a": 1, "b": 1}
        assert client.events() == [(1, 1), (2, 2), (3, 3), (4, 4)]
        assert world.image.tally.websockets == 1 and not world.image.tally.closed

    play(scene)


def closed(world: World) -> dict[str, int]:
    return dict(world.image.tally.closed)


async def with_half_a_request(world: World) -> None:
    world.clients[0].ask("a", "now", in_pieces=True)
    world.clients[0].push(20)
    for _ in range(5):
        await asyncio.sleep(0)


def test_half_a_request_is_carried_over_a_restart_and_told_after_a_crash() -> None:
    async def scene(world: World) -> None:
        (client,) = world.clients
        await with_half_a_request(world)
        await world.restart()
        await world.calm()
        assert client.answers() == {"a": 1} and closed(world) == {}
        await with_half_a_request(world)
        await world.crash()
        await world.calm()
        assert client.close() == (1012, "service restart") and client.ended
        assert closed(world) == {"unanswered": 1} and world.stored() == ["ledger"]

    play(scene)


def test_an_answer_half_sent_is_carried_over_a_restart_and_ends_at_a_crash() -> None:
    async def scene(world: World) -> None:
        (client,) = world.clients
        for again in ("a", "b"):
            client.ask(again, "bulk")
            client.push(10_000)
            while not world.image.protocols[0].transport.get_write_buffer_size():
                await asyncio.sleep(0)
            if again == "a":
                await world.restart()
                await world.calm()
        await world.crash()
        await world.calm()
        assert client.answers() == {"a": 1} and client.ended and client.close() is None
        assert closed(world) == {"half-sent": 1} and world.stored() == ["ledger"]

    play(scene)


def test_a_process_that_dies_owing_an_event_leaves_its_client_to_be_closed() -> None:
    async def scene(world: World) -> None:
        (client,) = world.clients
        for told in (0, 1):  # owing nothing any more, and having told what it owed
            with world.image.core.hub.announcing(READ):
                if told:
                    world.tell()
            await world.calm()
            await world.crash()
            await world.calm()
            assert client.events() == [(1, 1)] * told and closed(world) == {}
        with world.image.core.hub.announcing(READ):
            await world.crash()
        await world.calm()
        assert client.close() == (1012, "service restart") and closed(world) == {"unanswered": 1}

    play(scene)


def test_what_was_passed_on_is_not_held_for_longer_than_it_is_needed() -> None:
    async def scene(world: World) -> None:
        (client,) = world.clients
        client.ask("a", "bulk")
        client.push(10_000)
        client.ask("b", "now", in_pieces=True)
        client.push(20)
        while not world.image.protocols[0].transport.get_write_buffer_size():
            await asyncio.sleep(0)
        await world.restart()
        await world.calm()
        (protocol,) = world.image.protocols
        assert world.image.tally.websockets == 1 and client.answers()["a"] == 1
        gc.collect()
        assert not [each for each in gc.get_objects() if type(each) in (InheritedConnection, Adopted, Resumed)]
        assert protocol._points._unsent == []
        assert world.image.keeper.handoff is not None and world.image.keeper.handoff.held == {}

    play(scene)


@pytest.mark.parametrize("planned", [True, False])
def test_a_client_that_left_meanwhile_is_forgotten(planned: bool) -> None:
    async def scene(world: World) -> None:
        first, _ = world.clients
        if planned:
            assert await world.image.leave()
        await world.image.end()
        first.left = True
        first.sock.close()
        await world.succeed()
        assert closed(world) == {"gone": 1} and world.image.tally.websockets == 1
        await world.calm()
        assert len(world.stored()) == 2 and len(list(world.image.keeper.ledger.inherited())) == 1

    play(scene, clients=2)


def test_one_whose_descriptor_did_not_come_leaves_no_entry() -> None:
    """systemd closes what it keeps as soon as the client has gone."""

    async def scene(world: World) -> None:
        await world.image.end()
        world.store.remove("conn-2")
        await world.succeed()
        assert closed(world) == {"gone": 1} and len(list(world.image.keeper.ledger.inherited())) == 1
        assert len(world.image.core.hub.clients) == 1

    play(scene, clients=2)


def test_those_who_went_on_are_told_who_did_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.rpc.presence.SOON_S", 0.0)

    async def scene(world: World) -> None:
        first, second = world.clients
        await with_half_a_request(world)
        await world.crash()
        while "presence" not in [text["event"] for text in second.texts()]:
            await world.calm()
        (event,) = second.texts()
        assert [each["instanceId"] for each in event["payload"]["presence"][1:]] == ["1"]
        await world.crash()
        await world.calm()
        assert len(second.texts()) == 1, "nothing has changed"

    play(scene, clients=2)


def presence(client: SteppedClient) -> int:
    """How many the latest event of that name lists."""
    told = [text["payload"]["presence"] for text in client.texts() if text["event"] == "presence"]
    return len(told[-1]) if told else 0


@pytest.mark.parametrize("planned", [True, False])
def test_an_event_in_the_middle_of_the_adoption_reaches_those_who_come_after_it(
    planned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.rpc.presence.SOON_S", 0.0)
    events: list[str] = []

    async def scene(world: World) -> None:
        adopt = WebSocketProtocol._resume

        def resume(protocol: WebSocketProtocol, adopted: Adopted) -> None:
            adopt(protocol, adopted)
            if not events:
                hub = world.image.core.hub
                asyncio.get_running_loop().call_soon(hub.broadcast, "health", {"n": 1})
                asyncio.get_running_loop().call_soon(hub.presence_changed)
            events.append("adopted")

        monkeypatch.setattr(WebSocketProtocol, "_resume", resume)
        await (world.restart() if planned else world.crash())
        monkeypatch.undo()
        while any(presence(client) != 1 + len(world.clients) for client in world.clients):
            await world.calm()  # a first one may be told before all have come
        for client in world.clients:
            assert [number for _, number in client.events() if number >= 0] == [1]
            seqs = [seq for seq, _ in client.events()]
            assert seqs == list(range(1, len(seqs) + 1))

    play(scene, clients=5)
    assert len(events) == 5


@pytest.mark.parametrize("planned", [True, False])
def test_another_secret_closes_who_came_by_the_old_one(planned: bool) -> None:
    token = replace(PEER, auth_mode="device-token", device_id="d1")

    async def scene(world: World) -> None:
        await (world.restart() if planned else world.crash())
        assert closed(world) == {}
        world.auth = AuthPolicy("token", token="another", generation=1)
        await (world.restart() if planned else world.crash())
        await world.calm()
        first, second = world.clients
        assert first.close() == (1008, SECRET_CHANGED.reason) and not second.ended
        assert closed(world) == {"auth": 1} and world.image.tally.websockets == 1
        assert len(world.stored()) == 2

    play(scene, clients=2, peers={1: token})


def test_a_device_that_was_removed_is_closed() -> None:
    mine, other = (replace(PEER, device_id=device_id) for device_id in ("d1", "d2"))

    async def scene(world: World) -> None:
        await world.calm()
        first, second = world.clients
        assert second.close() == (1008, DEVICE_CHANGED.reason) and not first.ended
        assert closed(world) == {"auth": 1}

    play(scene, clients=2, peers={0: mine, 1: other})


def test_a_secret_that_changes_later_closes_it_whatever_generation_it_is_from() -> None:
    """A predecessor had counted further than this process has."""

    async def scene(world: World) -> None:
        assert world.image.core.hub.close_generation(world.auth.generation) == 1
        await world.calm()
        assert world.clients[0].close() == (1008, SECRET_CHANGED.reason)

    play(scene, peers={0: replace(PEER, auth_generation=7)})


@pytest.mark.parametrize("planned", [True, False])
def test_a_ledger_of_another_version_is_said_after_a_restart_and_ends_after_a_crash(planned: bool) -> None:
    async def scene(world: World) -> None:
        if planned:
            assert await world.image.leave()
        world.image.keeper.ledger.memory[8:12] = (99).to_bytes(4, "little")
        await world.image.end()
        await world.succeed()
        await world.calm()
        for client in world.clients:
            assert client.ended and client.close() == ((1012, "service restart") if planned else None)
        assert closed(world) == {"unreadable": 2} and world.stored() == ["ledger"]

    play(scene, clients=2)


def test_of_a_ledger_of_another_version_nobody_gets_a_close_into_half_a_frame() -> None:
    async def scene(world: World) -> None:
        first, second = world.clients
        first.ask("a", "bulk")
        first.push(10_000)
        while not any(each.transport.get_write_buffer_size() for each in world.image.protocols):
            await asyncio.sleep(0)
        assert await world.image.leave()
        world.image.keeper.ledger.memory[8:12] = (99).to_bytes(4, "little")
        await world.image.end()
        await world.succeed()
        await world.calm()
        assert first.close() is None and second.close() == (1012, "service restart")

    play(scene, clients=2)


def test_what_is_no_connection_at_all_ends_nothing() -> None:
    async def scene(world: World) -> None:
        await world.image.end()
        for name in ("conn-77", "conn-x", "conn-"):
            memfd = os.memfd_create("no connection")
            world.store.put(name, memfd)
            os.close(memfd)
        await world.succeed()
        assert closed(world) == {"unreadable": 3} and world.image.tally.websockets == 1

    play(scene)


@pytest.mark.parametrize("planned", [True, False])
@pytest.mark.parametrize("answering", [True, False])
def test_one_that_is_being_closed_does_not_come_back(planned: bool, answering: bool) -> None:
    """The close frame is sent, or waits behind what the client does not read."""

    async def scene(world: World) -> None:
        (client,) = world.clients
        if not answering:
            client.ask("a", "bulk")
            client.push(10_000)
            while not world.image.protocols[0].transport.get_write_buffer_size():
                await asyncio.sleep(0)
        (connection,) = world.image.core.hub.clients
        connection.outbox.finish(Close(1008, "go"))
        for _ in range(5):
            await asyncio.sleep(0)
        await (world.restart() if planned else world.crash())
        await world.calm()
        assert client.ended and world.image.tally.websockets == 0
        assert client.close() == ((1008, "go") if answering else None)
        assert not list(world.image.keeper.ledger.inherited())

    play(scene)


def test_it_says_what_became_of_them() -> None:
    tally = Tally(websockets=3, http=1)
    assert str(tally) == "connections adopted: 3 WebSocket, 1 HTTP"
    tally.silence_ms = 41.6
    tally.closed.update({"unanswered": 2, "gone": 1})
    assert str(tally) == "connections adopted after 42 ms: 3 WebSocket, 1 HTTP; 3 closed (1 gone, 2 unanswered)"


def test_only_after_a_restart_is_it_known_how_long_clients_waited() -> None:
    async def scene(world: World) -> None:
        assert world.image.tally.silence_ms is None
        await world.restart()
        assert world.image.tally.silence_ms is not None and 0 <= world.image.tally.silence_ms < 10_000

    play(scene)


KIND = st.sampled_from(["now", "bulk", "later"])
WHO = st.integers(0, 1)
SAY = st.tuples(st.just("say"), WHO, KIND)
ASK = st.tuples(st.just("ask"), WHO, KIND)
PUSH = st.tuples(st.just("push"), WHO, st.sampled_from([1, 2, 20, 70, 140, 10_000]))
RECEIVE = st.tuples(st.just("read"), WHO, st.sampled_from([1, 3, 100, 5_000, 100_000]))
TELL = st.tuples(st.just("tell"), st.just(0), st.sampled_from([0, 200, 20_000]))
TURNS = st.tuples(st.just("turns"), st.just(0), st.integers(1, 5))
OTHER = st.tuples(st.sampled_from(["release", "calm"]), st.just(0), st.just(0))
LEAVE = st.tuples(st.just("leave"), st.just(0), st.just(0))
CRASH = st.tuples(st.just("crash"), st.just(0), st.just(0))
CLOSE = st.tuples(st.just("close"), WHO, st.just(0))
TRAFFIC = SAY | SAY | ASK | PUSH | RECEIVE | TELL | TURNS | TURNS | OTHER

Step = tuple[str, int, int | str]


async def take(world: World, number: int, step: Step) -> None:
    what, who, how = step
    client = world.clients[who]
    match what, how:
        case "ask" | "say", str():
            client.ask(f"{number}", how, in_pieces=what == "ask")
            if what == "say" and not client.left:
                client.push(10_000)
        case "push", int() if not client.left:
            client.push(how)
        case "read", int() if not client.left:
            client.read(how)
        case "tell", int():
            world.tell(how)
        case "turns", int():
            for _ in range(how):
                await asyncio.sleep(0)
        case "release", _:
            world.image.release.set()
        case "calm", _:
            await world.calm()
        case "leave", _:
            await world.restart()
        case "crash", _:
            await world.crash()
        case "close", _:
            client.left = True
            client.sock.close()
    if world.image.dead:
        await world.crash()


def live(steps: list[Step], *lives: int, deaf: bool = False) -> int:
    """All that must hold in the end, whatever happened. Returns for how many steps the world has lived."""
    lived = 0

    async def scene(world: World) -> None:
        nonlocal lived
        world.lives, world.deaf = list(lives), deaf
        for number, step in enumerate(steps):
            await take(world, number, step)
        lived, world.lives, world.deaf = world.steps, [], False
        await world.calm()
        for client in world.clients:
            if not client.left:
                assert_true(world, client)
        assert world.served <= sum(len(client.asked) for client in world.clients)
        alive = [each for each in world.clients if not each.ended and not each.left]
        while len(world.image.core.hub.clients) != len(alive):
            await asyncio.sleep(0)
        while world.image.keeper._store._pending:
            await asyncio.sleep(0.001)
        kept = [name for name in world.stored() if name.startswith("conn-")]
        assert (
            len(kept) == len(alive) == len(world.image.keeper._kept) == len(list(world.image.keeper.ledger.inherited()))
        )

    play(scene, clients=2)
    return lived


def model(full: int) -> Any:
    return settings(deadline=None, max_examples=examples(full), suppress_health_check=[HealthCheck.too_slow])


@given(st.lists(TRAFFIC | LEAVE, max_size=30))
@model(200)
def test_over_restarts_nothing_is_lost_and_nobody_is_closed(steps: list[Step]) -> None:
    live(steps)


@given(st.lists(TRAFFIC | LEAVE | CRASH | CLOSE, max_size=30))
@model(200)
def test_over_crashes_nothing_is_doubled_and_who_stays_has_lost_nothing(steps: list[Step]) -> None:
    live(steps)


STORIES: dict[str, list[Step]] = {
    "a request": [("say", 0, "now"), ("turns", 0, 5)],
    "a request in pieces": [("ask", 0, "now"), ("push", 0, 20), ("turns", 0, 5), ("push", 0, 10_000), ("turns", 0, 5)],
    "an event": [("tell", 0, 0), ("turns", 0, 5), ("tell", 0, 0), ("turns", 0, 5)],
    "requests at once": [("say", 0, "later"), ("say", 0, "now"), ("turns", 0, 5), ("release", 0, 0), ("turns", 0, 5)],
    "more than the kernel takes": [
        ("say", 0, "bulk"),
        ("say", 0, "now"),
        ("turns", 0, 5),
        ("tell", 0, 0),
        ("calm", 0, 0),
    ],
    "leaving at rest": [("calm", 0, 0), ("leave", 0, 0), ("tell", 0, 0), ("turns", 0, 3)],
    "leaving with half a request": [
        ("ask", 0, "now"),
        ("push", 0, 20),
        ("turns", 0, 3),
        ("leave", 0, 0),
        ("calm", 0, 0),
    ],
    "leaving with requests unread": [("say", 0, "now"), ("say", 1, "later"), ("leave", 0, 0), ("turns", 0, 5)],
    "leaving with requests behind answers": [
        *[("say", 0, "bulk")] * 4,
        ("say", 0, "now"),
        ("turns", 0, 4),
        ("leave", 0, 0),
        ("turns", 0, 4),
    ],
    "leaving with more requests than are served at once": [
        *[("say", 0, "later")] * MAX_IN_FLIGHT,
        ("say", 0, "now"),
        ("turns", 0, 4),
        ("leave", 0, 0),
        ("turns", 0, 4),
    ],
    "leaving with requests under way": [("say", 0, "later"), ("say", 1, "later"), ("turns", 0, 5), ("leave", 0, 0)],
    "leaving with much unsent": [
        ("say", 0, "bulk"),
        ("turns", 0, 5),
        ("tell", 0, 200),
        ("leave", 0, 0),
        ("calm", 0, 0),
    ],
    "two crashes": [
        ("tell", 0, 0),
        ("turns", 0, 3),
        ("crash", 0, 0),
        ("tell", 0, 200),
        ("turns", 0, 3),
        ("crash", 0, 0),
    ],
}


@pytest.mark.parametrize("story", STORIES)
def test_a_story_may_end_at_any_step(story: str) -> None:
    """The process dies at each of its steps, in the middle of adopting too; and so does, a few steps on, the next."""
    whole = live(STORIES[story])
    for again in (None, 1, 2, 6):
        for life in some(range(1, whole + 1)):
            live(STORIES[story], life, *([again] if again else []), deaf=bool(again) or life % 2 == 0)


@given(st.lists(TRAFFIC | TRAFFIC | LEAVE, max_size=8), st.data())
@model(200)
def test_any_story_may_end_at_any_step(steps: list[Step], data: st.DataObject) -> None:
    whole = live(steps)
    if whole:
        live(steps, data.draw(st.integers(1, whole)), data.draw(st.integers(1, 50)), deaf=data.draw(st.booleans()))
