import pytest

from gateway.protocol.admission import lockout as module
from gateway.protocol.admission.lockout import MAX_ENTRIES, MAX_LOCKED, MAX_OF_NETWORK, Lockout, too_many
from gateway.protocol.admission.origin import RequestOrigin
from gateway.protocol.limits import LOCKED_S, MAX_FAILURES, WINDOW_S
from tests.fakes.clock import Clock


def at(ip: str, *, origin: str | None = None, forwarded: bool = False) -> RequestOrigin:
    return RequestOrigin(ip, "h", origin, forwarded, False, ip)


def fail(lockout: Lockout, who: RequestOrigin, times: int = MAX_FAILURES) -> None:
    for _ in range(times):
        lockout.failed(who, "shared-secret")


def test_the_tenth_failure_in_a_minute_locks_for_five_minutes() -> None:
    clock = Clock(1000.0)
    lockout = Lockout(clock)
    fail(lockout, at("203.0.113.9"), MAX_FAILURES - 1)
    assert lockout.wait_ms(at("203.0.113.9"), "shared-secret") == 0
    clock.now += WINDOW_S
    fail(lockout, at("203.0.113.9"), 1)
    assert lockout.wait_ms(at("203.0.113.9"), "shared-secret") == LOCKED_S * 1000
    clock.now += LOCKED_S - 0.001
    assert lockout.wait_ms(at("203.0.113.9"), "shared-secret") == 1
    clock.now += 0.002
    assert lockout.wait_ms(at("203.0.113.9"), "shared-secret") == 0


def test_slower_failures_do_not_lock() -> None:
    clock = Clock(1000.0)
    lockout = Lockout(clock)
    for _ in range(50):
        fail(lockout, at("203.0.113.9"), 1)
        clock.now += WINDOW_S / (MAX_FAILURES - 1) + 0.01
    assert lockout.wait_ms(at("203.0.113.9"), "shared-secret") == 0


def test_nobody_locks_another_one() -> None:
    lockout = Lockout(Clock(1000.0))
    fail(lockout, at("203.0.113.9"))
    assert lockout.wait_ms(at("203.0.113.10"), "shared-secret") == 0
    assert lockout.wait_ms(at("203.0.113.9"), "device-token") == 0


def test_a_success_resets_the_count() -> None:
    lockout = Lockout(Clock(1000.0))
    fail(lockout, at("203.0.113.9"), MAX_FAILURES - 1)
    lockout.succeeded(at("203.0.113.9"), "shared-secret")
    fail(lockout, at("203.0.113.9"), MAX_FAILURES - 1)
    assert lockout.wait_ms(at("203.0.113.9"), "shared-secret") == 0


def test_the_count_begins_anew_after_a_lockout() -> None:
    clock = Clock(1000.0)
    lockout = Lockout(clock)
    fail(lockout, at("203.0.113.9"))
    clock.now += LOCKED_S
    fail(lockout, at("203.0.113.9"), MAX_FAILURES - 1)
    assert lockout.wait_ms(at("203.0.113.9"), "shared-secret") == 0


@pytest.mark.parametrize(
    ("who", "counted"),
    [
        (at("127.0.0.1"), False),
        (at("::1"), False),
        (at("127.0.0.1", origin="http://localhost"), True),
        (at("127.0.0.1", forwarded=True), True),
        (at("unknown"), True),
    ],
)
def test_only_a_program_of_this_machine_is_exempt(who: RequestOrigin, counted: bool) -> None:
    lockout = Lockout(Clock(1000.0))
    fail(lockout, who)
    assert bool(lockout.wait_ms(who, "shared-secret")) is counted
    assert lockout.wait_ms(at("127.0.0.1"), "shared-secret") == 0


def test_an_ipv6_client_counts_by_its_64() -> None:
    lockout = Lockout(Clock(1000.0))
    for number in range(MAX_FAILURES):
        fail(lockout, at(f"2001:db8::{number:x}"), 1)
    assert lockout.wait_ms(at("2001:db8::ffff"), "shared-secret") > 0
    assert lockout.wait_ms(at("2001:db8:0:1::1"), "shared-secret") == 0


def test_who_is_locked_stays_so_however_many_others_fail() -> None:
    """100,000 failures of 65,536 addresses."""
    clock = Clock(1000.0)
    lockout, first = Lockout(clock), at("192.0.2.1")
    fail(lockout, first)
    for number in range(100_000):
        fail(lockout, at(f"10.7.{number >> 8 & 255}.{number & 255}"), 1)
    assert lockout.wait_ms(first, "shared-secret") == LOCKED_S * 1000
    assert len(lockout) <= MAX_ENTRIES + MAX_LOCKED


def test_what_is_counted_is_bounded_and_the_idlest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ENTRIES", 3)
    lockout, first = Lockout(Clock(1000.0)), at("192.0.2.1")
    fail(lockout, first, MAX_FAILURES - 1)
    for number in range(3):
        fail(lockout, at(f"10.0.0.{number}"), 1)
    assert len(lockout) == 3
    fail(lockout, first, 1)
    assert lockout.wait_ms(first, "shared-secret") == 0


def test_what_is_locked_is_bounded_and_who_is_free_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LOCKED", 2)
    clock = Clock(1000.0)
    lockout, places = Lockout(clock), [at(f"10.0.0.{number}") for number in range(3)]
    for place in places:
        fail(lockout, place)
    assert [lockout.wait_ms(place, "shared-secret") > 0 for place in places] == [False, True, True]
    clock.now += LOCKED_S
    fail(lockout, places[0])
    assert len(lockout) == 1


@pytest.mark.parametrize(("failures", "locked"), [(MAX_OF_NETWORK - 1, False), (MAX_OF_NETWORK, True)])
def test_a_network_of_ipv6_is_locked_when_all_its_places_have_failed_so_often(failures: int, locked: bool) -> None:
    lockout = Lockout(Clock(1000.0))
    for number in range(failures):
        fail(lockout, at(f"2001:db8:0:{number:x}::1"), 1)
    assert bool(lockout.wait_ms(at("2001:db8:0:ffff::1"), "shared-secret")) is locked
    assert lockout.wait_ms(at("2001:db8:1::1"), "shared-secret") == 0


def test_each_version_has_its_refusal() -> None:
    old, new = too_many(3, 5), too_many(4, 5)
    assert old.message == new.message == "unauthorized: too many failed authentication attempts (retry later)"
    assert (old.code, old.details, old.retry_after_ms) == ("INVALID_REQUEST", None, 5)
    assert new.details and new.details["code"] == "AUTH_RATE_LIMITED"
