"""The life of one process as a table, and the budgets of its last phase.

    STARTING ──ready──▶ RUNNING ──restart──▶ DEFERRED ──idle|budget──▶ LEAVING ──left──▶ GONE
        │                  │ ◀────unfit───────── │                        ▲ │
        └──────stop────────┴────────stop─────────┴────────────stop────────┘ └─stop: the same leaving, another exit

Rule 1: what the process may do next depends on `State` alone.
Rule 2: nothing leads back out of LEAVING. A restart that is wanted while leaving is the one that is already happening.
Rule 3: a stop always wins over a restart: systemd (or the user) wants the process gone, and the next image of a restart
would go on without being asked for.
"""

from enum import StrEnum

from msgspec import Struct


class Phase(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    DEFERRED = "deferred"
    """A restart is wanted, and waits until no request is unanswered; new requests are served."""
    LEAVING = "leaving"
    GONE = "gone"


class Way(StrEnum):
    """The way in which a process ends."""

    STOP = "stop"
    """Exit with 0: SIGTERM, SIGINT. systemd decides whether another process follows."""
    REEXEC = "re-exec"
    """Become the new image in the same pid."""


class PhaseEvent(StrEnum):
    READY = "ready"
    RESTART = "restart"
    IDLE = "idle"
    STOP = "stop"
    LEFT = "left"
    UNFIT = "unfit"
    """The installed program cannot start: a restart would end the service, so there is none."""


class State(Struct, frozen=True):
    phase: Phase = Phase.STARTING
    way: Way | None = None
    """None until a restart or a stop is wanted."""


_STOPPING = State(Phase.LEAVING, Way.STOP)

TRANSITIONS: dict[tuple[State, PhaseEvent], State] = {
    (State(), PhaseEvent.READY): State(Phase.RUNNING),
    (State(), PhaseEvent.RESTART): State(Phase.STARTING, Way.REEXEC),
    (State(), PhaseEvent.STOP): _STOPPING,
    (State(Phase.STARTING, Way.REEXEC), PhaseEvent.READY): State(Phase.DEFERRED, Way.REEXEC),
    (State(Phase.STARTING, Way.REEXEC), PhaseEvent.STOP): _STOPPING,
    (State(Phase.RUNNING), PhaseEvent.RESTART): State(Phase.DEFERRED, Way.REEXEC),
    (State(Phase.RUNNING), PhaseEvent.STOP): _STOPPING,
    (State(Phase.DEFERRED, Way.REEXEC), PhaseEvent.IDLE): State(Phase.LEAVING, Way.REEXEC),
    (State(Phase.DEFERRED, Way.REEXEC), PhaseEvent.UNFIT): State(Phase.RUNNING),
    (State(Phase.DEFERRED, Way.REEXEC), PhaseEvent.STOP): _STOPPING,
    (State(Phase.LEAVING, Way.REEXEC), PhaseEvent.STOP): _STOPPING,
    (State(Phase.LEAVING, Way.REEXEC), PhaseEvent.LEFT): State(Phase.GONE, Way.REEXEC),
    (_STOPPING, PhaseEvent.LEFT): State(Phase.GONE, Way.STOP),
}


def step(state: State, event: PhaseEvent) -> State:
    """The state after `event`. An event without a row changes nothing: it came twice, or too late."""
    return TRANSITIONS.get((state, event), state)


class Budgets(Struct, frozen=True):
    """The longest each part of leaving may take, in seconds; `process.leaving` has the order.

    New connections are served during `drain`; during the other parts they wait in the kernel's queue.
    """

    drain: float = 10.0
    """The requests that have begun are finished."""
    stall_timeout: float = 1.0
    """A connection on which no byte moves for this long is not waited for."""
    accept_grace: float = 0.02
    """After the last accept: a connection that has sent nothing yet and cannot be passed on is waited for."""
    finish: float = 1.0
    """The requests that came in since the drain are finished."""
    client_turn: float = 0.3
    """The part of `finish` in which clients are waited for that have to send or to read: new connections wait too."""
    newcomers: float = 0.5
    """A WebSocket that is younger than this has its first answer before it is closed: a command does not try again."""
    close: float = 0.3
    """WebSocket clients answer the close frame."""
    store: float = 1.0
    """The events of runs are stored. The agent keeps those that are not."""


RESTART_BURST = 5
"""Hot restarts that may follow each other without a pause."""
RESTART_REFILL_S = 5.0
"""The pause before each further one."""


class Allowance(Struct, frozen=True):
    """A token bucket for restarts, passed from one image to the next, so that a restart loop does not fill the CPU."""

    tokens: float = RESTART_BURST
    at: float = 0.0
    """Monotonic seconds of the last change, on the clock that all images of one boot of the machine share."""

    def wait(self, now: float) -> float:
        """Seconds from `now` until the next restart is allowed; 0 if it is allowed now."""
        return max(0.0, (1.0 - self._refilled(now)) * RESTART_REFILL_S)

    def spend(self, now: float) -> "Allowance":
        """The allowance after a restart at `now`, in monotonic seconds."""
        return Allowance(max(0.0, self._refilled(now) - 1.0), now)

    def _refilled(self, now: float) -> float:
        return min(float(RESTART_BURST), self.tokens + max(0.0, now - self.at) / RESTART_REFILL_S)
