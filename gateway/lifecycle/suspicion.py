"""What speaks against a config: starts on it that ended before they were ready.

What a config does and what is done to a process look alike from here: the process is gone without a word. So one death
says nothing, several in a row say something, and for a while only. A start that was asked for tries the config whatever
is said of it; one that is ready on it ends the suspicion.
"""

from msgspec import Struct
from msgspec.structs import replace

DEATHS = 5
"""Starts on one config that end before they are ready, in a row, before another config is taken."""
HANG_S = 30.0
"""A start that took as long was not killed in passing: it counts as all of them."""
FIRST_PAUSE_S = 2.0
"""For which the config is left alone; twice as long after each further death."""
LONGEST_PAUSE_S = 3600.0
WHY_LENGTH = 200


class Suspicion(Struct, frozen=True, omit_defaults=True):
    """It is held against one config. Times are monotonic seconds, on the clock that all processes of one boot share."""

    digest: str = ""
    """Empty: nothing is held against any."""
    deaths: int = 0
    at: float = 0.0
    """When the last of them was."""
    why: str = ""
    """What the config did, where that is known."""

    def until(self) -> float:
        """The moment from which the config is tried again."""
        if self.deaths < DEATHS:
            return self.at
        pause = FIRST_PAUSE_S * (1 << min(self.deaths - DEATHS, 30))
        return self.at + min(pause, LONGEST_PAUSE_S)

    def holds(self, digest: str, now: float) -> bool:
        # A clock before `at` is that of another boot of the machine.
        return self.digest == digest != "" and self.at <= now < self.until()


def after_death(before: Suspicion, digest: str, began: float, now: float) -> Suspicion:
    """A start on `digest` that began then has ended before it was ready; 0: older versions do not say when."""
    known = before if before.digest == digest else Suspicion(digest)
    deaths = known.deaths + 1
    if began and now - began >= HANG_S:
        deaths = max(deaths, DEATHS)
    return replace(known, deaths=deaths, at=now)


def after_failure(digest: str, why: str, now: float) -> Suspicion:
    """The running process could not apply it. A start may be able to; if the first one is not, it is believed."""
    return Suspicion(digest, DEATHS - 1, now, why[:WHY_LENGTH])


def sentence(suspicion: Suspicion, now: float) -> str:
    wait = max(0, round(suspicion.until() - now))
    starts = f"{suspicion.deaths} starts on it ended before they were ready"
    reason = f"{suspicion.why}; {starts}" if suspicion.why else starts
    return f"{reason}; it is tried again in {wait} s, or at once by `openclaw-gateway reload`"
