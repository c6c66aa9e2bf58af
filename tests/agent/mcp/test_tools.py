"""MCP servers of a run: a small one that misbehaves on demand, one over HTTP, and the reference package's."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.agent.mcp import stdio
from gateway.agent.mcp import tools as module
from gateway.agent.mcp.idle import IdleServers
from gateway.agent.mcp.tools import MAX_TOOLS, Toolbox
from gateway.agent.turn.answer import ToolCall
from gateway.agent.turn.failed import Secrets
from gateway.agent.turn.results import Result
from gateway.link.messages import MAX_TOOL_RESULT
from gateway.link.spec import Bounds, Model, Server, ToolRule
from tests.agent.peer import ECHO, spec
from tests.fakes.mcp_server import Unstarted, put_inside
from tests.slack import LIMIT_S

pytestmark = pytest.mark.process


BOX = Path(__file__).parents[1] / "box.py"
CONFORMANCE = Path(__file__).parents[3] / ".cache" / "conformance"


def box(*words: str, name: str = "box", **more: Any) -> Server:
    return Server(name, command=sys.executable, args=[str(BOX), *words], **more)


@asynccontextmanager
async def left() -> AsyncIterator[IdleServers]:
    idle = IdleServers()
    try:
        yield idle
    finally:
        await idle.end_all()


@asynccontextmanager
async def opened(*servers: Server, **more: Any) -> AsyncIterator[Toolbox]:
    async with left() as idle, lent(idle, *servers, **more) as toolbox:
        yield toolbox


@asynccontextmanager
async def lent(
    idle: IdleServers, *servers: Server, tool_ms: int = 10_000, workspace: str | None = None, conversation: str = ""
) -> AsyncIterator[Toolbox]:
    """For one run; what it leaves idle is the test's to end."""
    bounds = Bounds(tool_ms=tool_ms)
    told = spec("x", servers=list(servers), bounds=bounds, workspace=workspace, conversation=conversation)
    toolbox = Toolbox(told, Secrets(told), idle)
    try:
        await toolbox.open()
        yield toolbox
    finally:
        toolbox.close()


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(LIMIT_S):
            await test()

    asyncio.run(bounded())


async def call(toolbox: Toolbox, name: str, **args: Any) -> Result:
    return await toolbox.call(ToolCall("1", name, args), ECHO)


def test_tools_are_offered_under_the_names_of_their_servers_and_called() -> None:
    async def test() -> None:
        async with opened(box(), box(name="other one")) as toolbox:
            names = [tool.name for tool in toolbox.tools]
            assert names[:2] == ["box__look", "box__big"] and "other-one__look" in names and not toolbox.notes
            assert toolbox.tools[0].description == "To look." and toolbox.tools[0].schema["type"] == "object"
            result = await call(toolbox, "other-one__look", word="dog")
            assert result == Result(True, "a dog", [{"type": "text", "text": "a dog"}])

    run(test)


def test_whatever_a_tool_gives_is_a_result() -> None:
    async def test() -> None:
        async with opened(box()) as toolbox:
            failed = await call(toolbox, "box__fail")
            assert (failed.ok, failed.text) == (False, "it did not work")
            big = await call(toolbox, "box__big")
            assert len(big.text.encode()) <= MAX_TOOL_RESULT and "This result is cut" in big.text
            picture = await call(toolbox, "box__picture")
            assert picture.blocks == [{"type": "image", "data": "iVBORw0KGgouLi4uSUVORA==", "mimeType": "image/png"}]
            refused = await call(toolbox, "box__refuse")
            assert not refused.ok and "box__refuse failed: there is no tools/call" in refused.text
            nothing = await call(toolbox, "box__no")
            assert (nothing.ok, nothing.text) == (False, "There is no tool box__no.")
            wrong = await toolbox.call(ToolCall("1", "box__look", None), ECHO)
            assert (wrong.ok, wrong.text) == (False, "The arguments for box__look are not a JSON object.")

    run(test)


def test_a_tool_that_takes_too_long_is_given_up_and_another_can_be_called() -> None:
    async def test() -> None:
        async with opened(box(), box(name="other"), tool_ms=300) as toolbox:
            slow = await call(toolbox, "box__slow")
            assert (slow.ok, slow.text) == (False, "box__slow has given nothing in 0.3 s.")
            assert (await call(toolbox, "other__look")).ok

    run(test)


