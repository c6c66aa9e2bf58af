"""How much of one run clients were sent. `handover/positions` keeps it for the next process."""

import asyncio
from dataclasses import dataclass, field

from gateway.handover.positions import Position, Positions
from gateway.hub.connection import Connection
from gateway.hub.hub import Hub
from gateway.machine.clock import now_ms
from gateway.protocol.scopes import READ
from gateway.runs.active import ActiveRun


@dataclass
class Heard:
    """What was sent of one run. Counts are of the message that is being written."""

    live: ActiveRun
    hub: Hub
    memory: Positions | None = None
    characters: int = 0
    """Characters of its text that were sent."""
    thought: int = 0
    """Characters of its thinking that were sent."""
    at: float = float("-inf")
    """When a piece was sent last: seconds on the monotonic clock."""
    replace: bool = False
    """What was sent before is not the beginning of the text that is written now."""
    rethink: bool = False
    """What was sent before is not the beginning of the thinking that is written now."""
    heard: set[Connection] = field(default_factory=set)
    """Clients that got the latest piece of text."""
    thinkers: set[Connection] = field(default_factory=set)
    """Clients that got the latest piece of thinking."""
    timer: asyncio.TimerHandle | None = None
    verbose: bool = False
    """Clients of protocol 3 hear of its tools."""
    started: bool = False
    """The run's beginning was sent."""
    before: int = 0
    """The events of earlier attempts: the numbers that clients see only rise."""
    skip: int = 0
    """The number of the last event that another process has sent."""
    _last: int = 0
    """The number of the last event of which something was sent."""
    _when: int = 0
    """When something was sent last; milliseconds since 1970."""
    _noting: bool = False

    def number(self, seq: int) -> int:
        """The number of an event as clients see it."""
        return self.before + seq

    @property
    def replays(self) -> bool:
        """Events that come now were sent by another process."""
        return self.live.seq < self.skip

    def restart(self) -> None:
        """The next message begins: nothing of it was sent."""
        self.characters = self.thought = 0
        self.heard, self.thinkers = set(), set()

    def void(self) -> None:
        """The message is begun again: what was sent of it does not hold."""
        self.replace |= self.characters > 0
        self.rethink |= self.thought > 0
        self.restart()

    def begin_again(self) -> None:
        """Another agent begins the run again."""
        self.before += max(self.skip, self._last)
        self.skip = self._last = 0
        self.void()
        self.note()

    def resume(self) -> None:
        """Go on where the process before has stopped. Where that is not known, the next piece replaces what clients
        have."""
        found = self.memory.find(self.live.run.id) if self.memory is not None else None
        if found is None:
            self.replace = self.rethink = True
            return
        self.started, self.before, self._when = found.seq > 0, found.before, found.at
        if found.attempt != self.live.run.attempts:
            self.before += found.seq
            self.replace = self.rethink = True
            return
        self.skip = self._last = found.seq
        if not found.sure:
            self.replace = self.rethink = True
            return
        self.characters, self.thought = found.characters, found.thought
        self.replace, self.rethink = found.replace, found.rethink
        there = {each for each in self.hub.clients if each.since_ms <= found.at}
        self.heard = there if self.characters else set()
        self.thinkers = there if self.thought else set()

    def note(self) -> None:
        """Call it before something is sent, and after. Once the outboxes are written, the position is sure."""
        self._last, self._when = max(self._last, self.live.seq), now_ms()
        if self.memory is None or self.replays:
            return
        self._write(sure=False)
        if not self._noting:
            self._noting = True
            # After the end of this turn, at which outboxes are written.
            asyncio.get_running_loop().call_soon(self._note_written)

    def _all_heard(self) -> bool:
        """Whether each client was written what was sent, or has it in its queue."""
        readers = [each for each in self.hub.clients if each.may_hear(READ) and each.since_ms <= self._when]
        missed = self.characters and any(each not in self.heard for each in readers)
        unheard = self.thought and any(each not in self.thinkers for each in readers if each.speaks(4))
        return not missed and not unheard

    def _note_written(self) -> None:
        self._noting = False
        self.leave()

    def leave(self) -> None:
        """What was sent is written, or goes to the next process in a queue."""
        if self.memory is not None and not self.replays:
            self._write(sure=self._all_heard())

    def _write(self, *, sure: bool) -> None:
        assert self.memory is not None
        run = self.live.run
        counts = self._last, self.characters, self.thought, self._when
        self.memory.put(run.id, Position(run.attempts, self.before, sure, *counts, self.replace, self.rethink))

    def forget(self) -> None:
        """The run is over."""
        if self.timer is not None:
            self.timer.cancel()
        self.memory, memory = None, self.memory
        if memory is not None:
            memory.drop(self.live.run.id)
