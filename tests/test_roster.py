from gateway.protocol.handshake import ClientInfo, Peer
from gateway.roster import MAX_ENTRIES, TTL_MS, Roster, entry, key


def peer(instance: str | None = None, mode: str = "ui") -> Peer:
    return Peer(4, "operator", (), ClientInfo("app", "1", "linux", mode, instance_id=instance))


def test_who_has_left_stays_for_a_while() -> None:
    roster = Roster()
    roster.leave(peer("me"), "conn", 1000)
    [left] = roster.list([], 1000 + TTL_MS - 1)
    assert (left["reason"], left["instanceId"], left["ts"]) == ("disconnect", "me", 1000)
    assert roster.list([], 1000 + TTL_MS) == []


def test_who_is_back_is_listed_once() -> None:
    roster, who = Roster(), peer("me")
    roster.leave(who, "first", 1)
    [back] = roster.list([(key(who, "second"), entry(who, "connect", 5))], 6)
    assert (back["reason"], back["ts"]) == ("connect", 5)


def test_without_an_instance_each_connection_is_an_entry() -> None:
    roster = Roster()
    roster.leave(peer(), "a", 1)
    roster.leave(peer(), "b", 2)
    assert [each["ts"] for each in roster.list([], 3)] == [2, 1]


def test_a_note_is_kept_by_device_instance_or_host_and_merged() -> None:
    roster = Roster()
    roster.note({"text": "a", "host": "H", "deviceId": "D", "mode": None}, 1)
    roster.note({"text": "b", "deviceId": "D"}, 2)
    roster.note({"text": "c", "host": "h"}, 3)
    assert roster.list([], 4) == [
        {"text": "c", "host": "h", "ts": 3},
        {"text": "b", "host": "H", "deviceId": "D", "ts": 2},
    ]


def test_the_oldest_make_room() -> None:
    roster = Roster()
    for number in range(MAX_ENTRIES + 5):
        roster.leave(peer(), str(number), number)
    listed = roster.list([], MAX_ENTRIES + 5)
    assert len(listed) == MAX_ENTRIES - 1
    assert (listed[0]["ts"], listed[-1]["ts"]) == (MAX_ENTRIES + 4, 6)
