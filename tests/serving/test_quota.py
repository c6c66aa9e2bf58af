import resource

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.serving import quota
from gateway.serving.quota import MAX_ASKED, MAX_BYTES, MAX_UNAUTHENTICATED, QuotaSlot, UnauthenticatedQuota, is_spare


class Arrivals:
    def __init__(self) -> None:
        self.quota = UnauthenticatedQuota()
        self.gone: list[int] = []
        self.busy: set[int] = set()

    def enter(self, number: int, address: str = "10.0.0.1", most: int = 5000) -> QuotaSlot | None:
        def evict() -> bool:
            if number in self.busy:
                return False
            self.gone.append(number)
            return True

        return self.quota.admit(address, most, evict)


def test_at_the_bound_of_a_site_its_oldest_gives_way() -> None:
    crowd = Arrivals()
    crowd.enter(0, "10.0.0.2")
    for number in range(1, 4):
        assert crowd.enter(number, most=3)
    assert crowd.gone == []
    assert crowd.enter(4, most=3) and crowd.gone == [1]
    assert crowd.enter(5, most=3) and crowd.gone == [1, 2]
    assert (crowd.quota.at("10.0.0.1"), crowd.quota.at("10.0.0.2"), len(crowd.quota)) == (3, 1, 4)


def test_at_the_bound_of_all_the_oldest_gives_way() -> None:
    crowd = Arrivals()
    for number in range(MAX_UNAUTHENTICATED):
        assert crowd.enter(number, f"10.0.{number >> 8}.{number & 255}")
    assert crowd.gone == []
    assert crowd.enter(-1) and crowd.gone == [0] and len(crowd.quota) == MAX_UNAUTHENTICATED


def test_who_is_being_answered_stays_and_where_all_are_the_newcomer_is_refused() -> None:
    crowd = Arrivals()
    crowd.busy = {0, 1}
    for number in range(3):
        crowd.enter(number, most=3)
    assert crowd.enter(3, most=3) and crowd.gone == [2]
    crowd.busy.add(3)
    assert crowd.enter(4, most=3) is None and len(crowd.quota) == 3
    crowd.busy.clear()
    assert crowd.enter(5, most=3)


def test_no_newcomer_has_all_the_others_asked() -> None:
    crowd = Arrivals()
    crowd.busy = set(range(MAX_ASKED))
    for number in range(MAX_ASKED + 1):
        crowd.enter(number, most=MAX_ASKED + 1)
    assert crowd.enter(-1, most=MAX_ASKED + 1) is None
    assert crowd.enter(-1, most=MAX_ASKED + 1) and crowd.gone == [MAX_ASKED]  # it has become the oldest


def test_at_the_bound_of_bytes_the_oldest_give_way() -> None:
    crowd = Arrivals()
    slots = [crowd.enter(number) for number in range(4)]
    assert all(slots)
    for number, size in enumerate((10, MAX_BYTES - 20, 10)):
        slots[number].set_held(size)  # type: ignore[union-attr]
    assert (crowd.gone, crowd.quota.bytes) == ([], MAX_BYTES)
    slots[3].set_held(11)  # type: ignore[union-attr]
    assert (crowd.gone, crowd.quota.bytes) == ([0, 1], 21)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "::ffff:10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2", True),
    ],
)
def test_a_site_is_what_one_client_has(one: str, other: str, same: bool) -> None:
    crowd = Arrivals()
    crowd.enter(1, one, most=1)
    crowd.enter(2, other, most=1)
    assert (crowd.gone == [1]) is same


def test_a_client_that_is_another_one_takes_its_place_along() -> None:
    crowd = Arrivals()
    slot = crowd.enter(1, "127.0.0.1")
    assert slot is not None and slot.move("10.0.0.9", 1)
    assert (crowd.quota.at("127.0.0.1"), crowd.quota.at("10.0.0.9")) == (0, 1)
    second = crowd.enter(2, "127.0.0.1")
    crowd.busy.add(1)
    assert second is not None and not second.move("10.0.0.9", 1)
    slot.release()
    assert second.move("127.0.0.1", 1) and crowd.quota.at("10.0.0.9") == 0


def test_a_bound_is_said_once_until_the_site_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(quota.log, "warning", lambda form, line: said.append(line))
    crowd = Arrivals()
    for _ in range(2):
        for number in range(6):
            assert crowd.enter(number, most=2)
        for slot in list(crowd.quota._slots):
            slot.release()
    assert len(said) == 2 and "gateway.trustedProxies" in said[0]


STEPS = st.tuples(st.sampled_from(["enter", "leave", "move", "hold", "busy"]), st.integers(0, 3), st.integers(0, 9))


@given(st.lists(STEPS, max_size=40))
def test_whatever_happens_the_books_are_right(steps: list[tuple[str, int, int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quota, "MAX_UNAUTHENTICATED", 5)
        patch.setattr(quota, "MAX_BYTES", 20)
        crowd, slots = Arrivals(), []
        for step, site, number in steps:
            slot = slots[number % len(slots)] if slots else None
            if step == "enter":
                slots += filter(None, [crowd.enter(len(slots), f"10.0.0.{site}", 3)])
            elif step == "busy":
                crowd.busy ^= {number}
            elif slot is None:
                continue
            elif step == "leave":
                slot.release()
            elif step == "move":
                slot.move(f"10.0.0.{site}", 3)
            else:
                slot.set_held(number)
            there = list(crowd.quota._slots)
            assert len(there) <= 5 and crowd.quota.bytes == sum(each.held for each in there)
            by_site = {key: set(held) for key, held in crowd.quota._sites.items()}
            assert by_site == {key: {each for each in there if each.site == key} for key in by_site}
            assert sum(map(len, by_site.values())) == len(there) and all(by_site.values())


def test_the_last_descriptors_are_not_for_the_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1024, 4096))
    assert [is_spare(fd) for fd in (10, 1024 - 65, 1024 - 64, 1023)] == [False, False, True, True]
