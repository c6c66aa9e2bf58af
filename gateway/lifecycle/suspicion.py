"""The suspicion against a config: starts on it ended before they were ready.

A death by the config and a death by something else (`kill -9`, no memory) look alike to the next process: there is no
record of a reason. So one death proves nothing, and several in a row count for a while. A start that somebody requested
tries the config in spite of a suspicion; a start that is ready on it ends the suspicion.
"""

from msgspec import Struct
from msgspec.structs import replace

DEATHS = 5
"""The number of starts in a row that must end before they are ready, until another config is taken."""
HANG_S = 30.0
"""A start that hung for as long counts as `DEATHS` of them: it was not killed by chance."""
FIRST_PAUSE_S = 2.0
"""The pause in which the config is not tried; it doubles after each further death."""
LONGEST_PAUSE_S = 3600.0
WHY_LENGTH = 200


class Suspicion(Struct, frozen=True, omit_defaults=True):
    """Times are monotonic seconds, on the clock that all processes of one boot share."""

    digest: str = ""
    """The SHA-256 of the config; empty if there is no suspicion."""
    deaths: int = 0
    at: float = 0.0
    """The time of the last death."""
    why: str = ""
    """The failure, if it is known."""

    def until(self) -> float:
        """The time from which the config is tried again."""
        if self.deaths < DEATHS:
            return self.at
        pause = FIRST_PAUSE_S * (1 << min(self.deaths - DEATHS, 30))
        return self.at + min(pause, LONGEST_PAUSE_S)

    def holds(self, digest: str, now: float) -> bool:
        """Whether a start must avoid the config of this digest."""
        # A clock that shows less than `at` belongs to another boot of the machine.
        return self.digest == digest != "" and self.at <= now < self.until()


def after_death(before: Suspicion, digest: str, began: float, now: float) -> Suspicion:
    """The suspicion after a start on `digest` died. `began` is when it started; 0 if an older version did not say."""
    known = before if before.digest == digest else Suspicion(digest)
    deaths = known.deaths + 1
    if began and now - began >= HANG_S:
        deaths = max(deaths, DEATHS)
    return replace(known, deaths=deaths, at=now)


def after_failure(digest: str, why: str, now: float) -> Suspicion:
    """The suspicion after the running process could not apply `digest`: a start tries it, and one death is enough."""
    return Suspicion(digest, DEATHS - 1, now, why[:WHY_LENGTH])


def sentence(suspicion: Suspicion, now: float) -> str:
    """The reason and the time of the next try, for `status` and the log."""
    wait = max(0, round(suspicion.until() - now))
    starts = f"{suspicion.deaths} starts on it ended before they were ready"
    reason = f"{suspicion.why}; {starts}" if suspicion.why else starts
    return f"{reason}; it is tried again in {wait} s, or at once by `openclaw-gateway reload`"
