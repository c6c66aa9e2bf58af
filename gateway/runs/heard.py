"""How far clients have heard of one run, also over a restart: `handover/told` has it for the next process."""

import asyncio
import time
from dataclasses import dataclass, field

from gateway.handover.told import Position, Told
from gateway.hub.connection import Connection
from gateway.hub.hub import Hub
from gateway.protocol.scopes import READ
from gateway.runs.active import ActiveRun


@dataclass
class Heard:
    """Of the message that is being written, unless it says otherwise."""

    live: ActiveRun
    hub: Hub
    memory: Told | None = None
    characters: int = 0
    thought: int = 0
    """Characters of its thinking."""
    at: float = float("-inf")
    replace: bool = False
    """What was told before is not the beginning of what is written now."""
    rethink: bool = False
    """The same of its thinking."""
    heard: set[Connection] = field(default_factory=set)
    """Who got the latest piece."""
    thinkers: set[Connection] = field(default_factory=set)
    """Who got the latest piece of its thinking."""
    timer: asyncio.TimerHandle | None = None
    verbose: bool = False
    """Whether clients of protocol 3 hear of its tools."""
    started: bool = False
    """The run's beginning is told."""
    before: int = 0
    """Events of earlier attempts: what clients see rises."""
    skip: int = 0
    """The last event that another process has told."""
    _last: int = 0
    """The last event of which something is told."""
    _when: int = 0
    """When that was; milliseconds since 1970."""
    _noting: bool = False

    def number(self, seq: int) -> int:
        """Of an event, as clients see it."""
        return self.before + seq

    @property
    def replays(self) -> bool:
        """What comes was told before."""
        return self.live.seq < self.skip

    def restart(self) -> None:
        """All of it is told from its beginning."""
        self.characters = self.thought = 0
        self.heard, self.thinkers = set(), set()

    def void(self) -> None:
        """What was told of it never was."""
        self.replace |= self.characters > 0
        self.rethink |= self.thought > 0
        self.restart()

    def begin_again(self) -> None:
        """Another agent has it."""
        self.before += max(self.skip, self._last)
        self.skip = self._last = 0
        self.void()
        self.note()

    def resume(self) -> None:
        """Go on where the process before has left off; where that is not known, all that is written replaces."""
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
        """Call it before something is told, and after; once what was told is written, it is sure."""
        self._last, self._when = max(self._last, self.live.seq), int(time.time() * 1000)
        if self.memory is None or self.replays:
            return
        self._write(sure=False)
        if not self._noting:
            self._noting = True
            # Behind the turn's end, at which outboxes are emptied.
            asyncio.get_running_loop().call_soon(self._settle)

    def _all_heard(self) -> bool:
        """Whether everybody has got what was told, or has it in its queue."""
        readers = [each for each in self.hub.clients if each.may_hear(READ) and each.since_ms <= self._when]
        missed = self.characters and any(each not in self.heard for each in readers)
        unthought = self.thought and any(each not in self.thinkers for each in readers if each.speaks(4))
        return not missed and not unthought

    def _settle(self) -> None:
        self._noting = False
        self.leave()

    def leave(self) -> None:
        """What was told is written, or passed on."""
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
