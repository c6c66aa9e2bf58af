import asyncio

import msgspec
import pytest
from msgspec.structs import replace

from gateway.hub import hub as module
from gateway.hub.hub import STALL_S, Hub
from gateway.hub.leaving import close_all
from gateway.hub.outbox import LOW_WATER, Outbox
from gateway.protocol.closing import (
    DEVICE_CHANGED,
    SECRET_CHANGED,
)
from gateway.protocol.frames import EventFrame, StateVersion
from gateway.protocol.limits import limits
from gateway.protocol.peer import ClientInfo
from gateway.protocol.scopes import READ
from tests.carrier import drained
from tests.fakes.clock import Clock
from tests.hub.clients import carrier_of, held, peer
from tests.slack import LIMIT_S


def test_everyone_gets_a_broadcast_with_a_number_of_his_own() -> None:
    hub = Hub()
    with held(hub, peer(), peer(3), None) as (first, second, stranger):
        hub.broadcast("a", {"n": 1})
        first.offer(EventFrame("only", {}), drop_if_slow=False)
        hub.broadcast("b", None, state_version=StateVersion(2, 3))
        frames, _ = drained(first)
        assert [(frame["event"], frame["seq"]) for frame in frames] == [("a", 1), ("only", 2), ("b", 3)]
        frames, _ = drained(second)
        assert [(frame["event"], frame["seq"]) for frame in frames] == [("a", 1), ("b", 2)]
        assert frames[1]["stateVersion"] == {"presence": 2, "health": 3}
        assert drained(stranger)[0] == []


def test_a_broadcast_for_newer_protocols() -> None:
    hub = Hub()
    assert not hub.reaches_anyone(READ, 4)
    reader = replace(peer(), scopes=(READ,))
    with held(hub, reader, replace(reader, protocol=3), peer(), None) as (new, old, blind, stranger):
        assert hub.reaches_anyone(READ, 4)
        hub.broadcast("a", {}, scope=READ, min_protocol=4)
        assert [frame["event"] for frame in drained(new)[0]] == ["a"]
        assert [drained(each)[0] for each in (old, blind, stranger)] == [[], [], []]
    with held(hub, replace(reader, protocol=3)):
        assert not hub.reaches_anyone(READ, 4) and hub.reaches_anyone(READ, 3)


def test_come_and_go_are_told() -> None:
    changes: list[int] = []
    hub = Hub()
    hub.on_change = lambda: changes.append(hub.count)
    before = hub.state_version
    with held(hub, peer(), None):
        assert hub.count == 1
    assert changes == [1, 0]
    assert hub.state_version.presence == before.presence + 2
    assert hub.next_health().health == before.health + 1


def test_idle_is_told_when_the_last_request_is_answered() -> None:
    idle: list[int] = []
    hub = Hub(on_idle=lambda: idle.append(1))
    hub.begin_request()
    hub.begin_request()
    hub.end_request()
    assert (hub.busy, idle) == (1, [])
    hub.end_request()
    assert (hub.busy, idle) == (0, [1])


def test_an_old_secret_closes_only_those_who_used_it() -> None:
    hub = Hub()
    who = [
        *[peer(generation=2, mode=mode) for mode in ("password", "none", "trusted-proxy")],
        peer(generation=1),
        peer(generation=3),
    ]
    with held(hub, *who, None) as (first, *old, new, stranger):
        assert hub.close_generation(2) == 4
        assert first.outbox.closing and all(each.outbox.closing for each in old)
        assert not (new.outbox.closing or stranger.outbox.closing)
        assert drained(first)[1] == SECRET_CHANGED
        assert hub.close_generation(2) == 0


def test_a_device_is_closed_whatever_secret_it_used_and_nobody_else() -> None:
    hub = Hub()
    who = [
        msgspec.structs.replace(peer(mode=mode), device_id=id)
        for mode, id in [("token", "a"), ("device-token", "a"), ("token", "b"), ("token", None)]
    ]
    with held(hub, *who, None) as connections:
        assert hub.close_device("a") == 2
        assert [bool(each.outbox.closing) for each in connections] == [True, True, False, False, False]
        assert drained(connections[1])[1] == DEVICE_CHANGED
        assert hub.close_device("a") == 0


