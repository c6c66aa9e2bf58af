"""The installed agent as a gateway meets it: its units, and the link over its socket."""

import socket
from contextlib import closing
from types import TracebackType
from typing import Self

from gateway.link.messages import (
    VERSION,
    Ack,
    Ended,
    Event,
    Hello,
    Start,
    ToAgent,
    ToGateway,
    Welcome,
    decode_to_gateway,
    encode,
)
from gateway.link.spec import Model, Spec
from gateway.units import AGENT_SERVICE, AGENT_SOCKET
from tests.e2e.manager import UserManager, until

ANSWER_SECONDS = 20.0
ECHO = Model(provider="builtin", id="echo", api="builtin")


class Link:
    """A connection to the agent, which starts it. It is made from outside, as root."""

    def __init__(self, agent: "Agent") -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(ANSWER_SECONDS)
        self._socket.connect(str(agent.path))
        self._lines = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._lines.close()
        self._socket.close()

    def say(self, message: ToAgent) -> None:
        self._socket.sendall(encode(message))

    def hear(self) -> ToGateway:
        line = self._lines.readline()
        assert line, "the agent has closed the connection"
        return decode_to_gateway(line)

    def hello(self) -> Welcome:
        self.say(Hello(VERSION))
        welcome = self.hear()
        assert isinstance(welcome, Welcome)
        return welcome

    def begin(self, run: str, pace_ms: int = 0) -> None:
        """A run of the built-in echo, of some fifty words; returns when it has begun."""
        model = Model(ECHO.provider, ECHO.id, ECHO.api, pace_ms=pace_ms)
        self.say(Start(run, Spec("agent:main:main", "main", {"role": "user", "content": "hello"}, [model])))
        assert isinstance(self.hear(), Event)

    def finish(self, run: str) -> None:
        """Hears a run to its end, and lets go of it."""
        while True:
            event = self.hear()
            assert isinstance(event, Event)
            if isinstance(event.what, Ended):
                self.say(Ack(run, event.seq))
                return


class Agent:
    def __init__(self, manager: UserManager) -> None:
        self.manager = manager
        self.path = manager.path(f"{manager.runtime}/openclaw-agent/agent.sock")

    def connect(self) -> Link:
        return Link(self)

    def greet(self) -> int:
        """Says hello, which starts it if it does not run, and returns its pid as systemd knows it."""
        with closing(self.connect()) as link:
            link.hello()
            return self.pid()

    def pid(self) -> int:
        return int(*self.manager.ask(AGENT_SERVICE, "MainPID"))

    def state(self, unit: str = AGENT_SERVICE) -> str:
        return str(*self.manager.ask(unit, "ActiveState"))

    def states(self) -> tuple[str, str]:
        return self.state(AGENT_SOCKET), self.state()

    def kill(self, sig: str = "KILL") -> None:
        self.manager.kill(self.pid(), sig)

    def until_gone(self, pid: int) -> None:
        until(lambda: self.pid() != pid, f"the end of the agent {pid}")
