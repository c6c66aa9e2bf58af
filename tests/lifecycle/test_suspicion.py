import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.lifecycle.suspicion import (
    DEATHS,
    FIRST_PAUSE_S,
    HANG_S,
    LONGEST_PAUSE_S,
    WHY_LENGTH,
    Suspicion,
    after_death,
    after_failure,
    sentence,
)


def died(times: int, now: float = 100.0, digest: str = "d") -> Suspicion:
    suspicion = Suspicion()
    for _ in range(times):
        suspicion = after_death(suspicion, digest, now - 0.2, now)
    return suspicion


def test_deaths_count_only_when_there_are_enough_in_a_row() -> None:
    assert not died(DEATHS - 1).holds("d", 100.0)
    assert died(DEATHS).holds("d", 100.0)
    other = after_death(died(DEATHS - 1), "other", 100.0, 100.0)
    assert (other.digest, other.deaths) == ("other", 1)


def test_it_is_of_one_config() -> None:
    assert not died(DEATHS).holds("another", 100.0)
    assert not Suspicion().holds("", 0.0)


@pytest.mark.parametrize(("took", "holds"), [(HANG_S, True), (HANG_S - 0.01, False)])
def test_a_start_that_hangs_is_not_one_that_was_killed_in_passing(took: float, holds: bool) -> None:
    assert after_death(Suspicion(), "d", 100.0 - took, 100.0).holds("d", 100.0) is holds


def test_it_decays() -> None:
    suspicion = died(DEATHS)
    assert suspicion.until() == 100.0 + FIRST_PAUSE_S
    assert suspicion.holds("d", suspicion.until() - 0.001) and not suspicion.holds("d", suspicion.until())
    again = after_death(suspicion, "d", 200.0, 200.0)
    assert again.until() == 200.0 + 2 * FIRST_PAUSE_S


@given(st.integers(0, 10**9))
def test_it_is_never_for_long(deaths: int) -> None:
    assert 0 <= Suspicion("d", deaths, 5.0).until() - 5.0 <= LONGEST_PAUSE_S


def test_a_clock_of_another_boot_ends_it() -> None:
    assert not died(DEATHS, now=1e6).holds("d", 3.0)


def test_after_a_failure_the_first_start_that_dies_is_believed() -> None:
    suspicion = after_failure("d", "applying auth failed: " + "x" * 1000, 100.0)
    assert not suspicion.holds("d", 100.0) and len(suspicion.why) == WHY_LENGTH
    assert after_death(suspicion, "d", 101.0, 101.0).holds("d", 101.0)


def test_it_says_what_was_seen_and_what_comes_next() -> None:
    assert sentence(died(DEATHS), 100.5) == (
        "5 starts on it ended before they were ready; it is tried again in 2 s, or at once by `openclaw-gateway reload`"
    )
    failed = after_death(after_failure("d", "applying auth failed: no", 1.0), "d", 1.0, 1.0)
    assert sentence(failed, 9.0).startswith("applying auth failed: no; 5 starts") and "in 0 s" in sentence(failed, 9.0)


def test_a_start_of_an_older_version_is_not_taken_for_one_that_hung() -> None:
    """Its record does not say when it began."""
    assert after_death(Suspicion(), "d", 0.0, 100_000.0).deaths == 1