def test_a_server_that_ends_in_a_call_fails_this_call_and_those_after_it() -> None:
    async def test() -> None:
        async with opened(box()) as toolbox:
            for name in ("box__die", "box__look"):
                result = await call(toolbox, name)
                assert not result.ok and result.text == f"{name} failed: the MCP server has ended (status 3)"

    run(test)


def test_a_server_that_cannot_start_is_missing_and_the_others_are_there() -> None:
    async def test() -> None:
        servers = [
            Server("gone", command="/no/such"),
            box("die", name="dead"),
            box("mute", name="mute", connect_ms=500),
            Server("nothing"),
            Server("far", url="http://127.0.0.1:9/mcp"),
            box(name="good"),
        ]
        async with opened(*servers) as toolbox:
            why = {note.server: note.text.partition(" could not be used: ")[2] for note in toolbox.notes}
            assert why["gone"] == "/no/such is not there."
            assert why["dead"] == ("the MCP server has ended (status 1); its last words: no key in the environment.")
            assert why["mute"] == "it did not start in 0.5 s (mcp.servers.mute.connectionTimeoutMs)."
            assert why["nothing"] == "mcp.servers.nothing has neither a command nor a url."
            assert why["far"] and len(why) == 5 and all(note.for_model and not note.ok for note in toolbox.notes)
            assert (await call(toolbox, "good__look")).ok

    run(test)


def test_no_secret_is_in_why_it_is_missing() -> None:
    async def test() -> None:
        script = "echo the key $TOKEN is wrong >&2; exit 1"
        async with opened(Server("s", command="sh", args=["-c", script], env={"TOKEN": "abc-secret"})) as toolbox:
            assert toolbox.notes[0].text.endswith("its last words: the key *** is wrong.")

    run(test)


def test_tools_are_listed_to_the_last_page_and_up_to_a_bound() -> None:
    async def test() -> None:
        async with opened(box("pages"), box(f"many={MAX_TOOLS}", name="more")) as toolbox:
            offered = toolbox.offered(ECHO)
            assert len(offered) == MAX_TOOLS < len(toolbox.tools) and "box__environment" in [
                tool.name for tool in toolbox.tools
            ]
            assert toolbox.notes[0].server == "more" and f"at most {MAX_TOOLS}" in toolbox.notes[0].text

    run(test)


def test_a_server_gets_none_of_our_descriptors_and_a_session_of_its_own(tmp_path: Path) -> None:
    async def test() -> None:
        async with opened(box(env={"MINE": "1"}), workspace=str(tmp_path)) as toolbox:
            found = json.loads((await call(toolbox, "box__environment")).text)
            assert set(found["sockets"]) <= {"0", "1", "2"}  # asyncio's pipes may be socket pairs
            assert found["session"] and found["folder"] == str(tmp_path) and "MINE" in found["names"]

    run(test)


async def count(idle: IdleServers, *servers: Server, conversation: str = "c", **more: Any) -> str:
    """The answer of a server that counts how often it was asked."""
    async with lent(idle, *(servers or [box()]), conversation=conversation, **more) as toolbox:
        return (await call(toolbox, "box__count")).text


def test_the_next_run_of_a_conversation_has_the_same_server() -> None:
    async def test() -> None:
        async with left() as idle:
            assert [await count(idle) for _ in range(3)] == ["1", "2", "3"]
            assert await count(idle, conversation="another") == "1"
            assert await count(idle, box(), box(name="more")) == "4"
            assert len(idle) == 3
        assert len(idle) == 0

    run(test)


def test_a_server_that_is_another_in_the_config_is_started_anew(tmp_path: Path) -> None:
    async def test() -> None:
        async with left() as idle:
            assert [await count(idle), await count(idle, box("loud"))] == ["1", "1"]
            assert [await count(idle, box("loud")), await count(idle, workspace=str(tmp_path))] == ["2", "1"]
            assert len(idle) == 1

    run(test)


def test_without_a_next_run_nothing_is_kept() -> None:
    async def test() -> None:
        async with left() as idle:
            assert [await count(idle, conversation=""), await count(idle, conversation="")] == ["1", "1"]
            assert len(idle) == 0

    run(test)


