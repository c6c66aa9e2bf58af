"""How long to wait before the next try."""

FIRST_S = 1.0
"""Seconds of the first pause."""
MAX_S = 30.0
"""Seconds of the longest pause that we choose ourselves."""
MAX_RETRY_AFTER_S = 60.0
"""Seconds of the longest pause that a provider may ask for. A model whose provider asks for more is given up."""


def pause_s(tries: int, retry_after: float | None, chance: float) -> float | None:
    """Seconds before the next try, after `tries` failed ones; None if the pause would be too long.

    `retry_after` is what the provider asks for, in seconds. `chance`, from 0 to 1, spreads the tries of many runs that
    failed together.
    """
    if retry_after is not None:
        # Early would be refused again; a little late comes not with all the others.
        return retry_after * (1 + chance / 10) if retry_after <= MAX_RETRY_AFTER_S else None
    exponent = min(tries - 1, 30)
    return min(FIRST_S * 2.0**exponent, MAX_S) * (0.5 + chance / 2)
