"""Conversations as methods and faces use them: opened, closed, and done once however often a client asks."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.aio import opening
from gateway.conversations.service import Conversations
from gateway.conversations.slash import Slash
from gateway.files.paths import Paths
from gateway.hub.hub import Hub
from gateway.link.messages import Text
from gateway.link.spec import COMMAND
from gateway.sessions.database import StorageFailed
from gateway.sessions.records import RunRequest
from tests.agent.scripted import Scripted
from tests.conversing import agents
from tests.fakes.core import nobody
from tests.rpc.methods.talking import NEW, run, talking
from tests.runs.world import assistant, name_of, until
from tests.sessions.talk import MAIN, user
from tests.slack import LIMIT_S


def made(folder: Path, dial: Any = nobody) -> Conversations:
    paths = Paths(config=folder / "openclaw.json", state=folder, runtime=folder)
    return Conversations(paths, Hub(), dict, lambda name: None, dial)


# -- opening and closing -----------------------------------------------------------------------------------------------


def test_it_is_opened_once_for_all_who_ask(tmp_path: Path) -> None:
    async def scenario() -> None:
        found = made(tmp_path)
        assert not found.open and found.degraded is None
        await asyncio.gather(found.ready(), found.ready(), found.ready())
        assert found.open
        await found.close()
        assert not (tmp_path / "gateway" / "conversations.sqlite-wal").exists()

    run(scenario())


def test_runs_go_on_when_all_who_may_hear_of_them_are_here(tmp_path: Path) -> None:
    async def scenario() -> None:
        found = made(tmp_path)
        found._hub.begin_adoption()
        ready = asyncio.create_task(found.ready())
        await asyncio.sleep(0.05)
        assert not ready.done()
        found._hub.end_adoption()
        await ready
        await found.close()

    run(scenario())


def test_who_leaves_for_another_leaves_the_files_as_they_are(tmp_path: Path) -> None:
    async def scenario() -> None:
        found = made(tmp_path)
        await found.ready()
        await found.store.patch(MAIN, "main", lambda _: {}, 1)
        await found.close(for_good=False)
        after = made(tmp_path)
        await after.ready()
        assert await after.store.session(MAIN) is not None
        await after.close()
        await found.store.close()

    run(scenario())


def test_what_was_never_opened_is_closed_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        await made(tmp_path).close()

    run(scenario())
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_cannot_be_opened_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(opening, "RETRY_S", 0.02)

    async def scenario() -> None:
        (tmp_path / "gateway").write_text("in the way")
        found = made(tmp_path)
        await found.begin()
        with pytest.raises(StorageFailed):
            await found.ready()
        assert not found.open and found.degraded is not None and "cannot open" in found.degraded
        assert found.counts().agents == ()
        with pytest.raises(StorageFailed):
            await found.submit("r1", MAIN, RunRequest(user("?")))
        (tmp_path / "gateway").unlink()
        await until(lambda: found.open)
        assert found.degraded is None
        await found.close()

    run(scenario())
    assert "it is tried again every 0.02 s" in caplog.text


def test_closing_is_not_held_up_by_a_disk_that_hangs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        found = made(tmp_path)
        await found.ready()
        release = asyncio.Event()

        async def hang(*args: Any) -> None:
            await release.wait()

        found.runs.close = hang  # type: ignore[method-assign]
        async with asyncio.timeout(LIMIT_S):
            await found.close(0.05)
        await found.store.close()

    run(scenario())
    assert "is not stored after 0.05 s; the agent keeps the rest" in caplog.text


@pytest.mark.usefixtures("scripted")
def test_what_waits_for_its_time_is_told_before_it_leaves_also_on_a_full_disk(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with agents() as there, talking(tmp_path, dial=there.dial) as talk:
            conversations = talk.core.conversations
            ear = talk.listen(NEW)
            await conversations.submit("r1", MAIN, RunRequest(user("?")))
            await until(lambda: Scripted.by_session)
            (script,) = Scripted.by_session.values()
            script.happen(Text("Once "))
            await until(lambda: (live := conversations.runs.active("r1")) and live.seq == 1)
            script.happen(Text("upon"))
            await until(lambda: (live := conversations.runs.active("r1")) and live.seq == 2)

            async def full(*args: Any) -> None:
                raise StorageFailed("the disk is full")

            conversations.store.progress = full  # type: ignore[method-assign]
            await conversations.close(1.0)
            deltas = [each["payload"] for each in await talk.told(ear) if each["event"] == "chat"]
            assert deltas[-1]["message"]["content"][0]["text"] == "Once upon"
            with pytest.raises(StorageFailed, match="is closed"):
                await talk.store.session(MAIN)

    run(scenario())


@pytest.mark.usefixtures("scripted")
def test_what_must_not_be_lost_is_owed_before_it_is_stored(tmp_path: Path) -> None:
    """A process that dies in between leaves the client to be closed, and so to ask."""

    async def scenario() -> None:
        async with agents() as there, talking(tmp_path, dial=there.dial) as talk:
            conversations, ear, owed = talk.core.conversations, talk.listen(NEW), dict[str, list[int]]()
            write = talk.store.database.write

            async def watched(work: Any) -> Any:
                owed.setdefault(name_of(work), []).append(ear.announced)
                return await write(work)

            talk.store.database.write = watched  # type: ignore[method-assign]
            for id in ("r1", "r2"):
                await conversations.submit(id, MAIN, RunRequest(user(id)))
            await until(lambda: Scripted.by_session)
            await conversations.abort(MAIN, "r2")
            (script,) = Scripted.by_session.values()
            script.end()
            await until(lambda: conversations.sessions.active_runs(MAIN) == [])
            await conversations.commands.do("c1", MAIN, RunRequest(user("/help")), Slash("help"))
            assert await conversations.inject(MAIN, assistant("By the way")) is not None
            assert (owed["end"], owed["answer"], owed["append"]) == ([1, 1], [1], [1])
            assert (owed["accept_and_begin"], owed["accept"], ear.announced) == ([0], [0], 0)

    run(scenario())


# -- once --------------------------------------------------------------------------------------------------------------


def test_no_model_hears_of_commands(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            conversations = talk.core.conversations
            await conversations.commands.do("c1", MAIN, RunRequest(user("/help")), Slash("help"))
            rows = await talk.store.rows(MAIN, 10)
            assert all(row.message.items() >= COMMAND.items() for row in rows) and len(rows) == 2
            found, _ = await talk.store.accept("r1", MAIN, "main", RunRequest(user("?")), 1)
            spec = await conversations.runs._owner._specify(found)
            assert spec.history == []

    run(scenario())


@pytest.mark.parametrize(
    ("entry", "default", "verbose"),
    [({}, None, False), ({"verboseLevel": "on"}, None, True), ({}, "on", True), ({"verboseLevel": "off"}, "on", False)],
)
def test_whether_a_session_shows_its_tools(
    tmp_path: Path, entry: dict[str, str], default: str | None, verbose: bool
) -> None:
    async def scenario() -> None:
        tree = {"agents": {"defaults": {"verboseDefault": default}}} if default else {}
        async with talking(tmp_path, tree) as talk:
            await talk.store.patch(MAIN, "main", lambda _: entry, 1)
            assert await talk.core.conversations._is_verbose(MAIN) is verbose

    run(scenario())