def test_a_server_that_has_ended_meanwhile_is_started_anew() -> None:
    async def test() -> None:
        async with left() as idle:
            async with lent(idle, box(), conversation="c") as toolbox:
                assert (await call(toolbox, "box__count")).text == "1"
                (group,) = stdio._groups
                os.killpg(group, signal.SIGKILL)
            assert len(idle) == 1
            assert await count(idle) == "1"

    run(test)


def test_a_server_that_does_not_list_its_tools_again_is_started_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REFRESH_S", 0.05)

    async def test() -> None:
        async with left() as idle:
            assert await count(idle) == "1"
            (group,) = stdio._groups
            os.killpg(group, signal.SIGSTOP)
            assert await count(idle) == "1"

    run(test)


def test_a_server_that_owes_an_answer_is_not_kept() -> None:
    async def test() -> None:
        async with left() as idle:
            async with lent(idle, box(), conversation="c", tool_ms=100) as toolbox:
                assert "has given nothing in 0.1 s" in (await call(toolbox, "box__slow")).text
            assert len(idle) == 0

    run(test)


def test_one_that_refuses_a_call_is_kept() -> None:
    async def test() -> None:
        async with left() as idle:
            async with lent(idle, box(), conversation="c") as toolbox:
                assert not (await call(toolbox, "box__refuse")).ok
            assert len(idle) == 1

    run(test)


def test_the_reference_server_for_time() -> None:
    async def test() -> None:
        async with opened(Server("time", command=sys.executable, args=["-m", "mcp_server_time"])) as toolbox:
            assert [tool.name for tool in toolbox.tools] == ["time__get_current_time", "time__convert_time"]
            result = await call(toolbox, "time__get_current_time", timezone="Europe/Berlin")
            assert result.ok and '"timezone": "Europe/Berlin"' in result.text
            wrong = await call(toolbox, "time__get_current_time", timezone="Mars/Olympus")
            assert not wrong.ok and "Mars/Olympus" in wrong.text

    run(test)


def test_the_reference_server_that_has_everything() -> None:
    found = next(CONFORMANCE.glob("*/node_modules/@modelcontextprotocol/server-everything/dist/index.js"), None)
    if found is None:
        pytest.skip("@modelcontextprotocol/server-everything is not installed in .cache/conformance")

    async def test() -> None:
        async with opened(Server("all", command="node", args=[str(found)])) as toolbox:
            result = await call(toolbox, "all__echo", message="hello")
            assert result.ok and "hello" in result.text

    run(test)


def allowed(**rules: Any) -> Any:
    return replace(ECHO, tools=[ToolRule("tools", **rules)])


async def told(inside: dict[str, Unstarted], **more: Any) -> list[str]:
    async with opened(*(Server(name, command="x", **more) for name in inside)) as toolbox:
        return [note.text for note in toolbox.notes]


