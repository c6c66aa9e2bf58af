import pytest

from gateway.agent.backoff import FIRST_S, MAX_RETRY_AFTER_S, MAX_S, pause_s


def test_pauses_double_up_to_the_longest() -> None:
    pauses = [pause_s(tries, None, 1.0) for tries in range(1, 9)]
    assert pauses == [FIRST_S * 2**n if FIRST_S * 2**n < MAX_S else MAX_S for n in range(8)]
    assert pause_s(10_000, None, 1.0) == MAX_S


def test_chance_spreads_them_over_half_their_length() -> None:
    assert pause_s(1, None, 0.0) == FIRST_S / 2


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_what_a_provider_asks_for_is_waited_for_and_a_little_more(chance: float) -> None:
    pause = pause_s(1, 7.0, chance)
    assert pause is not None and 7.0 <= pause < 7.71


def test_a_provider_that_asks_for_too_much_is_not_waited_for() -> None:
    assert pause_s(1, MAX_RETRY_AFTER_S, 0.0) == MAX_RETRY_AFTER_S
    assert pause_s(1, MAX_RETRY_AFTER_S + 1, 0.0) is None
