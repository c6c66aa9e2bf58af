"""Who gets what comes over the gateway's end of the link, and is asked there what is waited for."""

from typing import Protocol

from gateway.errors import GatewayError
from gateway.link.messages import Event, StartRefused


class Unreachable(GatewayError):
    """No agent answers, or one that speaks another version of the link."""


class LinkHandler(Protocol):
    """Who gets what comes. Nothing here may raise, except for an event that leaves others out."""

    @property
    def has_active_runs(self) -> bool:
        """Whether there is a run that goes on, as far as is known here."""
        ...

    def awaited_runs(self) -> dict[str, int]:
        """Runs that an agent was asked for, until their end is stored, with the number of the last event stored."""
        ...

    def aborted_runs(self) -> list[str]:
        """Those of them that are to end."""
        ...

    def received(self, event: Event) -> None:
        """Raises ValueError if others must come before it."""
        ...

    def unreadable(self, run: str) -> None:
        """An event of it cannot be read, now or later."""
        ...

    def lost(self, run: str) -> None:
        """The agent that had it is gone."""
        ...

    def refused(self, refusal: StartRefused) -> None: ...

    def unreachable(self, why: Unreachable) -> None:
        """Of all that are awaited nothing can be known."""
        ...
