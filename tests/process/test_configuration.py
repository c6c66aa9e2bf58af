"""The config tied to a process: what a start takes, what a changed secret does, what is reported."""

import asyncio
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from gateway.config import lastgood
from gateway.config.fingerprint import fingerprint
from gateway.config.secretproviders import SecretRefused
from gateway.config.secretsources import Sources
from gateway.files.paths import Paths
from gateway.lifecycle.record import Record
from gateway.lifecycle.suspicion import DEATHS, HANG_S, LONGEST_PAUSE_S, Suspicion
from gateway.process.configuration import Configuration
from gateway.protocol.scopes import READ
from gateway.reload.retry import SecretRetry
from gateway.report import ReloadResult, RestartTicket
from tests.effort import examples
from tests.fakes.service_manager import FakeNotifier
from tests.slack import LIMIT_S


class Logs:
    def __init__(self) -> None:
        self.applied: list[tuple[str, str, str | None]] = []
        self.broken = False

    def apply(self, level: str, console_level: str, file: str | None, max_bytes: int) -> None:
        if self.broken:
            raise PermissionError(13, "Permission denied")
        self.applied.append((level, console_level, file))


class Hub:
    def __init__(self) -> None:
        self.closed: list[int] = []
        self.broken = False
        self.told: list[tuple[str, Any, dict[str, Any]]] = []

    def broadcast(self, event: str, payload: Any, **how: Any) -> None:
        self.told.append((event, payload, how))

    def close_generation(self, generation: int) -> int:
        if self.broken:
            raise RuntimeError("no clients")
        self.closed.append(generation)
        return 1


class Starts:
    def __init__(self, folder: Path) -> None:
        self.paths = Paths(config=folder / "openclaw.json", state=folder / "state", runtime=folder / "run")
        self.record = Record()
        self.manager, self.logs, self.hub = FakeNotifier(), Logs(), Hub()
        self.restarts: list[str] = []
        self.reachable: tuple[str, ...] = ()
        self.now = 1000.0

    def write(self, config: Any) -> None:
        self.paths.config.write_text(config if isinstance(config, str) else json.dumps(config))

    def start(self) -> Configuration:
        return Configuration(
            self.paths,
            self.record,
            self.logs,  # type: ignore[arg-type]
            self.manager,
            self.hub,  # type: ignore[arg-type]
            held_by_systemd=True,
            reachable=self.reachable,
            status=lambda: "fine",
            request_restart=self.request_restart,
            clock=lambda: self.now,
        )

    def request_restart(self, reason: str) -> RestartTicket:
        self.restarts.append(reason)
        return RestartTicket("scheduled", "boot")

    def next_start(self, ended: str) -> Configuration:
        """As the next process finds it: the record as this one left it."""
        self.record.update(ended=ended)
        self.record = Record(os.dup(self.record.fd))
        return self.start()


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Starts]:
    for name in list(os.environ):
        if name.startswith("OPENCLAW_"):
            monkeypatch.delenv(name)
    yield Starts(tmp_path)


def reload(configuration: Configuration) -> ReloadResult:
    async def bounded() -> ReloadResult:
        async with asyncio.timeout(LIMIT_S):
            return await configuration.reload("command")

    return asyncio.run(bounded())


def run_for_a_while(configuration: Configuration) -> None:
    """What a process does after READY, until it has kept its config and watches the file."""

    async def bounded() -> None:
        async with asyncio.timeout(LIMIT_S):
            await configuration.begin_watching()
            await configuration.stop()

    asyncio.run(bounded())


def test_a_good_file_runs(scene: Starts) -> None:
    scene.write({"gateway": {"auth": {"token": "t"}}, "logging": {"level": "debug"}})
    it = scene.start()
    assert (it.auth.mode, it.auth.token, it.auth.generation) == ("token", "t", 1)
    assert scene.logs.applied == [("debug", "info", None)]
    report = it.report()
    assert (report.state, report.source) == ("good", "file") and not it.degraded


def test_no_file_is_no_fault(scene: Starts) -> None:
    it = scene.start()
    assert (it.report().state, it.report().source) == ("missing", "defaults") and not it.degraded
    assert it.auth.token == (scene.paths.state / "gateway" / "token").read_text().strip()


