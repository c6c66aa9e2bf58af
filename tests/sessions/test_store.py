import asyncio
import sys
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from gateway.link.messages import Usage
from gateway.sessions.database import StorageFailed
from gateway.sessions.records import UNFINISHED, Progress, RunRequest, text_of
from gateway.sessions.store import HISTORY_BYTES
from gateway.sessions.transactions import KEPT_MS
from gateway.sessions.transcripts import encode
from tests.sessions.disks import PROJECT, fill, make_room, on_a_small_disk
from tests.sessions.talk import MAIN, NOW, assistant, converse, opened, user


def test_a_conversation_is_there_after_a_restart(tmp_path: Path) -> None:
    async def before() -> None:
        async with opened(tmp_path) as store:
            run, fresh = await store.accept("r1", MAIN, "main", RunRequest(user("?")), NOW)
            assert fresh and run.state == "queued"
            await store.accept("r2", MAIN, "main", RunRequest(user("??")), NOW)
            begun = await store.begin("r1", NOW)
            assert begun is not None and begun.state == "running"
            await store.progress([Progress("r1", 1, "on"), Progress("nobody", 1, "")])
            again = await store.again("r1")
            assert again is not None and again.attempts == 2
            await store.progress([Progress("r1", 2, "", {2: assistant("one")}, attempt=2)])
            owed, fresh = await store.accept("r1", MAIN, "main", RunRequest(user("?")), NOW, ("c1", "q1"))
            assert not fresh and owed.waiting == [("c1", "q1")]

    async def after() -> None:
        async with opened(tmp_path) as store:
            assert [run.id for run in await store.unfinished()] == ["r1", "r2"]
            ended = await store.end(
                Progress("r1", 3, "", attempt=2),
                "done",
                NOW,
                rest=assistant("two"),
                stop_reason="stop",
                usage=Usage(input=1),
            )
            assert await store.run("r1") == ended
            assert (ended.waiting, ended.answer, ended.usage) == ([("c1", "q1")], "two", Usage(input=1))
            assert [text_of(row.message) for row in await store.rows(MAIN, 10)] == ["?", "one", "two"]
            assert [text_of(message) for message in (await store.past(MAIN, "r2"))[1].messages] == ["?", "one", "two"]

    asyncio.run(before())
    asyncio.run(after())


def test_sessions_are_changed_and_found(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            patched = await store.patch(MAIN, "main", lambda entry: {**entry, "label": "x"}, NOW)
            assert await store.session(MAIN) == patched
            assert await store.append(MAIN, user("noted"), NOW) is not None
            assert await store.compact(MAIN, 0) == 1
            assert (await store.reset(MAIN, "main", NOW)).id != patched.id
            assert (await store.sessions()).total == 1
            assert await store.delete(MAIN) is not None
            assert await store.session(MAIN) is None

    asyncio.run(scenario())


@pytest.mark.parametrize(("over", "kept"), [(0, 2), (1, 1)])
def test_a_run_gets_history_up_to_a_bound(tmp_path: Path, over: int, kept: int) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            await store.patch(MAIN, "main", lambda entry: entry, NOW)
            frame = len(encode(user("")))
            for size in (HISTORY_BYTES // 2 + over, HISTORY_BYTES // 2):
                await store.append(MAIN, user("x" * (size - frame)), NOW)
            assert len((await store.past(MAIN, "r"))[1].messages) == kept

    asyncio.run(scenario())


def test_what_ended_long_ago_is_gone_at_the_next_start(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            await converse(store, "r1", MAIN, "?")
        async with opened(tmp_path, NOW + KEPT_MS) as store:
            assert await store.run("r1") is not None
        async with opened(tmp_path, NOW + KEPT_MS + 1) as store:
            assert await store.run("r1") is None

    asyncio.run(scenario())


def on_a_full_disk(folder: Path) -> None:
    async def scenario() -> None:
        async with opened(folder) as store:
            await converse(store, "r1", MAIN, "?", assistant("one"))
        fill(folder)
        async with opened(folder, NOW + KEPT_MS + 1) as store:
            assert (await store.sessions()).total == 1
            assert [text_of(message) for message in (await store.past(MAIN, ""))[1].messages] == ["?", "one"]
            try:
                await store.accept("r2", MAIN, "main", RunRequest(user("?")), NOW)
            except StorageFailed as error:
                assert str(error).endswith("make room on the disk")
            else:
                raise AssertionError("it was accepted")
            assert await store.run("r2") is None
            make_room(folder)
            assert (await store.accept("r2", MAIN, "main", RunRequest(user("?")), NOW))[1]

    asyncio.run(scenario())


@pytest.mark.process
def test_a_full_disk_refuses_a_message_and_shows_what_there_is(tmp_path: Path) -> None:
    on_a_small_disk(on_a_full_disk, tmp_path)


TALKS_UNTIL_KILLED = """
import asyncio, itertools, sys
from pathlib import Path
from gateway.sessions.records import Progress, RunRequest
from tests.sessions.talk import NOW, assistant, opened, user

async def talk(store, session):
    for number in itertools.count():
        id = f"{session}/{number}"
        await store.accept(id, f"agent:main:{session}", "main", RunRequest(user(id)), NOW)
        print("accepted", id, flush=True)
        await store.begin(id, NOW)
        print("begun", id, flush=True)
        for seq in (1, 2):
            await store.progress([Progress(id, seq, "", {seq: assistant(f"{id} {seq}")})])
        print("said", id, flush=True)
        await store.end(Progress(id, 3, ""), "done", NOW)
        print("ended", id, flush=True)

async def main():
    async with opened(Path(sys.argv[1])) as store:
        await asyncio.gather(*(talk(store, session) for session in range(5)))

asyncio.run(main())
"""
ACKNOWLEDGED = {
    "accepted": ("queued", "running", "done"),
    "begun": ("running", "done"),
    "said": ("running", "done"),
    "ended": ("done",),
}


@pytest.mark.process
@pytest.mark.parametrize("lines", [3, 50, 200])
def test_after_a_kill_each_run_is_as_it_was_told_or_further(tmp_path: Path, lines: int) -> None:
    with Popen([sys.executable, "-c", TALKS_UNTIL_KILLED, tmp_path], cwd=PROJECT, stdout=PIPE, text=True) as child:
        assert child.stdout is not None
        told = [child.stdout.readline() for _ in range(lines)]
        child.kill()
        told += child.stdout.readlines()
    last = {id: word for word, id in (line.split() for line in told)}

    async def scenario() -> None:
        async with opened(tmp_path) as store:
            for id, word in last.items():
                run = await store.run(id)
                assert run is not None and run.state in ACKNOWLEDGED[word]
                assert word != "said" or run.seq >= 2
            assert all(run.state in UNFINISHED for run in await store.unfinished())
            for session in range(5):
                texts = [text_of(row.message) for row in await store.rows(f"agent:main:{session}", 10_000)]
                runs = (f"{session}/{number}" for number in range(len(texts)))
                all_ = [text for id in runs for text in (id, f"{id} 1", f"{id} 2")]
                assert texts == all_[: len(texts)]

    asyncio.run(scenario())
