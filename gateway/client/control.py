"""The client of the control socket: HTTP over a Unix socket, with the structs of `report` as JSON.

It uses the standard library and msgspec only, because `openclaw-gateway status` should start fast. During a restart
the socket is absent or refuses for a moment: `reload`, `restart`, `steady_status` and `wait_for_boot` wait that long,
and the other methods raise NotRunning.
"""

import errno
import http.client
import json
import os
import socket
import struct
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from gateway.errors import GatewayError, NotRunning, TimedOut
from gateway.files.ours import folder_refusal
from gateway.files.paths import Paths
from gateway.report import ReloadResult, RestartTicket, StatusReport

if TYPE_CHECKING:
    from gateway.reload.answers import AccessPoint, SeenConfig

T = TypeVar("T")

ANSWER_LIMIT = 8 * 1024 * 1024
"""Bytes of the largest answer that is read. A config with thousands of issues stays far below."""
STATUS_TIMEOUT = 5.0
"""Seconds for an answer that needs no work."""
RELOAD_TIMEOUT = 60.0
"""Seconds for the result of a reload."""
READY_LIMIT = 10.0
"""Seconds for the first answer after systemd has said that the service is started, which is after READY."""
AWAY_LIMIT = 2.0
"""Seconds without a socket after which the gateway counts as not running; a restart takes a fraction of one."""
RETRY_EVERY = 0.02
"""Seconds between two tries while the socket is away."""

_UCRED = struct.Struct("3i")
"""`struct ucred` of unix(7): pid, uid and gid of the process that listens."""
_AWAY = (FileNotFoundError, ConnectionRefusedError)
_BROKEN = (ConnectionResetError, BrokenPipeError, http.client.BadStatusLine, http.client.IncompleteRead)


class _UnixConnection(http.client.HTTPConnection):
    """A connection that is refused unless `owner` listens: another user's process could answer anything."""

    def __init__(self, path: Path, timeout: float, owner: int) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path
        self._owner = owner

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        if (why := folder_refusal(self._path.parent, self._owner)) is not None:
            raise PermissionError(errno.EPERM, f"its folder is not private: {why}")
        self.sock.connect(os.fspath(self._path))
        peer = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        _, uid, _ = _UCRED.unpack(peer)
        if uid != self._owner:
            raise PermissionError(errno.EPERM, f"another user (uid {uid}) answers there")