def test_a_bad_file_at_the_first_start_runs_on_defaults_that_let_nobody_in(scene: Starts) -> None:
    scene.write('{"gateway": {"auth": {"mode": "none", "tokn": 1}}}')
    it = scene.start()
    assert it.degraded and it.report().source == "defaults" and it.report().issues
    assert it.auth.mode == "token" and it.auth.token


def test_a_bad_file_later_runs_on_the_last_good_one(scene: Starts) -> None:
    scene.write({"gateway": {"auth": {"token": "good"}}})
    run_for_a_while(scene.start())
    scene.write("{")
    it = scene.next_start("stop")
    assert it.degraded and it.report().source == "last-good" and it.auth.token == "good"
    scene.write({"gateway": {"auth": {"token": "good"}}})
    assert reload(it).ok and not it.degraded and it.report().source == "file"


def test_a_death_in_a_start_is_not_held_against_the_config(scene: Starts) -> None:
    scene.write({"gateway": {"auth": {"token": "good"}}})
    run_for_a_while(scene.start())
    scene.write({"gateway": {"auth": {"token": "new"}}})
    assert scene.next_start("stop").auth.token == "new"
    it = scene.next_start("starting")
    assert it.auth.token == "new" and not it.degraded
    it.ready()
    assert scene.record.memory.suspicion == Suspicion()


def deadly(scene: Starts) -> Configuration:
    """The first start that leaves the config alone, because so many have died on it."""
    scene.write({"gateway": {"auth": {"token": "good"}}})
    run_for_a_while(scene.start())
    scene.write({"gateway": {"auth": {"token": "deadly"}}})
    scene.next_start("stop")
    for _ in range(DEATHS - 1):
        assert scene.next_start("starting").auth.token == "deadly"
    return scene.next_start("starting")


def test_a_config_on_which_every_start_dies_is_left_alone_and_named(scene: Starts) -> None:
    it = deadly(scene)
    it.ready()
    report = it.report()
    assert (it.auth.token, report.state, report.source) == ("good", "degraded", "last-good")
    assert "5 starts on it ended before they were ready; it is tried again in 2 s" in report.suspect
    assert scene.next_start("running").auth.token == "good"


def test_it_is_tried_again_after_a_while_by_the_process_that_avoids_it(scene: Starts) -> None:
    it = deadly(scene)
    it.ready()
    scene.now = scene.record.memory.suspicion.until() + 1

    async def scenario() -> None:
        async with asyncio.timeout(LIMIT_S):
            await it.begin_watching()
            while it.degraded:
                await asyncio.sleep(0.001)
            await it.stop()

    asyncio.run(scenario())
    assert it.auth.token == "deadly" and scene.record.memory.suspicion == Suspicion() and not it.report().suspect


@pytest.mark.parametrize("ended", ["stop", "restart"])
def test_a_start_that_somebody_wants_tries_it_at_once(scene: Starts, ended: str) -> None:
    deadly(scene).ready()
    assert scene.next_start(ended).auth.token == "deadly"


