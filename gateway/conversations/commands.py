"""What a command in a chat does, and what it answers."""

import asyncio
import time
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gateway.aio.tasks import Tasks
from gateway.config import models
from gateway.conversations.slash import COMMANDS, Slash
from gateway.link.spec import COMMAND, spoken
from gateway.runs.ends import Owing
from gateway.runs.service import StillActive
from gateway.sessions.records import Run, RunRequest

if TYPE_CHECKING:
    from gateway.conversations.service import Conversations


class Commands:
    def __init__(self, conversations: "Conversations", tasks: Tasks, owing: Owing) -> None:
        self._conversations = conversations
        self._tasks = tasks
        self._owing = owing
        self._doing: dict[str, asyncio.Task[tuple[Run, bool]]] = {}
        """Those that are being carried out, by the ids of their runs."""

    async def do(self, id: str, key: str, request: RunRequest, command: Slash) -> tuple[Run, bool]:
        """Do what a chat's command says, and answer it; the caller has asked whether the client may.

        Raises SendDenied, QueueFull and StorageFailed.
        """
        await self._conversations.must_take(key)
        if (doing := self._doing.get(id)) is None:
            doing = self._doing[id] = self._tasks.begin(self._do(id, key, request, command), f"command {id}")
            doing.add_done_callback(lambda _: self._doing.pop(id))
        return await asyncio.shield(doing)

    async def _do(self, id: str, key: str, request: RunRequest, command: Slash) -> tuple[Run, bool]:
        conversations, agent = self._conversations, self._conversations.agent(key)
        if (known := await conversations.store.run(id)) is not None:
            return known, False
        asked = replace(request, prompt=request.prompt | COMMAND)
        if command.name == "compact":
            return await conversations.runs.submit(id, key, agent, replace(asked, compact=command.argument))
        text = await carry_out(conversations, key, command)
        with self._owing():
            run, fresh = await conversations.store.answer(id, key, agent, asked, spoken(text, _now()), _now())
            if fresh:
                conversations.runs.tell_ended(run)
        return run, fresh


async def carry_out(conversations: "Conversations", key: str, command: Slash) -> str:
    """Raises StorageFailed."""
    match command.name:
        case "status":
            return await _status(conversations, key)
        case "new":
            return await _new(conversations, key)
        case "model":
            return await _model(conversations, key, command.argument)
        case "models":
            found = models.listed(conversations.tree(), conversations.environment)
            return "Models:\n" + "\n".join(_model_line(each) for each in found)
        case "think":
            return await _think(conversations, key, command.argument.lower())
        case _:
            return "Commands:\n" + "\n".join(f"- /{name}: {what}" for name, what in COMMANDS.items())


async def _new(conversations: "Conversations", key: str) -> str:
    try:
        await conversations.reset(key)
    except StillActive:
        return "Not begun anew: the answer that is being written does not end. Try again in a moment."
    return "New session. What was said before is forgotten."


def _model_line(listed: models.Listed) -> str:
    remarks = (*listed.tags, *(() if listed.available else ("cannot be asked yet",)))
    return f"- {listed.ref}" + (f" ({', '.join(remarks)})" if remarks else "")


async def _status(conversations: "Conversations", key: str) -> str:
    session = await conversations.store.session(key)
    tree = conversations.tree()
    model = models.chosen(tree, conversations.agent(key), session.entry.get("model") if session else None)
    window = models.window(tree, model)
    lines = [f"Session: {key}", f"Model: {model}"]
    if session is not None:
        full = f" of {window} ({100 * session.total // window} %)" if window else ""
        lines.append(f"Context: {session.total} tokens{full}")
        lines.append(f"Tokens: {session.input} in, {session.output} out; {session.messages} messages")
        lines.append(f"Compactions: {session.compactions}")
        lines.append(f"Thinking: {session.entry.get('thinkingLevel') or 'off'}")
    waiting = len(conversations.runs.waiting(key))
    if running := conversations.runs.running(key):
        lines.append(f"Running: {running}" + (f"; {waiting} wait" if waiting else ""))
    return "\n".join(lines)


async def _model(conversations: "Conversations", key: str, wanted: str) -> str:
    if not wanted:
        return await _status(conversations, key)
    if wanted.lower() in ("default", "reset"):
        await _set(conversations, key, "model", None)
        return "The model is the config's again."
    if problem := conversations.refuse_model(key, wanted):
        return f"Not changed: {problem}"
    await _set(conversations, key, "model", wanted)
    return f"Model: {wanted}"


async def _think(conversations: "Conversations", key: str, level: str) -> str:
    if level not in models.THINKING:
        return f"Levels: {', '.join(models.THINKING)}"
    await _set(conversations, key, "thinkingLevel", None if level == "off" else level)
    return f"Thinking: {level}"


async def _set(conversations: "Conversations", key: str, name: str, value: str | None) -> None:
    def change(entry: dict[str, object]) -> dict[str, object]:
        rest = {each: known for each, known in entry.items() if each != name}
        return rest if value is None else {**rest, name: value}

    await conversations.patch(key, change)


def _now() -> int:
    return int(time.time() * 1000)