def test_a_device_token_survives_a_change_of_the_secret() -> None:
    hub = Hub()
    with held(hub, peer(generation=1, mode="device-token")) as (connection,):
        assert hub.close_generation(5) == 0
        assert not connection.outbox.closing


def test_tick_reaches_everyone_and_drops_who_stands_still() -> None:
    async def test() -> None:
        hub, clock = Hub(), Clock()
        with held(hub, peer(), peer()) as (quick, stuck):
            stuck.outbox = Outbox(stuck.carrier, 10_000, clock)
            hub.tick()
            clock.now = STALL_S
            hub.tick()
            assert hub.count == 2
            clock.now = STALL_S + 1
            hub.tick()
            assert hub.clients == [quick]
            frames, _ = drained(quick)
            assert [frame["event"] for frame in frames] == ["tick"] * 3
            payload = frames[0]["payload"]
            assert isinstance(payload, dict) and list(payload) == ["ts"]

    asyncio.run(test())


def test_run_ticks_until_cancelled() -> None:
    async def test() -> None:
        hub = Hub()
        with held(hub, peer()) as (client,):
            ticking = asyncio.create_task(hub.run(0.001))
            async with asyncio.timeout(LIMIT_S):
                while client.seq < 2:
                    await asyncio.sleep(0)
            ticking.cancel()
            [ended] = await asyncio.gather(ticking, return_exceptions=True)
            assert isinstance(ended, asyncio.CancelledError)

    asyncio.run(test())


def test_health_is_asked_for_with_every_second_tick_and_the_loop_is_watched() -> None:
    async def test() -> None:
        hub = Hub()
        asked: list[int] = []
        with held(hub, peer()) as (client,):
            hub.on_refresh = lambda: asked.append(client.seq)
            ticking = asyncio.create_task(hub.run(0.001))
            async with asyncio.timeout(LIMIT_S):
                while len(asked) < 2:
                    await asyncio.sleep(0)
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)
        assert asked == [2, 4]
        assert hub.lag.latest.interval_ms > 0

    asyncio.run(test())


def test_only_those_with_the_scope_hear_it_and_the_others_see_no_gap() -> None:
    hub = Hub()
    reader = replace(peer(), scopes=("operator.read",))
    pairing, admin = (replace(peer(), scopes=(f"operator.{scope}",)) for scope in ("pairing", "admin"))
    with held(hub, reader, pairing, admin, None) as (deaf, *hearing, stranger):
        hub.broadcast("device.pair.requested", {}, scope="operator.pairing")
        hub.broadcast("tick", {})
        assert [(frame["event"], frame["seq"]) for frame in drained(deaf)[0]] == [("tick", 1)]
        for each in hearing:
            frames, _ = drained(each)
            assert [(frame["event"], frame["seq"]) for frame in frames] == [("device.pair.requested", 1), ("tick", 2)]
        assert drained(stranger)[0] == []


def test_presence_changes_with_those_who_are_tracked_until_everybody_is_closed() -> None:
    told: list[int] = []
    hub = Hub()
    hub.on_presence = lambda: told.append(hub.state_version.presence)
    command = replace(peer(), client=ClientInfo("cli", "1", "linux", "cli"))
    with held(hub, command):
        assert told == []
    with held(hub, peer()):
        assert told == [2]
    assert told == [2, 3]
    with held(hub, peer()):
        asyncio.run(close_all(hub, 1012, "", 0))
    assert told == [2, 3, 4] and hub.state_version.presence == 5


def test_one_that_another_process_has_greeted_comes_without_a_word() -> None:
    told: list[str] = []
    hub = Hub(on_change=lambda: told.append("change"))
    hub.on_presence = lambda: told.append("presence")
    version = hub.state_version.presence
    command = replace(peer(), client=ClientInfo("cli", "1", "linux", "cli"))
    with held(hub, None, None) as (connection, untracked):
        hub.adopt(connection, peer(3), since_ms=123_456, seq=41)
        hub.adopt(untracked, command, since_ms=1, seq=0)
        assert told == [] and hub.state_version.presence == version
        assert hub.count == 2 and connection.since_ms == 123_456
        assert connection.outbox.max_bytes == limits(3).max_buffered
        (entry,) = [msgspec.json.decode(each) for each in hub.roster.entries(123_456)]
        assert (entry["mode"], entry["ts"]) == ("backend", 123_456)
        hub.broadcast("next", {})
        assert [frame["seq"] for frame in drained(connection)[0]] == [42]
    assert told == ["change", "change", "presence"] or told == ["change", "presence", "change"]
    assert hub.state_version.presence == version + 1


