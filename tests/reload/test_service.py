"""The reloader against a real file and a real reader; the process around it is a host that notes what it is asked."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace

from gateway.config import files
from gateway.config.files import Snapshot
from gateway.config.schema import Config
from gateway.reload import service
from gateway.reload.active import choose
from gateway.reload.service import Reloader
from gateway.report import ReloadResult, RestartTicket
from tests.slack import LIMIT_S


class Host:
    def __init__(self) -> None:
        self.events: list[str] = []
        self.results: list[ReloadResult] = []
        self.restarts: list[str] = []
        self.failures: list[tuple[str, str]] = []

    def reload_begins(self) -> None:
        self.events.append("begin")

    def reload_ended(self, result: ReloadResult) -> None:
        self.events.append("end")
        self.results.append(result)

    def request_restart(self, reason: str) -> RestartTicket:
        self.restarts.append(reason)
        return RestartTicket("scheduled", "boot", "restarting now")

    def apply_failed(self, snapshot: Snapshot, why: str) -> None:
        self.failures.append((snapshot.digest, why))


class Edited:
    def __init__(self, path: Path, text: str | None, held_by_systemd: bool = True, avoid: str = "") -> None:
        self.path = path
        if text is not None:
            path.write_text(text)
        self.host = Host()
        self.kept: list[Snapshot] = []
        self.applied: list[str] = []
        self.fail: set[str] = set()
        self.reads = 0
        snapshot = files.read(path, {})
        self.reloader = Reloader(
            choose(snapshot, None, Config()),
            snapshot,
            host=self.host,
            file=self,  # type: ignore[arg-type]
            appliers={"logging": self.applier("logging"), "auth": self.applier("auth")},
            held_by_systemd=held_by_systemd,
            avoid=avoid,
        )

    def keep(self, snapshot: Snapshot) -> None:
        self.kept.append(snapshot)

    def read(self) -> Snapshot:
        self.reads += 1
        return files.read(self.path, {})

    def applier(self, name: str) -> Callable[[Config, Config], Awaitable[None]]:
        async def apply(old: Config, new: Config) -> None:
            if name in self.fail:
                raise OSError(f"{name} does not work")
            self.applied.append(name)

        return apply

    async def edit(self, text: str, trigger: str = "watch") -> ReloadResult:
        self.path.write_text(text)
        return await self.reloader.reload(trigger)


def play(path: Path, text: str | None, scene: Callable[[Edited], Awaitable[None]], **options: Any) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(LIMIT_S):
            await scene(Edited(path, text, **options))

    asyncio.run(bounded())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "openclaw.json"


@pytest.fixture(autouse=True)
def visible_logs(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(logging.getLogger("gateway"), "propagate", True)
    caplog.set_level(logging.DEBUG, logger="gateway")


def test_the_same_meaning_is_unchanged(path: Path) -> None:
    async def scene(it: Edited) -> None:
        result = await it.edit("{ // a comment\n gateway: {port: 18789,},}")
        assert result.outcome == "unchanged" and it.applied == [] and it.kept == []
        assert it.host.events == ["begin", "end"]

    play(path, '{"gateway": {"port": 18789}}', scene)


def test_a_hot_change_is_swapped_applied_and_kept(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scene(it: Edited) -> None:
        result = await it.edit('{"gateway": {"auth": {"token": "new"}}, "logging": {"level": "debug"}}')
        assert result.outcome == "hot" and result.ok
        assert it.applied == ["logging", "auth"]  # each once, in their order
        assert it.reloader.active.config.gateway.auth.token == "new"
        assert [snapshot.digest for snapshot in it.kept] == [it.reloader.active.digest]
        assert result.at > 0 and it.reloader.last is result

    play(path, '{"gateway": {"auth": {"token": "old"}}}', scene)
    assert "config change detected; evaluating reload (gateway.auth.token, logging.level)" in caplog.text
    assert "new" not in caplog.text.replace("news", "")  # paths, never values


def test_what_is_wrong_with_a_model_is_said_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    named = '{agents: {defaults: {model: "nobody/x"}}}'

    def told() -> list[str]:
        found = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        caplog.clear()
        return [line for line in found if "nobody" in line]

    async def scene(it: Edited) -> None:
        result = await it.edit(named)
        assert (result.outcome, it.reloader.active.tree["agents"]["defaults"]["model"]) == ("hot", "nobody/x")
        (warning,) = told()
        assert warning.startswith("agents.defaults.model: models.providers.nobody") and warning in result.warnings
        await it.edit(named + " // the same")
        assert told() == []
        await it.edit("{}")
        await it.edit(named)
        assert len(told()) == 1

    play(path, "{}", scene)


def test_a_change_that_nobody_uses_does_nothing(path: Path) -> None:
    async def scene(it: Edited) -> None:
        result = await it.edit('{"meta": {"lastTouchedAt": "2"}, "agents": {"x": 1}}')
        assert result.outcome == "nothing" and it.applied == [] and it.host.restarts == []
        assert it.reloader.snapshot.tree["meta"] == {"lastTouchedAt": "2"}

    play(path, '{"meta": {"lastTouchedAt": "1"}}', scene)


def test_a_change_that_needs_it_asks_for_a_restart_after_its_hot_part(path: Path) -> None:
    async def scene(it: Edited) -> None:
        result = await it.edit('{"gateway": {"controlUi": {"basePath": "/ui"}, "auth": {"token": "t"}}}')
        assert result.outcome == "restart"
        assert it.host.restarts == ["config change requires gateway restart (gateway.controlUi.basePath)"]
        assert it.applied == ["auth"]
        assert it.kept == []  # kept once the next process has run on it

    play(path, "{}", scene)


def test_a_port_under_systemd_is_the_socket_units(path: Path) -> None:
    async def scene(it: Edited) -> None:
        result = await it.edit('{"gateway": {"port": 20000}}')
        assert it.host.restarts == [] and "openclaw-gateway install" in result.message

    play(path, "{}", scene)


def test_a_port_of_our_own_is_a_restart(path: Path) -> None:
    async def scene(it: Edited) -> None:
        assert (await it.edit('{"gateway": {"port": 20000}}')).outcome == "restart"

    play(path, "{}", scene, held_by_systemd=False)


@pytest.mark.parametrize("bad", ["{", '{"gateway": {"port": "x"}}', "[]", "", "\x00", '{"gateway": {"prot": 1}}'])
def test_a_bad_config_changes_nothing_and_its_repair_is_taken(path: Path, bad: str) -> None:
    async def scene(it: Edited) -> None:
        before = it.reloader.active
        result = await it.edit(bad)
        assert result.outcome == "invalid" and not result.ok and result.issues
        assert it.reloader.active is before and it.reloader.snapshot.config is None
        assert (await it.edit('{"gateway": {"auth": {"token": "fine"}}}')).outcome == "hot"

    play(path, '{"gateway": {"auth": {"token": "old"}}}', scene)


def test_a_file_that_vanishes_keeps_what_runs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MISSING_RETRY_S", 0)

    async def scene(it: Edited) -> None:
        it.path.unlink()
        result = await it.reloader.reload("watch")
        assert result.outcome == "invalid" and "not found" in result.message
        assert it.reads == 1 + service.MISSING_RETRIES
        assert it.reloader.active.config.gateway.auth.token == "old"
        assert (await it.edit('{"gateway": {"auth": {"token": "old"}}}')).outcome == "unchanged"

    play(path, '{"gateway": {"auth": {"token": "old"}}}', scene)


def test_a_file_that_appears_is_taken(path: Path) -> None:
    async def scene(it: Edited) -> None:
        assert (await it.reloader.reload("watch")).outcome == "unchanged"
        assert (await it.edit('{"gateway": {"auth": {"token": "t"}}}')).outcome == "hot"
        assert it.reloader.active.source == "file"

    play(path, None, scene)


def test_a_failing_action_goes_back_and_asks_for_a_start_on_the_same_config(path: Path) -> None:
    async def scene(it: Edited) -> None:
        it.fail = {"auth"}
        before = it.reloader.active
        result = await it.edit('{"gateway": {"auth": {"token": "new"}}}')
        assert result.outcome == "failed" and not result.ok and "auth does not work" in result.message
        assert it.reloader.active is before and it.kept == []
        assert it.host.restarts == ["hot reload failed (auth)"]
        assert it.host.failures == [(it.reloader.snapshot.digest, "applying auth failed: auth does not work")]
        # the same file again is not tried again by itself, but it is when somebody asks
        it.fail = set()
        assert (await it.reloader.reload("watch")).outcome == "unchanged"
        assert (await it.reloader.reload("command")).outcome == "hot"

    play(path, '{"gateway": {"auth": {"token": "old"}}}', scene)


def test_what_fails_while_the_process_leaves_is_not_the_configs_fault(path: Path) -> None:
    async def scene(it: Edited) -> None:
        def fail_late(name: str) -> None:
            it.reloader.begin_no_more()
            raise OSError("the loop is gone")

        it.applied = cast("Any", SimpleNamespace(append=fail_late))
        assert (await it.edit('{"gateway": {"auth": {"token": "new"}}}')).outcome == "failed"
        assert not it.host.failures and not it.host.restarts

    play(path, '{"gateway": {"auth": {"token": "old"}}}', scene)


def test_a_config_that_was_avoided_is_taken_when_it_is_reconsidered(path: Path) -> None:
    async def scene(it: Edited) -> None:
        digest = files.read(path, {}).digest
        it.reloader._avoid, it.reloader.active = digest, replace(it.reloader.active, source="last-good")
        assert (await it.reloader.reload("watch")).outcome == "unchanged"
        it.reloader.retry_avoided()
        assert it.reloader._queued is not None and (await it.reloader._queued).ok
        assert it.reloader.active.source == "file"

    play(path, '{"gateway": {"auth": {"token": "old"}}}', scene)


def test_mode_off_ignores_edits_and_obeys_commands(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scene(it: Edited) -> None:
        text = '{"gateway": {"reload": {"mode": "off"}, "auth": {"token": "new"}}}'
        assert (await it.edit(text)).outcome == "off"
        assert it.reloader.active.config.gateway.auth.token is None
        assert (await it.reloader.reload("command")).outcome == "hot"
        assert it.reloader.active.config.gateway.auth.token == "new"

    play(path, "{}", scene)
    assert "config reload disabled (gateway.reload.mode=off)" in caplog.text


def test_mode_hot_never_restarts(path: Path) -> None:
    async def scene(it: Edited) -> None:
        result = await it.edit('{"gateway": {"reload": {"mode": "hot"}, "controlUi": {"basePath": "/ui"}}}')
        assert result.outcome == "ignored" and it.host.restarts == []
        both = await it.edit('{"gateway": {"reload": {"mode": "hot"}, "auth": {"token": "t"}, "controlUi": {}}}')
        assert both.outcome == "hot" and "gateway.controlUi.basePath" in both.message

    play(path, '{"gateway": {"reload": {"mode": "hot"}}}', scene)


def test_mode_restart_always_restarts(path: Path) -> None:
    async def scene(it: Edited) -> None:
        result = await it.edit('{"gateway": {"reload": {"mode": "restart"}, "auth": {"token": "new"}}}')
        assert result.outcome == "restart" and len(it.host.restarts) == 1

    play(path, "{}", scene)


def test_a_burst_of_edits_is_read_once(path: Path) -> None:
    async def scene(it: Edited) -> None:
        for n in range(10):
            it.path.write_text(f'{{"gateway": {{"reload": {{"debounceMs": 20}}, "auth": {{"token": "t{n}"}}}}}}')
            it.reloader.file_changed()
        while not it.host.results:
            await asyncio.sleep(0.005)
        assert it.reads == 1 and it.reloader.active.config.gateway.auth.token == "t9"

    play(path, '{"gateway": {"reload": {"debounceMs": 20}}}', scene)


def test_an_edit_that_never_rests_is_read_all_the_same(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "LONGEST_BURST_S", 0.05)

    async def scene(it: Edited) -> None:
        while not it.host.results:
            it.reloader.file_changed()
            await asyncio.sleep(0.005)
        # How often it is read depends on how long a read takes: the edits go on meanwhile.
        assert it.host.results[0].outcome == "unchanged" and it.reads >= 1

    play(path, '{"gateway": {"reload": {"debounceMs": 60000}}}', scene)


def test_those_who_ask_while_one_waits_share_its_answer(path: Path) -> None:
    async def scene(it: Edited) -> None:
        results = await asyncio.gather(*(it.reloader.reload("command") for _ in range(20)))
        assert it.reads == 1
        assert all(result is results[0] for result in results)

    play(path, "{}", scene)


def test_a_caller_that_gives_up_does_not_stop_the_reload(path: Path) -> None:
    async def scene(it: Edited) -> None:
        it.path.write_text('{"gateway": {"auth": {"token": "new"}}}')
        asking = asyncio.ensure_future(it.reloader.reload("command"))
        await asyncio.sleep(0)
        asking.cancel()
        while not it.host.results:
            await asyncio.sleep(0.005)
        assert it.host.results[0].outcome == "hot"

    play(path, "{}", scene)


def test_a_bug_in_reading_is_a_failed_reload_and_readiness_is_told_again(path: Path) -> None:
    async def scene(it: Edited) -> None:
        def broken() -> Snapshot:
            raise RuntimeError("bug")

        it.reloader._file = SimpleNamespace(read=broken)
        result = await it.reloader.reload("command")
        assert result.outcome == "failed" and "bug" in result.message
        assert it.host.events == ["begin", "end"]

    play(path, "{}", scene)


def test_a_restart_that_did_not_happen_is_asked_for_again(path: Path) -> None:
    """The hot part is in force, so the file means what runs; but not all of it runs."""

    async def scene(it: Edited) -> None:
        text = '{"gateway": {"controlUi": {"basePath": "/ui"}}}'
        await it.edit(text)
        again = await it.edit(text)
        assert again.outcome == "restart" and len(it.host.restarts) == 2
        assert it.host.restarts[0] == it.host.restarts[1]

    play(path, "{}", scene)


def test_after_a_stop_no_reload_begins_and_the_running_one_has_ended(path: Path) -> None:
    async def scene(it: Edited) -> None:
        it.path.write_text('{"gateway": {"auth": {"token": "t"}}}')
        running = asyncio.ensure_future(it.reloader.reload("command"))
        await asyncio.sleep(0.001)
        await it.reloader.stop()
        assert it.host.events == ["begin", "end"]
        assert (await running).outcome == "hot"
        it.reloader.file_changed()
        late = await it.reloader.reload("command")
        assert late.outcome == "restart" and "leaving" in late.message
        assert it.host.events == ["begin", "end"] and it.reads == 1

    play(path, "{}", scene)
