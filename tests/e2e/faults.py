"""What happens to the gateway and its agent while somebody is in the middle of something."""

from collections.abc import Callable

from gateway.units import AGENT_SERVICE
from tests.e2e.gateway import SERVICE, Gateway
from tests.e2e.manager import SCRIPTS

UNRATIONED = f"[Service]\nEnvironment=PYTHONPATH={SCRIPTS}/inject UNRATIONED=1\n"
"""A drop-in: hot restarts without a pause; by itself the gateway waits when they follow each other too fast."""
Fault = Callable[[Gateway], None]


HOT_SECONDS = 60.0


def hot(gateway: Gateway) -> None:
    """As `openclaw-gateway restart` does it, without a start of the command."""
    ticket = gateway.control.restart("a test")
    gateway.control.wait_for_boot(ticket.boot_id, HOT_SECONDS, asked=ticket.state != "leaving")


def cold(gateway: Gateway) -> None:
    gateway.manager.systemctl("restart", SERVICE)


def crash(gateway: Gateway) -> None:
    pid = gateway.pid()
    gateway.kill()
    gateway.until_ready(other_than=pid)


def agent_crash(gateway: Gateway) -> None:
    """If it runs. Its tools are left to systemd, as they are when the kernel kills it alone."""
    _signal_agent(gateway, "KILL")


def agent_retirement(gateway: Gateway) -> None:
    """It leaves when none of its runs is on."""
    _signal_agent(gateway, "USR1")


def agent_stop(gateway: Gateway) -> None:
    gateway.manager.systemctl("stop", AGENT_SERVICE)


def both_crash(gateway: Gateway) -> None:
    agent_crash(gateway)
    crash(gateway)


def _signal_agent(gateway: Gateway, name: str) -> None:
    gateway.manager.systemctl("kill", "--kill-whom=main", f"--signal={name}", AGENT_SERVICE, check=False)


RESTARTERS: dict[str, Fault] = {"hot": hot, "cold": cold, "crash": crash}
