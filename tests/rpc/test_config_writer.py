"""Changes of the config file: one at a time, each to its end."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.config import files
from gateway.config.files import Snapshot
from gateway.protocol.frames import RpcError
from gateway.report import Issue, ReloadResult
from gateway.rpc.config_writer import HASH_DIFFERS, FileChange, Texts, meaning, rewritten
from tests.fakes.core import FakeCore

TEXT = "{ui: {}} // mine\n"


@pytest.fixture
def core(tmp_path: Path) -> FakeCore:
    path = tmp_path / "openclaw.json"
    path.write_text(TEXT)
    return FakeCore(snapshot=files.read(path, {}, tmp_path), reloaded=ReloadResult("hot", "applied hot: logging.level"))


def debug(before: Snapshot) -> Texts:
    return rewritten(before, meaning(before) | {"logging": {"level": "debug"}})


def change(core: FakeCore) -> FileChange:
    return asyncio.run(core.config_writer.change(4, debug))


def refused(core: FakeCore) -> tuple[str, str]:
    with pytest.raises(RpcError) as caught:
        change(core)
    return caught.value.wire.code, caught.value.wire.message


def test_a_change_is_written_and_applied(core: FakeCore) -> None:
    done = change(core)
    assert done.result == core.reloaded and core.asked == ["reload rpc"]
    assert done.after.raw == core.snapshot.path.read_text() and done.after.raw.endswith("// mine\n")
    again = change(core)
    assert again.after is again.before and again.result is None and core.asked == ["reload rpc"]


def test_an_edit_between_the_check_and_the_write_is_not_lost(core: FakeCore, monkeypatch: pytest.MonkeyPatch) -> None:
    read = files.read

    def slow(*args: Any, text: str | None = None, **rest: Any) -> files.Snapshot:
        found = read(*args, text=text, **rest)
        if text is not None:
            core.snapshot.path.write_text("{by: 'hand'}")
        return found

    monkeypatch.setattr(files, "read", slow)
    assert refused(core) == ("INVALID_REQUEST", HASH_DIFFERS)
    assert core.snapshot.path.read_text() == "{by: 'hand'}" and core.asked == []


def test_a_disk_that_refuses_is_named(core: FakeCore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "write", full)
    assert refused(core) == ("UNAVAILABLE", f"{core.snapshot.path} cannot be written: No space left on device")
    assert core.snapshot.path.read_text() == TEXT and core.asked == []


def test_a_config_that_could_not_be_applied_is_no_success(core: FakeCore) -> None:
    core.reloaded = ReloadResult("failed", "logging: no such folder", issues=(Issue("x"),))
    why = f"{core.snapshot.path} was written, but not applied: logging: no such folder"
    assert refused(core) == ("UNAVAILABLE", why)


def test_changes_take_turns_and_one_whose_client_leaves_is_made(core: FakeCore) -> None:
    found: list[str | None] = []

    def log_to(name: str) -> Any:
        def make(before: Snapshot) -> Texts:
            found.append(before.raw)
            return Texts(f"{{logging: {{file: '/tmp/{name}'}}}}")

        return make

    async def scenario() -> None:
        leaving, late = (asyncio.create_task(core.config_writer.change(4, log_to(name))) for name in ("A", "B"))
        await asyncio.sleep(0)
        leaving.cancel()
        await late
        assert leaving.cancelled()

    asyncio.run(scenario())
    assert found[0] == TEXT and "/tmp/A" in str(found[1])
    assert "/tmp/B" in core.snapshot.path.read_text() and core.asked == ["reload rpc"] * 2