def test_who_comes_late_is_told_what_the_others_were_told_meanwhile() -> None:
    async def scene() -> None:
        hub = Hub()
        hub.begin_adoption()
        complete = asyncio.create_task(hub.wait_adopted())
        reader = replace(peer(), scopes=(READ,))
        with held(hub, None, None, None) as (early, late, deaf):
            hub.adopt(early, reader, 0, seq=7)
            hub.offer_missed(early)
            hub.broadcast("a", {}, scope=READ)
            hub.broadcast("b", {})
            for connection, who in ((late, reader), (deaf, peer())):
                hub.adopt(connection, who, 0, seq=4)
                hub.offer_missed(connection)
            await asyncio.sleep(0)
            assert not complete.done()
            hub.end_adoption()
            hub.broadcast("c", {})
            await asyncio.wait_for(complete, LIMIT_S)
            await hub.wait_adopted()
            heard = [[(each["event"], each["seq"]) for each in drained(ear)[0]] for ear in (early, late, deaf)]
            assert heard == [[("a", 8), ("b", 9), ("c", 10)], [("a", 5), ("b", 6), ("c", 7)], [("b", 5), ("c", 6)]]

    asyncio.run(scene())


def test_whom_something_is_owed_is_not_at_rest_until_it_is_told() -> None:
    hub = Hub()
    with held(hub, replace(peer(), scopes=(READ,)), peer(), None) as connections:
        reader, blind, stranger = connections
        carriers = [carrier_of(each) for each in connections]
        with hub.announcing(READ):
            assert [each.marked_busy for each in carriers] == [True, False, False]
            assert (reader.seq_at_rest(), blind.seq_at_rest(), stranger.announced) == (None, 0, 0)
            with hub.announcing(READ):
                pass
            assert reader.seq_at_rest() is None, "one of two is still owed"
        assert reader.seq_at_rest() == 0 and not carriers[0].marked_busy


def test_a_second_answer_comes_after_the_first() -> None:
    async def test() -> None:
        hub = Hub()
        with held(hub, peer()) as (connection,):

            async def slow() -> bytes:
                await asyncio.sleep(0.01)
                return b"first"

            task = asyncio.create_task(slow())
            connection.requests["7"] = task
            task.add_done_callback(lambda done: connection.outbox.put(b'"%b"' % done.result()))
            assert hub.answer(connection.id, "7", b'"second"') and hub.answer(connection.id, "8", b'"other"')
            assert not hub.answer("nobody", "7", b'"second"')
            await task
            await asyncio.sleep(0)
            assert [frame for frame in drained(connection)[0] if isinstance(frame, str)] == ["other", "first", "second"]

    asyncio.run(test())


@pytest.mark.parametrize(("more", "closed"), [(0, []), (1, [1])])
def test_beyond_the_bound_of_all_the_slowest_readers_go(
    monkeypatch: pytest.MonkeyPatch, more: int, closed: list[int]
) -> None:
    monkeypatch.setattr(module, "MAX_UNREAD", 3 * LOW_WATER + 10)
    hub, clock = Hub(), Clock()
    with held(hub, *[peer()] * 4) as clients:
        for number, connection in enumerate(clients):
            connection.outbox = Outbox(connection.carrier, 10 * LOW_WATER, clock)
            connection.outbox.put(b"x" * (10 if number == 0 else LOW_WATER + more * (number == 3)))
            clock.now += 1
        hub.bound_unread()
        assert [number for number, each in enumerate(clients) if each.outbox.closing] == closed
        assert [number for number, each in enumerate(clients) if each.carrier.aborted] == closed  # type: ignore[attr-defined]
        assert sum(each.outbox.unread for each in clients) <= module.MAX_UNREAD
