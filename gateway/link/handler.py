"""The interface through which the gateway's end of the link passes on what comes, and asks what is awaited."""

from typing import Protocol

from gateway.errors import GatewayError
from gateway.link.messages import Event, StartRefused


class Unreachable(GatewayError):
    """No agent answers, or the agent speaks another version of the link."""


class LinkHandler(Protocol):
    """Handles what an agent sends. Only `received` may raise."""

    @property
    def has_active_runs(self) -> bool:
        """Whether a run goes on, as far as is known here."""
        ...

    def awaited_runs(self) -> dict[str, int]:
        """Runs that an agent was asked for and whose end is not stored, each with the number of its last stored
        event."""
        ...

    def aborted_runs(self) -> list[str]:
        """The awaited runs that an agent is to end."""
        ...

    def received(self, event: Event) -> None:
        """An event has come. Raises ValueError if events before it are missing."""
        ...

    def unreadable(self, run: str) -> None:
        """An event of the run cannot be read, and never could be."""
        ...

    def lost(self, run: str) -> None:
        """The agent that had the run is gone."""
        ...

    def refused(self, refusal: StartRefused) -> None:
        """The agent does not begin the run."""
        ...

    def unreachable(self, why: Unreachable) -> None:
        """No agent can be reached: nothing more is known of the awaited runs."""
        ...
