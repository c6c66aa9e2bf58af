"""The gateway's sandbox as the kernel has it, and what happens where it cannot be made."""

import pytest

from gateway.exits import ExitCode
from gateway.units import SANDBOX_DROP_IN
from gateway.units.sandbox import FAILED
from tests.e2e.gateway import SERVICE, UNIT_FOLDER, Gateway
from tests.e2e.manager import UserManager, until

ROOTS = ("/run/systemd/unit-root", "/run/systemd/mount-rootfs")
"""Without these no mount namespace is made, as without user namespaces (which would be switched off for all)."""


def test_the_gateway_is_in_it(gateway: Gateway) -> None:
    manager = gateway.manager
    manager.write(".ssh/id", "key")
    gateway.command("restart", "--cold")
    pid = gateway.until_ready()
    status = dict(line.split(":", 1) for line in manager.path(f"/proc/{pid}/status").read_text().splitlines())
    assert int(status["CapBnd"], 16) == 0
    assert (status["NoNewPrivs"].strip(), status["Seccomp"].strip()) == ("1", "2")
    lines = map(str.split, manager.path(f"/proc/{pid}/mounts").read_text().splitlines())
    mounts = {fields[1]: fields[3].split(",")[0] for fields in lines}
    assert (mounts["/usr"], mounts["/etc"]) == ("ro", "ro")
    seen = manager.root_run("nsenter", "-t", str(pid), "-m", "ls", "-ld", f"{manager.inner_home}/.ssh").stdout
    assert seen.startswith("d---------")
    assert gateway.command("doctor", check=False).stdout.count("sandbox") == 0
    score = manager.run("systemd-analyze", "--user", "security", "--no-pager", SERVICE, check=False).stdout
    assert float(score.splitlines()[-1].split(": ")[1].split()[0]) <= 3.0


@pytest.fixture
def plain(manager: UserManager) -> Gateway:
    """A machine that makes no mount namespaces."""
    for place in ROOTS:
        manager.root_run("rmdir", place)
    gateway = Gateway(manager)
    gateway.configure()
    return gateway


def test_where_it_cannot_be_made_the_gateway_serves_without_and_says_so(plain: Gateway) -> None:
    said = plain.command("install", "--now").stdout
    assert f"note: the sandbox is without namespaces: {FAILED}" in said
    assert plain.get().status == 200
    assert FAILED in plain.command("doctor", check=False).stdout
    for place in ROOTS:
        plain.manager.root_run("mkdir", place)
    plain.command("install", "--now")
    assert "PrivateUsers=yes" in (plain.manager.home / UNIT_FOLDER / SANDBOX_DROP_IN).read_text()
    assert plain.get().status == 200
    assert FAILED not in plain.command("doctor", check=False).stdout


def test_where_it_cannot_be_made_any_more_doctor_names_the_way_out(gateway: Gateway) -> None:
    """As after a move into a container, or with another kernel."""
    for place in ROOTS:
        gateway.manager.root_run("rmdir", place, check=False)
    gateway.kill()
    until(lambda: gateway.manager.show(SERVICE, "ExecMainStatus") == {"ExecMainStatus": "226"}, "a start that fails")
    found = gateway.command("doctor", check=False)
    assert found.returncode == ExitCode.UNHEALTHY
    assert "226/NAMESPACE" in found.stdout
    assert "→ openclaw-gateway install --now" in found.stdout
    gateway.command("install", "--now")
    assert gateway.get().status == 200
