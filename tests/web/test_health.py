"""The probes, in each phase, for each kind of client."""

import json

import pytest

from gateway.lifecycle.phases import Phase
from gateway.web.health import PROBES, is_local
from tests.fakes.core import FakeCore
from tests.web.asgi import REMOTE, ask


@pytest.mark.parametrize("path", ["/health", "/healthz"])
def test_live(path: str) -> None:
    answer = ask(FakeCore(), path)
    assert answer.status == 200 and json.loads(answer.body) == {"ok": True, "status": "live"}


@pytest.mark.parametrize("path", ["/ready", "/readyz"])
@pytest.mark.parametrize(
    ("phase", "status", "failing"),
    [
        (Phase.STARTING, 503, ["starting"]),
        (Phase.RUNNING, 200, []),
        (Phase.DEFERRED, 200, []),
        (Phase.LEAVING, 503, ["leaving"]),
    ],
)
def test_ready_in_each_phase(path: str, phase: Phase, status: int, failing: list[str]) -> None:
    core = FakeCore()
    core.phase = phase
    answer = ask(core, path)
    told = json.loads(answer.body)
    assert (answer.status, told["ready"], told["failing"]) == (status, status == 200, failing)


def test_ready_tells_a_local_client_that_it_runs_degraded() -> None:
    core = FakeCore()
    core.degraded = ("config",)
    answer = ask(core, "/readyz")
    assert answer.status == 200 and json.loads(answer.body)["degraded"] == ["config"]


@pytest.mark.parametrize("path", ["/startup", "/startupz"])
@pytest.mark.parametrize(
    ("phase", "status", "word"),
    [(Phase.STARTING, 503, "starting"), (Phase.RUNNING, 200, "started"), (Phase.LEAVING, 503, "draining")],
)
def test_started_in_each_phase(path: str, phase: Phase, status: int, word: str) -> None:
    core = FakeCore()
    core.phase = phase
    answer = ask(core, path)
    assert answer.status == status and json.loads(answer.body)["status"] == word


def test_a_remote_client_learns_yes_or_no_and_nothing_else() -> None:
    assert json.loads(ask(FakeCore(), "/readyz", client=REMOTE).body) == {"ready": True}
    assert json.loads(ask(FakeCore(), "/startupz", client=REMOTE).body) == {"ok": True, "status": "started"}


FORWARDING = [
    *(
        b"x-forwarded-for",
        b"x-real-ip",
        b"forwarded",
        b"x-forwarded-host",
        b"x-forwarded-user",
        b"tailscale-user-login",
    ),
]


@pytest.mark.parametrize("path", ["/startupz", "/readyz"])
@pytest.mark.parametrize("header", [*FORWARDING, b"host"])
def test_who_comes_through_a_proxy_or_by_another_name_is_told_no_more(path: str, header: bytes) -> None:
    told = json.loads(ask(FakeCore(), path, headers=[(header, b"evil.example")]).body)
    assert "version" not in told and "uptimeMs" not in told
    assert "uptimeMs" in json.loads(ask(FakeCore(), path).body)


@pytest.mark.parametrize(
    ("address", "local"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True), ("::ffff:8.8.8.8", False),
     ("10.0.0.1", False), ("", False), ("localhost", False)],
)  # fmt: skip
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:18789", "[::1]:18789"])
def test_local_is_the_address_of_the_peer(address: str, host: str, local: bool) -> None:
    assert is_local({"client": (address, 1), "headers": [(b"host", host.encode())]}) is local


@pytest.mark.parametrize("hosts", [[], [b"evil.example"], [b"localhost", b"localhost"], [b"localhost.evil.example"]])
def test_local_is_a_host_of_this_machine(hosts: list[bytes]) -> None:
    assert not is_local({"client": ("127.0.0.1", 1), "headers": [(b"host", host) for host in hosts]})
    assert is_local({"client": None, "headers": []})


@pytest.mark.parametrize("path", list(PROBES))
def test_probes_take_head_and_refuse_the_rest(path: str) -> None:
    assert ask(FakeCore(), path, "HEAD").status == 200
    refused = ask(FakeCore(), path, "POST")
    assert refused.status == 405 and refused.headers[b"allow"] == b"GET, HEAD"