def test_a_broken_file_leaves_what_the_environment_says(scene: Starts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCLAW_GATEWAY_PORT", "28841")
    monkeypatch.setenv("OPENCLAW_GATEWAY_TOKEN", "of-the-environment")
    scene.write("{broken")
    it = scene.start()
    assert it.report().source == "defaults" and it.config.gateway.port == 28841
    assert it.auth.token == "of-the-environment"
    monkeypatch.setenv("OPENCLAW_GATEWAY_PORT", "no port")
    assert (scene.start().config.gateway.port, scene.start().auth.token) == (18789, "of-the-environment")


def test_a_death_at_any_other_time_is_not_the_configs_fault(scene: Starts) -> None:
    scene.write({"gateway": {"auth": {"token": "good"}}})
    run_for_a_while(scene.start())
    scene.write({"gateway": {"auth": {"token": "new"}}})
    scene.next_start("stop")
    assert scene.next_start("running").auth.token == "new"


def test_a_config_whose_action_failed_is_tried_by_a_start_and_left_alone_if_that_dies(scene: Starts) -> None:
    scene.write({"gateway": {"auth": {"token": "good"}}})
    run_for_a_while(scene.start())
    it = scene.next_start("stop")
    scene.write({"gateway": {"auth": {"token": "new"}}})
    scene.hub.broken = True
    result = reload(it)
    assert result.outcome == "failed" and scene.restarts == ["hot reload failed (auth)"]
    assert scene.next_start("restart").auth.token == "new"
    it = scene.next_start("starting")
    assert it.report().source == "last-good" and "applying auth failed: no clients; 5 starts" in it.report().suspect
    scene.hub.broken = False
    scene.write({"gateway": {"auth": {"token": "newer"}}})
    assert reload(it).outcome == "hot" and not it.degraded


MEMORY = Path("/dev/shm")
"""Where a file is on disk at once."""


class Fates(RuleBasedStateMachine):
    """Edits, broken files, repairs, restarts, stops, and kills at any moment of all that."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
        self.scene = Starts(Path(self.folder.name))
        self.number, self.valid = 0, True
        self.deaths: Counter[int] = Counter()
        """Starts in a row that have died, by the number of the config."""
        self.edit()
        self.it: Configuration | None = None
        self.scene.record.update(ended="stop")
        self.start()
        self.become_ready(settled=True)

    def teardown(self) -> None:
        try:
            self.a_start_that_somebody_wants_runs_on_the_file()
        finally:
            self.folder.cleanup()

    @rule()
    def edit(self) -> None:
        self.number, self.valid = self.number + 1, True
        self.scene.write({"gateway": {"auth": {"token": f"token-{self.number}"}}})

    @rule()
    def break_it(self) -> None:
        self.valid = False
        self.scene.write("{")

    @rule(seconds=st.sampled_from([0.1, 1.0, 60.0]))
    def wait(self, seconds: float) -> None:
        self.scene.now += seconds

    @precondition(lambda self: self.it is None)
    @rule()
    def start(self) -> None:
        self.scene.record = Record(os.dup(self.scene.record.fd))
        self.it, self.ready, self.began = self.scene.start(), False, self.scene.now
        self.seen = self.number if self.valid else 0

    @precondition(lambda self: self.it is not None)
    @rule()
    def kill(self) -> None:
        assert self.it is not None
        if not self.ready and self.it.report().source == "file":
            self.deaths[self.seen] += 1 if self.scene.now - self.began < HANG_S else DEATHS
        self.it = None

    @rule(times=st.integers(1, DEATHS + 1))
    def be_killed_in_starts(self, times: int) -> None:
        for _ in range(times):
            if self.it is not None:
                self.kill()
            self.start()
            self.a_good_config_is_not_blamed_for_a_kill()

    @precondition(lambda self: self.it is not None and not self.ready)
    @rule(settled=st.booleans())
    def become_ready(self, settled: bool) -> None:
        assert self.it is not None
        self.it.ready()
        self.ready = True
        if self.it.report().source == "file":
            del self.deaths[self.seen]
        if settled and self.it._started_on is not None:
            self.it._file.keep(self.it._started_on)

    @precondition(lambda self: self.it is not None and self.ready)
    @rule()
    def reload(self) -> None:
        assert self.it is not None
        assert reload(self.it).ok is self.valid
        self.seen = self.number if self.valid else 0
        assert not self.valid or self.it.auth.token == f"token-{self.number}"

    @precondition(lambda self: self.it is not None and self.ready)
    @rule(how=st.sampled_from(["stop", "restart"]))
    def leave(self, how: str) -> None:
        self.scene.record.update(ended=how)
        self.it = None

    @invariant()
    def a_good_config_is_not_blamed_for_a_kill(self) -> None:
        if self.it is None or self.it.snapshot.config is None or self.it.report().source != "last-good":
            return
        report, suspicion = self.it.report(), self.scene.record.memory.suspicion
        assert self.deaths[self.seen] >= DEATHS and "is tried again in" in report.suspect
        assert suspicion.until() - suspicion.at <= LONGEST_PAUSE_S

    def a_start_that_somebody_wants_runs_on_the_file(self) -> None:
        if self.valid:
            after = Starts(Path(self.folder.name))
            after.now, after.record = self.scene.now, _stopped(self.scene.record)
            it = after.start()
            it.ready()
            assert it.report().state == "good" and it.auth.token == f"token-{self.number}"
            assert after.record.memory.suspicion == Suspicion()


def _stopped(record: Record) -> Record:
    """What the next process finds if this one had left in order."""
    fd = os.memfd_create("record")
    os.pwrite(fd, msgspec.json.encode(replace(record.memory, ended="stop")), 0)
    return Record(fd)


TestFates = Fates.TestCase
TestFates.settings = settings(max_examples=examples(100), stateful_step_count=25)


def test_a_secret_in_a_file_is_read_anew_and_its_loss_locks_nobody_out(scene: Starts) -> None:
    secret = scene.paths.config.with_name("secret")
    secret.write_text("one\n")
    secret.chmod(0o600)
    provider = {"source": "file", "path": str(secret), "mode": "singleValue"}
    token = {"source": "file", "provider": "f", "id": "value"}
    scene.write({"secrets": {"providers": {"f": provider}}, "gateway": {"auth": {"token": token}}})
    it = scene.start()
    run_for_a_while(it)
    assert it.auth.token == "one" and "one" not in lastgood.location(scene.paths.state).read_text()
    it = scene.next_start("restart")
    secret.write_text("two\n")
    assert reload(it).outcome == "hot" and it.auth.token == "two" and scene.hub.closed == [1]
    secret.unlink()
    assert reload(it).outcome == "invalid" and it.auth.token == "two"
    (issue,) = it.report().issues
    assert issue.path == "gateway.auth.token" and f"{secret} cannot be read" in issue.message
    it = scene.next_start("stop")
    assert it.degraded and it.auth.mode == "token" and it.auth.token not in (None, "", "one", "two")


def test_a_program_that_gave_no_secret_at_the_start_is_asked_again(
    scene: Starts, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Any] = []

    def seen(again: SecretRetry, unanswered: bool) -> None:
        looks.append(again._read_again if unanswered else None)

    answer: Any = SecretRefused("the vault is closed", "open it")
    monkeypatch.setattr(SecretRetry, "schedule", seen)
    monkeypatch.setattr(Sources, "_program", lambda *_: answer)
    token = {"source": "exec", "provider": "v", "id": "a"}
    provider = {"source": "exec", "command": "/bin/vault"}
    scene.write({"secrets": {"providers": {"v": provider}}, "gateway": {"auth": {"token": token}}})
    it = scene.start()

    async def live() -> None:
        nonlocal answer
        async with asyncio.timeout(LIMIT_S):
            await it.begin_watching()
            assert it.degraded and it.auth.token != "t"
            answer = {"a": "t"}
            looks[-1]()
            await it.reload("command")  # or the one that this has begun
            await it.stop()

    asyncio.run(live())
    assert not it.degraded and it.auth.token == "t" and looks[-1] is None


def test_a_changed_secret_closes_those_who_used_the_old_one(scene: Starts) -> None:
    scene.write({"gateway": {"auth": {"token": "old"}}})
    it = scene.start()
    scene.write({"gateway": {"auth": {"token": "new"}}})
    assert reload(it).outcome == "hot"
    assert scene.hub.closed == [1] and (it.auth.token, it.auth.generation) == ("new", 2)


def test_a_change_that_leaves_the_secret_closes_nobody(scene: Starts) -> None:
    scene.write({"gateway": {"auth": {"token": "same"}}})
    it = scene.start()
    scene.write({"gateway": {"auth": {"token": "same", "mode": "token"}}})
    reload(it)
    assert scene.hub.closed == [] and it.auth.generation == 1


def test_operators_who_may_read_hear_of_a_new_file(scene: Starts) -> None:
    scene.write({"gateway": {"auth": {"token": "t"}}})
    it = scene.start()
    reload(it)
    scene.write("{")
    reload(it)
    assert scene.hub.told == []
    text = '{gateway: {auth: {token: "t"}}} // the same, but for its hash'
    scene.write(text)
    reload(it)
    reload(it)
    raw_hash = hashlib.sha256(text.encode()).hexdigest()
    (event, payload, how), chats = scene.hub.told
    assert event == "config.changed" and payload.pop("ts") > 0
    assert payload == {"path": str(scene.paths.config), "hash": fingerprint(scene.paths.state, raw_hash)}
    assert how == {"scope": READ, "drop_if_slow": True}
    assert chats == ("chat.metadata.changed", {}, {"scope": READ, "drop_if_slow": True, "min_protocol": 4})
    scene.paths.config.unlink()
    reload(it)
    assert len(scene.hub.told) == 2


def test_readiness_is_told_after_each_reload(scene: Starts) -> None:
    scene.write({"gateway": {"auth": {"token": "old"}}})
    it = scene.start()
    reload(it)
    scene.write("{")
    reload(it)
    assert scene.manager.said == ["RELOADING", "READY fine"] * 2


def test_a_log_file_that_cannot_be_opened_does_not_keep_it_from_starting(scene: Starts) -> None:
    scene.logs.broken = True
    scene.write({"gateway": {"auth": {"token": "t"}}})
    assert scene.start().auth.token == "t"


def test_an_edit_between_reading_and_watching_is_seen(scene: Starts) -> None:
    scene.write({"gateway": {"auth": {"token": "old"}, "reload": {"debounceMs": 0}}})
    it = scene.start()
    scene.write({"gateway": {"auth": {"token": "new"}, "reload": {"debounceMs": 0}}})

    async def scenario() -> None:
        async with asyncio.timeout(LIMIT_S):
            await it.begin_watching()
            while it.auth.token != "new":
                await asyncio.sleep(0.001)
            await it.stop()

    asyncio.run(scenario())
    assert it.watching == "off"


def test_a_bad_file_right_after_the_start_stops_neither_the_watch_nor_the_keeping(scene: Starts) -> None:
    scene.write({"gateway": {"auth": {"token": "good"}, "reload": {"debounceMs": 0}}})
    it = scene.start()
    scene.write("{bad")

    async def scenario() -> None:
        async with asyncio.timeout(LIMIT_S):
            await it.reload("SIGHUP")
            await it.begin_watching()
            assert it.watching != "off" and it.degraded
            scene.write({"gateway": {"auth": {"token": "better"}, "reload": {"debounceMs": 0}}})
            while it.auth.token != "better":
                await asyncio.sleep(0.001)
            await it.stop()

    asyncio.run(scenario())
    scene.write("{bad")
    assert scene.next_start("stop").auth.token in ("good", "better")


def test_without_a_secret_and_a_place_for_one_nobody_can_connect_and_that_is_told(scene: Starts) -> None:
    scene.paths.state.write_text("a file in the place of the folder")
    assert scene.start().nobody_can_connect


LAN = ("0.0.0.0:18789",)


@pytest.mark.parametrize("config", [None, {"gateway": {"auth": {"mode": "none"}}}, {"gateway": {}}])
def test_where_others_can_connect_a_config_without_a_secret_is_one_with_an_error(scene: Starts, config: Any) -> None:
    """Whatever made it reachable, a drop-in of the socket unit or --bind; the config's own bind is validated."""
    if config is not None:
        scene.write(config)
    assert not scene.start().degraded
    scene.reachable = LAN
    it = scene.start()
    assert it.degraded and it.nobody_can_connect and it.report().source == "defaults"
    [issue] = it.report().issues
    assert str(issue).startswith(f"{scene.paths.config}: gateway.auth.")
    assert "Refusing to bind to 0.0.0.0:18789 without auth (set gateway.auth" in str(issue)
    scene.write({"gateway": {"auth": {"mode": "token", "token": "set"}}})
    assert reload(it).outcome == "hot"
    assert (it.auth.secret, it.nobody_can_connect, it.degraded) == ("set", False, False)


def test_an_edit_that_would_let_others_in_is_not_taken(scene: Starts) -> None:
    scene.write({"gateway": {"auth": {"token": "t"}}})
    it = scene.start()
    it.listens_on(LAN)
    for auth in ({"mode": "none"}, {}):
        scene.write({"gateway": {"auth": auth}})
        assert reload(it).outcome == "invalid"
        assert it.auth.token == "t" and scene.hub.closed == []


def test_a_last_good_config_is_guarded_too(scene: Starts) -> None:
    scene.write({"gateway": {"auth": {"mode": "none"}}})
    run_for_a_while(scene.start())
    scene.write("{")
    scene.reachable = LAN
    it = scene.next_start("stop")
    assert it.report().source == "defaults" and it.nobody_can_connect


def test_the_generated_token_is_for_this_machine(scene: Starts) -> None:
    assert scene.start().auth.secret
    scene.reachable = LAN
    assert scene.start().auth.secret is None


PROXY = {"trustedProxies": ["10.0.0.1"], "auth": {"mode": "trusted-proxy", "trustedProxy": {"userHeader": "x-user"}}}


def test_a_trusted_proxy_is_a_guard(scene: Starts) -> None:
    scene.reachable = LAN
    scene.write({"gateway": PROXY})
    it = scene.start()
    assert not it.degraded and not it.nobody_can_connect
    assert (it.auth.mode, it.auth.secret) == ("trusted-proxy", None)
    assert (it.auth.proxy.user_header, it.auth.proxy.proxies) == ("x-user", ("10.0.0.1",))


@pytest.mark.parametrize(
    ("change", "closes"),
    [
        ({"trustedProxies": ["10.0.0.2"]}, True),
        ({"auth": {"trustedProxy": {"userHeader": "x-other"}}}, True),
        ({"auth": {"trustedProxy": {"allowUsers": ["a"]}}}, True),
        ({"auth": {"trustedProxy": {"requiredHeaders": ["a"]}}}, True),
        ({"auth": {"trustedProxy": {"allowLoopback": True}}}, True),
        ({"auth": {"identityScopes": {"a": ["operator.read"]}}}, True),
        ({"auth": {"trustedProxy": {"deviceAutoApprove": {"enabled": True}}}}, True),
        ({"auth": {"trustedProxy": {"deviceAutoApprove": {"scopes": ["operator.read"]}}}}, False),
        ({"auth": {"password": "p"}}, True),
        ({"auth": {"mode": "none"}}, True),
        ({"auth": {"mode": "token", "token": "t"}}, True),
        ({"auth": {"trustedProxy": {"allowUsers": []}}}, False),
        ({"controlUi": {"allowedOrigins": ["https://a.example"]}}, False),
    ],
)
def test_a_change_of_whom_a_proxy_may_name_closes_those_who_came_in_before(
    scene: Starts, change: dict[str, Any], closes: bool
) -> None:
    scene.write({"gateway": PROXY})
    it = scene.start()
    scene.write({"gateway": merge(PROXY, change)})
    assert reload(it).outcome in ("hot", "nothing")
    assert bool(scene.hub.closed) is closes and not it.degraded


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ({}, None),
        ({"scopes": ["operator.read"]}, None),
        ({"enabled": True}, ("operator.read", "operator.write", "operator.approvals", "operator.questions")),
        ({"enabled": True, "scopes": ["operator.read"]}, ("operator.read",)),
        ({"enabled": True, "scopes": []}, ()),
    ],
)
def test_what_the_devices_of_a_proxys_users_are_given(
    scene: Starts, asked: dict[str, Any], given: tuple[str, ...] | None
) -> None:
    scene.write({"gateway": merge(PROXY, {"auth": {"trustedProxy": {"deviceAutoApprove": asked}}})})
    assert scene.start().auth.proxy.auto_approve == given


def test_proxies_are_no_credential_in_another_mode(scene: Starts) -> None:
    scene.write({"gateway": {"auth": {"token": "t"}, "trustedProxies": ["10.0.0.1"]}})
    it = scene.start()
    scene.write({"gateway": {"auth": {"token": "t"}, "trustedProxies": ["10.0.0.2"]}})
    assert reload(it).outcome == "hot" and scene.hub.closed == []


def merge(under: Any, over: Any) -> Any:
    if not isinstance(under, dict) or not isinstance(over, dict):
        return over
    return under | {key: merge(under.get(key), value) for key, value in over.items()}