class Control:
    """One gateway's control socket.

    Every method raises NotRunning if nothing answers there, TimedOut, and GatewayError for an answer that it cannot
    read. Timeouts are in seconds.
    """

    def __init__(
        self,
        path: Path,
        *,
        owner: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`owner`: the user id that the gateway runs as, by default this process's."""
        self.path = path
        self._owner = owner
        self._clock = clock
        self._sleep = sleep

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Control":
        return cls(Paths.from_env(env).control)

    def status(self, timeout: float = STATUS_TIMEOUT) -> StatusReport:
        return self._ask("GET", "/control/status", StatusReport, timeout=timeout)

    def steady_status(self) -> StatusReport:
        """The status. During a hot restart, when the socket exists and refuses, it waits."""
        if not self.path.exists():
            return self.status()  # raises at once: a stopped gateway is not waited for
        return self._retry_while_away(self.status, STATUS_TIMEOUT, what="status")

    def reload(self, timeout: float = RELOAD_TIMEOUT) -> ReloadResult:
        """Reload the config and return the result. It asks again after a restart: a reload is idempotent."""
        return self._retry_while_away(
            lambda left: self._ask("POST", "/control/reload", ReloadResult, timeout=left), timeout, what="reload"
        )

    def restart(self, reason: str) -> RestartTicket:
        """Ask for a restart. If the gateway leaves before it answers, it was restarting already."""
        before = self._retry_while_away(self.status, STATUS_TIMEOUT, what="status")
        try:
            return self._ask("POST", "/control/restart", RestartTicket, body={"reason": reason}, timeout=STATUS_TIMEOUT)
        except _Interrupted:
            return RestartTicket(state="leaving", boot_id=before.boot_id, message="the gateway was leaving already")

    def config(self, path: str, text: str | None, included: dict[str, str]) -> "SeenConfig":
        """Have the gateway check a config file in its own environment, as if it contained `text`.

        `included`: file name -> text, likewise for included files.
        """
        from gateway.reload.answers import SeenConfig  # `status` does not need what that imports

        body = {"path": path, "text": text, "included": included}
        return self._ask("POST", "/control/config", SeenConfig, body=body, timeout=RELOAD_TIMEOUT)

    def access_point(self) -> "AccessPoint":
        """Address and secret of the running gateway."""
        from gateway.reload.answers import AccessPoint

        return self._ask("GET", "/control/door", AccessPoint, timeout=STATUS_TIMEOUT)

    def _retry_while_away(self, ask: Callable[[float], T], timeout: float, *, what: str) -> T:
        """Repeat `ask` during a restart, in which the socket is away for a moment."""
        begun = self._clock()
        while True:
            elapsed = self._clock() - begun
            try:
                return ask(max(timeout - elapsed, RETRY_EVERY))
            except _Away:
                if self._clock() - begun >= min(AWAY_LIMIT, timeout):
                    raise
            except _Interrupted as error:
                if self._clock() - begun >= timeout:
                    raise TimedOut(f"no answer to the {what} within {timeout:g} s: {error}") from error
            self._sleep(RETRY_EVERY)

    def wait_for_boot(self, not_boot_id: str | None, timeout: float, *, asked: bool = False) -> StatusReport:
        """The status of the first ready process whose boot id is not `not_boot_id` (None: any).

        Raises TimedOut with the last problem. `asked`: the process of `not_boot_id` was asked to restart itself, so
        GatewayError is raised as soon as it reports why it did not. A restart by systemd ignores that report.
        """
        deadline = self._clock() + timeout
        while True:
            left = max(deadline - self._clock(), RETRY_EVERY)
            try:
                report = self.status(min(STATUS_TIMEOUT, left))
                if report.ready and report.boot_id != not_boot_id:
                    return report
                if asked and report.boot_id == not_boot_id:
                    _refuse_failed_restart(report)
                last = f"pid {report.pid} is {report.phase}"
            except (NotRunning, TimedOut) as error:
                last = str(error)
            if self._clock() >= deadline:
                raise TimedOut(f"the gateway is not ready again after {timeout:g} s: {last}")
            self._sleep(RETRY_EVERY)

    def _ask(self, method: str, target: str, answer: type[T], *, timeout: float, body: Any = None) -> T:
        connection = _UnixConnection(self.path, timeout, os.getuid() if self._owner is None else self._owner)
        try:
            headers = {} if body is None else {"Content-Type": "application/json"}
            connection.request(method, target, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            data = response.read(ANSWER_LIMIT)
        except _AWAY as error:
            raise _Away(f"no gateway answers at {self.path}: {error.strerror}") from error
        except _BROKEN as error:
            raise _Interrupted(f"the gateway at {self.path} went away before it answered") from error
        except TimeoutError as error:
            raise TimedOut(f"the gateway at {self.path} does not answer within {timeout:g} s; is it frozen?") from error
        except OSError as error:
            raise NotRunning(f"the control socket {self.path} cannot be used: {error.strerror or error}") from error
        finally:
            connection.close()
        return self._decode(response.status, data, answer)

    def _decode(self, status: int, data: bytes, answer: type[T]) -> T:
        # 422 carries a ReloadResult too: a config with errors is an answer.
        if status not in (200, 202, 422):
            raise GatewayError(f"the gateway at {self.path} answered {status}: {data[:200].decode(errors='replace')}")
        try:
            return msgspec.json.decode(data, type=answer)
        except msgspec.DecodeError as error:
            raise GatewayError(
                f"the gateway at {self.path} answers in words that this command does not know ({error}); "
                "is one of them of another version? `openclaw-gateway restart --cold` starts the installed one."
            ) from error


def _refuse_failed_restart(report: StatusReport) -> None:
    # A restart request clears the problem of the one before, and the phase is not `running` until it has failed.
    if report.phase == "running" and report.restart_problem:
        raise GatewayError(
            f"the restart did not happen, pid {report.pid} goes on: {report.restart_problem}. "
            "Mend the installation, then: openclaw-gateway restart"
        )


class _Interrupted(NotRunning):
    """The connection was refused or broke: the gateway is not running, or it restarts."""


class _Away(_Interrupted):
    """Nothing listens on the socket."""
