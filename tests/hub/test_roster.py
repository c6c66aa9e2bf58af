from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gateway.hub.roster import MAX_ENTRIES, TTL_MS, Roster, encode, encode_plain, tracked
from gateway.protocol.peer import ClientInfo, Peer


def peer(instance: str | None = None, mode: str = "ui", device: str | None = None) -> Peer:
    client = ClientInfo("app", "1", "linux", mode, instance_id=instance)
    return Peer(4, "operator", (), client, device_id=device)


def listed(roster: Roster, now_ms: int) -> list[dict[str, Any]]:
    return [msgspec.json.decode(each) for each in roster.entries(now_ms)]


def left(roster: Roster, conn_id: str, now_ms: int, who: Peer | None = None) -> None:
    roster.come(who or peer(), conn_id, now_ms)
    roster.leave(who or peer(), conn_id, now_ms)


@given(
    st.dictionaries(st.text(max_size=8), st.text(max_size=8) | st.integers(0, 2**53) | st.lists(st.text(max_size=4)))
)
def test_an_entry_has_the_same_bytes_in_both_ways(fields: dict[str, str | int | list[str]]) -> None:
    assert encode_plain(fields) == encode(dict(fields))
    assert encode(dict(fields)).isascii()


def test_commands_are_not_tracked() -> None:
    assert tracked(peer()) and not tracked(peer(mode="cli"))


def test_who_is_here_stays_and_who_has_left_stays_for_a_while() -> None:
    roster, who = Roster(), peer("me")
    roster.come(who, "conn", 1000)
    assert [each["reason"] for each in listed(roster, 1000 + TTL_MS)] == ["connect"]
    roster.leave(who, "conn", 2000)
    [gone] = listed(roster, 2000 + TTL_MS - 1)
    assert (gone["reason"], gone["instanceId"], gone["ts"]) == ("disconnect", "me", 2000)
    assert listed(roster, 2000 + TTL_MS) == []


def test_who_is_back_is_listed_once() -> None:
    roster, who = Roster(), peer("me")
    left(roster, "first", 1, who)
    roster.come(who, "second", 5)
    [back] = listed(roster, 6)
    assert (back["reason"], back["ts"]) == ("connect", 5)


def test_the_old_connection_of_who_is_back_changes_nothing() -> None:
    roster, who = Roster(), peer("me", device="d")
    roster.come(who, "first", 1)
    roster.come(who, "second", 2)
    roster.leave(who, "first", 3)
    [here] = listed(roster, 4)
    assert (here["reason"], here["ts"], here["deviceId"]) == ("connect", 2, "d")


def test_without_an_instance_each_connection_is_an_entry() -> None:
    roster = Roster()
    left(roster, "a", 1)
    left(roster, "b", 2)
    assert [each["ts"] for each in listed(roster, 3)] == [2, 1]


def test_a_note_is_kept_by_device_instance_or_host_and_added_to_what_is_known() -> None:
    roster = Roster()
    roster.note({"text": "a", "host": "H", "deviceId": "D", "mode": None}, 1)
    roster.note({"text": "b", "deviceId": "D"}, 2)
    roster.note({"text": "c", "host": "h"}, 3)
    assert listed(roster, 4) == [
        {"text": "c", "host": "h", "ts": 3},
        {"text": "b", "host": "H", "deviceId": "D", "ts": 2},
    ]


def test_a_note_of_who_is_here_is_added_to_his_entry() -> None:
    roster, who = Roster(), peer("me")
    roster.come(who, "conn", 1)
    roster.note({"text": "typing", "instanceId": "me", "lastInputSeconds": 3}, 2)
    [here] = listed(roster, 3)
    assert (here["host"], here["text"], here["lastInputSeconds"], here["ts"]) == ("app", "typing", 3, 2)


def test_the_oldest_make_room_and_those_who_are_here_go_first() -> None:
    roster = Roster()
    roster.come(peer("me"), "me", 0)
    for number in range(MAX_ENTRIES + 5):
        left(roster, str(number), number)
    entries = listed(roster, MAX_ENTRIES + 5)
    assert len(entries) == MAX_ENTRIES - 1
    assert (entries[0]["ts"], entries[1]["ts"], entries[-1]["ts"]) == (0, MAX_ENTRIES + 4, 7)


def test_entries_are_ascii() -> None:
    roster = Roster()
    roster.note({"text": "Dachböden · 🏠", "host": "attic"}, 1)
    [entry] = roster.entries(2)
    assert entry.isascii()
    assert msgspec.json.decode(entry)["text"] == "Dachböden · 🏠"
