import asyncio
from pathlib import Path

import pytest

from gateway.sessions.records import HEAD, Filter, Used
from gateway.sessions.transcripts import LabelTaken, SessionChanged
from tests.sessions.talk import MAIN, NOW, assistant, converse, opened, tool_result, user

HOUR = 3_600_000
DAY = 24 * HOUR
OTHER = "agent:work:lunch"


def test_sessions_come_newest_first_with_their_number(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            for number in range(5):
                await store.patch(f"agent:main:s{number}", "main", lambda entry: entry, NOW + number)
            page = await store.sessions(limit=2, offset=1)
            assert [each.key for each in page.sessions] == ["agent:main:s3", "agent:main:s2"]
            assert page.total == 5
            assert len((await store.sessions()).sessions) == 5
            assert (await store.sessions(offset=5)).sessions == []

    asyncio.run(scenario())


def test_filters_leave_out_what_they_say(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            await store.patch(MAIN, "main", lambda _: {"label": "Übung", "pinned": True}, NOW)
            await store.patch(OTHER, "work", lambda _: {"displayName": "100% [x]", "pinned": False}, NOW + 1)
            await store.patch("global", "main", lambda _: {"spawnedBy": MAIN}, NOW + 2)

            async def keys(which: Filter) -> list[str]:
                page = await store.sessions(which)
                assert page.total == len(page.sessions)
                return [each.key for each in page.sessions]

            assert await keys(Filter(agent="work")) == [OTHER]
            assert await keys(Filter(since=NOW + 1)) == ["global", OTHER]
            assert await keys(Filter(but=("global", OTHER))) == [MAIN]
            assert await keys(Filter(entry={"label": "Übung"})) == [MAIN]
            assert await keys(Filter(entry={"pinned": True})) == [MAIN]
            assert await keys(Filter(entry={"pinned": False})) == ["global", OTHER]
            assert await keys(Filter(entry={"spawnedBy": MAIN})) == ["global"]
            assert await keys(Filter(entry={"label": "0"})) == []
            assert await keys(Filter(search="ÜBUNG")) == [MAIN]
            assert await keys(Filter(search="0% [X")) == [OTHER]
            assert await keys(Filter(search="_")) == []
            assert await keys(Filter(search="lunch", agent="main")) == []
            there = await store.session(MAIN)
            assert there is not None
            assert await keys(Filter(search=there.id[:13])) == [MAIN]
            assert await store.session_by_id(there.id) == there
            assert await store.session_by_id("nobody") is None

    asyncio.run(scenario())


def test_summaries_show_the_first_question_and_the_last_words(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            result, call = tool_result("clock", "12:00"), assistant("", stopReason="toolUse")
            await converse(store, "r1", MAIN, f"  {'q' * 300}", assistant("one"), call, result)
            await store.append(MAIN, {"role": "system", "content": "unseen", "timestamp": NOW}, NOW)
            await store.append(OTHER, user("/new") | {"command": True}, NOW)
            await converse(store, "r2", OTHER, "lunch?")
            await store.patch("agent:main:empty", "main", lambda entry: entry, NOW)
            found = await store.summaries([MAIN, OTHER, "agent:main:empty", "agent:main:none"])
            assert sorted(found) == ["agent:main:empty", MAIN, OTHER]
            assert (found[MAIN].first, found[MAIN].last) == ("q" * HEAD, "one")
            assert (found[OTHER].first, found[OTHER].last) == ("lunch?", "lunch?")
            assert (found["agent:main:empty"].first, found["agent:main:empty"].last) == ("", "")
            assert await store.summaries([]) == {}

            rows = await store.last_rows([MAIN, "agent:main:none", "agent:main:empty"], 2)
            assert sorted(rows) == ["agent:main:empty", MAIN]
            assert [row.message["role"] for row in rows[MAIN]] == ["toolResult", "system"]
            assert rows["agent:main:empty"] == []

    asyncio.run(scenario())


def test_usage_is_added_up_by_what_is_asked_for(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            late = NOW + 15 * HOUR  # 00:33 of the next day
            free = assistant("two", late, model="m2", usage={"input": 7, "output": 0})
            await converse(store, "r1", MAIN, "?", assistant("one"), free)
            await converse(store, "r2", OTHER, "?", assistant("three", NOW + DAY), agent="work")

            (all_,) = await store.spent(NOW, NOW + 2 * DAY, ())
            assert (all_.day, all_.session, all_.agent, all_.provider, all_.model) == (None,) * 5
            assert (all_.answers, all_.first, all_.last) == (3, NOW, NOW + DAY)
            assert (all_.input, all_.output, all_.cache_read, all_.cache_write) == (27, 10, 4, 2)
            costs = (all_.cost, all_.input_cost, all_.output_cost, all_.cache_read_cost, all_.cache_write_cost)
            assert costs == (1.875, 1.0, 0.5, 0.25, 0.125)
            assert all_.unpriced == 1

            days = await store.spent(NOW, NOW + 2 * DAY, ["day"])
            assert [(row.day, row.input) for row in days] == [("2026-11-22", 10), ("2026-11-23", 17)]
            west = await store.spent(NOW, NOW + 2 * DAY, ["day"], -60)
            assert [(row.day, row.input) for row in west] == [("2026-11-22", 17), ("2026-11-23", 10)]
            models = await store.spent(NOW, NOW + 2 * DAY, ["session", "model"])
            assert [(row.session, row.model, row.input) for row in models] == [
                (MAIN, "m1", 10),
                (MAIN, "m2", 7),
                (OTHER, "m1", 10),
            ]
            agents = await store.spent(NOW, NOW + 2 * DAY, ["agent", "provider"], agent="work")
            assert [(row.agent, row.provider, row.answers) for row in agents] == [("work", "mock", 1)]
            assert (await store.spent(NOW, NOW + 2 * DAY, (), session=MAIN))[0].answers == 2

    asyncio.run(scenario())


def test_a_span_of_time_begins_with_its_first_and_ends_before_its_last_millisecond(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            await converse(store, "r1", MAIN, "?", assistant("one"))
            assert len(await store.spent(NOW, NOW + 1, ())) == len(await store.message_counts(NOW, NOW + 1, ())) == 1
            assert await store.spent(NOW - 1, NOW, ()) == await store.message_counts(NOW - 1, NOW, ()) == []

    asyncio.run(scenario())


def test_messages_and_tools_are_counted(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            turns = [assistant("", NOW, stopReason="toolUse"), tool_result("clock", "?", error=True)]
            turns += [assistant("", NOW, stopReason="toolUse"), tool_result("clock", "12:00"), tool_result("dice", "6")]
            await converse(store, "r1", MAIN, "?", *turns, assistant("", NOW + DAY, stopReason="error"))
            await converse(store, "r2", OTHER, "?", tool_result("dice", "1"), agent="work")

            (main,) = await store.message_counts(NOW, NOW + 2 * DAY, ["session"], session=MAIN)
            assert (main.session, main.total, main.user, main.assistant, main.results, main.errors) == (
                MAIN, 7, 1, 3, 3, 2,
            )  # fmt: skip
            days = await store.message_counts(NOW, NOW + 2 * DAY, ["day", "session"])
            assert [(row.day, row.session, row.total) for row in days] == [
                ("2026-11-22", MAIN, 6),
                ("2026-11-22", OTHER, 2),
                ("2026-11-23", MAIN, 1),
            ]
            assert [row.total for row in await store.message_counts(NOW, NOW + 2 * DAY, (), agent="work")] == [2]
            expected = [Used(MAIN, "clock", 2), Used(MAIN, "dice", 1), Used(OTHER, "dice", 1)]
            assert await store.tools(NOW, NOW + DAY) == expected
            assert await store.tools(NOW, NOW + DAY, agent="work") == expected[2:]
            assert await store.tools(NOW, NOW + DAY, session=MAIN) == expected[:2]

    asyncio.run(scenario())


def test_a_list_reads_no_picture(tmp_path: Path) -> None:
    """What a list shows stands before the body, whose pages are then left alone."""

    async def fill() -> None:
        async with opened(tmp_path) as store:
            picture = user("look")
            picture["content"].append({"type": "image", "mimeType": "image/png", "data": "A" * 1_000_000})
            await store.patch(MAIN, "main", lambda entry: entry, NOW)
            for _ in range(10):
                await store.append(MAIN, picture, NOW)

    async def look() -> None:
        async with opened(tmp_path) as store:
            before = bytes_read()
            assert (await store.summaries([MAIN]))[MAIN].last == "look"
            assert (await store.message_counts(NOW, NOW + 1, ["session"]))[0].total == 10
            assert bytes_read() - before < 500_000
            await store.rows(MAIN, 10)
            assert bytes_read() - before > 10_000_000

    asyncio.run(fill())
    asyncio.run(look())


def bytes_read() -> int:
    return int(Path("/proc/self/io").read_text().split()[1])


def test_filters_by_key_and_agent(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            for number, key in enumerate((MAIN, OTHER, "agent:gone:cron:1", "global")):
                agent = key.split(":")[1] if ":" in key else "main"
                await store.patch(key, agent, lambda _: {}, NOW + number)

            async def keys(which: Filter) -> list[str]:
                return [each.key for each in (await store.sessions(which)).sessions]

            assert await keys(Filter(keys=(OTHER, "agent:none:x"))) == [OTHER]
            assert await keys(Filter(keys=())) == []
            assert await keys(Filter(agents=("main", "work"))) == ["global", OTHER, MAIN]
            assert await keys(Filter(agents=())) == ["global"]
            assert await keys(Filter(without=(":cron:", ":lunch"))) == ["global", MAIN]

    asyncio.run(scenario())


def test_how_the_end_of_a_key_begins(tmp_path: Path) -> None:
    long = "agent:main:dashboard:fb6eb1d4-d3ed-461f-af95-356981151111"

    async def scenario() -> None:
        async with opened(tmp_path) as store:
            for key in (long, "agent:main:fb6eb1d4", "agent:main:x:fb6eb1d4d3ed461faf95356981151111"):
                await store.patch(key, "main", lambda _: {}, NOW)
            for short in ("f", "fb6eb1d4", "fb6eb1d4d3ed46", "fb6eb1d4d3ed461faf95356981151111"):
                assert [each.key for each in (await store.sessions(Filter(short=short))).sessions] == [long], short
            assert (await store.sessions(Filter(short="d3ed"))).total == 0

    asyncio.run(scenario())


def test_pinned_sessions_come_first_on_request(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            await store.patch(MAIN, "main", lambda _: {"pinned": True}, NOW)
            await store.patch(OTHER, "work", lambda _: {}, NOW + 1)
            assert [each.key for each in (await store.sessions(Filter())).sessions] == [OTHER, MAIN]
            assert [each.key for each in (await store.sessions(Filter(pinned_first=True))).sessions] == [MAIN, OTHER]

    asyncio.run(scenario())


def test_messages_of_one_run_with_their_numbers(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            await converse(store, "r1", MAIN, "one", assistant("1"))
            await converse(store, "r2", MAIN, "two", tool_result("look", "x"), assistant("2"))
            found = await store.messages_of_run(MAIN, "r2", 10)
            assert [(each.number, each.row.message["role"]) for each in found] == [
                (3, "user"),
                (4, "toolResult"),
                (5, "assistant"),
            ]
            assert [each.number for each in await store.messages_of_run(MAIN, "r2", 2)] == [3, 4]
            assert (
                await store.messages_of_run(MAIN, "none", 10)
                == await store.messages_of_run("agent:main:none", "r2", 10)
                == []
            )
            await store.reset(MAIN, "main", NOW)
            assert await store.messages_of_run(MAIN, "r2", 10) == []

    asyncio.run(scenario())


def test_a_patch_may_expect_a_session_and_needs_a_label_of_its_own(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as store:
            session = await store.patch(MAIN, "main", lambda _: {"label": "a"}, NOW, None)
            await store.patch(MAIN, "main", lambda _: {"label": "a", "x": 1}, NOW, session.id)
            with pytest.raises(SessionChanged):
                await store.patch(MAIN, "main", lambda _: {}, NOW, "other")
            with pytest.raises(SessionChanged):
                await store.patch("agent:main:new", "main", lambda _: {}, NOW, session.id)
            with pytest.raises(LabelTaken, match="a"):
                await store.patch("agent:main:new", "main", lambda _: {"label": "a"}, NOW)
            assert await store.session("agent:main:new") is None
            await store.patch(OTHER, "work", lambda _: {"label": "a"}, NOW)

    asyncio.run(scenario())