@pytest.mark.parametrize(
    ("limits", "model", "offered"),
    [
        ({}, ECHO, "db__query db__admin_drop"),
        ({"exclude": ["admin_*"]}, ECHO, "db__query"),
        ({"include": ["query"]}, ECHO, "db__query"),
        ({"include": ["db__query"]}, ECHO, ""),
        ({}, allowed(deny=["db__admin_drop"]), "db__query"),
        ({}, allowed(deny=["bundle-mcp"]), ""),
        ({}, allowed(allow=["exec"]), ""),
    ],
)
def test_what_is_excluded_is_neither_offered_nor_called(
    limits: dict[str, Any], model: Model, offered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        put_inside(monkeypatch, db=(inside := Unstarted()))
        async with opened(Server("db", command="x", **limits)) as toolbox:
            assert [tool.name for tool in toolbox.offered(model)] == offered.split()
            for name in ("query", "admin_drop"):
                result = await toolbox.call(ToolCall("1", f"db__{name}", {}), model)
                assert result.ok is (f"db__{name}" in offered.split())
            assert [f"db__{name}" for name in inside.called] == offered.split()

    run(test)


def test_an_include_that_matches_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        inside = {"db": Unstarted()}
        put_inside(monkeypatch, **inside)
        (text,) = await told(inside, include=["query", "db__query"])
        assert text.startswith("mcp.servers.db.toolFilter.include has 'db__query', which matches none")

    run(test)


def test_of_too_many_tools_the_truth_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        inside = {"odd": Unstarted([f"tool_{number:03}" for number in range(200)]), "more": Unstarted()}
        put_inside(monkeypatch, **inside)
        odd, more = await told(inside)
        assert odd.startswith(
            "Of the 200 tools of the MCP server odd the first 128 are used: a model gets at most 128."
        )
        assert more.startswith("Of the 2 tools of the MCP server more the first 0 are used")
        async with opened(Server("odd", command="x")) as toolbox:
            beyond = await toolbox.call(ToolCall("1", "odd__tool_150", {}), ECHO)
            assert beyond.text == "There is no tool odd__tool_150."
        assert await told({"odd": inside["odd"]}, include=["tool_00*"]) == []

    run(test)


def test_a_tool_that_cannot_be_offered_leaves_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        untyped = {"name": "untyped", "inputSchema": {"properties": {"a": {}}}, "outputSchema": 5, "annotations": "x"}
        bare = {"name": "bare"}
        dangling = {"name": "bad", "inputSchema": {"type": "object", "$ref": "#/gone"}}
        inside = {"db": Unstarted(["query", untyped, bare, 5, {"name": 5}, dangling, "twice", "twice", "a b", "a-b"])}
        put_inside(monkeypatch, **inside)
        async with opened(Server("db", command="x")) as toolbox:
            assert [tool.name for tool in toolbox.tools] == [
                *("db__query", "db__untyped", "db__bare", "db__a-b", "db__a-b-2"),
            ]
            several = "the server has several of that name"
            assert toolbox.notes[0].text == (
                "Of the MCP server db these tools are left out: bad (its schema refers to what is not in it), "
                f"twice ({several}), twice ({several})."
            )

    run(test)


@pytest.mark.parametrize(
    ("mute", "limits", "why"),
    [
        ("server/discover", {"connect_ms": 30}, "it did not start in 0.03 s (mcp.servers.db.connectionTimeoutMs)."),
        ("tools/list", {"connect_ms": 30}, "it did not start in 0.03 s (mcp.servers.db.connectionTimeoutMs)."),
        ("tools/list", {"request_ms": 30}, "it did not list its tools in 0.03 s (mcp.servers.db.requestTimeoutMs)."),
    ],
)
def test_one_that_hangs_is_waited_for_as_long_as_the_config_says(
    mute: str, limits: dict[str, Any], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        inside = {"db": Unstarted()}
        inside["db"].mute = {mute, "initialize"} if mute == "server/discover" else {mute}
        put_inside(monkeypatch, **inside)
        assert await told(inside, **limits) == [f"The MCP server db could not be used: {why}"]

    run(test)


def test_a_call_is_waited_for_as_long_as_the_config_says(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        inside = {"db": Unstarted()}
        inside["db"].mute = {"tools/call"}
        put_inside(monkeypatch, **inside)
        async with opened(Server("db", command="x", request_ms=20)) as toolbox:
            assert (await call(toolbox, "db__query")).text == "db__query has given nothing in 0.02 s."

    run(test)


def test_a_slow_start_is_told_of_while_it_lasts(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    monkeypatch.setattr(module, "SLOW_S", 0.01)

    async def test() -> None:
        put_inside(monkeypatch, db=(inside := Unstarted()))
        inside.slow = True
        told = []

        async def slow(server: str) -> None:
            told.append(server)
            assert "MCP server db has not started in 0.01 s; it is waited for" in caplog.text
            inside.wait.set()

        async with left() as idle:
            run_spec = spec("x", servers=[Server("db", command="x")])
            toolbox = Toolbox(run_spec, Secrets(run_spec), idle)
            await toolbox.open(slow)
            toolbox.close()
        assert told == ["db"]
        (note,) = toolbox.notes
        assert note.ok and note.text == "The MCP server db has started after 0 s."

    run(test)


def test_what_the_config_makes_unusable_is_known_to_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with left() as idle:
            run_spec = spec("x", unusable={"far": "its auth is not supported"})
            toolbox = Toolbox(run_spec, Secrets(run_spec), idle)
            await toolbox.open()
        (note,) = toolbox.notes
        assert note.for_model and note.once
        assert note.text == "The MCP server far could not be used: its auth is not supported."

    run(test)
